"""Owns JSON: one array of all records, written as they come."""

from __future__ import annotations

from fetcher.record import LargeLine, LargeRecord, Record, encode
from fetcher.sinks.protocol import Said


class Json:
    """A `Sink`: an array with a record a line, which never holds more than the record at hand."""

    def __init__(self) -> None:
        self._empty = True

    def begin(self) -> bytes:
        """The opening bracket."""
        return b"["

    def one(self, record: Record) -> Said:
        """The record, on a line of its own."""
        glue = b"\n" if self._empty else b",\n"
        self._empty = False
        if isinstance(record, LargeRecord):
            return LargeLine(record, before=glue)
        return glue + encode(record)

    def end(self) -> bytes:
        """The closing bracket."""
        return b"]\n" if self._empty else b"\n]\n"
