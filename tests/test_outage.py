"""Whether there is a network, told from what gets through and what does not. The clock is in the test's hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import ErrorKind
from fetcher.frontier.config import FrontierConfig
from fetcher.model import Attempt, Error, Hop, News, Request, Word
from fetcher.outage import HOSTS, LATE, PAUSE, QUIET, WITNESSES, Ended, Outage, Ruling
from fetcher.policy import first_job
from fetcher.urls import parse_url

SLOTS = 5
MOST = SLOTS + WITNESSES


def outage(wait: float = 300.0) -> Outage:
    return Outage(FrontierConfig(outage_wait=wait), SLOTS, 0.0)


def ended(
    host: str,
    number: int = 0,
    kind: ErrorKind = ErrorKind.REFUSED,
    elapsed: float = 0.0,
    before: ErrorKind | None = None,
) -> Ended:
    """A failure to connect; `before` is what the attempt before it failed with."""
    url, _ = parse_url(f"http://{host}/{number}")
    job = first_job(Request(number, str(url), url), url)
    if before is not None:
        job = replace(job, attempts=(Attempt(url, 0.0, 0.1, None, Error(before, "so it was")),))
    hop = Hop(url, "GET", None, Error(kind, "so it is"), 0.0, elapsed)
    return Ended(job, hop, News(Word.UNCONNECTED, None, "so it is"), elapsed)


def fail(network: Outage, now: float, count: int, hosts: int, kind: ErrorKind = ErrorKind.REFUSED) -> list[Ruling]:
    """So many failures that begin and end now, going round so many hosts."""
    return [network.failed(ended(f"h{number % hosts}", number, kind), now) for number in range(count)]


def numbers(several: object) -> list[int]:
    assert isinstance(several, tuple | list)
    return [each.job.request.index for each in several]


def paused(wait: float = 300.0, now: float = 1.0) -> Outage:
    network = outage(wait)
    fail(network, now, HOSTS, HOSTS, ErrorKind.DNS)
    assert network.since == now
    return network


# When it begins.


def test_twenty_failures_of_three_hosts_with_nothing_between_are_an_outage() -> None:
    """All of them go back as if they had never been sent."""
    network = outage()

    *before, last = fail(network, 0.0, WITNESSES, HOSTS)

    assert all(ruling == Ruling() for ruling in before)
    assert network.since == 0.0
    assert (numbers(last.settled), numbers(last.returned)) == ([], list(range(WITNESSES)))
    assert not network.doubts


@pytest.mark.parametrize("hosts", [1, 2])
def test_any_number_of_failures_of_two_hosts_is_the_hosts_matter(hosts: int) -> None:
    """Doubts are bounded: the oldest count when there are too many, and none is lost."""
    network = outage()

    rulings = fail(network, 0.0, 100, hosts)
    rest = network.idle(1.0)

    assert network.since is None
    assert not any(ruling.returned for ruling in rulings)
    settled = [number for ruling in rulings for number in numbers(ruling.settled)]
    assert settled == list(range(100 - MOST))
    assert numbers(rest.settled) == list(range(100 - MOST, 100))


@pytest.mark.parametrize("kind", [ErrorKind.DNS, ErrorKind.UNREACHABLE])
def test_three_hosts_that_nobody_looks_up_are_one_after_a_moment_of_silence(kind: ErrorKind) -> None:
    """A run under way hears from somebody all the time; within that time it may be chance."""
    early, late = outage(), outage()

    fail(early, QUIET / 2, HOSTS, HOSTS, kind)
    fail(late, QUIET, HOSTS, HOSTS, kind)

    assert early.since is None
    assert late.since == QUIET


def test_three_hosts_that_refuse_are_none() -> None:
    """Somebody said no: there is a network."""
    network = outage()

    fail(network, 9.0, HOSTS, HOSTS, ErrorKind.REFUSED)
    ruling = network.idle(9.0)

    assert network.since is None
    assert numbers(ruling.settled) == [0, 1, 2]


def test_a_few_names_that_nobody_looks_up_are_one_when_there_is_nothing_else() -> None:
    """The run stands still, and nothing else will ever tell."""
    network = outage()
    fail(network, 0.0, HOSTS, HOSTS, ErrorKind.DNS)

    ruling = network.idle(0.0)

    assert network.since == 0.0
    assert numbers(ruling.returned) == [0, 1, 2]


def test_who_began_before_something_got_through_is_no_witness() -> None:
    """The dead hosts of a small list end long after all the others."""
    network = outage()
    network.through("other.test", 5.0)

    for number in range(WITNESSES + 4):
        network.failed(ended(f"h{number}", number, ErrorKind.CONNECT_TIMEOUT, elapsed=10.0), 10.0)
    ruling = network.idle(10.0)

    assert network.since is None
    assert len(ruling.settled) == WITNESSES + 4


@pytest.mark.parametrize("before", [ErrorKind.DNS, ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.CONNECT_TIMEOUT])
def test_who_failed_before_is_no_witness(before: ErrorKind) -> None:
    """The last URLs of a list are its dead ones, at their second try."""
    network = outage()

    for number in range(WITNESSES + 4):
        network.failed(ended(f"h{number}", number, ErrorKind.DNS, before=before), 10.0)

    assert network.since is None
    assert len(network.idle(10.0).settled) == WITNESSES + 4


def test_who_was_answered_badly_before_is_a_witness() -> None:
    """It was connected to then, and is not now."""
    network = outage()

    for number in range(HOSTS):
        network.failed(ended(f"h{number}", number, ErrorKind.DNS, before=ErrorKind.INCOMPLETE), 10.0)

    assert network.since == 10.0


def test_what_gets_through_settles_what_was_in_doubt() -> None:
    """It was the hosts', oldest first; what it takes to be an outage is counted from nothing again."""
    network = outage()
    fail(network, 1.0, WITNESSES - 1, HOSTS)

    ruling = network.through("other.test", 2.0, 0.5)
    fail(network, 2.0, WITNESSES - 1, HOSTS)

    assert numbers(ruling.settled) == list(range(WITNESSES - 1))
    assert ruling.returned == ()
    assert network.since is None


