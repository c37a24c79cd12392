import pathlib
import sys

PLACE = pathlib.Path(__file__).resolve().parent
if str(PLACE) not in sys.path:
    sys.path.insert(0, str(PLACE))

import copy  # noqa: E402

import pytest  # noqa: E402
from pidhygiene.audit import audit  # noqa: E402
from simulated import SimulatedHost  # noqa: E402


@pytest.fixture(scope="session")
def mould():
    """Makes whole results of a healthy host, with these findings in place of its own."""
    healthy = audit(SimulatedHost())

    def make(name, findings, **changed):
        return {**copy.deepcopy(healthy), "host": {**healthy["host"], "name": name}, "findings": list(findings), **changed}
    return make
