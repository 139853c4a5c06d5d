"""One host's limits, and what its refusals teach. Times are halves and quarters, so that sums are exact."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.frontier.host import FIRST_GAP, LEAST_GAP, LONGEST_GAP, MEMORY, RECOVERY, Host


def host(limit: float = inf, gap: float = 0.0, *, adapt: bool = True) -> Host:
    return Host("a", limit, gap, adapt=adapt)


def serve(state: Host, now: float, times: int) -> None:
    for _ in range(times):
        state.served(now)


def test_a_host_without_a_word_is_ready_as_long_as_its_limit_allows() -> None:
    """At the limit it is ready once one of them is over, which no clock knows."""
    state = host(2)

    assert [state.ready(1.0, active) for active in range(4)] == [0.0, 0.0, inf, inf]
    assert host().ready(1.0, 10_000) == 0.0


def test_a_rate_says_when_the_next_may_go() -> None:
    """And a full host is not ready whatever its rate says."""
    state = host(2, 0.5)
    state.took(1.0)

    assert (state.ready(1.0, 1), state.ready(1.25, 1), state.ready(1.5, 1)) == (1.5, 1.5, 0.0)
    assert state.ready(1.5, 2) == inf


# Windows.


@pytest.mark.parametrize(
    ("limit", "active", "window"), [(8, 8, 4), (8, 5, 2), (inf, 50, 25), (8, 1, 1), (inf, 1, 1), (3, 3, 1)]
)
def test_a_refusal_halves_what_was_really_under_way(limit: float, active: int, window: int) -> None:
    """A limit of fifty with eight under way: eight were too many."""
    state = host(limit)

    state.refused(10.0, 9.0, active, 1.0)

    assert state.window == window


def test_a_window_is_halved_at_most_once_a_round_trip() -> None:
    """Those that were under way together are one refusal; one that went out after it is another."""
    state = host(16)

    fresh = [state.refused(10.0 + number / 8, 9.0, 16 - number, 1.0) for number in range(8)]
    after_one = state.window
    again = state.refused(20.0, 12.0, 8, 1.0)

    assert fresh == [True] + [False] * 7
    assert after_one == 8
    assert again
    assert state.window == 4


def test_a_window_grows_by_one_with_each_window_of_replies_up_to_its_limit() -> None:
    """Four replies at four, five at five; not a reply earlier."""
    state = host(6)
    state.window = 4

    seen = []
    for _ in range(20):
        state.served(1.0)
        seen.append(state.window)

    assert seen == [4] * 3 + [5] * 5 + [6] * 12


def test_replies_to_what_went_out_before_the_hold_are_no_sign_of_better_times() -> None:
    """They were under way when another was refused."""
    state = host(4)
    state.refused(10.0, 9.0, 4, 5.0)

    serve(state, 14.75, 100)

    assert state.window == 2
    assert state.ready(15.0, 1) == inf


# Holds.


def test_nothing_goes_before_the_hold_is_over_and_then_one_goes_alone() -> None:
    """Until that one is served: then as many as the window allows."""
    state = host(4)
    state.refused(10.0, 9.0, 4, 5.0)

    before = state.ready(14.75, 0)
    alone = state.ready(15.0, 0), state.ready(15.0, 1)
    state.took(15.0)
    state.served(15.0)

    assert before == 15.0
    assert alone == (0.0, inf)
    assert state.ready(15.5, 1) == 0.0


def test_of_several_pauses_the_one_that_ends_last_counts() -> None:
    """A shorter one does not shorten it."""
    state = host()
    state.refused(10.0, 9.0, 3, 60.0)

    state.refused(11.0, 9.0, 2, 1.0)

    assert state.hold == 70.0


def test_a_host_that_names_no_time_is_held_longer_with_each_refusal() -> None:
    """1, 2, 4, 8 and then 10 s, and from 1 s again after a reply."""
    state = host(adapt=False)
    now, holds = 10.0, []

    for _ in range(6):
        state.refused(now, now, 1, None)
        holds.append(state.hold - now)
        now = state.hold
    state.served(now)
    state.refused(now, now, 1, None)

    assert holds == [1.0, 2.0, 4.0, 8.0, LONGEST_GAP, LONGEST_GAP]
    assert state.hold - now == FIRST_GAP


def test_a_window_of_one_has_gaps_that_double_from_one_second() -> None:
    """They stay after the hold, between any two requests, and are ten seconds at most."""
    state = host(1)
    now, gaps = 10.0, []

    for _ in range(6):
        state.refused(now, now, 1, 0.0)
        state.took(now)
        gaps.append((state.ready(now, 0) or now) - now)
        now += 100.0

    assert gaps == [1.0, 2.0, 4.0, 8.0, LONGEST_GAP, LONGEST_GAP]
    assert state.window == 1


def test_a_gap_shrinks_by_a_tenth_with_each_reply_and_then_the_window_grows() -> None:
    """Down to where it is none any more; only then are two at once worth a try."""
    state = host(4)
    state.window = 1
    state.refused(10.0, 10.0, 1, 0.0)
    state.served(10.0)
    after_one = state.due

    replies = 1
    while state._gap:
        state.served(20.0)
        replies += 1
    window = state.window
    state.served(20.0)

    assert after_one == 10.0
    assert RECOVERY**replies < LEAST_GAP <= RECOVERY ** (replies - 1)
    assert (window, state.window) == (1, 2)


def test_without_adapting_a_refusal_holds_and_teaches_nothing() -> None:
    """No window, no gap, and all go at once after it."""
    state = host(8, adapt=False)

    for number in range(5):
        state.refused(10.0 + number, 10.0 + number, 8, 2.0)

    assert (state.window, state.hold) == (8, 16.0)
    assert state.ready(16.0, 7) == 0.0


def test_a_pause_longer_than_anybody_waits_is_no_hold_and_less_at_once() -> None:
    """Its URLs are final one by one; the host gets fewer of them together."""
    state = host(8)

    state.shunned(10.0, 9.0, 8)
    once = state.window
    state.shunned(10.5, 9.0, 7)

    assert (once, state.window) == (4, 4)
    assert state.ready(10.5, 3) == 0.0


# What is remembered.


def test_what_was_learned_is_remembered_for_a_while_and_what_was_not_is_not() -> None:
    """A host that never refused matters until its rate allows the next request, or not at all."""
    fresh, paced, taught, untaught = host(), host(gap=2.0), host(4), host(4, adapt=False)
    paced.took(10.0)
    taught.refused(10.0, 9.0, 4, 5.0)
    untaught.refused(10.0, 9.0, 4, 5.0)

    assert [state.rested for state in (fresh, paced, taught, untaught)] == [0.0, 12.0, 10.0 + MEMORY, 15.0]


# Gaps that a host asks for itself.


def test_a_gap_of_the_hosts_own_wins_over_a_shorter_one_and_counts_from_now() -> None:
    """A rate of ours that is slower stays; two wishes are the longer one."""
    quick, slow = host(gap=0.25), host(gap=8.0)
    for state in (quick, slow):
        state.slow(2.0, 10.0)
        state.slow(1.0, 10.0)

    assert (quick.ready(10.0, 0), slow.ready(10.0, 0)) == (12.0, 12.0)
    for state in (quick, slow):
        state.took(12.0)
    assert (quick.due, slow.due) == (14.0, 20.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["served", "refused", "shunned", "took"]),
            st.integers(0, 8),
            st.integers(1, 20),
            st.sampled_from([None, 0.0, 0.5, 30.0]),
        ),
        max_size=80,
    ),
    st.sampled_from([1, 4, inf]),
    st.booleans(),
)
def test_a_window_is_never_below_one_nor_above_its_limit(
    steps: list[tuple[str, int, int, float | None]], limit: float, adapt: bool
) -> None:
    """Whatever is told in whatever order; a hold never ends earlier than was said, and there is always a way on."""
    state = host(limit, adapt=adapt)
    now, hold = 100.0, 0.0

    for what, later, active, wait in steps:
        now += later / 4
        window = state.window
        if what == "served":
            state.served(now - later / 8)
            assert state.window - window in {0, 1} or window == inf
        elif what == "refused":
            state.refused(now, now - later / 8, active, wait)
            hold = max(hold, now + (wait or 0.0))
            assert state.window <= window
        elif what == "shunned":
            state.shunned(now, now - later / 8, active)
            assert state.window <= window
        else:
            state.took(now)
        assert 1 <= state.window <= limit
        assert adapt or state.window == limit
        assert state.hold >= hold
        assert state.ready(state.due, 0) == 0.0
        assert state.due <= max(now + LONGEST_GAP, state.hold)
