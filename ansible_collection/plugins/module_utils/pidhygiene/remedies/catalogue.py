# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every remedy, listed explicitly."""

from . import scheduled_restart, time_zone, unit_limits

REMEDIES = (
    scheduled_restart.REMEDY,
    time_zone.REMEDY,
    unit_limits.REMEDY,
)

BY_NAME = {remedy.name: remedy for remedy in REMEDIES}
