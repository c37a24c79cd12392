"""kernel_limits without a kernel: the file and its merging, what is refused, and the whole way on a folder that stands for /proc/sys."""

import pytest
from overlaid import Overlaid
from pidhygiene.readers import sysctl_files
from pidhygiene.remedies import apply, kernel_limits, sysctl
from pidhygiene.remedies.kernel_limits import HEADER, KEYS, REMEDY, content, settings, text_of
from pidhygiene.remedies.model import OLD, Failed, Refused

DEFAULTS = {"kernel/pid_max": 4194304, "kernel/threads-max": 100000, "vm/max_map_count": 65530, "fs/inotify/max_user_instances": 128,
            "fs/inotify/max_user_watches": 8192, "fs/aio-max-nr": 65536, "fs/nr_open": 1048576, "fs/file-max": 2 ** 63 - 1, "kernel/keys/maxkeys": 200}


@pytest.fixture
def host(tmp_path, monkeypatch):
    for name, value in DEFAULTS.items():
        path = tmp_path / "proc/sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("%d\n" % value)
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sysctl, "PROC_SYS", str(tmp_path / "proc/sys"))
    monkeypatch.setattr(kernel_limits, "FILE", str(folder / "zz-pidhygiene.conf"))
    monkeypatch.setattr(sysctl_files, "DIRECTORIES", (str(folder), "/usr/lib/sysctl.d"))
    monkeypatch.setattr(apply, "LOCK", str(tmp_path / "lock"))
    return Overlaid(tmp_path)


def now(host, name):
    return int((host.folder / "proc/sys" / name.replace(".", "/")).read_text())



def done(host, values=None, state="present"):
    return apply.apply(REMEDY, {"values": values, "state": state} if values is not None else {"state": state}, host)


def refused(host, values, state="present"):
    with pytest.raises(Refused) as error:
        done(host, values, state)
    assert not any((host.folder / "etc/sysctl.d").iterdir())
    return str(error.value)


def test_the_whole_way_and_back(host):
    file = host.folder / "etc/sysctl.d/zz-pidhygiene.conf"
    assert done(host, {"vm.max_map_count": 262144}).changed
    assert file.read_text() == HEADER + "# before: vm.max_map_count = 65530\nvm.max_map_count = 262144\n"
    assert now(host, "vm.max_map_count") == 262144
    assert not done(host, {"vm.max_map_count": 262144}).changed
    done(host, {"fs.aio-max-nr": "1048576", "vm.max_map_count": 300000})  # the other key stays, and so does what was first
    assert content(file.read_text()).values == {"vm.max_map_count": "300000", "fs.aio-max-nr": "1048576"}
    assert content(file.read_text()).before == {"vm.max_map_count": "65530", "fs.aio-max-nr": "65536"}
    done(host, {"fs.aio-max-nr": None}, "absent")
    assert now(host, "fs.aio-max-nr") == 65536 and "aio" not in file.read_text()
    done(host, state="absent")
    assert now(host, "vm.max_map_count") == 65530 and not file.exists()
    assert not done(host, state="absent").changed


def test_looking_writes_nothing_and_shows_both(host):
    report = apply.look(REMEDY, {"values": {"fs.aio-max-nr": 99999}}, host)
    assert [each.what.rpartition("/")[2] for each in report.differences] == ["zz-pidhygiene.conf", "fs.aio-max-nr now"]
    assert now(host, "fs.aio-max-nr") == 65536 and not any((host.folder / "etc/sysctl.d").iterdir())


def test_what_was_before_is_forgotten_last(host):
    """A run that is killed between the two steps still finds it."""
    done(host, {"fs.aio-max-nr": 99999})
    report = apply.look(REMEDY, {"state": "absent"}, host)
    assert [each.what.rpartition("/")[2] for each in report.differences] == ["fs.aio-max-nr now", "zz-pidhygiene.conf"]


@pytest.mark.parametrize("left", ["file", "value"])
def test_the_next_run_finishes_what_a_killed_one_began(host, left):
    done(host, {"fs.aio-max-nr": 99999})
    if left == "file":
        (host.folder / "proc/sys/fs/aio-max-nr").write_text("65536\n")
    else:
        (host.folder / "etc/sysctl.d/zz-pidhygiene.conf").unlink()
    assert done(host, {"fs.aio-max-nr": 99999}).changed
    assert now(host, "fs.aio-max-nr") == 99999 and (host.folder / "etc/sysctl.d/zz-pidhygiene.conf").exists()


def test_a_value_that_the_kernel_does_not_take_is_undone_in_the_file(host):
    path = host.folder / "proc/sys/fs/aio-max-nr"
    path.rename(path.with_name("real"))
    path.symlink_to("real")  # which is read, and not written
    with pytest.raises(Failed) as error:
        done(host, {"fs.aio-max-nr": 99999})
    assert error.value.state == OLD and "the kernel refuses fs.aio-max-nr" in str(error.value)
    assert not any((host.folder / "etc/sysctl.d").iterdir())


def test_a_value_that_the_kernel_changes_is_no_success(host, monkeypatch):
    monkeypatch.setattr(sysctl.PutSetting, "_write", lambda step, value: None)
    with pytest.raises(Failed, match="the kernel made 65536 of fs.aio-max-nr = 99999"):
        done(host, {"fs.aio-max-nr": 99999})


