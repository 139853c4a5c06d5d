"""
Owns the head of a reply: status, version, headers.

The first reading is aiohttp's parser. What it refuses gets a second reading here, as lenient as curl's: a connection
that needed it is not used again, so a misreading cannot reach another reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from fetcher.client.foundation import MAX_LINE, HttpProcessingError

MAX_FIELDS = 20_000
"""Header lines of the second reading; curl counts none, but stops at 300 KB."""

MAX_PARTIAL = 64 * 1024
"""Bytes of a head that are looked at when it never came to its end."""

_STATUS_LINE = re.compile(rb"[ \t]*HTTP/\s*1\.\s*([01])[ \t]\s*([1-9]\d\d)(?!\d).*", re.DOTALL | re.IGNORECASE)
_NO_VERSION = re.compile(rb"[ \t]*HTTP/(?!\s*\d)\S*\s+([1-9]\d\d)(?!\d).*", re.DOTALL | re.IGNORECASE)
_ANY_VERSION = re.compile(rb"[ \t]*HTTP/(\d+(?:\.\d+)?)[ \t]", re.IGNORECASE)
_LINE = re.compile(rb"\r?\n")


class HeadError(Exception):
    """What was received is no head of an HTTP/1 reply; the text says why."""


class Head(Struct, gc=False):
    """
    Attributes:
        version: `1.0` or `1.1`.
        headers: Names and values as received, folded lines joined.
        close: The connection ends after this reply, by its own word or because we do not trust it.
        wanted: Values of the headers that framing needs, by lower-case name.
        endless: It closes only because it names no end. A reply to HEAD needs none.
    """

    status: int
    version: str
    headers: tuple[tuple[bytes, bytes], ...]
    close: bool
    wanted: dict[bytes, list[bytes]]
    endless: bool = False

    @property
    def interim(self) -> bool:
        """Whether another head follows, the one of the reply itself (RFC 9110 15.2)."""
        return self.status < 200 and self.status != 101


_WANTED = {
    spelling: name
    for name in (b"content-length", b"transfer-encoding", b"content-encoding")
    for spelling in (name, name.title(), name.upper())
}
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
_WANTED_LENGTHS = frozenset(map(len, _WANTED))


def head_end(data: bytes) -> int:
    """
    Where the first head in `data` ends, behind its empty line, or -1.

    Like curl we take every line that begins with a line end for the empty one, so also `\\r\\r\\n`.
    """
    crlf = data.find(b"\n\r")
    lf = data.find(b"\n\n", 0, crlf + 1 if crlf >= 0 else len(data))
    if lf >= 0:
        return lf + 2
    return data.find(b"\n", crlf + 2) + 1 or -1 if crlf >= 0 else -1


def read_head(parser: Any, raw: bytes) -> Head:
    """
    A head, from the bytes up to and with its empty line.

    Args:
        parser: The connection's `head_parser`; None for the second reading alone.

    Raises:
        HeadError: Neither reading makes sense of it.
    """
    if parser is None:
        return _read_leniently(raw)
    try:
        messages, _, _ = parser.feed_data(raw)
    except (HttpProcessingError, ValueError):
        return _read_leniently(raw)
    if len(messages) != 1:
        return _read_leniently(raw)
    message = messages[0][0]
    code, (major, minor) = message.code, message.version
    if major != 1 or minor > 1 or code < 100:
        return _read_leniently(raw)
    headers = message.raw_headers
    wanted = _framing_headers(headers)
    close = message.should_close or code == 101
    endless = close and _LENGTHS.isdisjoint(wanted) and code != 101 and _stays(minor, headers)
    return Head(code, "1.1" if minor else "1.0", headers, close, wanted, endless)


def _stays(minor: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a connection is kept by version and Connection header (RFC 9112 9.3)."""
    values = b",".join(value for name, value in headers if name.lower() == b"connection")
    options = {option.strip().lower() for option in values.split(b",")}
    return b"close" not in options and (minor == 1 or b"keep-alive" in options)


def read_partial(raw: bytes) -> Head | None:
    """What there is of a head that was cut: its status and the headers that are whole. None without a status line."""
    end = raw.rfind(b"\n", 0, MAX_PARTIAL) + 1
    try:
        return _read_leniently(raw[:end]) if end else None
    except HeadError:
        return None


def might_be_head(raw: bytes) -> bool:
    """Whether what arrived so far can still become a head."""
    return b"HTTP/".startswith(raw[:64].lstrip(b" \t")[:5].upper())


def _framing_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    wanted: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if len(name) in _WANTED_LENGTHS:
            known = _WANTED.get(name) or _WANTED.get(name.lower())
            if known is not None:
                wanted.setdefault(known, []).append(value)
    return wanted


def _read_leniently(raw: bytes) -> Head:
    """The second reading: what curl makes of heads that the grammar (RFC 9112) does not allow."""
    first, *lines = _LINE.split(raw)
    match = _STATUS_LINE.fullmatch(first)
    if match is not None:
        version, status = f"1.{int(match[1])}", int(match[2])
    else:
        # Where no number follows the slash curl asks for none.
        match = _NO_VERSION.fullmatch(first)
        if match is None:
            raise HeadError(complaint(first))
        version, status = "1.0", int(match[1])
    if len(lines) > MAX_FIELDS:
        raise HeadError(f"more than {MAX_FIELDS} header lines")
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line[:1] in (b"", b"\r"):
            break
        if len(line) > MAX_LINE:
            raise HeadError(f"a header line of more than {MAX_LINE} bytes")
        # A NUL must be refused or become a blank (RFC 9110 5.5).
        line = line.replace(b"\x00", b" ")
        if line[:1] in (b" ", b"\t") and headers:
            name, value = headers[-1]
            headers[-1] = (name, value + b" " + line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        # A blank before the colon is part of the name: like curl and the parser we do not know such a header.
        name = name.lstrip(b" \t\r")
        # A line without a colon says nothing that could be recorded; curl passes it over as well.
        if colon and name:
            headers.append((name, value.strip(b" \t\r")))
    return Head(status, version, tuple(headers), True, _framing_headers(headers))


def complaint(raw: bytes) -> str:
    """Why what a server sent is no head, in a sentence."""
    line = raw.partition(b"\n")[0].rstrip(b"\r")
    shown = line[:60].decode("latin-1").encode("unicode_escape").decode("ascii")
    other = _ANY_VERSION.match(line)
    if line[:2] in (b"\x15\x03", b"\x16\x03"):
        return "the server speaks TLS on this port; try https://"
    if other is not None and other[1] not in (b"1.0", b"1.1"):
        return f"a reply in HTTP/{other[1].decode()}, which is not HTTP/1.0 or 1.1"
    return f"not an HTTP reply: {shown!r}"
