# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One POST to a receiver that somebody else runs: TLS verified, bounded in time, retried when that may help, redirects never followed.

Address and headers may be secret, the path of an address too: messages hold neither.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import ssl
import stat
import threading
import time
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from pidhygiene import __version__

from .safe import line

TOKEN = "PIDHYGIENE_WEBHOOK_TOKEN"
PAUSES_S = (1.0, 4.0, 16.0)  # before the second, third, fourth try
LONGEST_PAUSE_S = 60.0  # that a receiver may ask for
TRY_S = 30.0  # one try in all
STEP_S = 10.0  # one step of it: connect, read
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotTaken(OSError):
    """The receiver has not said that it took it. The text is fit for a log."""


class _Again(Exception):
    """It may go better the next time, after so many seconds."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


@dataclass(frozen=True)
class Target:
    url: SplitResult
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """Without what may be secret."""
        return "%s://%s" % (self.url.scheme, line(self.url.netloc))


def target(given: str) -> Target:
    """Of an address, or of @FILE, which holds the address in its first line and headers in others. Errors: NotTaken."""
    headers: dict[str, str] = {}
    if given.startswith("@"):
        given, headers = _of_file(given[1:])
    token = os.environ.get(TOKEN, "")
    if token and "authorization" not in {name.lower() for name in headers}:
        headers["Authorization"] = "Bearer %s" % token
    for name, value in headers.items():
        if not value.isprintable() or not value.isascii() or not name.replace("-", "").isalnum() or not name.isascii():
            raise NotTaken("webhook: the header %s cannot be sent as it is" % line(name, 40))
    try:
        url = urlsplit(given)
        host, _port = url.hostname, url.port
    except ValueError:
        raise NotTaken("webhook: its address cannot be read") from None
    if url.scheme not in ("https", "http") or not host or not given.isascii() or not given.isprintable() or " " in given:
        raise NotTaken("webhook: its address is none of https:// or http://")
    if "@" in url.netloc:
        raise NotTaken("webhook: leave user and password out of the address; write a header Authorization into a file, and name that: webhook:@FILE")
    if url.scheme == "http" and host not in LOOPBACK:
        raise NotTaken("webhook: http:// would send command lines in the clear to %s: use https:// (http:// is for this machine only)" % line(host))
    return Target(url, headers)


def _of_file(path: str) -> tuple[str, dict[str, str]]:
    try:
        with open(path, encoding="utf-8") as stream:
            if os.fstat(stream.fileno()).st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
                raise NotTaken("webhook: others can read or write %s, which holds what is secret: chmod 640 or 600" % line(path))
            told = [each.strip() for each in stream.read(65536).splitlines()]
    except (OSError, ValueError) as error:
        if isinstance(error, NotTaken):
            raise
        raise NotTaken("webhook: %s cannot be read: %s" % (line(path), getattr(error, "strerror", None) or "it is no text")) from None
    told = [each for each in told if each and not each.startswith("#")]
    headers = {}
    for number, each in enumerate(told[1:], 2):
        name, colon, value = each.partition(":")
        if not colon:
            raise NotTaken("webhook: what is line %d of %s (comments not counted) is no header" % (number, line(path)))
        headers[name.strip()] = value.strip()
    return (told or [""])[0], headers


def post(where: Target, body: bytes) -> None:
    """Until it is taken, or further tries are of no use. Errors: NotTaken."""
    for place in range(len(PAUSES_S) + 1):
        try:
            _try(where, body)
            return
        except _Again as again:
            if place == len(PAUSES_S):
                raise NotTaken("%s, after %d tries" % (again, place + 1)) from None
            time.sleep(max(PAUSES_S[place], min(again.after_s, LONGEST_PAUSE_S)))


def _try(where: Target, body: bytes) -> None:
    connection = _connection(where)
    watch = _Watch(connection)
    path = (where.url.path or "/") + ("?" + where.url.query if where.url.query else "")
    headers = {"User-Agent": "pidhygiene/%s" % __version__, **where.headers, "Content-Type": "application/json",
               "Idempotency-Key": hashlib.sha256(body).hexdigest()[:32], "Connection": "close"}
    try:
        with watch:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            status, after, location = answer.status, answer.headers.get("Retry-After", ""), answer.headers.get("Location", "")
    except ssl.SSLCertVerificationError as error:
        raise NotTaken("its certificate is not trusted: %s ($SSL_CERT_FILE names other authorities)" % line(error.verify_message, 200)) from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise _Again("no answer within %d s" % TRY_S if watch.ended or isinstance(error, TimeoutError) else _words(error)) from None
    finally:
        connection.close()
    if watch.ended:  # what came of its answer by then may look like the whole
        raise _Again("no answer within %d s" % TRY_S)
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise NotTaken("it answers with %d and sends to %s, where nothing is sent to: name the final address" % (status, _host_of(location)))
    why = "it answers with %s" % (" ".join((str(status), http.client.responses.get(status, ""))).strip())  # its own words may repeat what is secret
    if status in WORTH_ANOTHER_TRY:
        raise _Again(why, float(after) if after.isdigit() and len(after) < 6 else 0.0)
    raise NotTaken(why)


def _connection(where: Target) -> http.client.HTTPConnection:
    """Through the proxy that the environment names, if it does; never on this machine itself."""
    host, port = where.url.hostname or "", where.url.port
    if where.url.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=STEP_S)
    context = ssl.create_default_context()
    named = getproxies().get("https", "")
    if not named or host in LOOPBACK or proxy_bypass(host):
        return http.client.HTTPSConnection(host, port, timeout=STEP_S, context=context)
    proxy = urlsplit(named if "://" in named else "http://" + named)
    connection = http.client.HTTPSConnection(proxy.hostname or "", proxy.port or 3128, timeout=STEP_S, context=context)
    user = "%s:%s" % (unquote(proxy.username or ""), unquote(proxy.password or ""))
    connection.set_tunnel(host, port or 443, {"Proxy-Authorization": "Basic " + b64encode(user.encode()).decode()} if proxy.username else {})
    return connection


class _Watch:
    """Ends a try that takes too long in all: a timeout of the socket begins anew with every byte."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._timer = threading.Timer(TRY_S, self._end)
        self._timer.daemon = True
        self.ended = False

    def _end(self) -> None:
        self.ended = True
        try:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            return  # not connected, or closed already

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()


def _words(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected) or isinstance(error, ConnectionResetError):
        return "it closed the connection without an answer"
    return line(getattr(error, "strerror", None) or "it does not speak HTTP (%s)" % type(error).__name__, 200)


def _host_of(location: str) -> str:
    """A path may hold what is secret."""
    try:
        return line(urlsplit(location).netloc, 100) or "another path"
    except ValueError:
        return "what is no address"
