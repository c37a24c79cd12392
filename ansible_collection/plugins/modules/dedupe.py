#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: dedupe
short_description: Leaked copies of a service end, and the managed one stays
version_added: 0.1.0
description:
  - Ends processes that an audit names as leaked copies at this moment (PH-ORP-001, PH-ORP-002, PH-ORP-005), and no others.
  - Refuses when the managed instance is not there, and when a copy alone listens on a port.
  - Each process is held by a pidfd and looked at again before it gets SIGTERM, and SIGKILL when it does not end within ten seconds.
  - Cannot be undone.
options:
  keep:
    description: Pid of the managed instance, which stays.
    type: int
    required: true
  end:
    description: Pids of the leaked ones, with commas between them, as the finding names them.
    type: str
    required: true
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
- name: The tree that supervisord lost
  pidhygiene.host.dedupe:
    keep: 4711
    end: 117,123,125
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.dedupe import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
