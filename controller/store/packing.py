# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How plain data becomes bytes of a column, and back."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

LEVEL = 6


def compact(value: Any) -> bytes:
    """One form for one content, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def packed(data: bytes) -> bytes:
    return zlib.compress(data, LEVEL)


def unpacked(body: bytes) -> Any:
    return json.loads(zlib.decompress(body))
