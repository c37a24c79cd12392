# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Salt extension of the pip package: the same adapters that file_roots serve (entry point ``salt.loader``)."""

import pathlib

_HERE = pathlib.Path(__file__).resolve().parent
KINDS = ("modules", "states", "beacons", "runners", "returners")


def loader_dirs():
    """Kind of loader to its folders."""
    return {kind: [str(_HERE / ("_" + kind))] for kind in KINDS}
