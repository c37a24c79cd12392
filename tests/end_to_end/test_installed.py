"""The pip package: built from what git knows, installed somewhere, used without the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from doors import BIN, REPOSITORY, Run, succeeded


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it."""
    place = tmp_path_factory.mktemp("wheel")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.rstrip("\0").split("\0")
    for name in names:
        if name.startswith("tests/") or not (REPOSITORY / name).exists():
            continue
        (place / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, place / "source" / name, follow_symlinks=False)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    for step in (["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", place, place / "source"],
                 ["install", "--no-deps", "--no-index", "--find-links", place, "--target", place / "site", "pidhygiene"]):
        done = subprocess.run([*pip, *step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return place / "site"


def test_the_command_line(run: Run, installed: Path) -> None:
    done = succeeded(run(installed / "bin/pidhygiene", "check", "--format", "json", "--fail-on", "never", PYTHONPATH=str(installed)))
    assert json.loads(done.stdout)["audit"]["errors"] == []


def test_the_pages_of_the_rules(run: Run, installed: Path) -> None:
    rules = json.loads(succeeded(run(installed / "bin/pidhygiene", "rules", "list", "--format", "json", PYTHONPATH=str(installed))).stdout)
    shown = json.loads(succeeded(run(installed / "bin/pidhygiene", "rules", "show", "*", "--format", "json", PYTHONPATH=str(installed))).stdout)
    assert [each["rule"] for each in shown] == [each["rule"] for each in rules] and len(rules) >= 75
    for each in shown:
        assert each["page"] == (REPOSITORY / "docs" / "rules" / (each["rule"] + ".md")).read_text(encoding="utf-8")
    text = succeeded(run(installed / "bin/pidhygiene", "rules", "show", "PH-ZMB-001", PYTHONPATH=str(installed))).stdout
    assert "How to fix it" in text and "\x1b" not in text


def test_it_needs_no_other_package(run: Run, installed: Path) -> None:
    """Neither at run time nor by its metadata: minions stay clean."""
    done = succeeded(run("/usr/bin/python3", "-S", "-m", "pidhygiene", "check", "--format", "json", "--fail-on", "never", PYTHONPATH=str(installed)))
    assert json.loads(done.stdout)["schema"] == "pidhygiene.result/1"
    (metadata,) = installed.glob("pidhygiene-*.dist-info/METADATA")
    required = [line for line in metadata.read_text().splitlines() if line.startswith("Requires-Dist:")]
    assert required and all("extra ==" in line for line in required)


def test_the_report_of_results_that_the_command_line_wrote(run: Run, installed: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    done = succeeded(run(installed / "bin/pidhygiene", "check", "--format", "json", "--fail-on", "never", PYTHONPATH=str(installed)))
    for name in ("a", "b"):
        (tmp_path / "results" / (name + ".json")).write_text(done.stdout)
    report = succeeded(run(sys.executable, "-m", "pidhygiene.controller", "report", "results", "-o", "page.html", PYTHONPATH=str(installed)))
    assert "2 targeted · 2 audited" in report.stdout
    assert "<h1>" in (tmp_path / "page.html").read_text()


def test_a_plan_from_what_the_command_line_wrote(run: Run, installed: Path, tmp_path: Path) -> None:
    """By the main command; a result of its own, a folder, one host twice, no result at all, and a host without the operator's part."""
    found = succeeded(run(installed / "bin/pidhygiene", "check", "--format", "json", "--fail-on", "never", PYTHONPATH=str(installed))).stdout
    remedy = {"state": "kernel_limits", "parameters": {"values": {"kernel.pid_max": 65536}}, "disruptive": False}
    result = dict(json.loads(found), findings=[dict(rule="PH-PID-003", title="t", status="warn", severity="MED", subject={"type": "host", "id": "x"}, message="m",
                                                    evidence=[], fingerprint="f", waiver=None, remedy=remedy)])
    name = result["host"]["name"]
    (tmp_path / "r.json").write_text(json.dumps(result))
    done = succeeded(run(installed / "bin/pidhygiene", "plan", "r.json", "-o", "plan.yml", "--ticket", "T-1", "--reboot-at", "+30", PYTHONPATH=str(installed)))
    assert f"{name}: 1 step, 0 findings left to people" in done.stdout and "Plan: plan.yml" in done.stdout
    written = yaml.safe_load((tmp_path / "plan.yml").read_text())
    assert written["ticket"] == "T-1" and written["hosts"][name]["steps"][0]["parameters"] == remedy["parameters"]
    (tmp_path / "report" / "results").mkdir(parents=True)
    (tmp_path / "report" / "results" / "web%2F1.json").write_text(json.dumps(result))
    for places in (["report"], ["report/results/web%2F1.json"]):
        assert list(yaml.safe_load(succeeded(run(installed / "bin/pidhygiene", "plan", *places, PYTHONPATH=str(installed))).stdout)["hosts"]) == ["web/1"]
    for arguments, words in ((["r.json", "r.json"], "second result"), (["plan.yml"], "is no result"), (["r.json", "--host", "b*"], "no result of b*")):
        refused = run(installed / "bin/pidhygiene", "plan", *arguments, PYTHONPATH=str(installed))
        assert refused.returncode == 1 and words in refused.stderr and "Traceback" not in refused.stderr, refused
    bare = run("/usr/bin/python3", "-S", "-m", "pidhygiene", "plan", "r.json", PYTHONPATH=str(installed))
    assert bare.returncode == 1 and "pip install 'pidhygiene[controller]'" in bare.stderr and "Traceback" not in bare.stderr


@pytest.mark.parametrize("arguments, status", [(["report", "/nonexistent"], 1), (["report"], 1), (["reprot", "x"], 2), ([], 2)])
def test_wrong_use_of_the_report(run: Run, installed: Path, arguments: list[str], status: int) -> None:
    done = run(sys.executable, "-m", "pidhygiene.controller", *arguments, PYTHONPATH=str(installed))
    assert done.returncode == status
    assert done.stderr and "Traceback" not in done.stderr


def test_the_gate_of_the_report(run: Run, installed: Path, tmp_path: Path) -> None:
    done = succeeded(run(installed / "bin/pidhygiene", "check", "--format", "json", "--fail-on", "never", PYTHONPATH=str(installed)))
    result = json.loads(done.stdout)
    result["findings"] = [dict(rule="PH-ZMB-001", title="t", status="warn", severity="MED", subject={}, message="m", evidence=[], fingerprint="f", waiver=None)]
    (tmp_path / "a.json").write_text(json.dumps(result))
    statuses = [run(sys.executable, "-m", "pidhygiene.controller", "report", ".", "--fail-on", fail_on, PYTHONPATH=str(installed)).returncode
                for fail_on in ("never", "fail", "warn", "unknown")]
    assert statuses == [0, 0, 100, 100]


def test_the_salt_extension(run: Run, installed: Path, tmp_path: Path) -> None:
    """The entry point alone, nothing synchronised."""
    (tmp_path / "minion").write_text("root_dir: %s\n" % tmp_path)
    done = succeeded(run(BIN / "salt-call", "--local", "--config-dir", tmp_path, "--out", "json", "--log-level", "error", "pidhygiene.check",
                         PYTHONPATH=str(installed)))
    assert json.loads(done.stdout)["local"]["errors"] == []
