"""
Owns Parquet files: a column for each field, with its type, in row groups of a size that readers like.

A record counts as written when it is in a spool, where no kill undoes it; `parts.py` makes the file of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

import pyarrow as pa

from fetcher.errors import SinkError
from fetcher.record import Record
from fetcher.sinks.columns import Columns
from fetcher.sinks.files import AbandonedError, sentence
from fetcher.sinks.footer import FooterError
from fetcher.sinks.parts import Parts, Piece, Spool

ROW_GROUP = 64 * 1024 * 1024
"""Bytes in memory from which records are a row group: enough to be read fast, and all that a reader must hold."""

BATCH = 1024 * 1024
"""Bytes from which records are written together: in small batches a record takes three times as long."""

DELAY = 0.4
"""Seconds that a record is held at most. The writer asks every half of a second."""


LONGEST = 2_000_000_000
"""Bytes of a record from which it is refused: Arrow and Parquet count those of a text in 32 bits."""


class Parquet:
    """
    An `Output` that is a Parquet file.

    Args:
        path: A regular file that may be written.
        names: The columns, which are fields; every field of a record where there are none.
        made: The file was made for this, and is removed where nothing is ever begun.
        kept: Go on behind the records that are there.
        overwrite: Records that an earlier run has left beside the file may be replaced.
        clock: Seconds, to tell how long records have been held.

    Raises:
        SinkError: What is to be gone on with has other columns, or cannot be read; or a run that was killed has left
            records that may not be replaced.
    """

    def __init__(
        self,
        path: str,
        names: tuple[str, ...] = (),
        *,
        made: bool = False,
        kept: bool = False,
        overwrite: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._made = made
        self._kept = kept
        self._clock = clock
        self._parts = Parts(path)
        self._columns = Columns(names)
        if kept:
            self._parts.check(self._columns.schema)
        elif not overwrite and self._parts.left():
            raise SinkError(
                f"{path}: a run that was killed has left records in {self._parts.folder.name}; go on with --resume, "
                "replace them with --overwrite, or choose another name"
            )
        self._spools: list[Piece] = []
        self._spool: Spool | None = None
        # Of the record that the spool begins with, and of the next one.
        self._start = self._next = 0
        self._size = 0
        self._held = 0
        self._waiting = 0
        self._since = 0.0
        self._begun = False
        self._failed = False
        self._too_long = False
        self.written = 0

    def begin(self) -> None:
        """Go on behind what is there, or remove it."""
        self._made = False
        with self._guarded():
            if self._kept:
                self._parts.sweep()
                pieces = self._parts.pieces()
                self._spools = [piece for piece in pieces if piece.spool]
                self._size = sum(piece.size for piece in self._spools)
                self._start = self._next = pieces[-1].end if pieces else 0
            else:
                self._parts.clear()
            self._parts.make()
            self._begun = True

    def add(self, record: Record) -> int:
        """Take a record in; how many bytes wait for `flush` now. A large body is held whole."""
        if not self._held:
            self._since = self._clock()
        size = self._columns.add(record)
        self._too_long = self._too_long or size >= LONGEST
        self._waiting += size
        self._held += 1
        return self._waiting

    def flush(self, stop: Event) -> None:
        """Write what waits if it is enough, or has waited for long enough."""
        del stop
        if self._waiting >= BATCH or (self._held and self._clock() - self._since >= DELAY):
            self._write()

    def end(self, stop: Event) -> None:
        """Write what waits, and make the file of all parts; what there is no time for, the next run does."""

        def go_on() -> None:
            if stop.is_set():
                raise AbandonedError

        self._write()
        if self._failed or not self._begun:
            return
        with self._guarded():
            self._roll()
            self._parts.join(self._columns.schema, go_on)

    def close(self) -> None:
        """Let go of the files."""
        if self._made:
            self._made = False
            with suppress(OSError):
                Path(self._path).unlink()
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()

    def _write(self) -> None:
        """Write what waits to the spool, all of it or nothing."""
        held, self._held, self._waiting = self._held, 0, 0
        if self._failed or not self._begun:
            return
        if held:
            with self._guarded():
                if self._too_long:
                    raise SinkError(
                        f"{self._path}: Parquet takes no body as large as that; bound them with --max-size, or leave "
                        "them out with --body none"
                    )
                batch = self._columns.take()
                if self._spool is None:
                    self._spool = self._parts.spool(self._start, batch.schema)
                self._spool.write(batch)
                self._next += held
                self.written += held
                self._size += batch.nbytes
        if self._size >= ROW_GROUP:
            with self._guarded():
                self._roll()

    def _roll(self) -> None:
        """Make a part of the spools."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.close()
            self._spools.append(Piece(spool.path, self._start, self._next - self._start, spool=True))
        if self._spools:
            self._parts.press(self._spools)
        self._spools = []
        self._start = self._next
        self._size = 0

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """What goes wrong in this block ends the output, and says where the records are."""
        try:
            yield
        except (OSError, pa.ArrowException, FooterError, SinkError) as error:
            self._failed = True
            raise SinkError(self._complaint(error)) from error

    def _complaint(self, error: Exception) -> str:
        if isinstance(error, SinkError):
            return str(error)
        said = sentence(self._path, error) if isinstance(error, OSError) else f"{self._path}: {error}"
        return f"{said}; its records so far are in {self._parts.folder.name}, behind which --resume goes on"
