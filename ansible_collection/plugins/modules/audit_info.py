#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: audit_info
short_description: Find out why a Linux host cannot start one more process
version_added: 0.1.0
description:
  - Audits one host in one task and returns what was found, with the evidence.
  - Covers zombies and who does not reap them, limits of users, services and the kernel, how full they are and where they come from,
    and whether clocks, services and jobs agree on the time zone.
  - Changes nothing on the host, starts no process and no thread there, and needs nothing but Python 3.6 or newer.
  - Without root it sees less, and says so. What could not be seen is C(unknown), never C(pass).
options:
  policy:
    description:
      - Thresholds, expected zone, wanted limits, allow-lists and waivers, as one dictionary. Every setting has a default.
      - A mistake fails the task and names its path, what is wrong, and the nearest key.
    type: dict
    default: {}
  rules:
    description: Ids or patterns of the rules to run, as V(PH-ZMB-001) or V(PH-LIM-*). All rules when empty.
    type: list
    elements: str
    default: []
  tags:
    description:
      - Words that stand in the result as tags of the host and that waivers can name as C(group).
      - The groups of the inventory that the host is in are always added when the task runs through Ansible.
    type: list
    elements: str
    default: []
  previous:
    description:
      - RV(result.marks) of an earlier audit of this host. Rules that need history (growth, forks refused since then) compare with it.
      - With O(report_dir) the marks of the last result in that folder are taken when this is not set.
    type: dict
  deadline:
    description: Seconds after which the audit stops looking and tells what it did not see.
    type: float
    default: 60
  snapshot:
    description: Path, on the host, of a snapshot written by C(pidhygiene snapshot). It is audited in place of the running host.
    type: path
  report_dir:
    description:
      - Folder on the controller into which the result is written as C(results/HOST.json), readable by its owner only, as soon as it arrives.
        A relative path starts at the current directory.
      - The task then returns a summary and the path, so that the controller does not hold the documents of all hosts.
      - A host that could not be audited is recorded in C(not-audited/HOST.json), with the reason and the next step.
      - Also written in check mode, as it is the output of the task and nothing on the host.
    type: path
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.looking
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and returns what it would return without.
    details: The module changes nothing on the host.
seealso:
  - module: pidhygiene.host.audit_report
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: What is wrong here?
  pidhygiene.host.audit_info:
  register: audit

- name: Say it
  ansible.builtin.debug:
    msg: "{{ audit.result.findings | selectattr('status', 'in', ['fail', 'warn']) | map(attribute='message') }}"

- name: Audit by our own policy, keep the result on the controller
  pidhygiene.host.audit_info:
    policy:
      zone:
        expected: Europe/Berlin
      headroom:
        warn: 0.7
      waivers:
        - rule: PH-ZMB-001
          subject: beremote*
          justification: vendor fix is ordered, ticket 4711
          owner: backup team
          expires: '2027-03-31'
    report_dir: pidhygiene-report

- name: Only zombies and pid numbers
  pidhygiene.host.audit_info:
    rules: [PH-ZMB-*, PH-PID-002]
"""

RETURN = r"""
result:
  description: The result document C(pidhygiene.result/1) of this host. Not returned with O(report_dir), where it stands in RV(path).
  type: dict
  returned: success, without O(report_dir)
  contains:
    host:
      description: Which host this is.
      type: dict
      returned: always
      sample: {name: web1, distro: {id: debian, version: "12"}, cgroup: v2, tags: [web]}
    audit:
      description: When and how the audit was done, what it cost, and its internal errors.
      type: dict
      returned: always
    summary:
      description: Counts of rules by status and of findings by severity.
      type: dict
      returned: always
    findings:
      description: What was found, each with rule, status, severity, subject, message, evidence, remedy, waiver and fingerprint.
      type: list
      elements: dict
      returned: always
    rules:
      description: Every rule that ran with its status, so that silence is never mistaken for health.
      type: list
      elements: dict
      returned: always
    facts:
      description: Configuration with its provenance, for comparison between hosts.
      type: dict
      returned: always
    measures:
      description: Numbers over time, as tasks, zombies, and use of limits.
      type: dict
      returned: always
    marks:
      description: What the next audit of this host needs as O(previous).
      type: dict
      returned: always
outcome:
  description: Whether the host was V(audited), was V(unreachable), or the audit V(failed) there.
  type: str
  returned: always
  sample: audited
status:
  description: Gravest status among the findings in force.
  type: str
  returned: when the host was audited and O(report_dir) is set
  sample: warn
summary:
  description: The summary of the result.
  type: dict
  returned: when the host was audited and O(report_dir) is set
  sample: {findings_by_severity: {CRIT: 0, HIGH: 1, INFO: 0, LOW: 0, MED: 0}, rules_by_status: {fail: 1, pass: 44}, waived: 0}
path:
  description: File on the controller that was written for this host.
  type: str
  returned: with O(report_dir)
  sample: /home/ops/pidhygiene-report/results/web1.json
sha256:
  description: Digest of that file.
  type: str
  returned: with O(report_dir)
next_step:
  description: What to do about a host that was not audited.
  type: str
  returned: when the host was not audited
"""

import functools
import gc
import zipimport

gc.disable()  # a process that lives for a tenth of a second and holds everything until its end has nothing to collect

# Ansible runs this from an archive, and zipimport compiles each module twice: to learn its file name (zipimporter.get_filename, which
# importlib asks for the spec), then to run it. What it has just compiled is kept; this process ends with the audit.
if hasattr(zipimport, "_compile_source"):
    zipimport._compile_source = functools.lru_cache(maxsize=1)(zipimport._compile_source)

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.audit import audit
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.host import LiveHost
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.policy import Policy, PolicyError
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.rules.catalogue import NoSuchRule


class QuietModule(AnsibleModule):
    """Writes nothing to the host's log: neither a policy nor marks of many kilobytes belong there, and an audit changes nothing."""

    def _log_invocation(self):
        return


def main():
    module = QuietModule(
        argument_spec=dict(
            policy=dict(type="dict", default={}),
            rules=dict(type="list", elements="str", default=[]),
            tags=dict(type="list", elements="str", default=[]),
            previous=dict(type="dict"),
            deadline=dict(type="float", default=60),
            snapshot=dict(type="path"),
            report_dir=dict(type="path"),
        ),
        supports_check_mode=True,
    )
    try:
        result = _audit(module, module.params)
    except PolicyError as error:
        module.fail_json(msg="The policy has mistakes: %s" % error, mistakes=[mistake._asdict() for mistake in error.mistakes])
    except NoSuchRule as error:
        module.fail_json(msg="%s." % error)
    except Exception as error:  # pylint: disable=broad-except
        module.fail_json(msg="The audit itself failed (%s: %s); this is a bug of pidhygiene." % (type(error).__name__, error))
    module.exit_json(changed=False, outcome="audited", result=result)


def _audit(module, params):
    host = _recorded(module, params["snapshot"]) if params["snapshot"] else LiveHost(deadline_s=params["deadline"])
    return audit(host, Policy(params["policy"]), params["previous"], params["rules"], params["tags"])


def _recorded(module, path):
    # Imported where it is asked for: hosts compile whatever they import, at every audit.
    from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene import snapshot

    try:
        return snapshot.load(path)
    except (snapshot.NotASnapshot, OSError) as error:
        module.fail_json(msg="The snapshot cannot be audited: %s." % error)


if __name__ == "__main__":
    main()
