#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: time_zone
short_description: One time zone for the host, and no daemon left in the old one
version_added: 0.1.0
description:
  - Makes C(/etc/localtime) a link to the zone, as systemd writes it, and corrects the other files that name one, C(/etc/timezone) and
    C(/etc/sysconfig/clock), where there are such files.
  - Then restarts the daemons that keep the zone they were started in, as cron of Red Hat and rsyslog, and makes sure that their old processes are gone.
    Databases, Java, container engines and supervisors are never restarted; they are named in the notes.
  - The notes list the jobs whose hour moves, with their next run by the new and by the old clock, and what is skipped or runs twice.
  - Refuses names that are no zone on the host, a C(/etc/localtime) that is mounted into the machine, and containers of one program.
options:
  name:
    description: The zone, as V(Europe/Berlin) or V(Etc/UTC). An old name, as V(PRC), is replaced by the one it stands for.
    type: str
    required: true
  restart:
    description: Which daemons are restarted, those that keep the zone they were started in, or none.
    type: str
    choices: [cached, none]
    default: cached
  state:
    description: A host always has a zone. To undo, set the old one.
    type: str
    choices: [present]
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
- name: All hosts of the group live in one zone
  pidhygiene.host.time_zone:
    name: Europe/Berlin

- name: The same, daemons are restarted in the next window
  pidhygiene.host.time_zone:
    name: Europe/Berlin
    restart: none
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: /etc/localtime, before: a file of 561 bytes, after: "-> ../usr/share/zoneinfo/Asia/Shanghai"}]
notes:
  description: What the operator should know, as the jobs whose hour moves.
  type: list
  elements: str
  returned: success
  sample: ["still in the zone of their start: mysqld (812, mysql.service); restart each when it suits"]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.time_zone import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
