"""The beacon's eyes and mouth: few reads, the same rules and fingerprints as an audit, news of what is crossed and not of what lasts."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene import watch, watch_news
from pidhygiene.audit import audit
from pidhygiene.host import Denied, Unreadable
from pidhygiene.schema import result_schema
from pidhygiene.watch_news import Outcome, news
from pidhygiene.watch_settings import Relief, Settings, checked
from simulated import SimulatedHost

UNIT, GROUP = "backup.service", "/system.slice/backup.service"
FINDING = jsonschema.Draft202012Validator(result_schema()["properties"]["findings"]["items"])
WATCHED = Settings(units=(UNIT,))


class Counting(SimulatedHost):
    """Notes what is read, and every question to the bus."""

    def __init__(self, *arguments: Any) -> None:
        self.looked: list[str] = []
        super().__init__(*arguments)

    def read(self, path: str, limit: int = 1024 * 1024, root: str = "/") -> bytes:
        self.looked.append(path)
        return super().read(path, limit, root)

    def list(self, path: str, root: str = "/") -> list[str]:
        self.looked.append(path)
        return super().list(path, root)

    def unit_properties(self, patterns: Any, names: Any) -> Any:
        self.looked.append("bus")
        return super().unit_properties(patterns, names)


def machine(tasks: int = 200, used: int = 50, maximum: int | str = 100, cgroup: str = "v2") -> Counting:
    host = Counting(cgroup)
    host.unit(UNIT, ControlGroup=GROUP, MainPID=500, TasksMax=maximum).process(500, comm="backup", cgroup=GROUP).group(GROUP, maximum, used)
    host.file("/proc/self/cgroup", "0::/system.slice/salt-minion.service\n").group("/system.slice/salt-minion.service")
    return host.tasks(tasks)


def told(host: SimulatedHost, settings: Settings, memory: dict[str, Any], relieve: Any = None) -> list[tuple[str, str, str]]:
    """One pass: (state, rule, status) of each event, every finding in the form of a result's."""
    events = news(host, settings, memory, relieve)
    for event in events:
        FINDING.validate(event["finding"])
    return [(event["state"], event["finding"]["rule"], event["finding"]["status"]) for event in events]


# -- looking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cgroup", ["v1", "hybrid", "v2"])
def test_a_pass_reads_little_and_asks_nobody(cgroup: str) -> None:
    host, places = machine(cgroup=cgroup), {}
    first = watch.look(host, WATCHED, places)
    assert [level.key for level in first.levels] == ["pid_max", "threads-max", GROUP] and first.gaps == ()
    host.looked.clear()
    assert watch.look(host, WATCHED, places).levels == first.levels
    mount = "/sys/fs/cgroup" if cgroup == "v2" else "/sys/fs/cgroup/pids"
    assert sorted(host.looked) == ["/proc/loadavg", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max", mount + GROUP + "/pids.current",
                                   mount + GROUP + "/pids.max"]


def test_rules_subjects_and_fingerprints_are_those_of_an_audit() -> None:
    host = machine(tasks=32400, used=99).file("/proc/sys/kernel/pid_max", "32768\n").file("/proc/sys/kernel/threads-max", "33000\n")
    mine = {(event["finding"]["rule"], event["finding"]["fingerprint"]): event["finding"] for event in news(host, WATCHED, {})}
    theirs = {(finding["rule"], finding["fingerprint"]): finding for finding in audit(host, rules=["PH-PID-001", "PH-PID-002", "PH-SYS-004"])["findings"]}
    assert set(mine) == set(theirs) and len(mine) == 3
    for key in mine:
        assert {name: mine[key][name] for name in ("title", "status", "severity", "subject", "binding")} == {
            name: theirs[key][name] for name in ("title", "status", "severity", "subject", "binding")}


def test_a_pid_namespace_of_our_own_is_counted_by_itself() -> None:
    """Its pid_max is its own, and /proc/loadavg counts the machine around it."""
    host = machine(tasks=5000).inside("pid").file("/proc/sys/kernel/osrelease", "6.18.0\n").file("/proc/sys/kernel/pid_max", "400\n")
    level = watch.look(host, Settings(), {}).levels[0]
    assert (level.budget.used, level.budget.limit, level.budget.holder, level.counted) == (2, 100, "this pid namespace", "/proc/*/stat")
    host.file("/proc/sys/kernel/osrelease", "6.1.0\n")  # there one pid_max is for all
    assert watch.look(host, Settings(), {}).levels[0].budget.used == 5000


def test_ancestors_only_when_asked_for() -> None:
    host = machine(used=10)
    host.file("/sys/fs/cgroup/system.slice/pids.max", "100\n").file("/sys/fs/cgroup/system.slice/pids.current", "99\n")
    assert told(host, WATCHED, {}) == []
    assert told(host, WATCHED._replace(ancestors=True), {}) == [("reached", "PH-SYS-004", "fail")]


