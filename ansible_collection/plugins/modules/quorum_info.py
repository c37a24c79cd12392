#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: quorum_info
short_description: Judge the batches of a play against the quorum groups of a plan, and tell whom a host must ask
version_added: 0.1.0
description:
  - Fails when a batch of the play holds more voters of a quorum group than may be changed at the same time. All batches are judged before the first one is
    changed, from C(serial) of the play.
  - Fails when a host of the inventory would vote in a group that the plan does not know it in.
  - Returns the other voters of the groups that the plan touches on this host, to be asked with M(pidhygiene.host.voter_info).
  - Works on the controller only and connects to no host.
options:
  plan:
    description: The plan, a file on the controller in YAML or JSON, or the plan itself.
    type: raw
    required: true
  name:
    description: The name of this host in the plan; its name in the inventory when not given.
    type: str
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.looking
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and returns what it would return without.
  action:
    support: full
    description: Has a corresponding action plugin, so its options act on the controller.
seealso:
  - module: pidhygiene.host.voter_info
  - module: pidhygiene.host.apply_plan
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: Whom must this host ask?
  pidhygiene.host.quorum_info:
    plan: plan.yml
  register: pidhygiene_quorum
"""

RETURN = r"""
groups:
  description: The quorum groups that the plan touches on this host.
  type: list
  elements: str
  returned: success
ask:
  description: Their other voters.
  type: list
  elements: dict
  returned: success
  contains:
    group:
      description: Name of the group.
      type: str
      returned: always
    voter:
      description: Name of the host.
      type: str
      returned: always
    units:
      description: The units that make it a voter.
      type: list
      elements: str
      returned: always
    probe:
      description: What else must answer there; empty when nothing.
      type: str
      returned: always
    acting:
      description: Whether the plan changes it in the same batch.
      type: bool
      returned: always
"""
