"""Owns when the next request of a rate may go. Pure: the clock's reading comes in by the door."""

from __future__ import annotations

CATCH_UP = 0.1
"""Seconds' worth of requests that may go at once where a run fell behind: the burst that a rate allows."""


class Pace:
    """
    A rate, kept smooth: the generic cell rate algorithm (ITU-T I.371), which is a leaky bucket without its timer.

    Requests are a gap apart. One that came late lets the next ones come sooner, by no more than `slack` seconds in
    all, so no second ever has more than the rate and a tenth of it, rounded up to whole requests.

    Attributes:
        gap: Seconds between two requests.
        slack: Seconds that may be caught up on.
        due: The clock's time from which the next may go.
    """

    __slots__ = ("due", "gap", "slack")

    def __init__(self, gap: float) -> None:
        self.gap = gap
        self.slack = CATCH_UP
        self.due = 0.0

    def change(self, gap: float, now: float) -> None:
        """Another gap, also behind the request that went last; what was missed so far is not caught up on."""
        self.due = max(now, self.due - self.gap + gap)
        self.gap = gap

    def took(self, now: float) -> None:
        """A request goes."""
        # The first has nothing to catch up with.
        behind = now - self.slack if self.due else now
        self.due = max(behind, self.due) + self.gap
