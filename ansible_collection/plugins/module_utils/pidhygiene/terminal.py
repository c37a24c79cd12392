# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result for a tired person at a terminal: the worst first, one sentence each, what to do, nothing else.

Colour only where the terminal has it and NO_COLOR is not set. Text from hosts was made harmless when the document was built.
"""

import os
import textwrap
from typing import Any, Dict, List, Match, Sequence, TextIO

from .columns import columns
from .document import in_force
from .model import UNLIMITED
from .pattern import pattern

_COLOURS = {"fail": "1;31", "warn": "33", "unknown": "35", "info": "36", "pass": "32", "faint": "2", "bold": "1"}


class Style(object):
    def __init__(self, colour: bool, width: int) -> None:
        self.colour = colour
        self.width = max(60, min(width, 120))

    def paint(self, text: str, name: str) -> str:
        code = _COLOURS.get(name)
        return "\x1b[%sm%s\x1b[0m" % (code, text) if self.colour and code else text

    def wrap(self, text: str, indent: int, mark: str = "") -> List[str]:
        """``mark`` stands before the text, at the end of the indent of its first line."""
        pad = " " * indent
        return textwrap.wrap(text, self.width, initial_indent=mark.rjust(indent), subsequent_indent=pad, break_long_words=False, break_on_hyphens=False)


def style_for(stream: TextIO) -> Style:
    """See no-color.org; TERM=dumb has no colour either."""
    colour = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM", "") != "dumb"
    return Style(colour, columns())


def render(result: Dict[str, Any], style: Style, details: bool = False) -> str:
    """The whole text, ending in a newline. ``details`` shows information findings and every line of evidence."""
    host, audit = result["host"], result["audit"]
    lines = [style.paint(host["name"] or "this host", "bold") + "  " + style.paint(_about(result), "faint"), ""]
    shown = [finding for finding in result["findings"] if details or finding["status"] in ("fail", "warn", "unknown")]
    shown.sort(key=lambda finding: (not in_force(finding), ("fail", "warn", "unknown", "info").index(finding["status"])))
    for alike in _alike(shown):
        lines.extend(_unjudged(alike, style, details) if len(alike) > 1 else _finding(alike[0], style, details))
    if not shown:
        lines.extend([style.paint("No deviation found.", "pass"), ""])
    lines.extend(_summary(result, style, details))
    for error in audit["errors"]:
        lines.append(style.paint("internal error: ", "fail") + error)
    return "\n".join(lines) + "\n"


def _about(result: Dict[str, Any]) -> str:
    host, audit = result["host"], result["audit"]
    tasks = result["measures"].get("tasks")
    parts = [
        " ".join(each for each in (host["distro"]["id"], host["distro"]["version"]) if each), "kernel " + host["kernel"],
        "%s tasks" % tasks if tasks is not None else "", "%d rules in %.2f s" % (len(result["rules"]), audit["duration_s"]),
    ]
    if audit["visibility"] != "full":
        parts.append("partial view: run as root to see everything")
    return " · ".join(part for part in parts if part)


def _finding(finding: Dict[str, Any], style: Style, details: bool) -> List[str]:
    head = "%-7s %-4s  %s  %s" % (finding["status"].upper(), finding["severity"], finding["rule"], finding["subject"]["id"])
    waived = ""
    if finding["waiver"]:
        word = "waiver expired" if finding["waiver"]["expired"] else "waived"
        waived = "  (%s %s, %s)" % (word, finding["waiver"]["expires"], finding["waiver"]["owner"])
    lines = [style.paint(head, finding["status"]) + waived]
    lines.extend(style.wrap(finding["message"], 4))
    evidence = finding["evidence"] if details else finding["evidence"][:3]
    for seen in evidence:
        lines.extend(style.paint(line, "faint") for line in style.wrap("%s: %s" % (seen["source"], seen["value"]), 8))
    if finding["status"] != "unknown":
        lines.append(style.paint("        pidhygiene explain %s" % finding["rule"], "faint"))
    lines.append("")
    return lines


def _alike(findings: List[Dict[str, Any]]) -> List[List[Dict[str, Any]]]:
    """What several rules could not judge for one reason, together; every other finding alone."""
    groups: Dict[Any, List[Dict[str, Any]]] = {}
    for number, finding in enumerate(findings):
        together = finding["status"] == "unknown" and not finding["waiver"]
        groups.setdefault(finding["subject"]["id"] if together else number, []).append(finding)
    return list(groups.values())


def _unjudged(findings: List[Dict[str, Any]], style: Style, details: bool) -> List[str]:
    """What several rules could not judge for one reason, told once."""
    reason = findings[0]["subject"]["id"]
    lines = [style.paint("%-7s %-4s  %d rules  %s" % ("UNKNOWN", findings[0]["severity"], len(findings), reason), "unknown")]
    lines.extend(style.wrap("Could not be judged: %s." % ", ".join("%s (%s)" % (each["title"], each["rule"]) for each in findings), 4))
    seen = sorted({"%s: %s" % (line["source"], line["value"]) for each in findings for line in each["evidence"]})
    for text in seen if details else seen[:3]:
        lines.extend(style.paint(line, "faint") for line in style.wrap(text, 8))
    return lines + [""]


def _summary(result: Dict[str, Any], style: Style, details: bool) -> List[str]:
    counts = result["summary"]["rules_by_status"]
    words = [style.paint("%d %s" % (counts[name], name), name) for name in ("fail", "warn", "unknown", "info", "pass", "n/a") if counts.get(name)]
    lines = ["Rules: " + " · ".join(words)]
    if result["summary"]["waived"]:
        lines.append("Waived: %d" % result["summary"]["waived"])
    first = next_refusal(result)
    if first:
        lines.append("Nearest limit: " + first)
    if not details and any(finding["status"] == "info" for finding in result["findings"]):
        lines.append(style.paint("Information is left out; --details shows it.", "faint"))
    return lines


def next_refusal(result: Dict[str, Any]) -> str:
    """The fullest of all budgets that were measured, in words."""
    measures = result["measures"]
    rows = list(measures.get("budgets", {}).values()) + list(measures.get("groups", []))
    rows.extend(dict(row["binding"], holder=row["binding"]["holder"]) for row in measures.get("users", []) if row.get("binding"))
    rows = [row for row in rows if row["limit"] > 0]
    if not rows:
        return ""
    fullest = max(rows, key=lambda row: (row["used"] / float(row["limit"]), row["holder"]))
    share = 100.0 * fullest["used"] / fullest["limit"]
    return "%s of %s, %d of %d (%.1f %%)" % (fullest["kind"], fullest["holder"], fullest["used"], fullest["limit"], share)


def table(rows: Sequence[Sequence[str]], style: Style) -> List[str]:
    """Columns, left-aligned; the last one is wrapped."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        head = "  ".join(cell.ljust(width) for cell, width in zip(row[:-1], widths))
        room = max(20, style.width - len(head) - 2)
        wrapped = textwrap.wrap(row[-1], room) or [""]
        lines.append(head + "  " + wrapped[0])
        lines.extend(" " * (len(head) + 2) + more for more in wrapped[1:])
    return lines


