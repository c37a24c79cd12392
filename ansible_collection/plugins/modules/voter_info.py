#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: voter_info
short_description: Tell whether a host counts as a voter of a quorum group now
version_added: 0.1.0
description:
  - A host counts when it answers, its units are active, its probe is answered, and no remedy is being applied to it at this moment.
  - A host that cannot be reached does not count. That is an answer, the task does not fail.
  - Changes nothing and starts no process.
options:
  units:
    description: The units that make it a voter.
    type: list
    elements: str
    default: []
  probe:
    description: V(tcp:PORT), which must be listened on, or an address as V(http://127.0.0.1:9200/_cluster/health) that must answer with a status of 2xx.
    type: str
    default: ''
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.looking
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and asks as without.
  action:
    support: full
    description: Has a corresponding action plugin, which turns a host that cannot be reached into an answer.
seealso:
  - module: pidhygiene.host.quorum_info
  - module: pidhygiene.host.apply_plan
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: Does the second master count?
  pidhygiene.host.voter_info:
    units: [elasticsearch.service]
    probe: tcp:9300
  delegate_to: es2
"""

RETURN = r"""
up:
  description: Whether it counts.
  type: bool
  returned: always
why:
  description: Why not, as the rest of a sentence; empty when it counts.
  type: str
  returned: always
  sample: 'is no voter: elasticsearch.service is failed'
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies import voter


def main():
    module = AnsibleModule(
        argument_spec=dict(units=dict(type="list", elements="str", default=[]), probe=dict(type="str", default="")),
        supports_check_mode=True,
    )
    why = voter.problem(module.params["units"], module.params["probe"])
    module.exit_json(changed=False, up=not why, why=why)


if __name__ == "__main__":
    main()
