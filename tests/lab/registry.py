"""The record of every running host, from which another process finds it, and takes it down when its owner died."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .addresses import MOST_HOSTS
from .cgroups import HostGroups
from .owner import Owner
from .place import lab_folder, locked

# Where all labs of this machine, whatever their folder, agree on the numbers of hosts: a file per number holds the folder of its host.
NUMBERS = Path("/run/pidhygiene-lab")


@dataclass(frozen=True)
class Record:
    """What is known of a host from the moment it is made: enough to reach it and to take it away.

    number is unique on this machine as long as the host's folder is there; identity is so for ever.
    """

    identity: str
    kind: str
    name: str
    suite: str
    layers: tuple[str, ...]
    layout: str
    number: int
    owner: Owner

    @property
    def folder(self) -> Path:
        return lab_folder() / "hosts" / self.identity

    @property
    def link(self) -> str:
        """Return the name of this machine's end of the host's link; 15 characters are the most the kernel allows."""
        return f"ph{self.identity}"

    @property
    def groups(self) -> HostGroups:
        return HostGroups(self.identity, self.layout)


def register(kind: str, name: str, suite: str, layers: tuple[Path, ...], layout: str, owner: Owner) -> Record:
    """Give a new host its identity, number and folder; the folder appears together with its record, never without."""
    hosts = lab_folder() / "hosts"
    hosts.mkdir(exist_ok=True)
    with locked(NUMBERS / "lock"):
        identity = secrets.token_hex(4)
        record = Record(identity, kind, name, suite, tuple(map(str, layers)), layout, _free_number(), owner)
        unfinished = hosts / f".{identity}"
        unfinished.mkdir(mode=0o755)
        (unfinished / "record.json").write_text(json.dumps(asdict(record)))
        unfinished.rename(record.folder)
        (NUMBERS / str(record.number)).write_text(str(record.folder))
    return record


def records() -> list[Record]:
    """Return the hosts of this lab, by number, those of dead owners included."""
    found = []
    for path in (lab_folder() / "hosts").glob("[!.]*/record.json"):
        try:
            fields = json.loads(path.read_text())
        except FileNotFoundError:
            continue  # taken down since the folder was listed
        found.append(Record(**{**fields, "layers": tuple(fields["layers"]), "owner": Owner(**fields["owner"])}))
    return sorted(found, key=lambda record: record.number)


def remove(record: Record) -> None:
    """Take a host away: its processes first, and with them its namespaces and mounts; then its link and groups; at last its folder."""
    with _one_at_a_time(record):
        if not record.folder.exists():
            return
        groups = record.groups
        groups.kill()
        # The kernel takes the link away with the namespace of its other end, but some time later.
        subprocess.run(["ip", "link", "delete", record.link], stderr=subprocess.DEVNULL, check=False)
        groups.remove()
        shutil.rmtree(record.folder)


def sweep() -> list[Record]:
    """Remove the hosts whose owner is dead and return their records."""
    dead = [record for record in records() if not record.owner.alive()]
    for record in dead:
        remove(record)
    return dead


@contextmanager
def _one_at_a_time(record: Record) -> Iterator[None]:
    with locked(record.folder.parent / ".lock"):
        yield


def _free_number() -> int:
    for number in range(1, MOST_HOSTS):
        claim = NUMBERS / str(number)
        if not claim.exists() or not Path(claim.read_text()).exists():
            return number
    raise OverflowError(f"{MOST_HOSTS} hosts run already")
