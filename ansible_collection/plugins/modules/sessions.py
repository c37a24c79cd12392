#!/usr/bin/python
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: sessions
short_description: Ended sessions leave systemd-logind, empty session scopes leave systemd
version_added: 0.1.0
description:
  - Sessions whose leader and processes are gone, and which systemd-logind keeps as closing, count against C(SessionsMax=) until it lets them go.
  - Tells systemd-logind to end them and systemd to stop their scopes, chunk by chunk, each session looked at again right before. Where systemd-logind still has
    one, systemd is reloaded, upon which systemd-logind looks at all its sessions again. Its files are never touched.
  - Refuses on a message bus that was replaced on disk, because answers get lost there, and when a reload would bring what others have changed.
  - A session with a living process is ended only when O(sessions) names it, and never the one that this runs in.
options:
  end:
    description: Sessions that have ended and are kept, or session scopes in which no process is left.
    type: str
    choices: [leaked, empty scopes]
    default: leaked
  sessions:
    description: Only these, by their ids. Named so, sessions in which somebody works are ended, too.
    type: list
    elements: str
  batch:
    description: At most so many at once. Apply again for the rest.
    type: int
    default: 1000
  accept_pending:
    description: Reload systemd although files of others wait for a reload, too.
    type: bool
    default: false
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
- name: What cron left behind
  pidhygiene.host.sessions:

- name: Scopes in which nothing runs any more
  pidhygiene.host.sessions:
    end: empty scopes
"""

RETURN = r"""
differences:
  description: What differed, each with what it is about, how it was, and how it is now.
  type: list
  elements: dict
  returned: success
  sample: [{what: leaked sessions of systemd-logind, before: "220", after: "0"}]
notes:
  description: What the operator should know, as how many are left.
  type: list
  elements: str
  returned: success
  sample: ["1000 of 7900 at once: apply again for the rest"]
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
from ansible_collections.pidhygiene.host.plugins.module_utils.pidhygiene.remedies.sessions import REMEDY


def main():
    run(REMEDY)


if __name__ == "__main__":
    main()
