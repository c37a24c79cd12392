# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 as hashlib gives it, without the cryptographic library that hashlib loads first; as random in the standard library does it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:
        from _sha2 import sha256  # 3.12
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:  # left out of it, as RHEL does
            from hashlib import sha256

__all__ = ["sha256"]
