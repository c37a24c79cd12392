# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs beside the operator after an audit of many hosts: the report folder, the page, the text.

In the collection, so that it works when only the collection is installed; the same folder is ``pidhygiene.controller.render``
of the pip package. Relative imports only, and nothing of the engine: results come as plain data. Python 3.10 or newer.
"""
