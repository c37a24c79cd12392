"""PH-ZMB through audit()."""

import pytest
from pidhygiene.restarts import longest_pause
from simulated import SimulatedHost, judge

SIGCHLD = 0x10000


def leaking(count, ages=3600.0, parent_start=86400.0, spread=True, uid=500, **parent):
    """A backup agent (8102) with zombies started evenly over its life."""
    host = SimulatedHost()
    host.process(8102, 1, "beremote", start=parent_start, exe="/opt/VRTSralus/bin/beremote", cgroup="/system.slice/VRTSralus.service", **parent)
    host.group("/system.slice/VRTSralus.service", current=count + 1)
    for index in range(count):
        born = parent_start * (0.99 - 0.98 * index / max(1, count)) if spread else ages + 1
        host.process(10000 + index, 8102, "ora", "Z", uid=uid, start=born, dead=min(ages, born), cgroup="/system.slice/VRTSralus.service")
    return host


@pytest.mark.case("PH-ZMB-001", "fires")
def test_many_zombies_of_one_parent():
    finding = judge(leaking(120), "PH-ZMB-001").only("fail")
    assert finding["severity"] == "HIGH"
    assert "beremote (8102) has not reaped 120 zombies of user oracle (120 ora)" in finding["message"]
    assert "restart VRTSralus.service" in finding["message"]
    assert finding["remedy"]["parameters"]["unit"] == "VRTSralus.service"


def test_nobody_would_start_a_parent_outside_of_every_service_again():
    host = leaking(120)
    host.files["/proc/8102/cgroup"] = b"0::/user.slice/user-0.slice/session-3.scope\n"
    assert judge(host, "PH-ZMB-001").only("fail")["remedy"] is None


@pytest.mark.case("PH-ZMB-001", "fires")
def test_few_old_and_growing_zombies_warn():
    assert judge(leaking(8), "PH-ZMB-001").only("warn")["severity"] == "MED"


@pytest.mark.case("PH-ZMB-001", "silent")
def test_a_handful_that_does_not_grow_is_silent():
    """monit and friends: reaped at the next cycle (INCIDENTS Z15)."""
    assert judge(leaking(4), "PH-ZMB-001").status == "pass"
    assert judge(leaking(12, ages=3600, spread=False), "PH-ZMB-001").status == "pass"


@pytest.mark.case("PH-ZMB-001", "silent")
def test_zombies_that_just_died_are_silent():
    host = leaking(50, ages=0.4, spread=False)
    assert judge(host, "PH-ZMB-001").status == "pass"
    assert host.waited == 0.0


def test_the_policy_says_when_a_zombie_is_old():
    host = leaking(8, ages=300)
    assert judge(host, "PH-ZMB-001").status == "pass", "five minutes are not old"
    assert judge(host, "PH-ZMB-001", policy={"zombies": {"old_after": 200}}).only("warn")
    assert judge(host, "PH-ZMB-001", policy={"zombies": {"old_after": 400}}).status == "pass"


def test_the_policy_says_how_patient_one_is_with_init():
    assert judge(orphans(25, 40), "PH-ZMB-006").status == "pass"
    assert judge(orphans(25, 40), "PH-ZMB-006", policy={"zombies": {"init_patience": 30}}).only("fail")


def test_young_parent_is_information():
    assert judge(leaking(40, ages=20, parent_start=50), "PH-ZMB-001").only("info")


@pytest.mark.case("PH-ZMB-001", "unreadable")
def test_unreadable_process_is_unknown():
    host = leaking(3).forbid("/proc/8102/stat")
    judged = judge(host, "PH-ZMB-001")
    assert judged.status == "unknown"
    assert judged.only("unknown")["evidence"][0]["source"] == "/proc/8102/stat"


def test_without_sched_a_second_look_is_taken_and_only_at_suspects():
    healthy = leaking(2)
    healthy.without_sched()
    assert judge(healthy, "PH-ZMB-001").status == "pass"
    assert healthy.waited == 0.0
    suspect = leaking(30)
    suspect.without_sched()
    assert judge(suspect, "PH-ZMB-001").only("warn")
    assert suspect.waited == pytest.approx(5.0)


