"""Owns which format a list is in, and what reads it. Pure: bytes in, lines and requests out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Protocol

from fetcher.model import Request
from fetcher.sources.config import InputFormat
from fetcher.sources.ledger import Ledger
from fetcher.sources.lines import LONGEST, LineSplitter
from fetcher.sources.packed import SUFFIXES as PACKED
from fetcher.sources.rows import LINE, RowMaker

SUFFIXES: dict[str, InputFormat] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""What files are by their names; a suffix of compression behind it is passed over."""

UNDECIDED = 64 * 1024
"""Bytes of comments and blanks before the first entry, after which a list is one of lines."""

# A byte order mark, blanks and comments. UTF-16 has zero bytes in between.
_FORE = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?+(?:[\s\0]|#[^\n]*+\n)*+")


class Rows(Protocol):
    """
    Reads the lines of one input.

    Attributes:
        longest: Bytes of a line that it takes.
    """

    @property
    def longest(self) -> int: ...

    @property
    def waiting(self) -> int:
        """How many of the last lines make a row that has not ended."""
        ...

    @property
    def begun(self) -> bool:
        """Whether all that stands before the rows was read."""
        ...

    def requests(self, lines: Iterable[str]) -> list[Request]:
        """What the lines give, up to the limit. Raises SourceError if the whole input is not what it should be."""
        ...

    def rest(self) -> list[Request]:
        """What is left when there are no more lines."""
        ...


class LineRows:
    """A list of lines, each of which is an entry."""

    longest = LONGEST
    waiting = 0
    begun = True

    def __init__(self, maker: RowMaker, _place: str, name: str) -> None:
        maker.check_lines(name)
        self._parser = maker.parser
        self._make = maker.line if maker.asks_for(LINE) else None

    def requests(self, lines: Iterable[str]) -> list[Request]:
        """One request for every line that is neither blank nor a comment."""
        return self._parser.requests(lines, self._make)

    def rest(self) -> list[Request]:
        """Nothing: a line is an entry."""
        return []


def _json_rows(maker: RowMaker, place: str, _name: str) -> Rows:
    # What only some lists need is loaded with the first of them.
    from fetcher.sources.jsonl import JsonRows

    return JsonRows(maker, place)


def _table_rows(maker: RowMaker, place: str, name: str, delimiter: str) -> Rows:
    from fetcher.sources.tabular import TableRows

    return TableRows(maker, place, name, delimiter=delimiter)


FORMATS: dict[InputFormat, Callable[[RowMaker, str, str], Rows]] = {
    "lines": LineRows,
    "jsonl": _json_rows,
    "csv": lambda maker, place, name: _table_rows(maker, place, name, ","),
    "tsv": lambda maker, place, name: _table_rows(maker, place, name, "\t"),
}
"""What reads a format, made of a maker, what messages put before a line's number, and the input's name."""


class Intake:
    """
    One input on its way from bytes to requests.

    Args:
        name: What messages call it; a file's name, whose suffix may say what is in it.
        place: What messages put before a line's number.
        wanted: The format, or `auto`.
        ledger: Keeps what entries are made of, where somebody will ask.
    """

    def __init__(
        self, maker: RowMaker, name: str, place: str, wanted: InputFormat, ledger: Ledger | None = None
    ) -> None:
        self._ledger = ledger
        self._kind = ""
        self._maker = maker
        self._name = name
        self._place = place
        self._head = b""
        self._rows: Rows | None = None
        self._splitter = LineSplitter()
        kind = _by_suffix(name) if wanted == "auto" else wanted
        if kind is not None:
            self._begin(kind)

    def feed(self, block: bytes) -> list[str]:
        """The lines that the block completes; none before it is known what they are."""
        if self._rows is None:
            block = self._head + block
            kind = _by_first_entry(block)
            if kind is None:
                self._head = block
                return []
            self._begin(kind)
        return self._splitter.feed(block)

    def finish(self) -> list[str]:
        """The last lines."""
        if self._rows is not None:
            return self._splitter.finish()
        self._begin("lines")
        return [*self._splitter.feed(self._head), *self._splitter.finish()]

    def requests(self, lines: Iterable[str]) -> list[Request]:
        """What the lines give, up to the limit. Raises SourceError."""
        if self._rows is None:
            return []
        if self._ledger is not None:
            return self._ledger.requests(self._rows, self._kind, self._name, lines)
        return self._rows.requests(lines)

    def rest(self) -> list[Request]:
        """What is left when there are no more lines."""
        if self._rows is None:
            return []
        return self._rows.rest() if self._ledger is None else self._ledger.rest(self._rows)

    def _begin(self, kind: InputFormat) -> None:
        self._kind = kind
        self._rows = FORMATS[kind](self._maker, self._place, self._name)
        self._splitter = LineSplitter(self._rows.longest)


def _by_suffix(name: str) -> InputFormat | None:
    path = PurePath(name)
    if path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix.lower())


def _by_first_entry(head: bytes) -> InputFormat | None:
    """What a list is that begins so; None while its first entry is not there."""
    match = _FORE.match(head)
    end = match.end() if match is not None else 0
    if head[end : end + 1] == b"{":
        return "jsonl"
    # A comment that has not ended is not the first entry, and of a mark there may be a byte so far.
    waits = end == len(head) or head[end : end + 1] == b"#" or head in {b"\xef", b"\xef\xbb", b"\xff", b"\xfe"}
    return None if waits and len(head) <= UNDECIDED else "lines"
