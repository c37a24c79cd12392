# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one self-contained HTML page: no script, no other file, no network; light and dark, fit for print.

The template escapes everything (jinja2's autoescape). Documents of hosts are read one by one while the page is written.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2

from . import digest
from . import folder as folders
from .folder import AUDITED
from .overview import STATUSES, HostLine, Overview, in_force, rank

TEMPLATE = Path(__file__).with_name("page.html.j2")
MOST_DETAILED = 300  # hosts with their findings and evidence; beyond, a browser no longer enjoys the page
MOST_URGENT = 50


def write(overview: Overview, path: Path, title: str = "pidhygiene") -> Path:
    """Write the page, whole or not at all. Errors: OSError."""
    path = path.absolute()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".pidhygiene-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.writelines(parts(overview, title))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def parts(overview: Overview, title: str = "pidhygiene") -> Iterator[str]:
    """The page, piece by piece."""
    audited = [host for host in overview.ranked_hosts() if host.outcome == AUDITED]
    yield from _template().generate(
        title=title, overview=overview, scope=digest.scope(overview), verdict=digest.verdict(overview), statuses=STATUSES,
        urgent=overview.urgent[:MOST_URGENT], more_urgent=max(0, len(overview.urgent) - MOST_URGENT),
        detailed=audited[:MOST_DETAILED], rest=audited[MOST_DETAILED:], result_of=result_of, counts=_counts, in_force=in_force, parameters=_parameters)


@functools.cache
def _template() -> jinja2.Template:
    """Compiled once: that costs more than a small page."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def result_of(host: HostLine) -> dict[str, Any]:
    """The result of this audited host, its findings gravest first and waived ones last."""
    result: dict[str, Any] = folders.harmless(folders.load(host.path))
    result["findings"].sort(key=lambda finding: (not in_force(finding), rank(finding["status"], finding["severity"])))
    return result


def _counts(counts: dict[str, int]) -> str:
    return ", ".join("%d %s" % (counts[status], status) for status in STATUSES if counts.get(status))


def _parameters(remedy: dict[str, Any]) -> str:
    """A remedy in the words of the project: its state and what it would be given."""
    given = remedy.get("parameters") or {}
    words = ["%s=%s" % (name, given[name]) for name in sorted(given)] if isinstance(given, dict) else [str(given)]
    return " ".join([str(remedy.get("state", ""))] + words)
