"""
Owns the undoing of content and transfer codings: gzip, deflate, br, zstd, and several stacked (RFC 9110 8.4).

A decoder gives pieces of at most `PIECE` bytes, so that whoever counts them can stop a bomb before memory is full.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

PIECE = 1024 * 1024
"""Bytes of output that a decoder makes at once."""

MAX_STACKED = 5
"""Codings on one body; nobody honest sends more, and each multiplies the work."""


class CodingError(Exception):
    """The body is not what its coding says; the text says how."""


class Decoder(Protocol):
    """One coding's state over the life of a body."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        ...

    def finish(self) -> None:
        """Nothing, if the coded stream was whole. Raises CodingError."""
        ...


class Gzip:
    """gzip, one member or several; what follows the last one is padding and passed over, as browsers do."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=31)
        self._fed = False
        self._done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data and not self._done:
            self._fed = True
            try:
                piece = self._inflater.decompress(data, PIECE)
            except zlib.error as error:
                raise CodingError(f"gzip: {error}") from error
            if piece:
                yield piece
            data = self._inflater.unconsumed_tail
            if self._inflater.eof:
                data = self._inflater.unused_data
                if data and not data.startswith(b"\x1f"):
                    self._done = True
                elif data:
                    self._inflater = zlib.decompressobj(wbits=31)

    def finish(self) -> None:
        if self._fed and not self._done and not self._inflater.eof:
            raise CodingError("gzip: the compressed stream ends early")


class Deflate:
    """zlib's format (RFC 1950), or the bare stream (RFC 1951) that some servers send under this name."""

    def __init__(self) -> None:
        self._inflater: Any = None
        self._start = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inflater is None:
            self._start += data
            if len(self._start) < 2:
                return
            data, self._start = self._start, b""
            zlib_header = data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
            self._inflater = zlib.decompressobj(wbits=15 if zlib_header else -15)
        while data and not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, PIECE)
            except zlib.error as error:
                raise CodingError(f"deflate: {error}") from error
            if piece:
                yield piece
            data = self._inflater.unconsumed_tail

    def finish(self) -> None:
        if self._start or (self._inflater is not None and not self._inflater.eof):
            raise CodingError("deflate: the compressed stream ends early")


class Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        import brotli  # noqa: PLC0415 - only where a server sends it

        self._error = brotli.error
        self._decompressor = brotli.Decompressor()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        decompressor = self._decompressor
        self._fed = self._fed or bool(data)
        while not decompressor.is_finished():
            try:
                piece = decompressor.process(data, output_buffer_limit=PIECE)
            except self._error as error:
                raise CodingError("br: the compressed stream is broken") from error
            data = b""
            if piece:
                yield piece
            elif decompressor.can_accept_more_data():
                return

    def finish(self) -> None:
        if self._fed and not self._decompressor.is_finished():
            raise CodingError("br: the compressed stream ends early")


class Zstd:
    """zstd (RFC 8878), one frame or several."""

    def __init__(self) -> None:
        try:
            from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - Python 3.14
        except ImportError:
            from backports import zstd  # noqa: PLC0415 - only where a server sends it

        self._module: Any = zstd
        self._decompressor: Any = zstd.ZstdDecompressor()
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._decompressor.eof:
                data = self._decompressor.unused_data
                if not data:
                    return
                self._decompressor = self._module.ZstdDecompressor()
            self._fed = self._fed or bool(data)
            try:
                piece = self._decompressor.decompress(data, PIECE)
            except self._module.ZstdError as error:
                raise CodingError(f"zstd: {error}") from error
            data = b""
            if piece:
                yield piece
            if self._decompressor.needs_input and not self._decompressor.eof:
                return

    def finish(self) -> None:
        if self._fed and not self._decompressor.eof:
            raise CodingError("zstd: the compressed stream ends early")


DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"gzip": Gzip,
    b"x-gzip": Gzip,
    b"deflate": Deflate,
    b"br": Brotli,
    b"zstd": Zstd,
}

_NOTHING = frozenset({b"", b"identity"})


class Stack:
    """Several codings, undone in the reverse of the order in which they were applied."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        return self._through(data, 0)

    def _through(self, data: bytes, place: int) -> Iterator[bytes]:
        if place == len(self._decoders):
            yield data
            return
        for piece in self._decoders[place].feed(data):
            yield from self._through(piece, place + 1)

    def finish(self) -> None:
        """Nothing, if every stream was whole. Raises CodingError."""
        for decoder in self._decoders:
            decoder.finish()


def decoder_for(values: Iterable[bytes]) -> Decoder | None:
    """
    What undoes the codings that a header's values name, or None if there is nothing to undo.

    A coding that nobody knows is left as it is, with all that was applied before it: servers do send
    `Content-Encoding: utf-8`.

    Raises:
        CodingError: More codings than anyone honest applies.
    """
    names = [name.strip().lower() for value in values for name in value.split(b",")]
    names = [name for name in names if name not in _NOTHING]
    if len(names) > MAX_STACKED:
        raise CodingError(f"{len(names)} codings on one body, more than {MAX_STACKED}")
    decoders: list[Decoder] = []
    for name in reversed(names):
        if name not in DECODERS:
            break
        decoders.append(DECODERS[name]())
    if not decoders:
        return None
    return decoders[0] if len(decoders) == 1 else Stack(decoders)
