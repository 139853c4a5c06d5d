"""Owns what a run's lookups add up to. Counts, and asks nobody."""

from __future__ import annotations

from fetcher.stats import Histogram

MANY = 20
"""Lookups without an answer that are many."""

SHARE = 0.1
"""How many of all they must be."""


class Lookups:
    """
    The lookups of a run so far.

    Attributes:
        asked: Lookups that went to a resolver.
        spared: Answers that cost none: remembered ones, and those that somebody else was waiting for already.
        failed: Lookups without an address, whether there is none or nobody said.
        unanswered: Those of them in which nobody said.
        times: Seconds of each lookup.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.spared = 0
        self.failed = 0
        self.unanswered = 0
        self.times = Histogram()

    def add(self, seconds: float, *, failed: bool = False, answered: bool = True) -> None:
        """Count a lookup that is over."""
        self.asked += 1
        self.times.add(seconds)
        self.failed += int(failed)
        self.unanswered += int(not answered)

    def merge(self, other: Lookups) -> None:
        """Count all that another has counted."""
        self.asked += other.asked
        self.spared += other.spared
        self.failed += other.failed
        self.unanswered += other.unanswered
        self.times.merge(other.times)

    @property
    def troubled(self) -> bool:
        """Whether so many were not answered that it is not the names' fault."""
        return self.unanswered >= MANY and self.unanswered >= SHARE * self.asked
