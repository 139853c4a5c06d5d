"""Owns JSON Lines: one record a line, the native format."""

from __future__ import annotations

from collections.abc import Callable

from fetcher.record import LargeLine, LargeRecord, Record, encode_line
from fetcher.sinks.protocol import Said


class JsonLines:
    """
    A `Sink`: every record is a line of its own.

    Args:
        picked: Encodes what is wanted of a record, where that is not all.
    """

    def __init__(self, picked: Callable[[Record], bytes] | None = None) -> None:
        self._picked = picked

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def one(self, record: Record) -> Said:
        """The record's line."""
        if self._picked is not None:
            return self._picked(record) + b"\n"
        if isinstance(record, LargeRecord):
            return LargeLine(record, after=b"\n")
        return encode_line(record)

    def end(self) -> bytes:
        """Nothing: it is well-formed after every line."""
        return b""
