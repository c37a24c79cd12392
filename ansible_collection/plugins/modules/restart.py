#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: restart
short_description: Units run what is on disk and configured, and systemd has read its files
version_added: 0.1.0
description:
  - Restarts units while an audit names them, because their program or a library was replaced on disk, a limit or the time zone is not in force, or
    their pidfile lies. Does nothing when no finding asks for it.
  - With O(how=daemon-reload), systemd reads its files again while some wait for it.
  - A unit must come back and stay. The play ends at the first that does not.
  - Never restarts the bus on a running host, and nobody who hangs on a stale bus before it. Then a reboot is the cure.
  - Cannot be undone.
options:
  units:
    description: The units, restarted one after the other.
    type: list
    elements: str
  unit:
    description: One unit, with its type. Not used with O(how=daemon-reload).
    type: str
  how:
    description: Restart units, or have systemd read its files again.
    type: str
    choices: [unit, daemon-reload]
    default: unit
  restart_protected:
    description: Restart it although it is a database, a container engine, C(sshd) or the like.
    type: bool
    default: false
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.remedy
seealso:
  - module: pidhygiene.host.audit_info
  - module: pidhygiene.host.apply_plan
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: It runs a program that was replaced
  pidhygiene.host.restart:
    unit: nginx.service

- name: What waits for a reload
  pidhygiene.host.restart:
    how: daemon-reload
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: TasksMax of a.service, before: "4915", after: "2000"}]
notes:
  description: What the operator should know, as a unit that keeps its limits until its next start.
  type: list
  elements: str
  returned: success
  sample: [nginx.service keeps its limits until it is started again]
refused:
  description: Whether the module refused to act; nothing was changed then.
  type: bool
  returned: when it was refused
left:
  description: In which state the host was left, V(old), V(new) or V(mixed).
  type: str
  returned: when it failed on the way
  sample: old
"""

from ansible_collections.pidhygiene.host.plugins.module_utils._remedy import run
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.restart import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
