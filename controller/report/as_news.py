# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""news: what changed since the run before, for a journal; nothing when nothing did."""

from __future__ import annotations

from . import news, wording
from .safe import line
from .view import Report
from .writer import Format, Writer

MOST_LINES = 200
WIDTH = 300


def lines(report: Report) -> list[str]:
    """In lines that no text of a host can break; none when there is no news."""
    found = news.digest(report)
    if not found:
        return []
    head = ["%s, %s: %s." % (report.title, report.run.name, wording.verdict(report)), " · ".join(words for words, _strong in wording.scope(report))]
    left = ["… and %d more lines; the report has them all." % (len(found) - MOST_LINES)] if len(found) > MOST_LINES else []
    return [_indent(each) + line(each, WIDTH) for each in (*head, *found[:MOST_LINES], *left)]


def _indent(text: str) -> str:
    return " " * (len(text) - len(text.lstrip(" ")))


class News(Writer):
    def finish(self, report: Report) -> None:
        self.write("".join(each + "\n" for each in lines(report)))


FORMAT = Format("news", News, tells=True)
