"""What is the run's and moves among its processes: never more in all than there is, and nothing idle that is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.backends.allotment import Allotment, Move, fill
from fetcher.client.throttle import BURST, Throttle
from fetcher.engine import Engine
from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import Frontier
from fetcher.frontier.pace import Pace
from fetcher.model import Job, Origin, Request, Result, Url
from fetcher.settings import Settings
from tests.conftest import Afetch
from tests.servers import PATIENCE, Site


def slots(whole: int = 8, *, begun: int = 2) -> Allotment:
    """Slots of two processes."""
    allotment = Allotment(whole, 2, pieces=True)
    for number in range(begun):
        allotment.begin(number)
    return allotment


# Who has how much.


def test_parts_are_even_at_first() -> None:
    """And whole ones, all together as many as there are."""
    allotment = Allotment(7, 3, pieces=True)

    assert [allotment.begin(number) for number in range(3)] == [3, 2, 2]


def test_what_nobody_has_goes_to_whoever_is_short() -> None:
    """A process that has not begun needs nothing."""
    allotment = slots(begun=1)

    assert allotment.plan([100, 0]) == [Move(0, 4, 8)]
    assert allotment.begin(1) == 0


def test_what_one_does_not_use_is_given_up_before_another_has_it() -> None:
    """Until then it counts as used: never is there more in all."""
    allotment = slots()

    asked = allotment.plan([100, 1])
    again = allotment.plan([100, 1])
    allotment.gave(1, 2)
    some = allotment.plan([100, 1])
    allotment.gave(1, 1)

    assert (asked, again) == ([Move(1, 0, 1)], [])
    assert some == [Move(0, 2, 6)]
    assert allotment.plan([100, 1]) == [Move(0, 1, 7)]


def test_whoever_wants_its_part_again_has_it() -> None:
    """What was lent comes back as soon as it is free."""
    allotment = slots(begun=1)
    allotment.plan([100, 0])
    allotment.begin(1)

    asked = allotment.plan([100, 100])
    allotment.gave(0, 4)

    assert asked == [Move(0, 0, 4)]
    assert allotment.plan([100, 100]) == [Move(1, 4, 4)]
    assert allotment.plan([100, 100]) == []


def test_who_wants_again_what_it_was_to_give_up_keeps_it() -> None:
    """It is told so, though it has not given up anything."""
    allotment = slots()
    allotment.plan([100, 1])

    assert allotment.plan([0, 8]) == [Move(1, 0, 4), Move(0, 0, 0)]
    allotment.gave(0, 4)
    assert allotment.plan([0, 8]) == [Move(1, 4, 8)]


def test_a_process_that_is_no_more_has_nothing() -> None:
    """Others have it."""
    allotment = slots()

    allotment.end(1)

    assert allotment.plan([100, 0]) == [Move(0, 4, 8)]


def test_a_rate_goes_to_who_would_go_faster() -> None:
    """Little by little, since nobody knows how much another one uses; all of it, where that has nothing to do."""
    rate = Allotment(10.0, 2, pieces=False)
    for number in range(2):
        rate.begin(number)

    def wishes(*, other_is_busy: bool) -> list[float]:
        return [rate.wish(0, short=True, busy=True), rate.wish(1, short=False, busy=other_is_busy)]

    assert rate.plan(wishes(other_is_busy=True)) == [Move(1, 0, 4.0)]
    rate.gave(1, 1.0)
    assert rate.plan(wishes(other_is_busy=True))[0] == Move(0, 1.0, 6.0)
    assert rate.plan(wishes(other_is_busy=False)) == [Move(1, 0, 0)]


@given(st.integers(1, 50), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_parts_are_what_is_wanted_or_even(whole: int, wants: list[int]) -> None:
    """No more than there is and no more than is wanted, and nobody has less than another who wants no more."""
    parts = fill(whole, wants, pieces=True)

    assert sum(parts) == min(whole, sum(wants))
    assert all(part <= want for part, want in zip(parts, wants, strict=True))
    wanting = [part for part, want in zip(parts, wants, strict=True) if part < want]
    assert not wanting or max(parts) - min(wanting) <= 1


@given(st.lists(st.tuples(st.lists(st.integers(0, 20), min_size=3, max_size=3), st.integers(0, 5)), max_size=30))
def test_there_is_never_more_than_the_whole(steps: list[tuple[list[int], int]]) -> None:
    """Whatever is wanted, and however slowly it is given up; what the processes have is never above what we know."""
    allotment = Allotment(9, 3, pieces=True)
    have = [allotment.begin(number) for number in range(3)]
    aims = list(have)
    for wants, pace in steps:
        for number, more, aim in allotment.plan(wants):
            have[number] += more
            aims[number] = aim
        assert sum(have) <= 9
        for number in range(3):
            amount = min(pace, max(0, have[number] - aims[number]))
            have[number] -= amount
            allotment.gave(number, amount)
    assert have == allotment.given


# What a process does with it.


class Feed:
    """A source of one URL, which stays open until it is told."""

    total = None

    def __init__(self, url: Url, count: int) -> None:
        self._requests = [Request(number, str(url), url) for number in range(count)]
        self.closed = asyncio.Event()

    def estimate(self) -> None:
        """Nobody knows."""

    def close(self) -> None:
        """Nothing is open."""

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        """All at once."""
        yield self._requests
        await self.closed.wait()


class Kept:
    """Results, all of them."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def put(self, result: Result) -> None:
        """Take it in."""
        self.results.append(result)

    def full(self) -> bool:
        """Never."""
        return False

    async def room(self) -> None:
        """There is."""


