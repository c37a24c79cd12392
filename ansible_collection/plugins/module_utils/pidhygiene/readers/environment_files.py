# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assignments of one variable in files that give programs their environment. Nothing else of them leaves this file.

Shell files are not run: a value that is computed there ($(…), `…`, $NAME) is told as such, not guessed.
"""

import re
from typing import Iterator, List, Optional, Tuple

from ..pattern import pattern
from ..record import NamedTuple


class Assignment(NamedTuple):
    line: int
    value: Optional[str]  # None: computed when the file is run
    exported: bool


_SHELL = r"^[ \t]*((?:export|typeset[ \t]+-x|declare[ \t]+-x)[ \t]+)?%s=(.*)$"
_LATER_EXPORT = r"\bexport[ \t]+[^\n;#]*\b%s\b"
_UNIT = pattern(r"^Environment[ \t]*=(.*)$")
_PAM = r"^[ \t]*%s[ \t]+(.*)$"


def shell(text: str, name: str) -> List[Assignment]:
    """A shell file, /etc/environment, /etc/default/*, an EnvironmentFile=: NAME=value at the start of a line, the last one counts."""
    if name not in text:
        return []
    found = []
    pattern = re.compile(_SHELL % name)
    exported_later = re.search(_LATER_EXPORT % name, text, re.MULTILINE) is not None
    for number, line in enumerate(text.split("\n"), 1):
        match = pattern.match(line.rstrip("\r"))
        if match:
            value, rest = first_word(match.group(2))
            if match.group(1) or not rest or rest[0] in ";&#":  # else it is set for one command only: TZ=UTC date
                found.append(Assignment(number, value, bool(match.group(1)) or exported_later))
    return found


def first_word(text: str) -> Tuple[Optional[str], str]:
    """The first word of a shell assignment without its quotes (None when the shell would compute it), and what stands behind it."""
    value, quote, escaped = [], "", False
    for at, char in enumerate(text):
        if escaped:
            value.append(char)
            escaped = False
        elif quote == "'":
            if char == "'":
                quote = ""
            else:
                value.append(char)
        elif char == "\\":
            escaped = True
        elif char in "$`":
            return None, ""
        elif quote:
            if char == '"':
                quote = ""
            else:
                value.append(char)
        elif char in "'\"":
            quote = char
        elif char in " \t;&|" or char == "#" and not value:
            return "".join(value), text[at:].strip()
        else:
            value.append(char)
    return "".join(value), ""


def unit(text: str, name: str) -> Tuple[List[Assignment], List[str]]:
    """NAME in Environment= lines of a unit file or drop-in, and the paths of its EnvironmentFile= lines."""
    found, files = [], []
    for number, line in _logical_lines(text):
        match = _UNIT.match(line)
        if match:
            for word in _words(match.group(1)):
                if word.startswith(name + "="):
                    found.append(Assignment(number, word[len(name) + 1:], True))
        elif re.match(r"EnvironmentFile[ \t]*=", line):
            path = line.split("=", 1)[1].strip().lstrip("-")
            if path.startswith("/") and not re.search(r"[*?\[%]", path):
                files.append(path)
    return found, files


def pam_env(text: str, name: str) -> List[Assignment]:
    """pam_env.conf(5): NAME DEFAULT=value OVERRIDE=value."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(_PAM % name, line)
        if match:
            fields = dict(field.split("=", 1) for field in _words(match.group(1)) if "=" in field)
            value = fields.get("OVERRIDE") or fields.get("DEFAULT")
            if value:
                found.append(Assignment(number, None if "${" in value or "@{" in value else value, True))
    return found


def process(environ: bytes, name: str) -> Optional[str]:
    """NAME in /proc/PID/environ; the first one counts, as for getenv(3)."""
    wanted = name.encode("ascii") + b"="
    if wanted not in environ:
        return None
    for variable in environ.split(b"\0"):
        if variable.startswith(wanted):
            return variable[len(wanted):].decode("utf-8", "surrogateescape")
    return None


def _logical_lines(text: str) -> Iterator[Tuple[int, str]]:
    """Lines with their continuations (a backslash at the end), comments dropped."""
    started = 0
    parts: List[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")):
            continue
        if not parts:
            started = number
        if stripped.endswith("\\"):
            parts.append(stripped[:-1])
            continue
        yield started, " ".join(parts + [stripped])
        parts = []
    if parts:
        yield started, " ".join(parts)


def _words(text: str) -> List[str]:
    """Words with quotes taken off, as systemd splits Environment=."""
    words: List[str] = []
    word: List[str] = []
    quote, inside = "", False
    for char in text:
        if quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "'\"":
            quote, inside = char, True
        elif char in " \t":
            if inside or word:
                words.append("".join(word))
            word, inside = [], False
        else:
            word.append(char)
    if inside or word:
        words.append("".join(word))
    return words
