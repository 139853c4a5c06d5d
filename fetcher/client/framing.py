"""
Owns where a body begins and ends on the wire (RFC 9112 6), as lenient as curl is. No I/O.

A framing is fed what arrives behind the head and gives the body's bytes; it knows when the body is whole, and what it
means when the connection closes before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from fetcher.client.heads import Head

BODILESS = frozenset({204, 304})
"""Statuses that have no body, whatever the headers say (RFC 9110 6.4.1)."""

MAX_CHUNK_LINE = 16 * 1024
"""Bytes of a chunk's size line with its extensions, or of a trailer."""

MAX_LENGTH_DIGITS = 18
"""A Content-Length with more is no length of anything; like curl we read until the connection closes."""

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;.*)?\r?", re.DOTALL)


class FramingError(Exception):
    """The body's frame cannot be read; the text says why."""


class Framing(Protocol):
    """
    Attributes:
        whole: The body is complete.
        keeps: The connection can be used for another reply.
    """

    whole: bool
    keeps: bool

    def feed(self, data: bytes) -> bytes:
        """The body's bytes among what arrived. Raises FramingError."""
        ...

    def closed(self) -> str | None:
        """The connection has ended: what is missing, or None if nothing is."""
        ...


class NoBody:
    """A reply that has no body. What arrives behind it is not ours, so the connection is not kept."""

    whole = True

    def __init__(self) -> None:
        self.keeps = True

    def feed(self, data: bytes) -> bytes:
        if data:
            self.keeps = False
        return b""

    def closed(self) -> str | None:
        return None


class Length:
    """A body of so many bytes. More than that is passed over, and the connection is not kept."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._left = length
        self.whole = length == 0
        self.keeps = True

    def feed(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        self.whole = True
        if left < 0:
            self.keeps = False
            data = data[: self._left]
        self._left = 0
        return data

    def closed(self) -> str | None:
        if self.whole:
            return None
        return f"{self._length - self._left:,} of {self._length:,} bytes arrived"


class Chunked:
    """A chunked body (RFC 9112 7.1). Bare line feeds, blanks round a size, and a last chunk without its end are read."""

    def __init__(self) -> None:
        self.whole = False
        self.keeps = True
        self._line = b""
        self._left = 0
        self._state: Callable[[bytes, int, list[bytes]], int] = self._size

    def feed(self, data: bytes) -> bytes:
        body: list[bytes] = []
        position = 0
        while position < len(data) and not self.whole:
            position = self._state(data, position, body)
        if position < len(data):
            self.keeps = False
        return body[0] if len(body) == 1 else b"".join(body)

    def closed(self) -> str | None:
        if self.whole or self._state == self._trailer:
            return None
        return "the connection closed between chunks or within one"

    def _take_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """A line without its line feed, or None if it is not all there."""
        end = data.find(b"\n", position)
        if end < 0:
            self._line += data[position:]
            if len(self._line) > MAX_CHUNK_LINE:
                raise FramingError(f"a line of more than {MAX_CHUNK_LINE} bytes between chunks")
            return None, len(data)
        line = self._line + data[position:end]
        self._line = b""
        return line, end + 1

    def _size(self, data: bytes, position: int, _body: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is None:
            return position
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise FramingError(f"not a chunk's size: {line[:40]!r}")
        self._left = int(match[1], 16)
        self._state = self._data if self._left else self._trailer
        return position

    def _data(self, data: bytes, position: int, body: list[bytes]) -> int:
        piece = data[position : position + self._left]
        body.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = self._end
        return position + len(piece)

    def _end(self, data: bytes, position: int, _body: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is None:
            if self._line not in (b"", b"\r"):
                raise FramingError("a chunk is longer than its size")
            return position
        if line not in (b"", b"\r"):
            raise FramingError("a chunk is longer than its size")
        self._state = self._size
        return position

    def _trailer(self, data: bytes, position: int, _body: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        self.whole = line in (b"", b"\r")
        return position


class UntilClose:
    """A body that ends when the connection does (HTTP/1.0, or no length given)."""

    def __init__(self) -> None:
        self.whole = False
        self.keeps = False

    def feed(self, data: bytes) -> bytes:
        return data

    def closed(self) -> str | None:
        return None


def framing_for(method: str, head: Head) -> Framing:
    """
    How the body behind a head is framed.

    Raises:
        FramingError: It says two lengths, or one that is no number.
    """
    status = head.status
    if method == "HEAD" or status in BODILESS or status < 200:
        return NoBody()
    wanted = head.wanted
    codings = wanted.get(b"transfer-encoding")
    if codings is not None:
        # RFC 9112 6.3: the transfer coding wins over a length, and the two together are a reason for distrust.
        if b"content-length" in wanted:
            head.close = True
        last = codings[-1].rpartition(b",")[2].strip().lower()
        return Chunked() if last == b"chunked" else UntilClose()
    lengths = wanted.get(b"content-length")
    if lengths is None:
        return UntilClose()
    if len(lengths) > 1 or b"," in lengths[0]:
        distinct = {part.strip() for value in lengths for part in value.split(b",")}
        if len(distinct) > 1:
            raise FramingError("two different Content-Lengths")
        lengths = [distinct.pop()]
        head.close = True
    length = lengths[0].removeprefix(b"+")
    if not length.isdigit():
        raise FramingError(f"Content-Length is no number: {lengths[0][:40]!r}")
    length = length.lstrip(b"0") or b"0"
    if len(length) > MAX_LENGTH_DIGITS:
        head.close = True
        return UntilClose()
    return Length(int(length))


def transfer_codings(head: Head) -> list[bytes]:
    """The transfer codings below `chunked`, as header values."""
    values = head.wanted.get(b"transfer-encoding", [])
    names = [name for value in values for name in value.split(b",")]
    return [name for name in names if name.strip().lower() != b"chunked"]
