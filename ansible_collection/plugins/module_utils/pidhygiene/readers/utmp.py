# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is logged in as /run/utmp has it (utmp(5), struct utmp): what pam_limits counts for maxlogins where it does not ask logind."""

import struct
from typing import Iterator, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

PATH = "/run/utmp"
FILE_LIMIT = 4 * 1024 * 1024  # bytes: some ten thousand entries
USER_PROCESS = 7
# Size of a record to where its time stands: 32 bits of it (x86, ppc, s390, arm), or 64 (arm64, riscv, mips64: glibc bits/utmp.h)
_TIMES = {384: (340, "=i"), 400: (344, "=q")}
_PID, _LINE, _USER, _HOST = 4, slice(8, 40), slice(44, 76), slice(76, 332)


class Login(NamedTuple):
    user: str
    line: str  # as pts/3
    pid: int
    since: float  # seconds since the epoch, by the clock of that moment


class Utmp(NamedTuple):
    logins: Tuple[Login, ...]
    gaps: Tuple[Gap, ...]


def read(host: Host) -> Utmp:
    """Empty where there is no such file, as on newer releases. Never raises."""
    try:
        data = host.read(PATH, FILE_LIMIT)
    except Missing:
        return Utmp((), ())
    except HostError as error:
        return Utmp((), (Gap(PATH, error.reason),))
    size = _size_of_record(data)
    if not size:
        return Utmp((), (Gap(PATH, "not in the form of this kind of machine"),))
    return Utmp(tuple(_logins(data, size)), ())


def _size_of_record(data: bytes) -> int:
    """0: none of the known; every type is a small number."""
    return next((size for size in sorted(_TIMES) if len(data) % size == 0 and all(
        0 <= struct.unpack_from("=h", data, start)[0] <= 9 for start in range(0, len(data), size))), 0)


def without_hosts(data: bytes) -> bytes:
    """Where people came from is nothing to us."""
    size = _size_of_record(data)
    return b"".join(data[at:at + _HOST.start] + bytes(_HOST.stop - _HOST.start) + data[at + _HOST.stop:at + size]
                    for at in range(0, len(data), size)) if size else b""


def _logins(data: bytes, size: int) -> Iterator[Login]:
    place, form = _TIMES[size]
    for start in range(0, len(data), size):
        record = data[start:start + size]
        user = _text(record[_USER])
        if struct.unpack_from("=h", record)[0] == USER_PROCESS and user:
            yield Login(user, _text(record[_LINE]), struct.unpack_from("=i", record, _PID)[0], float(struct.unpack_from(form, record, place)[0]))


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")