def test_full_user_makes_it_critical():
    host = leaking(90).process(700, 1, "bash", uid=500, nproc=(95, 95), cgroup="/user.slice/user-500.slice/session-1.scope")
    finding = judge(host, "PH-ZMB-001").only("fail")
    assert finding["severity"] == "CRIT"
    assert finding["binding"] == "RLIMIT_NPROC of oracle: 91 of 95"


@pytest.mark.case("PH-ZMB-002", "fires")
def test_growth_is_forecast():
    host = leaking(300).process(700, 1, "bash", uid=500, nproc=(1000, 1000), cgroup="/user.slice/user-500.slice/session-1.scope")
    finding = judge(host, "PH-ZMB-002").only("fail")
    assert "zombies a day (from the start times of its zombies)" in finding["message"]


@pytest.mark.case("PH-ZMB-002", "silent")
def test_a_pool_that_ended_at_once_is_no_growth():
    host = leaking(300, spread=False).process(700, 1, "bash", uid=500, nproc=(1000, 1000))
    assert judge(host, "PH-ZMB-002").status == "pass"


DAYS = 86400.0


def late_leak(births, *points, boot_id="3a9c4a5e-0000-4000-8000-000000000001", parent="8102"):
    """A parent of nine days with a zombie started at each of ``births``, in seconds ago, and what audits saw: (seconds ago, count)."""
    host = leaking(0, parent_start=9 * DAYS).process(700, 1, "bash", uid=500, nproc=(1000, 1000))
    for index, born in enumerate(births):
        host.process(10000 + index, 8102, "ora", "Z", uid=500, start=born, dead=min(born, 3600.0), cgroup="/system.slice/VRTSralus.service")
    who = "%s@%d" % (parent, int((host.boot - 9 * DAYS) * 100))
    return host, {"version": 1, "boot_id": boot_id, "wall": host.wall - 3600, "boot": host.boot - 3600, "zombies": {who: 100},
                  "zombie_history": {who: [[host.boot - ago, count] for ago, count in points]}}


def steadily(since, count):
    return [since * (index + 1) / count for index in range(count)]


WATCHED = ((1.9 * DAYS, 10), (1.2 * DAYS, 100), (0.5 * DAYS, 200))


@pytest.mark.case("PH-ZMB-002", "fires")
def test_a_leak_that_began_late_is_seen_by_three_audits_over_a_day():
    host, marks = late_leak(steadily(2 * DAYS, 300), *WATCHED)
    finding = judge(host, "PH-ZMB-002", previous=marks).only("fail")
    assert "beremote (8102) leaks 153 zombies a day (from the marks of earlier audits)" in finding["message"]


@pytest.mark.case("PH-ZMB-002", "silent")
@pytest.mark.parametrize("births, points", [
    (steadily(2 * DAYS, 300), ()), (steadily(2 * DAYS, 300), WATCHED[:1]),  # no history; two looks
    (steadily(0.3 * DAYS, 300), ((0.25 * DAYS, 50), (0.1 * DAYS, 200))),  # the rising edge of a tooth: watched for hours alone
    (steadily(0.3 * DAYS, 300), ((1.9 * DAYS, 10), (1.2 * DAYS, 100), (0.1 * DAYS, 200))),  # crest over crest, emptied between
    (steadily(2 * DAYS, 300)[:280], ((1.9 * DAYS, 100), (1.2 * DAYS, 120))),  # old ones go: a pool
    ([2 * DAYS] * 100 + steadily(0.2 * DAYS, 200), ((1.9 * DAYS, 100), (1.2 * DAYS, 100))),  # a burst now
    ([2 * DAYS] * 100 + [1.1 * DAYS] * 200, ((1.9 * DAYS, 100), (1.0 * DAYS, 300))),  # a burst then, and a plateau since
], ids=["no marks", "two points", "one tooth", "sawtooth", "pool", "burst", "plateau"])
def test_two_points_of_a_sawtooth_are_no_growth(births, points):
    host, marks = late_leak(births, *points)
    assert judge(host, "PH-ZMB-002", previous=marks).status == "pass"


