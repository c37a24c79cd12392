from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidhygiene.host import LiveHost
from pidhygiene.model import Gap
from pidhygiene.readers import pam_stack
from pidhygiene.readers.pam_stack import ALWAYS, NEVER, REFUSED, SOMETIMES, UNKNOWN, PamStacks

LIMITS, SYSTEMD = "pam_limits.so", "pam_systemd.so"

DEBIAN_COMMON_SESSION = """\
# here are the per-package modules (the "Primary" block)
session\t[default=1]\t\t\tpam_permit.so
# here's the fallback if no module succeeds
session\trequisite\t\t\tpam_deny.so
session\trequired\t\t\tpam_permit.so
session\trequired\tpam_unix.so
session\toptional\tpam_systemd.so
"""
DEBIAN = {
    "etc/pam.d/sshd": "@include common-auth\nsession [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so close\n"
                      "session    required     pam_loginuid.so\n@include common-session\nsession    required     pam_limits.so\n",
    "etc/pam.d/cron": "session       required   pam_loginuid.so\n@include common-session-noninteractive\nsession    required   pam_limits.so\n",
    "etc/pam.d/su-l": "auth\t\trequired\tpam_env.so\nsession\t\toptional\tpam_keyinit.so force revoke\n@include su\n",
    "etc/pam.d/su": "auth sufficient pam_rootok.so\nsession    required   pam_limits.so debug conf=/etc/su.conf\n@include common-session\n",
    "etc/pam.d/chfn": "auth sufficient pam_rootok.so\n@include common-session\n",
    "etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so nullok\n",
    "etc/pam.d/common-session": DEBIAN_COMMON_SESSION,
    "etc/pam.d/common-session-noninteractive": DEBIAN_COMMON_SESSION.replace("session\toptional\tpam_systemd.so\n", ""),
    "etc/pam.d/other": "@include common-session\n",
    "usr/lib/pam.d/systemd-user": "session required pam_selinux.so close\nsession  required pam_limits.so\nsession optional pam_systemd.so\n",
}
RHEL = {
    "etc/pam.d/crond": "account    include    system-auth\nsession    required   pam_loginuid.so\nsession    include    password-auth\n",
    "etc/pam.d/sshd": "session    include      password-auth\nsession    include      postlogin\n",
    "etc/pam.d/password-auth": "session     optional      pam_keyinit.so revoke\nsession     required      pam_limits.so\n-session     optional      pam_systemd.so\n"
                               "session     [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid\n"
                               "session     required      pam_unix.so\n",
    "etc/pam.d/postlogin": "session optional pam_umask.so silent\n",
}


def stacks(
    root: Path, files: dict[str, str], debian: bool = True, services: tuple[str, ...] = (), version: tuple[int, ...] | None = (1, 7, 0),
) -> PamStacks:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return pam_stack.read(LiveHost(root=str(root)), debian, services, version)


def calls(root: Path, text: str, module: str = LIMITS, debian: bool = True, **others: str) -> str:
    files = {"etc/pam.d/it": text, **{"etc/pam.d/" + name: other for name, other in others.items()}}
    found = stacks(root, files, debian, ("it",)).of("it")
    assert found is not None
    return found.calls(module)


def test_debian(tmp_path: Path) -> None:
    found = stacks(tmp_path, DEBIAN, services=("chfn",))
    assert {service: found.stacks[service].calls(LIMITS) for service in ("sshd", "cron", "su", "su-l", "systemd-user", "chfn")} == {
        "sshd": ALWAYS, "cron": ALWAYS, "su": ALWAYS, "su-l": ALWAYS, "systemd-user": ALWAYS, "chfn": NEVER}
    assert found.stacks["sshd"].calls(SYSTEMD) == ALWAYS and found.stacks["cron"].calls(SYSTEMD) == NEVER
    assert found.stacks["su-l"].arguments(LIMITS) == (("debug", "conf=/etc/su.conf"),)
    assert found.conf_files == ("/etc/su.conf",)
    assert found.stacks["systemd-user"].path == "/usr/lib/pam.d/systemd-user"
    assert found.stacks["atd"].path == "" and found.stacks["atd"].calls(LIMITS) == NEVER  # other decides
    assert not found.gaps


def test_rhel(tmp_path: Path) -> None:
    found = stacks(tmp_path, RHEL, debian=False)
    assert found.stacks["crond"].calls(LIMITS) == ALWAYS == found.stacks["sshd"].calls(LIMITS)
    assert found.stacks["crond"].calls("pam_unix.so") == NEVER and found.stacks["sshd"].calls("pam_unix.so") == ALWAYS


