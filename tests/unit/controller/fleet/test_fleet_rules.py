"""PH-FLT-001 … 009: each fires, is silent beside it, and does not take what it could not see for health."""

import dataclasses

import pytest
from controller.fleet import results, schedules, upgrades
from controller.fleet.catalogue import RULES, judge
from controller.fleet.voters import groups as voters_of
from fleet_hosts import NOW, broken, finding, group, having, healthy, host, policy, without
from pidhygiene.audit import audit
from pidhygiene.readers import crontab
from simulated import SimulatedHost

NOFILE = ("units", "nginx.service", "configured", "LimitNOFILE")
DAY = 86400


def found(hosts, rule="PH-FLT-001", **document):
    return [each for each in judge(hosts, policy(**document), NOW).findings if each.rule == rule]


def status_of(hosts, rule, **document):
    return next(row for row in judge(hosts, policy(**document), NOW).rules if row.rule == rule)


def test_a_healthy_mixed_fleet_is_silent():
    judged = judge(healthy(), None, NOW)
    assert judged.findings == () and judged.hosts == 200 and judged.not_audited == 0
    assert {row.rule: row.status for row in judged.rules} == {
        rule.id: "n/a" if rule.id in ("PH-FLT-006", "PH-FLT-009") else "pass" for rule in RULES}
    assert "quorum_groups" in judged.rules[5].reason


def test_a_rule_is_listed_once_and_in_order():
    assert [rule.id for rule in RULES] == ["PH-FLT-%03d" % number for number in range(1, 10)]


# -- PH-FLT-001 ---------------------------------------------------------------------------------------------------------


def test_a_minority_is_told_with_the_file_that_differs():
    hosts = group(20)
    hosts[6] = having(hosts[6], {"value": "1024", "file": "/etc/systemd/system/nginx.service.d/old.conf"}, *NOFILE)
    (told,) = found(hosts)
    assert told.hosts == ("web7",) and told.status == "warn" and told.subject == "nginx.service LimitNOFILE"
    assert "old.conf" in told.message and "limits.conf" in told.message and "19 hosts more of web" in told.message
    assert told.remedy["parameters"] == {"unit": "nginx.service", "limits": {"nofile": "65536"}}


def test_a_setting_that_is_missing_is_the_default():
    hosts = group(10)
    hosts[0] = having(without(hosts[0], *NOFILE), {"value": "mixed", "file": "/lib/x"}, "units", "nginx.service", "configured", "KillMode")
    told = {each.subject: each for each in found(hosts)}
    assert "the default" in told["nginx.service LimitNOFILE"].message and "no file sets it" in told["nginx.service LimitNOFILE"].message
    assert told["nginx.service KillMode"].hosts == ("web1",)


def test_a_unit_without_facts_is_there_when_it_has_a_budget():
    hosts = group(10)
    bare = without(hosts[0], "units", "nginx.service")
    (told,) = found([bare] + hosts[1:])
    assert told.status == "info" and "or is not installed" in told.message
    there = dataclasses.replace(bare, measures={"groups": [{"kind": "pids.max", "holder": "/system.slice/nginx.service", "used": 3, "limit": 100}]})
    (told,) = found([there] + hosts[1:])
    assert told.status == "warn" and told.hosts == ("web1",)


@pytest.mark.parametrize("count, differing", [(4, 1), (10, 3), (10, 5)])
def test_few_hosts_and_large_minorities_are_no_outliers(count, differing):
    hosts = group(count)
    for number in range(differing):
        hosts[number] = having(hosts[number], {"value": "1024", "file": "/etc/x"}, *NOFILE)
    assert found(hosts) == []


def test_the_policy_says_what_a_group_and_a_minority_are():
    hosts = group(9)
    hosts[0] = having(hosts[0], {"value": "1024", "file": "/etc/x"}, *NOFILE)
    assert found(hosts) != [] and found(hosts, fleet={"smallest_group": 10}) == [] and found(hosts, fleet={"minority": 0.1}) == []


def test_sites_and_roles_cross():
    """In the site, two proxies differ from twenty web servers; in their role they agree."""
    web = [host("web%d" % number, ("web", "site1")) for number in range(20)]
    proxies = [having(host("proxy%d" % number, ("proxy", "site1")), {"value": "9999", "file": "/etc/p"}, *NOFILE) for number in range(2)]
    assert found(web + proxies) == []
    alone = [having(host("proxy", ("site1",)), {"value": "9999", "file": "/etc/p"}, *NOFILE)]
    assert found(web + alone)[0].hosts == ("proxy",)


