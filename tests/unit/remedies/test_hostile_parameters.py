"""Every parameter of every remedy, with newlines, "..", "%", quotes and terminal escapes: refused by name, before the host is looked at."""

import pytest
from pidhygiene.host import Clock, HostError
from pidhygiene.remedies.catalogue import REMEDIES
from pidhygiene.remedies.model import Refused, checked

NOW = 1_795_400_000.0
HOSTILE = {"newline": "%s\nUser=root", "way up": "../%s", "specifier": "%s%%n", "quote": "%s'", "double quote": '%s"', "escape": "\x1b[31m%s"}
# What each remedy takes, with every parameter that it acts on.
GIVEN = {
    "kernel_limits": {"values": {"kernel.pid_max": "65536"}},
    "pam_limits_line": {"domain": "oracle", "type": "-", "item": "nofile", "value": "100", "instead_of": "oracle - nofile 5",
                        "file": "/etc/security/limits.d/a.conf"},
    "pam_limits_entry": {"service": "sshd"},
    "scheduled_restart": {"unit": "agent.service", "calendar": "Sat 14:00", "owner": "backup team", "reason": "ticket 4711", "take_over": "/etc/crontab:17"},
    "time_zone": {"name": "Europe/Berlin"},
    "unit_limits": {"unit": "db.service", "limits": {"nofile": "100"}},
    "reap": {"parent": 100, "unit": "db.service"},
    "dedupe": {"keep": 100, "end": "200,300"},
    "restart": {"units": ["db.service"], "unit": "web.service"},
    "sessions": {"sessions": ["c1"]},
    "reboot": {"when": "+30", "wall_message": "for the bus"},
}
# Where such a text does no harm: it must be able to come through, and this says why.
HARMLESS = {
    ("reboot", "wall_message", "way up"): "text for people, handed to logind as a string",
    ("reboot", "wall_message", "specifier"): "text for people, handed to logind as a string",
    ("reboot", "wall_message", "quote"): "text for people, handed to logind as a string",
    ("reboot", "wall_message", "double quote"): "text for people, handed to logind as a string",
    ("scheduled_restart", "owner", "way up"): "text for people, in a string of echo",
    ("scheduled_restart", "owner", "quote"): "it stands between double quotes; where cron does it, it is refused",
    ("scheduled_restart", "reason", "way up"): "text for people, in a string of echo",
    ("scheduled_restart", "reason", "quote"): "it stands between double quotes; where cron does it, it is refused",
    ("scheduled_restart", "calendar", "way up"): "Mon..Fri; what is no event is refused when it is read",
    ("scheduled_restart", "take_over", "way up"): "only compared with lines and paths of crontabs that cron reads",
    ("scheduled_restart", "take_over", "specifier"): "only compared with lines of crontabs, where it is usual",
    ("scheduled_restart", "take_over", "quote"): "only compared with lines of crontabs, where it is usual",
    ("scheduled_restart", "take_over", "double quote"): "only compared with lines of crontabs, where it is usual",
    ("pam_limits_line", "instead_of", "way up"): "only compared with lines of the file",
    ("pam_limits_line", "instead_of", "specifier"): "only compared with lines of the file: %group is its syntax",
    ("pam_limits_line", "instead_of", "quote"): "only compared with lines of the file",
    ("pam_limits_line", "instead_of", "double quote"): "only compared with lines of the file",
    ("pam_limits_line", "domain", "way up"): "no path; a domain of nobody is refused when users are read",
    ("pam_limits_line", "domain", "specifier"): "%group is the file's syntax; a domain of nobody is refused when users are read",
}


class ClockOnly:
    """A host that remembers whether anything but its time was asked for."""

    looked_at = False

    def clock(self):
        return Clock(NOW, 1000.0)

    def __getattr__(self, name):
        self.looked_at = True
        raise HostError(name, "is not looked at")


def texts():
    """(remedy, parameter, value with one text replaced by {}, that text): of a mapping its keys and its values."""
    for remedy in REMEDIES:
        for parameter in remedy.parameters:
            base = GIVEN[remedy.name].get(parameter.name)
            if parameter.kind == "text":
                yield remedy, parameter.name, base, lambda text: text
            elif parameter.kind == "words":
                yield remedy, parameter.name, base and base[0], lambda text: [text]
            elif parameter.kind == "map":
                (key, value), = (base or {None: None}).items()
                yield remedy, parameter.name, key, lambda text, value=value: {text: value}
                yield remedy, parameter.name, value, lambda text, key=key: {key: text}
            elif parameter.kind == "choice":
                yield remedy, parameter.name, parameter.choices[0], lambda text: text


CASES = [pytest.param(remedy, name, kind, make(HOSTILE[kind] % base) if base else None, id="-".join((remedy.name, name, kind)))
         for remedy, name, base, make in texts() for kind in HOSTILE]


def refusal(remedy, given):
    """The refusal of these parameters as such; None where they were taken, and the host is asked, or the machine on which this runs."""
    host = ClockOnly()
    try:
        remedy.propose(host, checked(remedy, given))
    except Refused as error:
        return None if host.looked_at or "does not answer" in str(error) else str(error)
    except Exception:
        assert host.looked_at
    return None


@pytest.mark.parametrize("remedy, name, kind, value", CASES)
def test_refused_by_name(remedy, name, kind, value):
    assert value is not None, "GIVEN has no %s of %s" % (name, remedy.name)
    said = refusal(remedy, dict(GIVEN[remedy.name], **{name: value}))
    if (remedy.name, name, kind) in HARMLESS:
        assert said is None, "it is refused: take it out of HARMLESS"
    else:
        assert said and "\x1b" not in said and "\n" not in said


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
def test_what_is_replaced_is_taken(remedy):
    """Else a case would be refused for another reason."""
    assert refusal(remedy, GIVEN[remedy.name]) is None
