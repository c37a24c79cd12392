# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything read from a host is hostile text: made harmless here before anyone sees it."""

import unicodedata

from .pattern import pattern

SHOWN_LIMIT = 200  # characters of one untrusted value in a finding

_SECRET = pattern(
    r"(?i)((?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key|credential|authorization|auth(?!or))[\w.-]*\s*[=:]\s*|"
    r"--?(?:pass(?:word|wd|phrase)?|secret|token|api[-_]?key|access[-_]?key)\s+)(\S+)"
)
_URL_SECRET = pattern(r"([a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+@")


def shown(text: str, limit: int = SHOWN_LIMIT) -> str:
    """Untrusted text, fit for a terminal, a log and a page: control, format and broken characters as escapes, cut when long."""
    if text.isalnum() and len(text) <= limit and _is_ascii(text):
        return text
    cut = text[: limit + 1]
    safe = "".join(char if _harmless(char) else _escape(char) for char in cut)
    if len(text) > limit or len(safe) > 4 * limit:
        return safe[:limit] + "…"
    return safe


def masked(arguments: str) -> str:
    """A command line without what looks like credentials."""
    return _URL_SECRET.sub(r"\1***@", _SECRET.sub(r"\1***", arguments))


def _is_ascii(text: str) -> bool:
    return all(ord(char) < 128 for char in text)


def _harmless(char: str) -> bool:
    code = ord(char)
    if 32 <= code < 127:
        return True
    # Cc control, Cf format (bidi overrides), Cs lone surrogates (bytes that were not UTF-8), Co private, Cn unassigned, Zl/Zp line breaks
    return code >= 160 and unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: one raw byte
        return "\\x%02x" % (code - 0xDC00)
    if code < 256:
        return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code, "\\x%02x" % code)
    return "\\u%04x" % code if code < 65536 else "\\U%08x" % code
