#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: pam_limits_line
short_description: A line of limits.conf that the next session of its users really gets
version_added: 0.1.0
description:
  - Puts a line into a file of C(limits.d), C(zz-pidhygiene.conf) unless O(file) says otherwise, corrects one, or takes one out. All other lines stay.
  - What sessions get is worked out as C(pam_limits) of this host does it, with all files, classes of domains and its version's habits. A line that
    another one overrules is refused, and that one is named; afterwards the files are read back in the same way. No session is opened for it.
  - Refuses what would lock people out, as C(nproc) 0, less than twice of what a user has in use, C(nofile) above C(fs.nr_open), C(maxlogins) below
    the logins that are open, and what would lower such a limit of root.
  - Sessions that are open, and services of systemd, keep their limits; for services there is M(pidhygiene.host.unit_limits).
  - The stacks of PAM in C(/etc/pam.d) are left alone.
options:
  domain:
    description: Whom it is for, as in C(limits.conf), a user, V(@group), a range of uids as V(1000:2000), or V(*).
    type: str
  type:
    description: Which half of the limit; V(-) is both.
    type: str
    choices: [soft, hard, '-']
  item:
    description: The limit, as V(nofile), V(nproc), V(memlock) or V(maxlogins).
    type: str
  value:
    description: A whole number in the units of C(limits.conf), or V(unlimited).
    type: str
  instead_of:
    description:
      - A line of the file that is replaced. It stays above the new one as a comment, and comes back with O(state=absent).
      - With O(state=absent) and no O(domain), the line is taken out, and stays as a comment.
    type: str
  file:
    description: C(/etc/security/limits.conf), or a file of C(/etc/security/limits.d). With nothing else given, it is there afterwards.
    type: str
    default: /etc/security/limits.d/zz-pidhygiene.conf
  state:
    description: With V(absent), the line that this module has put in for O(domain), O(type) and O(item) is taken out; without them, all of its own file.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.remedy
seealso:
  - module: pidhygiene.host.audit_info
  - module: pidhygiene.host.unit_limits
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: More open files for whoever logs in as oracle
  pidhygiene.host.pam_limits_line:
    domain: oracle
    type: '-'
    item: nofile
    value: '65536'

- name: Correct a line that speaks for a user named 500
  pidhygiene.host.pam_limits_line:
    file: /etc/security/limits.d/oracle.conf
    instead_of: 500 - nproc 16384
    domain: ':500'
    type: '-'
    item: nproc
    value: '16384'

- name: No exemption from all limits any more
  pidhygiene.host.pam_limits_line:
    file: /etc/security/limits.conf
    instead_of: oracle -
    state: absent
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: /etc/security/limits.d/zz-pidhygiene.conf, before: "", after: "oracle - nofile 65536"}]
notes:
  description: What the operator should know, as what follows later by itself.
  type: list
  elements: str
  returned: success
  sample: ["sessions that are open, and daemons, keep their limits; the next session has the new ones"]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.pam_limits_line import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
