"""
Owns the folder beside a Parquet file that is being written, and what a killed run has left in it.

A Parquet file cannot be read before its end is written. So records go to a spool first, which is a stream of Arrow's
and whole up to its last batch; a spool that has grown is made a part, which is a Parquet file of one row group; and all
parts become the file when the run ends. Each carries in its name the number of the record that it begins with. A file
of an earlier run, behind which the records go on, stays as it is until then.

Whatever is not the next piece behind those before it is what was about to be removed at a kill.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from fetcher.errors import SinkError
from fetcher.sinks.columns import compared, repeating
from fetcher.sinks.files import sentence
from fetcher.sinks.footer import FooterError, Span, group_rows, join, schema_of
from fetcher.sinks.packed import ZSTD_LEVEL
from fetcher.sinks.past import Entry

SUFFIX = ".afetch"
"""Behind the file's name stands the folder's."""

_NEW = ".new"
_NAME = re.compile(r"(part|spool)-(\d{12})\.(?:parquet|arrows)")

_READING = pa.ipc.IpcReadOptions(use_threads=False)
_WRITING = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Piece(Struct, frozen=True):
    """
    Records that follow each other, in a file of their own.

    Attributes:
        start: The number of the first.
        count: How many.
        spool: It is a spool, and no Parquet file.
        size: Bytes that they take in memory, of a spool.
    """

    path: Path
    start: int
    count: int
    spool: bool
    size: int = 0

    @property
    def end(self) -> int:
        return self.start + self.count


class Parts:
    """
    All that there is of a Parquet file.

    Args:
        path: The file's, as the user gave it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        # The parts have to be beside the file, not beside a link to it.
        self.file = Path(os.path.realpath(path))
        self.folder = Path(f"{self.file}{SUFFIX}")

    def left(self) -> bool:
        """Whether there are records that are not in the file."""
        return any(piece.path != self.file for piece in self.pieces())

    def pieces(self) -> list[Piece]:
        """
        Where all records are, in the order in which they were written.

        Raises:
            SinkError: What is there is nothing of ours, cannot be read, or a piece is missing.
        """
        found: list[Piece] = []
        with self.reading():
            if self.file.exists() and self.file.stat().st_size:
                found.append(Piece(self.file, 0, pq.read_metadata(self.file).num_rows, spool=False))
            for path, start in self._named():
                end = found[-1].end if found else 0
                if start < end:
                    continue
                if start > end:
                    raise SinkError(
                        f"{self.folder}: the records from {end} to {start} are missing; "
                        "begin anew with --overwrite, or choose another file"
                    )
                piece = _measured(path, start)
                if piece.count:
                    found.append(piece)
        return found

    def sweep(self) -> None:
        """Remove all but the pieces."""
        pieces = {piece.path for piece in self.pieces()}
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path not in pieces:
                    path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all, so that the file is empty, where there is one. The folder first: it goes by the file."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
        with suppress(FileNotFoundError):
            os.truncate(self.file, 0)

    def make(self) -> None:
        """Make the folder."""
        self.folder.mkdir(exist_ok=True)

    def spool(self, start: int, schema: pa.Schema) -> Spool:
        """A new spool, which begins with this record."""
        return Spool(self.folder / f"spool-{start:012}.arrows", schema)

    def press(self, spools: list[Piece]) -> None:
        """Make a part of spools that follow each other, which is one row group and held whole meanwhile."""
        batches = [batch for spool in spools for batch in _batches(spool.path)]
        _replace(
            self.folder / f"part-{spools[0].start:012}.parquet",
            partial(_encode, iter([pa.Table.from_batches(batches)])),
        )
        for spool in spools:
            spool.path.unlink()

    def check(self, schema: pa.Schema) -> None:
        """
        Refuse records with other columns than these.

        Raises:
            SinkError: There are such; the text says what to do.
        """
        for piece in self.pieces():
            with self.reading():
                there = _schema(piece)
            if not there.equals(schema):
                raise SinkError(
                    f"{self._path}: was begun with other columns ({', '.join(there.names)}); "
                    "say the same --fields, begin anew with --overwrite, or choose another file"
                )

    def join(self, schema: pa.Schema, go_on: Callable[[], object]) -> None:
        """
        Make the file of all pieces, which are no spools, and leave nothing beside it.

        Args:
            schema: Of a file without records.
            go_on: Called now and then; what it raises ends this, and leaves all as it was.
        """
        pieces = self.pieces()
        if [piece.path for piece in pieces] != [self.file]:
            mode = self.file.stat().st_mode if self.file.exists() else None
            whole = self.folder / "whole.parquet"
            if not pieces:
                _replace(whole, lambda new: _writer(new, schema).close())
            elif len(pieces) == 1:
                whole = pieces[0].path
            else:
                spans = self._alike(pieces)
                _replace(whole, lambda new: join(spans, new, go_on))
            if mode is not None:
                whole.chmod(stat.S_IMODE(mode))
            whole.replace(self.file)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _alike(self, pieces: list[Piece]) -> list[Span]:
        """The pieces, of which those that another version of pyarrow has written otherwise are written anew."""
        last = schema_of(pieces[-1].path)
        spans: list[Span] = []
        for piece in pieces:
            path = piece.path
            if schema_of(path) != last:
                path = self.folder / f"again-{piece.start:012}.parquet"
                _replace(path, partial(_encode, _tables(piece, piece.count)))
            spans.append(Span(path))
        return spans

    def shorten(self, piece: Piece, count: int) -> None:
        """Leave only the first records of a piece."""
        if piece.spool:
            _replace(piece.path, partial(_respool, _tables(piece, count)))
            return
        if piece.path != self.file:
            _replace(piece.path, partial(_encode, _tables(piece, count)))
            return
        # The file itself stays where it is, because it is locked; what is made of it is no piece before it is empty.
        self.make()
        groups = rows = 0
        for size in group_rows(self.file):
            if rows + size > count:
                break
            groups, rows = groups + 1, rows + size
        if groups:
            span = Span(self.file, groups)
            _replace(self.folder / f"part-{0:012}.parquet", lambda new: join([span], new, lambda: None))
        if rows < count:
            with pq.ParquetFile(self.file) as file:
                rest = file.read_row_group(groups, use_threads=False).slice(0, count - rows)
            _replace(self.folder / f"part-{rows:012}.parquet", partial(_encode, iter([rest])))
        os.truncate(self.file, 0)

    def reading(self) -> _Translated:
        """Turns whatever goes wrong with the files in its block into a `SinkError`."""
        return _Translated(self._path)

    def _named(self) -> list[tuple[Path, int]]:
        """Whatever in the folder is named like a piece, with its start; of two with the same one the part is first."""
        if not self.folder.is_dir():
            return []
        names = [(path, _NAME.fullmatch(path.name)) for path in self.folder.iterdir()]
        return sorted(
            ((path, int(name[2])) for path, name in names if name is not None), key=lambda found: (found[1], found[0])
        )