def test_releases_are_not_compared_with_each_other():
    old, new = [[host("%s%d" % (word, number), release=release) for number in range(count)]
                for word, count, release in (("old", 12, ("debian", "12")), ("new", 2, ("debian", "13")))]
    new = [having(each, {"value": "mixed", "file": "/lib"}, "units", "cron.service", "configured", "KillMode") for each in new]
    assert found(old + new) == []


@pytest.mark.parametrize("value, told", [(100000, True), (65536, False), (4194304, False)])
def test_pid_max_by_where_it_comes_from(value, told):
    """49152 and 65536 are defaults of machines with 48 and 64 processors."""
    hosts = [having(each, 32768 if value != 4194304 else 4194304, "kernel", "pid_max") for each in group(10)]
    hosts[3] = having(hosts[3], value, "kernel", "pid_max")
    assert [each.hosts for each in found(hosts)] == ([("web4",)] if told else [])


def test_defaults_of_the_manager():
    hosts = group(10)
    hosts[2] = having(hosts[2], {"DefaultLimitNOFILE": {"value": "4096", "file": "/etc/systemd/system.conf"}}, "systemd", "defaults")
    (told,) = found(hosts)
    assert told.subject == "systemd DefaultLimitNOFILE" and "/etc/systemd/system.conf" in told.message and told.remedy is None


def test_one_cause_on_500_hosts_is_one_finding():
    hosts = [host("web%04d" % number) for number in range(3000)]
    hosts[:500] = [having(each, {"value": "1024", "file": "/etc/old"}, *NOFILE) for each in hosts[:500]]
    (told,) = found(hosts)
    assert len(told.hosts) == 500 and len(told.evidence) <= 20
    (again,) = found([having(each, {"value": "1024", "file": "/etc/old"}, *NOFILE) for each in hosts[:3]] + hosts[500:])
    assert again.fingerprint == told.fingerprint


# -- PH-FLT-002 ---------------------------------------------------------------------------------------------------------


def leaking(made, zombies, oldest=7200.0, program="/opt/VRTSralus/bin/beremote"):
    return dataclasses.replace(made, measures={"zombies": {"total": zombies, "by_parent": [
        {"parent": program, "pid": 8102, "unit": "VRTSralus.service", "count": zombies, "persistent": zombies, "oldest_s": oldest}]}})


def test_software_that_leaks_everywhere():
    (told,) = found([leaking(each, 30 + number) for number, each in enumerate(group(10)) if number < 4] + group(10)[4:], "PH-FLT-002")
    assert told.subject.endswith("beremote") and len(told.hosts) == 4 and "it is the software" in told.message and told.status == "warn"


def test_a_restart_that_comes_too_late_anywhere():
    late = finding("PH-ZMB-007", "fail", subject=("job", "/etc/crontab:17: VRTSralus.init"))
    hosts = [leaking(each, 30) for each in group(4)]
    hosts[1] = dataclasses.replace(hosts[1], findings=(late,))
    (told,) = found(hosts, "PH-FLT-002")
    assert told.status == "fail" and "comes too late" in told.message
    (alone,) = found([dataclasses.replace(host(), findings=(late,))] + group(10)[1:], "PH-FLT-002")
    assert alone.status == "fail" and alone.hosts == ("web1",)


def test_a_host_that_leaks_alone():
    hosts = group(10)
    (told,) = found([leaking(hosts[0], 400)] + hosts[1:], "PH-FLT-002")
    assert told.hosts == ("web1",) and "differs on this host" in told.message
    assert found([leaking(hosts[0], 19, 60.0)] + hosts[1:], "PH-FLT-002") == []
    assert found([leaking(hosts[0], 400)] + hosts[1:4], "PH-FLT-002") == [], "four hosts are no group"
    assert found([leaking(hosts[0], "many")] + hosts[1:], "PH-FLT-002") == []
    assert found([leaking(each, 40) for each in hosts[:2]], "PH-FLT-002") == [], "two hosts are not everywhere"


# -- PH-FLT-003 ---------------------------------------------------------------------------------------------------------

