"""supervisord's configuration, as its own options.py reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.readers import supervisor_conf
from simulated import SimulatedHost


@pytest.mark.parametrize(("lines", "stop", "kill"), (
    ("", False, False), ("killasgroup=true", False, True), ("stopasgroup=1", True, True), ("stopasgroup = Yes ; both", True, True),
    ("KillAsGroup=on", False, True), ("killasgroup=false", False, False),
))
def test_group_settings(lines, stop, kill):
    programs, include = supervisor_conf.parse("[program:a]\ncommand=/bin/a ; x\n%s\n" % lines, "/c")
    assert programs == [supervisor_conf.Program("a", stop, kill, "/c")] and include == []


@pytest.mark.parametrize(("arguments", "expected"), (
    (("python3", "/usr/bin/supervisord", "-n", "-c", "/a.conf"), "/a.conf"), (("supervisord", "--configuration=/a.conf"), "/a.conf"),
    (("supervisord", "-c/a.conf"), "/a.conf"), (("supervisord", "--configuration", "/a.conf"), "/a.conf"), (("supervisord", "-n"), ""), ((), ""), (("supervisord", "-c"), ""),
))
def test_named(arguments, expected):
    assert supervisor_conf.named(arguments) == expected


def test_includes_follow_patterns_below_the_file():
    host = SimulatedHost().file("/srv/s.conf", "[include]\nfiles = p/*.conf %(here)s/q/one.ini %(ENV_X)s/a missing/*.conf\n")
    host.file("/srv/p/b.conf", "[program:b]\n").file("/srv/p/a.conf", "[eventlistener:a]\n").file("/srv/p/c.off", "[program:c]\n")
    host.file("/srv/q/one.ini", "[fcgi-program:q]\n")
    gaps = []
    found = supervisor_conf.read(host, 1, ("supervisord", "-c", "/srv/s.conf"), "/", gaps)
    assert [program.name for program in found.programs] == ["a", "b", "q"]
    assert [gap.source for gap in gaps] == ["/srv/%(ENV_X)s/a"] or [gap.source for gap in gaps] == ["%(ENV_X)s/a"]


@given(st.text(max_size=200))
def test_nothing_is_raised(text):
    programs, include = supervisor_conf.parse(text, "/c")
    assert include is None or isinstance(include, list)
    supervisor_conf.named(tuple(text.split()))


@given(st.lists(st.sampled_from(("[program:a]", "[include]", "files=%(", "killasgroup", "killasgroup=", " x", "=", "[", "\0", ";", "stopasgroup=true")), max_size=12))
def test_nothing_is_raised_by_near_misses(lines):
    supervisor_conf.parse("\n".join(lines), "/c")
