"""
Owns the undoing of content and transfer codings: gzip, deflate, br, zstd, and several stacked (RFC 9110 8.4).

A decoder gives pieces of some `PIECE` bytes, so that whoever counts them can stop a bomb before memory is full.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

PIECE = 256 * 1024
"""Bytes of output that a decoder makes at once, as many as one read brings; brotli makes up to twice as many."""

MAX_GZIP_HEADER = 128 * 1024
"""Bytes of a gzip member's header: 64 KiB of extra field, a name and a comment."""

REPLAYED = 16 * 1024
"""Bytes of a broken br or zstd stream that are decoded again, one by one, for what is before the fault: some 10 ms."""

_GZIP = b"\x1f\x8b"

MAX_STACKED = 5
"""Codings on one body; nobody honest sends more, and each multiplies the work."""


HARMLESS = 50 * 1024 * 1024
"""
Decoded bytes up to which nobody asks how few they were made of: an honest table of zeros is a few bytes in br or zstd.
It is no more than is kept of any body by default.
"""

ZSTD_WINDOW = 23
"""Of the window's size the logarithm, 8 MiB: nobody may ask for more memory to decode a body (RFC 9659)."""


class CodingError(Exception):
    """The body is not what its coding says; the text says how."""


class BombError(CodingError):
    """The body is many times what arrived."""


class Decoder(Protocol):
    """One coding's state over the life of a body."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        ...

    def finish(self) -> None:
        """Nothing, if the coded stream was whole. Raises CodingError."""
        ...


class Inflate:
    """
    gzip (RFC 1952), zlib's format (RFC 1950) and, where `bare` allows it, the stream without either (RFC 1951).

    They are told apart by how they begin, whatever the label says: some servers send the bare stream as `deflate`, some
    the one under the other's name. gzip may have several members. What follows the last is padding and passed over, as
    browsers do; a check sum that is not there is not missed, one that is wrong is told when all is decoded.
    """

    def __init__(self, name: str, *, bare: bool) -> None:
        self._name = name
        self._bare = bare
        # Input that waits for more: a header or a check sum that is not whole.
        self._held = b""
        # None where a header is expected; `eof` where a check sum is.
        self._inflater: Any = None
        self._fresh = True
        self._members = 0
        self._done = False
        # Of this member's data so far, and the bytes that follow it: gzip's CRC-32 and size, zlib's Adler-32, or none.
        self._sum = 0
        self._size = 0
        self._width = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        while data and not self._done:
            inflater = self._inflater
            if inflater is None:
                data = self._begin(self._held + data)
            elif inflater.eof:
                data = self._end(self._held + data)
            else:
                before = None if self._fresh else inflater.copy()
                self._fresh = False
                try:
                    piece = inflater.decompress(data, PIECE)
                except zlib.error as error:
                    # zlib drops what it had made of this input.
                    yield from _salvage(before or zlib.decompressobj(wbits=-15), data)
                    raise CodingError(f"{self._name}: {error}") from error
                data = inflater.unconsumed_tail
                if inflater.eof:
                    data = inflater.unused_data
                    self._done = not self._width
                if piece:
                    self._check(piece)
                    yield piece

    def finish(self) -> None:
        """Nothing, if the stream was whole but for its check sum. Raises CodingError."""
        if self._done or (self._inflater is None and (self._members or not self._held)):
            return
        if self._inflater is None or not self._inflater.eof:
            raise CodingError(f"{self._name}: the compressed stream ends early")

    def _begin(self, data: bytes) -> bytes:
        """What is behind the header, if that is whole."""
        self._held = b""
        if self._members and not data.startswith(_GZIP[: len(data)]):
            self._done = True
            return b""
        if data.startswith(_GZIP):
            size, self._width, self._sum = _gzip_header(data), 8, 0
        elif len(data) < 2:
            size = None
        elif data[0] & 0x8F == 8 and not data[1] & 0x20 and (data[0] << 8 | data[1]) % 31 == 0:
            size, self._width, self._sum = 2, 4, 1
        elif self._bare:
            size, self._width = 0, 0
        else:
            raise CodingError(f"{self._name}: it does not begin like that")
        if size is None:
            if len(data) > MAX_GZIP_HEADER:
                raise CodingError(f"{self._name}: the header does not end")
            self._held = data
            return b""
        self._size = 0
        self._fresh = True
        self._inflater = zlib.decompressobj(wbits=-15)
        return data[size:]

    def _check(self, piece: bytes) -> None:
        """Add decoded bytes to the check sum."""
        if self._width == 8:
            self._sum = zlib.crc32(piece, self._sum)
            self._size += len(piece)
        elif self._width:
            self._sum = zlib.adler32(piece, self._sum)

    def _end(self, data: bytes) -> bytes:
        """What is behind the check sum, if that is whole."""
        width = self._width
        if len(data) < width:
            self._held = data
            return b""
        self._held = b""
        right = self._sum.to_bytes(4, "big")
        if width == 8:
            right = self._sum.to_bytes(4, "little") + (self._size & 0xFFFF_FFFF).to_bytes(4, "little")
        if not data.startswith(right):
            raise CodingError(f"{self._name}: the check sum is wrong")
        self._done = width == 4
        self._members += 1
        self._inflater = None
        return data[width:]


def _gzip_header(data: bytes) -> int | None:
    """Bytes of a member's header (RFC 1952 2.3), or None if it is not whole. Raises CodingError."""
    if len(data) < 10:
        return None
    flags = data[3]
    if data[2] != 8 or flags & 0xE0:
        raise CodingError("gzip: a method or flags that nobody knows")
    size = 10
    if flags & 4:
        size += 2 + int.from_bytes(data[10:12], "little")
    for flag in (8, 16):
        if flags & flag:
            size = data.find(b"\x00", size) + 1
            if not size:
                return None
    if flags & 2:
        size += 2
    return size if size <= len(data) else None


