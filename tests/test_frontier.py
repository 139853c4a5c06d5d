"""The frontier alone: no I/O, the clock in the test's hand."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import ErrorKind, UsageError
from fetcher.frontier import frontier as rooms
from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import WIDEST, Frontier
from fetcher.hosts import HostConfig, Hosts, HostsConfig
from fetcher.model import Attempt, Job, News, Request, Word
from fetcher.policy import NOTHING, REACHED, SERVED, first_job
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


def test_a_host_that_has_more_is_asked_more_often_and_ends_with_the_others() -> None:
    """
    One host of 100 URLs behind 50 of 25: taken as often as in a shuffled list, within the first half as in the second.
    """
    frontier = Frontier(FrontierConfig())
    for host in range(50):
        for number in range(25):
            frontier.add(job(f"h{host}", number), 0.0)
    for number in range(100):
        frontier.add(job("large", number), 0.0)

    hosts = [url.partition("/")[0] for url in drain(frontier)]

    half = hosts[: len(hosts) // 2].count("large")
    assert len(hosts) == 1350
    assert 40 <= half <= 60


def test_a_turn_is_short_however_much_more_a_host_has() -> None:
    """Of one that has a hundred times as much as the others eight go one after the other, while there are others."""
    frontier = Frontier(FrontierConfig())
    for host in range(50):
        for number in range(10):
            frontier.add(job(f"h{host}", number), 0.0)
    for number in range(1000):
        frontier.add(job("large", number), 0.0)

    hosts = [url.partition("/")[0] for url in drain(frontier)]

    runs = [len(list(same)) for host, same in groupby(hosts) if host == "large"]
    assert len(hosts) == 1500
    assert runs[:-1] == [8] * 9


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


# Turns.


def simulate(frontier: Frontier, jobs: list[Job], slots: int, reply: float) -> dict[str, float]:
    """Seconds until the last job of each host is done, where each takes `reply` seconds and nothing else costs any."""
    start = now = 1.0
    source = iter(jobs)
    ends: list[tuple[float, int, Job]] = []
    last: dict[str, float] = {}
    more = True
    while more or len(frontier):
        while more and frontier.room():
            found = next(source, None)
            if found is None:
                more = False
            else:
                frontier.add(found, 0.0)
        while len(ends) < slots and (taken := frontier.take(now)) is not None:
            heappush(ends, (now + reply, taken.request.index, taken))
        if len(ends) < slots and more and not frontier.room() and frontier.widen(now):
            continue
        times = [ends[0][0]] if ends else []
        due = frontier.next_due()
        if len(ends) < slots and due is not None:
            assert due > now
            times.append(due)
        now = min(times)
        while ends and ends[0][0] <= now:
            ended = heappop(ends)[2]
            frontier.done(ended, now, reply, SERVED)
            last[ended.host] = now - start
    return last


@pytest.mark.parametrize("window", [10_000, 500])
def test_a_list_sorted_by_host_takes_no_longer_than_a_shuffled_one(window: int) -> None:
    """
    20 hosts of 500 URLs, replies of 100 ms, 50 slots, one host limited to 5/s: the other 19 are done within 10% and
    0.3 s of the shuffled list's time. Where the window holds a host and no more, it widens while all in it wait.
    """
    tables = HostsConfig(hosts={"h0": HostConfig(rate=5.0)})
    jobs = [job(f"h{host}", 500 * host + number) for host in range(20) for number in range(500)]
    shuffled = random.Random(3).sample(jobs, len(jobs))

    times = []
    for order in (jobs, shuffled):
        last = simulate(Frontier(FrontierConfig(window=window), Hosts(tables)), order, 50, 0.1)
        times.append(max(seconds for host, seconds in last.items() if host != "h0"))
        assert 99.0 < last["h0"] < 101.0
    by_host, mixed = times

    assert by_host <= 1.1 * mixed + 0.3
    if window == 10_000:
        assert mixed < 20.0


def test_slots_are_never_idle_while_any_host_may_be_asked() -> None:
    """Two at a time a host, ten hosts, twenty slots: as fast as the limits allow, to the last round."""
    jobs = [job(f"h{host}", 20 * host + number) for host in range(10) for number in range(20)]

    last = simulate(Frontier(FrontierConfig(per_host=2)), jobs, 20, 0.125)

    assert set(last.values()) == {20 / 2 * 0.125}


def test_begun_jobs_go_first_and_refused_ones_last() -> None:
    """Few are half done at a time; whoever was refused lets the others of its host go before it."""
    frontier = Frontier(FrontierConfig())
    begun = replace(job("a", 9), attempts=(Attempt(job("a").url, 0.0, 0.1, 500, None),))
    for number in range(2):
        frontier.add(job("a", number), 0.0)

    frontier.add(begun, 0.0)
    first = drain(frontier)
    for number in range(2):
        frontier.add(job("a", number), 0.0)
    frontier.add(begun, 0.0, behind=True)
    last = drain(frontier)

    assert first == ["a/9", "a/0", "a/1"]
    assert last == ["a/0", "a/1", "a/9"]


def test_retries_that_came_due_together_go_in_the_order_of_their_times() -> None:
    """Under a limit the one that waits longest must not always be the next but one."""
    frontier = Frontier(FrontierConfig())
    begun = Attempt(job("a").url, 0.0, 0.1, 500, None)
    frontier.add(job("a", 0), 0.0)

    for number in (3, 1, 2):
        frontier.add(replace(job("a", number), attempts=(begun,)), float(number))

    assert drain(frontier, 9.0) == ["a/1", "a/2", "a/3", "a/0"]


# Refusals.


def test_a_refusal_holds_every_url_of_its_host_and_no_other() -> None:
    """Until the time that was named; then one goes alone, and when that is served the others."""
    frontier = Frontier(FrontierConfig())
    for number in range(4):
        frontier.add(job("a", number), 0.0)
    frontier.done(take(frontier, 1.0), 1.5, 0.5, refused(10.0))
    frontier.add(job("a:81", 7), 0.0)
    frontier.add(job("b"), 0.0)

    others = drain(frontier, 11.25)
    due = frontier.next_due()
    alone = take(frontier, 11.5)
    beside = frontier.take(11.5)
    frontier.done(alone, 12.0, 0.5, SERVED)

    assert others == ["b/0"]
    assert due == 11.5
    assert beside is None
    assert frontier.take(12.0) is not None
    assert (frontier.waits.refusals, frontier.waits.refusing, frontier.waits.held) == (1, 1, 10.0)


def test_without_adapting_a_host_is_held_and_all_go_then() -> None:
    """`--no-adapt`: what a server asks for is done, and nothing is learned from it."""
    frontier = Frontier(FrontierConfig(adapt=False))
    for number in range(4):
        frontier.add(job("a", number), 0.0)
    frontier.done(take(frontier, 1.0), 1.0, 0.0, refused(10.0))

    early = frontier.take(10.5)
    together = [take(frontier, 11.0) for _ in range(3)]

    assert early is None
    assert len(together) == 3


# Breakers again.


def test_other_origins_of_a_dead_ones_host_go_on() -> None:
    """A breaker is an origin's, as connections are."""
    frontier = Frontier(FrontierConfig(breaker=2))
    fail(frontier, "a", 1.0, 2)

    for number in range(3):
        frontier.add(job("a", number), 0.0)
        frontier.add(job("a:81", number), 0.0)

    assert drain(frontier, 1.5) == ["a:81/0", "a:81/1", "a:81/2"]
    assert frontier.waiting == 3