CRON = ("time", "cron", "lines")


def test_hosts_in_another_zone():
    hosts = group(10) + [host("web11", zone="Asia/Shanghai")]
    (told,) = found(hosts, "PH-FLT-003")
    assert told.hosts == ("web11",) and told.status == "fail" and "Asia/Shanghai" in told.message and "Europe/Berlin" in told.message
    assert told.remedy["parameters"] == {"name": "Europe/Berlin"}
    assert found([dataclasses.replace(each, groups=("web", "geo-asia")) if each.name == "web11" else each for each in hosts], "PH-FLT-003") == []
    assert found([without(each, "time") if each.name == "web11" else each for each in hosts], "PH-FLT-003") == []


def test_two_hosts_that_run_one_job_at_two_hours():
    """9:00 became 17:00."""
    job = {"table": "/var/spool/cron/crontabs/oracle", "user": "oracle", "hash": "ab" * 8}
    pair = [having(host("a", ()), [job], *CRON), having(host("b", (), zone="Asia/Shanghai"), [job], *CRON)]
    (told,) = found(pair, "PH-FLT-003")
    assert told.status == "fail" and told.hosts == ("a", "b") and "at different hours" in told.message
    shipped = [having(each, [{"table": "/etc/cron.d/sysstat", "user": "root", "hash": "ab" * 8}], *CRON) for each in pair]
    (told,) = found(shipped, "PH-FLT-003")
    assert told.status == "info", "nobody can say which zone is meant"


def moving(when, *more):
    return [{"table": "/var/spool/cron/crontabs/oracle", "user": "oracle", "hash": crontab.digest(each, "oracle", "batch")[:16],
             "job": crontab.digest("", "oracle", "batch")[:16], "when": each} for each in (when, *more)]


@pytest.mark.parametrize("usual, other, told", [
    ("0 9 * * *", "0 17 * * *", "17:00, elsewhere 09:00"), ("30 1,13 * * mon", "30 7,19 * * MON", "07:30, elsewhere 01:30"), ("@daily", "0 8 * * *", "08:00, elsewhere 00:00"),
    ("0 9 * * *", "7 9 * * *", ""), ("0 9 * * *", "0 17 * * 1", ""), ("0 * * * *", "5 * * * *", ""), ("0 9 * * *", "0 9,17 * * *", ""), ("0 9 * * *", "@reboot", ""),
    ("0 9 * * *", "0 99 * * *", ""), ("0 9 * * *", "", "")])
def test_a_job_that_a_few_hosts_run_some_hours_apart(usual, other, told):
    hosts = [having(each, moving(usual), *CRON) for each in group(10)] + [having(host("web11"), moving(other) if other else moving(usual, "0 17 * * *"), *CRON)]
    messages = [each for each in found(hosts, "PH-FLT-003")]
    assert [(each.status, each.severity, each.hosts) for each in messages] == ([("warn", "MED", ("web11",))] if told else [])
    assert all(told in each.message and "/var/spool/cron/crontabs/oracle" in each.message for each in messages)


def test_a_job_that_moved_with_its_zone_or_in_half_of_the_group_is_none():
    """Made up for, in a zone of its own; a group that is divided; jobs of which only the line is known."""
    hosts = [having(each, moving("0 9 * * *"), *CRON) for each in group(10)]
    split = hosts + [having(host("web11", zone="Asia/Shanghai"), moving("0 16 * * *"), *CRON)]
    assert [each.status for each in found(split, "PH-FLT-003")] == ["fail"], "the zone, and nothing else"
    half = hosts[:5] + [having(each, moving("0 17 * * *"), *CRON) for each in group(10)[5:]]
    assert found(half, "PH-FLT-003") == []
    older = [{key: value for key, value in moving("0 17 * * *")[0].items() if key not in ("job", "when")}]
    assert found(hosts + [having(host("web11"), older, *CRON)], "PH-FLT-003") == []
    assert found(hosts + [having(host("web11"), [{**moving("0 17 * * *")[0], "when": 17, "job": []}], *CRON)], "PH-FLT-003") == []


@pytest.mark.parametrize("line", ["17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly",
                                  "25 6\t* * *\troot\ttest -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }"])
