"""List the benchmarks, or run some of them: python -m benchmarks [NAME ... | all]."""

from __future__ import annotations

import sys
from types import ModuleType

from tests.lab.place import LabUnavailable

from . import (
    ansible_per_host,
    check_against_needrestart,
    fleet_report,
    fleet_store,
    forecast_backtest,
    forks,
    result_size,
    shipped_source,
    zombies_against_ps,
)
from .measuring import Note, line

BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        check_against_needrestart, zombies_against_ps, forks, shipped_source, result_size, ansible_per_host, fleet_store, fleet_report, forecast_backtest)
}


def main(names: list[str]) -> int:
    if not names or names[0] in ("-h", "--help"):
        for name, module in BENCHMARKS.items():
            print(f"{name}\n    {_about(module)}")
        return 0
    wanted = list(BENCHMARKS) if names == ["all"] else names
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        print(f"benchmarks: there is no {', '.join(unknown)}; python -m benchmarks lists them", file=sys.stderr)
        return 2
    held = [_run(name, BENCHMARKS[name]) for name in wanted]
    return 0 if all(held) else 1


def _run(name: str, module: ModuleType) -> bool:
    """Whether every number is held."""
    print(f"{name}: {_about(module)}", flush=True)
    held = True
    try:
        for finding in module.measure():
            print("    " + (finding.text if isinstance(finding, Note) else line(finding)), flush=True)
            held = held and (isinstance(finding, Note) or finding.held)
    except LabUnavailable as error:
        print(f"    not measured, no lab on this machine: {error}", flush=True)
        return False
    return held


def _about(module: ModuleType) -> str:
    return " ".join((module.__doc__ or "").split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
