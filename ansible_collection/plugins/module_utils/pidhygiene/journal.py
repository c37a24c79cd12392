# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal through libsystemd's reader (sd-journal(3)), without a child process: always with a match, bounded in entries and time.

The library is opened by its name, because ctypes.util.find_library starts processes.
"""

import ctypes
import time
from typing import Any, Dict, List, Sequence

from .answers import Denied, JournalPage, Missing, Unreadable

LIBRARY = "libsystemd.so.0"
LOCAL_ONLY = 1  # SD_JOURNAL_LOCAL_ONLY
FIELDS = ("MESSAGE", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_PID")
FIELD_LIMIT = 4096  # bytes of one field
LOOK_FOR_S = 0.5  # and never beyond the audit's deadline


def entries(matches: Sequence[str], contains: Sequence[str], since: float, limit: int, deadline: float) -> JournalPage:
    """Newest first, as host.Host.journal. ``matches`` are alternatives. Errors: Missing (no library, no journal), Denied, Unreadable."""
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError:
        raise Missing(LIBRARY, "libsystemd is not installed")
    journal = ctypes.c_void_p()
    _check(library.sd_journal_open(ctypes.byref(journal), LOCAL_ONLY))
    try:
        for index, match in enumerate(matches):
            if index:
                _check(library.sd_journal_add_disjunction(journal))
            data = match.encode("utf-8")
            _check(library.sd_journal_add_match(journal, data, ctypes.c_size_t(len(data))))
        _check(library.sd_journal_seek_tail(journal))
        return _page(library, journal, [text.lower().encode("utf-8") for text in contains], since, limit, deadline)
    finally:
        library.sd_journal_close(journal)


def _page(library: Any, journal: Any, contains: Sequence[bytes], since: float, limit: int, deadline: float) -> JournalPage:
    found: List[Dict[str, str]] = []
    looked_at = 0
    stop = min(deadline, time.monotonic() + LOOK_FOR_S)
    moment = ctypes.c_uint64()
    while looked_at < limit and time.monotonic() < stop:
        moved = library.sd_journal_previous(journal)
        _check(moved)
        if moved == 0:
            # No entry at all can also mean that this user may see none: the caller knows whether it is root.
            return JournalPage(tuple(found), looked_at, True)
        if library.sd_journal_get_realtime_usec(journal, ctypes.byref(moment)) < 0:
            continue
        if moment.value < since * 1e6:
            return JournalPage(tuple(found), looked_at, True)
        looked_at += 1
        message = _field(library, journal, "MESSAGE")
        if any(text in message.lower() for text in contains):
            entry = {name: _field(library, journal, name).decode("utf-8", "replace") for name in FIELDS}
            entry["at"] = "%.3f" % (moment.value / 1e6)
            found.append(entry)
    return JournalPage(tuple(found), looked_at, False)


def _field(library: Any, journal: Any, name: str) -> bytes:
    data = ctypes.c_void_p()
    size = ctypes.c_size_t()
    if library.sd_journal_get_data(journal, name.encode("ascii"), ctypes.byref(data), ctypes.byref(size)) < 0 or not data.value:
        return b""
    return ctypes.string_at(data.value, min(size.value, FIELD_LIMIT + len(name) + 1))[len(name) + 1:]


def _check(code: int) -> None:
    if code >= 0:
        return
    if code in (-1, -13):  # EPERM, EACCES
        raise Denied("journal", "permission denied")
    if code == -2:
        raise Missing("journal", "there is no journal")
    raise Unreadable("journal", "the journal could not be read (error %d)" % -code)
