"""A FUSE server that stops answering: hung_server.py MOUNTPOINT. Runs on a lab host.

It serves one file, ``tool``, which is a copy of sleep. After SIGUSR1 it still takes every request, and answers none: what the kernel has handed
out cannot be interrupted any more (fs/fuse/dev.c request_wait_answer), so whoever waits is in state D once a signal has tried to end it.
Structures: include/uapi/linux/fuse.h.
"""

import ctypes
import errno
import os
import signal
import stat
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 17, 26, 36, 42
ROOT, TOOL = 1, 2
CONTENT = open("/bin/sleep", "rb").read()
answering = True


def attributes(node):
    mode, size = (stat.S_IFDIR | 0o755, 0) if node == ROOT else (stat.S_IFREG | 0o755, len(CONTENT))
    return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode, node, body):
    """The reply's body, or an error number."""
    if opcode == INIT:
        return struct.pack("<4I2H2I2HI7I", 7, 31, struct.unpack_from("<4I", body)[2], 0, 16, 12, 65536, 1, 16, 0, 0, *[0] * 7)
    if opcode == LOOKUP:
        return struct.pack("<4Q2I", TOOL, 0, 0, 0, 0, 0) + attributes(TOOL) if body.rstrip(b"\0") == b"tool" else errno.ENOENT
    if opcode == GETATTR:
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node)
    if opcode == OPEN:
        return struct.pack("<Q2I", 0, 0, 0)
    if opcode == READ:
        _handle, offset, size = struct.unpack_from("<2QI", body)
        return CONTENT[offset:offset + size]
    if opcode == STATFS:
        return struct.pack("<5Q4I", 1000, 500, 500, 10, 5, 4096, 255, 4096, 0) + bytes(24)
    return errno.ENOSYS


def stop(_signal, _frame):
    global answering
    answering = False


def main(place):
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
    if libc.mount(b"office", place.encode(), b"fuse.hung", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    signal.signal(signal.SIGUSR1, stop)
    while True:
        request = os.read(device, 1 << 18)
        _length, opcode, unique, node = struct.unpack_from("<2I2Q", request)
        if not answering or opcode in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        reply = answer(opcode, node, request[40:])
        error, body = (-reply, b"") if isinstance(reply, int) else (0, reply)
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


if __name__ == "__main__":
    main(sys.argv[1])
