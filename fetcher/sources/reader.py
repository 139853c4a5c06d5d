"""
Owns the bytes of the inputs, read off the loop.

A daemon thread reads the raw descriptors, a few blocks ahead of what is used: inside `sys.stdin.buffer` such a thread
would abort the interpreter at exit, in the default executor it would hold the exit back. It waits in `poll`, so that
`tail -f list | afetch` starts each URL at once, and so that closing ends the thread at once. What is compressed is
undone there, too.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice

from msgspec import Struct

from fetcher.client.codings import CodingError
from fetcher.errors import SourceError, UsageError
from fetcher.model import Request
from fetcher.sources.config import SourceConfig
from fetcher.sources.formats import Intake
from fetcher.sources.ledger import Ledger
from fetcher.sources.lines import LineParser
from fetcher.sources.packed import MisnamedError, Unpacker
from fetcher.sources.protocol import BATCH, Known
from fetcher.sources.rows import RowMaker
from fetcher.urls import masked

BLOCK = 64 * 1024
"""Bytes of one read: what a pipe holds."""

AHEAD = 3
"""Blocks read beyond the one in use."""

FAREWELL = 0.2
"""Seconds that closing waits for the thread, which is left alone where a file system hangs."""

STDIN = frozenset({"-", "/dev/stdin"})

_URL = re.compile(r"https?://", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")

_WAYS_OUT = {
    errno.ENOENT: "no such file; check the name (a URL needs http:// or https:// before it, standard input is -)",
    errno.ENOTDIR: "no such file, for a part of its path is no directory; check the name",
    errno.EACCES: "permission denied; make it readable for this user (chmod u+r)",
    errno.EPERM: "permission denied; make it readable for this user (chmod u+r)",
    errno.EISDIR: "is a directory; name the files in it",
    errno.EBADF: "is not open; give a file, or pipe a list in",
    errno.ENXIO: "is a socket, or a device that is not there; pipe its text in",
}


class Input(Struct, frozen=True):
    """
    One source as the user named it, opened.

    Attributes:
        name: What messages call it.
        descriptor: What to read; None for an entry that stands on the command line itself.
        size: Bytes that are left in a regular file; None where nobody can tell.
        identity: Device and inode of a regular file, which no output may overwrite.
    """

    name: str
    descriptor: int | None = None
    size: int | None = 0
    identity: tuple[int, int] | None = None


class _ClosedError(Exception):
    """The feed was closed while somebody waited for more of it."""


class Feed:
    """
    The requests of the sources that a user named: files, `-` for standard input, http(s) URLs themselves.

    All are opened here, so a missing one ends the run before its first request. A FIFO whose writer has not come
    yet is opened without waiting for it.

    Args:
        names: The sources, read in this order; one after the other, never as one text.
        headers: The run's own, as `LineParser` wants them.
        ledger: Keeps what entries are made of, where somebody will ask.

    Raises:
        SourceError: A source cannot be opened, is a directory, or a file without the columns that are asked for; its
            text names it and the way out.
        UsageError: Standard input is named twice.
    """

    def __init__(
        self,
        names: Sequence[str],
        config: SourceConfig,
        headers: Sequence[tuple[str, str | None]] = (),
        ledger: Ledger | None = None,
    ) -> None:
        self._ledger = ledger
        self._parser = LineParser(config, headers)
        self._maker = RowMaker(self._parser, config, headers)
        self._config = config
        self._limit = config.limit
        self._inputs = _open_all(names)
        descriptors = [(entry.descriptor, entry.name) for entry in self._inputs if entry.descriptor is not None]
        try:
            # Without a body, which may be in a file that can be read once.
            bare = replace(config, limit=0, data=None, data_json=None, form=())
            self._probe(RowMaker(LineParser(bare), config, headers), None if ledger is None else Ledger())
            self._reader = _Reader(descriptors)
        except BaseException:
            for descriptor, _ in descriptors:
                os.close(descriptor)
            raise
        self._arrived = asyncio.Event()
        self._closed = False
        self._used = 0
        self._lines = 0
        self._total: int | None = None

    @property
    def total(self) -> int | None:
        """How many entries there are; None until all are read."""
        return self._total

    @property
    def files(self) -> frozenset[tuple[int, int]]:
        """Device and inode of every regular file that is read."""
        return frozenset(entry.identity for entry in self._inputs if entry.identity is not None)

    def estimate(self) -> int | None:
        """About how many entries there will be, from the sizes of the files and what their lines took so far."""
        if self._total is not None:
            return self._total
        given = sum(entry.descriptor is None for entry in self._inputs)
        if given == len(self._inputs):
            return self._within(given)
        sizes = [entry.size for entry in self._inputs if entry.size is not None]
        if len(sizes) < len(self._inputs) or not 0 < self._used <= sum(sizes):
            return self._limit if self._parser.full else None
        return self._within(given + round(self._lines * sum(sizes) / self._used))

    def pass_over(self, known: Known) -> None:
        """Make no requests of lines that are known, unless somebody keeps what each is made of."""
        if self._ledger is None:
            self._parser.known = known

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        """Requests as `Source` promises them. The sources are closed when this ends, whichever way it does."""
        loop = asyncio.get_running_loop()
        try:
            self._reader.begin(lambda: loop.call_soon_threadsafe(self._arrived.set))
            for entry in self._inputs:
                if self._parser.full:
                    break
                if entry.descriptor is None:
                    request = self._parser.entry(entry.name)
                    if self._ledger is not None:
                        self._ledger.entry(entry.name, request)
                    yield [request]
                    continue
                intake = self._intake(entry, self._maker, self._ledger)
                more = True
                while more and not self._parser.full:
                    block, size = await self._block(entry)
                    more = bool(block)
                    lines = intake.feed(block) if more else intake.finish()
                    for requests in self._parsed(intake, lines, size, last=not more):
                        # An endless list without entries gives nothing away and must not hold the loop.
                        await asyncio.sleep(0)
                        if self._closed:
                            return
                        # A row may end the wait of many.
                        for start in range(0, len(requests), BATCH):
                            yield requests[start : start + BATCH]
            self._total = self._parser.index
        except _ClosedError:
            return
        finally:
            self.close()

    def close(self) -> None:
        """Read no more and close what is open; `batches` ends. For the thread of the loop only."""
        self._closed = True
        self._arrived.set()
        self._reader.close()

    def _intake(self, entry: Input, maker: RowMaker, ledger: Ledger | None) -> Intake:
        alone = sum(other.descriptor is not None for other in self._inputs) == 1
        return Intake(maker, entry.name, "" if alone else f"{entry.name}, ", self._config.input_format, ledger)

    def _probe(self, maker: RowMaker, ledger: Ledger | None) -> None:
        """
        Look at how the files begin, so that what ends the run ends it before the first request.

        Raises:
            SourceError: The whole of a file is not what it should be.
        """
        for entry in self._inputs:
            if entry.descriptor is None and ledger is not None:
                ledger.check_entry(entry.name)
            if entry.descriptor is None or not entry.size:
                continue
            intake, unpacker = self._intake(entry, maker, ledger), Unpacker(entry.name)
            with suppress(OSError):
                head = os.pread(entry.descriptor, BLOCK, os.lseek(entry.descriptor, 0, os.SEEK_CUR))
                try:
                    pieces = unpacker.feed(head)
                    lines = [line for piece in islice(pieces, 1) for line in intake.feed(piece)]
                    if len(head) == entry.size:
                        lines += [line for piece in chain(pieces, unpacker.finish()) for line in intake.feed(piece)]
                        lines += intake.finish()
                except MisnamedError as error:
                    raise SourceError(_damaged(entry.name, error)) from error
                except CodingError:
                    # What is before the damage is fetched.
                    lines = []
                intake.requests(lines)

    async def _block(self, entry: Input) -> tuple[bytes, int]:
        """The next block of this source, empty at its end, and how many bytes of it were read for that."""
        blocks = self._reader.blocks
        while not blocks and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        if self._closed:
            raise _ClosedError
        block = blocks.popleft()
        self._reader.used()
        if isinstance(block, OSError):
            raise SourceError(_sentence(entry.name, block)) from block
        if isinstance(block, CodingError):
            raise SourceError(_damaged(entry.name, block)) from block
        return block

    def _parsed(self, intake: Intake, lines: list[str], size: int, *, last: bool) -> Iterator[list[Request]]:
        """The requests of a block of `size` bytes, a batch of lines at a time, noting what `estimate` needs."""
        used, begun = self._used, self._parser.index - self._lines
        for start in range(0, len(lines), BATCH):
            if self._parser.full:
                break
            requests = intake.requests(lines[start : start + BATCH])
            self._lines = self._parser.index - begun
            self._used = used + size * min(start + BATCH, len(lines)) // len(lines)
            yield requests
        self._used = used + size
        if last and not self._parser.full:
            yield intake.rest()

    def _within(self, count: int) -> int:
        return count if self._limit is None else min(count, self._limit)


class _Reader:
    """
    The thread that reads descriptors, one after the other, and closes them.

    Args:
        inputs: Each descriptor with the name of what it reads.

    Attributes:
        blocks: What was read and not used, oldest first, and of how many bytes it was made; an empty one ends a
            descriptor, an error ends all.
    """

    def __init__(self, inputs: list[tuple[int, str]]) -> None:
        self.blocks: deque[tuple[bytes, int] | OSError | CodingError] = deque()
        self._inputs = inputs
        self._room = threading.Semaphore(AHEAD)
        self._stopped = False
        self._stop, self._stopper = os.pipe()
        self._arrived: Callable[[], object] = bool
        self._thread = threading.Thread(target=self._run, name="afetch-reader", daemon=True)

    def begin(self, arrived: Callable[[], object]) -> None:
        """Read; `arrived` is called from the thread after every block."""
        self._arrived = arrived
        self._thread.start()

    def used(self) -> None:
        """One block less is held: there is room for another."""
        self._room.release()

    def close(self) -> None:
        """End the thread, in whose hands the descriptors are. May be called twice."""
        if self._stopped:
            return
        self._stopped = True
        os.close(self._stopper)
        self._room.release()
        if self._thread.ident is None:
            self._close_all()
        else:
            self._thread.join(FAREWELL)
        self.blocks.clear()

    def _run(self) -> None:
        try:
            for descriptor, name in self._inputs:
                if not self._read_all(descriptor, Unpacker(name)):
                    return
        except RuntimeError:
            # The loop is closed: nobody is there to read for.
            return
        finally:
            self._close_all()

    def _read_all(self, descriptor: int, unpacker: Unpacker) -> bool:
        """Whether the descriptor was read to its end."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            # Room first, then reading: what nobody has room for is left to its producer.
            self._room.acquire()
            try:
                block = self._read(descriptor, poll)
                if block is None:
                    return False
                size = len(block)
                for piece in unpacker.feed(block) if block else unpacker.finish():
                    self._give((piece, size))
                    size = 0
                    self._room.acquire()
                    if self._stopped:
                        return False
            except (OSError, CodingError) as error:
                self._give(error)
                return False
            if not block:
                self._give((b"", size))
                return True
            self._room.release()

    def _give(self, block: tuple[bytes, int] | OSError | CodingError) -> None:
        self.blocks.append(block)
        self._arrived()

    def _read(self, descriptor: int, poll: select.poll) -> bytes | None:
        """What there is, as soon as there is something; None once stopped."""
        while True:
            poll.poll()
            if self._stopped:
                return None
            # Somebody who shares standard input may have made it non-blocking, or have read what `poll` saw.
            with suppress(BlockingIOError):
                return os.read(descriptor, BLOCK)

    def _close_all(self) -> None:
        for descriptor in (*(descriptor for descriptor, _ in self._inputs), self._stop):
            os.close(descriptor)