def test_what_began_before_a_failure_leaves_it_in_doubt_for_a_moment() -> None:
    """Connections that are older than an outage still bring their replies."""
    network = outage()
    fail(network, 1.0, 1, 1)

    at_once = network.through("other.test", 1.125, 1.0)
    later = network.through("other.test", 1.0 + LATE, 1.0)

    assert numbers(at_once.settled) == []
    assert numbers(later.settled) == [0]


def test_without_a_wait_nothing_is_ever_in_doubt() -> None:
    """`--outage-wait 0`: each failure counts at once, before and after something got through."""
    network = outage(0.0)

    before = fail(network, 9.0, 30, 5, ErrorKind.DNS)
    network.through("other.test", 10.0)
    after = fail(network, 20.0, 30, 5, ErrorKind.DNS)

    assert [numbers(ruling.settled) for ruling in before + after] == [[number] for number in range(30)] * 2
    assert not network.doubts


# While it lasts.


def test_during_a_pause_one_job_tries_at_a_time() -> None:
    """The first a second after it began, the next a second after that one failed, none while one is under way."""
    network = paused(now=1.0)
    trying = ended("h9", 9, ErrorKind.DNS, elapsed=5.0)

    first = network.next_try()
    network.tries(trying.job)
    under_way = network.next_try()
    ruling = network.failed(trying, 7.0)

    assert (first, under_way, network.next_try()) == (1.0 + PAUSE, None, 7.0 + PAUSE)
    assert numbers(ruling.returned) == [9]


def test_the_pause_is_told_when_its_first_try_has_failed_and_once() -> None:
    """A hiccup of a second is not worth a word; what is has its reason, and its bound with the option's name."""
    network = paused()
    notes = []

    for number in range(3):
        trying = ended("h1", number, ErrorKind.DNS)
        network.tries(trying.job)
        notes.append(network.failed(trying, 2.0 + number).note)

    assert notes == [
        (
            "no network (dns: so it is): paused, one URL at a time tries, for up to 300 s (--outage-wait); "
            "no retries are used up"
        ),
        None,
        None,
    ]
    assert network.count == 1


def test_those_that_were_under_way_when_it_began_go_back_too() -> None:
    """They are no tries."""
    network = paused()

    ruling = network.failed(ended("h7", 7, ErrorKind.CONNECT_TIMEOUT, elapsed=10.0), 5.0)

    assert (numbers(ruling.settled), numbers(ruling.returned), ruling.note) == ([], [7], None)
    assert network.next_try() == 1.0 + PAUSE
    assert network.count == 0


