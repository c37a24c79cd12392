#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: kernel_limits
short_description: The kernel's own budgets, as they run and as the next boot sets them
version_added: 0.1.0
description:
  - Sets C(kernel.pid_max), C(kernel.threads-max) and the other kernel settings that refuse a process, a thread, a watch or an open file when they are
    used up, in one file of its own, C(/etc/sysctl.d/zz-pidhygiene.conf), and at once in the running kernel. Nothing is restarted.
  - Afterwards the value is read back from the kernel, and from all files of C(sysctl.d) as a boot merges them. When one of the two is another, the task
    fails and says why.
  - Refuses what does harm, as a value that leaves less than twice of what is in use, more tasks than there is memory for, a setting
    that a later file or C(/etc/sysctl.conf) overrules, and a container whose settings are those of its host.
options:
  values:
    description:
      - Name of the setting to its value, a whole number. Settings that are not named stay as they are.
      - Settings are C(kernel.pid_max), C(kernel.threads-max), C(vm.max_map_count), C(fs.inotify.max_user_instances), C(fs.inotify.max_user_watches),
        C(fs.aio-max-nr), C(fs.nr_open), C(fs.file-max), C(kernel.keys.maxkeys), C(kernel.keys.maxbytes), C(kernel.keys.root_maxkeys),
        C(kernel.keys.root_maxbytes).
    type: dict
  state:
    description:
      - With V(absent), what this module has set is taken away, the named settings or all of them. They get the value that the other files say,
        or else the one that ran before.
    type: str
    choices: [present, absent]
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
- name: Process numbers for a host with containers
  pidhygiene.host.kernel_limits:
    values:
      kernel.pid_max: 4194304

- name: What a search engine and its log shippers need
  pidhygiene.host.kernel_limits:
    values:
      vm.max_map_count: 262144
      fs.inotify.max_user_instances: 1024

- name: As the distribution ships it
  pidhygiene.host.kernel_limits:
    state: absent
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: kernel.pid_max now, before: "32768", after: "4194304"}]
notes:
  description: What the operator should know, as what follows later by itself.
  type: list
  elements: str
  returned: success
  sample: [services and sessions have their limits of open files from when they started]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.kernel_limits import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
