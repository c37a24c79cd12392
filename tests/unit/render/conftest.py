import copy
import pathlib
import sys

import pytest

PLUGIN_UTILS = pathlib.Path(__file__).resolve().parents[3] / "ansible_collection" / "plugins" / "plugin_utils"
if str(PLUGIN_UTILS) not in sys.path:
    sys.path.insert(0, str(PLUGIN_UTILS))

from pidhygiene.audit import audit  # noqa: E402
from simulated import SimulatedHost  # noqa: E402


def finding(rule="PH-ZMB-001", status="fail", severity="HIGH", **changed):
    """One finding as document.py writes it."""
    return dict({
        "rule": rule, "title": "Persistent zombies", "status": status, "severity": severity, "subject": {"type": "process", "id": "beremote (8102)"},
        "message": "beremote (8102) holds 18,094 zombies; restart VRTSralus.service.", "evidence": [{"source": "/proc/8102/stat", "value": "S"}],
        "binding": None, "confidence": "high", "remedy": None, "references": [], "waiver": None, "fingerprint": "0123456789abcdef",
    }, **changed)


@pytest.fixture
def result():
    """Makes the result of a healthy simulated host, with these findings in place of its own."""
    healthy = audit(SimulatedHost())

    def make(*findings, **changed):
        return {**copy.deepcopy(healthy), "findings": list(findings), **changed}
    return make


@pytest.fixture
def a_finding():
    return finding
