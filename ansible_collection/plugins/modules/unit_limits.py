#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: unit_limits
short_description: Limits, TasksMax and KillMode of a systemd unit, in force for what runs
version_added: 0.1.0
description:
  - Sets resource limits, C(TasksMax=) and C(KillMode=) of a service, or C(TasksMax=) of a slice, in one drop-in of its own, C(zz-pidhygiene.conf).
    Files of the vendor and of others are not touched.
  - C(TasksMax=) is in force at once. Limits are set when a process starts, so a service that runs with others is restarted, unless O(apply) says otherwise.
  - Afterwards the values are read back from systemd, from the kernel's group and from the running process. When one is not in force, the task
    fails and says why.
  - Refuses what does harm, as C(nofile) above C(fs.nr_open), a limit below twice of what is used, a limit that PAM overrules, a unit that does not
    exist, and a reload of systemd that would also bring changes of others.
options:
  unit:
    description: The unit, with its type, as C(nginx.service) or C(user-1000.slice).
    type: str
    required: true
  limits:
    description:
      - Limit to value. Limits are C(as), C(core), C(cpu), C(data), C(fsize), C(locks), C(memlock), C(msgqueue), C(nice), C(nofile), C(nproc), C(rss),
        C(rtprio), C(rttime), C(sigpending), C(stack); C(tasks) is C(TasksMax=).
      - A value is V(65536), V(soft:hard) or V(infinity), as in a unit file.
      - Limits that are not named stay as they are.
    type: dict
  kill_mode:
    description: What systemd ends when the unit stops.
    type: str
    choices: [control-group, mixed, process]
  apply:
    description:
      - How processes that run get the limits.
      - With V(running) they are changed in place, and the next start takes them from the drop-in.
    type: str
    choices: [restart, next_start, running]
    default: restart
  restart_protected:
    description: Restart it although it is a database, a container engine, C(sshd) or the like.
    type: bool
    default: false
  accept_pending:
    description: Reload systemd although files of others wait for a reload, too.
    type: bool
    default: false
  state:
    description: With V(absent), what this module has set is taken away, the named limits or all of them.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.remedy
seealso:
  - module: pidhygiene.host.audit_info
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: More open files for nginx
  pidhygiene.host.unit_limits:
    unit: nginx.service
    limits:
      nofile: 65536

- name: The backup agent cannot take the whole host with it
  pidhygiene.host.unit_limits:
    unit: VRTSralus.service
    limits:
      tasks: 2000

- name: As the vendor ships it
  pidhygiene.host.unit_limits:
    unit: nginx.service
    state: absent
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.unit_limits import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
