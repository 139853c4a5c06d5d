"""Owns which formats there are. Each is imported where it is chosen, so that a heavy one costs only who wants it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from fetcher.errors import UsageError
from fetcher.record import Record
from fetcher.sinks.past import Left, Past
from fetcher.sinks.protocol import Output, Sink

Encode = Callable[[Record], bytes]
"""Makes a record JSON."""


class Shape(Struct, frozen=True):
    """
    What a sink is told.

    Attributes:
        colour: It writes to a terminal that shows colours.
        terminal: It writes to a terminal.
        fields: What is written of a record, in this order; the format's own choice where there are none.
        template: What text is made of, where it is not the format's own line.
        changes: Whoever goes on with it must know each record's `change`.
        packed: Each record is compressed by the sink.
        user_agent, robots: How the run asks, for those who write that down (`warc.About`).
    """

    colour: bool = False
    terminal: bool = False
    fields: tuple[str, ...] = ()
    template: str | None = None
    changes: bool = False
    packed: bool = False
    user_agent: str = ""
    robots: bool = False


class Opened(Struct, frozen=True):
    """
    A regular file that may be written, and is none of the inputs and of the other outputs.

    Attributes:
        made: It was made for this.
        filled: There is something in it, which may be replaced.
        kept: What is in it, if anything is, stays, and records go behind it; `filled` is false then.
        overwrite: What is beside it of an earlier run may be replaced, too.
    """

    path: str
    made: bool
    filled: bool
    kept: bool = False
    overwrite: bool = False


class Format(Struct, frozen=True):
    """
    How a format is chosen.

    Attributes:
        suffixes: Of the files that have it unless the user says otherwise; in lower case.
        make: A new sink; None where the format is no stream of bytes, and
        own: makes an output of a regular file, as it was opened.
        fields: Its records can be of some fields only.
        past: What an earlier run left in a file; None where that cannot be gone on with.
        journal: A file of it says by itself what is done. Others have a journal beside them.
        replaces: A later record takes the place of an earlier one of its index.
        needs: A library that it stands on, and the extra of ours that brings it.
        packs: The suffix of a compression that it does itself; it knows no other.
        captures: It is made of what went over the wire.
        anew: What it begins with stands before the records of each run.
    """

    suffixes: tuple[str, ...]
    make: Callable[[Shape], Sink] | None
    own: Callable[[Opened, Shape], Output] | None = None
    fields: bool = True
    past: Callable[[Left, Shape], Past] | None = None
    journal: bool = False
    replaces: bool = False
    needs: tuple[str, str] | None = None
    packs: str | None = None
    captures: bool = False
    anew: bool = False


def _text(shape: Shape) -> Sink:
    if shape.template is not None:
        from fetcher.sinks.template import Filled

        return Filled(shape.template, terminal=shape.terminal)
    from fetcher.sinks.text import Text

    return Text(colour=shape.colour)


def _encoder(shape: Shape) -> Encode | None:
    """What encodes a record of some fields only."""
    if not shape.fields:
        return None
    from fetcher.sinks.fields import Picked

    return Picked(shape.fields)


def _jsonl(shape: Shape) -> Sink:
    from fetcher.sinks.jsonl import JsonLines

    return JsonLines(_encoder(shape))


def _json(shape: Shape) -> Sink:
    from fetcher.sinks.json import Json

    return Json(_encoder(shape))


def _csv(shape: Shape) -> Sink:
    from fetcher.sinks.table import in_csv

    return _table(shape, ",", in_csv)


def _tsv(shape: Shape) -> Sink:
    from fetcher.sinks.table import in_tsv

    return _table(shape, "\t", in_tsv)


def _table(shape: Shape, delimiter: str, cell: Callable[[str], str]) -> Sink:
    from fetcher.sinks.fields import FLAT, read_fields
    from fetcher.sinks.table import Table
    from fetcher.sinks.text import shown

    return Table(read_fields(shape.fields or FLAT), delimiter, cell, shown if shape.terminal else str)


def _sqlite(file: Opened, shape: Shape) -> Output:
    from fetcher.sinks.sqlite import Sqlite

    return Sqlite(file.path, shape.fields, made=file.made, filled=file.filled, kept=file.kept)


def _lines_past(left: Left, shape: Shape) -> Past:
    from fetcher.sinks.jsonl import LinesReading
    from fetcher.sinks.written import Written

    return Written(left, lambda: LinesReading(shape.fields, changes=shape.changes))


def _table_past(left: Left, shape: Shape, delimiter: bytes, *, quotes: bool) -> Past:
    from fetcher.sinks.fields import FLAT
    from fetcher.sinks.table import TableReading
    from fetcher.sinks.written import Written

    return Written(left, lambda: TableReading(shape.fields or FLAT, delimiter, quotes=quotes, changes=shape.changes))


def _csv_past(left: Left, shape: Shape) -> Past:
    return _table_past(left, shape, b",", quotes=True)


def _tsv_past(left: Left, shape: Shape) -> Past:
    return _table_past(left, shape, b"\t", quotes=False)


def _sqlite_past(left: Left, shape: Shape) -> Past:
    from fetcher.sinks.sqlite import Rows

    return Rows(left.path, shape.fields)


def _parquet(file: Opened, shape: Shape) -> Output:
    from fetcher.sinks.parquet import Parquet

    return Parquet(file.path, shape.fields, made=file.made, kept=file.kept, overwrite=file.overwrite)


def _parquet_past(left: Left, _shape: Shape) -> Past:
    from fetcher.sinks.parts import PastParquet

    return PastParquet(left.path)


def _warc(shape: Shape) -> Sink:
    from fetcher.sinks.warc import About, Warc

    if shape.terminal:
        raise UsageError("format warc is nothing for a terminal: name a file with --output")
    return Warc(About(shape.user_agent, shape.robots), packed=shape.packed)


def _warc_past(left: Left, _shape: Shape) -> Past:
    from fetcher.sinks.warc_past import WarcPast

    return WarcPast(left.path, packed=left.packing is not None)


SINKS = {
    "text": Format((".txt",), _text, fields=False),
    "jsonl": Format((".jsonl", ".ndjson"), _jsonl, past=_lines_past, journal=True),
    "json": Format((".json",), _json),
    "csv": Format((".csv",), _csv, past=_csv_past, journal=True),
    "tsv": Format((".tsv",), _tsv, past=_tsv_past, journal=True),
    "sqlite": Format((".sqlite", ".sqlite3", ".db"), None, _sqlite, past=_sqlite_past, journal=True, replaces=True),
    "parquet": Format((".parquet",), None, _parquet, past=_parquet_past, needs=("pyarrow", "parquet")),
    "warc": Format((".warc",), _warc, fields=False, past=_warc_past, packs=".gz", captures=True, anew=True),
}
