"""``explain PID``: who must act, what helps and what does not. The question at the end of the third seed is among them."""

import pytest
from pidhygiene import terminal
from pidhygiene.explain import explain
from simulated import SimulatedHost

ID = "09e6e8e1634612580a03dd3496d2efed2cf2a510b9688160b414ce1d1ea3e4ae"
GROUP = "/system.slice/docker-%s.scope" % ID


def told(host, pid):
    answer = explain(host, str(pid))
    helps = [way.what for way in answer.ways if way.works]
    not_so = [way.what for way in answer.ways if not way.works]
    return answer, " ".join(answer.about), helps, not_so


def daemon(state="S", **parent):
    """A service with zombies."""
    host = SimulatedHost().process(8102, 1, "beremote", state, start=86400, cgroup="/system.slice/VRTSralus.service", **parent)
    for pid in range(9000, 9010):
        host.process(pid, 8102, "ora", "Z", uid=500, dead=3000, cgroup="/system.slice/VRTSralus.service")
    return host.unit("VRTSralus.service", MainPID=8102, ControlGroup="/system.slice/VRTSralus.service")


def container(init="app"):
    """docker: shim, init, a worker B and its zombie C, an orphan that the init has not reaped."""
    host = SimulatedHost().process(700, 1, "containerd-shim", cgroup="/system.slice/docker.service")
    host.process(701, 700, init, start=7200, cgroup=GROUP, ns_pids=(701, 1))
    host.process(702, 701, "worker", start=7000, cgroup=GROUP, ns_pids=(702, 7))
    for pid in (701, 702):
        host.links["/proc/%d/ns/pid" % pid] = "pid:[4026533000]"
    return host


def test_a_zombie_of_a_service():
    answer, about, helps, not_so = told(daemon(), 9000)
    assert "The way up: ora (9000, zombie) ← beremote (8102) ← systemd (1)." in about
    assert "neither handles SIGCHLD nor waits for its children: it never reaps them. It has 10 zombies." in about
    assert "restart VRTSralus.service" in helps and "kill -9 9000" in not_so and any("tini" in each for each in not_so)
    assert answer.verdict == "An init in the container or on the host does not help while the parent lives: mend or restart VRTSralus.service."
    text = terminal.explanation(answer, terminal.Style(False, 200))
    assert "  helps: restart VRTSralus.service; when the parent ends" in text and "  does not help: kill -9 9000; it has ended already" in text
    assert answer.plain()["ways"][0]["works"] is True


def test_the_question_of_the_third_seed():
    """init, B its child and alive, C a zombie of B: the init calls waitpid for ever, and C stays."""
    host = container("tini").process(703, 702, "C", "Z", cgroup=GROUP, dead=600, ns_pids=(703, 9))
    answer, about, helps, not_so = told(host, 703)
    assert "C (703, zombie) ← worker (702) ← tini (701, init of docker container 09e6e8e16346) ← containerd-shim (700)" in about
    assert "end worker (702) alone" in helps and "restart docker container 09e6e8e16346" in helps
    assert any("another init" in each for each in not_so)
    assert "does not help while the parent lives" in answer.verdict
    assert any("fall to tini (701)" in way.why for way in answer.ways)


def test_a_zombie_of_a_containers_init():
    host = container().process(703, 701, "ora", "Z", cgroup=GROUP, dead=600, ns_pids=(703, 9))
    answer, about, helps, not_so = told(host, 703)
    assert any(each.startswith("recreate docker container 09e6e8e16346 with an init that reaps") for each in helps)
    assert "an init on the host that reaps" in not_so and "kill -CHLD 701" in not_so
    assert "init of its pid namespace (docker container 09e6e8e16346), so it must reap" in answer.verdict


def test_an_init_that_does_not_reap_and_one_that_does():
    host = container().process(703, 701, "ora", "Z", cgroup=GROUP, dead=600, ns_pids=(703, 9))
    answer, about, helps, not_so = told(host, 701)
    assert "It is the init of docker container 09e6e8e16346" in about and "It has not reaped 1 zombie." in about
    assert helps and "It must reap, and does not: docker container 09e6e8e16346 needs another init." in answer.verdict
    answer, about, helps, not_so = told(container("tini").process(704, 702, "C", "Z", cgroup=GROUP, dead=600), 701)
    assert not helps and not not_so and "1 zombie in it have another parent that lives: this init cannot reap them." in about


