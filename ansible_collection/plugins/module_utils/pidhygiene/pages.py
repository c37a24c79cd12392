# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the page of a rule is: what it checks, when it stays silent, how to fix it. For people at a desk, so no check imports this.

pip installs docs/rules as ``pidhygiene/rule_pages``; in a checkout they stand where they are written. An engine that Ansible or Salt
has shipped has none.
"""

import io
import os
from typing import Optional

INSTALLED = "rule_pages"
ENGINE_OF_CHECKOUT = os.path.join("", "ansible_collection", "plugins", "module_utils", "pidhygiene")


def page(rule_id: str, engine: str = __file__) -> Optional[str]:
    """Markdown; None where pages are not installed. ``engine``: a file of the engine."""
    engine_folder = os.path.dirname(os.path.realpath(engine))  # salt_modules/_utils links to it
    folders = [os.path.join(engine_folder, INSTALLED)]
    if engine_folder.endswith(os.sep + ENGINE_OF_CHECKOUT):
        folders.append(os.path.join(engine_folder[:-len(ENGINE_OF_CHECKOUT)], "docs", "rules"))
    for folder in folders:
        try:
            with io.open(os.path.join(folder, rule_id + ".md"), encoding="utf-8") as stream:
                return stream.read()
        except OSError:
            continue
    return None
