#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: reap
short_description: Zombies go, because their parent is restarted, continued, or freed of its tracer
version_added: 0.1.0
description:
  - Zombies take no signal. They go when their parent reaps them or ends, so this acts on the parent, or on a tracer that holds them.
  - Where no process can start any more, the unit is stopped, its zombies are waited for, and only then it is started, because a neighbour would take
    the process number that a plain restart frees.
  - Looks at the parent again right before. Does nothing when it has no zombies by then, and refuses when it belongs to another unit.
  - Refuses a parent that waits in the kernel, and units that hold other people's work, unless told.
  - This is relief, no cure; the leak is in the program.
options:
  mode:
    description: Restart the unit of the parent, continue a stopped parent, or end the tracer that holds the zombies.
    type: str
    choices: [restart, continue, detach]
    default: restart
  parent:
    description: Pid of the process that does not reap.
    type: int
  unit:
    description: The unit of the parent, which is restarted. Needed with O(mode=restart).
    type: str
  tracer:
    description: Pid of the tracer, with O(mode=detach).
    type: int
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
- name: The agent that does not reap
  pidhygiene.host.reap:
    unit: VRTSralus.service
    parent: 8102
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.reap import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