def test_lines_that_a_distribution_ships(line):
    (job,) = crontab.parse(line + "\n", True, crontab.DEBIAN).jobs
    shipped = [{"table": "/etc/crontab", "user": "root", "hash": job.digest[:16]}]
    pair = [having(host("a", ()), shipped, *CRON), having(host("b", (), zone="Asia/Shanghai"), shipped, *CRON)]
    assert [each.status for each in found(pair, "PH-FLT-003")] == ["info"]


def test_one_zone_has_many_names():
    same = [having(host("web%d" % number, zone=zone), "digest", "time", "zone", "digest") for number, zone in enumerate(["Asia/Shanghai"] * 6 + ["PRC"])]
    assert found(same, "PH-FLT-003") == []
    assert found([having(each, each.name, "time", "zone", "digest") for each in same], "PH-FLT-003") != []


def test_the_zone_that_the_policy_expects():
    hosts = group(3) + [host("web4", zone="UTC"), host("web5", zone="UTC")]
    (told,) = found(hosts, "PH-FLT-003", zone={"expected": "UTC"})
    assert told.hosts == ("web1", "web2", "web3") and told.remedy["parameters"] == {"name": "UTC"}


# -- PH-FLT-004 ---------------------------------------------------------------------------------------------------------


def test_clones():
    hosts = group(3)
    hosts[1] = dataclasses.replace(hosts[1], host={**hosts[1].host, "machine_id": hosts[0].host["machine_id"]})
    hosts[1] = having(hosts[1], hosts[0].facts["identity"], "identity")
    (told,) = found(hosts, "PH-FLT-004")
    assert told.hosts == ("web1", "web2") and told.status == "fail"
    assert "machine-id" in told.message and "minion id" in told.message and "host key" in told.message


def test_a_floating_name_is_the_same_machine():
    one = host()
    assert found([one, dataclasses.replace(one, name="vip")], "PH-FLT-004") == []
    assert found([one, dataclasses.replace(one, name="clone", host={**one.host, "boot_id": "other"})], "PH-FLT-004") != []
    blank = [dataclasses.replace(without(each, "identity"), host={**each.host, "machine_id": ""}) for each in group(3)]
    assert found(blank, "PH-FLT-004") == [], "an identity that could not be read is not shared"


# -- PH-FLT-005, F19 ----------------------------------------------------------------------------------------------------

STALE_BUS = finding("PH-DEL-004", "warn", "HIGH", ("unit", "dbus.service"), "dbus.service (600) runs /usr/bin/dbus-daemon, which was replaced 1 d ago: …",
                    {"state": "restart", "parameters": {"unit": "dbus.service", "order": "dbus"}, "disruptive": True})
LEAKED = finding("PH-SES-001", "warn", "HIGH", ("host", "sessions"))
STALE_SERVICE = finding("PH-DEL-001", "warn", "MED", ("unit", "elasticsearch.service"), "elasticsearch.service: java (700) runs /usr/bin/java, which was replaced 1 d ago",
                        {"state": "restart", "parameters": {"unit": "elasticsearch.service"}, "disruptive": True})
ES = {"es-masters": {"voters": ["es1", "es2", "es3"], "units": ["elasticsearch.service"]}}


def masters(*findings):
    return [host("es%d" % number, ("es-masters", "quorum=3"), findings=findings or (STALE_BUS, LEAKED)) for number in (1, 2, 3)]


def test_three_masters_wait_for_the_same_restart():
    (told,) = found(masters(), "PH-FLT-005")
    assert told.subject == "dbus" and told.hosts == ("es1", "es2", "es3") and "3 of 3 audited hosts of es-masters" in told.message
    assert told.remedy["parameters"]["batches"] == [["es1"], ["es2"], ["es3"]] and told.remedy["state"] == "reboot"
    assert found(masters()[:1] + [host("es2"), host("es3")], "PH-FLT-005") == [], "one host says it itself"
    waits = finding("PH-DEL-004", "info", "INFO", ("unit", "dbus.service"))
    assert found(masters(waits), "PH-FLT-005") == [], "an update is running"


