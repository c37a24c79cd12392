# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where text of hosts is made fit for a format. The page's template and JSON escape by themselves; what they do not do is here."""

from __future__ import annotations

import json
import re
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def seen(text: Any) -> str:
    """Control, format and broken characters as escapes: nothing that drives a terminal or turns text."""
    return _UNSEEN.sub(lambda found: "\\u%04x" % ord(found.group()), str(text))


def line(text: Any, most: int = 0) -> str:
    """In one line, cut when long."""
    found = " ".join(seen(text).split())
    return found[: most - 1] + "…" if most and len(found) > most else found


def cell(value: Any) -> Any:
    """Of CSV: what a spreadsheet would compute becomes text, by an apostrophe before it."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = str(value)
    formula = text.lstrip(" \u00a0\u3000\n").startswith(FORMULA) or text.startswith(FORMULA)
    text = seen(text)
    return "'" + text if formula else text


def xml(text: Any) -> str:
    """Characters that XML 1.0 cannot hold, as escapes; markup is left to the writer of XML."""
    return _NOT_IN_XML.sub(lambda found: "\\u%04x" % ord(found.group()), str(text))


def label(text: Any) -> str:
    """Value of a label of Prometheus."""
    return seen(text).replace("\\", "\\\\").replace('"', '\\"')


def dumped(value: Any) -> str:
    """JSON in ASCII, also safe inside a page: no <, no line separators, no broken characters."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str).replace("<", "\\u003c")