def test_an_origin_that_is_down_takes_all_its_jobs_with_it_once() -> None:
    """Those with the breaker, those that were due later, and new ones at once; each with the reason."""
    frontier = Frontier(FrontierConfig(breaker=2))
    fail(frontier, "a", 1.0, 2)
    for number in range(5):
        frontier.add(job("a", number), 0.0)
    frontier.add(job("a", 5), 500.0)
    frontier.add(job("b", 6), 500.0)

    times = []
    now = 1.0
    for _ in range(3):
        assert frontier.take(now) is None
        now = frontier.next_due() or 0.0
        times.append(now)
        frontier.done(take(frontier, now), now, 0.0, UNCONNECTED)
    frontier.add(job("a", 7), 0.0)
    frontier.add(job("a", 8), 900.0)

    assert times == [2.0, 6.0, 26.0]
    assert [fallen.request.index for fallen, _ in frontier.fallen] == [3, 4, 5, 7, 8]
    assert {error.kind for _, error in frontier.fallen} == {ErrorKind.HOST_DOWN}
    assert frontier.fallen[0][1].message == (
        "http://a is down and was not asked again: 5 tries in a row came to nothing, the last: refused: nobody listens"
    )
    assert (len(frontier), frontier.waiting, frontier.waits.down) == (1, 1, 1)


@pytest.mark.parametrize(("news", "opens"), [(NOTHING, True), (REACHED, False), (SERVED, False)])
def test_only_failures_one_after_the_other_open_a_breaker(news: News, opens: bool) -> None:
    """A reply of any kind begins the count anew; a shortage of ours neither counts nor forgives."""
    frontier = Frontier(FrontierConfig(breaker=3))
    fail(frontier, "a", 1.0, 2)
    fail(frontier, "a", 1.0, 1, news)
    fail(frontier, "a", 1.0, 1)

    frontier.add(job("a"), 0.0)

    assert (frontier.take(1.0) is None) == opens


def test_without_a_breaker_nothing_is_ever_taken_out() -> None:
    """`--breaker 0`."""
    frontier = Frontier(FrontierConfig(breaker=0))

    fail(frontier, "a", 1.0, 100)

    assert not frontier._breakers
    assert frontier.fallen == []


def test_origins_watched_are_bounded_and_none_that_is_out_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million names that do not resolve once are not kept."""
    monkeypatch.setattr(rooms, "WATCHED", 10)
    frontier = Frontier(FrontierConfig(breaker=2))
    fail(frontier, "dead", 1.0, 2)

    for number in range(100):
        fail(frontier, f"h{number}", 1.0, 1)
    frontier.add(job("dead"), 0.0)

    assert len(frontier._breakers) <= 10
    assert frontier.take(1.0) is None


@pytest.mark.parametrize(
    "config",
    [{"window": 0}, {"per_host": 0}, {"rate": 0.0}, {"per_host_rate": -1.0}, {"breaker": -1}, {"outage_wait": -0.5}],
)
def test_a_setting_that_cannot_be_is_refused(config: dict[str, float]) -> None:
    """With its name and its value."""
    [(name, value)] = config.items()

    with pytest.raises(UsageError, match=f"{name} must .* {value:g}"):
        FrontierConfig(**config)  # type: ignore[arg-type]  # per test
