#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: reboot
short_description: A reboot at a chosen time, with a warning, when a finding asks for it
version_added: 0.1.0
description:
  - Schedules a reboot with systemd-logind, which warns those who are logged in. What was replaced on disk and cannot be restarted on a running host, as the
    message bus, comes into force with it.
  - Does nothing when no finding of an audit asks for a reboot, unless O(when) is a date, so a playbook that runs again does not reboot a host again.
  - Refuses while somebody else's shutdown is scheduled, and while something holds a shutdown off.
  - Does not wait for the reboot.
options:
  when:
    description:
      - In so many minutes (V(+30)), at the next V(03:30) of the host's own time, or at a date in UTC (V(2027-03-31T02:30:00Z)). Needed with O(state=present).
    type: str
  wall_message:
    description: What those who are logged in read.
    type: str
    default: Scheduled reboot
  state:
    description: Scheduled, or not. Only what this module has scheduled is cancelled.
    type: str
    choices: [present, absent]
    default: present
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
- name: Tonight, if the host needs it
  pidhygiene.host.reboot:
    when: "03:30"
    wall_message: Reboot for the new message bus, ticket 4711
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: scheduled shutdown, before: none, after: "reboot at 2027-03-31T02:30:00Z"}]
notes:
  description: What the operator should know, as how many sessions are open.
  type: list
  elements: str
  returned: success
  sample: [2 sessions are open now]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.reboot import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
