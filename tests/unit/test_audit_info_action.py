"""What the action plugin makes of hosts that gave no answer."""

import collection
import pytest

collection.install()

from ansible_collections.pidhygiene.host.plugins.action import audit_info  # noqa: E402


@pytest.mark.parametrize("said, meaning, step", [
    ({"module_stderr": "/bin/sh: 1: Cannot fork\n", "msg": "MODULE FAILURE"}, "no process can start", "console"),
    ({"module_stderr": "bash: fork: retry: Resource temporarily unavailable"}, "no process can start", "console"),
    ({"msg": "Failed to connect to the host via ssh: exec request failed on channel 0"}, "no process can start", "console"),
    ({"msg": "Failed to create temporary directory. ..."}, "no process can start", "root"),
    ({"module_stderr": "OSError: [Errno 12] Cannot allocate memory"}, "no process can start", "console"),
    ({"msg": "kex_exchange_identification: Connection closed by remote host"}, "possibly no process can start", "MaxStartups"),
    ({"msg": "ssh: connect to host db1 port 22: Connection timed out"}, "nothing answers", "console"),
    ({"msg": "ssh: Could not resolve hostname db1: Name or service not known"}, "does not resolve", "ansible_host"),
    ({"msg": "root@db1: Permission denied (publickey)."}, "login was refused", "key"),
    ({"module_stdout": "/bin/sh: 1: /usr/bin/python9: not found\r\n", "msg": "MODULE FAILURE"}, "no usable Python", "ansible_python_interpreter"),
    ({"msg": "Missing sudo password"}, "privileges", "become"),
    ({"msg": "sftp: No space left on device"}, "could not be copied", "ansible_remote_tmp"),
])
def test_hint(said, meaning, step):
    hint = audit_info._hint(said)
    assert meaning in hint.meaning and step in hint.next_step


def test_an_unknown_symptom_claims_nothing():
    hint = audit_info._hint({"msg": "The moon is full"})
    assert hint.meaning == "" and "-vvv" in hint.next_step


def test_a_mistake_in_the_policy_needs_no_hint_about_hosts():
    hint = audit_info._hint({"msg": "sudo: is no setting", "mistakes": [{"path": "sudo"}]})
    assert (hint.meaning, hint.next_step) == ("", "correct the policy")


@pytest.mark.parametrize("answer, reason", [
    ({"msg": "no route"}, "no route"),
    ({"msg": "MODULE FAILURE\nSee stdout/stderr", "module_stderr": "Traceback\nKeyError: 'x'\n"}, "KeyError: 'x'"),
    ({}, "no reason was given"),
])
def test_reason(answer, reason):
    assert audit_info._reason(answer) == reason


@pytest.mark.parametrize("given, groups, tags", [
    (None, ["ungrouped"], []), (["b", "a"], ["web", "a"], ["a", "b", "web"]), ("one", None, ["one"]), ([3], [], ["3"]),
])
def test_tags_are_those_of_the_task_and_the_groups(given, groups, tags):
    assert audit_info._tags(given, groups) == tags


@pytest.mark.parametrize("made", [("new", "#!/usr/bin/python3", "text", "/a"), ("one",), (object(), "/a"), ("new", "#!/bin/sh", b"echo", "/a")])
def test_a_program_of_a_form_that_is_not_known_is_sent_as_it_is(made, tmp_path):
    assert audit_info._lighter(made, tmp_path) == made
