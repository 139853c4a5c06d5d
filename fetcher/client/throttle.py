"""
Owns how many bytes a second all replies of a run may bring (`--limit-rate`).

A bucket of bytes: it fills at the rate, never holds more than `BURST` seconds' worth, and what arrives is taken out of
it. Once it is empty nobody is read, and then in turns again, whoever waits longest first.

What is limited is what we take out of the sockets; to the servers we say so by TCP's window. Each connection's share of
the system's memory, `window`, is therefore sent by its server ahead of the rate: at the beginning, and when a new
connection joins, the line carries up to that much more. Uploads are not limited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from time import perf_counter
from typing import Protocol

BURST = 0.1
"""Seconds' worth of bytes that may follow a time when nobody used them; it is also what a late timer does not lose."""

STEP = 0.005
"""Seconds between turns: uvloop's clock has steps of a millisecond, and each turn costs some calls to the system."""

FEW = 4
"""Readers that go on at once, twice as many at each turn: those at the front may have nothing to read."""

ROUND_TRIP = 0.1
"""Seconds for which one connection's window lets it have the whole rate; beyond that it is slower on its own."""

LEAST_WINDOW = 8 * 1024
"""Bytes of the smallest window: below some segments TCP waits for its own timers."""

MOST_WINDOW = 1024 * 1024
"""Bytes beyond which the system's own choice of a window does no harm."""


class Reader(Protocol):
    """Something that can be told to stop reading and to go on."""

    def hold(self) -> None: ...

    def go_on(self) -> None: ...


class Throttle:
    """
    Counts on the loop's thread only; with one timer, while somebody is held.

    While the bucket is empty everybody is held, so that it is overdrawn by what one read brings and no more.

    Attributes:
        window: Bytes of a socket's receive buffer; None is the system's own choice. What one read brings is bounded by
            it, so a slow rate stays even.
    """

    def __init__(
        self, rate: float, loop: asyncio.AbstractEventLoop, *, clock: Callable[[], float] = perf_counter
    ) -> None:
        self._rate = rate
        self._loop = loop
        self._clock = clock
        self._at = clock()
        self._tokens = 0.0
        # Readers that may read and those that may not, each longest waiting first; the values mean nothing.
        self._open: dict[Reader, None] = {}
        self._held: dict[Reader, None] = {}
        self._few = FEW
        self._timer: asyncio.TimerHandle | None = None
        window = int(rate * ROUND_TRIP)
        self.window = max(window, LEAST_WINDOW) if window < MOST_WINDOW else None

    def begin(self, reader: Reader) -> None:
        """A reader has something to read from now on; it is held if others wait or nothing is left."""
        if not self._held and self._filled() > 0:
            self._open[reader] = None
            return
        self._held[reader] = None
        reader.hold()
        self._arm()

    def take(self, size: int, reader: Reader) -> None:
        """A reader has read `size` bytes."""
        tokens = self._filled() - size
        self._tokens = tokens
        if reader not in self._open:
            # It had these before it was held, or is over.
            return
        if tokens <= 0:
            # Those that had their turn and nothing to read keep their place; who has just read goes last.
            del self._open[reader]
            waiting = [*self._open, *self._held]
            for other in self._open:
                other.hold()
            reader.hold()
            self._open.clear()
            self._held = dict.fromkeys([*waiting, reader])
            self._few = max(FEW, self._few // 2)
            self._arm()
        elif self._held:
            # Whoever waits has a turn before a second one of ours.
            del self._open[reader]
            reader.hold()
            self._held[reader] = None

    def end(self, reader: Reader) -> None:
        """A reader is over, or has gone; it is not told to go on any more."""
        self._open.pop(reader, None)
        self._held.pop(reader, None)
        if not self._held:
            self._disarm()

    def close(self) -> None:
        """Nobody is told anything any more."""
        self._open.clear()
        self._held.clear()
        self._disarm()

    def _filled(self) -> float:
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._rate * BURST)
        self._at = now
        return self._tokens

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(max(0.0, -self._tokens / self._rate) + STEP, self._turn)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = None
        if self._filled() > 0:
            for reader in list(islice(self._held, self._few)):
                del self._held[reader]
                self._open[reader] = None
                reader.go_on()
            self._few *= 2
        if self._held:
            self._arm()
