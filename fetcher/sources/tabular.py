"""
Owns rows that are written as CSV or TSV (RFC 4180); the first names the columns. Pure: lines in, requests out.

A row without quotes is cut at its delimiters, one with quotes is read by Python's csv module. A quoted cell may have
line ends in it. Where its quote does not close as it must, the line on which the row begins is the one that cannot be
sent, and the lines behind it are read for themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from fetcher.errors import SourceError
from fetcher.model import Request
from fetcher.sources.lines import BLANKS
from fetcher.sources.rows import RowMaker

LONGEST_ROW = 1024 * 1024
"""Bytes of a row: as many as the look-ahead has of them are held at once, and a quote that never closes ends here."""

SUSPECT = LONGEST_ROW // 4
"""Characters up to which a row needs no measuring: a character is four bytes at most."""

REREAD = 3 * LONGEST_ROW
"""Characters that are read again behind quotes which do not close: more is no accident, and has no end."""

MOST_COLUMNS = 10_000

QUOTE = '"'

UNCLOSED = "a quote that does not close"

csv.field_size_limit(max(csv.field_size_limit(), LONGEST_ROW))


class TableRows:
    """
    The rows of one input.

    Args:
        source: What messages put before the line's number.
        name: What the input is called.
    """

    longest = LONGEST_ROW

    def __init__(self, maker: RowMaker, source: str, name: str, delimiter: str) -> None:
        self._maker = maker
        self._source = source
        self._name = name
        self._delimiter = delimiter
        self._columns: tuple[str, ...] = ()
        self._url: int | None = None
        self._number = 0
        # A row whose quotes have not closed yet: its lines, and their characters.
        self._open: list[str] = []
        self._held = 0
        self._reread = 0

    @property
    def waiting(self) -> int:
        """How many of the last lines make a row that has not ended."""
        return len(self._open)

    @property
    def begun(self) -> bool:
        """Whether the columns are known."""
        return bool(self._columns)

    def requests(self, lines: Iterable[str]) -> list[Request]:
        """
        One request for every row that these lines complete, up to the limit.

        Raises:
            SourceError: The first row is no header that will do.
        """
        requests: list[Request] = []
        for line in lines:
            self._line(line, requests)
        return requests

    def rest(self) -> list[Request]:
        """The requests of what stands behind a quote that has not closed."""
        requests: list[Request] = []
        while self._open:
            self._give_up(UNCLOSED, requests)
        return requests

    def _line(self, line: str, requests: list[Request]) -> None:
        self._number += 1
        if not self._open and QUOTE not in line:
            cells = line.removesuffix("\r").split(self._delimiter)
            # What is blank in a table of several columns may be a row of empty cells, if it has their delimiters.
            if len(cells) > 1 or cells[0].strip(BLANKS):
                self._row(cells, self._number, len(line), requests)
            return
        lines = self._open
        before = bool(lines)
        lines.append(line)
        self._held += len(line) + 1
        try:
            more = ends_open(line, self._delimiter, quoted=before)
        except ValueError as error:
            self._give_up(str(error), requests)
            return
        if more:
            if self._held > LONGEST_ROW:
                self._give_up(UNCLOSED, requests)
            return
        begun, size = self._number - len(lines) + 1, self._held
        self._close()
        try:
            [cells] = csv.reader(["\n".join(lines)], delimiter=self._delimiter, strict=True)
        except csv.Error:
            self._refuse(begun, "a line end that is neither in quotes nor at the end", requests)
            return
        self._row(cells, begun, size, requests)

    def _give_up(self, why: str, requests: list[Request]) -> None:
        """The open row is none: its first line is refused, and the others are read for themselves."""
        others = self._open[1:]
        begun = self._number - len(others)
        self._reread += self._held
        self._close()
        self._refuse(begun, why, requests)
        self._number = begun
        for line in others:
            if self._reread > REREAD:
                self._number += 1
                self._refuse(self._number, "too many quotes that do not close", requests)
            else:
                self._line(line, requests)

    def _close(self) -> None:
        self._open = []
        self._held = 0

    def _row(self, cells: Sequence[str], number: int, size: int, requests: list[Request]) -> None:
        columns = self._columns
        if not columns:
            self._begin(cells)
            return
        maker = self._maker
        if maker.parser.full:
            return
        if size > SUSPECT and sum(len(cell.encode("utf-8", "replace")) for cell in cells) >= LONGEST_ROW:
            self._refuse(number, f"the row has more than {LONGEST_ROW >> 20} MiB", requests)
            return
        url = self._url
        if len(cells) != len(columns):
            given = cells[url] if url is not None and url < len(cells) else ""
            why = f"{len(cells)} columns, and the first row names {len(columns)}"
            requests.append(maker.invalid(self._place(number), why, maker.shown(given)))
            return
        row = dict(zip(columns, cells, strict=True))
        if url is None:
            requests.append(maker.make(row, "", row, self._place(number)))
            return
        extra = row.copy() if maker.fills else row
        given = extra.pop(columns[url]).strip(BLANKS)
        requests.append(maker.make(row, given, extra or None, self._place(number)))

    def _begin(self, cells: Sequence[str]) -> None:
        """
        Take the names of the columns.

        Raises:
            SourceError: They will not do.
        """
        if len(cells) > MOST_COLUMNS:
            raise SourceError(f"{self._name}: {len(cells)} columns, more than {MOST_COLUMNS}; is it a table?")
        # Spreadsheets leave names empty.
        columns = tuple(cell.strip(BLANKS) or f"column_{place}" for place, cell in enumerate(cells, 1))
        seen: set[str] = set()
        for column in columns:
            if column in seen:
                raise SourceError(f"{self._name}: two columns are called {column!r}; rename one in the first row")
            seen.add(column)
        self._maker.check(columns, self._name)
        self._columns = columns
        # With a base that makes the URLs, a column of that name is one like any other.
        self._url = None if self._maker.makes_urls else columns.index(self._maker.column)

    def _refuse(self, number: int, why: str, requests: list[Request]) -> None:
        if not self._columns:
            raise SourceError(f"{self._name}: the first row, which names the columns, has {why}")
        if not self._maker.parser.full:
            requests.append(self._maker.invalid(self._place(number), why))

    def _place(self, number: int) -> str:
        return f"{self._source}line {number}"


def ends_open(line: str, delimiter: str, *, quoted: bool) -> bool:
    """
    Whether a line ends inside of quotes, as the csv module reads it: only a quote that begins a cell quotes.

    Args:
        quoted: It begins inside of them.

    Raises:
        ValueError: Something stands behind a quote that closes; the text says so.
    """
    place = 0
    while True:
        if not quoted:
            if line[place : place + 1] != QUOTE:
                place = line.find(delimiter, place) + 1
                if not place:
                    return False
                continue
            place += 1
        place = line.find(QUOTE, place)
        if place < 0:
            return True
        place += 1
        # Two are one quote in the cell.
        quoted = line[place : place + 1] == QUOTE
        place += quoted
        if not quoted and line[place : place + 1] != delimiter and line[place:] not in {"", "\r"}:
            raise ValueError("a quote that closes within a cell")
