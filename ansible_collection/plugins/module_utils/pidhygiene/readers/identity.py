# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What should be this host's alone, as hashes: two hosts with one of them are clones (PH-FLT-004)."""

from typing import Dict, List, Tuple

from ..digest import sha256
from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

SSH = "/etc/ssh"


class Identity(NamedTuple):
    ssh_host_keys: Dict[str, str]  # file name of the public key to a digest of the key
    salt_minion_id: str  # empty: no minion, or it names itself after the host
    gaps: Tuple[Gap, ...]


def read(host: Host) -> Identity:
    """Never raises. Only public keys are read."""
    gaps: List[Gap] = []
    keys: Dict[str, str] = {}
    for name in _names(host, gaps):
        if name.startswith("ssh_host_") and name.endswith("_key.pub"):
            fields = _text(host, "%s/%s" % (SSH, name), gaps).split()
            if len(fields) >= 2:  # type, key, comment: the comment names a machine, perhaps another one
                keys[name] = sha256(fields[1].encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Identity(keys, _text(host, "/etc/salt/minion_id", gaps).strip(), tuple(gaps))


def _names(host: Host, gaps: List[Gap]) -> List[str]:
    try:
        return host.list(SSH)
    except Missing:
        return []
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        return []


def _text(host: Host, path: str, gaps: List[Gap]) -> str:
    try:
        return host.read_text(path, 16384)
    except Missing:
        return ""
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        return ""