def audited_master(number):
    """es1, es2, es3 as the engine sees them: the bus and the search engine were replaced on disk, and sessions leak."""
    made = SimulatedHost().file("/proc/sys/kernel/hostname", "es%d\n" % number).file("/proc/sys/kernel/random/boot_id", "3a9c4a5e-0000-4000-8000-%012d\n" % number)
    for pid, unit, path in ((600, "dbus.service", "/usr/bin/dbus-daemon"), (700, "elasticsearch.service", "/usr/sbin/elasticsearch")):
        made.process(pid, 1, path.rpartition("/")[2][:15], cgroup="/system.slice/" + unit, exe=path + " (deleted)")
        made.file(path + " (deleted)", "", nlink=0, ino=pid, ctime=made.wall - 90 * DAY).file(path, "", ctime=made.wall - DAY)
        made.unit(unit, MainPID=pid, ControlGroup="/system.slice/" + unit)
    for session in range(1, 101):
        made.file("/run/systemd/sessions/%d" % session, LEAKED_SESSION % (session, 100000 + session, (made.wall - 5000) * 1e6))
    result = audit(made, tags=["es-masters", "quorum=3"])
    assert result["audit"]["errors"] == []
    return dataclasses.replace(results.of_document(result), at=NOW, received=NOW)


LEAKED_SESSION = "UID=500\nUSER=oracle\nACTIVE=0\nSTATE=closing\nTYPE=unspecified\nCLASS=background\nSCOPE=session-%d.scope\nSERVICE=crond\nLEADER=%d\nREALTIME=%d\n"


def test_f19_as_the_engine_tells_it():
    hosts = [audited_master(number) for number in (1, 2, 3)]
    assert all({"PH-DEL-004", "PH-SES-001"} <= {each["rule"] for each in made.findings if each["status"] in ("warn", "fail")} for made in hosts)
    told = {each.subject: each for each in found(hosts, "PH-FLT-005")}
    assert set(told) == {"dbus", "elasticsearch"} and all(each.hosts == ("es1", "es2", "es3") for each in told.values())
    assert told["elasticsearch"].remedy["parameters"] == {"units": ["elasticsearch.service"], "batches": [["es1"], ["es2"], ["es3"]]}


def test_batches_keep_the_majority():
    hosts = [host("web%d" % number, findings=(STALE_SERVICE,)) for number in range(9)] + masters(STALE_SERVICE)
    (told,) = found(hosts, "PH-FLT-005")
    batches = told.remedy["parameters"]["batches"]
    assert len(batches[0]) == 1 and sorted(name for batch in batches for name in batch) == sorted(each.name for each in hosts)
    assert all(sum(name.startswith("es") for name in batch) <= 1 for batch in batches) and max(map(len, batches)) == 3
    (told,) = found(hosts[:-1] + [broken("es3", ("es-masters", "quorum=3"))], "PH-FLT-005")
    assert not any(name.startswith("es") for batch in told.remedy["parameters"]["batches"] for name in batch) and "es1, es2" in told.message


@pytest.mark.parametrize("rule, subject, message, package", [
    ("PH-DEL-003", "/usr/lib/x86_64-linux-gnu/libssl.so.3", "", "libssl"), ("PH-DEL-003", "/usr/lib/libc-2.31.so", "", "libc"),
    ("PH-DEL-005", "PID 1", "", "systemd"), ("PH-DEL-003", "/usr/lib/systemd/libsystemd-shared-252.so", "", "systemd"),
    ("PH-DEL-001", "a.service", "a.service: java (7) runs /usr/bin/java, which was replaced 1 d ago", "java"), ("PH-DEL-002", "b.service", "no path", "b.service")])
def test_the_name_of_what_was_updated(rule, subject, message, package):
    assert upgrades.package_of(rule, subject, message) == package


# -- PH-FLT-006 ---------------------------------------------------------------------------------------------------------


def test_what_waits_in_a_group():
    (told,) = found(masters(STALE_SERVICE), "PH-FLT-006", quorum_groups=ES)
    assert told.status == "info" and "at most 1 may be down" in told.message
    (told,) = found(masters(STALE_SERVICE), "PH-FLT-006")
    assert told.status == "warn" and "tag alone binds no plan" in told.message
    assert found(masters(LEAKED), "PH-FLT-006", quorum_groups=ES) == [] and status_of(masters(LEAKED), "PH-FLT-006", quorum_groups=ES).status == "pass"
    (told,) = found([broken("es1"), broken("es2"), host("es3", ())], "PH-FLT-006", quorum_groups=ES)
    assert told.status == "unknown" and told.hosts == ("es1", "es2")


