"""Facts: what the fleet compares stands in every result, also when all is well."""

from pidhygiene.audit import audit
from simulated import SimulatedHost


def healthy():
    host = SimulatedHost().file("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAAC3Nza root@build\n").file("/etc/salt/minion_id", "web1\n")
    host.file("/etc/crontab", "0 4 * * 6 root systemctl restart app.service\n")
    host.process(90, 1, "cron", exe="/usr/sbin/cron").file("/usr/sbin/cron", "x")
    host.process(700, 1, "app", uid=33, nofile=(65536, 65536)).file("/var/lib/dpkg/status", "Package: cron\nStatus: install ok installed\nVersion: 3.0pl1-162\n\n")
    host.unit("app.service", MainPID=700, ControlGroup="/system.slice/app.service", FragmentPath="/etc/systemd/system/app.service")
    return host.file("/etc/systemd/system/app.service", "[Service]\nExecStart=/usr/bin/app\nLimitNOFILE=65536\nTasksMax=100\n")


def test_everything_a_fleet_rule_needs_is_there():
    facts = audit(healthy())["facts"]
    assert facts["kernel"] == {"pid_max": 4194304, "threads_max": 192730}
    assert facts["packages"]["cron"] == "3.0pl1-162"
    assert facts["units"]["app.service"]["configured"]["LimitNOFILE"] == {"value": "65536", "file": "/etc/systemd/system/app.service"}
    assert facts["identity"]["salt_minion_id"] == "web1"
    assert facts["restarts"] == [{"unit": "app.service", "when": "0 4 * * 6", "randomized": "", "source": "/etc/crontab:1"}]
    (line,) = facts["time"]["cron"]["lines"]
    assert (line["table"], line["when"]) == ("/etc/crontab", "0 4 * * 6") and len(line["hash"]) == len(line["job"]) == 16 and "restart" not in str(line)
    assert {"zone", "cron", "time_daemons"} <= set(facts["time"])


def test_a_job_is_known_again_when_its_hour_moves():
    jobs = [audit(healthy().file("/etc/crontab", "%s root systemctl restart app.service\n" % when))["facts"]["time"]["cron"]["lines"][0] for when in ("0 4 * * 6", "0 12 * * 6")]
    assert jobs[0]["job"] == jobs[1]["job"] and jobs[0]["hash"] != jobs[1]["hash"]


def test_cloned_keys_look_alike_whatever_their_comment():
    one, other = healthy(), healthy().file("/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAAC3Nza root@another\n")
    keys = [audit(host)["facts"]["identity"]["ssh_host_keys"] for host in (one, other)]
    assert keys[0] == keys[1] and len(keys[0]["ssh_host_ed25519_key.pub"]) == 16


def test_the_key_itself_is_not_told():
    assert "AAAAC3Nza" not in str(audit(healthy()))


def test_facts_are_there_although_a_source_is_not():
    facts = audit(healthy().forbid("/etc/ssh").forbid("/etc/crontab"))["facts"]
    assert facts["identity"]["ssh_host_keys"] == {} and facts["restarts"] == []
