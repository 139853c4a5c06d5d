"""
Owns SQLite files: one table, `records`, with a row a record and an index on its URLs; and what is in them already.

What is flushed is a transaction, so a record is in the file or not at all. It has a write-ahead log: others read while
the run goes on, and what was written before a kill is there when the file is next opened.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
from msgspec import Raw

from fetcher.errors import SinkError
from fetcher.record import Record
from fetcher.sinks.fields import Field, read_fields
from fetcher.sinks.past import Entry

TABLE = "records"

PATIENCE = 10.0
"""Seconds for which somebody who locks the file is waited for."""

CACHE = 64 * 1024
"""KiB of pages that are held: the index is written all over the place."""

TYPES = {
    "url": "TEXT",
    # A row's own number, so that it takes no room.
    "index": "INTEGER PRIMARY KEY",
    "ok": "INTEGER",
    "status": "INTEGER",
    "error": "TEXT",
    "method": "TEXT",
    "final_url": "TEXT",
    "redirects": "TEXT",
    "attempts": "INTEGER",
    "history": "TEXT",
    "started": "TEXT",
    "elapsed": "REAL",
    "timings": "TEXT",
    "remote": "TEXT",
    "http_version": "TEXT",
    "headers": "TEXT",
    "content_type": "TEXT",
    "charset": "TEXT",
    "bytes": "INTEGER",
    "wire_bytes": "INTEGER",
    "sha256": "TEXT",
    "truncated": "INTEGER",
    "body_encoding": "TEXT",
    "saved": "TEXT",
    "change": "TEXT",
    "extra": "TEXT",
}
"""Of the columns; others take what comes."""

# Roughly what a row without its texts takes.
_ROW = 100
_LONGEST_WHOLE = 18

_WANTED = ("index", "url", "ok", "status", "error.kind", "error", "change")

_ENCODER = msgspec.json.Encoder()


class Sqlite:
    """
    An `Output` that is a database.

    Args:
        path: A regular file that may be written.
        names: The columns, which are fields; every field of a record where there are none.
        made: The file was made for this, and is removed where nothing is ever begun.
        filled: There is something in it, which is replaced when this is begun.
        kept: What is in it stays, but for the rows of those indexes that are written again.
    """

    def __init__(
        self,
        path: str,
        names: tuple[str, ...] = (),
        *,
        made: bool = False,
        filled: bool = False,
        kept: bool = False,
    ) -> None:
        self._path = path
        # SQLite puts its log beside the file, not beside a link to it.
        self._file = os.path.realpath(path)
        self._fields = read_fields(names or Record.__struct_fields__)
        self._made = made
        self._filled = filled
        self._base: sqlite3.Connection | None = None
        self._rows: list[list[Any]] = []
        self._waiting = 0
        self._failed = False
        marks = ", ".join("?" * len(self._fields))
        self._insert = f"INSERT OR REPLACE INTO {TABLE} VALUES ({marks})"  # noqa: S608 - a name of ours, and marks
        self._unless = "IF NOT EXISTS " if kept else ""
        self.written = 0

    def begin(self) -> None:
        """Empty the file where it is to be replaced, and make the table."""
        self._made = False
        columns = ", ".join(f"{_quoted(field.name)} {TYPES.get(field.name, '')}".rstrip() for field in self._fields)
        try:
            if self._filled:
                for suffix in ("-wal", "-shm", "-journal"):
                    Path(self._file + suffix).unlink(missing_ok=True)
                os.truncate(self._file, 0)
            base = sqlite3.connect(self._file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            self._base = base
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            base.execute(f"PRAGMA cache_size = -{CACHE}")
            base.execute("BEGIN IMMEDIATE")
            base.execute(f"CREATE TABLE {self._unless}{TABLE} ({columns})")
            if any(field.name == "url" for field in self._fields):
                base.execute(f"CREATE INDEX {self._unless}{TABLE}_url ON {TABLE} (url)")
            base.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._failed = True
            raise SinkError(self._complaint(error)) from error

    def add(self, record: Record) -> int:
        """Take a record in; how many bytes wait for `flush` now. A large body is held whole."""
        row = [_cell(field, record) for field in self._fields]
        self._rows.append(row)
        self._waiting += _ROW + sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
        return self._waiting

    def flush(self, stop: Event) -> None:
        """Write what waits, all of it or nothing."""
        del stop
        rows, self._rows, self._waiting = self._rows, [], 0
        base = self._base
        if not rows or self._failed or base is None:
            return
        try:
            base.execute("BEGIN IMMEDIATE")
            base.executemany(self._insert, rows)
            base.execute("COMMIT")
        except (sqlite3.Error, OverflowError, ValueError) as error:
            self._failed = True
            with suppress(sqlite3.Error):
                base.execute("ROLLBACK")
            raise SinkError(self._complaint(error)) from error
        self.written += len(rows)

    def end(self, stop: Event) -> None:
        """Write what waits."""
        self.flush(stop)

    def close(self) -> None:
        """Let go of the file, into which the log is folded."""
        if self._made:
            self._made = False
            with suppress(OSError):
                Path(self._path).unlink()
        base, self._base = self._base, None
        if base is not None:
            base.close()

    def _complaint(self, error: Exception) -> str:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return f"{self._path}: another program is writing to it; let it end, or choose another file with --output"
        if name == "SQLITE_TOOBIG":
            return f"{self._path}: SQLite takes no body as large as that; bound them with --max-size"
        return f"{self._path}: {error}; make room, or choose another place with --output"


class Rows:
    """
    A `Past`: what is in such a file. A later row takes an earlier one's place, so nothing is ever to be dropped.

    Args:
        names: The columns that it must have.
    """

    def __init__(self, path: str, names: tuple[str, ...] = ()) -> None:
        self._path = path
        self._names = names or Record.__struct_fields__

    def entries(self) -> Iterator[Entry]:
        """A row each, in the order of the list; what was torn is undone as the file is opened."""
        wanted = [name for name in _WANTED if name in self._names]
        query = f"SELECT {', '.join(map(_quoted, wanted))} FROM {TABLE}"  # noqa: S608 - names of ours
        try:
            with closing(sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)) as base:
                columns = [name for _, name, *_ in base.execute(f"PRAGMA table_info({TABLE})")]
                if not columns and not base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    return
                self._check(columns)
                for row in base.execute(query):
                    yield _entry(dict(zip(wanted, row, strict=True)))
        except sqlite3.Error as error:
            raise SinkError(f"{self._path}: {error}; choose another file with --output") from error
        except (KeyError, TypeError, ValueError, msgspec.DecodeError) as error:
            raise SinkError(f"{self._path}: has a row that is no record; choose another file with --output") from error

    def keep(self, count: int) -> None:
        """Nothing: all rows are whole."""

    def _check(self, columns: list[str]) -> None:
        if columns == list(self._names):
            return
        what = f"table {TABLE} has other columns than this run's" if columns else f"has no table {TABLE}"
        raise SinkError(
            f"{self._path}: {what}, which are {','.join(self._names)}; give the same --fields, or choose another file "
            "with --output"
        )


def _entry(row: dict[str, Any]) -> Entry:
    kind = row.get("error.kind")
    if row.get("error") is not None:
        kind = msgspec.json.decode(row["error"])["kind"]
    ok = bool(row["ok"]) if "ok" in row else None
    return Entry(int(row["index"]), str(row["url"]), ok, row.get("status"), kind, row.get("change"))


def _cell(field: Field, record: Record) -> Any:
    """A value as SQLite has it: what is nested as JSON."""
    if field.name == "body" and record.body_encoding == "base64":
        return record.content
    value = field.value(record)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if not isinstance(value, Raw):
        return _ENCODER.encode(value).decode()
    raw = bytes(value).decode()
    if field.name == "body" or raw[:1] in "{[":
        return raw
    # Digits of more than 64 bits stay text.
    if raw.lstrip("-").isdecimal() and len(raw) > _LONGEST_WHOLE:
        return raw
    decoded: Any = msgspec.json.decode(raw)
    return decoded


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
