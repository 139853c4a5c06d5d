"""
Owns the threads that hash and write bodies: what has to be done for one body is done by one of them, in order.

One thread alone is slower than a socket of the same machine, and of that the hash is the larger half; neither holds the
interpreter. Once something cannot be done nothing else is: the run is over then.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

LANES = 2
"""Threads that there are at most."""

FAREWELL = 1.0
"""Seconds that they get at the end: each ends after the write at hand, unless a disk hangs."""


class Lane:
    """
    One thread and what it has yet to do.

    Args:
        over: Whether what is left is not to be done.
        on_error: Told, in this thread, of what was raised.
    """

    def __init__(self, name: str, over: Callable[[], bool], on_error: Callable[[Exception], object]) -> None:
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._over = over
        self._on_error = on_error
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def do(self, act: Callable[[], object]) -> None:
        """Have something done behind all that was asked for before. From any thread."""
        self._queue.put(act)

    def end(self) -> None:
        """Nothing is asked for any more."""
        self._queue.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the thread's end, no longer than so many seconds."""
        self._thread.join(timeout)

    def _work(self) -> None:
        while (act := self._queue.get()) is not None:
            if self._over():
                continue
            try:
                act()
            except Exception as error:  # noqa: BLE001 - nobody else is there to hear of it
                self._on_error(error)


class Lanes:
    """
    The threads of a run, each begun when there is something for it. For the loop's thread.

    Args:
        on_error: Told of what was raised by something that was to be done, in that thread; only of what comes first.
    """

    def __init__(self, on_error: Callable[[Exception], object]) -> None:
        self._on_error = on_error
        self._lanes: list[Lane] = []
        self._turn = 0
        self._over = False

    def next(self) -> Lane:
        """The lane for the next body: they take turns."""
        turn, self._turn = self._turn, (self._turn + 1) % LANES
        if turn == len(self._lanes):
            self._lanes.append(Lane(f"afetch-saving-{turn}", lambda: self._over, self._fail))
        return self._lanes[turn]

    def close(self) -> None:
        """End them; what is not done by now will not be."""
        self._over = True
        for lane in self._lanes:
            lane.end()
        for lane in self._lanes:
            lane.join(FAREWELL)

    def _fail(self, error: Exception) -> None:
        over, self._over = self._over, True
        if not over:
            self._on_error(error)
