"""
Owns what an earlier run left in a WARC file: the entries that are whole.

An entry is whole when the `metadata` record that closes it is. What was fetched is skipped by its length; of compressed
records those that are text are unpacked, and the others skipped by the length that their gzip member tells.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from msgspec import Struct

from fetcher.errors import SinkError
from fetcher.sinks.files import sentence
from fetcher.sinks.past import Entry
from fetcher.sinks.warc import MAGIC, MEMBER, SKIP_LENGTHS, TEXT_MAGIC, VERSION, unescaped

HEAD = 4_096
"""Bytes in which the head of a record is looked for first; almost all are shorter."""

LONGEST_HEAD = 1024 * 1024

BLOCK = 256 * 1024
"""Bytes of one read. Small records are read through, which costs less than a call for each; large ones are skipped."""

_BEGIN = VERSION + b"WARC-Type: "
_INFO = _BEGIN + b"warcinfo\r\n"
_END = _BEGIN + b"metadata\r\n"
_LENGTH = b"\r\nContent-Length: "
_OUTCOME = re.compile(
    rb"\r\n\r\nindex: (\d{1,18})\r\nurl: ([^\r]*)\r\nok: (true|false)\r\n"
    rb"(?:status: (\d{3})\r\n)?(?:error: ([a-z-]+)\r\n)?"
)
_CHANGE = re.compile(rb"\r\nchange: ([a-z]+)\r\n")
_SOFTWARE = b"software: afetch/"
_GZIP = 16 + zlib.MAX_WBITS


class _Found(Struct, frozen=True, gc=False):
    """
    A record.

    Attributes:
        end: Where the next one begins.
        text: All of it, where it is one that is read.
    """

    end: int
    text: bytes = b""


class _Window:
    """
    A part of a file that is in memory.

    Attributes:
        size: The file's.
        data: The part.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._start = 0
        self.size = os.fstat(descriptor).st_size
        self.data = b""

    def reach(self, place: int, length: int) -> int:
        """Where in `data` a place of the file is, with `length` bytes behind it if the file has them."""
        offset = place - self._start
        if offset < 0 or offset + min(length, self.size - place) > len(self.data):
            self.data = os.pread(self._descriptor, max(length, BLOCK), place)
            self._start = place
            offset = 0
        return offset

    def take(self, place: int, length: int) -> bytes:
        """So many bytes from a place on."""
        offset = self.reach(place, length)
        return self.data[offset : offset + length]


class WarcPast:
    """
    A `Past` of a WARC file.

    Args:
        packed: Each record is a gzip member.
    """

    def __init__(self, path: str, *, packed: bool) -> None:
        self._path = path
        self._find: Callable[[_Window, int], _Found | None] = _find_packed if packed else _find_plain
        self._first = TEXT_MAGIC if packed else _INFO

    def entries(self) -> Iterator[Entry]:
        """What there is whole, in the order in which it was written."""
        for entry, _ in self._walk():
            yield entry

    def keep(self, count: int) -> None:
        """Drop what is behind the first `count` entries, and what is torn."""
        end = next(islice((end for _, end in self._walk()), count - 1, None), None) if count else 0
        if end is None:
            raise SinkError(f"{self._path}: has become shorter meanwhile; is another program writing to it?")
        with self._told():
            if Path(self._path).stat().st_size != end:
                os.truncate(self._path, end)

    def _walk(self) -> Iterator[tuple[Entry, int]]:
        """The entries, and where each ends."""
        with self._told():
            try:
                descriptor = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return
            try:
                window = _Window(descriptor)
                self._check(window)
                place = 0
                while place < window.size:
                    found = self._find(window, place)
                    if found is None:
                        return
                    place = found.end
                    if found.text.startswith(_END):
                        entry = _entry(found.text)
                        if entry is not None:
                            yield entry, place
            finally:
                os.close(descriptor)

    def _check(self, window: _Window) -> None:
        """A file that begins otherwise is somebody else's, and nothing is to be cut off it."""
        begins = self._first.startswith(window.take(0, len(self._first)))
        found = self._find(window, 0) if begins else None
        # A kill within the first record leaves less than that.
        ours = begins and window.size < HEAD if found is None else _SOFTWARE in found.text
        if not ours:
            raise SinkError(
                f"{self._path}: is no WARC file of afetch's; choose another one, or replace it with --overwrite"
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Failures of the system as ours."""
        try:
            yield
        except OSError as error:
            raise SinkError(sentence(self._path, error)) from error


def _find_plain(window: _Window, place: int) -> _Found | None:
    """The record at a place of a file that is not compressed; None where there is none that is whole."""
    reach = HEAD
    offset = window.reach(place, reach)
    if not window.data.startswith(_BEGIN, offset):
        return None
    while (end := window.data.find(b"\r\n\r\n", offset)) < 0:
        if reach > min(LONGEST_HEAD, window.size - place):
            return None
        reach *= 16
        offset = window.reach(place, reach)
    data = window.data
    number = data.find(_LENGTH, offset, end) + len(_LENGTH)
    length = data[number : data.find(b"\r\n", number)]
    if not length.isdigit():
        return None
    whole = end + 4 - offset + int(length) + 4
    if place + whole > window.size:
        return None
    if data.startswith((_END, _INFO), offset):
        return _Found(place + whole, window.take(place, whole))
    return _Found(place + whole)


def _find_packed(window: _Window, place: int) -> _Found | None:
    """The same of a file whose records are gzip members."""
    offset = window.reach(place, MEMBER.size)
    if len(window.data) - offset < MEMBER.size:
        return None
    magic, *_, name, _, whole, _ = MEMBER.unpack_from(window.data, offset)
    if magic not in {MAGIC, TEXT_MAGIC} or name != SKIP_LENGTHS:
        return _inflated(window, place)
    if place + whole > window.size:
        return None
    if magic == MAGIC:
        return _Found(place + whole)
    try:
        return _Found(place + whole, zlib.decompress(window.take(place, whole), _GZIP))
    except zlib.error:
        return None


def _inflated(window: _Window, place: int) -> _Found | None:
    """The same of a member that does not tell its size, which is too large for that."""
    member = zlib.decompressobj(_GZIP)
    begin = b""
    end = place
    try:
        while not member.eof:
            piece = window.take(end, BLOCK)
            if not piece:
                return None
            end += len(piece)
            while piece and not member.eof:
                text = member.decompress(piece, BLOCK)
                begin = begin or text
                piece = member.unconsumed_tail
    except zlib.error:
        return None
    return _Found(end - len(member.unused_data), begin) if begin.startswith(_BEGIN) else None


def _entry(text: bytes) -> Entry | None:
    """What a closing record says; None for a metadata record of somebody else's."""
    found = _OUTCOME.search(text)
    if found is None:
        return None
    index, raw, ok, status, kind = found.groups()
    url = raw.decode("utf-8", "replace")
    change = _CHANGE.search(text, found.end() - 2)
    return Entry(
        int(index),
        unescaped(url) if "\\" in url else url,
        ok == b"true",
        None if status is None else int(status),
        None if kind is None else kind.decode(),
        None if change is None else change[1].decode(),
    )
