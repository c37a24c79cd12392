"""Start lab hosts by hand: python -m tests.lab up NAME, then ssh NAME, run NAME -- COMMAND, list, down NAME."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from .host import LabHost
from .machine import ENVIRONMENT
from .owner import Owner
from .place import LabError
from .registry import Record, records, remove, sweep
from .tree import SUITES, base_tree, base_trees, with_packages
from .virtual_machine import VirtualMachine


def main(arguments: list[str]) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.action(options) or 0)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="Real systemd hosts to play with and to test on.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    up = actions.add_parser("up", help="boot a host that runs until it is taken down")
    up.add_argument("name")
    up.add_argument("--suite", choices=sorted(SUITES), default="bookworm")
    up.add_argument("--layout", choices=["hybrid", "unified"], help="of the cgroups; default: the one in which more limits are real")
    up.add_argument("--package", action="append", default=[], help="a Debian package to add to the tree; may be repeated")
    up.set_defaults(action=_up)

    machine = actions.add_parser("machine", help="boot a virtual machine: unified cgroups with all controllers; else like a host")
    machine.add_argument("name")
    machine.set_defaults(action=_machine)

    run = actions.add_parser("run", help="run a command in a host, with no session: run NAME -- COMMAND ...")
    run.add_argument("name")
    run.add_argument("command", nargs=argparse.REMAINDER)
    run.set_defaults(action=_run)

    ssh = actions.add_parser("ssh", help="log in over ssh, or run a command in a login: ssh NAME [-- COMMAND ...]")
    ssh.add_argument("name")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    ssh.set_defaults(action=_ssh)

    push = actions.add_parser("push", help="copy a file or folder to a path in a host")
    push.add_argument("name")
    push.add_argument("source", type=Path)
    push.add_argument("destination")
    push.set_defaults(action=_push)

    reboot = actions.add_parser("reboot", help="reboot a host and wait for it")
    reboot.add_argument("name")
    reboot.set_defaults(action=_reboot)

    down = actions.add_parser("down", help="take hosts away")
    down.add_argument("name", nargs="+")
    down.set_defaults(action=_down)

    actions.add_parser("list", help="list the hosts").set_defaults(action=_list)
    actions.add_parser("sweep", help="take away the hosts of runs that died").set_defaults(action=_sweep)
    actions.add_parser("trees", help="make the trees now").set_defaults(action=_trees)
    return parser


def _up(options: argparse.Namespace) -> None:
    _require_unused(options.name)
    tree = base_tree(options.suite)
    if options.package:
        tree = with_packages(tree, options.package)
    _describe(LabHost.boot(tree, options.name, layout=options.layout, owner=Owner.person()).record)


def _machine(options: argparse.Namespace) -> None:
    _require_unused(options.name)
    _describe(VirtualMachine.boot(options.name, owner=Owner.person()).record)


def _run(options: argparse.Namespace) -> None:
    command = _found(options.name).entering(["env", "-i", *ENVIRONMENT, *_command(options)])
    os.execvp(command[0], command)


def _ssh(options: argparse.Namespace) -> None:
    command = _found(options.name).ssh_command(*_command(options))
    os.execvp(command[0], command)


def _command(options: argparse.Namespace) -> list[str]:
    command: list[str] = options.command
    return command[1:] if command[:1] == ["--"] else command


def _push(options: argparse.Namespace) -> None:
    _found(options.name).push(options.source, options.destination)


def _reboot(options: argparse.Namespace) -> None:
    _found(options.name).reboot()


def _down(options: argparse.Namespace) -> None:
    for name in options.name:
        remove(_found(name).record)


def _list(options: argparse.Namespace) -> None:
    for record in records():
        _describe(record)


def _sweep(options: argparse.Namespace) -> None:
    for record in sweep():
        print(f"removed {record.name}")


def _trees(options: argparse.Namespace) -> None:
    for tree in base_trees().values():
        print(tree.layers[0])


def _describe(record: Record) -> None:
    host = _opened(record)
    state = "booted" if host.alive() else "ended"
    owner = "by hand" if record.owner.pid is None else f"of pid {record.owner.pid}" + ("" if record.owner.alive() else " (dead)")
    print(f"{record.name}\t{record.suite}\t{record.layout}\t{host.address}\t{state}\tkey {host.key}\t{owner}")


def _named(name: str) -> list[Record]:
    return [record for record in records() if record.name == name]


def _require_unused(name: str) -> None:
    if _named(name):
        raise LabError(f"there is a host {name} already")


def _opened(record: Record) -> LabHost | VirtualMachine:
    return VirtualMachine(record) if record.kind == "virtual machine" else LabHost(record)


def _found(name: str) -> LabHost | VirtualMachine:
    named = _named(name)
    if not named:
        raise LabError(f"there is no host {name}; `list` shows those that run")
    if len(named) > 1:
        raise LabError(f"{len(named)} hosts are called {name}; start one with another name")
    return _opened(named[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
