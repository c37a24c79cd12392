#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: audit_report
short_description: One page and one text from the audits of a play
version_added: 0.1.0
description:
  - Runs once, after M(pidhygiene.host.audit_info) has run on all hosts with a report folder and a registered result.
  - Compares the hosts that the play targeted with those that were recorded, writes C(run.json) and the page C(report.html) into the folder,
    and prints what was found.
  - Works on the controller only and connects to no host.
options:
  report_dir:
    description: The folder that was given to M(pidhygiene.host.audit_info). A relative path starts at the current directory.
    type: path
    default: pidhygiene-report
  register:
    description: Name of the variable in which the task with M(pidhygiene.host.audit_info) registered its result.
    type: str
    default: pidhygiene_audit
  fail_on:
    description:
      - Fail when a host has a finding in force of this status or a graver one.
      - The default reports only, as a play over a fleet that ends red every day is soon ignored. Use V(fail) in a pipeline.
    type: str
    choices: [fail, never, unknown, warn]
    default: never
  require_all:
    description: Fail, after the report is written, when a targeted host was not audited.
    type: bool
    default: true
  store:
    description:
      - Where the report folder is handed in when it is written, so that the next report has a history. A file of SQLite, or a URL as
        C(postgresql://USER@HOST/DATABASE); nowhere when empty.
      - Needs C(pidhygiene[controller]) where Ansible runs. When the store cannot be reached or something was refused, the task fails; the folder
        is complete, and C(python -m pidhygiene.controller ingest) takes it in later. Not in check mode.
    type: str
    default: ""
  policy:
    description:
      - The policy of the audits, handed to O(store) with them, where later reports tell what it said and which of its lines changed. Its C(store.keep) holds.
      - One for the play. Of hosts with a policy of their own, C(python -m pidhygiene.controller ingest --policy) takes in the text.
    type: dict
    default: {}
  title:
    description: Title of the page.
    type: str
    default: pidhygiene
extends_documentation_fragment:
  - pidhygiene.host.attributes
  - pidhygiene.host.attributes.looking
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and returns what it would return without.
    details: The report is the output of the task and is written in check mode as well. No host is changed.
  action:
    support: full
    description: Has a corresponding action plugin, so some of its options act on the controller.
seealso:
  - module: pidhygiene.host.audit_info
author:
  - the pidhygiene maintainers (@pidhygiene)
"""

EXAMPLES = r"""
- name: Audit this host
  pidhygiene.host.audit_info:
    report_dir: pidhygiene-report
  register: pidhygiene_audit
  ignore_errors: true
  ignore_unreachable: true

- name: Report over all hosts
  pidhygiene.host.audit_report:
    report_dir: pidhygiene-report
    fail_on: fail
  run_once: true
"""

RETURN = r"""
page:
  description: The page that was written.
  type: str
  returned: always
  sample: /home/ops/pidhygiene-report/report.html
targeted:
  description: Number of hosts that the play targeted.
  type: int
  returned: always
audited:
  description: Number of hosts that were audited.
  type: int
  returned: always
not_audited:
  description: Names of the targeted hosts that were not audited.
  type: list
  elements: str
  returned: always
failing:
  description: Names of the hosts with findings at or above O(fail_on).
  type: list
  elements: str
  returned: always
"""
