"""
Owns what a reply's body does that goes to a file: when it leaves memory, and where one that broke off goes on.

How files are written is not known here: that is a `Folder`'s matter, which comes in by the door.
"""

from __future__ import annotations

import re
from typing import Protocol

from fetcher.client.heads import Head
from fetcher.errors import ErrorKind
from fetcher.model import Job, Part

SMALL = 256 * 1024
"""Bytes of a body that are kept in memory: most bodies have fewer, and are written when their record is."""

_CONTENT_RANGE = re.compile(rb"bytes[ \t]+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)


class Stalling(Protocol):
    """A reply that can be told to read no more for a while."""

    def stall(self) -> None: ...

    def flow(self) -> None: ...


class Body(Protocol):
    """A body on its way to a file. For the thread of the loop; nothing of it waits for a disk."""

    def write(self, piece: bytes, reply: Stalling) -> None:
        """Take a piece in; the reply is stalled while too much waits to be written."""
        ...

    def room(self) -> memoryview:
        """Where the next piece may be put instead; `filled` says how much of that it was. Never empty."""
        ...

    def filled(self, size: int, reply: Stalling) -> None:
        """Take in what was put there; otherwise as `write`."""
        ...

    async def finish(self) -> tuple[str, str]:
        """The file's name and the hash of all that is in it, once it is. Without an end where it cannot be written."""
        ...

    def drop(self) -> None:
        """Let go of it, and leave no file."""
        ...


class Folder(Protocol):
    """Where bodies are written. For the thread of the loop."""

    def begin(self, part: Part | None, *, kept: bool) -> Body:
        """A new body, or one that goes on behind a part. One that is not `kept` is hashed only."""
        ...

    def discard(self, part: Part) -> None:
        """Nobody goes on behind this part."""
        ...


class Unloading(Stalling, Protocol):
    """A reply, as far as this room knows it."""

    size: int

    def unload(self) -> list[bytes]:
        """What it had in memory of its body, which it lets go."""
        ...


class Keeping:
    """
    What one reply's body does.

    Args:
        whole: The whole of what is at the URL was asked for, so that the rest of it can be asked for.

    Attributes:
        body: Once it has left memory, or goes on.
        part: What is in a file and can be gone on with, once the reply is over.
    """

    __slots__ = (
        "_content_type",
        "_folder",
        "_goes_on",
        "_job",
        "_kept",
        "_modified",
        "_total",
        "_validator",
        "_whole",
        "body",
        "part",
    )

    def __init__(self, folder: Folder, job: Job, *, whole: bool) -> None:
        self._folder = folder
        self._job = job
        self._whole = whole and job.method == "GET"
        self._kept = True
        self._goes_on = False
        self._validator: str | None = None
        self._total: int | None = None
        self._content_type: bytes | None = None
        self._modified: bytes | None = None
        self.body: Body | None = None
        self.part: Part | None = job.part

    def begin(self, head: Head, *, coded: bool) -> int:
        """
        The head is there: how many bytes of the body there are already, before any arrives.

        Raises:
            ForeignPartError: What comes does not go on where the part ends.
        """
        part, status = self.part, head.status
        self._content_type = _header(head, b"content-type")
        self._modified = _header(head, b"last-modified")
        # What is read of a failure, or of a redirect, is for nobody to keep.
        self._kept = 200 <= status < 300
        self._validator = _validator(head) if self._whole and not coded else None
        if part is None:
            if status == 200:
                self._total = _number(_header(head, b"content-length"))
            elif status == 206:
                self._validator = None
            return 0
        if status == 206:
            return self._go_on(part, head, coded=coded)
        if status < 400 or status == 416:
            # The whole of it again, or somewhere else, or the part is of something that there is no more.
            self._folder.discard(part)
            self.part = None
        return 0

    def take(self, piece: bytes, reply: Unloading) -> bool:
        """Whether a piece of the body went on its way to the file; else it is kept in memory."""
        body = self.body
        if body is None:
            if reply.size <= SMALL:
                return False
            body = self.body = self._folder.begin(None, kept=self._kept)
            for before in reply.unload():
                body.write(before, reply)
        body.write(piece, reply)
        return True

    async def finish(self, hop_error: ErrorKind | None, size: int) -> str | None:
        """The hash of a body that is in a file or was not kept, once that is so; `part` is the file."""
        body = self.body
        if body is None:
            return None
        whole = hop_error is None
        if self._kept and not whole and not self._can_go_on(hop_error, size):
            self.part = None
            body.drop()
            return None
        name, sha256 = await body.finish()
        if self._kept:
            validator = None if whole else self._validator
            self.part = Part(name, size, validator, self._total, self._content_type, self._modified)
        return sha256

    def missing(self, size: int) -> str | None:
        """What is wrong with a body of this size that its framing calls whole, and the range before it did not."""
        return None if self._total in {None, size} or not self._goes_on else f"{size:,} bytes of {self._total:,}"

    def drop(self) -> None:
        """Nobody waits for the reply any more."""
        if self.body is not None:
            self.body.drop()

    def _can_go_on(self, hop_error: ErrorKind | None, size: int) -> bool:
        """Whether the rest of a body that broke off at this size can be asked for."""
        # Nothing behind more than the whole makes it whole again.
        longer = self._total is not None and size > self._total
        return self._validator is not None and hop_error in CONTINUED and not longer

    def _go_on(self, part: Part, head: Head, *, coded: bool) -> int:
        match = _CONTENT_RANGE.fullmatch((_header(head, b"content-range") or b"").strip())
        etag = _header(head, b"etag")
        self.part = None
        if (
            match is None
            or coded
            or int(match[1]) != part.size
            # One that does not reach the end may be meant well, and is of no use.
            or (match[3] != b"*" and int(match[2]) + 1 != int(match[3]))
            or (part.total is not None and match[3] != b"*" and int(match[3]) != part.total)
            or (etag is not None and _is_strong(part.validator) and etag.decode("latin-1") != part.validator)
        ):
            self._folder.discard(part)
            raise ForeignPartError("the server did not go on where the part that is here ends")
        self._total = part.total if match[3] == b"*" else int(match[3])
        self._goes_on = True
        self._validator = part.validator
        self._content_type = self._content_type or part.content_type
        self._modified = self._modified or part.modified
        self.body = self._folder.begin(part, kept=True)
        return part.size


class ForeignPartError(Exception):
    """A reply that was to go on with a part does not; the text says how."""


CONTINUED = frozenset(
    {ErrorKind.INCOMPLETE, ErrorKind.READ_TIMEOUT, ErrorKind.TIMEOUT, ErrorKind.TOO_SLOW, ErrorKind.DISCONNECTED}
)
"""Errors after which a body can go on where it broke off."""


def _validator(head: Head) -> str | None:
    """What tells that nothing has changed since: a strong ETag or the date; None where no part can be asked for."""
    if (_header(head, b"accept-ranges") or b"").strip().lower() == b"none":
        return None
    etag = _header(head, b"etag")
    value = etag if etag is not None and etag.startswith(b'"') else _header(head, b"last-modified")
    return value.decode("ascii") if value is not None and value.isascii() else None


def _is_strong(validator: str | None) -> bool:
    """Whether it is an ETag, and one that stands for the very bytes."""
    return validator is not None and validator.startswith('"')


def _header(head: Head, name: bytes) -> bytes | None:
    return next((value for key, value in head.headers if key.lower() == name), None)


def _number(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) < 19 else None