def _open_all(names: Sequence[str]) -> list[Input]:
    if sum(name in STDIN for name in names) > 1:
        raise UsageError("standard input (-) is named twice; it can be read once")
    inputs: list[Input] = []
    try:
        inputs.extend(_open(name) for name in names)
    except SourceError:
        for entry in inputs:
            if entry.descriptor is not None:
                os.close(entry.descriptor)
        raise
    return inputs


def _open(name: str) -> Input:
    if _URL.match(name):
        return Input(name)
    # A URL that lacks its scheme is looked for as a file.
    shown = "standard input" if name in STDIN else masked(name)
    try:
        descriptor = _descriptor(name)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                return Input(shown, descriptor, None)
            left = status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR)
            return Input(shown, descriptor, max(0, left), (status.st_dev, status.st_ino))
        except OSError:
            os.close(descriptor)
            raise
    except (OSError, ValueError) as error:
        raise SourceError(_sentence(shown, error)) from error


def _descriptor(name: str) -> int:
    """A descriptor of our own. One that is open already is copied: opening `/dev/stdin` anew fails on a socket."""
    if name in STDIN:
        if sys.__stdin__ is None:
            # It was closed when we were started: 0 is something else by now.
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return os.dup(0)
    inherited = _DESCRIPTOR.fullmatch(name)
    if inherited is not None:
        return os.dup(int(inherited[1]))
    # Non-blocking, or a FIFO without a writer would hold us here; a regular file does not care.
    return os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _damaged(name: str, error: CodingError) -> str:
    return f"{name}: {error}; the list is damaged, cut off, or has a wrong suffix"


def _sentence(name: str, error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return f"{name!r}: {error}; check the name"
    way_out = _WAYS_OUT.get(error.errno or 0)
    return f"{name}: {way_out or error.strerror or error}"
