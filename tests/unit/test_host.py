"""LiveHost on real files: what it reads, what it refuses, and that a foreign root stays closed."""

import os
import socket
import time

import pytest
from pidhygiene import host as hosts
from pidhygiene.host import Denied, LiveHost, Missing, OutOfTime, Unsafe

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def image(tmp_path):
    """A tree with links that lead out of it, were they followed by the kernel."""
    for folder in ("etc/sub", "usr/share"):
        (tmp_path / "image" / folder).mkdir(parents=True)
    (tmp_path / "secret").write_text("secret of the machine")
    (tmp_path / "image/secret").write_text("secret of the image")
    (tmp_path / "image/etc/plain").write_text("plain")
    for name, target in (("absolute", "/secret"), ("climbing", "../../../../../secret"), ("relative", "plain"), ("up", "sub/../plain"),
                         ("dangling", "nothing"), ("loop1", "loop2"), ("loop2", "loop1"), ("folder", "/etc/sub")):
        (tmp_path / "image/etc" / name).symlink_to(target)
    (tmp_path / "image/etc/sub/deep").write_text("deep")
    return LiveHost(str(tmp_path / "image"))


@pytest.mark.parametrize("path, content", [
    ("/etc/plain", b"plain"), ("/etc/relative", b"plain"), ("/etc/up", b"plain"), ("/etc/absolute", b"secret of the image"),
    ("/etc/climbing", b"secret of the image"), ("/../../etc/plain", b"plain"), ("/etc/folder/deep", b"deep"), ("//etc//./plain", b"plain"),
])
def test_links_of_a_foreign_root_stay_inside(image, path, content):
    assert image.read(path) == content


@pytest.mark.parametrize("path, error", [
    ("/etc/dangling", Missing), ("/etc/none", Missing), ("/etc/plain/below", Missing), ("/etc/loop1", Unsafe), ("/etc", Unsafe)])
def test_what_cannot_be_read_says_why(image, path, error):
    with pytest.raises(error):
        image.read(path)


def test_a_foreign_root_is_listed_followed_and_looked_at(image):
    assert image.list("/etc/folder") == ["deep"]
    assert image.readlink("/etc/absolute") == "/secret"
    assert image.stat("/etc/absolute").kind == "file"
    assert image.stat("/etc/absolute", follow=False).kind == "link"
    assert image.exists("/etc/plain") and not image.exists("/etc/none")
    with pytest.raises(Missing):
        image.manager_properties(["Version"])


def test_the_root_of_a_process_is_a_root_of_its_own():
    own = LiveHost()
    assert own.read("/etc/passwd", root="/proc/self/root") == own.read("/etc/passwd")


