"""Linux-PAM as its authors release it: libpam and pam_limits, built once from Debian's source package without Debian's patches.

It is built inside a tree of the lab and put into a layer over it, under OWN, so that it runs with that tree's C library. It reads the
same /etc/pam.d and /etc/security as the tree's own PAM.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from .mirror import debian_mirror
from .tree import Tree, with_packages

OWN = "/opt/pam"
LIBRARY = OWN + "/lib/libpam.so.0"
MODULE = OWN + "/lib/security/pam_limits.so"
PACKAGES = Path(__file__).with_name("pam-apt-packages.txt").read_text().split()

# $1 = lowerdir, $2 = layer to make, $3 = folder for the rest of the overlay, $4 = mirror, $5 = suite, $6 = prefix
_BUILD = r"""
set -eu
mkdir -p "$2" "$3/scratch" "$3/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3/scratch" "$3/root"
cd "$3/root"
mount -t proc proc proc
mount --bind /dev dev
mount -t tmpfs tmpfs tmp
cat /etc/resolv.conf > tmp/resolv.conf
touch etc/resolv.conf
mount --bind tmp/resolv.conf etc/resolv.conf
mkdir -p tmp/lists/partial tmp/source
echo "deb-src $4 $5 main" > tmp/sources.list
apt="apt-get -q -o Dir::Etc::sourcelist=/tmp/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=/tmp/lists"
chroot . $apt update
chroot . sh -c "cd /tmp/source && $apt --download-only source pam"
cd tmp/source
tar --strip-components=1 -xf pam_*.orig.tar.xz
cd ../..
chroot . sh -ec "cd /tmp/source
  ./configure --quiet --prefix=$6 --libdir=$6/lib --sysconfdir=/etc --disable-doc --disable-nls --disable-audit --disable-selinux \
    --disable-db --disable-nis --disable-econf
  make -s -C libpam install
  make -s -C modules/pam_limits SCONFIGDIR=/etc/security securelib_LTLIBRARIES=pam_limits.la install-securelibLTLIBRARIES"
"""


class PamNotBuilt(Exception):
    """The text ends with the last lines of the build."""


def upstream_pam(below: Tree) -> Tree:
    """Return the tree with upstream's PAM under OWN, made now (half a minute, once) if the lab has none yet."""
    builder = with_packages(below, PACKAGES)
    layer = builder.layers[0].with_name(f"{builder.name}-pam-{hashlib.sha256(_BUILD.encode()).hexdigest()[:10]}")
    if not (layer / MODULE.lstrip("/")).exists():
        unfinished = layer.with_name(layer.name + ".unfinished")
        work = layer.with_name(layer.name + ".work")
        subprocess.run(["rm", "-rf", unfinished, work, layer], check=True)
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BUILD, "build",
                   ":".join(map(str, builder.layers)), unfinished, work, debian_mirror(), below.suite, OWN]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        subprocess.run(["rm", "-rf", work], check=True)
        if done.returncode or not (unfinished / MODULE.lstrip("/")).exists():
            raise PamNotBuilt(done.stdout[-2000:])
        unfinished.rename(layer)
    return Tree(below.suite, (layer, *below.layers))
