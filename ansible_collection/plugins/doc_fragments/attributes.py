# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the pidhygiene maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    """What modules have in common: all of them, those that repair, and those that change no host."""

    DOCUMENTATION = r"""
options: {}
attributes:
  idempotent:
    support: full
    description: When run twice in a row, it does not change anything the second time.
  platform:
    support: full
    description: Target operating systems.
    platforms: linux
  action_group:
    support: full
    description: Use C(group/pidhygiene.host.pidhygiene) in C(module_defaults) to set defaults for all modules of this collection.
    membership:
      - pidhygiene.host.pidhygiene
"""

    REMEDY = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and returns what it would change, without changing anything.
  diff_mode:
    support: full
    description: Returns what differs, or differed, when in diff mode.
"""

    LOOKING = r"""
options: {}
attributes:
  diff_mode:
    support: N/A
    description: Returns details on what has changed when in diff mode.
    details: No host is changed.
"""
