"""What is said of containers: the exact setting of the runtime that was recognised, from findings as the audit makes them."""

from __future__ import annotations

import pytest
from pidhygiene.remedies import container_advice, plan
from pidhygiene.remedies.container_advice import SETTINGS
from pidhygiene.readers.containers import NAMES
from simulated import NOW

ID = "4711aabbccdd"
MACHINE = "build"


def finding(rule: str, runtime: str = "docker", message: str = "m", binding: str | None = None, kind: str = "container") -> dict:
    return {"rule": rule, "status": "fail", "subject": {"type": kind, "id": f"{runtime} container {MACHINE if runtime == 'nspawn' else ID}"}, "message": message, "binding": binding,
            "remedy": None, "waiver": None, "fingerprint": rule}


@pytest.mark.parametrize(("rule", "runtime", "words"), [
    ("PH-CTR-001", "docker", "docker run --init; compose: init: true"), ("PH-CTR-005", "podman", "Quadlet: RunInit=true"),
    ("PH-CTR-001", "kubernetes", "shareProcessNamespace: true"), ("PH-CTR-001", "cri-o", "shareProcessNamespace: true"),
    ("PH-CTR-004", "docker", "stop_grace_period: 60s"), ("PH-CTR-004", "containerd", "terminationGracePeriodSeconds: 60"),
    ("PH-CTR-001", "nspawn", f"/etc/systemd/nspawn/{MACHINE}.nspawn: ProcessTwo=yes"), ("PH-CTR-004", "lxc", "lxc.signal.halt"),
])
def test_each_runtime_has_its_own_setting(rule: str, runtime: str, words: str) -> None:
    assert words in container_advice.advice(finding(rule, runtime))


def test_the_limit_is_twice_the_one_that_is_full() -> None:
    full = finding("PH-CTR-002", message="has 990 tasks of 1000", binding="pids.max of /docker/x: 990 of 1000")
    assert f"docker update --pids-limit 2000 {ID}" in container_advice.advice(full)
    of_slice = finding("PH-CTR-002", binding="pids.max of /batch.slice: 990 of 1000")
    assert container_advice.advice(of_slice).endswith("systemctl set-property batch.slice TasksMax=2000")
    of_pod = finding("PH-CTR-002", "containerd", binding="pids.max of /kubepods.slice/kubepods-pod1.slice: 990 of 1000")
    assert "podPidsLimit: 2000" in container_advice.advice(of_pod)


def test_a_limit_full_of_zombies_needs_an_init() -> None:
    assert "--init" in container_advice.advice(finding("PH-CTR-002", message="m; recreate it with an init that reaps, raising the limit only buys time"))


def test_several_runtimes_on_one_host() -> None:
    said = container_advice.advice(finding("PH-CTR-003", kind="host", message=f"2 run (docker container {ID}, podman container x)"))
    assert "docker run --pids-limit" in said and "podman run --pids-limit" in said


def test_every_runtime_that_the_audit_tells_is_known() -> None:
    assert {runtime for runtime, _pattern in NAMES} == set(SETTINGS)
    assert {len(settings) for settings in SETTINGS.values()} == {3}
    assert all("{" not in setting for _runtime, _title, setting in container_advice.table())


def test_other_findings_are_left_alone_and_a_plan_says_it() -> None:
    assert container_advice.advice(finding("PH-ZMB-001")) is None
    entry = plan.make([("web1", {"host": {"boot_id": "b"}, "audit": {"started_at": "2026-11-28T00:00:00Z"}, "findings": [finding("PH-CTR-001")]})], NOW)
    (left,) = entry["hosts"]["web1"]["left"]
    assert left["why"].startswith("it is set where the container is started: an init that reaps for docker: docker run --init"), left
