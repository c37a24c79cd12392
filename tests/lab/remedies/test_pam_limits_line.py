"""pam_limits_line: what the administrator meant is what the next login has, asked of real logins; and what is refused."""

from __future__ import annotations

from ..auditing import check, of_rule, only
from ..host import LabHost
from .doors import Door, everything, answers, unchanged

FOLDER = "/etc/security/limits.d"
FILE = f"{FOLDER}/zz-pidhygiene.conf"


def in_a_login(host: LabHost, option: str) -> str:
    return host.run(["su", "-", "oracle", "-s", "/bin/bash", "-c", f"ulimit {option}"]).stdout.strip()


def deviating(host: LabHost, rule: str) -> list[str]:
    return [each["message"] for each in of_rule(check(host), rule) if each["status"] in ("warn", "fail")]


def test_what_was_meant_is_what_a_login_has(door: Door) -> None:
    host = door.host
    host.run(["useradd", "-m", "-u", "1500", "oracle"])
    host.write(f"{FOLDER}/9-old.conf", "oracle - nofile 250\n")  # is read after 10-, which is what nobody expects
    host.write(f"{FOLDER}/10-ours.conf", "oracle - nofile 300\n1500 - nproc 900  # for the database\n")
    assert in_a_login(host, "-Hn") == "250"
    found = check(host)
    nobody = only(found, "PH-LIM-007", "fail")["remedy"]
    (overruled,) = (each["remedy"] for each in of_rule(found, "PH-LIM-008") if each["status"] == "warn")  # one for both halves of its dash
    assert overruled["state"] == nobody["state"] == "pam_limits_line"

    before = everything(host)
    looked = door.look("pam_limits_line", **overruled["parameters"])
    assert looked.ok and looked.changed and "oracle - nofile 300\n" in looked.differences[FILE][1], looked
    unchanged(host, before)

    applied = door.apply("pam_limits_line", **overruled["parameters"])
    assert applied.ok and applied.changed and applied.differences == looked.differences, applied
    corrected = door.apply("pam_limits_line", **nobody["parameters"])
    assert corrected.ok and corrected.changed, corrected
    assert ":1500 - nproc 900\n" in host.read(f"{FOLDER}/10-ours.conf")
    assert deviating(host, "PH-LIM-008") == deviating(host, "PH-LIM-007") == []
    assert (in_a_login(host, "-Sn"), in_a_login(host, "-Hn"), in_a_login(host, "-u")) == ("300", "300", "900")

    before = everything(host)
    again = door.apply("pam_limits_line", **nobody["parameters"])
    assert again.ok and not again.changed and not again.differences, again
    unchanged(host, before)

    host.reboot()
    assert (in_a_login(host, "-Hn"), in_a_login(host, "-u")) == ("300", "900")
    assert deviating(host, "PH-LIM-008") == deviating(host, "PH-LIM-007") == []

    gone = door.apply("pam_limits_line", file=f"{FOLDER}/10-ours.conf", domain=":1500", type="-", item="nproc", state="absent")
    assert gone.ok and gone.changed, gone
    assert host.read(f"{FOLDER}/10-ours.conf") == "oracle - nofile 300\n1500 - nproc 900  # for the database\n"
    assert door.apply("pam_limits_line", state="absent").changed
    assert host.run(["test", "-e", FILE], check=False).returncode and in_a_login(host, "-Hn") == "250"


def test_what_locks_people_out_is_refused_and_changes_nothing(engine_host: LabHost) -> None:
    host = engine_host
    host.run(["useradd", "-m", "-u", "1500", "oracle"])
    host.write(f"{FOLDER}/zzz.conf", "oracle - nofile 250\noracle soft nproc 100\n")
    host.run(["systemd-run", "--unit=crowd", "--uid=oracle", "bash", "-c", "for i in {1..19}; do sleep 1000000 & done; wait"])
    host.shell("until [ $(pgrep -c -u oracle) -ge 20 ]; do sleep 0.05; done")
    before = everything(host)
    oracle = {"domain": "oracle", "type": "-", "item": "nproc"}
    cases = (
        ({"domain": "oracle", "type": "-", "item": "nofile", "value": "300"}, "zzz.conf:1, \"oracle - nofile 250\", wins"),
        ({**oracle, "value": "12k"}, "whole number"),
        ({**oracle, "value": "0x40"}, "whole number"),
        ({**oracle, "value": "-5"}, "whole number"),
        ({**oracle, "type": "hard", "value": "0"}, "no session works with less than 8"),
        ({**oracle, "type": "hard", "value": "39"}, "less than twice of the 20"),
        ({**oracle, "item": "noproc", "value": "100"}, "has no limit noproc"),
        ({**oracle, "item": "chroot", "value": "/tmp"}, "has no limit chroot"),
        ({"domain": "oracle", "type": "hard", "item": "nofile", "value": "2000000"}, "above fs.nr_open"),
        ({"domain": "oracle", "type": "hard", "item": "maxlogins", "value": "0"}, "could not log in any more"),
        ({"domain": "root", "type": "-", "item": "nproc", "value": "100"}, "what root may do is not lowered"),
        ({"domain": "0:2000", "type": "-", "item": "nofile", "value": "100"}, "what root may do is not lowered"),
        ({"domain": "*", "type": "hard", "item": "nofile", "value": "10"}, "no session works with less than 32"),
        ({"domain": "orcale", "type": "-", "item": "nproc", "value": "100"}, "would speak for nobody"),
        ({"domain": "1500", "type": "-", "item": "nproc", "value": "100"}, "a uid is written :1500"),
        ({**oracle, "value": "100\n* - nproc 0"}, "control character"),
        ({"domain": "oracle -\t", "type": "-", "item": "nproc", "value": "100"}, "control character"),
        ({"domain": "a b", "type": "-", "item": "nproc", "value": "100"}, "one word"),
        ({"domain": "oracle#", "type": "-", "item": "nproc", "value": "100"}, "one word"),
        ({"domain": "oracle", "type": "-"}, "missing"),
        ({**oracle, "value": "100", "file": "/etc/passwd"}, "is not read by pam_limits"),
        ({**oracle, "value": "100", "file": FOLDER + "/../../passwd.conf"}, "is not read by pam_limits"),
        ({**oracle, "value": "100", "instead_of": "oracle - nproc 5"}, "has no line"),
        ({"file": FOLDER + "/zzz.conf", "state": "absent"}, "not this remedy's own"),
        ({}, "nothing to set"),
    )
    for (given, words), message in zip(cases, answers(host, "pam_limits_line", [given for given, _words in cases]), strict=True):
        assert words in message, (given, message)
    unchanged(host, before)


def test_logins_that_a_missing_limits_conf_refuses_are_possible_again(engine_host: LabHost) -> None:
    host = engine_host
    host.run(["rm", "/etc/security/limits.conf"])
    assert host.run(["su", "-", "root", "-c", "true"], check=False).returncode != 0
    remedy = only(check(host), "PH-LIM-007", "fail")["remedy"]
    (said,) = answers(host, "pam_limits_line", [remedy["parameters"]])
    assert said.startswith("done: ")
    assert host.run(["su", "-", "root", "-c", "true"], check=False).returncode == 0
    assert deviating(host, "PH-LIM-007") == []
