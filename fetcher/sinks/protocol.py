"""Owns the faces of what stands between a record and its place on a disk or a screen."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Protocol

from fetcher.record import Record


class Stream(Protocol):
    """
    The bytes of a large record, made piece by piece while they are written: never held whole.

    Several places may go through it, each from the beginning.
    """

    @property
    def held(self) -> int:
        """Bytes that are held for it meanwhile."""
        ...

    def __iter__(self) -> Iterator[bytes]: ...

    def __bytes__(self) -> bytes: ...


Said = bytes | Stream
"""What a sink says of a record: for almost all of them simply the bytes."""


class Sink(Protocol):
    """A format: says the bytes, and leaves writing them to others."""

    def begin(self) -> bytes:
        """What stands before the first record."""
        ...

    def one(self, record: Record) -> Said:
        """
        A record, with whatever parts it from the one before.

        A `LargeRecord` may be said as a stream; a format that knows nothing of streams finds a body in it as in any.
        """
        ...

    def end(self) -> bytes:
        """What makes all that was said well-formed, however many records there were."""
        ...


class Output(Protocol):
    """
    A place that records are written to, in one format. Only one thread uses it.

    Every method raises `SinkError` where the place cannot be written to and `BrokenPipeError` where its reader is gone;
    what was written is as well-formed by then as can be, and only `close` may follow.
    """

    @property
    def written(self) -> int:
        """Records that are in the place, whole; for any thread."""
        ...

    def begin(self) -> None:
        """Make ready; an old file that is to be replaced is emptied here and not before."""
        ...

    def add(self, record: Record) -> int:
        """Take a record in; how many bytes wait for `flush` now."""
        ...

    def flush(self, stop: Event) -> None:
        """Write what waits. A reader that does not read is not waited for once `stop` is set."""
        ...

    def end(self, stop: Event) -> None:
        """Write what waits and what makes it well-formed."""
        ...

    def close(self) -> None:
        """Let go of the place. A file that was made for it and never begun is removed."""
        ...
