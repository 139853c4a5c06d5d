"""
Owns the time that replies may take: an attempt's deadline, silence, and speed. One timer looks after all of them.

A timer for each reply would cost more than the reading of a small one, and nearly none would ever ring. So the one
stands at the earliest time at which any reply may have to be ended, as far as that was known when it began; when it
rings, whose time that was is looked at. With the usual patience that is every half a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf
from time import perf_counter

from fetcher.client.config import ClientConfig
from fetcher.client.reply import Reply
from fetcher.errors import ErrorKind

SHORTEST = 0.001
"""Seconds of a timer: uvloop's clock has steps of a millisecond, and shorter timers fire at once."""

GRAIN = 0.01
"""Seconds between two rings at least, so that many replies that began one after the other are looked at together."""

PAUSED = 1.0
"""Seconds between looks at a reply that we ourselves do not read."""


class Watch:
    """
    Ends the replies whose time is over.

    A reply's clock stands still while we ourselves do not read: that is nobody's fault.
    """

    def __init__(self, config: ClientConfig, loop: asyncio.AbstractEventLoop) -> None:
        self._silence = config.read_timeout or inf
        self._least_speed = config.min_speed
        self._loop = loop
        self._replies: dict[Reply, tuple[asyncio.WriteTransport, float, float]] = {}
        # When each is to be looked at, at the earliest; `inf` for one that is over.
        self._until: dict[Reply, float] = {}
        # What of a request waited to be sent when it was last looked at, where anything did.
        self._unsent: dict[Reply, int] = {}
        self._speeds: dict[Reply, _Speed] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def begin(self, reply: Reply, transport: asyncio.WriteTransport, deadline: float, timeout: float) -> None:
        """
        Look after a reply until it is ended here.

        Args:
            deadline: When its attempt's time is over, of `timeout` seconds; `inf` for never. `perf_counter`'s.
        """
        self._replies[reply] = (transport, deadline, timeout)
        unsent = transport.get_write_buffer_size()
        if unsent:
            self._unsent[reply] = unsent
        until = min(deadline, reply.last_at + self._silence)
        if self._least_speed is not None:
            speed = self._speeds[reply] = _Speed(*self._least_speed)
            until = min(until, reply.last_at + speed.step)
        self._until[reply] = until
        if until < self._rings_at:
            self._arm(until, perf_counter())

    def end(self, reply: Reply) -> None:
        """Look after it no more."""
        del self._replies[reply], self._until[reply]
        if self._unsent:
            self._unsent.pop(reply, None)
        if self._speeds:
            self._speeds.pop(reply, None)

    def close(self) -> None:
        """Ring no more."""
        self._disarm()

    def _arm(self, until: float, now: float) -> None:
        self._disarm()
        self._rings_at = until
        self._timer = self._loop.call_later(max(until - now, SHORTEST), self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rings_at = inf

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = inf
        now = perf_counter()
        for reply in [reply for reply, until in self._until.items() if until <= now]:
            self._until[reply] = inf if reply.done.done() else self._look(reply, now)
        least = min(self._until.values(), default=inf)
        if least < inf:
            self._arm(max(least, now + GRAIN), now)

    def _look(self, reply: Reply, real: float) -> float:
        """When to look again, once it is ended if it has to be."""
        transport, deadline, timeout = self._replies[reply]
        paused = reply.paused_at
        now = real if paused is None else paused
        deadline += reply.paused_for
        unsent = transport.get_write_buffer_size()
        if unsent != self._unsent.get(reply, 0):
            # The server is still taking our request: that is not silence.
            self._unsent[reply] = unsent
            reply.last_at = max(reply.last_at, now)
        if now >= deadline:
            reply.fail(ErrorKind.TIMEOUT, f"not done within {timeout:g} s in all (--timeout)")
            return inf
        if now - reply.last_at >= self._silence:
            reply.fail(ErrorKind.READ_TIMEOUT, f"silence for {self._silence:g} s (--read-timeout)")
            return inf
        until = min(deadline, reply.last_at + self._silence)
        speed = self._speeds.get(reply)
        if speed is not None:
            if reply.first_at is not None and speed.too_slow(now - reply.paused_for, reply.received):
                reply.fail(ErrorKind.TOO_SLOW, speed.complaint)
                return inf
            until = min(until, now + speed.step)
        # While its clock stands still nothing can come to pass, and a look a second is enough.
        return until if paused is None else real + max(until - now, PAUSED)


class _Speed:
    """
    Whether a reply is slower than asked for, on average over the last `seconds` at any time.

    The window slides by a tenth of its length. It opens when the first look finds a byte, at most a tenth late, so a
    drip ends between 1.0 and 1.2 times `seconds` behind its first byte.

    Attributes:
        step: Seconds between looks.
    """

    __slots__ = ("_least", "_seconds", "_seen", "step")

    def __init__(self, least: int, seconds: float) -> None:
        self._least = least
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()
        self.step = max(seconds / 10, SHORTEST)

    @property
    def complaint(self) -> str:
        """What is wrong with one that is."""
        return f"fewer than {self._least:,} bytes/s for {self._seconds:g} s (--min-speed)"

    def too_slow(self, now: float, received: int) -> bool:
        """Whether `received` bytes at `now` are too few. Asked once a step, from the first byte on."""
        seen = self._seen
        if not seen:
            # What is there already counts for the window that begins with it.
            seen.append((now, 0))
            return False
        seen.append((now, received))
        # The latest look that is a whole window ago is where it begins.
        while now - seen[1][0] >= self._seconds:
            seen.popleft()
        since, before = seen[0]
        return now - since >= self._seconds and received - before < self._least * (now - since)
