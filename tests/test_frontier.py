"""The frontier alone: no I/O, the clock in the test's hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.frontier import frontier as rooms
from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import WIDEST, Frontier
from fetcher.model import Job, News, Request, Word
from fetcher.policy import SERVED, first_job
from fetcher.urls import parse_url

UNCONNECTED = News(Word.UNCONNECTED, None, "refused: nobody listens")


def job(host: str, number: int = 0) -> Job:
    url, _ = parse_url(f"http://{host}/{number}")
    return first_job(Request(number, str(url), url), url)


def refused(wait: float | None = None) -> News:
    return News(Word.REFUSED, wait, "status 429")


def take(frontier: Frontier, now: float) -> Job:
    """The next job, which must be due."""
    taken = frontier.take(now)
    assert taken is not None
    return taken


def fail(frontier: Frontier, host: str, now: float, times: int, news: News = UNCONNECTED) -> None:
    """So many fresh jobs of a host end at once, one after the other, with a word."""
    for number in range(times):
        frontier.add(job(host, 1000 + number), 0.0)
        frontier.done(take(frontier, now), now, 0.0, news)


def drain(frontier: Frontier, now: float = 1.0) -> list[str]:
    """The URLs of all jobs that are due, in the order in which they are taken."""
    taken = []
    while (due := frontier.take(now)) is not None:
        taken.append(str(due.url).removeprefix("http://"))
        frontier.done(due, now, 0.0, SERVED)
    return taken


def test_hosts_take_turns_in_a_list_sorted_by_host() -> None:
    """Three URLs of each of three hosts, sorted: no host goes twice before the others went once."""
    frontier = Frontier(FrontierConfig())

    for host in ("a", "b", "c"):
        for number in range(3):
            frontier.add(job(host, number), 0.0)

    assert drain(frontier) == ["a/0", "b/0", "c/0", "a/1", "b/1", "c/1", "a/2", "b/2", "c/2"]


def test_a_job_that_is_due_later_waits_until_then() -> None:
    """Not before its time, and next_due says when to come back."""
    frontier = Frontier(FrontierConfig())
    frontier.add(job("a"), 5.0)

    early = frontier.take(4.9)
    due = frontier.next_due()
    late = frontier.take(5.0)

    assert early is None
    assert due == 5.0
    assert late is not None


def test_what_waits_does_not_hold_up_what_is_due() -> None:
    """A job in an hour and a job now: now goes first, and next_due is now."""
    frontier = Frontier(FrontierConfig())
    frontier.add(job("a", 1), 3600.0)
    frontier.add(job("a", 2), 0.0)

    due = frontier.next_due()
    taken = drain(frontier)

    assert due == 0.0
    assert taken == ["a/2"]
    assert frontier.waiting == 1


def test_jobs_due_at_the_same_time_go_in_the_order_in_which_they_came() -> None:
    """Equal times do not compare jobs, which cannot be compared."""
    frontier = Frontier(FrontierConfig())
    for number in range(3):
        frontier.add(job("a", number), 2.0)

    assert drain(frontier, 2.0) == ["a/0", "a/1", "a/2"]


def test_room_counts_what_is_queued_waiting_and_under_way() -> None:
    """A window of three is full with one job of each, and has room when one is done."""
    frontier = Frontier(FrontierConfig(window=3))
    frontier.add(job("a", 1), 0.0)
    under_way = frontier.take(1.0)
    frontier.add(job("a", 2), 0.0)
    frontier.add(job("a", 3), 9.0)

    full = frontier.room()
    assert under_way is not None
    frontier.done(under_way, 1.0, 0.0, SERVED)

    assert full == 0
    assert frontier.room() == 1


def test_a_host_without_jobs_is_forgotten() -> None:
    """A million hosts seen cost nothing once their queues are empty."""
    frontier = Frontier(FrontierConfig())
    for number in range(1000):
        frontier.add(job(f"host{number}"), 0.0)

    drain(frontier)

    assert not frontier._queues
    assert len(frontier) == 0


def test_expects_says_whether_a_host_has_more_queued() -> None:
    """A connection is worth keeping while it does."""
    frontier = Frontier(FrontierConfig())
    frontier.add(job("a", 1), 0.0)
    frontier.add(job("a", 2), 0.0)

    frontier.take(1.0)
    with_one_left = frontier.expects("a")
    frontier.take(1.0)

    assert with_one_left
    assert not frontier.expects("a")


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 10)), max_size=60), st.data())
def test_nothing_is_lost_nothing_comes_twice_and_nothing_early(
    adds: list[tuple[str, float]], data: st.DataObject
) -> None:
    """Over any order of adding, taking and the clock going on."""
    frontier = Frontier(FrontierConfig(window=1000))
    due = {number: when for number, (_, when) in enumerate(adds)}
    taken: list[int] = []
    now = 0.0

    for number, (host, when) in enumerate(adds):
        frontier.add(job(host, number), when)
        if data.draw(st.booleans()):
            now += data.draw(st.floats(0, 3))
            found = frontier.take(now)
            if found is not None:
                assert due[found.request.index] <= now
                taken.append(found.request.index)
                frontier.done(found, 1.0, 0.0, SERVED)
    while len(frontier):
        then = frontier.next_due()
        assert then is not None
        now = max(now, then)
        found = frontier.take(now)
        assert found is not None
        taken.append(found.request.index)
        frontier.done(found, 1.0, 0.0, SERVED)

    assert sorted(taken) == list(range(len(adds)))


# How far ahead.


def test_a_window_widens_while_all_that_it_holds_waits_and_no_further_than_stated() -> None:
    """Doubled up to ten times; then the time until something goes counts as pinched."""
    frontier = Frontier(FrontierConfig(window=3))
    rooms_left, now = [], 1.0

    for _ in range(6):
        frontier.widen(now)
        for number in range(frontier.room()):
            frontier.add(job("a", number), 100.0)
        rooms_left.append(len(frontier))
    taken = take(frontier, 100.0)
    frontier.done(taken, 100.0, 0.0, SERVED)

    assert rooms_left == [3, 6, 12, 24, 3 * WIDEST, 3 * WIDEST]
    assert len(frontier) == 3 * WIDEST - 1
    assert frontier.waits.pinched == 99.0


def test_a_window_is_its_usual_size_again_when_it_has_emptied() -> None:
    """What was looked at beyond it is worked off first."""
    frontier = Frontier(FrontierConfig(window=2))
    frontier.add(job("a", 0), 5.0)
    frontier.add(job("a", 1), 5.0)
    frontier.widen(1.0)
    frontier.add(job("a", 2), 5.0)
    frontier.add(job("a", 3), 5.0)

    room = []
    for _ in range(4):
        frontier.done(take(frontier, 5.0), 5.0, 0.0, SERVED)
        room.append(frontier.room())

    assert room == [1, 2, 1, 2]


def test_a_window_does_not_widen_for_what_is_due_or_under_way() -> None:
    """A small window is a small window: only waiting is a reason to look further."""
    frontier = Frontier(FrontierConfig(window=1))

    empty = frontier.widen(1.0)
    frontier.add(job("a"), 0.0)
    due = frontier.widen(1.0)
    frontier.take(1.0)
    under_way = frontier.widen(1.0)

    assert (empty, due, under_way) == (False, False, False)
    assert frontier.waits.pinched == 0.0


# Breakers.


def test_an_origin_that_comes_back_has_its_jobs_once() -> None:
    """One that was under way closes the breaker before its probe was due; the alarm for that finds nothing then."""
    frontier = Frontier(FrontierConfig(breaker=1))
    for number in range(4):
        frontier.add(job("a", number), 0.0)
    dead, alive = take(frontier, 1.0), take(frontier, 1.0)

    frontier.done(dead, 1.0, 0.0, UNCONNECTED)
    frontier.take(1.0)
    frontier.done(alive, 1.5, 0.5, SERVED)
    frontier.add(job("z"), 0.0)

    assert sorted(drain(frontier, 10.0)) == ["a/2", "a/3", "z/0"]
    assert (len(frontier), frontier.waiting, frontier.next_due()) == (0, 0, None)


def test_a_probe_that_is_refused_with_others_is_followed_by_another() -> None:
    """Its refusal is one with an earlier one of its host's other origin, so it says nothing; and yet it is over."""
    frontier = Frontier(FrontierConfig(breaker=1))
    fail(frontier, "a", 1.0, 1)
    frontier.add(job("a", 1), 0.0)
    frontier.add(job("a", 2), 0.0)
    frontier.add(job("a:81"), 0.0)
    probe, other = take(frontier, 2.0), take(frontier, 2.0)
    if probe.url.origin.port == 81:
        probe, other = other, probe

    frontier.done(other, 2.5, 0.5, refused(0.0))
    frontier.done(probe, 3.0, 1.0, refused(0.0))

    assert frontier.take(3.5) is None
    assert drain(frontier, 4.0) == ["a/2"]


