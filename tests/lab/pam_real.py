"""Real PAM sessions in a Debian tree: users, and the way in to pam_session.py."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from pidhygiene.host import LiveHost
from pidhygiene.readers import distribution, limits_conf, packages, users

from .tree import Tree

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/:/usr/sbin/nologin
alice:x:1001:1001::/home/alice:/bin/bash
Alice:x:1002:100::/home/Alice:/bin/bash
oracle:x:54321:54321::/home/oracle:/bin/bash
500:x:1500:100::/home/500:/bin/bash
lost:x:999:4242::/:/bin/sh
vast:x:3000000000:3000000000::/:/bin/sh
"""
GROUP = """\
root:x:0:
daemon:x:1:
users:x:100:alice
wheel:x:10:alice,root,oracle
devs:x:2000:alice,Alice
alice:x:1001:
oinstall:x:54321:
dba:x:54322:oracle
again:x:2000:500
vast:x:3000000000:
"""

# $1 = lowerdir, $2 = an empty folder, $3 = files to lay over /etc. Becomes the tree's python3, process 1 of its pid namespace.
ENTER = """
set -eu
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/scratch" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/scratch" "$2/root"
cp -r "$3/." "$2/root/etc"
cp "$4" "$2/root/pam_session.py"
cd "$2/root"
mount -t proc proc proc
mount --bind /dev dev
exec chroot . python3 -I /pam_session.py
"""


def real_sessions(tree: Tree, work: dict[str, object], folder: Path) -> list[dict[str, object]]:
    """What really happened; the first answer is about process 1."""
    etc, scratch = folder / "etc", folder / "scratch"
    scratch.mkdir(exist_ok=True)
    script = Path(__file__).with_name("pam_session.py")
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", ENTER, "enter",
               ":".join(map(str, tree.layers)), scratch, etc, script]
    done = subprocess.run(command, input=json.dumps(work), capture_output=True, text=True, timeout=300,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def local_users(folder: Path) -> users.Users:
    etc = folder / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\n")
    return users.read(LiveHost(root=str(folder)))


def flavour_of_tree(tree: Tree) -> limits_conf.Flavour:
    host = LiveHost(root=str(tree.layers[-1]))
    flavour = limits_conf.flavour_of(distribution.read(host), packages.read(host))
    assert flavour is not None
    return flavour