@pytest.mark.parametrize("path", ["/etc/sysctl.conf", "{etc}/zzz.conf", "/usr/lib/sysctl.d/zzz.conf"])
def test_a_later_file_that_says_otherwise_is_named(host, path):
    folder = host.folder / "etc/sysctl.d"
    if path.startswith("{etc}"):
        (folder / "zzz.conf").write_text("fs/aio-max-nr = 5\n")
        with pytest.raises(Refused, match="zzz.conf sets fs.aio-max-nr to 5"):
            done(host, {"fs.aio-max-nr": 99999})
        (folder / "zzz.conf").write_text("fs/aio-max-nr = 99999\n")
    else:
        host.file(path, "fs.aio-max-nr=5\n")
        assert "%s sets fs.aio-max-nr to 5" % path in refused(host, {"fs.aio-max-nr": 99999})
        host.file(path, "fs.aio-max-nr=99999\n")
    assert done(host, {"fs.aio-max-nr": 99999}).changed  # the same value: nobody is overruled


def test_an_earlier_file_is_overruled_and_counts_again_when_ours_is_gone(host):
    host.file("/usr/lib/sysctl.d/50-vendor.conf", "fs.aio-max-nr = 70000\n")
    done(host, {"fs.aio-max-nr": 99999})
    done(host, state="absent")
    assert now(host, "fs.aio-max-nr") == 70000


def test_what_cannot_be_read_and_comes_later_is_refused(host):
    host.file("/usr/lib/sysctl.d/zzz.conf", "").forbid("/usr/lib/sysctl.d/zzz.conf")
    assert "cannot be read" in refused(host, {"fs.aio-max-nr": 99999})


@pytest.mark.parametrize("values, words", [
    ({"kernel.pid_max": 0}, "out of bounds: 301 to 4194304"),
    ({"kernel.pid_max": 4194305}, "out of bounds"),
    ({"kernel.pid_max": True}, "whole number"),
    ({"kernel.pid_max": -5}, "whole number"),
    ({"kernel.pid_max": "32768 # x"}, "whole number"),
    ({"kernel.pid_max": "\u0663\u0663\u0663\u0663"}, "whole number"),
    ({"kernel.pid_max": "9" * 40}, "whole number"),
    ({"kernel.panic\nkernel.pid_max": 1}, "known are"),
    ({"fs.nr_open": 65536}, "out of bounds"),
    ({"kernel.keys.root_maxkeys": 500}, "this kernel has no kernel.keys.root_maxkeys"),
    ({"fs.inotify.max_user_watches": 5}, "may be raised only"),
    ({"kernel.threads-max": 200000}, "needs more memory"),  # 16,384,000 KiB: 128,000
    ({}, "nothing to set"),
])
def test_refused(host, values, words):
    assert words in refused(host, values)


def test_twice_of_what_is_used_must_be_left(host):
    host.file("/proc/loadavg", "0 0 0 1/1000 5\n").file("/proc/sys/kernel/threads-max", "100000\n")
    host.links["/proc/self/ns/pid"] = "pid:[4026531836]"
    assert "1000 tasks of the machine are in use, and 2000 is the least" in refused(host, {"kernel.threads-max": 1999})
    assert "1000 process numbers are in use, and 2300 is the least" in refused(host, {"kernel.pid_max": 2299})
    assert done(host, {"kernel.threads-max": 2000, "kernel.pid_max": 2300}).changed


@pytest.mark.parametrize("least, outcome", [(1999, False), (2000, True)])
def test_maps_are_counted_of_whoever_could_have_half_of_what_shall_be(host, least, outcome):
    host.process(700, 1, "java", vsize=100_000_000).file("/proc/700/maps", "x\n" * 1000)
    if outcome:
        assert done(host, {"vm.max_map_count": least}).changed
    else:
        assert "1000 memory maps of one process are in use" in refused(host, {"vm.max_map_count": least})


def test_going_back_is_refused_where_it_leaves_too_little(host):
    (host.folder / "proc/sys/kernel/threads-max").write_text("1500\n")
    done(host, {"kernel.threads-max": 5000})
    host.file("/proc/loadavg", "0 0 0 1/1000 5\n")
    with pytest.raises(Refused, match="leaves too little"):
        done(host, state="absent")
    assert now(host, "kernel.threads-max") == 5000


def test_32_bit(host):
    host.word_bits = 32
    (host.folder / "proc/sys/kernel/pid_max").write_text("4096\n")
    assert "32 bits" in refused(host, {"kernel.pid_max": 32769})
    assert done(host, {"kernel.pid_max": 32768}).changed


def test_a_container_is_told_where_to_set_it(host, monkeypatch):
    monkeypatch.setattr(kernel_limits.os, "access", lambda path, mode: False)
    assert "set it on the host" in refused(host, {"fs.aio-max-nr": 99999})


def test_notes_only_when_something_changed(host):
    assert "daemon-reload" in done(host, {"kernel.pid_max": 4000000}).notes[0]
    assert not done(host, {"kernel.pid_max": 4000000}).notes


def test_foreign_lines_of_our_file_survive():
    lines = content("kernel.panic = 10\n; x\n# before: kernel.pid_max = 5\nkernel.pid_max = 7\n")
    assert content(text_of(lines)) == lines
    assert text_of(content("")) is None


@pytest.mark.parametrize("name", sorted(KEYS))
def test_every_bound_is_taken(name):
    for value in (KEYS[name].low, str(KEYS[name].high)):
        assert settings({"values": {name: value}, "state": "present"}) == {name: int(value)}
