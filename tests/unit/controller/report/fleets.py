"""A small fleet with all that a report tells of: two hosts that refuse forks, leaks, other zones, waivers, silence, and names that mean harm."""

import datetime
import os

import synthetic
from pidhygiene.policy import Policy
from controller.report.gather import Wishes, gather
from controller.store import Store

DAY = synthetic.DAY
NOW = synthetic.START + 4 * DAY + 3600
HOSTILE = '<script>document.title="owned"</script>'
HOSTILE_HOST = "evil'><img src=x onerror=window.owned=1>.example.org"
WISHES = Wishes(policy=Policy({"controls": {"PH-LIM-001": ["CIS 1.6.1", "ISO A.8.6"], "PH-ZMB-001": ["ISO A.8.6"], "PH-TZ-001": ["CIS 2.1.1"], "PH-SYS-006": ["PCI 2.2"]}}),
                tickets={"PH-ZMB-001": "OPS-4711"})
ZONES = ("Europe/Berlin", "Europe/Berlin", "Etc/UTC", "PRC", "America/New_York", "Asia/Kolkata")


def full(number, used, limit=16384):
    return synthetic.finding(
        "PH-LIM-001", "fail", "CRIT", title="User close to NPROC", subject={"type": "user", "id": "oracle"},
        message="oracle has {:,} tasks of {:,} allowed: 18,094 are zombies of beremote (8102); restart VRTSralus.service.".format(used, limit),
        binding="RLIMIT_NPROC of oracle: %d of %d" % (used, limit), fingerprint=synthetic.fingerprint("PH-LIM-001", "oracle"),
        evidence=[{"source": "/proc/8102/limits", "value": "Max processes %d" % limit}, {"source": "/proc/*/status", "value": "%d tasks of uid 500" % used}],
        remedy={"state": "unit_limits", "parameters": {"unit": "VRTSralus.service", "nproc": str(4 * limit)}, "disruptive": True})


def documents(run, hosts=60):
    """name → document of one run, 0 to 4."""
    made = {}
    for number in range(hosts):
        document = synthetic.of_fleet(number, run, hosts)
        name = document["host"]["name"]
        document["facts"]["time"]["zone"]["name"] = ZONES[number % len(ZONES)] if number % 4 else "Europe/Berlin"
        more = []
        if number in (4, 9) and run >= 3:
            more.append(full(number, 16384 + 2067 * (number == 4)))
        if number == 13:
            more.append(full(number, 14000 + 200 * run))
        if number == 21 and run < 4:
            more.append(synthetic.finding("PH-TZ-001", "warn", "MED", title="Sources of the zone disagree", subject={"type": "host", "id": "zone"}, remedy={
                "state": "time_zone", "parameters": {"name": "Europe/Berlin"}, "disruptive": True}, message="/etc/timezone and /etc/localtime disagree; set one."))
        if number == 22:
            more.append(synthetic.finding("PH-TZ-001", "warn", "MED", title="Sources of the zone disagree", subject={"type": "host", "id": "zone"}, waiver={
                "owner": "time team", "expires": "2026-09-30", "justification": "moves in October", "expired": False}))
        if number == 30 and run in (0, 1, 4):
            more.append(synthetic.finding("PH-SES-001", "warn", "MED", title="Leaked sessions", subject={"type": "user", "id": "backup"}, fingerprint="5e55105e55105e55",
                                          message="backup has 512 sessions without a process.", remedy={"state": "sessions", "parameters": {"terminate": "leaked"}, "disruptive": True}))
        if number == 31 and run == 4:
            more.append(synthetic.finding("PH-OBS-001", "unknown", "MED", title="Cannot look", subject={"type": "file", "id": "/proc/1/limits"}, remedy=None,
                                          message="/proc/1/limits cannot be read: not root."))
        document = synthetic.result(name, document["findings"] + more, synthetic.START + run * DAY + number, document["host"]["tags"] + ["owner=team %d" % (number % 3)],
                                    measures=document["measures"], facts=document["facts"], audit={"visibility": "partial" if number == 31 else "full"})
        made[name] = document
    made[HOSTILE_HOST] = hostile(run)
    made["db00090.example.org"] = synthetic.attempt("db00090.example.org", at=synthetic.START + run * DAY, message="no route to host; possibly no process can start")
    made["db00091.example.org"] = None if run == 4 else synthetic.result("db00091.example.org", (), synthetic.START + run * DAY, ["db"])
    return made


def hostile(run):
    """Markup, formulas, the end of a script, a link that runs, letters that turn the direction: all said by a host."""
    texts = [HOSTILE, "</script><script>window.owned=1</script>", '=HYPERLINK("http://127.0.0.1/?"&A1)', "+1+1", "@SUM(1)", "-2+3", "javascript:window.owned=1", "\u202egnp.exe",
             "{{ 7 * 7 }}", "]]><!--", "a\u2028b", '"quoted" \\ back', "tab\tnew\nline"]
    found = [synthetic.finding("PH-ZMB-001", "fail", "HIGH", title=text, subject={"type": "process", "id": text}, message=text, fingerprint=synthetic.fingerprint(text),
                               evidence=[{"source": text, "value": text}], references=["javascript:window.owned=1"], binding="RLIMIT_NPROC of %s: 9 of 10" % text if number < 2 else None,
                               remedy={"state": "restart", "parameters": {"unit": text}, "disruptive": False}) for number, text in enumerate(texts)]
    return synthetic.result(HOSTILE_HOST, found, synthetic.START + run * DAY, [HOSTILE, "=cmd"])


def store(place, runs=5, hosts=60):
    """A store with these runs."""
    opened = Store.open(str(place / "fleet.db"))
    for run in range(runs):
        ingest(opened, place / ("run%d" % run), documents(run, hosts), run)
    return opened


def ingest(opened, place, found, run):
    """As if the files had been written when the run was."""
    began = synthetic.START + run * DAY
    for path in synthetic.write_folder(place, found, started=began).rglob("*.json"):
        os.utime(path, (began + 700, began + 700))
    intake = opened.intake(now=lambda: began + 700)
    intake.folder(place)
    intake.flush()


def report(place, wishes=WISHES, **size):
    with store(place, **size) as opened:
        return gather(opened, opened.runs()[-1], NOW, wishes)


def day(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).date().isoformat()
