# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every remedy, listed explicitly."""

from . import dedupe, kernel_limits, pam_limits_entry, pam_limits_line, reap, reboot, restart, scheduled_restart, sessions, time_zone, unit_limits

REMEDIES = (
    kernel_limits.REMEDY,
    pam_limits_line.REMEDY,
    pam_limits_entry.REMEDY,
    scheduled_restart.REMEDY,
    time_zone.REMEDY,
    unit_limits.REMEDY,
    reap.REMEDY,
    dedupe.REMEDY,
    restart.REMEDY,
    sessions.REMEDY,
    reboot.REMEDY,
)

BY_NAME = {remedy.name: remedy for remedy in REMEDIES}
