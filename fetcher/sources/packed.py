"""
Owns the undoing of a list's compression: gzip, zstd, bzip2, xz, told by how the bytes begin.

A decoder gives pieces of a bounded size, so that a list of a terabyte in a megabyte is read like any other.
"""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePath
from typing import Protocol

from fetcher.client.codings import PIECE, CodingError, Decoder, Inflate, Zstd

MEMORY = 256 * 1024 * 1024
"""Bytes that an xz stream may ask for: its strongest preset takes 65 MB."""


class MisnamedError(CodingError):
    """A file's suffix promises what it is not."""


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Streams:
    """One stream behind the other, in a format of the standard library's; zero bytes between them are padding."""

    def __init__(self, name: str, make: Callable[[], _Decompressor]) -> None:
        self._name = name
        self._make = make
        self._decompressor: _Decompressor | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces. Raises CodingError."""
        while True:
            if self._decompressor is None:
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._decompressor = self._make()
            try:
                piece = self._decompressor.decompress(data, PIECE)
            except (OSError, lzma.LZMAError, ValueError, MemoryError) as error:
                raise CodingError(f"{self._name}: {error}") from error
            data = b""
            if piece:
                yield piece
            if self._decompressor.eof:
                data = self._decompressor.unused_data
                self._decompressor = None
            elif self._decompressor.needs_input:
                return

    def finish(self) -> None:
        """Nothing, if the last stream was whole. Raises CodingError."""
        if self._decompressor is not None:
            raise CodingError(f"{self._name}: the compressed stream ends early")


_XZ = partial(Streams, "xz", partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, MEMORY))
_BZIP2 = partial(Streams, "bzip2", bz2.BZ2Decompressor)

PACKERS: tuple[tuple[bytes, Callable[[], Decoder]], ...] = (
    (b"\x1f\x8b\x08", partial(Inflate, "gzip", bare=False)),
    (b"\x28\xb5\x2f\xfd", Zstd),
    (b"\xfd7zXZ\0", _XZ),
    # Followed by its level and a block, or by nothing: letters alone could begin a list.
    *((b"BZh%d1AY&SY" % level, _BZIP2) for level in range(1, 10)),
    *((b"BZh%d\x17rE8P\x90" % level, _BZIP2) for level in range(1, 10)),
)
"""How compressed bytes begin, and what undoes it."""

SUFFIXES = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}
"""Suffixes that promise compressed bytes."""


class Unpacker:
    """
    Undoes the compression of one input, if it is compressed.

    Args:
        name: The file's, whose suffix may promise that it is.
    """

    def __init__(self, name: str) -> None:
        self._promised = SUFFIXES.get(PurePath(name).suffix.lower())
        self._head: bytes | None = b""
        self._decoder: Decoder | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of the list as it was before it was compressed. Raises CodingError, and before all MisnamedError."""
        if self._head is not None:
            data = self._head + data
            if len(data) < _LONGEST and any(magic.startswith(data) for magic, _ in PACKERS):
                self._head = data
                return
            self._begin(data)
        if self._decoder is not None:
            yield from self._decoder.feed(data)
        elif data:
            yield data

    def finish(self) -> Iterator[bytes]:
        """What was held back. Raises CodingError if the compressed bytes were not whole."""
        head = self._head
        if head is not None:
            self._begin(head)
            if self._decoder is not None:
                yield from self._decoder.feed(head)
            elif head:
                yield head
        if self._decoder is not None:
            self._decoder.finish()

    def _begin(self, data: bytes) -> None:
        self._head = None
        for magic, make in PACKERS:
            if data.startswith(magic):
                self._decoder = make()
                return
        if self._promised is not None:
            raise MisnamedError(f"not {self._promised}, in spite of its name")


_LONGEST = max(len(magic) for magic, _ in PACKERS)
