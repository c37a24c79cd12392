#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: apply_plan
short_description: Apply what a reviewed plan says of this host, and prove that it took
version_added: 0.1.0
description:
  - Applies the steps that a plan of C(pidhygiene plan) names for this host, in order, and ends at the first that does not succeed.
  - Afterwards the rules that the plan was made for are evaluated again on the running host. A finding that is still there fails the task.
  - Refuses a plan that is older than a day, that was made on another boot of the host, or whose steps were edited.
  - Refuses what would leave a quorum group without a majority of voters that are up now. After its steps, the host must count as a voter again.
  - A host of which the plan says nothing is left alone.
options:
  plan:
    description: The plan, a file on the controller in YAML or JSON, or the plan itself.
    type: raw
    required: true
  name:
    description: The name of this host in the plan; its name in the inventory when not given.
    type: str
  policy:
    description: The policy of the audit afterwards.
    type: dict
    default: {}
  voters:
    description:
      - What M(pidhygiene.host.voter_info) says now of the other voters of the quorum groups that the plan touches on this host, as registered from a loop over
        what M(pidhygiene.host.quorum_info) returned.
      - Without it nothing is done on a host whose steps touch a quorum group. The role and the playbook of this collection ask.
    type: list
    elements: dict
  revert_after:
    description:
      - Seconds after which a change of how people log in is taken back by a timer of systemd, unless a new login has worked by then. That is a line of
        limits.conf for root or for everybody, or limits of sshd or logind.
      - The module logs in anew by itself when it has made such a change. V(0) takes nothing back.
    type: int
    default: 0
  confirm:
    description: Only confirm that a new login works. What waits to be taken back stays.
    type: bool
    default: false
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
- name: What was reviewed, and nothing else
  pidhygiene.host.apply_plan:
    plan: plan.yml

- name: With quorum groups, the role asks the other voters first
  ansible.builtin.import_role:
    name: pidhygiene.host.remediate
"""

RETURN = r"""
outcomes:
  description: What became of each step.
  type: list
  elements: dict
  returned: when the plan was of this host and boot
  contains:
    remedy:
      description: Name of the remedy.
      type: str
      returned: always
      sample: unit_limits
    parameters:
      description: What it was asked for.
      type: dict
      returned: always
    status:
      description: V(applied), V(would change), V(as it shall be), V(refused), V(failed), or V(not reached).
      type: str
      returned: always
      sample: applied
    message:
      description: Why, or what to know.
      type: str
      returned: always
    differences:
      description: What differed, each with what it is about, how it was, and how it is now.
      type: list
      elements: dict
      returned: always
armed:
  description: Whether a change of how people log in was to be taken back unless a new login worked.
  type: bool
  returned: when the plan was of this host and boot
kept:
  description: The files of that change, which stay, as a new login worked.
  type: list
  elements: str
  returned: when a new login has confirmed it
remaining:
  description: Findings that the plan was made for and that are still there.
  type: list
  elements: str
  returned: when the plan was of this host and boot
refused:
  description: Whether the plan was refused as a whole; nothing was changed then.
  type: bool
  returned: when it was refused
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pidhygiene.host.plugins.module_utils._remedy import shown_difference
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.policy import Policy, PolicyError
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies import revert
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.model import Refused
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.plan import GOOD, NotAPlan, Voter, apply_host


def main():
    module = AnsibleModule(
        argument_spec=dict(plan=dict(type="raw", required=True), name=dict(type="str"), policy=dict(type="dict", default={}),
                           voters=dict(type="list", elements="dict"), revert_after=dict(type="int", default=0), confirm=dict(type="bool", default=False)),
        supports_check_mode=True,
    )
    voters = module.params["voters"]
    if module.params["confirm"]:
        _confirm(module)
    try:
        asked = None if voters is None else [Voter(**row) for row in voters]
        report = apply_host(module.params["plan"], module.params["name"] or "", module.check_mode, Policy(module.params["policy"]), asked=asked,
                            revert_after=module.params["revert_after"])
    except NotAPlan as error:
        module.fail_json(msg="This is no plan: %s." % error)
    except PolicyError as error:
        module.fail_json(msg="The policy has mistakes: %s." % error)
    except Refused as error:
        module.fail_json(msg="Refused: %s." % error, refused=True)
    except Exception as error:  # pylint: disable=broad-except
        module.fail_json(msg="The plan could not be applied (%s: %s); this is a bug of pidhygiene." % (type(error).__name__, error))
    answer = dict(report.plain(), diff=[shown_difference(each) for outcome in report.outcomes for each in outcome.differences])
    if report.succeeded:
        module.exit_json(**answer)
    bad = ["%s %s: %s" % (each.remedy, each.status, each.message) for each in report.outcomes if each.status not in GOOD]
    module.fail_json(msg="; ".join(bad + ["still found: " + each for each in report.remaining]), **answer)


def _confirm(module):
    try:
        kept = revert.keep()
    except Exception as error:  # pylint: disable=broad-except
        module.fail_json(msg="What a new login has confirmed could not be kept (%s), and is taken back." % error)
    if not kept:
        module.fail_json(msg="The new login came too late: the change was taken back.")
    module.exit_json(changed=False, kept=kept)


if __name__ == "__main__":
    main()