def test_history_is_of_this_boot_and_this_parent_and_well_formed():
    host, marks = late_leak(steadily(2 * DAYS, 300), *WATCHED, boot_id="another")
    assert judge(host, "PH-ZMB-002", previous=marks).status == "pass"
    host, marks = late_leak(steadily(2 * DAYS, 300), *WATCHED, parent="8103")
    assert judge(host, "PH-ZMB-002", previous=marks).status == "pass"
    for broken in (7, {"8102@1": 3}, {key: [[1], "x", [None, 2]] for key in marks["zombies"]}):
        assert judge(late_leak(steadily(2 * DAYS, 300))[0], "PH-ZMB-002", previous=dict(marks, zombie_history=broken)).status == "pass"


def test_marks_remember_two_days_however_often_one_looks():
    host, marks = late_leak(steadily(2 * DAYS, 300), *WATCHED)
    (row,) = judge(host, "PH-ZMB-002", previous=marks).result["marks"]["zombie_history"].values()
    assert [count for _moment, count in row] == [10, 100, 200, 300]
    (again,) = judge(host, "PH-ZMB-002", previous=dict(marks, zombie_history={key: row for key in marks["zombies"]})).result["marks"]["zombie_history"].values()
    assert again == row, "a look a moment later adds nothing"


@pytest.mark.case("PH-ZMB-002", "unreadable")
def test_growth_with_unreadable_processes_is_unknown():
    assert judge(leaking(3).forbid("/proc/8102/stat"), "PH-ZMB-002").status == "unknown"


@pytest.mark.case("PH-ZMB-003", "fires")
def test_dead_leader_with_living_threads():
    host = SimulatedHost().process(50, 1, "worker", "Z", threads=4)
    assert "alive" in judge(host, "PH-ZMB-003").only("info")["message"]
    assert judge(host, "PH-ZMB-001").status == "pass"


@pytest.mark.case("PH-ZMB-003", "silent")
def test_plain_zombie_is_no_leader():
    assert judge(SimulatedHost().process(50, 1, "worker", "Z", dead=1), "PH-ZMB-003").status == "pass"


@pytest.mark.case("PH-ZMB-003", "unreadable")
def test_unreadable_table_hides_leaders():
    assert judge(SimulatedHost().process(50, 1, "worker", "Z", threads=4).forbid("/proc/50/stat"), "PH-ZMB-003").status == "unknown"


@pytest.mark.case("PH-ZMB-004", "fires")
def test_traced_zombie_blames_the_tracer():
    host = leaking(0).process(60, 8102, "child", "Z", dead=600, tracer=70).process(70, 1, "strace")
    finding = judge(host, "PH-ZMB-004").only("warn")
    assert "strace (70) traces it" in finding["message"]
    assert judge(host, "PH-ZMB-001").status == "pass"


@pytest.mark.case("PH-ZMB-004", "silent")
def test_interactive_tracer_is_information():
    host = leaking(0).process(60, 8102, "child", "Z", dead=600, tracer=70).process(70, 1, "gdb", tty=34816)
    assert judge(host, "PH-ZMB-004").status == "info"
    just_now = leaking(0).process(60, 8102, "child", "Z", dead=0.1, tracer=70).process(70, 1, "strace")
    assert judge(just_now, "PH-ZMB-004").status == "pass"


@pytest.mark.case("PH-ZMB-004", "unreadable")
def test_unreadable_status_hides_tracers():
    host = leaking(0).process(60, 8102, "child", "Z", dead=600, tracer=70).forbid("/proc/60/status")
    assert judge(host, "PH-ZMB-004").status == "unknown"


@pytest.mark.parametrize("masks, state, words", [
    ({}, "S", "neither handles SIGCHLD nor waits"),
    ({"SigCgt": SIGCHLD}, "S", "one signal can stand for many"),
    ({"SigIgn": SIGCHLD}, "S", "ignores SIGCHLD now"),
    ({"SigBlk": SIGCHLD, "ShdPnd": SIGCHLD}, "S", "blocks SIGCHLD and has one pending"),
    ({}, "T", "is stopped"),
    ({}, "D", "a restart will hang"),
])
@pytest.mark.case("PH-ZMB-005", "fires")
def test_why_the_parent_does_not_reap(masks, state, words):
    judged = judge(leaking(40, masks=masks, state=state), "PH-ZMB-005")
    assert words in judged.findings[0]["message"]


@pytest.mark.case("PH-ZMB-005", "silent")
def test_no_diagnosis_where_nothing_leaks():
    assert judge(leaking(3), "PH-ZMB-005").status == "pass"


