"""
Owns the places that bytes are written to: a descriptor, or a function.

A record is written whole or not at all: what a full disk took of one is taken back. A pipe gets only as much at once as
it surely takes, so that whoever closes down never waits for a reader that does not read.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import BinaryIO, Protocol

from fetcher.errors import SinkError
from fetcher.sinks.protocol import Said

ANEW = ".afetch-new"
"""Ends the name of a file that is to take another one's place."""

LOOK = 100
"""Milliseconds between two looks at whether a pipe that takes nothing is still worth waiting for."""

_WAYS_OUT = {
    errno.EACCES: "permission denied; choose a place that this user may write to",
    errno.EBADF: "is closed; give a file with --output",
    errno.EDQUOT: "the quota is used up; make room or choose another place with --output",
    errno.EFBIG: "the file may grow no larger; raise the limit (ulimit -f) or choose another place with --output",
    errno.EISDIR: "is a directory; name a file in it",
    errno.ENOENT: "its folder does not exist; make it, or choose another place",
    errno.ENOSPC: "no space is left; make room or choose another place with --output",
    errno.ENOTDIR: "a part of its path is no directory; choose another place",
    errno.EPERM: "permission denied; choose a place that this user may write to",
    errno.EROFS: "its file system is read-only; choose another place",
}


class AbandonedError(Exception):
    """The reader does not read, and nobody waits for it any more."""


class Destination(Protocol):
    """
    A place for bytes. `write` raises as `Output.flush` does, and `AbandonedError`.

    Attributes:
        written: How many pieces are in it whole.
    """

    written: int

    def begin(self) -> None:
        """Make ready."""
        ...

    def write(self, pieces: list[Said], stop: Event) -> None:
        """Write the pieces, each whole or, in a file, not at all."""
        ...

    def end(self, stop: Event) -> None:
        """Write what is held back, if anything is."""
        ...

    def mend(self, last: bytes) -> None:
        """After a write that failed: let what is there end with `last`, as far as it can be."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Function:
    """A `Destination` that hands the bytes to a function: the screen, which prints above its bar."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.written = 0

    def begin(self) -> None:
        """Nothing."""

    def write(self, pieces: list[Said], stop: Event) -> None:
        """One call for all pieces, so that no bar is drawn within a line; large ones are held whole here."""
        del stop
        if not pieces:
            return
        try:
            self._write(b"".join(map(bytes, pieces)))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise SinkError(sentence("standard output", error)) from error
        self.written += len(pieces)

    def end(self, stop: Event) -> None:
        """Nothing."""

    def mend(self, last: bytes) -> None:
        """Nothing: what is shown is shown."""

    def close(self) -> None:
        """Nothing."""


