# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the host, at the head of the bundle: imports the engine's modules out of one text. Python 3.6."""

import sys
from importlib.machinery import ModuleSpec


class Bundle:
    """A finder and loader of import's meta path (PEP 302, PEP 451) for the modules of one package.

    `sources` leads from a module's name below the package to whether it is a package, its path below the package's folder, and its source.
    """

    def __init__(self, package, folder, sources):
        self._package = package + "."
        self._folder = folder
        self._sources = sources

    def find_spec(self, name, path=None, target=None):
        held = self._held(name)
        return ModuleSpec(name, self, origin=self._place(held), is_package=held[0]) if held else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        held = self._held(module.__name__)
        exec(compile(held[2], self._place(held), "exec", dont_inherit=True), module.__dict__)  # pylint: disable=exec-used

    def get_source(self, name):
        """For the lines of a traceback."""
        held = self._held(name)
        return held[2] if held else None

    def _held(self, name):
        return self._sources.get(name[len(self._package):]) if name.startswith(self._package) else None

    def _place(self, held):
        return "%s/%s" % (self._folder, held[1])


def install(package, folder, sources):
    sys.meta_path.insert(0, Bundle(package, folder, sources))
