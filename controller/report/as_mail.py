# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mail: the news to an address, through this machine's sendmail; no mail when there is no news."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from email.message import EmailMessage

from ..fleet.changes import FIXED, NEW, REGRESSED, WORSE
from . import as_news
from .safe import line
from .view import Report
from .writer import Context, Format, Writer

SENDMAIL = "PIDHYGIENE_SENDMAIL"  # another command that takes a mail on standard input, and addresses as arguments
USUAL = "/usr/sbin:/usr/lib:/usr/bin"
PATIENCE_S = 60


class MailFailed(OSError):
    """It was not taken. The text says by what."""


class Mail(Writer):
    def __init__(self, path: str, context: Context) -> None:
        self.context = context
        self.address = path
        self.told = False
        self.message: EmailMessage | None = None

    @property
    def place(self) -> str:
        return self.address

    def finish(self, report: Report) -> None:
        found = as_news.lines(report)
        if not found:
            return
        message = EmailMessage()
        message["Subject"] = line("%s: %s" % (report.title, subject(report)), 150)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content("\n".join(found) + "\n")
        self.message = message

    def keep(self) -> None:
        """Errors: MailFailed."""
        if self.message is None:
            return
        if not self.address or self.address.startswith("-") or any(char.isspace() or char == "," for char in self.address):
            raise MailFailed("mail: %s is no address" % line(self.address))
        self.message["To"] = self.address
        command = [*_command(), self.address]
        try:
            done = subprocess.run(command, input=self.message.as_bytes(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S, check=False)
        except OSError as error:
            raise MailFailed("mail: %s cannot be run: %s" % (command[0], error.strerror)) from error
        except subprocess.TimeoutExpired as error:
            raise MailFailed("mail: %s did not end within %d s" % (command[0], PATIENCE_S)) from error
        if done.returncode:
            raise MailFailed("mail: %s ended with %d: %s" % (command[0], done.returncode, line(done.stdout[:1000].decode("utf-8", "replace"))))
        self.told = True

    def drop(self) -> None:
        self.message = None


def _command() -> list[str]:
    """Errors: MailFailed."""
    own = shlex.split(os.environ.get(SENDMAIL, ""))
    if own:
        return own
    found = shutil.which("sendmail", path=USUAL)
    if found is None:
        raise MailFailed("mail: this machine has no sendmail; install one, or name another command in $%s" % SENDMAIL)
    return [found, "-i", "--"]


def subject(report: Report) -> str:
    """3 new, 1 worse, 2 fixed, 1 fell silent"""
    if report.changes is None:
        return "first run"
    counts = [(sum(len(each.hosts) for each in report.changes.of(kind)), word)
              for kind, word in ((REGRESSED, "came back"), (NEW, "new"), (WORSE, "worse"), (FIXED, "fixed"))]
    counts.append((len(report.changes.not_audited), "fell silent"))
    return ", ".join("%d %s" % each for each in counts if each[0]) or "news"


FORMAT = Format("mail", Mail, tells=True, sends=True)
