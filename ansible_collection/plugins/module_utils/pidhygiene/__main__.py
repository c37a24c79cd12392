# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: check, snapshot, explain, rules, remedies, plan. Standard library only; runs as ``pidhygiene`` or ``python -m pidhygiene``.

Exit status: 0 nothing at or above the gate, 1 the tool itself failed, 2 wrong usage, 100 findings at or above the gate.
"""

import gc

gc.disable()  # a process that lives for a tenth of a second and holds everything until its end has nothing to collect

import argparse
import json
import sys
from typing import Any, Dict, List, Optional, Sequence

from . import __version__, document
from .audit import audit
from .columns import columns
from .host import Host, LiveHost
from .policy import Policy, PolicyError
from .rules.catalogue import NoSuchRule, select

OK, FAILED, USAGE, FOUND = 0, 1, 2, 100

EXAMPLES = """examples:
  pidhygiene check                          audit this host, show what deviates
  pidhygiene check --rule 'PH-ZMB-*'        zombies only
  pidhygiene check --format json > r.json   the whole result, for machines
  pidhygiene check --previous r.json        compare with the last result: growth, restarts, rejections since then
  pidhygiene check --fail-on warn           exit status 100 from the first warning on
  pidhygiene explain 4711                   what refuses the next fork of process 4711
  pidhygiene explain nginx.service          the same for a unit, with the origin of its limits
  pidhygiene rules show PH-ZMB-001          what a rule checks, when it stays silent, how to fix what it finds
  pidhygiene plan r.json -o plan.yml        what would repair it, to be read and then applied through Ansible or Salt
  pidhygiene snapshot host.json.gz          record this host; check --snapshot host.json.gz judges it anywhere
"""


NO_PAGE = """# %s %s

**%s**: %s.

The page of this rule is not installed with this engine: pip installs it with pidhygiene, and the source has it in docs/rules.
"""

# The parts that only some commands need are imported by these: half of the time of a check is imports.


class Failure(Exception):
    """Something outside of the audit went wrong; the message says what to do."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _plan(words) if words[:1] == ["plan"] else _run(words)
    except (NoSuchRule, PolicyMistake) as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return USAGE
    except (Failure, OSError) as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return FAILED
    except KeyboardInterrupt:
        return 130


def _run(words: Sequence[str]) -> int:
    parser = _parser()
    options = parser.parse_args(words)
    if not hasattr(options, "run"):
        parser.print_help()
        return USAGE
    status: int = options.run(options)
    return status


class _Parser(argparse.ArgumentParser):
    """Tells argparse how wide the terminal is, which it asks at every argument, with an import of shutil."""

    def __init__(self, **given: Any) -> None:
        width = columns() - 2
        super(_Parser, self).__init__(formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=width), **given)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pidhygiene", description="Why this host cannot start one more process, with evidence.",
        epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version="pidhygiene " + __version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    check = commands.add_parser("check", help="audit this host, another root or a snapshot", description=main.__doc__,
                                epilog=EXAMPLES)
    check.add_argument("--format", choices=("text", "json"), default="text", help="text for people (default), json for machines")
    check.add_argument("--details", action="store_true", help="show information findings and all evidence, too")
    check.add_argument("--policy", metavar="FILE", help="thresholds, wishes and waivers (JSON, or YAML where PyYAML is installed)")
    check.add_argument("--rule", metavar="ID", action="append", default=[], help="only this rule or pattern; may be repeated")
    check.add_argument("--fail-on", choices=("fail", "warn", "unknown", "never"), default="fail", help="lowest status that gives exit status 100")
    check.add_argument("--previous", metavar="FILE", help="the last result of this host, for what needs history")
    check.add_argument("--tag", action="append", default=[], help="a group this host belongs to, for waivers; may be repeated")
    _where(check)
    check.set_defaults(run=_check)

    take = commands.add_parser("snapshot", help="record what an audit of this host looks at", description="Records, and says what the audit found.")
    take.add_argument("file", metavar="FILE", help="where to write it; compressed when it ends in .gz")
    take.add_argument("--deadline", type=float, default=60.0, metavar="S", help="seconds that the audit may take (60)")
    take.set_defaults(run=_snapshot)

    why = commands.add_parser("explain", help="what refuses the next fork, and where each limit comes from")
    why.add_argument("what", metavar="RULE|UNIT|USER|PID", help="PH-ZMB-001, nginx.service, oracle (or user:oracle), 4711")
    why.add_argument("--format", choices=("text", "json"), default="text")
    _where(why)
    why.set_defaults(run=_explain)

    rules = commands.add_parser("rules", help="list the rules, or show the page of one")
    rules.set_defaults(run=_list_rules, rules=[], family=[], format="text")
    rules.add_argument("--format", choices=("text", "json"))
    actions = rules.add_subparsers(metavar="list|show")
    for name, run, text in (("list", _list_rules, "id, severity at worst and title"), ("show", _show_rules, "what it checks, and how to fix what it finds")):
        action = actions.add_parser(name, help=text, description=text)
        # argparse lets what a subparser has by default win over what was given before its name
        action.add_argument("rules", metavar="RULE", nargs="+" if name == "show" else "*", help="PH-ZMB-001, or a pattern: 'PH-ZMB-*'")
        if name == "list":
            action.add_argument("--family", action="append", default=argparse.SUPPRESS, help="ZMB, LIM, SYS …; may be repeated")
        action.add_argument("--format", choices=("text", "json"), default=argparse.SUPPRESS)
        action.set_defaults(run=run)

    remedies = commands.add_parser("remedies", help="list the remedies, or what one of them takes",
                                   description="The modules of the Ansible collection (pidhygiene.host.NAME) and the states of Salt (pidhygiene.NAME).")
    remedies.add_argument("name", metavar="NAME", nargs="?", help="unit_limits: show its parameters; container_advice: settings for containers, by runtime")
    remedies.add_argument("--format", choices=("text", "json"), default="text")
    remedies.set_defaults(run=_remedies)

    commands.add_parser("plan", help="a reviewable plan that repairs what audits found", add_help=False)  # never parsed here: see main
    return parser


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--snapshot", metavar="FILE", help="judge a recorded host instead of this one")
    parser.add_argument("--root", metavar="DIR", default="/", help="another tree as root: an image, a container")
    parser.add_argument("--deadline", type=float, default=60.0, metavar="S", help="seconds that the audit may take (60)")


