"""Owns the reading of outputs down to what counts: each entry's place, verdict, status and error kind."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from fetcher.errors import ErrorKind


class Told(Struct, frozen=True):
    """What an output says of an entry; text says no index."""

    index: int | None
    ok: bool
    status: int | None
    kind: str | None


def of_object(record: dict[str, Any]) -> Told:
    return Told(record["index"], record["ok"], record["status"], (record["error"] or {}).get("kind"))


def of_cells(row: dict[str, str]) -> Told:
    status = int(row["status"]) if row["status"] else None
    return Told(int(row["index"]), {"true": True, "false": False}[row["ok"]], status, row["error.kind"] or None)


def of_line(line: str) -> Told:
    """Of the five columns for people, with nothing but what they show."""
    status, _, _, _, note = line.split("\t")
    kinds = [part.partition(": ")[0] for part in note.split("; ") if part.partition(": ")[0] in set(ErrorKind)]
    kind = kinds[0] if kinds else None
    number = None if status == "-" else int(status)
    return Told(None, kind is None and number is not None and number < 400, number, kind)


def of_lines(data: bytes) -> list[Told]:
    return [of_object(json.loads(line)) for line in data.splitlines()]


def of_csv(data: bytes) -> list[Told]:
    return [of_cells(row) for row in csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True)]


def of_tsv(data: bytes) -> list[Told]:
    names, *rows = [line.split("\t") for line in data.decode().splitlines()]
    return [of_cells(dict(zip(names, row, strict=True))) for row in rows]


def unzst(data: bytes) -> bytes:
    from backports import zstd

    text: bytes = zstd.decompress(data)
    return text


def of_sqlite(path: Path) -> list[Told]:
    query = """SELECT "index", ok, status, json_extract(error, '$.kind') FROM records ORDER BY rowid"""
    with closing(sqlite3.connect(path)) as base:
        return [Told(index, bool(ok), status, kind) for index, ok, status, kind in base.execute(query)]


def of_parquet(path: Path) -> list[Told]:
    import pyarrow.parquet

    return [of_object(row) for row in pyarrow.parquet.read_table(path).to_pylist()]


def of_warc(path: Path) -> list[Told]:
    """By the record that closes each entry."""
    from tests.archives import read_archive

    closings = [record.values for record in read_archive(path) if record.kind == "metadata"]
    return [
        Told(int(values["index"]), values["ok"] == "true", int(values.get("status", 0)) or None, values.get("error"))
        for values in closings
    ]


def bytes_of(read: Callable[[bytes], list[Told]]) -> Callable[[Path], list[Told]]:
    return lambda path: read(path.read_bytes())


READERS: dict[str, Callable[[Path], list[Told]]] = {
    "a.jsonl": bytes_of(of_lines),
    "a.jsonl.gz": bytes_of(lambda data: of_lines(gzip.decompress(data))),
    "a.jsonl.zst": bytes_of(lambda data: of_lines(unzst(data))),
    "a.json": bytes_of(lambda data: [of_object(record) for record in json.loads(data)]),
    "a.csv": bytes_of(of_csv),
    "a.csv.gz": bytes_of(lambda data: of_csv(gzip.decompress(data))),
    "a.tsv": bytes_of(of_tsv),
    "a.txt": bytes_of(lambda data: [of_line(line) for line in data.decode().splitlines()]),
    "a.sqlite": of_sqlite,
} | ({"a.parquet": of_parquet} if find_spec("pyarrow") else {})
"""An output of each format, and what reads it. Of what is not installed there is none."""

if find_spec("warcio") and find_spec("fastwarc"):
    READERS |= {"a.warc": of_warc, "a.warc.gz": of_warc}
