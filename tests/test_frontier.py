"""The frontier alone: no I/O, the clock in the test's hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import Frontier
from fetcher.model import Job, Request
from fetcher.policy import SERVED, first_job
from fetcher.urls import parse_url


def job(host: str, number: int = 0) -> Job:
    url, _ = parse_url(f"http://{host}/{number}")
    return first_job(Request(number, str(url), url), url)


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
