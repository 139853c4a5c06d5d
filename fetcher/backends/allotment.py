"""
Owns who may have how much of what is the run's: its slots, its rates. Never more in all than there is. Pure.

What nobody uses goes to whoever is short of it. It is taken from one before another has it: who is to have less is told
so, and counts as having all of it until it says what it has given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LITTLE = 0.02
"""Part of the whole that is not worth a message."""

LESS, MORE = 0.8, 2.0
"""Factors on the part of a rate: of one who does not use all of it, of one who would use more."""

FIRST = 0.1
"""Part of the whole that one who has nearly nothing wants at least, once it is short."""


class Move(NamedTuple):
    """
    What a process is told.

    Attributes:
        more: What it has beside what it had.
        aim: Beyond this it is to give up what it has.
    """

    number: int
    more: float
    aim: float


class Allotment:
    """
    One thing that is divided among processes.

    Args:
        pieces: It comes in whole ones.

    Attributes:
        given: What each of them has at most.
    """

    def __init__(self, whole: float, count: int, *, pieces: bool) -> None:
        self.whole = whole
        self._pieces = pieces
        self._little = 0 if pieces else LITTLE * whole
        self._aims: list[float] = [0] * count
        self.given: list[float] = [0] * count

    def begin(self, number: int) -> float:
        """What a new process has: an even part, or what is left of it."""
        fair = fill(self.whole, [self.whole] * len(self.given), pieces=self._pieces)[number]
        part = min(fair, self._free)
        self.given[number] = self._aims[number] = part
        return part

    def end(self, number: int) -> None:
        """A process is no more."""
        self.given[number] = self._aims[number] = 0

    def gave(self, number: int, amount: float) -> None:
        """A process has given up so much."""
        self.given[number] -= amount

    def plan(self, wants: Sequence[float]) -> list[Move]:
        """
        What is to be told, so that each has what it can use, or an even part of what there is; nothing, if nobody is
        short.

        Args:
            wants: How much each could use; 0 for those that have not begun.
        """
        levels = fill(self.whole, wants, pieces=self._pieces)
        given, aims = self.given, self._aims
        short = [number for number, level in enumerate(levels) if level - given[number] > self._little]
        moves = []
        for number in short:
            more = min(levels[number] - given[number], self._free)
            if more > 0:
                given[number] += more
            if more > 0 or aims[number] < given[number]:
                aims[number] = given[number]
                moves.append(Move(number, max(0, more), given[number]))
        if any(given[number] < levels[number] for number in short):
            for number, level in enumerate(levels):
                if aims[number] - level > self._little:
                    aims[number] = level
                    moves.append(Move(number, 0, level))
        return moves

    def wish(self, number: int, *, short: bool, busy: bool) -> float:
        """
        What of a rate a process could use: nobody knows but by trying.

        Args:
            short: It would go faster.
            busy: It has something to do.
        """
        if short:
            return min(self.whole, max(MORE * self.given[number], FIRST * self.whole))
        return LESS * self.given[number] if busy else 0

    @property
    def _free(self) -> float:
        return max(0, self.whole - sum(self.given))


def fill(whole: float, wants: Sequence[float], *, pieces: bool) -> list[float]:
    """What each gets of the whole: what it wants, or an even part of what those leave who want less."""
    parts: list[float] = [0] * len(wants)
    left = whole
    many = len(wants)
    for place, number in enumerate(sorted(range(many), key=lambda number: (wants[number], -number))):
        part = left // (many - place) if pieces else left / (many - place)
        parts[number] = min(wants[number], part)
        left -= parts[number]
    return parts
