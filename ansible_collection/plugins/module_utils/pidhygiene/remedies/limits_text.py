# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a file of pam_limits with one line put in, corrected or taken out; all other lines stay as they are, byte for byte. Pure.

In a file that is not our own, every line of ours has a comment above it, which says that it was added, or what stood there before: so it can be
taken out again, the old one comes back, and lines of others are never taken for ours.
"""

from typing import List, Optional, Tuple

from ..readers.limits_conf import Flavour, Line, parse
from ..record import NamedTuple

HEADER = "# Written by pidhygiene (pam_limits_line): change the remedy, not this file.\n"
INSTEAD_OF = "# pidhygiene, instead of: "
ADDED = "# pidhygiene, added:"
TAKEN_OUT = "# pidhygiene, taken out: "


class Wanted(NamedTuple):
    domain: str
    type: str
    item: str
    value: str

    @property
    def text(self) -> str:
        return " ".join(self)

    @property
    def key(self) -> Tuple[str, str, str]:
        return (self.domain, self.type, self.item)


def parsed(text: str, flavour: Flavour) -> Optional[Line]:
    """One line of text as pam_limits takes it; None for a comment and for what is more than one line."""
    lines = parse(text.encode("utf-8", "surrogateescape"), "", flavour)
    return lines[0] if len(lines) == 1 and "\n" not in text else None


def _split(text: Optional[str]) -> List[str]:
    lines = (text or "").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _joined(lines: List[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _is(line: str, key: Tuple[str, str, str], flavour: Flavour) -> bool:
    found = parsed(line, flavour)
    return found is not None and (found.domain, found.type, found.item) == key


def _reads(line: str, other: Optional[Line], flavour: Flavour) -> bool:
    """Whether pam_limits reads the two alike, blanks and comments apart."""
    found = parsed(line, flavour)
    return found is not None and other is not None and found.text == other.text


def put(text: Optional[str], wanted: Wanted, flavour: Flavour, own: bool) -> str:
    """The line stands in the text: instead of the last one for the same domain, type and item, or at the end. ``own``: the file is ours."""
    lines = _split(HEADER if text is None and own else text)
    places = [number for number, line in enumerate(lines) if _is(line, wanted.key, flavour)]
    if not places:
        lines.extend(([] if own else [ADDED]) + [wanted.text])
    elif text is not None and _reads(lines[places[-1]], parsed(wanted.text, flavour), flavour):
        return text
    else:
        last = places[-1]
        marked = own or (last > 0 and lines[last - 1].startswith((ADDED, INSTEAD_OF)))
        lines[last:last + 1] = ([] if marked else [INSTEAD_OF + lines[last]]) + [wanted.text]
    return _joined(lines)


def has(text: Optional[str], instead_of: str, flavour: Flavour) -> bool:
    other = parsed(instead_of, flavour)
    return any(_reads(line, other, flavour) for line in _split(text))


def replaced(text: Optional[str], instead_of: str, wanted: Wanted, flavour: Flavour) -> str:
    """Every line that reads as ``instead_of`` is a comment, and the new line follows the first of them."""
    other = parsed(instead_of, flavour)
    lines: List[str] = []
    done = False
    for line in _split(text):
        if not _reads(line, other, flavour):
            lines.append(line)
        elif done:
            lines.append(TAKEN_OUT + line)
        else:
            lines.extend((INSTEAD_OF + line, wanted.text))
            done = True
    return _joined(lines)


def taken_out(text: Optional[str], instead_of: str, flavour: Flavour) -> Optional[str]:
    """Every line that reads as ``instead_of`` is a comment."""
    if not has(text, instead_of, flavour):
        return text
    other = parsed(instead_of, flavour)
    return _joined([(TAKEN_OUT if _reads(line, other, flavour) else "") + line for line in _split(text)])


def without(text: Optional[str], key: Tuple[str, str, str], flavour: Flavour, own: bool) -> Optional[str]:
    """No line of ours for this domain, type and item; the one that it was put in for is back. None: nothing is left but our own header."""
    lines: List[str] = []
    changed = False
    for line in _split(text):
        above = lines[-1] if lines else ""
        if not _is(line, key, flavour) or not (own or above.startswith((ADDED, INSTEAD_OF))):
            lines.append(line)
            continue
        changed = True
        if above.startswith(INSTEAD_OF):
            lines[-1] = above[len(INSTEAD_OF):]
        elif above.startswith(ADDED):
            lines.pop()
    if not changed:
        return text
    left = _joined(lines)
    return None if left == HEADER else left
