#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: scheduled_restart
short_description: A service restarted on schedule, by a timer with an owner
version_added: 0.1.0
description:
  - Restarts a service at fixed times until its leak is mended, by a timer and a service of its own, C(pidhygiene-restart-UNIT). Each restart is a line in
    the journal with owner and reason. A service that was stopped stays stopped, restarts never overlap, and none is made up for after a boot.
  - A line of a crontab that restarts the same service now can be taken over. It is set aside as a comment once the timer runs, and comes back with
    O(state=absent).
  - Afterwards the timer is asked whether it runs and knows when it elapses next. When something fails on the way, the old state is brought back.
  - Refuses what systemd would not read, units that do not exist, a line that does more than that restart, and a reload of systemd that would also
    bring changes of others.
options:
  unit:
    description: The service, with its type, as V(agent.service).
    type: str
    required: true
  calendar:
    description: When, as C(OnCalendar=) takes it. Without it and O(interval), the times of the line that is taken over.
    type: str
  interval:
    description: Or how often, in seconds, 600 or more; at most half of the time in which the leak fills its limit.
    type: int
  spread_s:
    description: Spread over so many seconds, by an offset that stays the same on each host, so that a fleet does not restart at once.
    type: int
    default: 0
  owner:
    description: Who answers for it. Without an owner the audit lists it as a restart that nobody chose.
    type: str
    default: ''
  reason:
    description: Why, as the number of a ticket.
    type: str
    default: ''
  take_over:
    description: The line of a crontab that restarts the service now, as V(/etc/crontab:17) or the line itself.
    type: str
  restart_protected:
    description: Although it is a database, a container engine, C(sshd) or the like.
    type: bool
    default: false
  accept_pending:
    description: Reload systemd although files of others wait for a reload, too.
    type: bool
    default: false
  state:
    description: With V(absent), the timer is removed, and a line that was taken over comes back.
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
- name: The backup agent leaks zombies until its vendor mends it
  pidhygiene.host.scheduled_restart:
    unit: VRTSralus.service
    take_over: 0 14 * * 6 /etc/init.d/VRTSralus.init restart
    owner: backup team
    reason: ticket 4711

- name: Twice a day, not on all hosts at once
  pidhygiene.host.scheduled_restart:
    unit: agent.service
    calendar: '*-*-* 05,17:00'
    spread_s: 1800
    owner: platform

- name: The leak is mended
  pidhygiene.host.scheduled_restart:
    unit: VRTSralus.service
    state: absent
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: state of pidhygiene-restart-agent.timer, before: inactive, after: active}]
notes:
  description: What the operator should know, as the next restart.
  type: list
  elements: str
  returned: success
  sample: ["the next restart is due at 2026-12-05 14:00 CET (05. 13:00 UTC)"]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.scheduled_restart import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
