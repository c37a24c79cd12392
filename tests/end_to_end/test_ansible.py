"""ansible-playbook audit.yml as an operator starts it: this machine, other folders, the installed collection, hosts that do not answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from controller.store import Store
from doors import AUDIT, BIN, ENGINE, REPOSITORY, Run, inventory, local, result_of, succeeded

BUSY = {"processes": {"ignore": []}, "headroom": {"small_pid_max_warn": 0.0, "small_pid_max_fail": 0.0, "warn": 0.0, "fail": 0.0}}  # whatever runs is too much


def test_this_machine_without_an_inventory_from_another_folder(playbook: Run, tmp_path: Path) -> None:
    done = succeeded(playbook(AUDIT))
    result = result_of(tmp_path)
    assert result["schema"] == "pidhygiene.result/1" and result["audit"]["errors"] == []
    page = (tmp_path / "pidhygiene-report/report.html").read_text()
    assert "<h1>" in page and "localhost" in page
    assert "Page: %s" % (tmp_path / "pidhygiene-report/report.html") in done.stdout
    assert result["host"]["name"] in done.stdout and "Rules:" in done.stdout
    assert "changed=0" in done.stdout and "failed=0" in done.stdout


def test_from_the_folder_of_the_playbook(playbook: Run, tmp_path: Path) -> None:
    succeeded(playbook("audit.yml", "-e", "pidhygiene_report_dir=%s/elsewhere" % tmp_path, cwd=AUDIT.parent))
    assert (tmp_path / "elsewhere/report.html").exists()
    assert not (AUDIT.parent / "pidhygiene-report").exists()


def test_the_installed_collection_alone(run: Run, playbook: Run, tmp_path: Path) -> None:
    """Installed from a built tarball, and run by its full name: nothing of the checkout is needed."""
    copy = tmp_path / "source"
    names = subprocess.run(["git", "ls-files", "ansible_collection"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((REPOSITORY / name).read_bytes())
    succeeded(run(BIN / "ansible-galaxy", "collection", "build", "--output-path", tmp_path, copy / "ansible_collection"))
    (built,) = tmp_path.glob("pidhygiene-host-*.tar.gz")
    succeeded(run(BIN / "ansible-galaxy", "collection", "install", built, "-p", tmp_path / "collections"))
    succeeded(playbook("pidhygiene.host.audit", ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "collections")))
    assert result_of(tmp_path)["audit"]["errors"] == []
    assert (tmp_path / "pidhygiene-report/report.html").exists()


def test_the_second_audit_is_given_the_marks_of_the_first(playbook: Run, tmp_path: Path) -> None:
    def needing_history() -> int:
        return sum("marks" in reason for row in result_of(tmp_path)["rules"] for reason in row.get("not_applicable", []))

    succeeded(playbook(AUDIT))
    without = needing_history()
    succeeded(playbook(AUDIT))
    assert needing_history() < without


def test_limit_and_groups(playbook: Run, tmp_path: Path) -> None:
    hosts = inventory(tmp_path, "[web]", local("web1"), local("web2"), "[db]", local("db1"))
    done = succeeded(playbook("-i", hosts, "--limit", "web", AUDIT))
    assert sorted(path.name for path in (tmp_path / "pidhygiene-report/results").iterdir()) == ["web1.json", "web2.json"]
    assert result_of(tmp_path, "web1")["host"]["tags"] == ["web"]
    assert "2 targeted · 2 audited" in done.stdout
    run_file = json.loads((tmp_path / "pidhygiene-report/run.json").read_text())
    assert sorted(run_file["hosts"]) == ["web1", "web2"]


def test_a_waiver_by_group_of_the_inventory(playbook: Run, tmp_path: Path) -> None:
    hosts = inventory(tmp_path, "[legacy]", local("old1"), "[other]", local("new1"))
    policy = dict(BUSY, waivers=[{"rule": "PH-*", "group": "legacy", "justification": "goes away", "owner": "ops", "expires": "2099-12-31"}])
    succeeded(playbook("-i", hosts, AUDIT, "-e", json.dumps({"pidhygiene_policy": policy})))
    assert all(finding["waiver"]["owner"] == "ops" for finding in result_of(tmp_path, "old1")["findings"])
    assert all(finding["waiver"] is None for finding in result_of(tmp_path, "new1")["findings"])
    assert result_of(tmp_path, "new1")["findings"]


@pytest.mark.parametrize("fail_on, status", [("never", 0), ("fail", 2)])
def test_the_gate(playbook: Run, tmp_path: Path, fail_on: str, status: int) -> None:
    done = playbook(AUDIT, "-e", json.dumps({"pidhygiene_policy": BUSY, "pidhygiene_fail_on": fail_on}))
    assert [finding for finding in result_of(tmp_path)["findings"] if finding["status"] == "fail"]
    assert done.returncode == status, done.stdout + done.stderr
    assert ("findings at or above fail on 1 of 1 hosts: localhost" in done.stdout + done.stderr) == (status != 0)
    assert (tmp_path / "pidhygiene-report/report.html").exists()


def test_hosts_that_do_not_answer_are_recorded_and_the_play_ends_red(playbook: Run, tmp_path: Path) -> None:
    hosts = inventory(tmp_path, local("here"), "shut ansible_host=127.0.0.1 ansible_port=1", "nowhere ansible_host=nowhere.invalid",
                      local("nopython", "/nonexistent/python"))
    done = playbook("-i", hosts, AUDIT)
    assert done.returncode == 2
    report = tmp_path / "pidhygiene-report"
    assert [path.name for path in (report / "results").iterdir()] == ["here.json"]
    said = {path.stem: json.loads(path.read_text()) for path in (report / "not-audited").iterdir()}
    assert {name: each["outcome"] for name, each in said.items()} == {"shut": "unreachable", "nowhere": "unreachable", "nopython": "failed"}
    assert "Connection refused" in said["shut"]["message"] and "may be unable to start a process" in said["shut"]["next_step"]
    assert "ansible_python_interpreter" in said["nopython"]["next_step"]
    assert "4 targeted · 1 audited · 2 unreachable · 1 failed" in done.stdout
    assert "3 of 4 hosts were not audited" in done.stdout + done.stderr
    page = (report / "report.html").read_text()
    assert all(name in page for name in ("here", "shut", "nowhere", "nopython"))
    assert playbook("-i", hosts, AUDIT, "-e", "pidhygiene_require_all=false").returncode == 0


def test_no_host_answers(playbook: Run, tmp_path: Path) -> None:
    hosts = inventory(tmp_path, "shut ansible_host=127.0.0.1 ansible_port=1")
    done = playbook("-i", hosts, AUDIT)
    assert done.returncode == 2
    assert "No host was audited." in done.stdout
    assert (tmp_path / "pidhygiene-report/report.html").exists()


def test_a_host_that_comes_back_is_no_longer_missing(playbook: Run, tmp_path: Path) -> None:
    hosts = inventory(tmp_path, "one ansible_host=127.0.0.1 ansible_port=1")
    assert playbook("-i", hosts, AUDIT).returncode == 2
    inventory(tmp_path, local("one"))
    succeeded(playbook("-i", hosts, AUDIT))
    assert not list((tmp_path / "pidhygiene-report/not-audited").iterdir())


def test_a_mistake_in_the_policy_is_said_for_every_host(playbook: Run, tmp_path: Path) -> None:
    done = playbook(AUDIT, "-e", '{"pidhygiene_policy": {"zombies": {"wran": 3}}}')
    assert done.returncode == 2
    said = json.loads((tmp_path / "pidhygiene-report/not-audited/localhost.json").read_text())
    assert said["message"] == "The policy has mistakes: zombies.wran: is no setting; did you mean 'warn'?"
    assert said["next_step"] == "correct the policy"
    assert "Traceback" not in done.stdout + done.stderr


def test_a_report_folder_that_cannot_be_written_is_said(playbook: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = playbook(AUDIT, "-e", "pidhygiene_report_dir=file")
    assert done.returncode == 2
    assert "could not be written" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_check_mode_audits_and_changes_nothing(playbook: Run, tmp_path: Path) -> None:
    done = succeeded(playbook(AUDIT, "--check", "--diff"))
    assert "changed=0" in done.stdout
    assert result_of(tmp_path)["findings"] is not None


def test_without_a_report_folder_the_task_returns_the_document(run: Run, tmp_path: Path) -> None:
    done = succeeded(run(BIN / "ansible", "--playbook-dir", REPOSITORY / "playbooks", "-i", "localhost,", "-c", "local", "-e",
                         "ansible_python_interpreter=/usr/bin/python3", "localhost", "-m", "pidhygiene.host.audit_info", "-o"))
    answer = json.loads(done.stdout.partition("=>")[2])
    assert answer["result"]["schema"] == "pidhygiene.result/1"
    assert not (tmp_path / "pidhygiene-report").exists()


def test_the_store_is_fed(playbook: Run, run: Run, tmp_path: Path) -> None:
    """Twice the same fleet is two runs; a host that did not answer is in it; an address with a password is shown nowhere."""
    hosts = inventory(tmp_path, local("here"), "shut ansible_host=127.0.0.1 ansible_port=1")
    policy = {"headroom": {"warn": 0.7}}
    options = ("-i", hosts, "-e", "pidhygiene_rules=PH-PID-003", "-e", "pidhygiene_require_all=false", "-e", json.dumps({"pidhygiene_policy": policy}))
    done = succeeded(playbook(*options, "-e", "pidhygiene_store=fleet.db", AUDIT))
    assert "2 hosts of 2 targeted recorded" in done.stdout
    refused = playbook(*options, "-e", "pidhygiene_store=postgresql://ph:hush-hush@127.0.0.1:1/ph", "-vvv", AUDIT)
    assert refused.returncode == 2 and "The store was not fed" in refused.stdout and "hush-hush" not in refused.stdout + refused.stderr
    assert (tmp_path / "pidhygiene-report/report.html").exists()
    told = run(sys.executable, "-m", "controller", "runs", "--store", "fleet.db", PYTHONPATH="%s:%s" % (REPOSITORY, ENGINE))
    assert told.returncode == 0 and len(told.stdout.splitlines()) == 1 and "2 targeted, 1 audited, 1 unreachable" in told.stdout
    digest = result_of(tmp_path, "here")["audit"]["policy_digest"]
    with Store.open("sqlite:///%s" % (tmp_path / "fleet.db")) as store:
        assert store.policies([digest]) == {digest: policy}
