"""Owns JSON Lines: one record a line, the native format."""

from __future__ import annotations

from fetcher.record import LargeLine, LargeRecord, Record, encode_line
from fetcher.sinks.protocol import Said


class JsonLines:
    """A `Sink`: every record is a line of its own."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def one(self, record: Record) -> Said:
        """The record's line."""
        if isinstance(record, LargeRecord):
            return LargeLine(record, after=b"\n")
        return encode_line(record)

    def end(self) -> bytes:
        """Nothing: it is well-formed after every line."""
        return b""
