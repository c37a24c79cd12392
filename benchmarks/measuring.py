"""What a benchmark finds, and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One run of a command, as stopwatch.py saw it."""

    wall_s: float
    cpu_s: float  # of the command and its children; not of a daemon that it asks
    max_rss_kib: int
    status: int


class Runs(NamedTuple):
    """All runs of one command."""

    name: str
    all: tuple[Run, ...]

    @property
    def wall_s(self) -> float:
        return statistics.median(run.wall_s for run in self.all)

    @property
    def cpu_s(self) -> float:
        return statistics.median(run.cpu_s for run in self.all)

    @property
    def max_rss_mib(self) -> float:
        return max(run.max_rss_kib for run in self.all) / 1024


class Number(NamedTuple):
    """One number and the most that it may be."""

    what: str
    value: float
    most: float
    unit: str  # "", "ms", "MB" ...

    @property
    def held(self) -> bool:
        return self.value <= self.most


class Note(NamedTuple):
    """A line to read beside the numbers."""

    text: str


Finding = Number | Note


def ratio(ours: Runs, theirs: Runs, most: float, less_s: float = 0.0) -> Number:
    """Of the medians of the time on the wall; less_s is what ours merely waited."""
    return Number(f"{ours.name} / {theirs.name}", (ours.wall_s - less_s) / theirs.wall_s, most, "times")


def table(runs: Sequence[Runs]) -> Iterator[Note]:
    """Medians and spread, a line for each command."""
    width = max(len(each.name) for each in runs)
    for each in runs:
        walls = sorted(run.wall_s for run in each.all)
        yield Note(
            f"{each.name:{width}}  {_ms(each.wall_s)} (from {_ms(walls[0])} to {_ms(walls[-1])}, {len(walls)} runs), "
            f"CPU {_ms(each.cpu_s)}, {each.max_rss_mib:5.1f} MB"
        )


def line(number: Number) -> str:
    said = "held" if number.held else "ABOVE"
    return f"{number.what}: {number.value:.2f} {number.unit}, at most {number.most:g}: {said}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:7.1f} ms"
