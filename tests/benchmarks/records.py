"""Owns the checking of what was delivered: nothing is fast that is wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import msgspec

CHUNK = 1024 * 1024
HEAD = 4096
"""Bytes of a line in which everything but the body stands."""

_FIELDS = re.compile(rb'"index":(\d+),"ok":true,"status":200,.*"bytes":(\d+),.*"sha256":"([0-9a-f]{64})"')


class Line(msgspec.Struct):
    """What is looked at of a record."""

    url: str
    index: int
    ok: bool
    status: int | None
    sha256: str | None


def verified(path: Path, expected: Callable[[str], str], entries: int) -> int:
    """
    How many entries have exactly one record, with status 200 and the sha256 that is `expected` of its URL.

    Any other record in the file makes it fewer, so that only what equals `entries` is right.
    """
    decoder = msgspec.json.Decoder(Line)
    seen = bytearray(entries)
    wrong = 0
    with path.open("rb") as file:
        for text in file:
            line = decoder.decode(text)
            right = line.ok and line.status == 200 and line.index < entries and not seen[line.index]
            if right and line.sha256 == expected(line.url):
                seen[line.index] = 1
            else:
                wrong += 1
    return sum(seen) - wrong


class Tally:
    """
    Reads records from a pipe and holds none of them, however large they are.

    Args:
        digest: What each record's sha256 must be, and `size` its `bytes`.
        pace: Bytes a second to read at most; None is as they come.

    Attributes:
        right: Records with all of it, each index once.
        bytes: Read so far.
    """

    def __init__(self, digest: str, size: int, *, pace: float | None = None) -> None:
        self._wanted = (str(size).encode(), digest.encode())
        self._pace = pace
        self._head = b""
        self._seen: set[int] = set()
        self.right = 0
        self.bytes = 0

    def read(self, pipe: IO[bytes]) -> None:
        """All of it."""
        begun = time.monotonic()
        while chunk := pipe.read1(CHUNK):  # type: ignore[attr-defined]  # a buffered reader, which IO does not tell
            self.bytes += len(chunk)
            self._take(chunk.split(b"\n"))
            if self._pace is not None:
                ahead = self.bytes / self._pace - (time.monotonic() - begun)
                if ahead > 0:
                    time.sleep(ahead)

    def _take(self, pieces: Iterable[bytes]) -> None:
        first = True
        for piece in pieces:
            if not first:
                self._end()
            first = False
            if len(self._head) < HEAD:
                self._head += piece[:HEAD]

    def _end(self) -> None:
        found = _FIELDS.search(self._head)
        self._head = b""
        if found is not None and found.groups()[1:] == self._wanted and int(found[1]) not in self._seen:
            self._seen.add(int(found[1]))
            self.right += 1
