# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""html: the page."""

from __future__ import annotations

from . import page
from .view import Report
from .writer import Format, Writer


class Html(Writer):
    def finish(self, report: Report) -> None:
        self.output.stream.writelines(page.parts(report, self.context.pack))


FORMAT = Format("html", Html)
