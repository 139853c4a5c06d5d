"""Owns the journal's place behind the other outputs, and taking out what was replaced once all of them are ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Event

from fetcher.journal import thin
from fetcher.record import Record
from fetcher.sinks.past import Thinned
from fetcher.sinks.protocol import Output


class Behind:
    """
    The output that says what is done: a record goes to it when every other one has it.

    So what it has they have, too, whenever a kill comes; what they have more is dropped when the run goes on.

    Args:
        others: They stand before it.

    Attributes:
        written: Records that are in the place, whole.
    """

    def __init__(self, output: Output, others: Sequence[Output]) -> None:
        self._output = output
        self._others = tuple(others)
        self._waiting: deque[Record] = deque()
        self._passed = 0

    @property
    def written(self) -> int:
        """Records that are in the place, whole."""
        return self._output.written

    def begin(self) -> None:
        """Make ready."""
        self._output.begin()

    def add(self, record: Record) -> int:
        """Take a record in. The others say how much waits: what they have written does not wait here."""
        self._waiting.append(record)
        return 0

    def flush(self, stop: Event) -> None:
        """Write what the others have."""
        self._pass_on()
        self._output.flush(stop)

    def end(self, stop: Event) -> None:
        """Write what the others have, and the format's end."""
        self._pass_on()
        self._output.end(stop)

    def close(self) -> None:
        """Let go of the place."""
        self._output.close()

    def _pass_on(self) -> None:
        there = min(output.written for output in self._others)
        for _ in range(min(there - self._passed, len(self._waiting))):
            self._output.add(self._waiting.popleft())
            self._passed += 1


class Thinning:
    """
    An `Output` without a place: when all others are ended, those records are taken out that later ones replace.

    Args:
        pasts: What is in the others, of all that may have some.

    Attributes:
        written: Records that were given.
    """

    def __init__(self, pasts: Sequence[Thinned]) -> None:
        self._pasts = tuple(pasts)
        self.written = 0

    def begin(self) -> None:
        """Nothing."""

    def add(self, record: Record) -> int:
        """Count it."""
        del record
        self.written += 1
        return 0

    def flush(self, stop: Event) -> None:
        """Nothing."""

    def end(self, stop: Event) -> None:
        """Take them out. Nobody waits for that who is in a hurry: the next run does it."""
        for past in self._pasts:
            if not stop.is_set():
                thin(past)

    def close(self) -> None:
        """Nothing."""