def _host(options: argparse.Namespace) -> Host:
    if options.snapshot:
        from . import snapshot

        try:
            return snapshot.load(options.snapshot)
        except snapshot.NotASnapshot as error:
            raise Failure(str(error))
    return LiveHost(options.root, options.deadline)


def _check(options: argparse.Namespace) -> int:
    policy = load_policy(options.policy) if options.policy else Policy()
    previous = _marks(options.previous) if options.previous else None
    result = audit(_host(options), policy, previous, options.rule, options.tag)
    if options.format == "json":
        _write(canonical(result))
    else:
        from . import terminal

        _write(terminal.render(result, terminal.style_for(sys.stdout), options.details))
    if options.fail_on != "never" and document.gate(result, options.fail_on):
        return FOUND
    return OK


def canonical(result: Dict[str, Any]) -> str:
    """The same bytes for the same result, whichever front end writes it."""
    return json.dumps(result, sort_keys=True, indent=1) + "\n"


def _marks(path: str) -> Optional[Dict[str, Any]]:
    with open(path, encoding="utf-8") as stream:
        try:
            result = json.load(stream)
        except ValueError as error:
            raise Failure("%s is no result: %s" % (path, error))
    if not isinstance(result, dict) or not isinstance(result.get("marks"), dict):
        raise Failure("%s is no result of pidhygiene check --format json" % path)
    marks: Dict[str, Any] = result["marks"]
    return marks


class PolicyMistake(Exception):
    """A policy file with a mistake; the message says where."""


def load_policy(path: str) -> Policy:
    """Errors: OSError, PolicyMistake (with file, line where it can be told, path in the document, mistake, nearest key)."""
    with open(path, encoding="utf-8") as stream:
        text = stream.read()
    try:
        return Policy(_parse(path, text))
    except PolicyError as error:
        lines = ["%s: %s: %s" % (_place(path, text, mistake.path), mistake.path, mistake.message) for mistake in error.mistakes]
        raise PolicyMistake("\n            ".join(["the policy has %d mistake%s:" % (len(lines), "" if len(lines) == 1 else "s")] + lines))


