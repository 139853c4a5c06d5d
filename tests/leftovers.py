"""
Owns the reading of what a run left in its files, whole or torn, with each format's own tools and nothing of ours.

`whole` is for a run that has ended: anything wrong with a file fails. `journal` is for one that was killed: what is
torn at its end is no record.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

SIDE = ".afetch.jsonl"
"""What the name of a journal of its own ends with."""

csv.field_size_limit(2**31 - 1)


class Row(Struct, frozen=True):
    """What is looked at of a record."""

    index: int
    url: str
    ok: bool
    sha256: str | None
    saved: str | None = None


def whole(path: Path) -> list[Row]:
    """The records of an output that was ended."""
    return _by_suffix(path, WHOLE)(path)


def journal(path: Path) -> list[Row]:
    """The records that are whole in an output that can be a journal, in the order in which they were written."""
    return _by_suffix(path, TORN)(path) if path.exists() and path.stat().st_size else []


def _by_suffix(path: Path, readers: dict[str, Callable[[Path], list[Row]]]) -> Callable[[Path], list[Row]]:
    return next(reader for suffix, reader in readers.items() if path.name.endswith(suffix))


def _lines(text: bytes) -> list[Row]:
    assert not text or text.endswith(b"\n"), f"ends in the midst of a line: {text[-80:]!r}"
    return [_row(json.loads(line)) for line in text.splitlines()]


def _csv(text: bytes) -> list[Row]:
    return _table(list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True)))


def _tsv(text: bytes) -> list[Row]:
    assert text.endswith(b"\n"), f"ends in the midst of a line: {text[-80:]!r}"
    return _table([line.split("\t") for line in text.decode()[:-1].split("\n")])


def _table(rows: list[list[str]]) -> list[Row]:
    names, *rows = rows
    assert all(len(row) == len(names) for row in rows), "a row is torn"
    return [_row(dict(zip(names, row, strict=True))) for row in rows]


def _row(fields: dict[str, Any]) -> Row:
    return Row(
        int(fields["index"]),
        fields["url"],
        str(fields["ok"]).lower() in {"true", "1"},
        fields["sha256"] or None,
        fields.get("saved") or None,
    )


def _sqlite(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        base.row_factory = sqlite3.Row
        # In the order in which rows came, where they have no number of their own.
        return [_row(dict(row)) for row in base.execute("SELECT * FROM records ORDER BY rowid")]


def _torn_sqlite(path: Path) -> list[Row]:
    """Of a copy: to open it is to mend it, which is what the next run is there for."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for suffix in ("", "-wal", "-shm", "-journal"):
            if (source := path.with_name(path.name + suffix)).exists():
                shutil.copy(source, copy / source.name)
        with closing(sqlite3.connect(copy / path.name)) as base:
            made = base.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchall()
        return _sqlite(copy / path.name) if made else []


def _parquet(path: Path) -> list[Row]:
    import pyarrow.parquet

    names = ["index", "url", "ok", "sha256"]
    return [_row(row) for row in pyarrow.parquet.read_table(path).select(names).to_pylist()]


def _warc(path: Path) -> list[Row]:
    """By the record that closes each entry."""
    from tests.archives import read_archive

    closings = [record.values for record in read_archive(path) if record.kind == "metadata"]
    return [Row(int(one["index"]), one["url"], one["ok"] == "true", one.get("sha256")) for one in closings]


def _whole_members(data: bytes) -> bytes:
    """What is in the gzip members that are whole."""
    found = []
    while data:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            text = member.decompress(data) + member.flush()
        except zlib.error:
            break
        if not member.eof:
            break
        found.append(text)
        data = member.unused_data
    return b"".join(found)


def _whole_frames(data: bytes) -> bytes:
    """What is in the zstd frames that are whole."""
    found = []
    while data:
        frame = _zstd().ZstdDecompressor()
        try:
            text = frame.decompress(data)
        except _zstd().ZstdError:
            break
        if not frame.eof:
            break
        found.append(text)
        data = frame.unused_data
    return b"".join(found)


def _zstd() -> Any:
    from backports import zstd

    return zstd


def _whole_lines(text: bytes) -> list[Row]:
    return _lines(text[: text.rfind(b"\n") + 1])


def _whole_rows(text: bytes) -> list[Row]:
    """Up to the last end of a line that is in no quotes."""
    begin = end = 0
    for number, piece in enumerate(text.split(b'"')):
        if number % 2 == 0 and b"\n" in piece:
            end = begin + piece.rfind(b"\n") + 1
        begin += len(piece) + 1
    return _csv(text[:end]) if end else []


def _whole_tsv(text: bytes) -> list[Row]:
    end = text.rfind(b"\n") + 1
    return _tsv(text[:end]) if end else []


def _file(read: Callable[[bytes], list[Row]], unpack: Callable[[bytes], bytes] = bytes) -> Callable[[Path], list[Row]]:
    return lambda path: read(unpack(path.read_bytes()))


def _all_frames(data: bytes) -> bytes:
    # gzip's own takes a file in which there is nothing yet.
    text: bytes = _zstd().decompress(data) if data else b""
    return text


WHOLE = {
    ".jsonl": _file(_lines),
    ".jsonl.gz": _file(_lines, gzip.decompress),
    ".jsonl.zst": _file(_lines, _all_frames),
    ".csv": _file(_csv),
    ".csv.gz": _file(_csv, gzip.decompress),
    ".tsv.zst": _file(_tsv, _all_frames),
    ".sqlite": _sqlite,
    ".parquet": _parquet,
    ".warc": _warc,
    ".warc.gz": _warc,
}

TORN = {
    ".jsonl": _file(_whole_lines),
    ".jsonl.gz": _file(_whole_lines, _whole_members),
    ".jsonl.zst": _file(_whole_lines, _whole_frames),
    ".csv": _file(_whole_rows),
    ".csv.gz": _file(_whole_rows, _whole_members),
    ".tsv.zst": _file(_whole_tsv, _whole_frames),
    ".sqlite": _torn_sqlite,
}


def bodies(folder: Path) -> Iterator[tuple[str, str]]:
    """The paths of the files below a folder, relative to it, and their sha256."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
