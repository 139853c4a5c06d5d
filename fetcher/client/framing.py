"""
Owns where a body begins and ends on the wire (RFC 9112 6), as lenient as curl is. No I/O.

A framing is fed what arrives behind the head and gives the body's bytes; it knows when the body is whole, and what it
means when the connection closes before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from fetcher.client.codings import DECODERS
from fetcher.client.heads import Head

BODILESS = frozenset({204, 304})
"""Statuses that have no body, whatever the headers say (RFC 9110 6.4.1)."""

MAX_OVERHEAD = 1024 * 1024
"""Bytes of extensions and trailers, beside as many as the body has."""

MAX_LENGTH = 2**63 - 1
"""A Content-Length beyond it is no length of anything; like curl we read until the connection closes."""

SKIPPED = 64 * 1024
"""Bytes of an unwanted body that are read, so that its connection can be kept: a new one costs some round trips."""

_LINE_KEPT = 64
"""Bytes of a line between chunks that are looked at: the rest is an extension's or a trailer's."""

_LENGTH = re.compile(rb"\+?0*(\d+)")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})(?![0-9a-fA-F])")
_LAST_CHUNK = re.compile(rb"[ \t]*0+(?![xX_])")
_TRANSFER_CODINGS = DECODERS.keys() | {b"chunked", b"identity", b""}


class FramingError(Exception):
    """
    The body's frame cannot be read; the text says why.

    Attributes:
        body: What came before the fault, of the bytes that were fed last.
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body


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


class Skipped(NoBody):
    """A body that nobody wants. A short one is read for its connection's sake, of others what comes with the head."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self.whole = framing.whole or not (isinstance(framing, Length) and framing.length <= SKIPPED)
        self.keeps = framing.whole and framing.keeps

    def feed(self, data: bytes) -> bytes:
        try:
            self._framing.feed(data)
        except FramingError:
            self.whole = True
            return b""
        self.whole = self.whole or self._framing.whole
        self.keeps = self._framing.whole and self._framing.keeps
        return b""


class Length:
    """
    A body of so many bytes. More than that is passed over, and the connection is not kept.

    Attributes:
        left: Bytes that are yet to come.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.left = length
        self.whole = length == 0
        self.keeps = True

    def feed(self, data: bytes) -> bytes:
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data
        self.whole = True
        if left < 0:
            self.keeps = False
            data = data[: self.left]
        self.left = 0
        return data

    def took(self, size: int) -> None:
        """So many bytes of the body were read by somebody else; never more than are `left`."""
        self.left -= size
        self.whole = self.left == 0

    def closed(self) -> str | None:
        if self.whole:
            return None
        return f"{self.length - self.left:,} of {self.length:,} bytes arrived"