def test_zombies_of_pid_1():
    host = SimulatedHost().process(9000, 1, "sh", "Z", dead=600)
    answer, _about, helps, _not = told(host, 9000)
    assert helps == ["systemctl daemon-reexec"] and answer.verdict == "PID 1 must reap it."
    host = SimulatedHost().inside().process(1, 0, "app", start=9000).process(9000, 1, "sh", "Z", dead=600)
    answer, _about, helps, _not = told(host, 9000)
    assert any(each.startswith("recreate the container around us") for each in helps)


@pytest.mark.parametrize("state, first, verdict", [
    ("T", "kill -CONT 8102", "is stopped and must be continued"), ("D", "mend the mount, device or child that it waits for", "is stuck in the kernel"),
])
def test_a_parent_that_is_held_up(state, first, verdict):
    answer, _about, helps, not_so = told(daemon(state), 9000)
    assert helps == [first] and verdict in answer.verdict
    assert state == "T" or "restart VRTSralus.service" in not_so


def test_a_traced_zombie():
    host = daemon().process(600, 1, "strace").process(9001, 8102, "ora", "Z", dead=600, tracer=600)
    answer, about, helps, not_so = told(host, 9001)
    assert helps == ["detach or end strace (600)"] and "restart VRTSralus.service" in not_so and answer.verdict == "strace (600) must let it go."


def test_a_zombie_that_may_pass():
    host = daemon().process(9099, 8102, "ora", "Z", dead=1)
    assert "It ended 1 s ago: this may pass by itself" in told(host, 9099)[1]


def test_a_task_in_state_d():
    host = SimulatedHost().process(700, 1, "backup", "D", cgroup="/system.slice/backup.service")
    host.file("/proc/700/wchan", "rpc_wait_bit_killable").file("/proc/700/sched", "backup (700, #threads: 1)\nse.exec_start : %.6f\n" % ((host.boot - 7200) * 1000))
    answer, about, helps, not_so = told(host, 700)
    assert "state D (rpc_wait_bit_killable), for 2.0 h: it waits for the kernel" in about
    assert helps == ["mend the mount, device or child that it waits for"] and not_so == ["kill -9 700", "restart backup.service"]
    assert answer.verdict.startswith("Nobody can end it before what it waits for answers. The first to refuse is"), "and its next fork"


def supervised(kill_mode="process"):
    """V13: a tree that supervisord was killed away from, and the one it runs now."""
    host = SimulatedHost().unit("supervisor.service", MainPID=500, ControlGroup="/system.slice/supervisor.service", KillMode=kill_mode)
    group, environ = "/system.slice/supervisor.service", {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": "minion", "SUPERVISOR_GROUP_NAME": "minion"}
    host.process(500, 1, "supervisord", start=100, exe="/usr/bin/python3", argv=("/usr/bin/python3", "/usr/bin/supervisord"), cgroup=group)
    host.process(510, 500, "minion", start=90, pgrp=510, session=500, environ=environ, cgroup=group)
    host.process(410, 1, "minion", start=9000, pgrp=410, session=400, environ=environ, cgroup=group)
    return host.process(411, 410, "minion", start=9000, pgrp=410, session=400, environ=environ, cgroup=group)


def test_a_tree_that_leaked_from_supervisord():
    answer, about, helps, not_so = told(supervised(), 411)
    assert "the tree of minion (410), which supervisord once started" in about and "supervisord (500) runs the same program again as minion (510)" in about
    assert helps[0] == "end the tree of minion (410) (410 411)" and not_so == ["supervisorctl restart", "restart supervisor.service"]
    assert any(way.why == "KillMode=process leaves it running" for way in answer.ways)
    assert answer.verdict.startswith("The old tree must be ended by hand; the managed one stays.")


@pytest.mark.parametrize("mode, works", [("process", False), ("control-group", True)])
def test_an_orphan_in_a_unit(mode, works):
    host = SimulatedHost().process(700, 1, "web", cgroup="/system.slice/web.service").process(701, 1, "helper", cgroup="/system.slice/web.service")
    host.unit("web.service", MainPID=700, ControlGroup="/system.slice/web.service", KillMode=mode)
    _answer, about, helps, not_so = told(host, 701)
    assert "systemd (1) has adopted it; the main process of web.service is web (700)" in about
    assert ("stop or restart web.service" in helps) is works and ("stop or restart web.service" in not_so) is not works
    assert told(host, 700)[2] == [], "its main process is what it should be"
