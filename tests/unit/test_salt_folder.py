"""Salt's runner and returner: every minion that was asked has its file, whatever it answered, and run.json says what became of each."""

import contextlib
import importlib.util
import json
import os
import pathlib
import stat
import sys

import pytest
from pidhygiene.audit import audit
from simulated import SimulatedHost

pytest.importorskip("salt.client")
ADAPTERS = pathlib.Path(__file__).resolve().parents[2] / "salt_modules"


class Killed(BaseException):
    pass


class Log:
    """In place of Salt's, which speaks on after pytest has closed its ears."""

    def __init__(self):
        self.said = []

    def error(self, text, *values):
        self.said.append(text % values)

    warning = info = error


class Client:
    """Of the master: what each minion answers. A minion that is not there is down."""

    def __init__(self, answers):
        self.answers, self.asked, self.killed_at = answers, [], None

    def cmd_iter(self, names, function, arg, timeout, tgt_type, kwarg):
        assert (function, tgt_type, kwarg["full"]) == ("pidhygiene.check", "list", True)
        self.asked.append(names)
        for name in names:
            if name == self.killed_at:
                raise Killed()
            if name in self.answers:
                yield {name: {"ret": self.answers[name], "retcode": 0}}
                yield {name: {"ret": "once more, as the bus may"}}
            else:
                yield {name: {"failed": True}}
        yield {}
        yield None
        yield {"error": {"name": "AuthorizationError"}}


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ADAPTERS / "_utils"))

    def load(kind):
        spec = importlib.util.spec_from_file_location("%s_under_test" % kind, ADAPTERS / kind / "pidhygiene.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.__virtual__() == "pidhygiene"
        module.__opts__ = {"cachedir": str(tmp_path), "pidhygiene_report_dir": str(tmp_path / "report")}
        return module
    yield load
    sys.modules.pop("pidhygiene_folder", None)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "report"


@pytest.fixture
def runner(loaded, monkeypatch):
    module = loaded("_runners")
    module.lines = []

    class Bus:
        def fire_event(self, data, tag):
            module.lines.append(data["message"])

    module.__jid_event__ = Bus()
    module.log = Log()
    module.keys, module.missing = [], []

    class Minions:
        def __init__(self, opts):
            pass

        def check_minions(self, tgt, tgt_type):
            return {"minions": [name for name in module.keys if tgt == "*" or name in tgt], "missing": module.missing}

    monkeypatch.setattr(module.salt.utils.minions, "CkMinions", Minions)

    def serve(answers, keys=None):
        module.client = Client(answers)
        module.keys = sorted(answers) if keys is None else keys
        monkeypatch.setattr(module.salt.client, "get_local_client", lambda mopts: contextlib.nullcontext(module.client))
    module.serve = serve
    return module


def healthy():
    return audit(SimulatedHost())


def ill():
    made = healthy()
    made["findings"].append({
        "rule": "PH-SYS-004", "title": "TasksMax is nearly reached", "status": "fail", "severity": "CRIT", "subject": {"type": "unit", "id": "backup.service"},
        "message": "backup.service is full.", "evidence": [], "binding": None, "confidence": "high", "remedy": None, "references": [], "waiver": None,
        "fingerprint": "0" * 16})
    return made


def read(path):
    return json.loads(path.read_text())


def test_every_minion_is_recorded(runner, folder):
    runner.serve({"db1": healthy(), "db2": "'pidhygiene.check' is not available.", "db3": {"schema": "mine"}, "db4": "VALUE_TRIMMED", "db5": None, "../evil": healthy()},
                 ["db1", "db2", "db3", "db4", "db5", "down", "../evil"])
    runner.missing = ["nokey"]
    told = runner.audit(batch="40%")
    assert (told["retcode"], told["targeted"], told["audited"]) == (1, 8, 2)
    assert set(told["not_audited"]) == {"db2", "db3", "db4", "db5", "down", "nokey"} and told["not_audited"]["down"] == "unreachable: the minion did not answer"
    assert [len(names) for names in runner.client.asked] == [3, 3, 1] and len(runner.lines) == 3
    assert runner.lines[-1] == "8 of 8 minions: 2 audited, 2 unreachable, 4 failed"
    run = read(folder / "run.json")
    assert run["schema"] == "pidhygiene.run/1" and {name: row["outcome"] for name, row in run["hosts"].items()} == {
        "db1": "audited", "../evil": "audited", "db2": "failed", "db3": "failed", "db4": "failed", "db5": "failed", "down": "unreachable", "nokey": "unreachable"}
    assert read(folder / "results/db1.json") == runner.client.answers["db1"] and (folder / "results/..%2Fevil.json").exists() is False
    assert sorted(path.name for path in (folder / "results").iterdir()) == ["%2E.%2Fevil.json", "db1.json"]
    steps = {name: read(folder / "not-audited" / (name + ".json"))["next_step"] for name in ("db2", "db4", "down", "nokey")}
    assert "sync_all" in steps["db2"] and "max_event_size" in steps["db4"] and "manage.status" in steps["down"] and "salt-key" in steps["nokey"]
    assert stat.S_IMODE(os.stat(folder / "results/db1.json").st_mode) == 0o600 and run["hosts"]["db1"]["sha256"]


def test_a_run_that_was_killed_goes_on(runner, folder):
    runner.serve({name: healthy() for name in ("a", "b", "c", "d")}, ["a", "b", "c", "d"])
    runner.client.killed_at = "c"
    with pytest.raises(Killed):
        runner.audit(batch=1)
    assert {name: row["outcome"] for name, row in read(folder / "run.json")["hosts"].items()} == {"a": "audited", "b": "audited", "c": "not recorded", "d": "not recorded"}
    runner.client.killed_at = None
    runner.client.asked = []
    told = runner.audit(resume=True)
    assert runner.client.asked == [["c"], ["d"]] and (told["retcode"], told["audited"]) == (0, 4)
    assert runner.audit(resume=True)["audited"] == 4 and runner.client.asked == [["c"], ["d"]], "nothing is left to do"


def test_what_a_kill_kept_from_being_written_down_is_told_by_the_files(runner, folder):
    runner.serve({"a": ill(), "b": healthy()})
    runner.audit()
    run = read(folder / "run.json")
    for row in run["hosts"].values():
        row.update(outcome="not recorded", sha256="")
    (folder / "run.json").write_text(json.dumps(run))
    os.utime(folder / "results/b.json", (1, 1))
    runner.client.asked = []
    told = runner.audit(resume=True, fail_on="fail")
    assert runner.client.asked == [["b"]] and (told["retcode"], told["audited"], told["failing"]) == (100, 2, ["a"])
    assert read(folder / "run.json")["hosts"]["a"]["sha256"]


def test_only_what_the_target_matches_is_resumed(runner, folder):
    runner.serve({}, ["a", "b"])
    runner.audit()
    runner.serve({"a": healthy(), "b": healthy()}, ["a", "b", "new"])
    assert runner.audit("a", resume=True)["not_audited"] == {"b": "unreachable"} and runner.client.asked == [["a"]]


def test_the_scheduler_of_the_master_has_no_bus(runner):
    runner.serve({"a": healthy()})
    del runner.__jid_event__
    assert runner.audit()["audited"] == 1 and runner.log.said == ["pidhygiene: 1 of 1 minions: 1 audited"]


def test_exit_status_says_what_was_found(runner):
    runner.serve({"a": healthy(), "b": ill()})
    assert runner.audit()["retcode"] == 0
    told = runner.audit(fail_on="fail")
    assert (told["retcode"], told["failing"], told["minions_by_status"]["fail"]) == (100, ["b"], 1)


@pytest.mark.parametrize("options, error", [
    ({"batch": "0"}, "batch must"), ({"batch": "x%"}, "batch must"), ({"batch": "nan%"}, "batch must"), ({"batch": "-5%"}, "batch must"),
    ({"fail_on": "info"}, "fail_on must"), ({"resume": True}, "no run in"), ({"tgt": "nobody"}, "No minion matches")])
def test_mistakes_are_told_before_anything_is_asked(runner, options, error):
    runner.serve({"a": healthy()})
    with pytest.raises(Exception, match=error):
        runner.audit(**options)
    assert runner.client.asked == []


def event(answer, tag="salt/job/20261128/ret/web1", **changed):
    return {"tag": tag, "data": {"id": "web1", "fun": "pidhygiene.check", "return": answer, **changed}}


def test_the_returner_keeps_what_minions_return(loaded, folder):
    returner = loaded("_returners")
    returner.log = Log()
    result = healthy()
    compact = {name: result[name] for name in ("summary", "findings")}
    returner.event_return([
        event(compact), event(result, fun="test.ping"), event(result, tag="salt/auth"), {"tag": "salt/job/1/ret/x", "data": "text"}, {"tag": "salt/job/1/new", "data": {}},
        event(result, id=7)])
    assert not folder.exists()
    returner.event_return([event("Traceback ...\nValueError: x")])
    assert read(folder / "not-audited/web1.json")["message"].endswith("ValueError: x")
    returner.event_return([event(result)])
    assert read(folder / "results/web1.json") == result and not (folder / "not-audited/web1.json").exists()


def test_a_full_disk_does_not_end_the_returner(loaded, folder):
    returner = loaded("_returners")
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    returner.log = Log()
    returner.returner({"id": "web1", "fun": "pidhygiene.check", "return": healthy()})
    assert len(returner.log.said) == 1
