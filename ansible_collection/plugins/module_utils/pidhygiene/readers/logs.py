# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last day's log for the readers that look for a few messages in it: the journal, else text logs, else a gap."""

import time
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple

DAY_S = 86400.0
LOOKED_AT = 3000  # journal entries
TAIL = 512 * 1024  # bytes of a text log

_SYSLOG_TIME = pattern(r"^(?:([A-Z][a-z]{2}) +(\d{1,2}) \d\d:\d\d:\d\d|(\d{4})-(\d\d)-(\d\d)T)")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Log(NamedTuple):
    entries: Optional[Tuple[Dict[str, str], ...]]  # of the journal, as host.JournalPage; None where the text logs serve
    complete: bool  # whether the whole day was looked through
    lines: Tuple[Tuple[str, Tuple[str, ...]], ...]  # (text log, its lines of the last day), those that could be read
    gaps: Tuple[Gap, ...]


def read(host: Host, matches: Sequence[str], contains: Sequence[str], text_logs: Sequence[str]) -> Log:
    """Text logs tell local time without a zone: lines of today and yesterday count, a day wider is better than a day missed. Never raises."""
    now = host.clock().wall
    try:
        page = host.journal(matches, contains, now - DAY_S, LOOKED_AT)
    except HostError as error:
        journal = Gap("journal", error.reason)
    else:
        return Log(page.entries, page.complete, (), ())
    gaps: List[Gap] = []
    lines = tuple(_texts(host, text_logs, {time.gmtime(now + offset)[1:3] for offset in (-DAY_S, -DAY_S / 2, 0, DAY_S / 2)}, gaps))
    if not lines and not gaps:
        gaps.append(journal)
    return Log(None, True, lines, tuple(gaps))


def _texts(host: Host, paths: Sequence[str], days: Set[Tuple[int, ...]], gaps: List[Gap]) -> Iterator[Tuple[str, Tuple[str, ...]]]:
    for path in paths:
        try:
            text = host.read_tail(path, TAIL).decode("utf-8", "replace")
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(path, error.reason))
            continue
        yield path, tuple(line for line in text.splitlines() if day_of(line) in days)


def day_of(line: str) -> Optional[Tuple[int, int]]:
    """(month, day) of a syslog line, RFC 3164 or ISO."""
    found = _SYSLOG_TIME.match(line)
    if not found:
        return None
    if found.group(1):
        return (_MONTHS.index(found.group(1)) + 1, int(found.group(2))) if found.group(1) in _MONTHS else None
    return int(found.group(4)), int(found.group(5))
