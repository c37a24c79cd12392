"""Which files make up a unit. That systemd agrees is tests/lab/test_units.py (random forests); here are the rules, one by one."""

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.host import Missing
from pidhygiene.model import UNLIMITED
from pidhygiene.readers import unit_files
from pidhygiene.readers.unit_files import Search
from simulated import SimulatedHost, judge

ETC, RUN, USR = "/etc/systemd/system/", "/run/systemd/system/", "/usr/lib/systemd/system/"
LOAD_PATH = (ETC[:-1], RUN[:-1], USR[:-1])
F11 = json.loads((pathlib.Path(__file__).parents[2] / "fixtures" / "f11-drop-in-precedence.json").read_text())


def tree(files, links=(), host=None):
    host = host or SimulatedHost()
    for path, text in dict(files).items():
        host.file(path, text)
    for path, target in dict(links).items():
        host.link(path, target)
    return host


def definition(name, files, links=()):
    return Search(tree(files, links), LOAD_PATH).definition(name)


def limit(value):
    return UNLIMITED if value == "infinity" else value


# -- F11


def test_f11_drop_in_precedence():
    found = definition("foo-bar.service", F11["files"], F11["links"])
    settings = {key: tuple(setting.meaning) for key, setting in found.settings.items() if setting.meaning is not None and key.startswith("Limit")}
    assert settings == {key: tuple(map(limit, pair)) for key, pair in F11["expected"].items()}
    assert list(found.drop_ins) == F11["drop_ins"]
    assert found.settings["TasksMax"].value == "" and found.settings["TasksMax"].file.endswith("40-d.conf")  # back to the default
    assert [(line.key, line.file.rsplit("/", 1)[1]) for line in found.ineffective] == [
        ("LimitNOFILE", "40-d.conf"), ("LimitNPROC", "50-e.conf"), ("LimitNPROC", "51-e.conf"), ("LimitMEMLOCK", "52-e.conf"), ("LimitSTACK", "71-x.conf")]


def test_f11_tells_who_lost_and_why():
    losers = {key: [(loser.file, loser.value, loser.why) for loser in setting.losers]
              for key, setting in definition("foo-bar.service", F11["files"], F11["links"]).settings.items()}
    assert losers["LimitNPROC"] == [(USR + "foo-bar.service", "1000", "later file"), (USR + "foo-bar.service.d/10-a.conf", "1111", "shadowed")]
    assert losers["LimitCORE"] == [(RUN + "foo-bar.service.d/20-b.conf", "5", "later file")]
    assert losers["LimitSIGPENDING"] == [(ETC + "service.d/30-c.conf", "20", "shadowed")]
    assert losers["LimitMSGQUEUE"] == [(USR + "foo-bar.service.d/60-m.conf", "99", "shadowed")]
    assert losers["TasksMax"] == [(USR + "foo-bar.service", "77", "reset")]


def test_f11_through_audit():
    host = tree(F11["files"], F11["links"]).unit("foo-bar.service", FragmentPath=USR + "foo-bar.service", DropInPaths=F11["drop_ins"])
    assert {finding["subject"]["id"].rsplit("/", 1)[1] for finding in judge(host, "PH-SYS-001").findings if finding["status"] == "fail"} == {
        "40-d.conf:2", "50-e.conf:2", "51-e.conf:2", "52-e.conf:2", "71-x.conf:1"}
    lost = {finding["subject"]["id"] for finding in judge(host, "PH-SYS-002").findings}
    assert lost == {ETC + "service.d/30-c.conf:2"}


# -- names


@pytest.mark.parametrize("name, kind", [
    ("a.service", "plain"), ("a@.service", "template"), ("a@b.service", "instance"), ("a@b@c.service", "instance"), ("a-b.slice", "plain"),
    ("a\\x2db.service", "plain"), ("-.slice", "plain"), (".service", None), ("a", None), ("a.conf", None), ("@a.service", None), ("a b.service", None),
    ("a/b.service", None), ("x" * 248 + ".service", None), ("a.b.service", "plain"),
])
def test_kinds_of_names(name, kind):
    assert unit_files.kind_of(name) == kind


