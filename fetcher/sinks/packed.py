"""
Owns compressed files, as a chain of gzip members or zstd frames.

Each is whole in itself, so what was written before a kill is read by any tool that reads such files. A small one
compresses badly, so records are held for a moment and go into one together.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

from fetcher.errors import UsageError
from fetcher.sinks.files import Destination
from fetcher.sinks.protocol import Said

MEMBER = 256 * 1024
"""Bytes before compression from which nothing is held any longer: eight times what gzip looks back."""

DELAY = 0.4
"""Seconds that a record is held at most, as far as the writer asks that often."""

GZIP_LEVEL = 6
ZSTD_LEVEL = 3

_GZIP = 16 + zlib.MAX_WBITS
_BLOCK = 64 * 1024


class Compressor(Protocol):
    """Makes one member: what `compress` and `flush` give, one after the other."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Packed:
    """
    A `Destination` that compresses what goes to another one.

    Args:
        make: A compressor for each member.
        clock: Seconds, to tell how long records have been held.
        kept: There are members in the place already.
    """

    def __init__(
        self,
        place: Destination,
        make: Callable[[], Compressor],
        clock: Callable[[], float] = time.monotonic,
        *,
        kept: bool = False,
    ) -> None:
        self._place = place
        self._kept = kept
        self._make = make
        self._clock = clock
        self._held: list[Said] = []
        self._size = 0
        self._since = 0.0
        # Pieces in the last member, which may have to make way for the format's end.
        self._last = 0
        self.written = 0

    def begin(self) -> None:
        """Make ready."""
        self._place.begin()

    def write(self, pieces: list[Said], stop: Any) -> None:
        """Take the pieces in, and write what is held if it is enough, or has been held for long enough."""
        if not self._held:
            self._since = self._clock()
        large = False
        for piece in pieces:
            self._held.append(piece)
            large = large or not isinstance(piece, bytes)
            self._size += len(piece) if isinstance(piece, bytes) else piece.held
        # Nobody counts the bodies that are held here.
        if large or self._size >= MEMBER or (self._held and self._clock() - self._since >= DELAY):
            self._flush(stop)

    def end(self, stop: Any) -> None:
        """Write what is held; a file of no records is compressed nothing, not an empty file."""
        self._flush(stop)
        if not self._place.written and not self._kept:
            self._place.write([self._member(b"")], stop)

    def mend(self, last: bytes) -> None:
        """End the file well-formed, for the price of its last member where there is no room for even that."""
        members = self._place.written
        self._place.mend(self._member(last) if last else b"")
        if self._place.written < members:
            self.written -= self._last

    def close(self) -> None:
        """Let go of the place."""
        self._place.close()

    def _flush(self, stop: Any) -> None:
        held, self._held, self._size = self._held, [], 0
        small: list[bytes] = []
        for piece in held:
            if isinstance(piece, bytes):
                small.append(piece)
                continue
            self._put(small, stop)
            small = []
            self._place.write([_Large(piece, self._make)], stop)
            self._last = 1
            self.written += 1
        self._put(small, stop)

    def _put(self, pieces: list[bytes], stop: Any) -> None:
        if pieces:
            self._place.write([self._member(b"".join(pieces))], stop)
            self._last = len(pieces)
            self.written += len(pieces)

    def _member(self, data: bytes) -> bytes:
        compressor = self._make()
        return compressor.compress(data) + compressor.flush()


class _Large:
    """A stream as a member of its own, compressed while it is written."""

    def __init__(self, stream: Any, make: Callable[[], Compressor]) -> None:
        self._stream = stream
        self._make = make
        self.held = stream.held

    def __iter__(self) -> Iterator[bytes]:
        compressor = self._make()
        for part in self._stream:
            packed = compressor.compress(part)
            if packed:
                yield packed
        yield compressor.flush()

    def __bytes__(self) -> bytes:
        return b"".join(self)


def gzip_members() -> Callable[[], Compressor]:
    """What makes gzip members (RFC 1952 2.2)."""
    return lambda: zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)


def zstd_frames() -> Callable[[], Compressor]:
    """
    What makes zstd frames (RFC 8878 3.1), with a checksum each, as the command line's tool does.

    Raises:
        UsageError: There is nothing that makes them.
    """
    zstd = _zstd()
    parameters = zstd.CompressionParameter
    options = {parameters.compression_level: ZSTD_LEVEL, parameters.checksum_flag: 1}

    def make() -> Compressor:
        compressor: Compressor = zstd.ZstdCompressor(options=options)
        return compressor

    return make


def _zstd() -> Any:
    try:
        try:
            from compression import zstd  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            from backports import zstd
    except ImportError as error:
        raise UsageError("zstd is not installed: pip install backports.zstd, or write .gz files") from error
    return zstd


class Decompressor(Protocol):
    """Undoes one member."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def gzip_member() -> Decompressor:
    """What undoes a gzip member."""
    return zlib.decompressobj(_GZIP)


def zstd_frame() -> Decompressor:
    """What undoes a zstd frame. Raises UsageError, as `zstd_frames` does."""
    decompressor: Decompressor = _zstd().ZstdDecompressor()
    return decompressor


def unpacked(file: BinaryIO, make: Callable[[], Decompressor]) -> Iterator[tuple[bytes, int | None]]:
    """
    A packed file's text, piece by piece, each with the place in the file at which a member ends with it, or None.

    What a kill has left of the last member comes without such an end.

    Raises:
        ValueError: The file is damaged; the text says where and how.
    """
    place = 0
    member: Decompressor | None = None
    while data := file.read(_BLOCK):
        while data:
            member = member or make()
            try:
                text = member.decompress(data)
            except Exception as error:  # each library has its own
                raise ValueError(f"{error}, between bytes {place:,} and {place + len(data):,}") from error
            rest = member.unused_data if member.eof else b""
            place += len(data) - len(rest)
            data = rest
            yield text, place if member.eof else None
            if member.eof:
                member = None


PACKINGS: dict[str, Callable[[], Callable[[], Compressor]]] = {".gz": gzip_members, ".zst": zstd_frames}
"""By a file's last suffix."""

UNPACKINGS: dict[str, Callable[[], Decompressor]] = {".gz": gzip_member, ".zst": zstd_frame}
"""The way back."""
