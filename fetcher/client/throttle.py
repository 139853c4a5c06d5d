"""
Owns how many bytes a second all replies of a run may bring (`--limit-rate`).

A bucket of bytes: it fills at the rate, never holds more than `BURST` seconds' worth, and what arrives is taken out of
it. Once it is empty nobody is read, and then in turns again, whoever waits longest first.

What is limited is what we take out of the sockets; servers are told so by TCP's window. Each connection's server may
therefore be ahead of the rate by what the system keeps for us, up to twice `window`: with 50 connections at 100k/s some
750 KB in all, once, when they begin. Behind that the line carries the rate. Uploads are not limited.
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

ROUND_TRIP = 0.1
"""Seconds for which one connection's window lets it have the whole rate; beyond that it is slower on its own."""

LEAST_WINDOW = 8 * 1024
"""Bytes of the smallest window: below some segments TCP waits for its own timers."""

MOST_WINDOW = 1024 * 1024
"""Bytes beyond which the system's own choice of a window does no harm."""


LEAST = 1.0
"""Bytes a second of a rate that is none."""


class Reader(Protocol):
    """Something that can be told to stop reading and to go on."""

    def hold(self) -> None: ...

    def go_on(self) -> None: ...


class Throttle:
    """
    Counts on the loop's thread only; with one timer, while somebody is held.

    While the bucket is empty everybody is held, so that it is overdrawn by what one read brings and no more. Then one
    reader goes on, and twice as many at each turn that leaves something: they may have nothing to read. So whoever is
    first in the queue has the bucket to himself in the end, in whatever order the loop looks at its sockets.

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
        # Readers that may read, and since which turn; those that may not, longest waiting first.
        self._open: dict[Reader, int] = {}
        self._held: dict[Reader, None] = {}
        self._turns = 0
        self._few = 1
        self._timer: asyncio.TimerHandle | None = None
        window = int(rate * ROUND_TRIP)
        self.window = max(window, LEAST_WINDOW) if window < MOST_WINDOW else None

    @property
    def holds(self) -> bool:
        """Whether somebody may not read."""
        return bool(self._held)

    def change(self, rate: float) -> None:
        """Another rate from now on; what was read above the one before is still owed."""
        self._filled()
        self._rate = max(rate, LEAST)
        if self._timer is not None:
            self._disarm()
            self._arm()

    def begin(self, reader: Reader) -> None:
        """A reader has something to read from now on; it is held if others wait or nothing is left."""
        if not self._held and self._filled() > 0:
            self._open[reader] = self._turns
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
            self._hold_all(reader)
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

    def _hold_all(self, last: Reader) -> None:
        del self._open[last]
        # Who went on in this turn may not have been looked at yet; who did before had nothing to read.
        first = [reader for reader, turn in self._open.items() if turn == self._turns]
        idle = [reader for reader, turn in self._open.items() if turn != self._turns]
        for reader in (*self._open, last):
            reader.hold()
        self._open.clear()
        self._held = dict.fromkeys([*first, *self._held, *idle, last])
        # Half as many as went on in this turn: it has doubled since.
        self._few = max(1, self._few // 4)
        self._arm()

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
            self._turns += 1
            for reader in list(islice(self._held, self._few)):
                del self._held[reader]
                self._open[reader] = self._turns
                reader.go_on()
            self._few *= 2
        if self._held:
            self._arm()
