"""
Owns what an earlier run left in a file that is a stream of bytes, packed or not: where its records end, and cutting it.

What a record is, its format knows: a `Reading`.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from fetcher.errors import SinkError
from fetcher.sinks.files import replace_file, sentence
from fetcher.sinks.packed import MEMBER, PACKINGS, UNPACKINGS, unpacked
from fetcher.sinks.past import Entry, Left

BLOCK = 64 * 1024
"""Bytes of one read: a block that the allocator has at hand, and that stays in a processor's own cache."""


class Reading(Protocol):
    """
    Finds the records in a text that is given piece by piece.

    Attributes:
        ends: Where each of them ends in the text.
        first: Where the first one begins, behind what stands before all records.

    Raises:
        ValueError: From each method: the text is none of ours. The exception's text says where and why.
    """

    ends: array[int]
    first: int

    def feed(self, text: bytes) -> list[Entry]:
        """The records that are whole now and were not before."""
        ...

    def finish(self) -> None:
        """Nothing, if what is left may be the beginning of a record of ours."""
        ...


class Rest:
    """
    What is left of a text behind the last record found in it, until there is more.

    Attributes:
        begin: Where in the text it begins.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.begin = 0

    @property
    def text(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)

    def with_more(self, text: bytes) -> bytes | None:
        """All of it and the text, which is no longer held then; None while no line ends there."""
        self._pieces.append(text)
        if b"\n" not in text:
            # A large body: it is not copied for each piece.
            return None
        whole = self.text if len(self._pieces) > 1 else text
        self._pieces = []
        return whole

    def hold(self, text: bytes, used: int) -> None:
        """Hold what is behind the first `used` bytes of what `with_more` gave."""
        self.begin += used
        if used < len(text):
            self._pieces = [text[used:]]


class Written:
    """
    A `Thinned`: what is in such a file.

    Args:
        make: A new reading.
    """

    def __init__(self, left: Left, make: Callable[[], Reading]) -> None:
        self._path = left.path
        self._packing = left.packing
        self._make = make
        self._reading: Reading | None = None
        # Of each member: where it ends in the text, and where in the file.
        self._members: array[int] = array("q")

    def entries(self) -> Iterator[Entry]:
        """What there is whole."""
        self._reading = None
        reading = self._make()
        yield from self._read(reading)
        self._reading = reading

    def keep(self, count: int) -> None:
        """Drop what is behind the first `count` records."""
        reading = self._whole()
        if count > len(reading.ends):
            raise SinkError(f"{self._path}: has become shorter meanwhile; is another program writing to it?")
        end = reading.ends[count - 1] if count else 0
        with self._translated():
            place = end if self._packing is None else self._place(end)
            if place is None:
                # The cut goes through a member.
                self._rewrite([(0, end)])
            elif Path(self._path).stat().st_size != place:
                os.truncate(self._path, place)
        del reading.ends[count:]
        self._reading = None

    def thin(self, wanted: Callable[[int], bool]) -> None:
        """Keep only what is wanted."""
        reading = self._whole()
        with self._translated():
            self._rewrite(_spans(reading, wanted))
        self._reading = None

    def _whole(self) -> Reading:
        """A reading that has been through all of it."""
        reading = self._reading
        if reading is None:
            reading = self._make()
            deque(self._read(reading), 0)
        return reading

    def _read(self, reading: Reading) -> Iterator[Entry]:
        with self._translated():
            yield from self._plain(reading) if self._packing is None else self._packed(reading, self._packing)

    def _plain(self, reading: Reading) -> Iterator[Entry]:
        with self._open() as file:
            while text := file.read(BLOCK):
                yield from reading.feed(text)
            reading.finish()

    def _packed(self, reading: Reading, packing: str) -> Iterator[Entry]:
        """The records of whole members: those of a torn one are written again with it."""
        del self._members[:]
        entries: list[Entry] = []
        length = count = 0
        with self._open() as file:
            for text, place in unpacked(file, UNPACKINGS[packing]):
                length += len(text)
                entries += reading.feed(text)
                if place is not None:
                    yield from entries
                    entries = []
                    count = len(reading.ends)
                    self._members.extend((length, place))
            reading.finish()
        del reading.ends[count:]

    def _place(self, end: int) -> int | None:
        """Where in the file the text ends at `end`; None in the midst of a member."""
        if not end:
            return 0
        for number in range(len(self._members) - 2, -1, -2):
            if self._members[number] == end:
                return self._members[number + 1]
        return None

    def _rewrite(self, spans: Iterable[tuple[int, int]]) -> None:
        """Write the file anew, of these parts of its text, each of which ends with a record."""

        def write(new: BinaryIO) -> None:
            with self._open() as file:
                parts = _parts(self._text(file), spans)
                if self._packing is None:
                    new.writelines(parts)
                else:
                    _pack(parts, self._packing, new)

        replace_file(self._path, write)

    def _text(self, file: BinaryIO) -> Iterator[bytes]:
        if self._packing is not None:
            return (text for text, _ in unpacked(file, UNPACKINGS[self._packing]))
        return iter(lambda: file.read(BLOCK), b"")

    def _open(self) -> BinaryIO:
        return open(self._path, "rb", buffering=0)  # noqa: PTH123 - Path's own types it as no BinaryIO

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SinkError(sentence(self._path, error)) from error
        except ValueError as error:
            raise SinkError(
                f"{self._path}: {error}; go on with the file as it was left, or choose another one with --output"
            ) from error


def _spans(reading: Reading, wanted: Callable[[int], bool]) -> Iterator[tuple[int, int]]:
    """What to keep of a text: its head, and the records that are wanted; what adjoins is one."""
    begin, end = 0, reading.first
    for place, after in enumerate(reading.ends):
        if wanted(place):
            end = after
            continue
        if begin < end:
            yield begin, end
        begin = end = after
    if begin < end:
        yield begin, end


def _parts(text: Iterator[bytes], spans: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """What is in the spans, piece by piece."""
    piece, start = b"", 0
    for begin, end in spans:
        while begin < end:
            while start + len(piece) <= begin:
                start += len(piece)
                piece = next(text)
            part = piece[begin - start : end - start]
            begin += len(part)
            yield part


def _pack(parts: Iterator[bytes], packing: str, new: BinaryIO) -> None:
    make = PACKINGS[packing]()
    compressor, size = make(), 0
    for part in parts:
        new.write(compressor.compress(part))
        size += len(part)
        if size >= MEMBER:
            new.write(compressor.flush())
            compressor, size = make(), 0
    if size:
        new.write(compressor.flush())
