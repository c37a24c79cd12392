"""Pytest fixtures that lend real hosts to tests: a plugin, loaded by conftest.py beside it or by any other.

`bookworm` and `trixie` are shared by the whole session and must be left as they are; a test that changes a host asks for `new_host`.
A test with one of these fixtures carries the marker real_host.  Where the lab cannot run, such a test is skipped with the reason, or fails
if PIDHYGIENE_REQUIRE_LAB is 1, so that a continuous integration cannot pass without it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from .host import LabHost
from .machine import Machine
from .place import LabUnavailable
from .prerequisites import require_hosts, require_virtual_machine
from .registry import sweep
from .time_server import time_server
from .tree import Tree, base_trees, with_packages
from .virtual_machine import VirtualMachine

FIXTURES = frozenset({"lab_base", "bookworm", "trixie", "new_host", "new_module_host", "unified_machine"})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_host: needs root and boots real hosts (tests/lab)")


def pytest_itemcollected(item: pytest.Item) -> None:
    if FIXTURES.intersection(getattr(item, "fixturenames", ())):
        item.add_marker("real_host")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the consoles and journals of its hosts say under a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        for machine in _machines(item):
            report.sections.append((f"lab host {machine.name}", machine.diagnosis()))
    return report


class HostFactory:
    """Boots hosts of its own for a test; they go when the fixture does."""

    def __init__(self, trees: dict[str, Tree], stack: ExitStack) -> None:
        self._trees = trees
        self._stack = stack
        self.hosts: list[LabHost] = []

    def __call__(self, name: str | None = None, *, suite: str = "bookworm", layout: str | None = None, packages: tuple[str, ...] = ()) -> LabHost:
        """Boot one host; packages are Debian packages beyond those of the suite's tree (made once, then cached)."""
        tree = self._trees[suite]
        if packages:
            tree = with_packages(tree, packages)
        host = self._stack.enter_context(LabHost.boot(tree, name or f"{suite}{len(self.hosts) + 1}", layout=layout))
        self.hosts.append(host)
        return host

    def fleet(self, names: list[str], *, suite: str = "bookworm") -> list[LabHost]:
        """Boot several hosts side by side."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda name: self(name, suite=suite), names))


@pytest.fixture(scope="session")
def lab_base() -> dict[str, Tree]:
    """The trees, by suite; what dead runs left is removed first."""
    with _skipped_where_unavailable():
        require_hosts()
        sweep()
        return base_trees()


@pytest.fixture(scope="session")
def bookworm(lab_base: dict[str, Tree]) -> Iterator[LabHost]:
    """A Debian 12 host with real limits; shared, so look at it only."""
    with LabHost.boot(lab_base["bookworm"]) as host:
        yield host


@pytest.fixture(scope="session")
def trixie(lab_base: dict[str, Tree]) -> Iterator[LabHost]:
    """A Debian 13 host, with the unified hierarchy and systemd 257; shared, so look at it only."""
    with LabHost.boot(lab_base["trixie"]) as host:
        yield host


@pytest.fixture
def new_host(lab_base: dict[str, Tree]) -> Iterator[HostFactory]:
    """Boots hosts that the test may break."""
    with ExitStack() as stack:
        yield HostFactory(lab_base, stack)


@pytest.fixture(scope="module")
def new_module_host(lab_base: dict[str, Tree]) -> Iterator[HostFactory]:
    """Boots hosts that the tests of a module share and may change."""
    with ExitStack() as stack:
        yield HostFactory(lab_base, stack)


@pytest.fixture(scope="session")
def unified_machine(lab_base: dict[str, Tree]) -> Iterator[VirtualMachine]:
    """A Debian 12 virtual machine, with the unified hierarchy, all its controllers and a clock that is set; shared, so look at it only."""
    with _skipped_where_unavailable():
        require_virtual_machine()
    with VirtualMachine.boot() as machine, time_server(machine.gateway):
        machine.set_clock_by(machine.gateway)
        yield machine


@contextmanager
def _skipped_where_unavailable() -> Iterator[None]:
    try:
        yield
    except LabUnavailable as error:
        give_up: Callable[[str], None] = pytest.fail if os.environ.get("PIDHYGIENE_REQUIRE_LAB") == "1" else pytest.skip
        give_up(f"no lab on this machine: {error}")


def _machines(item: pytest.Item) -> Iterator[Machine]:
    for value in getattr(item, "funcargs", {}).values():
        if isinstance(value, Machine):
            yield value
        if isinstance(value, HostFactory):
            yield from value.hosts