def test_voters_by_tag_and_by_policy():
    tags = {"es1": ("search", "es-masters", "quorum=3"), "es2": ("search", "es-masters", "quorum=3"), "es3": ("search", "es-masters", "quorum=3"),
            "es4": ("search",), "z1": ("zk", "quorum=5"), "z2": ("zk", "quorum=5")}
    assert [(each.name, each.size, each.spare) for each in voters_of(policy(), tags)] == [("es-masters", 3, 1), ("zk", 5, 2)]
    (group,) = voters_of(policy(quorum_groups={"all": {"voters": ["*", "es9"]}}), tags)
    assert group.size == 7 and "es9" in group.hosts and group.gated


# -- PH-FLT-007 ---------------------------------------------------------------------------------------------------------


def test_an_old_zone_database():
    hosts = group(10)
    behind = [having(hosts[0], "2024a-0+deb12u1", "packages", "tzdata")] + hosts[1:]
    (told,) = found(behind, "PH-FLT-007")
    assert told.hosts == ("web1",) and told.status == "warn" and told.severity == "LOW"
    assert found([having(hosts[0], "2026c-0+deb12u1", "packages", "tzdata")] + hosts[1:], "PH-FLT-007") == [], "the first that got the update"
    assert found([without(hosts[0], "packages")] + hosts[1:], "PH-FLT-007") == []


def test_a_name_that_some_cannot_resolve():
    user = having(host("old", zone="US/Pacific"), {"/etc/timezone": "US/Pacific"}, "time", "zone", "sources")
    new = host("new", release=("debian", "13"))
    (told,) = found([user, new], "PH-FLT-007")
    assert told.status == "fail" and told.hosts == ("new",) and "US/Pacific" in told.message
    assert found([user, having(new, "2026b", "packages", "tzdata-legacy")], "PH-FLT-007") == []
    assert found([user, host("other", release=("debian", "12"))], "PH-FLT-007") == []
    assert found([user, dataclasses.replace(new, groups=("db",))], "PH-FLT-007") == [], "another group has other jobs"


# -- PH-FLT-008 ---------------------------------------------------------------------------------------------------------


def test_silence_is_told():
    hosts = group(5) + [broken(), dataclasses.replace(host("old"), at=NOW - 3 * DAY), dataclasses.replace(host("blind"), rules={**dict.fromkeys("abcde", "unknown"), "f": "pass"}),
                        dataclasses.replace(host("ahead"), at=NOW + DAY), dataclasses.replace(host("undated"), at=None, received=None),
                        dataclasses.replace(host("fault"), audit={"engine_version": "0.1.0", "errors": ["rules.x: KeyError"]}), dataclasses.replace(host("mute"), rules={}),
                        dataclasses.replace(host("behind"), audit={"engine_version": "0.0.9"})]
    told = {each.subject: each.hosts for each in found(hosts, "PH-FLT-008")}
    assert told == {"unreachable": ("web9",), "stale": ("old",), "blind": ("blind", "mute"), "clocks": ("ahead",), "no date": ("undated",), "faults": ("fault",),
                    "engines": ("behind",)}


def test_a_result_that_is_taken_in_again_does_not_grow_young():
    old = dataclasses.replace(host(), at=NOW - 3 * DAY, received=NOW)
    assert found([old], "PH-FLT-008")[0].subject == "stale"
    assert found([old], "PH-FLT-008", fleet={"interval": 7 * DAY}) == []
    assert found([dataclasses.replace(old, groups=("maintenance",)), broken("gone", ("maintenance",))], "PH-FLT-008") == []


# -- PH-FLT-009 ---------------------------------------------------------------------------------------------------------


def restarting(when, randomized="", unit="elasticsearch.service", numbers=(1, 2, 3)):
    row = {"unit": unit, "when": when, "randomized": randomized, "source": "/etc/crontab:9"}
    return [having(each, [row], "restarts") if int(each.name[-1]) in numbers else each for each in masters(LEAKED)]


