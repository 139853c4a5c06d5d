"""Owns the face of what an earlier run left in a file: what it has done, and how to go on behind that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from msgspec import Struct


class Left(Struct, frozen=True):
    """
    A file that an earlier run may have left something in.

    Attributes:
        packing: The suffix that says how it is compressed, if it is.
    """

    path: str
    packing: str | None = None


class Entry(Struct, frozen=True, gc=False):
    """
    What the journal must know of a record.

    Attributes:
        index: The record's own.
        url: The record's own `url`, as the file has it.
        ok: It has succeeded; None where the file does not say.
        status: The last hop's HTTP status.
        kind: Of its error, as `ErrorKind` has it; None where it has none.
        change: Against the cache; only those say it who are asked for it.
    """

    index: int
    url: str
    ok: bool | None = None
    status: int | None = None
    kind: str | None = None
    change: str | None = None


class Past(Protocol):
    """
    The records that are in a file already.

    Nothing in the file is touched before `keep`. What a kill has torn at its end is no record. A file that is not there
    or is empty has none.
    """

    def entries(self) -> Iterator[Entry]:
        """
        What there is whole, in the order in which it was written; may be asked more than once.

        Raises:
            SinkError: The file cannot be read, or what is in it is nothing of ours. The text names it and the way out.
        """
        ...

    def keep(self, count: int) -> None:
        """
        Drop what is behind the first `count` records, and what is torn; 0 leaves a file that an output can begin anew.

        Then the format's output can go on behind what is left.

        Raises:
            SinkError: The file cannot be read or written, or has fewer.
        """
        ...


@runtime_checkable
class Thinned(Past, Protocol):
    """What is in a file out of whose middle records can be taken."""

    def thin(self, wanted: Callable[[int], bool]) -> None:
        """
        Keep only those records at whose places, counted from 0, `wanted` says so.

        All or nothing: a new file takes the old one's name once it is whole.

        Raises:
            SinkError: The file cannot be read, or a new one cannot be written; then the old one is as it was.
        """
        ...
