# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How wide the terminal is. shutil knows as much, but imports every kind of archive."""

import os

WITHOUT_TERMINAL = 100


def columns() -> int:
    try:
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size().columns or WITHOUT_TERMINAL
    except (ValueError, OSError):
        return WITHOUT_TERMINAL
