"""Owns the face of what an earlier run left in a file: what it has done, and how to go on behind that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct


class Entry(Struct, frozen=True, gc=False):
    """
    What the journal must know of a record.

    Attributes:
        index: The record's own.
        url: The record's own `url`, as the file has it.
        ok: It has succeeded; None where the file does not say.
        status: The last hop's HTTP status.
        kind: Of its error, as `ErrorKind` has it; None where it has none.
    """

    index: int
    url: str
    ok: bool | None = None
    status: int | None = None
    kind: str | None = None


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
