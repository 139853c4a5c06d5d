"""Holds what a run adds up to."""

from __future__ import annotations

import math
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import ErrorKind
from fetcher.model import Attempt, Error, Hop, Origin, Request, Result, Url
from fetcher.stats import ACCURACY, HOSTS, LONGEST, SHORTEST, VERDICTS, Histogram, HostFailures, Stats
from tests.samples import failed_result, reply, sample_result, unsent_result


def failure(host: str, status: int) -> Result:
    url = Url(Origin("http", host, 80, f"http://{host}"), "/")
    return Result(
        Request(0, str(url), url),
        Hop(url, "GET", status, None, 0.0, 0.1),
        None,
        (),
        (Attempt(url, 0.0, 0.1, status, None),),
    )


def test_counts_what_the_results_came_to() -> None:
    """Statuses, kinds, sizes, attempts, retries and redirects are the sums of the results' own."""
    stats = Stats()

    for result in (sample_result(), reply(b"four"), reply(b"no", status=404), failed_result(), unsent_result()):
        stats.add(result)

    assert (stats.results, stats.ok, stats.failed) == (5, 2, 3)
    assert stats.statuses == {200: 2, 404: 1}
    assert stats.errors == {"dns": 1, "invalid-url": 1}
    assert (stats.size, stats.wire_size) == (39 + 4 + 2, 30 + 4 + 2)
    assert (stats.attempts, stats.retries, stats.redirects) == (5, 0, 1)


@pytest.mark.parametrize(
    ("waits", "retries"),
    [
        ((None,), 0),
        ((None, "retry", "retry; retry-after-max"), 2),
        ((None, "retry-after", "refused", "retry-after"), 0),
        ((None, "fallback", "retry"), 1),
    ],
)
def test_refusals_and_other_methods_are_no_retries(waits: tuple[str | None, ...], retries: int) -> None:
    """They use none up, so they are not counted as such."""
    stats = Stats()
    result = reply(b"x")

    stats.add(replace(result, attempts=tuple(replace(result.attempts[0], waited_for=why) for why in waits)))

    assert stats.retries == retries


def test_a_cut_reply_is_a_failure_with_a_status() -> None:
    """An error counts although the status is good, and both are told."""
    stats = Stats()

    stats.add(reply(b"half", error=Error(ErrorKind.INCOMPLETE, "12 bytes short")))

    assert (stats.ok, stats.failed) == (0, 1)
    assert stats.statuses == {200: 1}
    assert stats.worst_hosts() == [HostFailures("example.com", 1, "incomplete")]


def test_latency_is_of_what_was_sent() -> None:
    """The last attempt's time counts, and entries for which nothing was sent have none."""
    stats = Stats()

    stats.add(sample_result())
    stats.add(unsent_result())

    assert (stats.latency.count, stats.latency.max) == (1, 0.5)
    assert stats.latency.quantile(0.5) == pytest.approx(0.5, rel=ACCURACY)


def test_an_empty_histogram_has_no_quantile() -> None:
    """Nothing measured is None, not zero."""
    assert Histogram().quantile(0.5) is None


@given(
    st.lists(st.floats(SHORTEST, LONGEST), min_size=1, max_size=200),
    st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]),
)
def test_quantiles_are_within_the_stated_accuracy(durations: list[float], share: float) -> None:
    """The nearest-rank quantile of the sorted data, give or take ACCURACY of it."""
    histogram = Histogram()

    for duration in durations:
        histogram.add(duration)

    truth = sorted(durations)[math.ceil(share * len(durations)) - 1]
    assert histogram.quantile(share) == pytest.approx(truth, rel=ACCURACY + 1e-9)


def test_durations_beyond_the_ends_are_counted_at_the_ends() -> None:
    """Nothing at all and a day are no reason to fail, and the longest is known exactly."""
    histogram = Histogram()

    histogram.add(0.0)
    histogram.add(86_400.0)

    assert histogram.count == 2
    assert histogram.max == 86_400.0
    assert histogram.quantile(0.5) == pytest.approx(SHORTEST, rel=0.1)
    assert histogram.quantile(1.0) == pytest.approx(LONGEST, rel=0.1)


def test_the_worst_hosts_come_first_with_their_commonest_verdict() -> None:
    """By failures, then by name; a success blames nobody, and neither does an entry that names no host."""
    stats = Stats()

    for host, status in [("b", 503), ("b", 404), ("b", 404), ("c", 500), ("a", 429), ("fine", 200)]:
        stats.add(failure(host, status))
    stats.add(unsent_result())

    assert stats.worst_hosts(2) == [HostFailures("b", 3, "404"), HostFailures("a", 1, "429")]
    assert [host.host for host in stats.worst_hosts()] == ["b", "a", "c"]


def test_an_unsent_entry_is_held_against_the_host_it_names() -> None:
    """What was refused before it was sent counts for where it would have gone."""
    stats = Stats()
    request = replace(unsent_result().request, url=Url(Origin("http", "down", 80, "http://down"), "/"))

    stats.add(Result(request, None, Error(ErrorKind.HOST_DOWN, "its breaker is open")))

    assert stats.worst_hosts() == [HostFailures("down", 1, "host-down")]


def test_memory_for_hosts_is_bounded_and_the_worst_stay() -> None:
    """Of far more failing hosts than are remembered, those that fail often are told, by no more than they failed."""
    stats = Stats()
    truth = Counter[str]()

    for number in range(6 * HOSTS):
        for host in (f"once-{number}", "often", *(["rather"] if number % 3 == 0 else [])):
            truth[host] += 1
            stats.add(failure(host, 503))

    worst = stats.worst_hosts()
    assert [host.host for host in worst[:2]] == ["often", "rather"]
    assert all(truth[host.host] - truth.total() / HOSTS < host.failures <= truth[host.host] for host in worst)
    assert len(stats.worst_hosts(10**6)) <= 2 * HOSTS


def test_the_verdicts_of_a_host_are_bounded() -> None:
    """A host that answers with ever new statuses is counted in full and still has its commonest verdict."""
    stats = Stats()

    for status in [500, 500, *range(400, 1000)]:
        stats.add(failure("odd", status))

    assert stats.worst_hosts() == [HostFailures("odd", 602, "500")]
    assert len(stats._hosts["odd"].verdicts) == VERDICTS


@given(st.lists(st.sampled_from(["ok", "missing", "dns", "unsent", "retried"]), max_size=20), st.integers(0, 20))
@settings(max_examples=50)
def test_two_halves_merged_are_the_whole(kinds: list[str], cut: int) -> None:
    """What two processes counted and sent home adds up to what one would have counted."""
    results = [
        {
            "ok": reply(b"x"),
            "missing": reply(b"no", status=404),
            "dns": failed_result(),
            "unsent": unsent_result(),
            "retried": sample_result(),
        }[kind]
        for kind in kinds
    ]
    whole, left, right = Stats(), Stats(), Stats()
    for result in results:
        whole.add(result)
    for result in results[:cut]:
        left.add(result)
    for result in results[cut:]:
        right.add(result)

    left.merge(pickle.loads(pickle.dumps(right)))

    assert told(left) == told(whole)
    assert left.latency.total == pytest.approx(whole.latency.total)


def told(stats: Stats) -> list[object]:
    plain = {name: value for name, value in vars(stats).items() if isinstance(value, (int, dict)) and name[0] != "_"}
    shares = [stats.latency.quantile(share) for share in (0.5, 0.9, 0.99)]
    return [plain, stats.latency.count, stats.latency.max, shares, stats.worst_hosts()]
