"""Any record, written in each format and read back with what its users read it with: the same values."""

from __future__ import annotations

import base64
import csv
import io
import json
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Raw

from fetcher.record import Record
from fetcher.sinks.fields import read_fields
from fetcher.sinks.formats import Shape
from fetcher.sinks.sqlite import Sqlite
from fetcher.sinks.text import shown
from tests.any_records import any_record, any_records, values
from tests.opening import sink_of
from tests.test_tables import read_tsv

NAMES = Record.__struct_fields__
NEVER = threading.Event()

# Slow machines are slow, and first examples most of all.
unhurried = settings(deadline=None, max_examples=60)


def said(format_: str, records: list[Record], fields: tuple[str, ...] = ()) -> str:
    """All that a format says of these records."""
    sink = sink_of(format_, Shape(fields=fields))
    return b"".join([sink.begin(), *(bytes(sink.one(record)) for record in records), sink.end()]).decode()


def same(found: Any, value: Any, *, text: bool = False) -> bool:
    """
    Whether a cell says the value: nothing is empty, a text is itself, all else is as in JSON.

    Args:
        text: The value is JSON itself, and stays that also where it is a text.
    """
    if value is None and not text:
        return bool(found == "")
    if isinstance(value, str) and not text:
        return bool(found == value)
    return bool(json.loads(found) == value)


@unhurried
@given(any_records())
def test_json_lines_give_back_every_record(records: list[Record]) -> None:
    """A line a record, which Python's own JSON reads; so does it with all fields asked for by name."""
    lines = said("jsonl", records).split("\n")
    picked = said("jsonl", records, NAMES).split("\n")

    assert (lines.pop(), picked.pop()) == ("", "")
    assert [json.loads(line) for line in lines] == [values(record) for record in records]
    assert [json.loads(line) for line in picked] == [values(record) for record in records]


@unhurried
@given(any_records())
def test_json_gives_back_every_record(records: list[Record]) -> None:
    """One array of all."""
    assert json.loads(said("json", records)) == [values(record) for record in records]
    assert json.loads(said("json", records, NAMES)) == [values(record) for record in records]


@unhurried
@given(any_records())
def test_tables_give_back_every_record(records: list[Record]) -> None:
    """Each value is in its cell, in CSV and in TSV, whatever line ends, quotes and tabs are in it."""
    csv.field_size_limit(sys.maxsize)

    tables = [
        list(csv.reader(io.StringIO(said("csv", records, NAMES), newline=""))),
        read_tsv(said("tsv", records, NAMES)),
    ]

    for header, *rows in tables:
        assert tuple(header) == NAMES
        for row, record in zip(rows, records, strict=True):
            for name, cell in zip(header, row, strict=True):
                text = name == "body" and record.body_encoding == "json"
                assert same(cell, values(record)[name], text=text), name


@unhurried
@given(any_records())
def test_sqlite_gives_back_every_record(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    """What is nested is JSON, a body that is base64 elsewhere is its bytes, and NULL is what is not there."""
    path = tmp_path_factory.mktemp("round") / "out.db"
    output = Sqlite(str(path))
    output.begin()
    for record in records:
        output.add(record)
    output.end(NEVER)
    output.close()

    assert _rows(path) == [values(record) for record in records]


def _rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as base:
        base.row_factory = sqlite3.Row
        rows = [dict(row) for row in base.execute('SELECT * FROM records ORDER BY "index"')]
    for row in rows:
        for name in ("error", "redirects", "history", "timings", "headers", "extra"):
            row[name] = None if row[name] is None else json.loads(row[name])
        row["ok"], row["truncated"] = bool(row["ok"]), bool(row["truncated"])
        if row["body_encoding"] == "json":
            row["body"] = json.loads(row["body"])
        elif row["body_encoding"] == "base64":
            row["body"] = base64.b64encode(row["body"]).decode()
    return rows


@unhurried
@given(any_record())
def test_text_gives_back_what_it_has(record: Record) -> None:
    """Status, bytes and URL stand in their columns, and a template has every field; controls are made harmless."""
    template = "\\t".join(f"{{{name}}}" for name in NAMES if name != "body")

    status, size, _, url, _ = said("text", [record])[:-1].split("\t")
    sink = sink_of("text", Shape(template=template))
    cells = bytes(sink.one(record)).decode()[:-1].split("\t")

    reply = ("-", "-") if record.status is None else (str(record.status), str(record.bytes))
    assert (status, size, url) == (*reply, shown(record.url) or "-")
    texts = [field.text(record) for field in read_fields(NAMES) if field.name != "body"]
    assert cells == [shown(text) for text in texts]


@unhurried
@given(any_record())
def test_a_body_alone_is_itself(record: Record) -> None:
    """`--template '{body}'` writes the bytes that the record has."""
    sink = sink_of("text", Shape(template="{body}\\c"))

    written = bytes(sink.one(record))

    body = record.body
    if body is None:
        assert written == b""
    elif isinstance(body, Raw):
        assert json.loads(written) == json.loads(bytes(body))
    else:
        assert written == (base64.b64decode(body) if record.body_encoding == "base64" else body.encode())
