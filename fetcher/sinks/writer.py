"""
Owns the thread that writes: results go in from the loop, bytes come out of every output.

Making, encoding and writing records would hold the loop up, and a reader that does not read (`afetch | less`) would
stop it. So the loop only puts results into a queue, and a daemon thread does the rest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from fetcher.errors import ErrorKind, SinkError
from fetcher.model import Error, Result
from fetcher.record import Record, RecordConfig, make_record
from fetcher.sinks.files import AbandonedError
from fetcher.sinks.protocol import Output

if TYPE_CHECKING:
    from fetcher.sinks.ordered import Order

NAP = 0.005
"""Seconds between two batches: some 200 wake-ups a second under load, and nobody sees the delay."""

FLUSH = 0.45
"""
Seconds that a record waits to be written at most, while records keep coming.

A little more than a compressed output holds it back: it is in two of those, one after the other, within a second.
"""

BUFFER = 1024 * 1024
"""Bytes that an output may hold before they are written: some thousand small records, or one large one."""

HOLDING = 256
"""Results that are put where they wait for others before those that are ready are looked after."""

FAREWELL = 1.0
"""Seconds that an abandoned thread gets: it ends after the record at hand, unless a disk hangs."""


class Writer:
    """
    Writes results down, in the order in which they are put, or in that of the input.

    An output that fails takes no more; the others go on, and results keep being taken in, so that nobody waits for a
    place in vain.

    Args:
        outputs: Opened and not begun; they are begun here, and ended and closed when this is closed.
        config: What of a reply is in its record.
        on_written: Told after each batch how many results have left, and how many bytes of bodies they held. Called in
            the writer's thread; so is
        on_error: Told of a `SinkError` or `BrokenPipeError`, once for each output; of anything else as a bug of ours.
        order: What holds results until those before them are there. They have left by then, and their bodies are its.
        settle: Gives the body of a result its file, and says the result and the file's path; raises `SinkError`.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        config: RecordConfig,
        on_written: Callable[[int, int], object],
        on_error: Callable[[Exception], object],
        order: Order | None = None,
        settle: Callable[[Result], tuple[Result, str | None]] | None = None,
    ) -> None:
        self._outputs = tuple(outputs)
        self._working = list(outputs)
        self._config = config
        self._on_written = on_written
        self._on_error = on_error
        self._order = order
        self._settle = settle
        self._queue: deque[Result] = deque()
        self._asleep = False
        self._wake = Event()
        self._ending = Event()
        self._abandoned = Event()
        self._closing = False
        # Two counts each, because each has one thread that adds to it.
        self._put = self._put_bytes = 0
        self._left = self._left_bytes = 0
        # Of the batch.
        self._taken = self._taken_bytes = 0
        # Results that went on to the outputs.
        self._passed = 0
        self._thread = Thread(target=self._run, name="afetch-writer", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Results that the thread has not taken yet."""
        return self._put - self._left

    @property
    def unwritten(self) -> int:
        """Results that are not in every output; after the end, those that never will be."""
        return max((self._put - output.written for output in self._outputs), default=self.queued)

    @property
    def queued_bytes(self) -> int:
        """Bytes of the bodies of those."""
        return self._put_bytes - self._left_bytes

    def behind(self, results: int, size: int) -> bool:
        """Whether more `results` than that are queued, or `size` bytes of bodies."""
        return self._put - self._left > results or self._put_bytes - self._left_bytes > size

    def put(self, result: Result) -> None:
        """Take a result in. Never blocks; for the thread of the loop only."""
        self._put += 1
        hop = result.hop
        if hop is not None:
            self._put_bytes += hop.held
        self._queue.append(result)
        if self._asleep:
            self._asleep = False
            self._wake.set()

    def close(self, timeout: float | None = None) -> bool:
        """
        Whether all is written, ended and closed, within `timeout` seconds (None: however long the readers take).

        May be called again, with 0 to ask how things stand; nothing may be put any more.
        """
        self._closing = True
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self, timeout: float = FAREWELL) -> bool:
        """
        Whether the thread has ended within `timeout` seconds, after the record at hand.

        What is queued is not written and a reader that does not read is not waited for; files are ended well-formed.
        """
        self._abandoned.set()
        return self.close(timeout)

    def _run(self) -> None:
        try:
            self._each(lambda output: output.begin())
            self._write_all()
        except Exception as bug:  # noqa: BLE001 - nobody else is there to hear of it
            self._tell(self._on_error, bug)
        finally:
            self._each(lambda output: output.end(self._abandoned))
            self._working = list(self._outputs)
            self._each(lambda output: output.close())
            if self._order is not None:
                self._order.close()

    def _write_all(self) -> None:
        while not self._abandoned.is_set():
            # Before the queue is looked at: nothing is put after it is true.
            closing = self._closing
            order = self._order
            if self._queue or (order is not None and order.ready):
                if self._write_batch() and not closing:
                    self._ending.wait(NAP)
            elif closing:
                if order is None or order.finished:
                    return
                order.finish()
            else:
                self._sleep()

    def _sleep(self) -> None:
        self._wake.clear()
        self._asleep = True
        # What was put before it was true woke nobody.
        if not self._queue and not self._closing:
            # What an output holds back for a moment must not wait for a record that may never come.
            behind = any(output.written < self._passed for output in self._working)
            if not self._wake.wait(FLUSH if behind else None):
                self._each(lambda output: output.flush(self._abandoned))
        self._asleep = False

    def _write_batch(self) -> bool:
        """Whether the queue was emptied, and not left for the outputs' sake."""
        self._taken = self._taken_bytes = 0
        emptied = True
        until = time.monotonic() + FLUSH
        while not self._abandoned.is_set():
            result = self._next()
            if result is None:
                emptied = not self._queue
                break
            record = self._made(result)
            # Its body is held by the record now, or by nobody: JSON is held as that.
            del result
            self._passed += 1
            waiting = 0 if record is None else self._add(record)
            del record
            if waiting > BUFFER or time.monotonic() > until:
                emptied = False
                break
        self._each(lambda output: output.flush(self._abandoned))
        self._left += self._taken
        self._left_bytes += self._taken_bytes
        self._tell(self._on_written, self._taken, self._taken_bytes)
        return emptied

    def _next(self) -> Result | None:
        """The result to be written next; None if there is none, or if it is time to tell of those taken."""
        order = self._order
        while True:
            if order is not None and order.ready:
                try:
                    return order.take()
                except SinkError as error:
                    self._tell(self._on_error, error)
            if not self._queue:
                return None
            result = self._queue.popleft()
            self._taken += 1
            if result.hop is not None:
                self._taken_bytes += result.hop.held
            if order is None:
                return result
            try:
                order.put(result)
            except SinkError as error:
                self._tell(self._on_error, error)
            if self._taken_bytes > BUFFER or self._taken >= HOLDING:
                return None

    def _made(self, result: Result) -> Record | None:
        """The result's record; where we cannot make it, one that says so, or None if its body has no place."""
        try:
            if self._settle is None:
                return make_record(result, self._config, whole=False)
            result, saved = self._settle(result)
            return make_record(result, self._config, whole=False, saved=saved)
        except SinkError as trouble:
            self._tell(self._on_error, trouble)
            return None
        except Exception as bug:  # noqa: BLE001 - one result's trouble with our own bug must not end the others'
            self._tell(self._on_error, bug)
            error = Error(ErrorKind.INTERNAL, f"a bug of ours: {type(bug).__name__}: {bug}")
        with suppress(Exception):
            return make_record(Result(result.request, None, error), self._config)
        return None

    def _add(self, record: Record) -> int:
        """How many bytes wait in the output that holds most."""
        waiting = 0
        for output in self._working:
            try:
                waiting = max(waiting, output.add(record))
            except Exception as bug:  # noqa: BLE001 - as above
                self._tell(self._on_error, bug)
        return waiting

    def _each(self, act: Callable[[Output], None]) -> None:
        """Do it with every output that works; one that fails works no more."""
        for output in tuple(self._working):
            try:
                act(output)
            except AbandonedError:
                self._working.remove(output)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other outputs and the loop must not wait
                self._working.remove(output)
                self._tell(self._on_error, error)

    @staticmethod
    def _tell(callback: Callable[..., object], *args: object) -> None:
        # Its loop is closed: nobody is there to be told.
        with suppress(RuntimeError):
            callback(*args)