def place_of(address: str) -> Url:
    """A site's address as an engine has it."""
    scheme, _, rest = address.partition("://")
    host, _, port = rest.partition("/")[0].partition(":")
    return Url(Origin(scheme, host, int(port), f"{scheme}://{host}:{port}"), "/" + rest.partition("/")[2])


async def arrived(site: Site, count: int) -> None:
    """Return when so many requests have arrived."""
    await asyncio.get_running_loop().run_in_executor(None, site.wait, count)


async def test_an_engine_works_with_the_slots_that_it_has(site: Site) -> None:
    """No more than those, then with more; what it is to give up it gives up as it gets free, and says so."""
    gate = site.gate()
    feed, kept, given_up = Feed(place_of(gate.url), 9), Kept(), 0

    def gave(count: int) -> None:
        nonlocal given_up
        given_up += count

    engine = Engine(Settings(concurrency=8), feed, kept, own=2)
    engine.on_given = gave
    async with asyncio.timeout(PATIENCE):
        running = asyncio.create_task(engine.run())
        await arrived(site, 2)
        at_first = engine.in_flight
        engine.allot(3, 5)
        await arrived(site, 5)
        then = engine.in_flight
        engine.allot(0, 0)
        kept_at_work = given_up
        gate.open()
        while given_up < 5:
            await asyncio.sleep(0)
        done_without = len(kept.results)
        engine.allot(1, 1)
        feed.closed.set()
        await running

    assert (at_first, then, kept_at_work) == (2, 5, 0)
    assert done_without == 5
    assert len(kept.results) == 9
    assert site.peak == 5


async def test_an_engine_without_a_slot_ends_when_there_is_nothing_to_do() -> None:
    """Nobody has to lend it one for that."""
    feed = Feed(Url(Origin("http", "a.example", 80, "http://a.example"), "/"), 0)
    engine = Engine(Settings(concurrency=3), feed, Kept(), own=0)
    async with asyncio.timeout(PATIENCE):
        running = asyncio.create_task(engine.run())
        await asyncio.sleep(0)
        feed.closed.set()
        await running

    assert engine.delivered == 0


def test_a_pace_that_changes_lets_no_burst_go() -> None:
    """The next one goes a gap behind the last one, the new gap; and what was missed is not caught up on."""
    pace = Pace(1.0)
    pace.took(10.0)

    pace.change(0.5, 10.1)
    sooner = pace.due
    pace.change(100.0, 10.2)
    pace.change(0.5, 90.0)

    assert sooner == 10.5
    assert pace.due == 90.0


def test_a_frontier_has_its_part_of_the_rate() -> None:
    """None of it, then some; and it says whether more would help."""
    frontier = Frontier(FrontierConfig(rate=10.0))
    url = Url(Origin("http", "a.example", 80, "http://a.example"), "/")
    for index in range(9):
        frontier.add(Job(Request(index, str(url), url), url, "GET", None), 0.0)

    frontier.take(1.0)
    frontier.allot(0.0, 1.0)
    without = [frontier.take(now) for now in (1.5, 100.0)]
    frontier.allot(5.0, 100.0)

    times = [step / 100 for step in range(10_000, 10_100) if frontier.take(step / 100) is not None]
    assert without == [None, None]
    assert frontier.paced(101.0)
    assert times == pytest.approx([100.0, 100.2, 100.4, 100.6, 100.8], abs=0.02)


async def test_a_throttle_that_changes_keeps_its_debt() -> None:
    """What was read beyond one rate is paid for at the next."""
    now = 1.0

    class Reader:
        """Counts when it may read."""

        held = False

        def hold(self) -> None:
            """No more."""
            self.held = True

        def go_on(self) -> None:
            """Again."""
            self.held = False

    reader = Reader()
    throttle = Throttle(1000.0, asyncio.get_running_loop(), clock=lambda: now)
    now += BURST
    throttle.begin(reader)
    throttle.take(1100, reader)
    throttle.change(0.0)
    holds = throttle.holds
    throttle.change(100.0)
    now += 9.0
    throttle._turn()
    after_nine = reader.held
    now += 1.5
    throttle._turn()
    throttle.close()

    assert holds
    assert after_nine
    assert not reader.held


# The command.


def test_slots_that_one_process_does_not_use_are_the_others(afetch: Afetch, site: Site) -> None:
    """A few entries of one host are one process's, which has all of `-c` for them."""
    gate = site.gate()

    process = afetch.start(*[gate.url] * 6, "--json", "-c", "6", "--processes", "2")
    site.wait(6, 3 * PATIENCE)
    gate.open()
    out, _ = process.communicate(timeout=3 * PATIENCE)

    assert len(out.splitlines()) == 6
    assert site.peak == 6