@pytest.mark.parametrize("when", ["0 3 * * *", "OnCalendar=*-*-* 03:00:00", "OnCalendar=daily", "@weekly systemctl restart elasticsearch", "OnCalendar=Sun 03:00 UTC"])
def test_the_same_minute(when):
    (told,) = found(restarting(when), "PH-FLT-009", quorum_groups=ES)
    assert told.status == "fail" and told.hosts == ("es1", "es2", "es3") and "only 1 may be down" in told.message
    assert found(restarting(when), "PH-FLT-009") != [], "by the tag"
    assert found(restarting(when, numbers=(1,)), "PH-FLT-009", quorum_groups=ES) == []
    assert found(restarting(when, "1h"), "PH-FLT-009", quorum_groups=ES) == []
    assert found(restarting(when, "5s"), "PH-FLT-009", quorum_groups=ES) != []
    assert found(restarting(when, unit="cron.service"), "PH-FLT-009", quorum_groups=ES) == []


def rebooting(*whens, delays=(0, 0, 0)):
    rows = [{"when": when, "randomized": "", "delay_min": delay, "source": "/etc/apt/apt.conf.d/50u"} for when, delay in zip(whens, delays, strict=True)]
    return [having(each, [row], "reboots") for each, row in zip(masters(LEAKED), rows, strict=True)]


def test_reboots_in_the_same_minute():
    (told,) = found(rebooting(*3 * ["OnCalendar=*-*-* 02:00"]), "PH-FLT-009", quorum_groups=ES)
    assert told.hosts == ("es1", "es2", "es3") and "es1, es2, es3 reboot in the same minute (OnCalendar=*-*-* 02:00), and of the 3 voters" in told.message
    assert told.remedy is None
    apart = ["OnCalendar=*-*-* 02:00", "OnCalendar=*-*-* 03:00", "OnCalendar=*-*-* 04:00"]
    assert found(rebooting(*apart), "PH-FLT-009", quorum_groups=ES) == []
    assert found(rebooting(*3 * ["0 4 * * *"], delays=(0, 10, 20)), "PH-FLT-009", quorum_groups=ES) == []
    assert found(rebooting("0 4 * * *", "OnCalendar=*-*-* 03:05 UTC", apart[0], delays=(5, 0, 0)), "PH-FLT-009", quorum_groups=ES)[0].hosts == ("es1", "es2")


def test_a_restart_and_a_reboot_in_the_same_minute():
    mixed = restarting("0 2 * * *", numbers=(1,))[:1] + rebooting(*3 * ["OnCalendar=*-*-* 02:00"])[1:]
    (told,) = found(mixed, "PH-FLT-009", quorum_groups=ES)
    assert "reboot, restart elasticsearch.service in the same minute" in told.message and told.remedy is None


def test_different_words_for_the_same_minute_and_the_other_way_round():
    hosts = restarting("0 3 * * 1", numbers=(1,))[:1] + restarting("OnCalendar=Mon *-*-* 02:00:00 UTC", numbers=(2,))[1:2] + masters(LEAKED)[2:]
    assert found(hosts, "PH-FLT-009", quorum_groups=ES)[0].hosts == ("es1", "es2")
    moved = [having(each, 3600 * (number + 1), "time", "zone", "offset_s") for number, each in enumerate(restarting("0 3 * * *"))]
    assert found(moved, "PH-FLT-009", quorum_groups=ES) == [], "03:00 in three zones"


@pytest.mark.parametrize("when", ["RuntimeMaxSec=1d", "OnUnitActiveSec=1d", "OnBootSec=5min", "@reboot", "nonsense", "", "61 3 * * *", "OnCalendar=soon"])
def test_what_has_no_moment(when):
    assert schedules.minutes(when, 20000) == []
    assert found(restarting(when), "PH-FLT-009", quorum_groups=ES) == []


# -- hostile facts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 7, "text", [], [[]], {"": None}, {"a": {"b": []}}, [{"unit": 5}], {"x": "\ud800<script>"}])
def test_facts_of_any_type(wrong):
    names = ("kernel", "packages", "identity", "restarts", "reboots", "systemd", "units", "time")
    hosts = [dataclasses.replace(host("h%d" % number, ("es-masters", "quorum=3")), facts=dict.fromkeys(names, wrong), measures={"zombies": wrong, "groups": wrong},
                                 audit={"errors": wrong, "engine_version": wrong}, host={"distro": wrong, "machine_id": wrong}) for number in range(6)]
    judge(hosts + group(6), policy(quorum_groups=ES), NOW)