@pytest.mark.parametrize("name, expected", [
    ("foo.service", ["foo.service"]),
    ("foo-bar-baz.service", ["foo-bar-baz.service", "foo-bar-.service", "foo-.service"]),
    ("foo-bar@x.service", ["foo-bar@x.service", "foo-bar@.service", "foo-.service", "foo-@x.service", "foo-@.service"]),
    ("-foo.service", ["-foo.service"]),
    ("foo--bar.service", ["foo--bar.service", "foo--.service", "foo-.service"]),
    ("a.slice", ["a.slice"]),
])
def test_directories_of_drop_ins(name, expected):
    assert unit_files.drop_in_names(name) == expected


@given(st.text(alphabet="ab-@.:_", max_size=40).map(lambda stem: stem + ".service"))
def test_any_name(name):
    if unit_files.kind_of(name):
        assert unit_files.drop_in_names(name)[0] == name


# -- fragments


def test_the_first_fragment_wins():
    found = definition("a.service", {ETC + "a.service": "[Service]\nUser=one\n", USR + "a.service": "[Service]\nUser=two\n"})
    assert (found.fragment, found.settings["User"].meaning) == (ETC + "a.service", "one")


@pytest.mark.parametrize("files, links", [({ETC + "a.service": ""}, {}), ({}, {ETC + "a.service": "/dev/null"})])
def test_an_empty_fragment_or_a_null_link_masks(files, links):
    found = definition("a.service", dict(files, **{USR + "a.service": "[Service]\nUser=two\n"}), links)
    assert found.masked and found.fragment == ETC + "a.service" and not found.settings


def test_an_empty_drop_in_does_not_mask():
    """FIELD A6."""
    found = definition("a.service", {USR + "a.service": "[Service]\nUser=two\n", ETC + "a.service.d/x.conf": ""})
    assert not found.masked and found.settings["User"].meaning == "two"


@pytest.mark.parametrize("target", ["b.service", USR + "b.service", "../system/b.service"])
def test_an_alias_is_the_unit_it_points_to(target):
    files = {USR + "b.service": "[Service]\nUser=b\n", ETC + "a.service.d/x.conf": "[Service]\nPAMName=a\n"}
    found = definition("a.service", files, {ETC + "a.service": target})
    assert (found.id, found.names, found.fragment) == ("b.service", ("a.service", "b.service"), USR + "b.service")
    assert found.settings["PAMName"].meaning == "a"  # drop-ins of an alias count for the unit
    assert definition("b.service", files, {ETC + "a.service": target}) == found


def test_a_link_out_of_the_load_path_is_a_linked_unit():
    found = definition("a.service", {"/opt/x.service": "[Service]\nUser=opt\n"}, {ETC + "a.service": "/opt/x.service"})
    assert (found.id, found.fragment, found.settings["User"].meaning) == ("a.service", ETC + "a.service", "opt")


def test_an_alias_of_another_type_is_passed_over():
    found = definition("a.service", {USR + "a.service": "[Service]\nUser=a\n", USR + "b.slice": ""}, {ETC + "a.service": "b.slice"})
    assert found.fragment == USR + "a.service"


def test_a_loop_of_aliases_ends():
    found = definition("a.service", {}, {ETC + "a.service": "b.service", ETC + "b.service": "a.service"})
    assert found.fragment is None


def test_instances_come_from_their_template_or_their_own_file():
    files = {USR + "t@.service": "[Service]\nUser=template\n", ETC + "t@x.service": "[Service]\nUser=own\n"}
    assert definition("t@x.service", files).settings["User"].meaning == "own"
    assert definition("t@y.service", files).settings["User"].meaning == "template"
    assert definition("t@y.service", files).id == "t@y.service"


def test_directories_through_links_are_read_once():
    """/lib → usr/lib: the same drop-in is not its own shadow."""
    host = tree({USR + "a.service": "[Service]\n", USR + "a.service.d/x.conf": "[Service]\nUser=a\n"}, {"/lib": "usr/lib"})
    found = Search(host, ("/lib/systemd/system", USR[:-1])).definition("a.service")
    assert found.fragment == "/lib/systemd/system/a.service"
    assert found.drop_ins == (USR + "a.service.d/x.conf",)
    assert found.settings["User"].losers == ()


# -- what wins


