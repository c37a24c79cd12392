# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every format, listed explicitly. What each is for is said where the command is (commands/reporting.py)."""

from __future__ import annotations

from . import as_csv, as_html, as_json, as_junit, as_mail, as_nagios, as_ndjson, as_news, as_prometheus, as_sarif, as_text, as_webhook

FORMATS = (
    as_html.FORMAT,
    as_text.FORMAT,
    as_csv.FORMAT,
    as_ndjson.FORMAT,
    as_json.FORMAT,
    as_junit.FORMAT,
    as_sarif.FORMAT,
    as_prometheus.FORMAT,
    as_prometheus.ALERT_RULES,
    as_nagios.FORMAT,
    as_news.FORMAT,
    as_mail.FORMAT,
    as_webhook.FORMAT,
)
BY_NAME = {each.name: each for each in FORMATS}