@pytest.mark.case("PH-ZMB-005", "unreadable")
def test_signal_masks_unreadable():
    assert judge(leaking(40).forbid("/proc/8102/task"), "PH-ZMB-005").status == "unknown"


def orphans(count, dead):
    host = SimulatedHost()
    for index in range(count):
        host.process(500 + index, 1, "curl", "Z", dead=dead, start=dead + 1)
    return host


@pytest.mark.case("PH-ZMB-006", "fires")
def test_init_that_never_reaps():
    assert judge(orphans(25, 700), "PH-ZMB-006").only("fail")["severity"] == "CRIT"


@pytest.mark.case("PH-ZMB-006", "silent")
def test_lazy_init_is_silent():
    """An init that reaps every two seconds (RULES V3)."""
    assert judge(orphans(25, 2), "PH-ZMB-006").status == "pass"


@pytest.mark.case("PH-ZMB-006", "unreadable")
def test_init_unreadable():
    assert judge(orphans(25, 700).forbid("/proc/1/stat"), "PH-ZMB-006").status == "unknown"


def hidden_leak(count=300, when="0 14 * * 6", limit=16384):
    host = leaking(count).process(700, 1, "bash", uid=500, nproc=(limit, limit), cgroup="/user.slice/user-500.slice/session-1.scope")
    host.process(90, 1, "cron", exe="/usr/sbin/cron", cgroup="/system.slice/cron.service")
    host.file("/usr/sbin/cron", "x").file("/var/lib/dpkg/status", "Package: cron\nStatus: install ok installed\nVersion: 3.0pl1-162\n\n")
    return host.file("/etc/crontab", "%s root /etc/init.d/VRTSralus.init restart\n" % when)


@pytest.mark.case("PH-ZMB-007", "fires")
def test_weekly_restart_hides_a_leak():
    """The first seed's workaround: safe at one rate, unsafe at another."""
    assert "every 7.0 d to hide a leak" in judge(hidden_leak(), "PH-ZMB-007").only("warn")["message"]
    assert "less than twice the interval" in judge(hidden_leak(limit=1500), "PH-ZMB-007").only("fail")["message"]


def test_a_timer_of_the_remedy_with_an_owner_hides_nothing_but_may_come_too_late():
    from pidhygiene.remedies.scheduled_restart import Schedule, service_text, timer_text

    def told(owner, limit=16384):
        host, own = hidden_leak(limit=limit).remove("/etc/crontab").with_systemd(), "pidhygiene-restart-VRTSralus"
        host.file("/etc/systemd/system/%s.timer" % own, timer_text("VRTSralus.service", Schedule(("Sat 14:00",), 0, 0, 0), True))
        host.file("/etc/systemd/system/%s.service" % own, service_text("VRTSralus.service", owner, "", "/usr/bin/systemctl"))
        return judge(host.unit("%s.timer" % own, Unit="%s.service" % own), "PH-ZMB-007")

    assert told("").only("warn")["remedy"] is None, "it is a timer already: mend the leak"
    assert told("backup team").status == "pass"
    assert set(told("backup team", limit=1500).only("fail")["remedy"]["parameters"]) == {"unit", "interval"}


def test_what_is_proposed_is_what_the_remedy_takes():
    """The line is taken over as it is; where it is too seldom, the interval is half of the time to the limit."""
    from pidhygiene.remedies.model import checked
    from pidhygiene.remedies.scheduled_restart import REMEDY

    weekly = judge(hidden_leak(), "PH-ZMB-007").only("warn")["remedy"]["parameters"]
    assert weekly == {"unit": "VRTSralus.service", "take_over": "/etc/crontab:1"}
    seldom = judge(hidden_leak(limit=1500), "PH-ZMB-007").only("fail")["remedy"]["parameters"]
    assert set(seldom) == {"unit", "take_over", "interval"} and 600 <= seldom["interval"] < 7 * 86400 / 2
    for parameters in (weekly, seldom):
        assert checked(REMEDY, parameters)["unit"] == "VRTSralus.service"


@pytest.mark.case("PH-ZMB-007", "silent")
def test_a_restart_without_zombies_hides_nothing():
    assert judge(hidden_leak(count=2), "PH-ZMB-007").status == "pass"
    other = leaking(300).file("/etc/crontab", "5 4 * * * root systemctl restart nginx.service\n")
    assert judge(other, "PH-ZMB-007").status == "pass"


