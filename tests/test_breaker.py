"""One origin that cannot be connected to: when it is looked at again, and when it is given up."""

from __future__ import annotations

import pytest

from fetcher.errors import ErrorKind
from fetcher.frontier.breaker import PROBES, Breaker
from fetcher.model import Job, Request
from fetcher.policy import first_job
from fetcher.urls import parse_url

THRESHOLD = 3


def job(number: int = 0) -> Job:
    url, _ = parse_url(f"http://a.test:8080/{number}")
    return first_job(Request(number, str(url), url), url)


def fail(breaker: Breaker, now: float, of: Job) -> bool:
    return breaker.failed(of, now, "refused: nobody listens", THRESHOLD)


def opened(now: float = 100.0) -> Breaker:
    breaker = Breaker(job().url.origin)
    for number in range(THRESHOLD):
        fail(breaker, now, job(number))
    return breaker


def test_probes_go_after_1_5_and_25_seconds() -> None:
    """As the documents say."""
    assert PROBES == (1.0, 5.0, 25.0)


def test_it_opens_at_its_threshold_and_admits_all_before() -> None:
    """The failure that is one too many has a time to look again."""
    breaker = Breaker(job().url.origin)

    before = [fail(breaker, 100.0, job(number)) for number in range(THRESHOLD - 1)]
    still = breaker.admits(job(7), 100.0)
    news = fail(breaker, 100.0, job(8))

    assert before == [False, False]
    assert still
    assert (news, breaker.open, breaker.due) == (True, True, 101.0)
    assert not breaker.admits(job(9), 100.0)


def test_one_probe_goes_at_each_time_and_after_the_last_it_is_down() -> None:
    """Times count from when it was taken out, not from the probe before."""
    breaker = opened(100.0)
    times = []

    for number in range(len(PROBES)):
        probe = job(10 + number)
        early = breaker.admits(probe, breaker.due - 0.125)
        times.append(breaker.due)
        assert not early
        assert breaker.admits(probe, breaker.due)
        assert breaker.admits(probe, breaker.due)
        assert not breaker.admits(job(99), breaker.due + 1000.0)
        assert fail(breaker, breaker.due + 0.5, probe)

    assert times == [101.0, 105.0, 125.0]
    assert breaker.down
    assert not breaker.admits(job(99), 10_000.0)


def test_a_probe_that_took_longer_is_followed_at_once() -> None:
    """A timeout of ten seconds has waited for the second look already."""
    breaker = opened(100.0)
    probe = job(10)
    breaker.admits(probe, 101.0)

    fail(breaker, 111.0, probe)

    assert breaker.due == 111.0


def test_those_that_were_under_way_when_it_opened_neither_probe_nor_hasten() -> None:
    """Fifty of them end with the same timeout; one look is one look."""
    breaker = opened(100.0)

    news = [fail(breaker, 100.5, job(20 + number)) for number in range(50)]
    probe = job(10)
    breaker.admits(probe, 101.0)
    beside = fail(breaker, 101.5, job(80))

    assert not any(news)
    assert not beside
    assert breaker.probe is probe
    assert not breaker.down


def test_a_probe_without_a_word_is_followed_by_another_and_does_not_count() -> None:
    """A shortage of ours, an outage: a second later the next one looks, and there are still three."""
    breaker = opened(100.0)
    for number in range(5):
        probe = job(10 + number)
        now = breaker.due
        assert breaker.admits(probe, now)

        news = breaker.undecided(probe, now + 2.0)

        assert (news, breaker.probe, breaker.due) == (True, None, now + 3.0)
    assert not breaker.undecided(job(50), 500.0)
    assert not breaker.down


@pytest.mark.parametrize("when", ["closed", "open"])
def test_a_word_of_another_job_than_the_probe_is_none(when: str) -> None:
    """It was under way before."""
    breaker = opened() if when == "open" else Breaker(job().url.origin)

    assert not breaker.undecided(job(5), 101.0)


def test_the_epitaph_says_what_was_tried_and_how_it_ended() -> None:
    """The record of each URL that falls with it has this sentence."""
    breaker = opened()

    error = breaker.epitaph()

    assert error.kind == ErrorKind.HOST_DOWN
    assert error.message == (
        "http://a.test:8080 is down and was not asked again: 3 tries in a row came to nothing, "
        "the last: refused: nobody listens"
    )
