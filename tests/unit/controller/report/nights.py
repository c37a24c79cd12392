"""A store that is filled night by night, with hosts that have what a test gives them."""

import fleets
import synthetic
from controller.report import news
from controller.report.gather import Wishes, gather
from controller.store import Store


def zombies(program, status="fail", pid=1, **changed):
    changed.setdefault("message", "%s does not reap." % program)
    return synthetic.finding("PH-ZMB-001", status, "HIGH", title="Zombies", subject={"type": "process", "id": "%s (%d)" % (program, pid)},
                             fingerprint=synthetic.fingerprint("PH-ZMB-001", program), **changed)


class Fleet:
    """``night({host: findings, or None where it does not answer})``."""

    def __init__(self, place, monkeypatch):
        self.place, self.url, self.nights = place, str(place / "fleet.db"), 0
        monkeypatch.setattr("time.time", lambda: self.now)

    @property
    def now(self):
        """A few hours after the last night."""
        return synthetic.START + (self.nights - 1) * synthetic.DAY + 9000

    def night(self, hosts, audit=None, **changed):
        """``audit``: what differs in the audit of each host, in order."""
        at = synthetic.START + self.nights * synthetic.DAY
        made = {name: synthetic.attempt(name, at=at, message="no route to host") if found is None else synthetic.result(
            name, found, at, ["web"], rules=[{"rule": "PH-ZMB-001", "status": "pass", "counts": {}}], **changed, **({"audit": audit[place]} if audit else {}))
            for place, (name, found) in enumerate(hosts.items())}
        with Store.open(self.url) as store:
            fleets.ingest(store, self.place / ("night%d" % self.nights), made, self.nights)
        self.nights += 1
        return self

    def report(self, **wishes):
        with Store.open(self.url) as store:
            return gather(store, store.runs()[-1], self.now, Wishes(**wishes))

    def events(self, which=news.NEWS):
        """(rule or silence, status, reason) → hosts"""
        return {(each.rule or each.what, each.what if each.rule else "", each.status, each.reason): each.hosts for each in news.events(self.report(), which)}