def test_a_try_that_ends_by_our_own_fault_is_followed_by_another() -> None:
    """It says nothing of the network."""
    network = paused()
    trying = ended("h1").job
    network.tries(trying)

    other = network.aside(ended("h2").job)
    still = network.next_try()
    network.aside(trying)

    assert other == Ruling()
    assert still is None
    assert network.next_try() is not None


@pytest.mark.parametrize(("tries", "note"), [(0, None), (2, "the network is back after 10 s")])
def test_the_pause_is_over_as_soon_as_anything_gets_through(tries: int, note: str | None) -> None:
    """And its end is told if its beginning was."""
    network = paused(now=1.0)
    for number in range(tries):
        trying = ended("h1", number)
        network.tries(trying.job)
        network.failed(trying, 2.0 + number)

    ruling = network.through("other.test", 11.0)

    assert (network.since, network.lasted, network.count) == (None, 10.0, min(tries, 1))
    assert (ruling.settled, ruling.returned, ruling.note) == ((), (), note)


def test_a_pause_that_began_at_the_clocks_zero_lasted_as_long_as_any() -> None:
    """Zero is a time like any other."""
    network = outage()
    fail(network, 0.0, WITNESSES, HOSTS)

    network.through("other.test", 8.0)

    assert network.lasted == 8.0


def test_a_pause_ends_after_the_longest_wait_and_from_there_failures_count() -> None:
    """The last try goes back, too; when something gets through, all begins anew."""
    network = paused(wait=10.0, now=1.0)
    trying = ended("h1", 1)
    network.tries(trying.job)

    last = network.failed(trying, 11.0)
    counted = network.failed(ended("h2", 2, ErrorKind.DNS), 12.0)
    network.through("other.test", 13.0)
    doubted = network.failed(ended("h3", 3, ErrorKind.DNS), 14.0)

    assert numbers(last.returned) == [1]
    assert last.note == "still no network after 10 s (--outage-wait): from here failures count"
    assert (network.since, network.lasted, network.count) == (None, 10.0, 1)
    assert numbers(counted.settled) == [2]
    assert doubted == Ruling()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["fail", "fail", "fail", "through", "aside", "idle", "try"]),
            st.sampled_from(["a", "b", "c", "d"]),
            st.sampled_from([ErrorKind.DNS, ErrorKind.REFUSED, ErrorKind.CONNECT_TIMEOUT]),
            st.sampled_from([0.0, 0.125, 1.0, 5.0]),
        ),
        max_size=120,
    ),
    st.sampled_from([0.0, 3.0, 300.0]),
)
def test_every_failure_is_settled_or_returned_once_and_doubts_are_bounded(
    steps: list[tuple[str, str, ErrorKind, float]], wait: float
) -> None:
    """Over any order of what can happen; nothing is in doubt during a pause, and nothing is lost."""
    network = outage(wait)
    now, failed, told = 0.0, 0, Counter[int]()

    for number, (what, host, kind, step) in enumerate(steps):
        now += step
        end = ended(host, number, kind, elapsed=min(step, 1.0))
        if what in {"fail", "try"}:
            if what == "try" and network.since is not None and network.next_try() is not None:
                network.tries(end.job)
            failed += 1
            ruling = network.failed(end, now)
        elif what == "through":
            ruling = network.through("other.test", now, min(step, 1.0))
        elif what == "aside":
            ruling = network.aside(end.job)
        else:
            ruling = network.idle(now) if network.doubts else Ruling()
        told.update(numbers([*ruling.settled, *ruling.returned]))
        assert failed - MOST <= told.total() <= failed
        assert network.since is None or not network.doubts
        assert network.doubts == (told.total() < failed)
    if network.doubts:
        ruling = network.idle(now)
        told.update(numbers([*ruling.settled, *ruling.returned]))

    assert set(told.values()) <= {1}
    assert told.total() == failed


def test_dead_hosts_stop_a_run_once_and_not_again_and_again() -> None:
    """Whoever began a pause that another host ended is no witness, until it gets through itself."""
    network = paused()
    network.through("slow.test", 3.0)

    again = fail(network, 10.0, HOSTS, HOSTS, ErrorKind.DNS)
    still = network.since
    for number in range(HOSTS):
        network.through(f"h{number}", 11.0)
    fail(network, 20.0, HOSTS, HOSTS, ErrorKind.DNS)

    assert (again, still) == ([Ruling()] * HOSTS, None)
    assert network.since == 20.0
