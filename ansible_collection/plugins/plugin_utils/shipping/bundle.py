# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible packs each module by itself and sends what people read along with what runs. Packed in one piece, and bare, the engine takes a third less."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from .bare import bare

ENGINE = "ansible_collections/pidhygiene/host/plugins/module_utils/pidhygiene/"
INIT = "__init__.py"
SMALLEST = 9
ON_HOST = Path(__file__).with_name("on_host.py")


class NoEngine(Exception):
    """The archive is not that of a module which imports the engine."""


def bundled(archive: bytes) -> bytes:
    """The archive of an Ansible module, with all of the engine in the file of its package. Nothing else changes.

    Raises zipfile.BadZipFile where that is no archive, NoEngine where the engine is not in it.
    """
    packed, sources, own = io.BytesIO(), {}, None
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(packed, "w") as new:
        for entry in old.infolist():
            if entry.filename.startswith(ENGINE):
                sources[entry.filename[len(ENGINE):]] = bare(old.read(entry).decode())
                own = entry if entry.filename == ENGINE + INIT else own
            else:
                new.writestr(entry, old.read(entry), compresslevel=SMALLEST)
        if own is None:
            raise NoEngine
        new.writestr(own, _one_file(sources), compresslevel=SMALLEST)
    return packed.getvalue()


def _one_file(sources: dict[str, str]) -> str:
    own = sources.pop(INIT)
    held = {_name(path): (path.endswith(INIT), path, source) for path, source in sorted(sources.items())}
    return f"{bare(ON_HOST.read_text())}\n{own}\ninstall(__name__, __path__[0], {held!r})\n"


def _name(path: str) -> str:
    """What a file is imported as, below the package."""
    return path.removesuffix("/" + INIT).removesuffix(".py").replace("/", ".")