def _salvage(inflater: Any, data: bytes) -> Iterator[bytes]:
    """What can be decoded of input that is broken somewhere, in ever smaller steps up to the fault."""
    step = len(data) // 2
    while step:
        trial = inflater.copy()
        try:
            piece = trial.decompress(data[:step])
        except zlib.error:
            step //= 2
            continue
        if piece:
            yield piece
        inflater, data = trial, data[step:]
        step = min(step, len(data))


class Library:
    """
    A decoder of a library that drops what it had made of its input when it meets a fault in it.

    So short streams are decoded again then, byte by byte up to the fault.
    """

    name: str

    def __init__(self) -> None:
        self._fed = 0
        self._given = 0
        self._seen: list[bytes] = []
        self._restart()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        self._fed += len(data)
        if self._fed <= REPLAYED:
            self._seen.append(data)
        try:
            for piece in self._decode(data):
                self._given += len(piece)
                yield piece
        except CodingError:
            if self._fed > REPLAYED:
                raise
            yield from self._replay()

    def finish(self) -> None:
        """Nothing, if the stream was whole. Raises CodingError."""
        if self._fed and not self._whole():
            raise CodingError(f"{self.name}: the compressed stream ends early")

    def _replay(self) -> Iterator[bytes]:
        """What there is before the fault, beyond what was given already. Raises CodingError."""
        known = self._given
        self._restart()
        for byte in b"".join(self._seen):
            for piece in self._decode(bytes((byte,))):
                new = piece[known:]
                known -= len(piece) - len(new)
                if new:
                    yield new

    def _restart(self) -> None:
        """Forget all input."""
        raise NotImplementedError

    def _decode(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        raise NotImplementedError

    def _whole(self) -> bool:
        """Whether a stream could end here."""
        raise NotImplementedError


class Brotli(Library):
    """br (RFC 7932); what follows the stream is passed over."""

    name = "br"

    def _restart(self) -> None:
        import brotli

        self._error = brotli.error
        self._decompressor: Any = brotli.Decompressor()
        self._broken = False

    def _decode(self, data: bytes) -> Iterator[bytes]:
        decompressor = self._decompressor
        while not decompressor.is_finished():
            try:
                piece = decompressor.process(data, output_buffer_limit=PIECE)
            except self._error as error:
                self._broken = True
                raise CodingError("br: the compressed stream is broken") from error
            data = b""
            if piece:
                yield piece
            elif decompressor.can_accept_more_data():
                return

    def _whole(self) -> bool:
        return not self._broken and bool(self._decompressor.is_finished())


class Zstd(Library):
    """zstd (RFC 8878), one frame or several."""

    name = "zstd"

    def _restart(self) -> None:
        try:
            from compression import zstd  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            from backports import zstd

        self._module: Any = zstd
        self._options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW}
        self._decompressor: Any = zstd.ZstdDecompressor(options=self._options)

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._decompressor.eof:
                if not data:
                    return
                self._decompressor = self._module.ZstdDecompressor(options=self._options)
            try:
                piece = self._decompressor.decompress(data, PIECE)
            except self._module.ZstdError as error:
                raise CodingError(f"zstd: {error}") from error
            if piece:
                yield piece
            data = self._decompressor.unused_data if self._decompressor.eof else b""
            if not data and (self._decompressor.eof or self._decompressor.needs_input):
                return

    def _whole(self) -> bool:
        return bool(self._decompressor.eof)


DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"gzip": partial(Inflate, "gzip", bare=False),
    b"x-gzip": partial(Inflate, "gzip", bare=False),
    b"deflate": partial(Inflate, "deflate", bare=True),
    b"br": Brotli,
    b"zstd": Zstd,
}

_NOTHING = frozenset({b"", b"identity"})


class Stack:
    """
    The codings of one body, undone in the reverse of the order in which they were applied, and no bomb among them.

    Each coding's output is counted: what many megabytes of it come to in the next may be nothing at all.

    Args:
        ratio: How many times as large as what arrived the output of any may be, above `HARMLESS`; 0 is no limit.
    """

    def __init__(self, decoders: list[Decoder], ratio: int = 0) -> None:
        self._decoders = decoders
        self._ratio = ratio
        self._fed = 0
        self._made = [0] * len(decoders)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError, BombError."""
        self._fed += len(data)
        return self._through(data, 0)

    def _through(self, data: bytes, place: int) -> Iterator[bytes]:
        made = self._made
        last = place + 1 == len(made)
        for piece in self._decoders[place].feed(data):
            made[place] += len(piece)
            if made[place] > HARMLESS and self._ratio and made[place] > self._ratio * self._fed:
                raise BombError(f"more than {self._ratio:,} times what arrived; allow more with --max-ratio")
            if last:
                yield piece
            else:
                yield from self._through(piece, place + 1)

    def finish(self) -> None:
        """Nothing, if every stream was whole. Raises CodingError."""
        for decoder in self._decoders:
            decoder.finish()


def decoder_for(values: Iterable[bytes], ratio: int = 0) -> Decoder | None:
    """
    What undoes the codings that a header's values name, or None if there is nothing to undo.

    A coding that nobody knows is left as it is, with all that was applied before it: servers do send
    `Content-Encoding: utf-8`. Parameters, which no coding has, are passed over.

    Args:
        ratio: As `Stack` has it.

    Raises:
        CodingError: More codings than anyone honest applies.
    """
    names = [name.partition(b";")[0].strip().lower() for value in values for name in value.split(b",")]
    names = [name for name in names if name not in _NOTHING]
    if len(names) > MAX_STACKED:
        raise CodingError(f"{len(names)} codings on one body, more than {MAX_STACKED}")
    decoders: list[Decoder] = []
    for name in reversed(names):
        if name not in DECODERS:
            break
        decoders.append(DECODERS[name]())
    return Stack(decoders, ratio) if decoders else None