class PastParquet:
    """
    The `Past` of a Parquet file, or of its parts, spools and the file that they go on behind.

    Args:
        path: The file's; it need not be there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._parts = Parts(path)

    def entries(self) -> Iterator[Entry]:
        """What there is whole, in the order in which it was written."""
        for piece in self._parts.pieces():
            with self._parts.reading():
                yield from self._entries(piece)

    def keep(self, count: int) -> None:
        """Drop what is behind the first `count` records."""
        parts = self._parts
        pieces = parts.pieces()
        there = pieces[-1].end if pieces else 0
        if there < count:
            raise SinkError(
                f"{self._path}: has {there} of the {count} records that the journal has; "
                "begin anew with --overwrite, or choose another file"
            )
        with parts.reading():
            if not count:
                parts.clear()
                return
            # What was about to be removed must not be taken for what is behind less than there was.
            parts.sweep()
            # From behind, so that a kill leaves what goes together.
            while pieces[-1].start >= count:
                pieces.pop().path.unlink()
            if pieces[-1].end > count:
                parts.shorten(pieces[-1], count - pieces[-1].start)

    def _entries(self, piece: Piece) -> Iterator[Entry]:
        for table in _tables(piece, piece.count, ("index", "url", "ok", "status", "error", "error.kind")):
            columns = {name: table[name].to_pylist() for name in table.column_names}
            if "index" not in columns or "url" not in columns:
                raise SinkError(
                    f"{self._path}: has no columns index and url, by which records are known; "
                    "begin anew with --overwrite, or choose another file"
                )
            nothing = [None] * table.num_rows
            kinds = columns.get("error.kind") or [
                None if error is None else error["kind"] for error in columns.get("error", nothing)
            ]
            yield from map(
                Entry,
                columns["index"],
                columns["url"],
                columns.get("ok", nothing),
                columns.get("status", nothing),
                kinds,
            )


class Spool:
    """
    A stream of batches that is whole after each of them.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._said = _Said()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._said, "w"), schema, options=_WRITING)
        self._end = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """
        Write a batch, whole or not at all.

        Raises:
            OSError: There is no room for it.
        """
        self._writer.write_batch(batch)
        data = memoryview(self._said.take())
        try:
            done = 0
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(data)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class _Said(io.RawIOBase):
    """Takes what is written, and gives it away."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        self._data += data
        self._at += len(data)
        return len(data)

    def take(self) -> bytearray:
        data, self._data = self._data, bytearray()
        return data


class _Translated:
    """Turns what goes wrong with files in its block into a `SinkError` that names the one that the user knows."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError) and error.errno:
            raise SinkError(sentence(self._path, error)) from error
        if isinstance(error, (OSError, pa.ArrowException, FooterError)):
            raise SinkError(
                f"{self._path}: cannot be gone on with ({error}); begin anew with --overwrite, or choose another file"
            ) from error


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file anew, so that there is the old one or the whole new one."""
    new = path.with_name(path.name + _NEW)
    write(new)
    descriptor = os.open(new, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)


def _encode(tables: Iterator[pa.Table], new: Path) -> None:
    """A Parquet file of these, each of which is a row group."""
    first = next(tables)
    with _writer(new, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table, row_group_size=table.num_rows)


def _respool(tables: Iterator[pa.Table], new: Path) -> None:
    """A spool of these."""
    first = next(tables)
    spool = Spool(new, first.schema)
    try:
        for table in chain([first], tables):
            for batch in table.to_batches():
                spool.write(batch)
    finally:
        spool.close()


def _schema(piece: Piece) -> pa.Schema:
    if not piece.spool:
        return pq.read_schema(piece.path)
    with pa.OSFile(str(piece.path)) as file:
        return pa.ipc.read_schema(file)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=repeating(schema),
        write_statistics=compared(schema),
    )


def _measured(path: Path, start: int) -> Piece:
    if path.suffix == ".parquet":
        return Piece(path, start, pq.read_metadata(path).num_rows, spool=False)
    count = size = 0
    for batch in _batches(path):
        count += batch.num_rows
        size += batch.nbytes
    return Piece(path, start, count, spool=True, size=size)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """All whole batches of a spool."""
    with pa.OSFile(str(path)) as file:
        try:
            yield from pa.ipc.open_stream(file, options=_READING)
        except (pa.ArrowInvalid, OSError) as error:
            # What a kill has torn; other trouble has a number.
            if isinstance(error, OSError) and error.errno:
                raise


def _tables(piece: Piece, count: int, names: tuple[str, ...] | None = None) -> Iterator[pa.Table]:
    """The first records of a piece, as they are in it together; all columns, or those of these names that there are."""
    for table in _spooled(piece, names) if piece.spool else _grouped(piece, names):
        if count <= 0:
            return
        yield table.slice(0, count) if table.num_rows > count else table
        count -= table.num_rows


def _spooled(piece: Piece, names: tuple[str, ...] | None) -> Iterator[pa.Table]:
    for batch in _batches(piece.path):
        table = pa.Table.from_batches([batch])
        yield table if names is None else table.select([name for name in names if name in table.column_names])


def _grouped(piece: Piece, names: tuple[str, ...] | None) -> Iterator[pa.Table]:
    with pq.ParquetFile(piece.path) as file:
        there = None if names is None else [name for name in names if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=there, use_threads=False)