class Descriptor:
    """
    A `Destination` that writes to a descriptor.

    Args:
        name: What messages call it.
        owned: Close it at the end.
        empty: Empty the file when it is begun.
        made: The path of a file that was made for this, to be removed where nothing is ever begun.
    """

    def __init__(
        self, descriptor: int, name: str, *, owned: bool = False, empty: bool = False, made: str | None = None
    ) -> None:
        mode = os.fstat(descriptor).st_mode
        self._descriptor = descriptor
        self._name = name
        self._owned = owned
        self._empty = empty
        self._made = made
        self._regular = stat.S_ISREG(mode)
        self._poll: select.poll | None = None
        # A file or /dev/null never lets anybody wait.
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor):
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLOUT)
        self._whole = 0
        self._last = 0
        self.written = 0

    def begin(self) -> None:
        """Empty the file, where it is to be replaced."""
        self._made = None
        if self._empty:
            with self._translated():
                os.ftruncate(self._descriptor, 0)

    def write(self, pieces: list[Said], stop: Event) -> None:
        """Write the pieces. A file that cannot take all of them keeps the whole ones."""
        small: list[bytes] = []
        try:
            for piece in pieces:
                if isinstance(piece, bytes):
                    small.append(piece)
                    continue
                self._write_small(small, stop)
                small = []
                self._write_large(piece, stop)
            self._write_small(small, stop)
        except ConnectionError as error:
            raise BrokenPipeError(error.errno, error.strerror) from error
        except OSError as error:
            raise SinkError(sentence(self._name, error)) from error

    def end(self, stop: Event) -> None:
        """Nothing: all is written."""

    def mend(self, last: bytes) -> None:
        """End the file well-formed, for the price of its last record where there is no room for even that."""
        if not (last and self._regular and self._whole):
            return
        if not self._appended(last) and self._whole > self._last:
            self._take_back(self._last)
            self.written -= 1
            self._appended(last)

    def close(self) -> None:
        """Close the descriptor, if it is ours."""
        if self._made is not None:
            with suppress(OSError):
                Path(self._made).unlink()
            self._made = None
        if self._owned:
            self._owned = False
            with self._translated():
                os.close(self._descriptor)

    def _write_small(self, pieces: list[bytes], stop: Event) -> None:
        """Write pieces together, in as few calls as the place allows."""
        if not pieces:
            return
        view = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        done = 0
        try:
            for end in self._ends(pieces):
                while done < end:
                    done += self._some(view[done:end], stop)
        finally:
            if done == len(view):
                self._whole += done
                self._last = len(pieces[-1])
                self.written += len(pieces)
            else:
                self._account(map(len, pieces), done)

    def _write_large(self, stream: Iterable[bytes], stop: Event) -> None:
        """Write one piece that is made meanwhile."""
        done = 0
        whole = False
        try:
            for part in stream:
                if self._regular and stop.is_set():
                    # It is cut back now, while there is time for that.
                    raise AbandonedError
                view = memoryview(part)
                while view:
                    size = self._some(view, stop)
                    done += size
                    view = view[size:]
            whole = True
        finally:
            self._account([done if whole else done + 1], done)

    def _ends(self, pieces: list[bytes]) -> Iterator[int]:
        """Where a write may end: a pipe whose reader is given up has whole records as long as they are small."""
        if self._poll is None:
            yield sum(map(len, pieces))
            return
        end = size = 0
        for piece in pieces:
            if size and size + len(piece) > select.PIPE_BUF:
                yield end
                size = 0
            size += len(piece)
            end += len(piece)
        yield end

    def _some(self, view: memoryview, stop: Event) -> int:
        """Write some of it, once there is room; how many bytes."""
        if self._poll is None:
            return os.write(self._descriptor, view)
        while not self._poll.poll(LOOK):
            if stop.is_set():
                raise AbandonedError
        try:
            # A blocking pipe that has room at all has room for this much, and would hold us with more.
            return os.write(self._descriptor, view[: select.PIPE_BUF])
        except BlockingIOError:
            return 0

    def _account(self, sizes: Iterable[int], done: int) -> None:
        """After `done` bytes of pieces of these sizes: remember the whole ones, take the rest back."""
        for size in sizes:
            if done < size:
                break
            done -= size
            self._whole += size
            self._last = size
            self.written += 1
        if done and self._regular:
            self._take_back(done)
            self._whole += done

    def _take_back(self, size: int) -> None:
        """Cut the last bytes off the file, unless somebody else has written behind them."""
        with suppress(OSError):
            position = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if os.fstat(self._descriptor).st_size == position:
                os.ftruncate(self._descriptor, position - size)
                os.lseek(self._descriptor, position - size, os.SEEK_SET)
        self._whole -= size

    def _appended(self, data: bytes) -> bool:
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            self._whole += done
            self._take_back(done)
            return False
        return True

    def _translated(self) -> _Translated:
        return _Translated(self._name)


class _Translated:
    """Turns an `OSError` of its block into a `SinkError` that names the place."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise SinkError(sentence(self._name, error)) from error


def sentence(name: str, error: OSError) -> str:
    """What is wrong with a place and the way out."""
    return f"{name}: {_WAYS_OUT.get(error.errno or 0) or error.strerror or error}"


def replace_file(path: str, write: Callable[[BinaryIO], object]) -> None:
    """
    Write a file anew: it keeps its name and mode, and is the old one until the new one is whole.

    Raises:
        SinkError: It cannot be; the old one is as it was.
    """
    # The file that a link leads to, so that the link stays.
    old = Path(path).resolve()
    new = old.with_name(f"{old.name}{ANEW}")
    try:
        # One that was left by a kill.
        new.unlink(missing_ok=True)
        try:
            with new.open("xb") as file:
                os.fchmod(file.fileno(), stat.S_IMODE(old.stat().st_mode))
                write(file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(old)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SinkError(sentence(f"{path}, which is to be written anew", error)) from error
