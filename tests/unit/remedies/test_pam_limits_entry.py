"""pam_limits_entry where pam-auth-update is not: the exact commands, for the profile that authselect has selected."""

import pytest
from pidhygiene.remedies import pam_limits_entry
from pidhygiene.remedies.model import Refused, checked
from simulated import SimulatedHost

# As authselect's profiles sssd and minimal have it (RHEL 9), with and without the line.
LIMITS = "session     required                                     pam_limits.so\n"
PASSWORD_AUTH = """auth        required                                     pam_env.so
account     required                                     pam_unix.so
session     optional                                     pam_keyinit.so revoke
%s-session    optional                                     pam_systemd.so
session     [success=1 default=ignore]                   pam_succeed_if.so service in crond quiet use_uid
session     required                                     pam_unix.so
"""
SSHD = "account    include      password-auth\nsession    required     pam_loginuid.so\nsession    include      password-auth\nsession    include      postlogin\n"


def rhel(selected="sssd\nwith-faillock\nwith-mkhomedir\n", limits="", sshd=SSHD):
    host = SimulatedHost().file("/etc/os-release", 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n').directory("/run/systemd/sessions")
    for name in ("password-auth", "system-auth"):
        host.file("/etc/authselect/" + name, PASSWORD_AUTH % limits).link("/etc/pam.d/" + name, "/etc/authselect/" + name)
    host.file("/etc/pam.d/sshd", sshd).file("/etc/pam.d/postlogin", "session optional pam_umask.so silent\n")
    return host.file("/etc/authselect/authselect.conf", selected) if selected else host


def refused(host):
    with pytest.raises(Refused) as raised:
        pam_limits_entry.propose(host, checked(pam_limits_entry.REMEDY, {"service": "sshd"}))
    return str(raised.value)


@pytest.mark.parametrize("selected, words", [
    ("sssd\nwith-faillock\nwith-mkhomedir\n", 'authselect create-profile limits -b sssd, add "session required pam_limits.so" to system-auth and password-auth in '
     "/etc/authselect/custom/limits, then authselect select custom/limits with-faillock with-mkhomedir"),
    ("minimal\n", "then authselect select custom/limits"),
    ("custom/ours\nwith-sudo\n", 'add "session required pam_limits.so" to system-auth and password-auth in /etc/authselect/custom/ours, then authselect apply-changes'),
    ("", 'add "session required pam_limits.so" to /etc/pam.d/system-auth and /etc/pam.d/password-auth'),
    ("$(reboot)\n", 'add "session required pam_limits.so" to /etc/pam.d/system-auth and /etc/pam.d/password-auth'),
])
def test_the_commands_keep_the_profile_and_its_features(selected, words):
    assert refused(rhel(selected)).endswith(words)


def test_a_stack_of_its_own_is_told():
    assert "/etc/pam.d/sshd does not include the common stack" in refused(rhel(sshd="session required pam_unix.so\n"))


def test_as_the_vendor_ships_it_nothing_is_to_be_done():
    assert pam_limits_entry.propose(rhel(limits=LIMITS), checked(pam_limits_entry.REMEDY, {"service": "sshd"})).steps == ()
