"""Owns the list of what failed: the entries as they were given, in the input's own format."""

from __future__ import annotations

from collections import deque
from threading import Event

from fetcher.record import Record
from fetcher.sinks.files import Destination
from fetcher.sinks.protocol import Said
from fetcher.sources.ledger import Ledger


class FailedEntries:
    """
    An `Output` of the entries whose records are not ok. Nothing failed, nothing in it.

    Args:
        ledger: What the entries were made of.

    Attributes:
        written: Records up to which all that failed are in the place.
    """

    def __init__(self, ledger: Ledger, place: Destination) -> None:
        self._ledger = ledger
        self._place = place
        self._pieces: list[Said] = []
        self._told = 0
        self._seen = 0
        self._failed = False
        # Indexes that another thread has named.
        self._again: deque[int] = deque()
        self.written = 0

    def skip(self, index: int, failed: bool) -> None:
        """An entry that is done already, and failed or not; for the thread that reads the list."""
        if failed:
            self._again.append(index)
        else:
            self._ledger.let_go(index)

    def begin(self) -> None:
        """Make the place ready."""
        self._place.begin()

    def add(self, record: Record) -> int:
        """Take a record in; how many bytes wait for `flush` now."""
        self._seen += 1
        self._tell(record.index, wanted=not record.ok)
        return sum(len(piece) for piece in self._pieces if isinstance(piece, bytes))

    def flush(self, stop: Event) -> None:
        """Write what waits."""
        self._write(stop, ended=False)

    def end(self, stop: Event) -> None:
        """Write what waits, and what the place holds back."""
        self._write(stop, ended=True)

    def close(self) -> None:
        """Let go of the place."""
        self._place.close()

    def _tell(self, index: int, *, wanted: bool) -> None:
        lines = self._ledger.ask(index, wanted=wanted)
        if lines:
            if not self._told and self._ledger.head:
                self._keep(self._ledger.head)
            self._keep(lines)

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._told += 1

    def _write(self, stop: Event, *, ended: bool) -> None:
        for _ in range(len(self._again)):
            self._tell(self._again.popleft(), wanted=True)
        pieces, self._pieces = self._pieces, []
        if self._failed:
            return
        try:
            self._place.write(pieces, stop)
            if ended:
                self._place.end(stop)
        except Exception:
            self._failed = True
            raise
        if self._place.written >= self._told:
            self.written = self._seen
