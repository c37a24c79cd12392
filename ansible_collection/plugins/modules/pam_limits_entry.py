#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: pam_limits_entry
short_description: Sessions of a service run pam_limits, by the distribution's own tool
version_added: 0.1.0
description:
  - Puts C(pam_limits.so) into the common session stack by a profile for C(pam-auth-update), which Debian's tools keep over updates.
  - Opens a session of the service before and after. One that could be opened before and cannot be afterwards brings all files back.
  - Refuses without a second way in, that is another open session of root, an agent that needs no login, or O(other_way_in).
  - A file that belongs to a service alone is not edited, and where C(authselect) manages PAM, the commands to type are told.
options:
  service:
    description: The service of PAM, as V(sshd), whose sessions shall have the limits of C(limits.conf).
    type: str
    required: true
  other_way_in:
    description: There is another way in than the one this comes by, as a console, and it was tried.
    type: bool
    default: false
  state:
    description: In the common stack, or taken out again.
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
- name: Logins over ssh have the limits of limits.conf
  pidhygiene.host.pam_limits_entry:
    service: sshd
    other_way_in: true
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: sessions of sshd, before: no pam_limits, after: session required pam_limits.so}]
notes:
  description: What the operator should know, as which sessions keep their limits.
  type: list
  elements: str
  returned: success
  sample: [sessions that are open keep their limits]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.pam_limits_entry import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