class Chunked:
    """
    A chunked body (RFC 9112 7.1).

    Bare line feeds, blanks before a size, whatever is behind it, and a last chunk without its end are read.
    """

    def __init__(self) -> None:
        self.whole = False
        self.keeps = True
        self._line = b""
        self._left = 0
        self._overhead = 0
        self._size = 0
        self._state: Callable[[bytes, int, list[bytes]], int] = self._read_size

    def feed(self, data: bytes) -> bytes:
        body: list[bytes] = []
        position = 0
        try:
            while position < len(data) and not self.whole:
                position = self._state(data, position, body)
        except FramingError as error:
            error.body = b"".join(body)
            raise
        if position < len(data):
            self.keeps = False
        return body[0] if len(body) == 1 else b"".join(body)

    def closed(self) -> str | None:
        if self.whole or self._state == self._trailer:
            return None
        return "the connection closed between chunks or within one"

    def _take_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The beginning of a line, without its line feed; None if the line is not all there."""
        end = data.find(b"\n", position)
        if 0 <= end <= position + _LINE_KEPT and not self._line:
            return data[position:end], end + 1
        line = self._line + data[position : end if end >= 0 else None]
        self._line = b""
        if len(line) > _LINE_KEPT:
            self._spend(len(line) - _LINE_KEPT)
            line = line[:_LINE_KEPT]
        if end >= 0:
            return line, end + 1
        self._line = line
        return None, len(data)

    def _spend(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > MAX_OVERHEAD + self._size:
            raise FramingError(f"more than {MAX_OVERHEAD} bytes of extensions and trailers")

    def _read_size(self, data: bytes, position: int, _body: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is None:
            return position
        match = _CHUNK_SIZE.match(line)
        size = int(match[1], 16) if match is not None else MAX_LENGTH + 1
        # What is behind a size says nothing to curl or us. A last chunk must be plainly that: `0x5` is none.
        if size > MAX_LENGTH or (not size and not _LAST_CHUNK.match(line)):
            raise FramingError(f"not a chunk's size: {line[:40]!r}")
        self._left = size
        self._state = self._data if size else self._trailer
        return position

    def _data(self, data: bytes, position: int, body: list[bytes]) -> int:
        piece = data[position : position + self._left]
        body.append(piece)
        self._left -= len(piece)
        self._size += len(piece)
        if not self._left:
            self._state = self._end
        return position + len(piece)

    def _end(self, data: bytes, position: int, _body: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is None:
            line = self._line
        else:
            self._state = self._read_size
        if line.strip(b"\r"):
            raise FramingError("a chunk is longer than its size")
        return position

    def _trailer(self, data: bytes, position: int, _body: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is not None:
            self.whole = line in (b"", b"\r")
            self._spend(len(line))
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
        FramingError: It says two lengths, one that is no number, or a transfer coding that nobody knows.
    """
    if method == "HEAD" or head.status in BODILESS:
        return NoBody()
    wanted = head.wanted
    codings = wanted.get(b"transfer-encoding")
    if codings is not None:
        # The transfer coding wins over a length, and the two together are a reason for distrust (RFC 9112 6.3), as is
        # one in HTTP/1.0 (RFC 9112 6.1).
        if b"content-length" in wanted or head.version == "1.0":
            head.close = True
        names = list(map(_coding, _members(codings)))
        unknown = next((name for name in names if name not in _TRANSFER_CODINGS), None)
        if unknown is not None:
            raise FramingError(f"a transfer coding that nobody knows: {unknown[:40]!r}")
        if b"chunked" not in names:
            return UntilClose()
        if names[-1] != b"chunked" or names.count(b"chunked") > 1:
            head.close = True
        return Chunked()
    lengths = wanted.get(b"content-length")
    if lengths is None:
        return UntilClose()
    text = lengths[0]
    if len(lengths) == 1 and len(text) < len(str(MAX_LENGTH)) and text.isdigit():
        return Length(int(text))
    head.close = True
    length = _lenient_length(lengths)
    return Length(length) if length <= MAX_LENGTH else UntilClose()


def _lenient_length(values: list[bytes]) -> int:
    """
    The number that several Content-Lengths agree on; more than MAX_LENGTH means that it is one too long to be a number.

    Like curl we take the digits that a value begins with: `5 bytes` is 5.
    """
    found = set()
    for value in _members(values):
        digits = _LENGTH.match(value)
        if digits is None:
            raise FramingError(f"Content-Length is no number: {value[:40]!r}")
        found.add(int(digits[1]) if len(digits[1]) <= len(str(MAX_LENGTH)) else MAX_LENGTH + 1)
    if not found:
        raise FramingError("Content-Length is empty")
    if len(found) > 1:
        raise FramingError(f"different Content-Lengths: {' and '.join(map(str, sorted(found)))}")
    return found.pop()


def transfer_codings(head: Head) -> list[bytes]:
    """The transfer codings below `chunked`, as header values."""
    return [name for name in _members(head.wanted.get(b"transfer-encoding", [])) if _coding(name) != b"chunked"]


def _members(values: list[bytes]) -> list[bytes]:
    """What a list header names, over all its lines; empty members are passed over (RFC 9110 5.6.1)."""
    return [member for value in values for part in value.split(b",") if (member := part.strip())]


def _coding(name: bytes) -> bytes:
    """A coding's name, without its parameters."""
    return name.partition(b";")[0].strip().lower()
