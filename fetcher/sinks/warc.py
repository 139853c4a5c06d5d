"""
Owns WARC files (ISO 28500:2017, WARC 1.1): what went over the wire for each entry, as it was.

An entry is a group of records: request and response of each of its hops, then one `metadata` record that says what came
of it. That one closes the group, so what is before it is whole (`warc_past`). Blocks are written as they were received:
libraries for WARC parse heads and write them anew, in which bytes change.
"""

from __future__ import annotations

import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha1
from random import getrandbits

import msgspec
from msgspec import Struct

from fetcher import __version__
from fetcher.model import Capture, Hop
from fetcher.record import Record, stamp
from fetcher.sinks.protocol import Said

VERSION = b"WARC/1.1\r\n"
CONFORMS_TO = "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"

FIELDS = "application/warc-fields"
REQUEST = "application/http;msgtype=request"
RESPONSE = "application/http;msgtype=response"

LARGE = 1024 * 1024
"""Bytes from which an entry is not joined before it is written."""

LEVEL = 6
CODED_LEVEL = 1
"""Of gzip, for what comes in a content coding: there is little to gain but in the heads."""

SMALL_BITS = 12
SMALL_MEMORY = 5
"""For records within that window: the same bytes for a seventh of the time, which a large one's emptiness takes."""

MEMBER = struct.Struct("<4sIBBH2sHII")
"""
Of a gzip member: RFC 1952 2.3, with the extra field `sl` of WARC 0.9: the member's size and that of what is in it.

Whoever knows it skips records without reading them, and all others ignore it.
"""

MAGIC = b"\x1f\x8b\x08\x04"
TEXT_MAGIC = b"\x1f\x8b\x08\x05"
"""With an extra field; the second says as well that it is text, as of records that we have made up."""

SKIP_LENGTHS = b"sl"
_UNKNOWN_SYSTEM = 255
_PLAIN_HEAD = b"\x1f\x8b\x08\0" + b"\0" * 5 + bytes([_UNKNOWN_SYSTEM])
_MOST = 2**32 - 1

_LINES = re.compile(rb"(?<=\n)")
_LENGTHS = frozenset({b"transfer-encoding", b"content-length"})
# RFC 4648 6, two characters at a time.
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
_SHIFTS = range(150, -1, -10)
# Version and variant.
_FIXED = 0xF << 76 | 0x3 << 62
_RANDOM_UUID = 0x4 << 76 | 0x2 << 62
_ESCAPED = re.compile(r"[\x00-\x1f\x7f\\]")
_ENCODER = msgspec.json.Encoder()


class About(Struct, frozen=True):
    """
    What is said of a run at the beginning of a file.

    Attributes:
        user_agent: As it is sent; empty where none is.
        robots: robots.txt is obeyed.
    """

    user_agent: str = ""
    robots: bool = False


