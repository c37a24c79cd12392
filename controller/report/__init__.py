# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report over a fleet: one page, and the formats that machines read, from one pass over the hosts of a run.

source.py   where hosts come from: the store, or a report folder
gather.py   the pass: what the first screen says, and a line for each host
view.py     the words of a report
formats.py  the table of formats; one module for each
"""
