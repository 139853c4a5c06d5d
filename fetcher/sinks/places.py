"""Owns the files that outputs are: opened, held against other runs, and none of them an input or another output."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from fetcher.errors import SinkError
from fetcher.sinks.files import ANEW, Descriptor, sentence

_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")
_MODE = 0o666

_TRIES = 100
"""Times that a file is opened whose name another run gives to a new one just then."""


class Taken:
    """
    Files that no further output may be: one that reads what it writes never ends, two in one file spoil it.

    Args:
        inputs: Device and inode of what is read.
    """

    def __init__(self, inputs: frozenset[tuple[int, int]] = frozenset()) -> None:
        self._inputs = inputs
        self._outputs: set[tuple[int, int]] = set()

    def take(self, descriptor: int, name: str) -> None:
        """
        Take one more.

        Raises:
            SinkError: It is taken.
        """
        status = os.fstat(descriptor)
        file = status.st_dev, status.st_ino
        if file in self._inputs:
            raise SinkError(f"{name}: is also an input; choose another file with --output")
        if file in self._outputs:
            raise SinkError(f"{name}: is the same file as another output; choose another one")
        if stat.S_ISREG(status.st_mode):
            self._outputs.add(file)


class OpenFile:
    """
    A file that may be written, and that no other run writes to until this is closed.

    Attributes:
        path: What the user calls it.
        descriptor: Open for writing.
        made: It was made for this.
        regular: It is a regular file, named by a path.
        filled: It is one with something in it.

    Raises:
        SinkError: It cannot be opened, or is taken; the text names it and the way out.
    """

    def __init__(self, path: str, taken: Taken) -> None:
        self.path = path
        try:
            self.descriptor, self.made = _opened(path, taken)
        except (OSError, ValueError) as error:
            raise SinkError(sentence(path, error) if isinstance(error, OSError) else f"{path!r}: {error}") from error
        status = os.fstat(self.descriptor)
        self.regular = stat.S_ISREG(status.st_mode) and not _DESCRIPTOR.fullmatch(path)
        self.filled = stat.S_ISREG(status.st_mode) and status.st_size > 0

    def check_empty(self, *, resumes: bool = False) -> None:
        """
        Nothing, where there is nothing in it.

        Args:
            resumes: It could be gone on with.

        Raises:
            SinkError: There is something.
        """
        if self.filled:
            more = " go on with it with --resume," if resumes else ""
            raise SinkError(f"{self.path}: is not empty;{more} replace it with --overwrite, or choose another name")

    def check_own(self) -> None:
        """Raises SinkError where no format can have it that opens it by its name, and others beside it."""
        if not self.regular:
            raise SinkError(f"{self.path}: is no regular file, which this format needs; name one with --output")
        if not os.access(Path(self.path).resolve().parent, os.W_OK):
            raise SinkError(f"{self.path}: its folder cannot be written to, where a log is kept; choose another place")

    def go_on(self) -> bool:
        """
        Whether there is something in it, behind which is written from now on.

        Raises:
            SinkError: It has been written anew, and cannot be opened.
        """
        try:
            if not _is_there(self.descriptor, self.path):
                old = self.descriptor
                self.descriptor, _ = _opened(self.path, Taken())
                os.close(old)
            return os.lseek(self.descriptor, 0, os.SEEK_END) > 0
        except OSError as error:
            raise SinkError(sentence(self.path, error)) from error

    def destination(self, *, empty: bool) -> Descriptor:
        """Where its bytes go, which closes it; `empty` empties it first."""
        return Descriptor(
            self.descriptor,
            self.path,
            owned=True,
            empty=empty and self.filled,
            made=self.path if self.made else None,
        )

    def clear(self) -> None:
        """Remove what a run left beside it that was killed while it wrote it anew."""
        with suppress(OSError):
            Path(f"{Path(self.path).resolve()}{ANEW}").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; one that was made for this is removed."""
        made, self.made = self.made, False
        _let_go(self.descriptor, self.path, made=made)


def hold(descriptor: int, name: str) -> None:
    """
    Hold a file or a folder against every other run, until the descriptor is closed.

    A file system without locks is done without.

    Raises:
        SinkError: Another run holds it.
    """
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            raise SinkError(f"{name}: another run is writing to it; let it end, or choose another one") from error


def _opened(path: str, taken: Taken) -> tuple[int, bool]:
    """A descriptor that holds its file, and whether the file was made for it."""
    for _ in range(_TRIES):
        descriptor, made = _descriptor(path)
        try:
            taken.take(descriptor, path)
            if _DESCRIPTOR.fullmatch(path) or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor, made
            hold(descriptor, path)
            if _is_there(descriptor, path):
                return descriptor, made
        except BaseException:
            _let_go(descriptor, path, made=made)
            raise
        # A run that has just ended wrote it anew, after we had opened the old one.
        os.close(descriptor)
    raise SinkError(f"{path}: is written anew again and again; choose another one")


def _descriptor(path: str) -> tuple[int, bool]:
    inherited = _DESCRIPTOR.fullmatch(path)
    if inherited is not None:
        # `-o >(gzip)`; opening it anew fails where it is a socket.
        return os.dup(int(inherited[1])), False
    flags = os.O_WRONLY | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE), True
    except FileExistsError:
        # Without O_EXCL, for a link to a file that is not there yet.
        return os.open(path, flags | os.O_CREAT, _MODE), False


def _is_there(descriptor: int, path: str) -> bool:
    """Whether the file that is open is the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), Path(path).stat())
    except FileNotFoundError:
        return False


def _let_go(descriptor: int, path: str, *, made: bool) -> None:
    if made:
        with suppress(OSError):
            Path(path).unlink()
    os.close(descriptor)