class Warc:
    """
    A `Sink` of WARC records.

    Args:
        packed: Each record is a gzip member of its own, as Annex D of the standard wants it.
        clock: Seconds since the epoch.
    """

    def __init__(self, about: About, *, packed: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._about = about
        self._packed = packed
        self._clock = clock

    def begin(self) -> bytes:
        """What the file is and who wrote it; nothing about the machine."""
        about: dict[str, str | None] = {
            "software": f"afetch/{__version__}",
            "format": "WARC File Format 1.1",
            "conformsTo": CONFORMS_TO,
            "http-header-user-agent": self._about.user_agent or None,
            "robots": "classic" if self._about.robots else "ignore",
        }
        pieces = self._record("warcinfo", _new_id(), stamp(self._clock()), (), FIELDS, [_fields(about)])
        return b"".join(pieces)

    def one(self, record: Record) -> Said:
        """All that was said and heard for an entry, and what came of it; a large one as a stream."""
        pieces: list[bytes] = []
        related: list[str] = []
        for hop in record.hops:
            related = self._put_hop(pieces, hop)
        self._put_end(pieces, record, related)
        if sum(map(len, pieces)) < LARGE:
            return b"".join(pieces)
        return _Large(pieces)

    def end(self) -> bytes:
        """Nothing: it is well-formed after every record."""
        return b""

    def _put_hop(self, pieces: list[bytes], hop: Hop) -> list[str]:
        """The records of a hop; their names."""
        capture = hop.capture
        if capture is None:
            return []
        date = stamp(hop.started)
        request, response = _new_id(), _new_id() if capture.head else ""
        common = [("WARC-Target-URI", str(hop.url)), *_address(hop)]
        sent = list(common)
        if response:
            sent.append(("WARC-Concurrent-To", response))
        if capture.form:
            sent.append(("WARC-Truncated", "unspecified"))
        if capture.sent:
            sent.append(("WARC-Payload-Digest", _digest(capture.sent)))
        pieces += self._record("request", request, date, sent, REQUEST, [capture.request, capture.sent])
        if not response:
            return [request]
        payload = hop.body if capture.payload is None else capture.payload
        received = [*common, ("WARC-Concurrent-To", request)]
        if capture.truncated:
            received.append(("WARC-Truncated", capture.truncated))
        if payload is not None:
            received.append(("WARC-Payload-Digest", _digest(payload)))
        block = [_reply_head(capture, payload or b""), payload or b""]
        level = LEVEL if hop.header(b"content-encoding") is None else CODED_LEVEL
        pieces += self._record("response", response, date, received, RESPONSE, block, level)
        return [request, response]

    def _put_end(self, pieces: list[bytes], record: Record, related: list[str]) -> None:
        """The record that closes an entry."""
        fields = [("WARC-Concurrent-To", name) for name in related]
        date = stamp(self._clock())
        if record.hops:
            # A record's own time is that of its first hop, and those of a capture have one.
            last = record.hops[-1]
            fields = [("WARC-Target-URI", str(last.url)), *_address(last), *fields]
            date = stamp(last.started)
        elif record.final_url is not None:
            fields = [("WARC-Target-URI", record.final_url)]
            date = record.started or date
        pieces += self._record("metadata", _new_id(), date, fields, FIELDS, [_outcome(record)])

    def _record(
        self,
        kind: str,
        name: str,
        date: str,
        fields: Sequence[tuple[str, str]],
        content_type: str,
        block: Sequence[bytes],
        level: int = LEVEL,
    ) -> list[bytes]:
        """A record in pieces."""
        lines = [f"WARC-Type: {kind}", f"WARC-Record-ID: {name}", f"WARC-Date: {date}"]
        lines += [f"{key}: {value}" for key, value in fields]
        lines += [
            f"WARC-Block-Digest: {_digest(*block)}",
            f"Content-Type: {content_type}",
            f"Content-Length: {sum(map(len, block))}",
        ]
        head = VERSION + "\r\n".join(lines).encode() + b"\r\n\r\n"
        pieces = [head, *block, b"\r\n\r\n"]
        return _member(pieces, level, text=content_type == FIELDS) if self._packed else pieces


class _Large:
    """Pieces that are too many bytes to be joined."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.held = sum(map(len, pieces))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)


def unescaped(text: str) -> str:
    """What a value of the metadata was before it was made fit for a line."""
    return re.sub(r"\\(?:u([0-9a-f]{4})|\\)", lambda match: chr(int(match[1], 16)) if match[1] else "\\", text)


def _new_id() -> str:
    """A random UUID (RFC 9562 5.4), at a quarter of what `uuid` takes for one."""
    number = getrandbits(128) & ~_FIXED | _RANDOM_UUID
    text = f"{number:032x}"
    return f"<urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}>"


def _digest(*parts: bytes) -> str:
    """As tools compare it: SHA-1 in base32, which identifies a payload here and proves nothing."""
    digest = sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    number = int.from_bytes(digest.digest())
    return "sha1:" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def _address(hop: Hop) -> list[tuple[str, str]]:
    """Of whoever was connected to; without the port, and without the zone of an IPv6 address."""
    if hop.remote is None:
        return []
    host = hop.remote.rpartition(":")[0].strip("[]").partition("%")[0]
    return [("WARC-IP-Address", host)]


def _fields(values: dict[str, str | None]) -> bytes:
    """A block of `application/warc-fields`; None is no line."""
    lines = [f"{name}: {_escaped(value)}\r\n" for name, value in values.items() if value is not None]
    # What the shell gave us may be no UTF-8.
    return "".join(lines).encode("utf-8", "backslashreplace")


def _escaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", value)


def _outcome(record: Record) -> bytes:
    """What came of an entry: the record's fields that no other of its WARC records tells."""
    failure = record.error
    return _fields(
        {
            "index": str(record.index),
            "url": record.url,
            "ok": "true" if record.ok else "false",
            "status": None if record.status is None else str(record.status),
            "error": None if failure is None else str(failure.kind),
            "message": None if failure is None else failure.message,
            "attempts": str(record.attempts),
            "fetchTimeMs": None if record.elapsed is None else str(round(1000 * record.elapsed)),
            "sha256": record.sha256,
            "saved": record.saved,
            "change": record.change,
            "extra": None if record.extra is None else _ENCODER.encode(record.extra).decode(),
        }
    )


def _reply_head(capture: Capture, payload: bytes) -> bytes:
    """
    A reply's head as it was received.

    Where its chunks were undone it has a length in place of them, so that what is behind it is read as what it is.
    """
    if not capture.chunked:
        return capture.head
    lines: list[bytes] = []
    codings: list[bytes] = []
    place = None
    name = b""
    for line in _LINES.split(capture.head):
        folded = line[:1] in {b" ", b"\t"}
        if not folded:
            name = line.partition(b":")[0].lstrip(b" \t\r").lower() if lines else b""
        if name not in _LENGTHS:
            lines.append(line)
        elif name == b"transfer-encoding":
            place = len(lines) if place is None else place
            codings += (line if folded else line.partition(b":")[2]).split(b",")
    others = [coding for part in codings if (coding := part.strip()) and coding.lower() != b"chunked"]
    # A length beside a coding would be wrong (RFC 9112 6.2); without one the body ends with the record.
    framing = b"Transfer-Encoding: " + b", ".join(others) if others else b"Content-Length: %d" % len(payload)
    lines.insert(place or 1, framing + (b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"))
    return b"".join(lines)


def _member(pieces: Sequence[bytes], level: int, *, text: bool) -> list[bytes]:
    """A gzip member of these pieces, in pieces itself."""
    size = sum(map(len, pieces))
    bits, memory = zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL
    if size <= 1 << SMALL_BITS:
        bits, memory = SMALL_BITS, SMALL_MEMORY
        pieces = [b"".join(pieces)]
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, memory)
    checksum = 0
    packed = []
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        packed.append(compressor.compress(piece))
    packed.append(compressor.flush())
    packed.append(struct.pack("<II", checksum, size & _MOST))
    whole = MEMBER.size + sum(map(len, packed))
    if max(whole, size) > _MOST:
        return [_PLAIN_HEAD, *packed]
    magic = TEXT_MAGIC if text else MAGIC
    return [MEMBER.pack(magic, 0, 0, _UNKNOWN_SYSTEM, 12, SKIP_LENGTHS, 8, whole, size), *packed]
