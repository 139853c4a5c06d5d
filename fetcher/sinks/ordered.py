"""
Owns the input's order: a result waits here until those before it are written.

It stands in front of the outputs, in the writer's thread. What waits is held in memory up to a bound, and beyond that
in files that have no name, so that nothing is left of them, however the run ends. While too much waits the list is read
no further. What was read goes on: the one that is waited for is among it, so nothing waits for ever.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from tempfile import TemporaryFile
from time import monotonic

from msgspec import Raw
from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.model import Request, Result
from fetcher.sinks.files import sentence
from fetcher.sources.protocol import Source
from fetcher.sources.through import Through

MOST = 10_000
"""Results that may wait, beside those that are looked ahead at, before the list is read no further."""

SEGMENT = 64 * 1024 * 1024
"""Bytes of a file: it is let go when all of it was written, or a long run's would grow for ever."""

LOOK = 0.02
"""Seconds between two looks at whether there is room."""

# What a result takes without its body and headers, and what a header or a column takes beside its bytes.
_RESULT = 1_500
_FIELD = 150


class Order:
    """
    What waits, in its order. One thread says what comes, the writer's does the rest.

    Args:
        memory: Bytes that are held in memory; beyond them results go into files.
        most: Entries that may be read and not written,
        bound: and bytes that may wait in all, before the list is read no further.
    """

    def __init__(self, memory: int, most: int, bound: int) -> None:
        self._memory = memory
        self._most = most
        self._bound = bound
        self._coming: deque[int] = deque()
        self._held: dict[int, tuple[Result | _Spilled, int]] = {}
        self._in_memory = 0
        self._in_files = 0
        self._segment: _Segment | None = None
        self._rest: deque[int] | None = None

    @property
    def full(self) -> bool:
        """Whether the list had better be read no further; for any thread."""
        return len(self._coming) >= self._most or self._in_memory + self._in_files > self._bound

    @property
    def ready(self) -> bool:
        """Whether the next one is there."""
        if self._rest is not None:
            return bool(self._rest)
        return bool(self._coming) and self._coming[0] in self._held

    @property
    def finished(self) -> bool:
        """Whether it was told that nothing more comes."""
        return self._rest is not None

    def expect(self, indexes: Iterable[int]) -> None:
        """Results of these indexes will come, after those told before; for one thread, before any of them is put."""
        self._coming.extend(indexes)

    def put(self, result: Result) -> None:
        """
        Hold a result.

        Raises:
            SinkError: There is no room for it in a file; it is held in memory, with all that follow.
        """
        request = result.request
        index = request.index
        if request.body is not None:
            # It was sent, and a row may have a large one of its own.
            result = replace(result, request=replace(request, body=None))
        size = _size(result)
        # The next one is gone at once.
        if self._in_memory + size <= self._memory or (self._coming and index == self._coming[0]):
            self._hold(index, result, size)
            return
        try:
            spilled = self._spilled(result)
        except OSError as error:
            self._memory = self._bound = 1 << 62
            self._hold(index, result, size)
            raise _complaint(error) from error
        self._in_files += size
        self._held[index] = spilled, size

    def take(self) -> Result | None:
        """
        The next result, which is let go; None if it is not there.

        Raises:
            SinkError: It was put into a file that cannot be read.
        """
        if not self.ready:
            return None
        held, size = self._held.pop(self._coming.popleft() if self._rest is None else self._rest.popleft())
        if isinstance(held, Result):
            self._in_memory -= size
            return held
        self._in_files -= size
        try:
            return held.load()
        except OSError as error:
            raise _complaint(error) from error

    def finish(self) -> None:
        """Nothing more comes: whatever is held is next, in its order, whatever it lacks."""
        self._rest = deque(sorted(self._held))

    def close(self) -> None:
        """Let go of everything."""
        for held, _ in self._held.values():
            if not isinstance(held, Result):
                held.segment.close()
        if self._segment is not None:
            self._segment.close()

    def _hold(self, index: int, result: Result, size: int) -> None:
        self._in_memory += size
        self._held[index] = result, size

    def _spilled(self, result: Result) -> _Spilled:
        if self._segment is None or self._segment.size >= SEGMENT:
            if self._segment is not None:
                self._segment.retire()
            self._segment = None
            self._segment = _Segment()
        return self._segment.add(pickle.dumps(result, pickle.HIGHEST_PROTOCOL))


