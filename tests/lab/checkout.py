"""This checkout as somebody else would have it: with what is not committed yet, without what git ignores, links as links."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def copy(place: Path, *paths: str) -> None:
    """Its files, or those below these paths, into a folder, which is made where it is not there."""
    place.mkdir(exist_ok=True)
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *paths], cwd=REPOSITORY, capture_output=True, check=True).stdout
    packed = subprocess.run(["tar", "--create", "--null", "--files-from=-", "--ignore-failed-read"], cwd=REPOSITORY, input=names, capture_output=True, check=True).stdout
    subprocess.run(["tar", "--extract", "--directory", place], input=packed, check=True)


def publish(place: Path) -> None:
    """A repository of one commit on main, as a server would have it."""
    copy(place)
    git = ["git", "-C", place, "-c", "user.name=lab", "-c", "user.email=lab@example.org"]
    for step in (["init", "--quiet", "--initial-branch", "main"], ["add", "--all"], ["commit", "--quiet", "--message", "now"]):
        subprocess.run([*git, *step], check=True)
