"""A time server for machines of the lab: SNTP as RFC 4330 has it, with this machine's clock, on one address.

Enough for systemd-timesyncd and chrony; installing a time server on the machine that runs the tests would replace the one that it has.
"""

from __future__ import annotations

import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PORT = 123
SINCE_1900 = 2_208_988_800  # seconds from NTP's epoch to that of Unix
SERVER, VERSION_BITS = 4, 0o70
STRATUM, PRECISION = 2, -20  # good to a microsecond


@contextmanager
def time_server(address: str) -> Iterator[None]:
    """Answers on one address while the block runs."""
    with socketserver.UDPServer((address, PORT), _Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        request, socket = self.request
        if len(request) >= 48:
            socket.sendto(_reply(request), self.client_address)


def _reply(request: bytes) -> bytes:
    now = _timestamp(time.time())
    head = struct.pack("!BBbbII4s", (request[0] & VERSION_BITS) | SERVER, STRATUM, 6, PRECISION, 0, 1 << 6, b"LOCL")
    # Reference, origin (what the client sent as its own time), receipt, transmission.
    return head + now + request[40:48] + now + now


def _timestamp(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("!II", (whole + SINCE_1900) & 0xFFFFFFFF, int((seconds - whole) * (1 << 32)))
