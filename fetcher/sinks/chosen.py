"""Owns the output that is given only some of the records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Event

from fetcher.model import Error
from fetcher.record import Record
from fetcher.sinks.past import Entry
from fetcher.sinks.protocol import Output
from fetcher.terms import Terms

WORDS = frozenset({"ok", "failed"})
"""What records may be chosen by, beside error kinds and statuses."""

ALL = "all"
"""What is fetched again, in place of kinds of failures."""

CHANGES = frozenset({"new", "changed", "gone"})
"""What is written where only what changed is."""


def choosing(only: tuple[str, ...]) -> Callable[[Record], bool]:
    """What takes the records that these terms name: `ok`, `failed`, or outcomes as `fetcher.terms` has them."""
    if only == ("ok",):
        return lambda record: record.ok
    if only == ("failed",):
        return lambda record: not record.ok
    terms = Terms(only)

    def takes(record: Record) -> bool:
        failure = record.error
        return (record.status, None if failure is None else Error(failure.kind, failure.message)) in terms

    return takes


def choosing_entries(only: tuple[str, ...] | None, *, changed: bool) -> Callable[[Entry], bool] | None:
    """The same of what an earlier run left, or was only to write where something had changed; None takes all."""
    terms = Terms(only or ())

    def takes(entry: Entry) -> bool:
        if changed and entry.change not in CHANGES:
            return False
        if only in {None, ("ok",), ("failed",)}:
            return only is None or entry.ok is (only == ("ok",))
        return terms.names(entry.status, entry.kind)

    return takes if changed or only is not None else None


def choosing_again(kinds: tuple[str, ...]) -> Callable[[Entry], bool]:
    """What takes the entries that failed in one of these ways, or in any: `all`."""
    terms = Terms(kinds)
    return lambda entry: entry.ok is False and (kinds == (ALL,) or terms.names(entry.status, entry.kind))


class Chosen:
    """
    Passes some of the records on to an output.

    Args:
        takes: Which.

    Attributes:
        written: Records up to which all are in the place, or were not to be.
    """

    def __init__(self, output: Output, takes: Callable[[Record], bool]) -> None:
        self._output = output
        self._takes = takes
        self._seen = 0
        # Of each record that was passed on and is not written: how many were seen before it.
        self._under_way: deque[int] = deque()
        self._dealt = 0
        self.written = 0

    def begin(self) -> None:
        """Make the place ready."""
        self._output.begin()

    def add(self, record: Record) -> int:
        """Take a record in; how many bytes wait for `flush` now."""
        self._seen += 1
        if not self._takes(record):
            return 0
        self._under_way.append(self._seen - 1)
        return self._output.add(record)

    def flush(self, stop: Event) -> None:
        """Write what waits."""
        try:
            self._output.flush(stop)
        finally:
            self._count()

    def end(self, stop: Event) -> None:
        """Write what waits, and the format's end."""
        try:
            self._output.end(stop)
        finally:
            self._count()

    def close(self) -> None:
        """Let go of the place."""
        self._output.close()

    def _count(self) -> None:
        written = self._output.written
        while self._dealt < written:
            self._under_way.popleft()
            self._dealt += 1
        self.written = self._under_way[0] if self._under_way else self._seen
        # What a full disk took back for the format's end.
        self.written -= self._dealt - written
