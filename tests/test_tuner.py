"""What `-c auto` comes to, against servers of arithmetic: no clock, no network, the same numbers each time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest

from fetcher.tuner import START, Tuner

MOST = 1_000


@dataclass
class World:
    """
    A run with all its slots in use, in simulated time.

    Attributes:
        reply: From how many are under way, and the time: the seconds of a reply that begins now, its bytes, and whether
            it fails.
        limits: Times and limits.
        open: Whether there is work at a time.
    """

    tuner: Tuner
    reply: Callable[[int, float], tuple[float, int, bool]]
    open: Callable[[float], bool] = lambda _now: True
    now: float = 0.0
    done: int = 0
    failed: int = 0
    most: int = 0
    _under_way: list[tuple[float, int, float, int, bool]] = field(default_factory=list)
    _number: int = 0

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        until = self.now + seconds
        self._begin()
        while self._under_way and self._under_way[0][0] <= until:
            self.now, _, began, size, failed = heapq.heappop(self._under_way)
            self.done += 1
            self.failed += failed
            self.tuner.ended(self.now, self.now - began, size, failed=failed)
            self._begin()
        self.now = until

    def _begin(self) -> None:
        if not self.open(self.now):
            # Whoever is idle is woken for each job that comes, takes it, and looks in vain for another.
            self.tuner.starved()
            if self._under_way:
                return
        while len(self._under_way) < self.tuner.limit:
            elapsed, size, failed = self.reply(len(self._under_way) + 1, self.now)
            self._number += 1
            heapq.heappush(self._under_way, (self.now + elapsed, self._number, self.now, size, failed))
            if not self.open(self.now):
                break
        self.most = max(self.most, len(self._under_way))


class Capacity:
    """A server that does so many at once, each in so many seconds; more wait for each other."""

    def __init__(self, slots: float, seconds: float, *, noise: float = 0.3, seed: int = 1) -> None:
        self.slots = slots
        self.seconds = seconds
        self.noise = noise
        self.chance = random.Random(seed)

    def __call__(self, under_way: int, _now: float) -> tuple[float, int, bool]:
        crowd = max(1.0, under_way / self.slots)
        return self.seconds * crowd * self.chance.lognormvariate(0, self.noise), 1_000, False


def world(reply: Callable[[int, float], tuple[float, int, bool]], most: int = MOST, **options: Any) -> World:
    """A run that begins."""
    return World(Tuner(most, 0.0), reply, **options)


CAPACITIES = [(20, 0.002), (20, 0.1), (100, 0.1), (300, 0.1), (50, 1.0), (150, 3.0)]


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize(("slots", "seconds"), CAPACITIES)
def test_it_finds_what_a_server_can_do(slots: int, seconds: float, noise: float) -> None:
    """Nearly all of the throughput that there is, with no more requests at once than that needs."""
    run = world(Capacity(slots, seconds, noise=noise))
    run.run(15 + 40 * seconds)
    before = run.done

    run.run(15 + 40 * seconds)

    # The mean of the noise is a little above 1, and now and then fewer are tried.
    assert (run.done - before) / (15 + 40 * seconds) > 0.85 * slots / seconds
    assert 0.8 * slots < run.tuner.base < 2.1 * slots
    assert run.tuner.found == (run.tuner.base, True)


def test_it_never_tries_fewer_than_at_the_start() -> None:
    """A server that can do two at once loses nothing by eight, and noise must not bring a run to a stand."""
    run = world(Capacity(2, 0.05, noise=1.0))
    limits = []

    for _ in range(60):
        run.run(1)
        limits.append(run.tuner.limit)

    assert min(limits) == START
    assert run.tuner.base < 3 * START


def test_it_grows_within_a_second() -> None:
    """Where only time counts, ten thousand replies after 100 ms must not be over before the best number is found."""
    run = world(Capacity(inf, 0.1, noise=0.05))

    run.run(1.2)

    assert run.tuner.limit >= 512


@pytest.mark.parametrize("most", [1, 5, 60])
def test_the_ceiling_is_never_passed(most: int) -> None:
    """Not even for a try."""
    run = world(Capacity(inf, 0.1), most)

    run.run(60)

    assert run.most == run.tuner.base == most


def test_it_follows_a_server_that_changes() -> None:
    """What was best an hour ago need not be now."""
    server = Capacity(200, 0.1)
    run = world(server)
    found = []

    for slots in (200, 20, 200):
        server.slots = slots
        run.run(60)
        found.append(run.tuner.base)

    assert 160 < found[0] < 420
    assert found[1] < 45
    assert 160 < found[2] < 420


def test_a_server_that_refuses_what_is_too_much_is_not_asked_for_more() -> None:
    """A refusal is quick, and more of them would look like throughput."""
    chance = random.Random(1)

    def reply(under_way: int, _now: float) -> tuple[float, int, bool]:
        if under_way > 50:
            return 0.001, 0, True
        return 0.1 * chance.lognormvariate(0, 0.2), 1_000, False

    run = world(reply)

    run.run(60)

    assert run.tuner.base < 75
    assert run.most < 130


def test_fewer_are_asked_of_a_server_that_begins_to_fail() -> None:
    """More fail than before, at the same number: that is reason enough."""
    chance = random.Random(1)
    failing = 0.0

    def reply(_under_way: int, _now: float) -> tuple[float, int, bool]:
        return 0.1 * chance.lognormvariate(0, 0.2), 1_000, chance.random() < failing

    run = world(reply, 64)
    run.run(20)
    before = run.tuner.base

    failing = 0.3
    run.run(1.5)
    after = run.tuner.base
    run.run(60)

    assert before == 64
    assert 20 < after < 45
    # As many fail with fewer, so that is how this part of the list is.
    assert run.tuner.base == 64


def test_failures_that_were_always_there_keep_nothing_small() -> None:
    """A list with dead links has them at any number."""
    chance = random.Random(1)

    def reply(_under_way: int, _now: float) -> tuple[float, int, bool]:
        return 0.1 * chance.lognormvariate(0, 0.2), 1_000, chance.random() < 0.3

    run = world(reply)

    run.run(30)

    assert run.tuner.base > 400


def test_a_few_that_take_for_ever_decide_nothing() -> None:
    """One in thirty takes 30 s; all others would be held up by it."""
    chance = random.Random(1)

    def reply(_under_way: int, _now: float) -> tuple[float, int, bool]:
        dead = chance.random() < 0.03
        return (30.0 if dead else 0.1 * chance.lognormvariate(0, 0.2)), 1_000, dead

    run = world(reply)

    run.run(60)

    assert run.tuner.base > 400


def test_a_line_that_is_full_is_not_shared_further() -> None:
    """Bodies of a megabyte over 10 MB/s: ten at once take ten times as long each."""
    chance = random.Random(1)

    def reply(under_way: int, _now: float) -> tuple[float, int, bool]:
        size = int(1_000_000 * chance.uniform(0.5, 1.5))
        return 0.05 + size * under_way / 10_000_000, size, False

    run = world(reply)

    run.run(120)

    assert run.most < 3 * START
    assert run.tuner.base <= START


def test_large_bodies_among_small_ones_are_no_slowness() -> None:
    """Each connection has its own speed, and sizes differ a thousandfold."""
    chance = random.Random(1)

    def reply(_under_way: int, _now: float) -> tuple[float, int, bool]:
        size = int(10 ** chance.uniform(3, 6))
        return 0.1 + size / 1_000_000, size, False

    run = world(reply)

    run.run(60)

    assert run.tuner.base > 400


def test_a_list_that_comes_slowly_tells_nothing() -> None:
    """Slots that wait for work, or for a rate, are not compared; and the time before does not harm the time after."""
    burst = [True]
    run = world(Capacity(100, 0.1), open=lambda now: burst[0] or now % 1.0 < 0.05)
    burst[0] = False
    run.run(60)
    slow = run.tuner.found

    burst[0] = True
    run.run(30)

    assert slow == (START, False)
    assert 80 < run.tuner.base < 210


def test_a_shortage_of_our_own_lowers_the_ceiling() -> None:
    """Once for all that were begun together, and for good."""
    run = world(Capacity(inf, 0.1), 200)
    run.run(10)
    now = run.now

    for _ in range(50):
        run.tuner.short(now, 0.01)
    run.run(60)

    assert run.tuner.base == run.tuner.limit == 140
