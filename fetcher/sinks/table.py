"""
Owns tables of text: CSV as RFC 4180 quotes it, and TSV without quotes.

A row a record, the columns' names first, lines that end with LF in both. What a cell is, is in `fields.py`. A cell that
a spreadsheet takes for a formula stays as it is: whoever opens strangers' text in one imports it as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fetcher.record import Record
from fetcher.sinks.fields import Field

_QUOTED = re.compile('[",\r\n]')
_ESCAPED = re.compile("[\t\n\r\\\\]")
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