def _parse(path: str, text: str) -> Any:
    if path.endswith(".json"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise PolicyMistake("%s: %s" % (path, error))
    try:
        import yaml
    except ImportError:
        raise PolicyMistake("%s: reading YAML needs PyYAML; install it, or write the policy as JSON (.json)" % path)

    class Loader(yaml.SafeLoader):
        """Days stay text: an impossible one is then a mistake with a place, not a fault of the parser."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise PolicyMistake("%s: %s" % (path, error))


def _place(path: str, text: str, where: str) -> str:
    """file:line of the last key of the path, looked for in order of the keys."""
    at = 0
    lines = text.splitlines()
    for key in where.replace("[", ".").split("."):
        if key.rstrip("]").isdigit():
            continue
        for number in range(at, len(lines)):
            if lines[number].strip().lstrip("- ").strip("\"'").startswith(key):
                at = number
                break
    return "%s:%d" % (path, at + 1)


def _snapshot(options: argparse.Namespace) -> int:
    from . import snapshot, terminal

    recorder = snapshot.RecordingHost(LiveHost("/", options.deadline))
    result = audit(recorder)
    snapshot.save(recorder.document(), options.file)
    _write(terminal.render(result, terminal.style_for(sys.stdout)))
    _write("Recorded in %s; pidhygiene check --snapshot %s judges it again.\n" % (options.file, options.file))
    return OK


def _explain(options: argparse.Namespace) -> int:
    from . import explain, terminal

    try:
        answer = explain.explain(_host(options), options.what)
    except explain.NothingToExplain as error:
        raise Failure(str(error))
    if options.format == "json":
        _write(json.dumps(answer.plain(), sort_keys=True, indent=1) + "\n")
    else:
        _write(terminal.explanation(answer, terminal.style_for(sys.stdout)))
    return OK


def _list_rules(options: argparse.Namespace) -> int:
    from . import terminal

    chosen = _chosen(list(options.rules) + ["PH-%s-*" % family for family in options.family])
    if options.format == "json":
        _write(json.dumps([{"rule": rule.id, "title": rule.title, "severity": rule.severity} for rule in chosen], indent=1) + "\n")
        return OK
    rows: List[List[str]] = [[rule.id, rule.severity, rule.title] for rule in chosen]
    _write("\n".join(terminal.table(rows, terminal.style_for(sys.stdout))) + "\n")
    return OK


def _chosen(patterns: Sequence[str]) -> List[Any]:
    """Rules of hosts and, after them, of fleets. Errors: NoSuchRule."""
    from .fleet_rules import FLEET_RULES
    from .rules.catalogue import RULES

    return select([pattern.upper() for pattern in patterns] or ["*"], RULES + FLEET_RULES)


def _show_rules(options: argparse.Namespace) -> int:
    from . import pages, terminal

    found = [(rule, pages.page(rule.id)) for rule in _chosen(options.rules)]
    if options.format == "json":
        _write(json.dumps([{"rule": rule.id, "title": rule.title, "severity": rule.severity, "because": rule.because, "page": page}
                           for rule, page in found], indent=1) + "\n")
        return OK
    style = terminal.style_for(sys.stdout)
    _write("\n".join(terminal.page(page or NO_PAGE % (rule.id, rule.title, rule.severity, rule.because), style) for rule, page in found))
    return OK


def _remedies(options: argparse.Namespace) -> int:
    from . import terminal
    from .remedies.catalogue import BY_NAME, REMEDIES

    if options.name == "container_advice":
        from .remedies import container_advice

        settings = [list(row) for row in container_advice.table()]
        lines = [json.dumps(settings, indent=1)] if options.format == "json" else terminal.table(settings, terminal.style_for(sys.stdout))
        _write("\n".join(lines) + "\n")
        return OK
    if options.name and options.name not in BY_NAME:
        raise Failure("there is no remedy %r; pidhygiene remedies lists them" % options.name)
    chosen = [BY_NAME[options.name]] if options.name else list(REMEDIES)
    if options.format == "json":
        _write(json.dumps([{"name": each.name, "title": each.title, "parameters": [
            dict(parameter._asdict(), choices=list(parameter.choices)) for parameter in each.parameters]} for each in chosen], indent=1) + "\n")
        return OK
    rows: List[List[str]] = [[each.name, each.title] for each in chosen]
    if options.name:
        rows += [["  " + each.name, each.help + (" (%s)" % " | ".join(each.choices) if each.choices else "") + (" Required." if each.required else "")]
                 for each in chosen[0].parameters]
    _write("\n".join(terminal.table(rows, terminal.style_for(sys.stdout))) + "\n")
    return OK


NO_CONTROLLER = ("plans are made on the operator's side, by a part that is not installed here (%s): pip install 'pidhygiene[controller]' "
                 "with Python 3.10 or newer, or make plan in a checkout")


def _plan(words: Sequence[str]) -> int:
    """Its options are the controller's own. ``words`` begin with "plan"."""
    import importlib

    try:
        controller: Any = importlib.import_module("pidhygiene.controller.__main__")
        importlib.import_module("yaml")
    except (ImportError, SyntaxError) as error:  # the engine runs on older Pythons
        raise Failure(NO_CONTROLLER % error)
    gc.enable()  # it reads the results of a whole fleet
    status: int = controller.main(words, prog="pidhygiene")
    return status


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except UnicodeEncodeError:  # a terminal with LANG=C still gets its answer
        sys.stdout.write(text.encode("ascii", "replace").decode("ascii"))


if __name__ == "__main__":
    raise SystemExit(main())