def test_a_unit_that_starts_ends_or_moves() -> None:
    host, memory = machine(used=90), {}
    host.units[UNIT]["ControlGroup"] = ""
    assert told(host, WATCHED, memory) == [] and host.looked.count("bus") == 1
    host.units[UNIT]["ControlGroup"] = GROUP
    assert told(host, WATCHED, memory) == [] and host.looked.count("bus") == 1, "not at every pass"
    host.boot += watch.ASK_AGAIN_S
    assert told(host, WATCHED, memory) == [("reached", "PH-SYS-004", "warn")]
    moved = "/other.slice/backup.service"
    host.group(moved, 100, 10).remove("/sys/fs/cgroup" + GROUP + "/pids.max").remove("/sys/fs/cgroup" + GROUP + "/pids.current")
    host.units[UNIT]["ControlGroup"] = moved
    assert told(host, WATCHED, memory) == [("over", "PH-SYS-004", "info")]
    assert watch.look(host, WATCHED, memory["places"]).levels[2].key == moved


def test_a_manager_that_does_not_answer_ends_nothing() -> None:
    host, memory = machine(used=90), {}
    assert len(told(host, WATCHED, memory)) == 1
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    anew = {"told": memory["told"]}  # the minion started again, and remembers
    assert told(host, WATCHED, anew) == [] and [gap.reason for gap in anew["gaps"]] == ["the bus did not answer in time"]
    host.boot += watch.ASK_AGAIN_S
    del host.errors["bus"]
    assert told(host, WATCHED, anew) == [] and anew["gaps"] == ()


@pytest.mark.parametrize("path, content", [
    ("/proc/loadavg", b""), ("/proc/loadavg", b"x y z"), ("/proc/loadavg", b"\xff 1/x 3"), ("/proc/sys/kernel/pid_max", b""), ("/proc/sys/kernel/threads-max", b"many"),
    ("/sys/fs/cgroup" + GROUP + "/pids.max", b"lots"), ("/sys/fs/cgroup" + GROUP + "/pids.current", b""), ("/proc/self/mountinfo", b"\n1 2\n"),
    ("/proc/self/cgroup", b"\0"),
])
def test_what_cannot_be_understood_is_a_gap_and_no_alarm(path: str, content: bytes) -> None:
    host = machine()
    host.file(path, content)
    assert told(host, WATCHED, {}) == []
    host.forbid(path, Denied(path, "permission denied"))
    assert told(host, WATCHED, {}) == []


# -- telling -----------------------------------------------------------------------------------------------------------


def test_what_is_crossed_is_told_once_and_again_when_it_is_over() -> None:
    host, memory = machine(), {}
    steps = [(79, []), (80, ["reached warn"]), (81, []), (94, []), (95, ["reached fail"]), (100, []), (90, []), (96, []), (77, []), (76, []), (75, ["over info"]), (75, []),
             (95, ["reached fail"]), (10, ["over info"])]
    for used, expected in steps:
        host.group(GROUP, 100, used)
        assert ["%s %s" % (state, status) for state, _rule, status in told(host, WATCHED, memory)] == expected, used


def test_what_was_told_outlives_the_memory_of_the_process() -> None:
    host, memory = machine(used=96), {}
    assert len(told(host, WATCHED, memory)) == 1
    assert told(host, WATCHED, {"told": watch_news.usable(memory["told"])}) == []
    assert watch_news.usable({"x": 3, "y": {}, "z": {"grade": 7, "finding": {"subject": {}}}, "q": {"grade": 1, "finding": {}}}) == {}
    assert watch_news.usable([1]) == {}


def test_a_unit_that_is_gone_is_over() -> None:
    host, memory = machine(used=96), {}
    told(host, WATCHED, memory)
    host.remove("/sys/fs/cgroup" + GROUP + "/pids.max")
    host.units[UNIT]["ControlGroup"] = ""
    (event,) = news(host, WATCHED, memory)
    assert event["state"] == "over" and event["finding"]["message"] == "backup.service has no limit of tasks now, or does not run."
    FINDING.validate(event["finding"])