def test_nothing_blocks(tmp_path):
    own = LiveHost()
    os.mkfifo(str(tmp_path / "fifo"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    started = time.monotonic()
    for name in ("fifo", "socket"):
        with pytest.raises(Unsafe, match="not a regular file"):
            own.read(str(tmp_path / name))
        with pytest.raises(Unsafe, match="not a regular file"):
            LiveHost(str(tmp_path)).read("/" + name)
    with pytest.raises(Unsafe):
        own.read("/dev/zero")
    listener.close()
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("own_pid", [False, True])
def test_a_program_on_a_server_is_not_asked_about(own_pid, monkeypatch):
    """stat(2) of /proc/PID/exe waits for a server that has gone, with no path looked up (tests/lab/test_hung_mount.py shows it live)."""
    program = os.path.realpath("/proc/self/exe")
    monkeypatch.setattr(hosts, "_remote_mount_points", lambda table, prefix: [os.path.dirname(program)])
    own = LiveHost()
    path = "/proc/%s/exe" % (os.getpid() if own_pid else "self")
    assert own.readlink(path) == program
    for look in (own.stat, own.read):
        with pytest.raises(Unsafe, match="on a remote file system"):
            look(path)
    monkeypatch.setattr(hosts, "_remote_mount_points", lambda table, prefix: [program[:-1]])  # the same beginning, another folder
    assert LiveHost().stat(path).kind == "file"
    with pytest.raises(Missing):
        LiveHost().stat("/proc/999999999/exe")


@pytest.mark.parametrize("kind, served", [("fuse", True), ("fuse.sshfs", True), ("fuseblk", True), ("nfs4", True), ("fusectl", False), ("ext4", False)])
def test_file_systems_with_a_server(kind, served):
    assert hosts.has_server(kind) is served


def test_giants_are_refused(tmp_path):
    (tmp_path / "giant").write_bytes(b"#" * 200_000)
    own = LiveHost()
    assert len(own.read(str(tmp_path / "giant"))) == 200_000
    with pytest.raises(Unsafe, match="larger than 100000 bytes"):
        own.read(str(tmp_path / "giant"), limit=100_000)
    assert own.read_tail(str(tmp_path / "giant"), 100) == b"", "no whole line in it"
    (tmp_path / "log").write_bytes(b"first\nsecond\nthird\n")
    assert own.read_tail(str(tmp_path / "log"), 10) == b"third\n"
    assert own.read_tail(str(tmp_path / "log"), 1000) == b"first\nsecond\nthird\n"


@ROOT_ONLY
def test_permissions_are_told(tmp_path):
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            try:
                LiveHost().read("/etc/shadow")
            except Denied as error:
                os._exit(0 if error.reason == "permission denied" else 2)
            os._exit(1)
        finally:
            os._exit(3)
    assert os.waitpid(child, 0)[1] == 0


def test_the_deadline_covers_every_primitive(tmp_path):
    late = LiveHost(deadline_s=-1)
    for ask in (lambda: late.read("/etc/passwd"), lambda: late.list("/proc"), lambda: late.readlink("/proc/self"), lambda: late.stat("/etc"),
                lambda: late.namespace_owner("/proc/self/ns/user"), lambda: late.look_again_after(0.1), lambda: late.read_tail("/etc/passwd", 10)):
        with pytest.raises(OutOfTime):
            ask()


def test_surrogates_survive(tmp_path):
    (tmp_path / "bytes").write_bytes(b"caf\xe9\n")
    assert LiveHost().read_text(str(tmp_path / "bytes")) == "caf\udce9\n"


MOUNTINFO = """\
21 1 0:20 / / rw - ext4 /dev/vda rw
22 21 0:21 / /proc rw - proc proc rw
23 22 0:22 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
24 21 0:23 / /mnt/nfs rw shared:5 - nfs4 server:/export rw
25 21 0:24 / /mnt/with\\040blank rw - cifs //server/share rw
26 21 0:25 / /home rw - fuse.sshfs server: rw
27 21 0:26 / /srv rw - xfs /dev/vdb rw
broken line
"""


def test_remote_mounts_are_told_apart(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTINFO)
    assert hosts._remote_mount_points(str(table), "") == ["/mnt/nfs", "/mnt/with blank", "/home"]
    assert hosts._remote_mount_points(str(table), "/mnt") == ["/nfs", "/with blank"]
    assert hosts._remote_mount_points(str(tmp_path / "none"), "") == []


def test_remote_mounts_are_never_touched(tmp_path, monkeypatch):
    """Not even through a link that leads there."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "mnt/nfs").mkdir(parents=True)
    (tmp_path / "mnt/nfs/file").write_text("x")
    (tmp_path / "etc/link").symlink_to("/mnt/nfs/file")
    monkeypatch.setattr(hosts, "_remote_mount_points", lambda table, prefix: ["/mnt/nfs"])
    image = LiveHost(str(tmp_path))
    for path in ("/mnt/nfs/file", "/etc/link"):
        with pytest.raises(Unsafe, match="on a remote file system"):
            image.read(path)
    assert image.list("/etc") == ["link"]
    own = LiveHost()
    monkeypatch.setattr(own, "_remote_mounts", {"/": [str(tmp_path / "mnt")]})
    with pytest.raises(Unsafe, match="on a remote file system"):
        own.read(str(tmp_path / "mnt/nfs/file"))
    assert own.read("/etc/passwd")


def test_no_descriptor_is_left(image):
    before = len(os.listdir("/proc/self/fd"))
    for path in ("/etc/plain", "/etc/loop1", "/etc/none", "/etc/folder/deep"):
        for ask in (image.read, image.list, image.readlink, image.stat):
            try:
                ask(path)
            except hosts.HostError:
                pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_machine_clock_and_effort():
    own = LiveHost()
    assert own.machine().ticks_per_second == os.sysconf("SC_CLK_TCK") and own.machine().own_pid == os.getpid()
    assert own.clock() == own.clock(), "the same all through one sample"
    first = own.clock()
    own.look_again_after(0.01)
    assert own.clock().boot > first.boot
    assert own.effort().max_rss_kib > 1000
