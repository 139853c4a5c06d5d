"""Owns JSON Lines: one record a line, the native format, and finding out what is in such a file."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable

import msgspec
from msgspec import Struct, field

from fetcher.record import LargeLine, LargeRecord, Record, encode_line
from fetcher.sinks.past import Entry
from fetcher.sinks.protocol import Said

_RECORD = re.compile(
    rb'\{"url":"([^"\\]*)","index":(\d{1,18}),'
    rb'("ok":(?:true|false),"status":(?:\d+|null),"error":(?:null|\{"kind":"[a-z-]+"))'
)
"""How a whole record begins; a URL with escapes in it is read the slow way."""

_CLOSED = ord("}")


class JsonLines:
    """
    A `Sink`: every record is a line of its own.

    Args:
        picked: Encodes what is wanted of a record, where that is not all.
    """

    def __init__(self, picked: Callable[[Record], bytes] | None = None) -> None:
        self._picked = picked

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def one(self, record: Record) -> Said:
        """The record's line."""
        if self._picked is not None:
            return self._picked(record) + b"\n"
        if isinstance(record, LargeRecord):
            return LargeLine(record, after=b"\n")
        return encode_line(record)

    def end(self) -> bytes:
        """Nothing: it is well-formed after every line."""
        return b""


class _Kind(Struct):
    kind: str | None = None


class _Line(Struct):
    """What is wanted of a line whose fields are others, or in another order."""

    url: str
    index: int
    ok: bool | None = None
    status: int | None = None
    error: _Kind | None = None
    kind: str | None = field(default=None, name="error.kind")
    change: str | None = None


_DECODER = msgspec.json.Decoder(_Line)


def _outcome(text: bytes) -> tuple[bool | None, int | None, str | None]:
    """What the text between a record's index and its error's message says."""
    whole = b'{"url":"","index":0,' + text + (b"" if text.endswith(b"null") else b"}") + b"}"
    read = _DECODER.decode(whole)
    return read.ok, read.status, None if read.error is None else read.error.kind


class LinesReading:
    """
    Finds the records in JSON Lines.

    Args:
        names: The fields that were asked for.
        changes: `change` is wanted, too.
    """

    def __init__(self, names: tuple[str, ...] = (), *, changes: bool = False) -> None:
        self._begins = b'{"%s":' % (names[0] if names else "url").encode()
        self._changes = changes
        # A line whose end is yet to come, and how many bytes there were before the text at hand.
        self._torn: list[bytes] = []
        self._before = 0
        # They are few.
        self._outcomes: dict[bytes, tuple[bool | None, int | None, str | None]] = {}
        self.ends: array[int] = array("q")
        self.first = 0

    def feed(self, text: bytes) -> list[Entry]:
        """The records whose lines end in the text."""
        entries: list[Entry] = []
        start = 0
        if self._torn:
            # Only that line is copied.
            start = text.find(b"\n") + 1
            self._torn.append(text[:start] if start else text)
            if start:
                line = b"".join(self._torn)
                self._torn = []
                self._find(line, 0, self._before + start - len(line), entries)
        if start or not self._torn:
            start = self._find(text, start, self._before, entries)
            if start < len(text):
                self._torn.append(text[start:])
        self._before += len(text)
        return entries

    def _find(self, text: bytes, start: int, begin: int, entries: list[Entry]) -> int:
        """
        Where the last line of a text ends, whose records are added to `entries`.

        Args:
            start: Where its first line begins.
            begin: How many bytes there were before it.
        """
        add, note, find = entries.append, self.ends.append, text.find
        match = None if self._changes else _RECORD.match
        outcomes = self._outcomes
        while (end := find(b"\n", start)) >= 0:
            found = match(text, start, end) if match is not None else None
            if found is not None and text[end - 1] == _CLOSED:
                url, index, outcome = found.groups()
                told = outcomes.get(outcome)
                if told is None:
                    told = outcomes[outcome] = _outcome(outcome)
                ok, status, kind = told
                add(Entry(int(index), url.decode("utf-8", "replace"), ok, status, kind))
                note(begin + end + 1)
            elif text[start:end].strip():
                add(self._odd(text[start:end]))
                note(begin + end + 1)
            start = end + 1
        return start

    def finish(self) -> None:
        """Nothing, if the last line is the beginning of a record."""
        torn = b"".join(self._torn)
        begins = b"{" if self.ends else self._begins
        if torn[: len(begins)] != begins[: len(torn)]:
            raise ValueError(self._none())

    def _odd(self, line: bytes) -> Entry:
        try:
            read = _DECODER.decode(line)
        except (msgspec.DecodeError, ValueError) as error:
            raise ValueError(self._none()) from error
        if read.index < 0:
            raise ValueError(self._none())
        kind = read.kind if read.error is None else read.error.kind
        return Entry(read.index, read.url, read.ok, read.status, kind, read.change)

    def _none(self) -> str:
        return f"what comes behind its first {len(self.ends):,} records is no record of afetch's with index and url"