def restarted_by_timer(schedule="OnCalendar=Sat 14:00", command="/usr/bin/systemctl try-restart VRTSralus.service", limit=16384, count=300, active=True):
    host = leaking(count).process(700, 1, "bash", uid=500, nproc=(limit, limit), cgroup="/user.slice/user-500.slice/session-1.scope")
    host.unit("fresh.timer", ActiveState="active" if active else "inactive").file("/etc/systemd/system/fresh.timer", "[Timer]\n%s\n" % schedule)
    return host.file("/etc/systemd/system/fresh.service", "[Service]\nType=oneshot\nExecStart=%s\n" % command)


def restarted_by_age(seconds="7d", limit=16384, count=300):
    host = leaking(count).process(700, 1, "bash", uid=500, nproc=(limit, limit), cgroup="/user.slice/user-500.slice/session-1.scope")
    host.unit("VRTSralus.service", MainPID=8102, Restart="always", RuntimeMaxUSec=7 * 86400 * 10 ** 6, ControlGroup="/system.slice/VRTSralus.service")
    return host.file("/etc/systemd/system/VRTSralus.service", "[Service]\nExecStart=/opt/x\nRestart=always\nRuntimeMaxSec=%s\n" % seconds)


@pytest.mark.case("PH-ZMB-007", "fires")
@pytest.mark.parametrize("host, limit, text", [
    (restarted_by_timer, 16384, "fresh.timer restarts VRTSralus every 7.0 d to hide a leak"),
    (restarted_by_age, 16384, "RuntimeMaxSec= restarts VRTSralus.service every 7.0 d to hide a leak"),
])
def test_timers_and_runtime_limits_hide_leaks_too(host, limit, text):
    assert text in judge(host(limit=limit), "PH-ZMB-007").only("warn")["message"]
    finding = judge(host(limit=1500), "PH-ZMB-007").only("fail")
    assert finding["severity"] == "HIGH" and "less than twice the interval" in finding["message"]


def test_a_schedule_of_another_form_warns_and_never_fails():
    assert "fresh.timer restarts VRTSralus to hide" in judge(restarted_by_timer("OnCalendar=*:0/7..59", limit=1500), "PH-ZMB-007").only("warn")["message"]


def test_an_owned_restart_fails_only_when_it_comes_too_late():
    owned = {"restarts": {"owned": ["VRTSralus.service"]}}
    for host in (restarted_by_timer, restarted_by_age, hidden_leak):
        assert judge(host(), "PH-ZMB-007", owned).status == "pass"
        assert judge(host(limit=1500), "PH-ZMB-007", owned).only("fail")


@pytest.mark.case("PH-ZMB-007", "silent")
@pytest.mark.parametrize("host", [
    restarted_by_timer(count=2), restarted_by_timer(command="/usr/bin/systemctl restart nginx.service"), restarted_by_timer(active=False),
    restarted_by_timer(command="/usr/bin/systemctl reload VRTSralus.service"), restarted_by_age(count=2)])
def test_timers_that_restart_others_or_nothing(host):
    assert judge(host, "PH-ZMB-007").status == "pass"


@pytest.mark.parametrize("lines, days", [
    (["OnCalendar=daily"], 1), (["OnCalendar=Sat *-*-* 14:00:00"], 7), (["OnCalendar=mon..fri 02:00"], 3), (["OnCalendar=sat,sun"], 6),
    (["OnCalendar=fri..mon 1:00"], 4), (["OnCalendar=*-*-01 04:00"], 31), (["OnCalendar=weekly", "OnCalendar=04:00"], 1),
    (["OnBootSec=5min", "OnUnitActiveSec=12h"], 0.5), (["OnBootSec=1d"], None), (["OnCalendar=Mon *-*-1..7 4:00"], None), (["OnCalendar=2027-01-01"], None)])
def test_the_longest_pause_of_a_timer(lines, days):
    assert longest_pause(lines) == (days * 86400 if days is not None else None)


@pytest.mark.case("PH-ZMB-007", "unreadable")
def test_unreadable_crontab():
    assert judge(hidden_leak().forbid("/etc/crontab"), "PH-ZMB-007").status == "unknown"
    assert judge(restarted_by_timer().forbid("bus"), "PH-ZMB-007").status == "unknown"
