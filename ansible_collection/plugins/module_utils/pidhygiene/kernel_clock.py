# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel thinks of its own clock: adjtimex(2) with modes 0, which changes nothing and needs no privilege."""

from .answers import ClockState, Denied, Unreadable

STA_UNSYNC = 0x0040  # include/uapi/linux/timex.h
STA_NANO = 0x2000  # offset in nanoseconds
NAME = "adjtimex(2)"


def state() -> ClockState:
    """Errors: Denied (a seccomp filter), Unreadable."""
    try:
        import ctypes
    except ImportError:
        raise Unreadable(NAME, "this Python has no ctypes")

    class Moment(ctypes.Structure):
        _fields_ = [("seconds", ctypes.c_long), ("microseconds", ctypes.c_long)]

    class Timex(ctypes.Structure):
        _fields_ = [
            ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("constant", ctypes.c_long), ("precision", ctypes.c_long),
            ("tolerance", ctypes.c_long), ("time", Moment), ("tick", ctypes.c_long), ("ppsfreq", ctypes.c_long),
            ("jitter", ctypes.c_long), ("shift", ctypes.c_int), ("stabil", ctypes.c_long), ("jitcnt", ctypes.c_long),
            ("calcnt", ctypes.c_long), ("errcnt", ctypes.c_long), ("stbcnt", ctypes.c_long), ("tai", ctypes.c_int),
            ("reserved", ctypes.c_int * 32),  # the kernel's padding, and room to spare
        ]

    answer = Timex()
    answer.modes = 0
    library = ctypes.CDLL(None, use_errno=True)
    try:
        result = library.adjtimex(ctypes.byref(answer))
    except AttributeError:
        raise Unreadable(NAME, "this C library has no adjtimex")
    if result < 0:
        if ctypes.get_errno() in (1, 13):  # EPERM, EACCES
            raise Denied(NAME, "permission denied")
        raise Unreadable(NAME, "error %d" % ctypes.get_errno())
    offset = answer.offset // 1000 if answer.status & STA_NANO else answer.offset
    return ClockState(int(result), int(answer.status), int(offset), int(answer.maxerror))
