# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a front end remembers from one run to the next: a file of plain data, whole or not there, for its owner only."""

import json
import os
import tempfile
from typing import Any


def read(path: str) -> Any:
    """None when there is nothing to remember."""
    try:
        with open(path) as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def write(path: str, data: Any) -> None:
    """Errors: OSError."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "w") as stream:
            json.dump(data, stream, sort_keys=True)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
