"""
Owns the sending of what is in files: piece by piece, as fast as the server takes it, read off the loop.

A reply that comes before all is sent ends the sending, as curl has it: the connection is no good for another request
then.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from time import perf_counter
from typing import Any, TypeVar

from fetcher.client.reply import Reply, Wire
from fetcher.errors import ErrorKind
from fetcher.model import Error, File, Form

T = TypeVar("T")

PIECE = 128 * 1024
"""Bytes that are read of a file at once: a trip to a thread costs as much as reading so many that are in memory."""

THREADS = 4
"""Threads that read files; one disk is no faster for more."""


class UploadError(Exception):
    """A file cannot be sent; the text says why."""


class Uploads:
    """The uploads of a run, and the threads that read for them, which there are none of before the first upload."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._disk = Disk(loop)
        self._tasks: set[asyncio.Task[None]] = set()

    async def check(self, form: Form) -> Error | None:
        """What keeps a form from being sent, before anybody is bothered with it."""
        files = [piece for piece in form.pieces if isinstance(piece, File)]
        try:
            await self._disk.run(partial(_check_all, files))
        except UploadError as error:
            return Error(ErrorKind.LOCAL, str(error))
        except OSError as error:
            return Error(ErrorKind.LOCAL, _sentence(error))
        return None

    def begin(self, form: Form, wire: Wire, reply: Reply) -> Upload:
        """A form on its way, behind the head that was written already."""
        upload = Upload(form, wire, reply, self._disk)
        task = self._loop.create_task(upload.send(), name="afetch-upload")
        upload.stop = task.cancel
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return upload

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._disk.close()


class Upload:
    """
    One form on its way.

    Attributes:
        whole: All of it is out of our hands.
        stop: Send no more.
    """

    stop: Callable[[], object]

    def __init__(self, form: Form, wire: Wire, reply: Reply, disk: Disk) -> None:
        self._form = form
        self._wire = wire
        self._reply = reply
        self._disk = disk
        self._written = False

    @property
    def whole(self) -> bool:
        """Whether all of it is out of our hands."""
        transport = self._wire.transport
        return self._written and transport is not None and not transport.get_write_buffer_size()

    async def send(self) -> None:
        """Write it all, unless the reply is there before; a file that cannot be read fails the reply."""
        try:
            for piece in self._form.pieces:
                if isinstance(piece, bytes):
                    if not await self._write(piece):
                        return
                elif not await self._send(piece):
                    return
        except UploadError as error:
            self._reply.fail(ErrorKind.LOCAL, str(error))
        except OSError as error:
            self._reply.fail(ErrorKind.LOCAL, _sentence(error))
        else:
            self._written = True

    async def _send(self, file: File) -> bool:
        source = _Source(file)
        left = file.size
        while left:
            data = await self._disk.run(source.read)
            if not data:
                raise UploadError(f"{file.path}: it became shorter while it was sent")
            left -= len(data)
            if not await self._write(data):
                return False
        return True

    async def _write(self, data: bytes) -> bool:
        """Whether there is somebody to send more to."""
        transport = self._wire.transport
        if self._reply.done.done() or transport is None or transport.is_closing():
            return False
        transport.write(data)
        await self._wire.drain()
        # The server takes our request: that is not silence.
        self._reply.last_at = perf_counter()
        return True


class _Source:
    """
    A file that is being read, by one thread after the other.

    It is opened for each piece: so no more files are open than there are threads, however many uploads there are. What
    is found then must be what was found at first, or one body would be of two files.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._at = 0
        self._known: tuple[int, ...] | None = None

    def read(self) -> bytes:
        """The next bytes, none at the end. Raises OSError, UploadError."""
        file = self._file
        # Non-blocking, or a FIFO that has taken the file's place would hold the thread.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(file.path, flags)
        try:
            status = os.fstat(descriptor)
            _check(file, status)
            found = status.st_dev, status.st_ino, status.st_mtime_ns
            if self._known is not None and found != self._known:
                raise UploadError(f"{file.path}: it was changed while it was sent")
            self._known = found
            os.lseek(descriptor, self._at, os.SEEK_SET)
            data = os.read(descriptor, min(PIECE, file.size - self._at))
        finally:
            os.close(descriptor)
        self._at += len(data)
        return data


class Disk:
    """
    A few threads for what may wait for a disk.

    They are daemons, begun when all others are at work: a file system that hangs holds nobody's exit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._open = 0
        self._threads = 0

    async def run(self, act: Callable[[], T]) -> T:
        """What `act` returns, or raises, on a thread."""
        future: asyncio.Future[T] = self._loop.create_future()

        def tell(result: T | None, error: Exception | None) -> None:
            self._open -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # there is a result where there is no error

        def work() -> None:
            result: T | None = None
            failure: Exception | None = None
            try:
                result = act()
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                failure = error
            # The run may be over and its loop closed: then nobody waits for it any more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(tell, result, failure)

        self._open += 1
        if self._threads < min(self._open, THREADS):
            self._threads += 1
            threading.Thread(target=self._serve, name="afetch-disk", daemon=True).start()
        self._work.put(work)
        return await future

    def close(self) -> None:
        """Let the threads go, when what they were given is done."""
        for _ in range(self._threads):
            self._work.put(None)

    def _serve(self) -> None:
        while (act := self._work.get()) is not None:
            act()


def _check_all(files: list[File]) -> None:
    """Nothing, if all are still the files that were meant. Raises OSError, UploadError."""
    for file in files:
        _check(file, os.stat(file.path))  # noqa: PTH116 - a Path would change the user's spelling


def _check(file: File, status: Any) -> None:
    """Nothing, if it is still the file that was meant. Raises UploadError."""
    if not stat.S_ISREG(status.st_mode):
        raise UploadError(f"{file.path}: it is no file any more")
    if status.st_size != file.size:
        raise UploadError(f"{file.path}: it has {status.st_size:,} bytes now, and had {file.size:,} when the run began")


def _sentence(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