def test_what_relief_did_is_told_and_a_refusal_once() -> None:
    host, memory, asked = machine(used=96), {}, []
    answers = [Outcome("refused", "no"), Outcome("refused", "still no"), Outcome("done", "yes", (("TasksMax of backup.service", "100", "125"),))]

    def relieve(level: watch.Level) -> Outcome:
        asked.append(level.key)
        return answers[len(asked) - 1]

    def reliefs() -> list[str]:
        return [event["relief"]["message"] for event in news(host, WATCHED, memory, relieve)]

    assert reliefs() == ["no"]
    assert reliefs() == [] and len(asked) == 1, "not at every pass"
    host.boot += watch_news.TRY_AGAIN_S
    assert reliefs() == [] and len(asked) == 2
    host.boot += watch_news.TRY_AGAIN_S
    (event,) = news(host, WATCHED, memory, relieve)
    assert event["relief"] == {"state": "done", "message": "yes", "changes": [{"what": "TasksMax of backup.service", "before": "100", "after": "125"}]}
    host.group(GROUP, 100, 94)
    host.boot += watch_news.TRY_AGAIN_S
    assert reliefs() == [] and len(asked) == 3, "relief is for what is full"


def test_what_salt_may_have_lost_is_told_again() -> None:
    """Without a free task it has no thread to send the event with."""
    host, memory = machine(tasks=32468).file("/proc/sys/kernel/pid_max", "32768\n"), {}
    outcomes = [Outcome("done", "a little", (("kernel.pid_max now", "32768", "32769"),))]

    def relieve(level: watch.Level) -> Any:
        return outcomes.pop() if outcomes else None

    first = news(host, Settings(), memory, relieve)
    assert [event["relief"]["state"] for event in first] == ["done"]
    assert [event["relief"]["state"] for event in news(host, Settings(), memory, relieve)] == ["done"], "what was done is told with it"
    host.tasks(32460)
    assert [event["relief"]["state"] for event in news(host, Settings(), memory, relieve)] == ["done"]
    assert news(host, Settings(), memory, relieve) == []


def test_the_full_unit_of_somebody_else_is_told_once() -> None:
    host, memory = machine(used=100), {}
    assert len(told(host, WATCHED, memory)) == 1 and told(host, WATCHED, memory) == []
    host.file("/proc/self/cgroup", "0::%s\n" % GROUP)
    anew: dict[str, Any] = {}
    assert len(told(host, WATCHED, anew)) == 1 and len(told(host, WATCHED, anew)) == 1, "our own group is full, and keeps events back"


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config, expected", [
    ([], Settings()),
    ([{"units": [UNIT]}, {"threshold": 90}, {"ancestors": True}, {"interval": 10}, {"_beacon_name": "pidhygiene"}], Settings((UNIT,), 0.9, True)),
    ([{"relief": True}], Settings(relief=Relief(True, True))), ([{"relief": False}], Settings()),
    ([{"relief": {"pid_max": True, "restart": ["a@b.service"]}}], Settings(relief=Relief(False, True, ("a@b.service",)))),
    ([{"units": ["user.slice", "session-1.scope"], "threshold": 1.5}], Settings(("user.slice", "session-1.scope"), 0.015)),
])
def test_settings(config: Any, expected: Settings) -> None:
    assert checked(config) == (expected, ())


@pytest.mark.parametrize("config, words", [
    (None, "a list of settings, not nothing"), ({"units": []}, "not a mapping"), ("units", "not text"), ([["units"]], "is a mapping"), ([{"unit": []}], "is no setting"),
    ([{"units": UNIT}], "must be a list"), ([{"units": ["nginx"]}], "with their type"), ([{"units": ["a/b.service"]}], "with their type"),
    ([{"units": ["*.service"]}], "with their type"), ([{"units": ["a@.service"]}], "with their type"), ([{"units": [3]}], "with their type"),
    ([{"threshold": "80"}], "percentage"), ([{"threshold": 0.8}], "percentage"), ([{"threshold": True}], "percentage"), ([{"threshold": float("nan")}], "percentage"),
    ([{"interval": "10"}], "seconds"), ([{"interval": -1}], "seconds"), ([{"ancestors": 1}], "true or false"), ([{"relief": "yes"}], "off, on"),
    ([{"relief": {"kill": True}}], "no setting 'kill'"), ([{"relief": {"pid_max": 1}}], "true or false"), ([{"relief": {"restart": "a.service"}}], "must be a list"),
])
def test_mistakes_are_named(config: Any, words: str) -> None:
    settings, mistakes = checked(config)
    assert settings == Settings() and len(mistakes) == 1 and words in mistakes[0], mistakes


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3) | st.sampled_from(["units", "relief", "restart", "threshold", UNIT]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["units", "threshold", "relief", "restart", "pid_max", "interval"]) | st.text(max_size=3) | st.integers(), inner, max_size=3), max_leaves=8)


@given(ANYTHING)
def test_checking_never_raises(config: Any) -> None:
    settings, mistakes = checked(config)
    assert isinstance(settings, Settings) and all(isinstance(each, str) for each in mistakes)
    assert not mistakes or settings == Settings()