def test_probes_that_fail_at_one_moment_are_each_followed_by_the_next() -> None:
    """Each took so long that the next was due when it ended: an alarm for the same time is an alarm of its own."""
    frontier = Frontier(FrontierConfig(breaker=1))
    fail(frontier, "a", 1.0, 1)
    for number in range(5):
        frontier.add(job("a", number), 0.0)
    first = take(frontier, 2.0)
    frontier.take(2.0)

    frontier.done(first, 100.0, 98.0, UNCONNECTED)
    frontier.done(take(frontier, 100.0), 100.0, 0.0, UNCONNECTED)
    frontier.done(take(frontier, 100.0), 100.0, 0.0, UNCONNECTED)

    assert [str(fallen.url) for fallen, _ in frontier.fallen] == [f"http://a/{number}" for number in (3, 4)]
    assert len(frontier) == 0


# Hosts that want to be asked slowly.


def test_a_host_that_is_to_be_slow_stays_so_when_its_jobs_come_now_and_then() -> None:
    """It was forgotten meanwhile, with all else, but not what it had asked for."""
    frontier = Frontier(FrontierConfig())
    frontier.slow("a", 5.0, 1.0)
    frontier.add(job("a", 0), 0.0)
    frontier.done(take(frontier, 6.0), 6.0, 0.0, SERVED)
    frontier.slow("b", 1.0, 100.0)

    frontier.add(job("a", 1), 0.0)
    frontier.add(job("a", 2), 0.0)
    forgotten = frontier._states["a"]._last == 0.0
    frontier.done(take(frontier, 200.0), 200.0, 0.0, SERVED)

    assert forgotten
    assert frontier.take(204.75) is None
    assert take(frontier, 205.0).url.target == "/2"


def test_a_gap_that_a_host_asked_for_is_kept_each_time_and_not_on_average() -> None:
    """One that came late lets the next ones come no sooner, as a rate of our own would."""
    frontier = Frontier(FrontierConfig())
    frontier.slow("a", 1.0, 1.0)
    for number in range(3):
        frontier.add(job("a", number), 0.0)

    frontier.done(take(frontier, 2.0), 2.0, 0.0, SERVED)
    frontier.done(take(frontier, 3.0625), 3.0625, 0.0, SERVED)

    assert frontier.take(4.0) is None
    assert frontier.next_due() == 4.0625


def test_hosts_that_are_slow_and_have_nothing_to_do_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A robots.txt may forbid all of a host and ask for a delay: a million of those are not kept, only the last."""
    monkeypatch.setattr(rooms, "SLOWED", 100)
    frontier = Frontier(FrontierConfig())

    for number in range(1000):
        frontier.slow(f"host{number}", 0.5, float(number))

    assert len(frontier._states) == len(frontier._resting) == 1
    assert list(frontier._gaps) == [f"host{number}" for number in range(900, 1000)]