def explanation(answer: Any, style: Style) -> str:
    """A chain that reads from top to bottom in the order in which the kernel asks."""
    lines = [style.paint(answer.subject, "bold")]
    for sentence in answer.about:
        lines.extend(style.wrap(sentence, 2))
    if answer.chain:
        lines.extend(["", "What the next fork is checked against, in this order:"])
        full = min(answer.chain, key=lambda step: step.maximum - step.used)
        for step in answer.chain:
            share = 100.0 * step.used / step.maximum if step.maximum else 100.0
            mark = "→" if step is full else " "
            lines.append("  %s %s" % (mark, style.paint("%s: %d of %d (%.1f %%)" % (step.limit, step.used, step.maximum, share),
                                                        "warn" if share >= 80 else "")))
            lines.extend(style.paint(line, "faint") for line in style.wrap("%s; %s" % (step.origin, step.source), 6))
    if answer.limits:
        lines.extend(["", "Limits it runs with (soft:hard):"])
        rows = [["  " + each.item, "%s:%s" % (_amount(each.soft), _amount(each.hard)), each.origin] for each in answer.limits]
        lines.extend(table(rows, style))
    if answer.ways:
        lines.append("")
        for way in answer.ways:
            lines.extend(style.wrap("%s: %s; %s" % (style.paint("helps", "pass") if way.works else style.paint("does not help", "warn"), way.what, way.why), 2))
    if answer.verdict:
        lines.extend([""] + style.wrap(answer.verdict, 0))
    for unseen in answer.unseen:
        lines.extend(style.paint(line, "unknown") for line in style.wrap("Not known: " + unseen, 0))
    return "\n".join(lines) + "\n"


def page(text: str, style: Style) -> str:
    """The page of a rule. Of Markdown, pages have headings, paragraphs, lists, blocks of code and links (tests/unit/test_pages.py)."""
    lines: List[str] = []
    paragraph: List[str] = []
    code = False
    for line in text.splitlines() + [""]:
        fence = line.startswith("```")
        if paragraph and (fence or not line or line.startswith("- ")):
            lines.extend(_paragraph(" ".join(paragraph), style))
            paragraph = []
        if fence:
            code = not code
        elif code:
            lines.append(("    " + line).rstrip())
        elif line:
            paragraph.append(line.strip())
        else:
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _paragraph(text: str, style: Style) -> List[str]:
    text = _LINK.sub(_address, text).replace("**", "")
    if text.startswith("#"):
        return [style.paint(text.lstrip("# "), "bold")]
    return style.wrap(text[2:], 2, "- ") if text.startswith("- ") else style.wrap(text, 0)


_LINK = pattern(r"\[([^\]]+)\]\(([^)\s]+)\)")


def _address(link: Match[str]) -> str:
    """Another page goes by the name of its rule; what is elsewhere keeps its address."""
    return "%s (%s)" % link.groups() if "://" in link.group(2) else link.group(1)


def _amount(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)
