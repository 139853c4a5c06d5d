"""
Owns how things are written for a person: numbers, foreign text, and the descriptor they go to, which may be gone.

Sizes are decimal, as disks and networks count: 1 MB is 1,000,000 bytes. Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
import select
import sys
from contextlib import suppress

STDERR = 2

DUMB = frozenset({"", "dumb", "unknown"})
"""What TERM says where a cursor cannot be moved."""

WIDTH = 80
"""Columns where nobody says how many."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

# Controls (C0, DEL, C1) move the cursor and worse; stray bytes cannot be encoded; the rest turn the line's direction
# round or end it (Unicode TR 36, "Bidirectional Text Spoofing").
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """Text from elsewhere, fit for a terminal: what is not to be shown is `\\xNN` (`\\uNNNN` beyond a byte)."""
    return _UNSHOWABLE.sub(_escape, text) if not text.isprintable() else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def counted(number: int, noun: str = "", plural: str = "") -> str:
    """`12,345`, or with a noun `1 retry` and `12,345 retries`; the plural is the noun with an s unless given."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def sized(size: float) -> str:
    """Bytes as `999 B`, `1.2 MB`, `312 GB`."""
    unit = 0
    # Not 1000: what would be rounded up to a thousand belongs to the next unit.
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 99.95 else f"{size:.1f} {_UNITS[unit]}"


def paced(rate: float) -> str:
    """How many a second: `1,203/s`, `12.3/s`, `0.25/s`."""
    if rate >= 99.95:
        return f"{rate:,.0f}/s"
    return f"{rate:.1f}/s" if rate >= 0.995 or not rate else f"{rate:.2f}/s"


def lasted(seconds: float, *, whole: bool = False) -> str:
    """Seconds as `0.8 ms`, `120 ms`, `3.2 s`, `2m 05s`, `1h 02m`, `3d 04h`; `whole` leaves out parts of a second."""
    if whole:
        seconds = round(seconds)
    if seconds < 60 and whole:
        return f"{seconds} s"
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 24:
        return f"{hours}h {minutes:02}m"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days}d {hours:02}h"


def is_terminal(fd: int) -> bool:
    """Whether a descriptor is a terminal whose cursor can be moved (TERM=dumb is none)."""
    return os.isatty(fd) and os.environ.get("TERM", "") not in DUMB


def same_terminal(out: int = 1, err: int = STDERR) -> bool:
    """Whether two descriptors are one terminal, so that what goes to one lands amid what goes to the other."""
    if not (os.isatty(out) and os.isatty(err)):
        return False
    if os.fstat(out).st_rdev == os.fstat(err).st_rdev:
        return True
    # /dev/tty has a number of its own, and is the controlling terminal under another name.
    return _foreground(out) is not None and _foreground(err) is not None


def in_front(fd: int) -> bool:
    """Whether what is drawn there meets somebody's eye: false for a job in the background of an interactive shell."""
    foreground = _foreground(fd)
    return foreground is None or foreground == os.getpgrp()


def columns(fd: int) -> int:
    """How many columns a terminal has now; it may be resized at any time."""
    try:
        width = os.get_terminal_size(fd).columns
    except OSError:
        width = 0
    return width or WIDTH


def _foreground(fd: int) -> int | None:
    """The process group in the foreground of our controlling terminal; None if the descriptor is not that."""
    try:
        return os.tcgetpgrp(fd)
    except OSError:
        return None


class Pen:
    """Writes to a descriptor, whole, whatever it is set to."""

    def __init__(self, fd: int = STDERR) -> None:
        self.fd = fd
        self.encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        # Closed before we began, the number may since belong to an output file or a socket.
        self._closed = fd == STDERR and sys.stderr is None

    def write(self, data: bytes) -> None:
        """
        All of it, however long the reader takes.

        Raises:
            OSError: The other end is gone.
        """
        rest = memoryview(b"" if self._closed else data)
        while rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                # Somebody else who has this terminal open made it non-blocking.
                select.select([], [self.fd], [])

    def tell(self, words: str | bytes) -> None:
        """Something, if there is still somebody to read it: a run does not end because nobody looks."""
        with suppress(OSError):
            self.write(words if isinstance(words, bytes) else words.encode(self.encoding, "backslashreplace"))
