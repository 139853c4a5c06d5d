"""
Owns tables of text: CSV as RFC 4180 quotes it, and TSV without quotes.

A row a record, the columns' names first, lines that end with LF in both. What a cell is, is in `fields.py`. A cell that
a spreadsheet takes for a formula stays as it is: whoever opens strangers' text in one imports it as text.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable

import msgspec

from fetcher.record import Record
from fetcher.sinks.fields import Field
from fetcher.sinks.past import Entry
from fetcher.sinks.written import Rest

_QUOTED = re.compile('[",\r\n]')
_ESCAPED = re.compile("[\t\n\r\\\\]")
_WANTED = ("index", "url", "ok", "status", "error.kind", "error")
_OUTCOMES = 1_000
_CELL = re.compile(rb'"([^"]*(?:""[^"]*)*)"(?:,|$)|([^,"]*)(?:,|$)')
_UNESCAPED = re.compile(r"\\([tnr\\])")
_MEANT = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"}


class Table:
    """
    A `Sink`: a row a record.

    Args:
        cell: How a text stands in its cell.
        shown: What a text is before that: on a terminal it is made harmless.
    """

    def __init__(
        self, fields: tuple[Field, ...], delimiter: str, cell: Callable[[str], str], shown: Callable[[str], str] = str
    ) -> None:
        self._fields = fields
        self._delimiter = delimiter
        self._cell = cell
        self._shown = shown

    def begin(self) -> bytes:
        """The columns' names."""
        return self._row([field.name for field in self._fields])

    def one(self, record: Record) -> bytes:
        """The record's row; a large body in it is held whole."""
        return self._row([field.text(record) for field in self._fields])

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _row(self, texts: list[str]) -> bytes:
        cell, shown = self._cell, self._shown
        row = self._delimiter.join([cell(shown(text)) for text in texts])
        # Readers pass over a line that is empty.
        return f"{row or self._blank}\n".encode("utf-8", "backslashreplace")

    @property
    def _blank(self) -> str:
        return '""' if self._cell is in_csv else ""


def in_csv(text: str) -> str:
    """A text as a cell of CSV: in quotes where it has a quote, a comma or a line's end."""
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def in_tsv(text: str) -> str:
    r"""A text as a cell of TSV: tab, LF, CR and backslash are `\t`, `\n`, `\r`, `\\`, as jq's @tsv has them."""
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text)


class TableReading:
    """
    Finds the records in a table.

    Args:
        names: The columns that it must have.
        quotes: Cells may be in quotes, with lines' ends in them; otherwise they have escapes.
        changes: `change` is wanted, too.
    """

    def __init__(self, names: tuple[str, ...], delimiter: bytes, *, quotes: bool, changes: bool = False) -> None:
        self._names = names
        self._delimiter = delimiter
        self._quotes = quotes
        self._head = delimiter.join(name.encode() for name in names) if not quotes else _head(names)
        wanted = (*_WANTED, "change") if changes else _WANTED
        self._places = {name: names.index(name) for name in wanted if name in names}
        self._last = max(self._places.values())
        self._index, self._url = self._places.pop("index"), self._places.pop("url")
        # They are few, unless messages are among them.
        self._outcomes: dict[tuple[bytes, ...], tuple[bool | None, int | None, str | None, str | None]] = {}
        self._rest = Rest()
        # Of the row at hand: up to where its quotes were counted, and whether one is open there.
        self._counted = 0
        self._open = False
        self.ends: array[int] = array("q")
        self.first = 0

    def feed(self, text: bytes) -> list[Entry]:
        """The records whose rows end in the text."""
        rest = self._rest
        begin = rest.begin
        whole = rest.with_more(text)
        if whole is None:
            return []
        entries = []
        start, counted = 0, self._counted
        while (end := whole.find(b"\n", counted)) >= 0:
            quoted = False
            if self._quotes:
                quotes = whole.count(b'"', counted, end)
                quoted = quotes > 0 or counted > start
                self._open ^= bool(quotes & 1)
                counted = end + 1
                if self._open:
                    continue
            row = whole[start:end]
            start = counted = end + 1
            if not self.first:
                self._check(row)
                self.first = begin + start
            elif row.strip():
                entries.append(self._entry(row, quoted))
                self.ends.append(begin + start)
        rest.hold(whole, start)
        self._counted = counted - start
        return entries

    def finish(self) -> None:
        """Nothing, if the last row is the beginning of one."""
        if not self.first and not (self._head + b"\n").startswith(self._rest.text):
            self._check(self._rest.text)

    def _check(self, head: bytes) -> None:
        if head != self._head:
            names = self._delimiter.decode().join(self._names)
            raise ValueError(f"it has other columns than this run's, which are {names}; give the same --fields")

    def _entry(self, row: bytes, quoted: bool) -> Entry:
        cells = self._quoted(row) if quoted else row.split(self._delimiter, self._last + 1)
        try:
            outcome = tuple([cells[place] for place in self._places.values()])
            told = self._outcomes.get(outcome)
            if told is None:
                if len(self._outcomes) > _OUTCOMES:
                    self._outcomes.clear()
                told = self._outcomes[outcome] = self._outcome(outcome)
            url = cells[self._url].decode()
            if not self._quotes and "\\" in url:
                url = _UNESCAPED.sub(lambda match: _MEANT[match[1]], url)
            return Entry(int(cells[self._index]), url, *told)
        except (ValueError, LookupError, msgspec.DecodeError) as wrong:
            raise ValueError(
                f"what comes behind its first {len(self.ends):,} records is no record of afetch's"
            ) from wrong

    def _outcome(self, cells: tuple[bytes, ...]) -> tuple[bool | None, int | None, str | None, str | None]:
        """What the cells say that are neither index nor url."""
        texts = dict(zip(self._places, (cell.decode() for cell in cells), strict=True))
        kind = texts.get("error.kind")
        if texts.get("error"):
            kind = msgspec.json.decode(texts["error"], type=dict[str, str])["kind"]
        ok, status = texts.get("ok"), texts.get("status")
        return None if ok is None else ok == "true", int(status) if status else None, kind or None, texts.get("change")

    def _quoted(self, row: bytes) -> list[bytes]:
        cells: list[bytes] = []
        place = 0
        while len(cells) <= self._last and (match := _CELL.match(row, place)) is not None and place <= len(row):
            cells.append(match[2] if match[1] is None else match[1].replace(b'""', b'"'))
            place = max(match.end(), place + 1)
        return cells


def _head(names: tuple[str, ...]) -> bytes:
    return ",".join(map(in_csv, names)).encode("utf-8", "backslashreplace")
