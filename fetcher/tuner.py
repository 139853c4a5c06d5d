"""
Owns how many requests `-c auto` has under way at once. Pure: told what ended and when, it moves its limit.

What more slots bring is read from Little's law: with all slots in use the throughput is the slots by the time that one
reply takes, so a rise of the limit is worth what the replies do not become slower by. Their times tell within one round
(a reply from each slot), where counting replies over a time so short would count bursts. A reply twice as large may
take twice as long, once it is large. Growth stops where the throughput grows by less than the `WORTH` power of the
limit, which is Kleinrock's "power" with another weight ("Power and deterministic rules of thumb for probabilistic
problems in computer communications", 1979): from there on the slots wait for each other.

First it doubles the limit each round, as TCP's slow start does, and stops when times rise, as HyStart does (Ha and
Rhee, "Taming the elephants: New TCP slow start", 2011). Then it climbs: a step up, a step down, each kept if worth it,
each tried less often while neither is. Times are compared with those of the limit before, never with the least ever
seen as TCP Vegas and Netflix's concurrency-limits have it: a list has quick hosts and slow ones. Nor is a quick failure
good news, which scrapy's AutoThrottle has to guard against: where a larger share fails than before, nothing grows.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

START = 16
"""Slots at first, and the fewest that are tried; also the fewest replies that a round has."""

WORTH = 0.25
"""Twice the slots must bring 2 ** 0.25, or 1.19 times the throughput."""

SPARED = 0.1
"""Half of them must cost no more than 2 ** 0.1: too few cost more than too many, and between the two it stays."""

DOUBLE, STEP = 2.0, 1.5
"""Factors on the limit: at first, and later."""

SHORT, LONG = 0.1, 0.5
"""Seconds that a round lasts at least: at first, and later."""

THOROUGH = 3
"""Replies from each slot in a later round. New connections are slower, and must not decide."""

MOSTLY = 1.1
"""A reply belongs to a round if it began not much before: where all end at once, all begin just before it."""

IDLE = 0.1
"""Share of looks for work, to replies, that may be in vain; above that something else than the slots is the limit."""

RISE, MARGIN, FEW = 1.5, 0.05, 3
"""Failures have grown when their share has by this factor and this much, and there are that many."""

BACK = 0.7
"""Factor on the limit when failures have grown, or we ourselves are short of something."""

INFLATED = log(1.5)
"""Replies that take so much longer than before, at the same limit, are a reason to try fewer slots soon."""

PATIENCE, MOST_PATIENCE = 2, 32
"""Rounds between two tries at first; doubled whenever neither more slots nor fewer did better."""

WEIGHT = 64 * 1024
"""Bytes of a body that are as much work as a reply is without them."""

TICK = 1e-6
"""Seconds that a reply takes at least, for the logarithm's sake."""


class Found(NamedTuple):
    """
    What came of it, for people.

    Attributes:
        slots: The limit that did best.
        compared: Others were tried; if not, the run was over before, or never had all of its slots in use.
    """

    slots: int
    compared: bool


class _Finding(NamedTuple):
    """
    What one round told of a limit.

    Attributes:
        pace: Logarithm of the seconds that a piece of work takes, on average: one slow reply must not decide.
    """

    limit: int
    pace: float


