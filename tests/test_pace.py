"""Rates, kept smooth: whatever comes when, no second has more than the rate and a tenth of it, rounded up."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.frontier.pace import CATCH_UP, Pace


def greedy(pace: Pace, start: float, end: float, gaps: list[float]) -> list[float]:
    """When requests go that go as soon as they may, but for pauses of `gaps` seconds between them."""
    now, takes = start, []
    pauses = iter(gaps)
    while (now := max(now, pace.due) + next(pauses, 0.0)) < end:
        pace.took(now)
        takes.append(now)
    return takes


@pytest.mark.parametrize("rate", [0.5, 4.0, 64.0])
def test_requests_that_are_never_late_are_a_gap_apart(rate: float) -> None:
    """The first goes at once, with nothing to catch up with."""
    takes = greedy(Pace(1 / rate), 1000.0, 1010.0, [])

    assert takes == [1000.0 + number / rate for number in range(int(10 * rate))]


def test_a_late_request_lets_the_next_come_sooner_within_bounds() -> None:
    """A tenth of a second may be caught up on; half a minute may not."""
    a_little, long_after = Pace(1.0), Pace(1.0)
    a_little.took(10.0)
    long_after.took(10.0)

    a_little.took(11.0625)
    long_after.took(40.0)

    assert a_little.due == 12.0
    assert long_after.due == 40.0 - CATCH_UP + 1.0


def test_without_slack_each_gap_is_kept() -> None:
    """What a host asked for is no average."""
    pace = Pace(1.0)
    pace.slack = 0.0
    pace.took(10.0)

    pace.took(11.0625)

    assert pace.due == 12.0625


@given(st.sampled_from([0.5, 1.0, 3.0, 7.0, 50.0, 200.0]), st.lists(st.floats(0.0, 3.0) | st.just(0.0), max_size=60))
def test_no_second_has_more_than_the_rate_and_a_tenth(rate: float, gaps: list[float]) -> None:
    """Of any second, wherever it begins, and whatever pauses came before it."""
    takes = greedy(Pace(1 / rate), 1.0, 6.0, gaps)

    for first, begin in enumerate(takes):
        # A hair less than a second, for what is lost where times are added up.
        assert sum(begin <= then < begin + 1.0 - 1e-9 for then in takes[first:]) <= ceil(rate * (1.0 + CATCH_UP))


@given(st.lists(st.floats(0.0, CATCH_UP * 0.99), max_size=100))
def test_small_delays_cost_nothing_in_the_end(gaps: list[float]) -> None:
    """Timers are late by some milliseconds each time, and the rate is kept nevertheless."""
    pace = Pace(0.25)
    pace.took(1.0)

    takes = []
    for gap in gaps:
        now = pace.due + gap
        pace.took(now)
        takes.append(now)

    for number, now in enumerate(takes):
        assert now == pytest.approx(1.0 + 0.25 * (number + 1), abs=CATCH_UP)