class _Spilled:
    """A result in a file."""

    __slots__ = ("length", "offset", "segment")

    def __init__(self, segment: _Segment, offset: int, length: int) -> None:
        self.segment = segment
        self.offset = offset
        self.length = length

    def load(self) -> Result:
        """The result, of which the file need not be kept."""
        try:
            data = self.segment.read(self.offset, self.length)
        finally:
            self.segment.release()
        # It is ours: the file has no name, and nobody else can write to it.
        result: Result = pickle.loads(data)  # noqa: S301
        return result


class _Segment:
    """A file without a name, which is gone when all that is in it was read."""

    def __init__(self) -> None:
        self._file = TemporaryFile(prefix="afetch-", buffering=0)  # noqa: SIM115 - closed when all of it was read
        self._live = 0
        self._retired = False
        self.size = 0

    def add(self, data: bytes) -> _Spilled:
        """Keep this. Raises OSError, and then it is as if nothing had been tried."""
        view = memoryview(data)
        done = 0
        while done < len(data):
            done += os.pwrite(self._file.fileno(), view[done:], self.size + done)
        spilled = _Spilled(self, self.size, len(data))
        self.size += len(data)
        self._live += 1
        return spilled

    def read(self, offset: int, length: int) -> bytes:
        """What was kept."""
        parts = []
        while length:
            part = os.pread(self._file.fileno(), length, offset)
            if not part:
                raise OSError(0, "a file of its own is cut off")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def release(self) -> None:
        """One of those that were kept is needed no more."""
        self._live -= 1
        if not self._live:
            if self._retired:
                self.close()
            else:
                # The one at hand is begun anew.
                os.ftruncate(self._file.fileno(), 0)
                self.size = 0

    def retire(self) -> None:
        """Nothing more is added."""
        self._retired = True
        if not self._live:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Paced(Through):
    """
    A source that is read no further while too much waits, and says what comes.

    Args:
        idle: Whether somebody has nothing to do meanwhile.

    Attributes:
        held_back: Seconds for which somebody had nothing to do because too much waited for an earlier one.
    """

    def __init__(self, source: Source, order: Order, idle: Callable[[], bool]) -> None:
        super().__init__(source)
        self._order = order
        self._idle = idle
        self.held_back = 0.0

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        """Requests as `Source` promises them."""
        async for batch in self._source.batches():
            while self._order.full:
                began = monotonic()
                await asyncio.sleep(LOOK)
                # If the next one is there, it is the outputs that are waited for.
                if self._idle() and not self._order.ready:
                    self.held_back += monotonic() - began
            self._order.expect(request.index for request in batch)
            yield batch


def _complaint(error: OSError) -> SinkError:
    try:
        folder = tempfile.gettempdir()
    except OSError:
        folder = "a folder for temporary files"
    reason = sentence(folder, error).replace("with --output", "with TMPDIR")
    return SinkError(f"{reason} (results that wait for an earlier one are kept there, for --ordered)")


def _size(result: Result) -> int:
    """About how many bytes it takes."""
    size = _RESULT
    for hop in result.redirects if result.hop is None else (result.hop, *result.redirects):
        size += _RESULT
        if hop.body is not None:
            size += len(hop.body)
        if hop.capture is not None and hop.capture.payload is not None:
            size += len(hop.capture.payload)
        for name, value in hop.headers:
            size += _FIELD + len(name) + len(value)
    for value in (result.request.extra or {}).values():
        size += _FIELD + (len(value) if isinstance(value, str) else len(bytes(value)) if isinstance(value, Raw) else 0)
    return size
