"""Salt's beacon on a simulated minion: the configuration, the events, and what it remembers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.remedies import relief
from pidhygiene.watch_news import Outcome
from simulated import SimulatedHost

BEACON = Path(__file__).resolve().parents[2] / "salt_modules/_beacons/pidhygiene.py"
UNIT, GROUP = "backup.service", "/system.slice/backup.service"
CONFIG = [{"units": [UNIT]}, {"interval": 10}, {"_beacon_name": "pidhygiene"}]


class Log:
    """In place of Salt's, which speaks on after pytest has closed its ears."""

    def __init__(self) -> None:
        self.text = ""

    def error(self, text: str, *values: Any) -> None:
        self.text += text % values + "\n"

    warning = error


def loaded(cache: Path) -> Any:
    """The adapter as Salt's loader makes it, with what Salt puts into it."""
    spec = importlib.util.spec_from_file_location("beacon_under_test", BEACON)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(__context__={}, __opts__={"cachedir": str(cache), "id": "web1"})
    return module


@pytest.fixture
def host() -> SimulatedHost:
    return SimulatedHost().unit(UNIT, ControlGroup=GROUP, TasksMax=100).group(GROUP, 100, 50)


@pytest.fixture
def adapter(host: SimulatedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = loaded(tmp_path)
    monkeypatch.setattr(module, "LiveHost", lambda deadline_s: host)
    module.log = Log()
    return module


def test_events_of_salt(adapter: Any, host: SimulatedHost) -> None:
    assert adapter.__virtual__() == "pidhygiene"
    assert adapter.beacon(CONFIG) == []
    host.group(GROUP, 100, 97)
    (event,) = adapter.beacon(CONFIG)
    assert event["tag"] == "reached" and event["finding"]["rule"] == "PH-SYS-004" and event["relief"] is None
    json.dumps(event)
    assert adapter.beacon(CONFIG) == []
    host.group(GROUP, 100, 40)
    assert [event["tag"] for event in adapter.beacon(CONFIG)] == ["over"]


def test_relief_only_where_it_is_allowed(adapter: Any, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = []
    monkeypatch.setattr(relief, "of", lambda host, level, given: allowed.append(given) or Outcome("done", "as asked"))
    host.group(GROUP, 100, 97)
    (event,) = adapter.beacon([*CONFIG, {"relief": {"tasks_max": True}}])
    assert event["relief"]["state"] == "done" and [tuple(each) for each in allowed] == [(True, False, ())]


def test_off_by_default_touches_nothing(adapter: Any, host: SimulatedHost, tmp_path: Path) -> None:
    host.group(GROUP, 100, 100)
    (event,) = adapter.beacon(CONFIG)
    assert event["relief"] is None
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == ["beacon.json"]


def test_a_new_loader_and_a_new_boot(adapter: Any, host: SimulatedHost, tmp_path: Path) -> None:
    """Salt loads its beacons anew at each refresh of the pillar."""
    host.group(GROUP, 100, 97)
    assert len(adapter.beacon(CONFIG)) == 1
    assert (tmp_path / "pidhygiene/beacon.json").stat().st_mode & 0o077 == 0
    adapter.__context__.clear()
    assert adapter.beacon(CONFIG) == []
    host.file("/proc/sys/kernel/random/boot_id", "another\n")
    adapter.__context__.clear()
    assert len(adapter.beacon(CONFIG)) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"boot_id": "3a9c4a5e-0000-4000-8000-000000000001", "told": 3}', "\0"])
def test_a_broken_memory_is_none(adapter: Any, host: SimulatedHost, tmp_path: Path, text: str) -> None:
    (tmp_path / "pidhygiene").mkdir()
    (tmp_path / "pidhygiene/beacon.json").write_text(text)
    host.group(GROUP, 100, 97)
    assert len(adapter.beacon(CONFIG)) == 1


def test_a_cache_that_cannot_be_written_costs_no_event(adapter: Any, host: SimulatedHost, tmp_path: Path) -> None:
    (tmp_path / "pidhygiene").write_text("a file where a folder should be")
    host.group(GROUP, 100, 97)
    assert len(adapter.beacon(CONFIG)) == 1 and "could not be kept" in adapter.log.text
    assert adapter.beacon(CONFIG) == []


def test_what_is_not_seen_is_logged_once(adapter: Any, host: SimulatedHost) -> None:
    host.remove("/proc/loadavg")
    for _pass in range(3):
        assert adapter.beacon(CONFIG) == []
    assert adapter.log.text.count("not seen: /proc/loadavg") == 1
    host.tasks(100)
    for _pass in range(3):
        adapter.beacon(CONFIG)
    assert adapter.log.text.count("all is seen again") == 1


def test_validate(adapter: Any) -> None:
    assert adapter.validate(CONFIG) == (True, "Valid beacon configuration")
    valid, why = adapter.validate([{"units": ["backup"]}, {"treshold": 80}])
    assert not valid and "treshold is no setting" in why and "with their type" in why
    assert adapter.beacon([{"units": 3}]) == [] and "units must be a list" in adapter.log.text


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3) | st.floats(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
    st.sampled_from(["units", "relief", "interval"]), inner, max_size=2), max_leaves=5))
def test_validate_never_raises(tmp_path_factory: pytest.TempPathFactory, config: Any) -> None:
    valid, why = VALIDATE(config)
    assert isinstance(valid, bool) and isinstance(why, str) and why


VALIDATE = loaded(Path("/nonexistent")).validate


@pytest.mark.parametrize("layout", ["utils", "_utils"])
def test_it_finds_the_engine_and_not_itself(layout: str, tmp_path: Path) -> None:
    """Salt's loader of beacons puts the beacon's own folder on the path, where the beacon has the engine's name, and no utils."""
    folder = tmp_path / layout.replace("utils", "beacons")
    folder.mkdir()
    (folder / "pidhygiene.py").write_bytes(BEACON.read_bytes())
    (tmp_path / layout).symlink_to(BEACON.parents[1] / "_utils")
    script = ("import importlib.util, sys; sys.path.append(sys.argv[1]); before = list(sys.path)\n"
              "spec = importlib.util.spec_from_file_location('salt.loaded.ext.beacons.pidhygiene', sys.argv[1] + '/pidhygiene.py')\n"
              "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
              "assert sys.path == before, sys.path\n"
              "print(module.__virtual__(), module.pidhygiene.__file__)")
    said = subprocess.run([sys.executable, "-I", "-B", "-c", script, str(folder)], capture_output=True, text=True)
    assert said.stdout.split()[:1] == ["pidhygiene"] and "utils/pidhygiene/__init__.py" in said.stdout, said.stdout + said.stderr
