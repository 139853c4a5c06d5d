"""
Owns the text that a person reads: one line a URL, five columns parted by tabs, `STATUS BYTES SECONDS URL NOTE`.

Whatever a server or an input sent, nothing in it reaches a terminal that could move the cursor or turn the line round.
"""

from __future__ import annotations

import re

from fetcher.record import Record

GREEN, YELLOW, RED, PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"

WIDTH = 7
"""Columns of a number on a terminal: with the tab behind it one stop, so that numbers stand under each other."""

# C0, DEL, C1, and what Unicode has for direction (UAX 9) and for ending lines.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Text:
    """
    A `Sink`: a line a record.

    Args:
        colour: It goes to a terminal: the status is coloured and numbers are padded; the tabs stay.
    """

    def __init__(self, *, colour: bool = False) -> None:
        self._colour = colour

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def one(self, record: Record) -> bytes:
        """The record's line."""
        status = "-" if record.status is None else str(record.status)
        size = "-" if record.status is None else str(record.bytes)
        seconds = "-" if record.elapsed is None else f"{record.elapsed:.3f}"
        note = _note(record)
        if self._colour:
            paint = _paint(record)
            status = f"{paint}{status:>3}{PLAIN}"
            size, seconds = size.rjust(WIDTH), seconds.rjust(WIDTH)
            if note and paint is RED:
                note = f"{paint}{note}{PLAIN}"
        return f"{status}\t{size}\t{seconds}\t{shown(record.url) or '-'}\t{note}\n".encode("utf-8", "backslashreplace")

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _note(record: Record) -> str:
    moved = f"-> {record.final_url}" if record.redirects else ""
    if record.error is None:
        return shown(moved)
    failure = f"{record.error.kind}: {record.error.message}"
    return shown(f"{moved}; {failure}" if moved else failure)


def _paint(record: Record) -> str:
    if not record.ok or record.status is None:
        return RED
    return YELLOW if record.status >= 300 else GREEN


def shown(text: str) -> str:
    """The text with every control character escaped."""
    return text if text.isprintable() else _CONTROLS.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
