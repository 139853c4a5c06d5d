"""
Owns what is kept of a host that is not simply asked: its limits, its window and its holds. Pure.

A window of simultaneous requests grows by one with each window of replies and is halved by a refusal, as TCP's does
(Jacobson, "Congestion Avoidance and Control", 1988). A window of one cannot be halved: from there the gap between two
requests doubles, and shrinks by a tenth with each reply.
"""

from __future__ import annotations

from math import inf

from fetcher.frontier.pace import Pace

FIRST_GAP = 1.0
"""Seconds between two requests, once one at a time was too many; also the first hold where the host names none."""

LONGEST_GAP = 10.0
"""Seconds between two requests at most, and of a hold that the host did not name."""

LEAST_GAP = 0.01
"""Seconds below which a gap is none any more, and the window grows instead."""

RECOVERY = 0.9
"""What is left of a gap after a reply."""

MEMORY = 300.0
"""Seconds after its last refusal that a host's window is remembered while there is nothing to ask it."""


class Host:
    """
    One host's limits, and what it taught us.

    Args:
        limit: The most requests under way at once; `inf` where only the slots limit them.
        gap: Seconds between two requests; 0 for no rate.
        adapt: Learn from refusals.

    Attributes:
        parked: It has jobs, and none of them may go now.
        refusing: It refused a request at least once.
        alarm: The clock's time for which it has asked to be looked at again.
        hold: The clock's time before which nothing goes.
        window: The most requests under way at once, for now.
    """

    __slots__ = (
        "_adapt",
        "_alone",
        "_gap",
        "_halved",
        "_last",
        "_limit",
        "_pace",
        "_refused",
        "_replies",
        "_streak",
        "alarm",
        "hold",
        "name",
        "parked",
        "refusing",
        "window",
    )

    def __init__(self, name: str, limit: float, gap: float, *, adapt: bool) -> None:
        self.name = name
        self.parked = False
        self.refusing = False
        self.alarm = 0.0
        self.hold = 0.0
        self.window = limit
        self._limit = limit
        self._pace = Pace(gap) if gap else None
        self._adapt = adapt
        self._gap = 0.0
        self._last = 0.0
        self._alone = False
        self._replies = 0.0
        self._streak = 0
        self._halved = -inf
        self._refused = -inf

    @property
    def due(self) -> float:
        """The clock's time from which the next request may go, as far as time is what it waits for."""
        due = self.hold
        if self._gap and self._last + self._gap > due:
            due = self._last + self._gap
        if self._pace is not None and self._pace.due > due:
            due = self._pace.due
        return due

    @property
    def rested(self) -> float:
        """The clock's time from which nothing of all this matters any more, if nothing is asked until then."""
        learned = self.window < self._limit or self._gap
        return max(self.due, self._refused + MEMORY if learned else 0.0)

    def ready(self, now: float, active: int) -> float:
        """When the next request may go: 0.0 is now, `inf` once one of the `active` is over."""
        if active >= self.window or (self._alone and active):
            return inf
        due = self.due
        return due if due > now else 0.0

    def humbled(self, now: float) -> bool:
        """Whether it gets less than it may, because it wants less, or has to be left alone."""
        return self.window < self._limit or self._gap > 0 or self.hold > now

    def divide(self, limit: float, ways: int) -> None:
        """From now on only so many at once, and one `ways`-th of its rate, because others have the rest."""
        self._limit = limit
        self.window = min(self.window, limit)
        if self._pace is not None:
            self._pace.gap *= ways

    def slow(self, gap: float, now: float) -> None:
        """Keep at least so many seconds between two requests, from now on."""
        pace = self._pace
        if pace is None:
            pace = self._pace = Pace(gap)
        pace.gap = max(gap, pace.gap)
        # A rate is kept on average, and this each time: only what is above it can be caught up on.
        pace.slack = min(pace.slack, pace.gap - gap)
        pace.due = max(pace.due, now + gap)

    def took(self, now: float) -> None:
        """A request goes."""
        self._last = now
        if self._pace is not None:
            self._pace.took(now)

    def served(self, sent: float) -> None:
        """A request that went out at `sent` was answered, and not with a refusal."""
        if sent < self.hold:
            # It was under way when the host refused another: no sign of better times.
            return
        self._alone = False
        self._streak = 0
        if self._gap:
            self._gap *= RECOVERY
            if self._gap < LEAST_GAP:
                self._gap = 0.0
        elif self.window < self._limit:
            self._replies += 1
            if self._replies >= self.window:
                self._replies = 0.0
                self.window += 1

    def refused(self, now: float, sent: float, active: int, wait: float | None) -> bool:
        """
        A request that went out at `sent`, one of `active`, was refused; the host asks for `wait` seconds, or does not
        say. Whether that is news: those that were under way together are one refusal, once a round trip is enough.
        """
        self._refused = now
        fresh = sent >= self._halved
        if fresh:
            self._halved = now
            self._streak += 1
            if self._adapt and not self._halve(active):
                self._gap = min(LONGEST_GAP, max(FIRST_GAP, 2 * self._gap))
        if wait is None:
            wait = self._gap or min(LONGEST_GAP, FIRST_GAP * 2.0 ** min(self._streak - 1, 10))
        if now + wait > self.hold:
            self.hold = now + wait
        self._alone = self._adapt
        return fresh

    def shunned(self, now: float, sent: float, active: int) -> None:
        """As `refused`, but the host asks for longer than anybody waits: it gets less at once, and no hold."""
        self._refused = now
        if sent >= self._halved:
            self._halved = now
            if self._adapt:
                self._halve(active)

    def _halve(self, active: int) -> bool:
        """Allow half of what was really under way, whatever the window would have allowed; False at one."""
        self._replies = 0.0
        if self.window <= 1:
            return False
        self.window = max(1, min(self.window, active) // 2)
        return True