class Tuner:
    """
    Finds the number of slots that does best.

    Args:
        most: The limit never goes above.

    Attributes:
        limit: How many requests may be under way at once now.
        base: The limit that did best so far; `limit` is another while that is tried.
    """

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._rising = True
        self._upward = True
        self._known: _Finding | None = None
        self._usual: float | None = None
        self._wait = 0
        self._patience = PATIENCE
        self.base = self.limit = min(START, most)
        self._compared = False
        self._begin(now)

    @property
    def found(self) -> Found:
        """What came of it so far."""
        return Found(self.base, self._compared)

    def ended(self, now: float, elapsed: float, size: int, *, failed: bool) -> None:
        """
        A hop is over, which may move `limit`.

        Args:
            elapsed: Seconds that it took, and what came between the one before and it: the whole of what keeps a slot
                from the next.
            size: Bytes of its body as received.
            failed: It brought nothing: no reply, not a whole one, or one that says the server had too much.
        """
        self._ended += 1
        if failed:
            self._failed += 1
        passed = now - self._since
        if elapsed <= passed * MOSTLY:
            self._count += 1
            self._times += elapsed
            self._paces += log(max(elapsed, TICK) / (1.0 + size / WEIGHT))
            if self._count >= self._need and passed >= self._least:
                before, usual = self.limit, self._times / self._count
                self._judge()
                # Who begins right after a fall still waits behind those who were more.
                self._begin(now + usual if self.limit < before else now)

    def starved(self) -> None:
        """A slot could have been used and was not: nothing was due, or nobody takes the results."""
        self._vain += 1

    def short(self, now: float, elapsed: float) -> None:
        """A hop was for want of something of our own, descriptors or ports: the ceiling is lower than was thought."""
        if elapsed > now - self._since:
            # It was begun before the limit was last moved.
            return
        self._most = max(1, int(self.limit * BACK))
        self._rising = False
        self._settle(self._most)
        self._begin(now)

    def _begin(self, now: float) -> None:
        """A round begins, with what begins from then on."""
        self._since = now
        self._ended = self._failed = self._vain = self._count = 0
        self._paces = self._times = 0.0
        self._need = max(START, self.limit if self._rising else THOROUGH * self.limit)
        self._least = SHORT if self._rising else LONG

    def _judge(self) -> None:
        """What a round tells, and where to go from there."""
        if self._vain > self._ended * IDLE:
            # Tells nothing; and what was known before may be of another time.
            self._settle(self.base)
            return
        found = _Finding(self.limit, self._paces / self._count)
        more_fail = self._more_fail()
        if self.limit == self.base:
            self._stay(found, more_fail=more_fail)
        else:
            self._decide(found, more_fail=more_fail)

    def _stay(self, found: _Finding, *, more_fail: bool) -> None:
        """A round at the limit that is known."""
        known = self._known
        if more_fail:
            self._rising = False
            self._settle(max(1, int(self.base * BACK)))
            return
        if known is not None and found.pace > known.pace + INFLATED:
            # That was in the middle of a change, so only the next round is something to compare with.
            self._upward = False
            self._wait = 0
            self._patience = PATIENCE
            self._known = None
            return
        # Of two rounds in a row both count: one that was disturbed must not be what all others are held against.
        self._known = found if known is None else found._replace(pace=(found.pace + known.pace) / 2)
        if self._wait:
            self._wait -= 1
        else:
            self._try()

    def _decide(self, found: _Finding, *, more_fail: bool) -> None:
        """A round at a limit that was tried."""
        self._compared = True
        if self._known is not None and not (more_fail and self._upward) and _worth(found, self._known):
            self.base = self.limit
            self._known = found
            self._patience = PATIENCE
            self._try()
            return
        known = None if self._rising else self._known
        turned = not self._rising and not self._upward
        if not self._rising:
            self._upward = not self._upward
        self._rising = False
        self._settle(self.base, known)
        if turned:
            self._wait = self._patience
            self._patience = min(2 * self._patience, MOST_PATIENCE)

    def _settle(self, limit: int, known: _Finding | None = None) -> None:
        self.base = self.limit = limit
        self._known = known

    def _try(self) -> None:
        """The next limit to look at."""
        for _ in range(2):
            if self._upward:
                factor = DOUBLE if self._rising else STEP
                limit = min(self._most, max(self.base + 1, int(self.base * factor)))
            else:
                limit = min(self.base, max(START, int(self.base / STEP)))
            if limit != self.base:
                self.limit = limit
                return
            self._upward = not self._upward
            if self._rising:
                # It got to the ceiling, so that fewer do as well is not to be expected.
                self._rising = False
                self._wait = self._patience
                return

    def _more_fail(self) -> bool:
        """Whether more fail than usually. What is usual is then another: a list may have a bad part."""
        share = self._failed / self._ended
        usual = self._usual
        self._usual = share if usual is None else (share + usual) / 2
        return usual is not None and self._failed >= FEW and share > usual * RISE + MARGIN


def _worth(found: _Finding, known: _Finding) -> bool:
    """Whether a limit did enough better than another, or a smaller one as well."""
    change = log(found.limit / known.limit)
    return change - (found.pace - known.pace) >= (WORTH if change > 0 else SPARED) * change