@pytest.mark.parametrize("key, lines, value", [
    ("User", "User=a\nUser=\n", None), ("TasksMax", "TasksMax=5\nTasksMax=\n", None), ("KillMode", "KillMode=process\nKillMode=\n", None),
    ("KillMode", "KillMode=process\nKillMode=yes\n", "process"), ("Restart", "Restart=always\nRestart=\n", "always"),
    ("PIDFile", "PIDFile=x.pid\n", "/run/x.pid"), ("Delegate", "Delegate=\n", True), ("Delegate", "Delegate=pids\n", True),
    ("RuntimeMaxSec", "RuntimeMaxSec=1h\nRuntimeMaxSec=x\n", 3600000000), ("ExecStart", "ExecStart=/a\nExecStart=\nExecStart=/b\n", ["/b"]),
    ("Environment", "Environment=TZ=UTC PASSWORD=x\nEnvironment=\"B=1\"\n", ["TZ=UTC", ""]),
])
def test_assignments(key, lines, value):
    found = definition("a.service", {USR + "a.service": "[Service]\n" + lines})
    assert found.settings[key].meaning == value


def test_no_secret_of_an_environment_is_kept():
    found = definition("a.service", {USR + "a.service": "[Service]\nEnvironment=TZ=UTC PASSWORD=hunter2\nEnvironment=\udcff hunter2\n"})
    assert "hunter2" not in repr(found)


def test_a_wrong_user_makes_the_unit_refused():
    found = definition("a.service", {USR + "a.service": "[Service]\nLimitNOFILE=5\nUser=a:b\nLimitNOFILE=6\n", ETC + "a.service.d/x.conf": "[Service]\nPAMName=x\n"})
    assert found.broken.line == 3 and found.settings["LimitNOFILE"].value == "5" and found.drop_ins == ()


def test_system_conf():
    host = tree({"/etc/systemd/system.conf": "[Manager]\nDefaultLimitNOFILE=1\nDefaultTasksMax=5\n",
                 "/usr/lib/systemd/system.conf.d/10-a.conf": "[Manager]\nDefaultLimitNOFILE=2:3\n",
                 "/etc/systemd/system.conf.d/20-b.conf": "[Manager]\nDefaultLimitNPROC=16k\n",
                 "/run/systemd/system.conf.d/10-a.conf": "[Manager]\nDefaultTasksMax=15%\n"})
    settings, ineffective = Search(host, LOAD_PATH).manager_settings()
    assert (settings["DefaultLimitNOFILE"].value, settings["DefaultTasksMax"].value) == ("1", "15%")
    assert settings["DefaultLimitNOFILE"].losers[0].why == "shadowed"
    assert [line.key for line in ineffective] == ["DefaultLimitNPROC"]


def test_gaps_are_told_and_missing_is_no_gap():
    host = tree({USR + "a.service": "[Service]\n", ETC + "a.service.d/x.conf": "[Service]\n"}).forbid(ETC + "a.service.d/x.conf")
    search = Search(host, LOAD_PATH + ("/nonexistent",))
    search.definition("a.service")
    assert [(gap.source, gap.reason) for gap in search.gaps] == [(ETC + "a.service.d/x.conf", "permission denied")]
    vanished = tree({USR + "a.service": "[Service]\n"}).forbid(USR + "a.service", Missing(USR + "a.service", "does not exist"))
    search = Search(vanished, LOAD_PATH)
    assert search.definition("a.service").fragment is None and search.gaps == []


@given(st.dictionaries(st.sampled_from([ETC + "a.service", USR + "a.service", ETC + "a.service.d/1.conf", USR + "service.d/1.conf", USR + "a@.service"]),
                       st.text(max_size=60)),
       st.dictionaries(st.sampled_from([RUN + "a.service", RUN + "b.service", RUN + "a.service.d", ETC + "service.d"]),
                       st.sampled_from(["a.service", "b.service", "/dev/null", "/", ".", "..", "", "../../../..", "a@.service", ETC + "a.service.d", RUN[:-1]])))
def test_any_tree_is_read(files, links):
    search = Search(tree({path: text.encode("utf-8", "replace") for path, text in files.items()}, links), LOAD_PATH)
    for name in ("a.service", "b.service", "a@x.service"):
        search.definition(name)
