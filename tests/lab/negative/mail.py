"""A mail host: postfix delivers to dovecot, which keeps many processes ready; rspamd and redis beside them."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes, succeeds, unit

DOVECOT = """
service imap-login {
  process_min_avail = 60
}
service imap {
  process_min_avail = 30
}
service lmtp {
  process_min_avail = 20
}
service auth-worker {
  process_min_avail = 10
}
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
"""
SENDERS = """
import smtplib, threading, time
def send(number):
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", timeout=30) as server:
                server.sendmail("a@localhost", ["person@localhost"], "Subject: %d\\n\\nwell\\n" % number)
        except (OSError, smtplib.SMTPException):
            pass
        time.sleep(2)
for number in range(20):
    threading.Thread(target=send, args=(number,)).start()
"""


def start(host: LabHost) -> None:
    host.run(["useradd", "--create-home", "person"])
    host.write("/etc/dovecot/local.conf", DOVECOT)
    host.shell("""
        postconf -e 'myhostname = mail.example.org' 'mydestination = localhost' 'inet_interfaces = loopback-only' 'home_mailbox = Maildir/'
        newaliases
        systemctl restart postfix dovecot redis-server rspamd""", timeout=120)
    host.write("/opt/senders.py", SENDERS)
    unit(host, "senders", "[Service]\nDynamicUser=yes\nExecStart=/usr/bin/python3 /opt/senders.py\n")


def busy(host: LabHost) -> bool:
    return processes(host, "imap-login") >= 60 and processes(host, "rspamd") >= 3 and succeeds(host, "sh", "-c", "ls /home/person/Maildir/new/* > /dev/null 2>&1")


RECIPE = Recipe("mail", "bookworm", ("postfix", "dovecot-imapd", "dovecot-lmtpd", "rspamd", "redis-server"), start, busy)
