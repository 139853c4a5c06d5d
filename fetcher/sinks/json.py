"""Owns JSON: one array of all records, written as they come."""

from __future__ import annotations

from collections.abc import Callable

from fetcher.record import LargeLine, LargeRecord, Record, encode
from fetcher.sinks.protocol import Said


class Json:
    """
    A `Sink`: an array with a record a line, which never holds more than the record at hand.

    Args:
        picked: Encodes what is wanted of a record, where that is not all.
    """

    def __init__(self, picked: Callable[[Record], bytes] | None = None) -> None:
        self._picked = picked
        self._empty = True

    def begin(self) -> bytes:
        """The opening bracket."""
        return b"["

    def one(self, record: Record) -> Said:
        """The record, on a line of its own."""
        glue = b"\n" if self._empty else b",\n"
        self._empty = False
        if self._picked is not None:
            return glue + self._picked(record)
        if isinstance(record, LargeRecord):
            return LargeLine(record, before=glue)
        return glue + encode(record)

    def end(self) -> bytes:
        """The closing bracket."""
        return b"]\n" if self._empty else b"\n]\n"
