# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents in files and streams: one JSON document, or one a line, compressed or not. Never more than one of them in memory."""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..render.folder import MOST_BYTES
from .errors import Refused
from .received import AGAIN, parsed

GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Handed:
    """One document, and where it stood; or why there is none."""

    where: str
    number: int = 1  # of the documents there
    data: bytes = b""
    document: Any = None
    refused: Refused | None = None


def of_file(path: Path, regular: bool = False) -> Iterator[Handed]:
    """``regular``: what is found in a folder, which may hold a pipe that nobody writes to. Errors: OSError."""
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0)), "rb") as stream:
        if regular and not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            yield Handed(str(path), refused=Refused("it is no regular file", AGAIN))
            return
        yield from of_stream(stream, str(path))


def of_stream(stream: IO[bytes], where: str) -> Iterator[Handed]:
    """One document, many one a line, or many one after the other as they were written for people."""
    number = 0
    with _plain(stream) as readable:
        try:
            for number, handed in enumerate(_documents(readable, where), 1):
                yield dataclasses.replace(handed, number=number)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            yield Handed(where, number + 1, refused=Refused("its compressed data is damaged or ends in the middle", AGAIN))
            return
    if not number:
        yield Handed(where, refused=Refused("it is empty", AGAIN))


def _documents(stream: IO[bytes], where: str) -> Iterator[Handed]:
    """A document begins at a line that begins with a brace, and ends with that line if that is the whole of it, else at a line that is one brace.

    So a document that ends in the middle costs no other, and of one that is too long no more than its beginning is held.
    """
    gathered = bytearray()
    place = where
    for number, line in enumerate(_lines(stream), 1):
        begins = line.startswith(b"{")
        if gathered and begins:
            yield _handed(place, bytes(gathered))
            gathered.clear()
        if not gathered:
            if not line.strip():
                continue
            place = where if number == 1 else "%s, line %d" % (where, number)
        if len(gathered) <= MOST_BYTES:
            gathered += line
        whole = _handed(place, bytes(gathered)) if line.rstrip() == b"}" or begins and line.rstrip().endswith(b"}") else None
        if whole is not None and (whole.refused is None or not begins):
            yield whole
            gathered.clear()
    if gathered:
        yield _handed(place, bytes(gathered))


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Of a line that is too long, as much as tells that it is."""
    while True:
        line = stream.readline(MOST_BYTES + 1)
        if not line:
            return
        yield line
        while len(line) > MOST_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MOST_BYTES + 1) or b"\n"
            if len(line) <= MOST_BYTES:
                break


def _handed(where: str, data: bytes) -> Handed:
    try:
        return Handed(where, data=data, document=parsed(data))
    except Refused as refused:
        return Handed(where, data=data if len(data) <= MOST_BYTES else b"", refused=refused)


@contextmanager
def _plain(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Decompressed when it begins as gzip does."""
    readable = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(_Raw(stream))
    if readable.peek(2)[:2] == GZIP:
        with gzip.GzipFile(fileobj=readable) as plain:
            yield io.BufferedReader(plain)
    else:
        yield readable


class _Raw(io.RawIOBase):
    """Any binary stream as a raw one, so that it can be looked into."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
