"""
Owns what an earlier run left in a WARC file: the entries that are whole.

An entry is whole when the `metadata` record that closes it is. Blocks are skipped by their length, compressed records
by the length that their gzip member tells: what is read are heads, and not what was fetched.
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
from fetcher.sinks.warc import MAGIC, MEMBER, SKIP_LENGTHS, VERSION, unescaped

HEAD = 4_096
"""Bytes that are read for the head of a record; almost all are shorter."""

LONGEST_HEAD = 1024 * 1024
PIECE = 1024 * 1024

_BEGIN = VERSION + b"WARC-Type: "
_INFO = _BEGIN + b"warcinfo\r\n"
_END = _BEGIN + b"metadata\r\n"
_LENGTH = re.compile(rb"\r\nContent-Length: (\d{1,18})\r\n")
_SOFTWARE = b"software: afetch/"
_GZIP = 16 + zlib.MAX_WBITS


class _Found(Struct, frozen=True, gc=False):
    """
    A record.

    Attributes:
        end: Where the next one begins.
        text: All of it, where it is one that is read; else its beginning.
    """

    end: int
    text: bytes


class WarcPast:
    """
    A `Past` of a WARC file.

    Args:
        packed: Each record is a gzip member.
    """

    def __init__(self, path: str, *, packed: bool) -> None:
        self._path = path
        self._find: Callable[[int, int, int], _Found | None] = _find_packed if packed else _find_plain
        self._first = MAGIC if packed else _INFO

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
            with self._told():
                size = os.fstat(descriptor).st_size
                self._check(descriptor, size)
            place = 0
            while place < size:
                with self._told():
                    found = self._find(descriptor, place, size)
                if found is None:
                    return
                place = found.end
                if found.text.startswith(_END):
                    entry = _entry(found.text)
                    if entry is not None:
                        yield entry, place
        finally:
            os.close(descriptor)

    def _check(self, descriptor: int, size: int) -> None:
        """A file that begins otherwise is somebody else's, and nothing is to be cut off it."""
        begin = os.pread(descriptor, len(self._first), 0)
        found = self._find(descriptor, 0, size) if self._first.startswith(begin) else None
        # A kill within the first record leaves less than that.
        ours = self._first.startswith(begin) and size < HEAD if found is None else _SOFTWARE in found.text
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


def _find_plain(descriptor: int, place: int, size: int) -> _Found | None:
    """The record at a place of a file that is not compressed; None where there is none that is whole."""
    text, wanted = b"", HEAD
    while (end := text.find(b"\r\n\r\n")) < 0:
        if len(text) == size - place or len(text) >= LONGEST_HEAD or not _BEGIN.startswith(text[: len(_BEGIN)]):
            return None
        text = os.pread(descriptor, wanted, place)
        wanted *= 16
    length = _LENGTH.search(text, 0, end + 2)
    if length is None or not text.startswith(_BEGIN):
        return None
    whole = end + 4 + int(length[1]) + 4
    if place + whole > size:
        return None
    if len(text) < whole and text.startswith((_END, _INFO)):
        text = os.pread(descriptor, whole, place)
    return _Found(place + whole, text[:whole])


def _find_packed(descriptor: int, place: int, size: int) -> _Found | None:
    """The same of a file whose records are gzip members."""
    head = os.pread(descriptor, HEAD, place)
    whole = _told_size(head)
    if whole is None:
        return _inflated(descriptor, place)
    if place + whole > size:
        return None
    try:
        begin = zlib.decompressobj(_GZIP).decompress(head, len(_END))
        if not begin.startswith(_BEGIN):
            return None
        if begin.startswith((_END, _INFO)):
            member = head[:whole] if whole <= len(head) else os.pread(descriptor, whole, place)
            begin = zlib.decompress(member, _GZIP)
    except zlib.error:
        return None
    return _Found(place + whole, begin)


def _told_size(head: bytes) -> int | None:
    """The size of a member that tells it."""
    if len(head) < MEMBER.size or not head.startswith(MAGIC):
        return None
    *_, name, _, whole, _ = MEMBER.unpack_from(head)
    return whole if name == SKIP_LENGTHS and whole > MEMBER.size else None


def _inflated(descriptor: int, place: int) -> _Found | None:
    """The same of a member that does not tell its size, which is too large for that."""
    member = zlib.decompressobj(_GZIP)
    begin = b""
    read = 0
    try:
        while not member.eof:
            piece = os.pread(descriptor, PIECE, place + read)
            if not piece:
                return None
            read += len(piece)
            text = member.decompress(piece)
            begin = begin or text[:HEAD]
    except zlib.error:
        return None
    return _Found(place + read - len(member.unused_data), begin) if begin.startswith(_BEGIN) else None


def _entry(text: bytes) -> Entry | None:
    """What a closing record says; None for a metadata record of somebody else's."""
    block = text.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
    values = dict(line.partition(": ")[::2] for line in block.split("\r\n"))
    index, url, status = values.get("index", ""), values.get("url"), values.get("status")
    if not index.isdecimal() or url is None:
        return None
    return Entry(
        int(index),
        unescaped(url) if "\\" in url else url,
        values.get("ok") == "true",
        None if status is None else int(status),
        values.get("error"),
        values.get("change"),
    )
