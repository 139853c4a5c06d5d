"""Owns JSON Lines: one record a line, the native format."""

from __future__ import annotations

from fetcher.record import Record, encode_line


class JsonLines:
    """A `Sink`: every record is a line of its own."""

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def one(self, record: Record) -> bytes:
        """The record's line."""
        return encode_line(record)

    def end(self) -> bytes:
        """Nothing: it is well-formed after every line."""
        return b""