def test_names_of_services(tmp_path: Path) -> None:
    found = stacks(tmp_path, {"etc/pam.d/mine": "session required pam_limits.so\n"}, services=("/usr/bin/Mine", "..", ""))
    assert found.of("Mine").calls(LIMITS) == ALWAYS and found.of("nothing") is None and ".." not in found.stacks


@pytest.mark.parametrize("text, expected", [
    ("session required pam_limits.so", ALWAYS),
    ("session sufficient pam_x.so\nsession required pam_limits.so", SOMETIMES),
    ("session sufficient pam_permit.so\nsession required pam_limits.so", NEVER),
    ("session required pam_x.so\nsession required pam_limits.so", ALWAYS),
    ("session requisite pam_x.so\nsession required pam_limits.so", ALWAYS),
    ("session optional pam_x.so\nsession required pam_limits.so", ALWAYS),
    ("session [success=1 default=ignore] pam_x.so\nsession required pam_limits.so\nsession required pam_permit.so", SOMETIMES),
    ("session [success=1 default=ignore] pam_permit.so\nsession required pam_limits.so\nsession required pam_permit.so", NEVER),
    ("session required pam_deny.so\nsession required pam_limits.so", REFUSED),
    ("session [success=9 default=ignore] pam_permit.so\nsession required pam_limits.so", REFUSED),
    ("session [default=ok] pam_deny.so\nsession required pam_limits.so", REFUSED),
    ("session [success=0] pam_limits.so", REFUSED),
    ("session [success=ok default=what] pam_limits.so", REFUSED),
    ("-session   optional \\\n   pam_limits.so # set_all", ALWAYS),
    ("# session required pam_limits.so\nsession required pam_permit.so", NEVER),
    ("account required pam_limits.so\nsession required pam_permit.so", NEVER),
    ("session required /lib/security/pam_limits.so", ALWAYS),
    ("session required", REFUSED),
    ("session include nothing\nsession required pam_limits.so", REFUSED),
    ("@include nothing\nsession required pam_limits.so", REFUSED),
    ("session required pam_limits.so \\", REFUSED),
    ("session required pam_succeed_if.so service = it\nsession required pam_limits.so", ALWAYS),
    ("session [success=ignore default=1] pam_succeed_if.so uid >= 1000\nsession required pam_limits.so\nsession required pam_permit.so", SOMETIMES),
    ("session [success=1 default=ignore] pam_succeed_if.so service notin cron:it quiet\nsession required pam_limits.so", ALWAYS),
])
def test_controls(tmp_path: Path, text: str, expected: str) -> None:
    assert calls(tmp_path, text + "\n") == expected


def test_substacks(tmp_path: Path) -> None:
    assert calls(tmp_path, "session substack sub\nsession required pam_limits.so", sub="session sufficient pam_permit.so\nsession required pam_deny.so") == ALWAYS
    assert calls(tmp_path, "session include sub\nsession required pam_limits.so", sub="session sufficient pam_permit.so\n") == NEVER
    assert calls(tmp_path, "session [success=1] pam_permit.so\nsession substack sub\nsession required pam_permit.so",
                 sub="session required pam_permit.so\nsession required pam_limits.so") == NEVER


def test_include_is_debians_own(tmp_path: Path) -> None:
    text = "session required pam_permit.so\n@include sub\n"
    assert calls(tmp_path, text, sub="session required pam_limits.so") == ALWAYS
    assert calls(tmp_path, text, debian=False, sub="session required pam_limits.so") == NEVER


def test_other_is_used_for_services_without_session_lines_and_breaks_all_when_broken(tmp_path: Path) -> None:
    assert calls(tmp_path, "auth required pam_permit.so", other="session required pam_limits.so") == ALWAYS
    assert calls(tmp_path, "session required pam_limits.so", other="@include nothing\n") == REFUSED


LOOP = {"etc/pam.d/su": "session include a\nsession required pam_limits.so\n", "etc/pam.d/a": "session include b\n", "etc/pam.d/b": "session include a\n"}


@pytest.mark.parametrize(("version", "answer"), [((1, 7, 0), REFUSED), ((1, 6), REFUSED), ((1, 5, 3), REFUSED), (None, UNKNOWN)])
def test_loops_end(tmp_path: Path, version: tuple[int, ...] | None, answer: str) -> None:
    assert stacks(tmp_path, LOOP, version=version).stacks["su"].calls(LIMITS) == answer


