# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular expressions that are compiled when they are first used: of some eighty, a healthy host needs half."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from re import compile as pattern
else:

    class pattern(object):
        """As re.compile returns it, later."""

        def __init__(self, source: Any, flags: int = 0) -> None:
            self._source = source
            self._flags = flags

        def __getattr__(self, name: str) -> Any:
            compiled = re.compile(self._source, self._flags)
            for each in ("match", "search", "fullmatch", "finditer", "findall", "sub", "split", "pattern"):
                setattr(self, each, getattr(compiled, each))
            return getattr(compiled, name)


__all__ = ["pattern"]
