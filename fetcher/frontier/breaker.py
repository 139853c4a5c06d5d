"""
Owns what is kept of an origin that cannot be connected to: when to look again, when to give up. Pure.

A circuit breaker (Nygard, "Release It!", 2007). Closed, it counts failures. Open, its jobs wait and cost nothing, and
three probes go through, each a job like any other. One that gets through closes it; when the last has failed, the
origin is down for the rest of the run.
"""

from __future__ import annotations

from collections import deque

from fetcher.errors import ErrorKind
from fetcher.model import Error, Job, Origin

PROBES = (1.0, 5.0, 25.0)
"""Seconds after an origin was taken out, when it is looked at again."""


class Breaker:
    """
    One origin's failures to connect, one after the other.

    Attributes:
        parked: Jobs that wait for the origin to come back.
        down: It did not.
        probe: The job that looks whether it did.
        due: The clock's time of the next look.
        alarm: The clock's time for which it has asked to be looked at again.
    """

    __slots__ = ("_failures", "_opened", "_probes", "_reason", "alarm", "down", "due", "origin", "parked", "probe")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.parked: deque[Job] = deque()
        self.down = False
        self.probe: Job | None = None
        self.due = 0.0
        self.alarm = 0.0
        self._opened: float | None = None
        self._failures = 0
        self._probes = 0
        self._reason = ""

    @property
    def open(self) -> bool:
        """Whether jobs have to wait."""
        return self._opened is not None

    def admits(self, job: Job, now: float) -> bool:
        """Whether a job may go. One that may while the breaker is open is its probe."""
        if self._opened is None or self.probe is job:
            return True
        if self.down or self.probe is not None or now < self.due:
            return False
        self.probe = job
        return True

    def failed(self, job: Job, now: float, reason: str, threshold: int) -> bool:
        """A job could not connect. Whether there is a new time to look again (`due`), or none any more (`down`)."""
        self._failures += 1
        self._reason = reason
        if self._opened is None:
            if self._failures < threshold:
                return False
            self._opened = now
        elif self.probe is job:
            self.probe = None
            self._probes += 1
        else:
            # It was under way when the origin was taken out.
            return False
        if self._probes == len(PROBES):
            self.down = True
        else:
            self.due = max(now, self._opened + PROBES[self._probes])
        return True

    def undecided(self, job: Job, now: float) -> bool:
        """A job ended without a word about the origin. Whether there is a new time to look again."""
        if self.probe is not job:
            return False
        self.probe = None
        self.due = now + PROBES[0]
        return True

    def epitaph(self) -> Error:
        """What becomes of the jobs of an origin that is down."""
        tries = f"{self._failures} tries in a row came to nothing, the last: {self._reason}"
        return Error(ErrorKind.HOST_DOWN, f"{self.origin.text} is down and was not asked again: {tries}")