# Found by test_pam_stack_oracle: since 1.6.0 a loop goes on for 16 levels, and on one of them this session is complete.
LEFT_EARLY = {"etc/pam.d/su": "session [success=1] pam_permit.so\nsession include a\n",
              "etc/pam.d/a": "session sufficient pam_permit.so\nsession required pam_limits.so\nsession include a\n"}


@pytest.mark.parametrize(("version", "answer"), [((1, 7, 0), ALWAYS), ((1, 5, 2), REFUSED)])
def test_loops_are_followed(tmp_path: Path, version: tuple[int, ...], answer: str) -> None:
    assert stacks(tmp_path, LEFT_EARLY, version=version).stacks["su"].calls(LIMITS) == answer


def test_branches_without_end_are_a_gap(tmp_path: Path) -> None:
    files = {"f%d" % number: ("session include f%d\n" % (number + 1)) * 9 for number in range(12)}
    assert calls(tmp_path, "session include f0\n", f12="session required pam_permit.so\n", **files) == UNKNOWN


def test_pam_conf_counts_without_folders(tmp_path: Path) -> None:
    files = {"etc/pam.conf": "sshd session required pam_limits.so\nother\tsession required pam_permit.so\nSu session required pam_limits.so\n"}
    found = stacks(tmp_path, files)
    assert [found.stacks[name].calls(LIMITS) for name in ("sshd", "su", "cron")] == [ALWAYS, ALWAYS, NEVER]
    (tmp_path / "usr/lib/pam.d").mkdir(parents=True)
    assert stacks(tmp_path, {}).stacks["sshd"].calls(LIMITS) == REFUSED


def test_unreadable_files_make_the_service_unknown(tmp_path: Path) -> None:
    (tmp_path / "etc/pam.d").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/pam.d/common-session")
    found = stacks(tmp_path, {"etc/pam.d/sshd": "session required pam_limits.so\n@include common-session\n", "etc/pam.d/su": "session required pam_limits.so\n"})
    assert found.stacks["sshd"].calls(LIMITS) == UNKNOWN and found.stacks["su"].calls(LIMITS) == ALWAYS
    assert found.gaps == (Gap("/etc/pam.d/common-session", "not a regular file"),)


def test_words() -> None:
    assert pam_stack.words("session [success=ok  default=1]\tpam_x.so [a b\\]c] d") == ["session", "success=ok  default=1", "pam_x.so", "a b]c", "d"]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for _number, line in pam_stack.assembled(text):
        pam_stack.words(line or "")
    pam_stack.parse_control(text)


@given(st.lists(st.tuples(
    st.sampled_from(["session", "-session", "@include", "auth"]), st.sampled_from(["required", "include", "substack", "[success=1 default=ignore]", "[x]", "sufficient"]),
    st.sampled_from(["pam_limits.so", "a", "b", "it", "pam_permit.so", ""]))), st.lists(st.text(alphabet="session include a\\#\n[]=", max_size=40), max_size=3))
def test_any_stack_is_read(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, str, str]], texts: list[str]) -> None:
    root = tmp_path_factory.mktemp("stack")
    text = "\n".join(" ".join(line) for line in lines)
    assert calls(root, text, a=text + "\n".join(texts), b="".join(texts)) in (ALWAYS, NEVER, SOMETIMES, REFUSED, UNKNOWN)


# -- sshd -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files, expected", [
    ({}, None),
    ({"sshd_config": "#UsePAM yes\nPort 22\n"}, False),
    ({"sshd_config": "UsePAM yes\nUsePAM no\n"}, True),
    ({"sshd_config": "  usepam=\"No\"\n"}, False),
    ({"sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", "sshd_config.d/5.conf": "UsePAM no\n", "sshd_config.d/x.bak": "UsePAM yes"}, False),
    ({"sshd_config": "Include sshd_config.d/a.conf\nUsePAM no\n", "sshd_config.d/a.conf": "Match User x\nUsePAM yes\n"}, False),
    ({"sshd_config": "Match User x\nUsePAM yes\n"}, False),
    ({"sshd_config": "Include /etc/ssh/sshd_config\nUsePAM yes\n"}, True),
])
def test_use_pam(tmp_path: Path, files: dict[str, str], expected: bool | None) -> None:
    assert stacks(tmp_path, {"etc/ssh/" + name: text for name, text in files.items()}).sshd_uses_pam is expected
