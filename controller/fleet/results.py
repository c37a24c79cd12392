# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results on disk as hosts of a fleet: report folders of audit.yml, folders of results, single files. One is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pidhygiene.model import STATUSES

from ..render import folder
from .causes import is_waived, rank
from .judging import mapping, moment, rows, text
from .model import AUDITED, FleetHost


class NoResults(Exception):
    """Nothing to compare. The text says what to do."""


def read(places: Sequence[Path]) -> Iterator[FleetHost]:
    """Of several places the last that names a host counts for it; sorted by name. Errors: OSError, NoResults."""
    files: dict[str, tuple[Path, bool]] = {}
    for place in places:
        if place.is_dir():
            known = (folder.run(place) or {"hosts": {}})["hosts"]
            for entry in folder.entries(place):
                files[entry.host] = (place, True)
            for name in known:
                files.setdefault(folder.harmless(name), (place, True))
        else:
            place.stat()  # a missing file is told by its name
            files[_one(place).name] = (place, False)
    if not files:
        raise NoResults("%s holds no result: run audit.yml first, or pidhygiene check --format json" % ", ".join(map(str, places)))
    for name, (place, is_folder) in sorted(files.items()):
        yield _of_folder(place, name) if is_folder else _one(place)


def _of_folder(place: Path, name: str) -> FleetHost:
    entry = folder.entry(place, name)
    if entry is None and (place / folder.file_name(name)).is_file():
        return _one(place / folder.file_name(name), name)
    if entry is None:
        return FleetHost(name, folder.NOT_RECORDED, message="the run targeted it and recorded nothing", next_step="audit it again")
    return of_document(entry.document, name)


def _one(path: Path, name: str = "") -> FleetHost:
    try:
        return of_document(folder.harmless(folder.load(path)), name)
    except folder.NotAResult as error:
        return FleetHost(name or path.stem, folder.FAILED, message="%s: %s" % (path, error), next_step="audit the host again")


def of_document(document: Mapping[str, Any], name: str = "") -> FleetHost:
    """``name``: by which the host was audited; else its own. ``document``: a result or an attempt, made harmless."""
    if document.get("schema") == folder.ATTEMPT:
        return FleetHost(name or text(document.get("host")), text(document.get("outcome")), received=moment(document.get("at")),
                         message=text(document.get("message")), next_step=text(document.get("next_step")))
    host = mapping(document.get("host"))
    audit = mapping(document.get("audit"))
    findings = tuple(rows(document.get("findings")))
    tags = host.get("tags")
    return FleetHost(
        name or text(host.get("name")), AUDITED, at=moment(audit.get("started_at")),
        status=max((text(each.get("status")) for each in findings if not is_waived(each)), key=lambda status: rank(STATUSES, status), default="pass"),
        groups=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        host=host, audit=audit, facts=mapping(document.get("facts")), measures=mapping(document.get("measures")), findings=findings,
        rules={text(row.get("rule")): text(row.get("status")) for row in rows(document.get("rules"))})
