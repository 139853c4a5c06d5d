"""The bytes of all bodies at once: counted, bounded, and never a reason to stand still."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fetcher.client.budget import Budget

LIMIT = 100
"""What a budget of twice that counts up to."""


class Body:
    """A body that is read; told by the budget when to pause."""

    def __init__(self) -> None:
        self.size = 0
        self.paused = False
        self.changes = 0

    def pause(self) -> None:
        """Stop reading."""
        assert not self.paused
        self.paused = True
        self.changes += 1

    def resume(self) -> None:
        """Read on."""
        assert self.paused
        self.paused = False
        self.changes += 1

    def grow(self, budget: Budget, size: int) -> None:
        """More of it arrived."""
        self.size += size
        budget.take(size, self)


def test_nothing_happens_while_there_is_room() -> None:
    """Up to the limit, nobody is told anything."""
    budget = Budget(2 * LIMIT)
    one, other = Body(), Body()

    one.grow(budget, 60)
    other.grow(budget, 40)

    assert budget.used == 100
    assert one.changes == other.changes == 0


def test_half_is_kept_for_what_is_not_counted() -> None:
    """With one byte more than half of it, a body waits, whatever the largest size of one is."""
    budget = Budget(200)
    first, second = Body(), Body()
    first.grow(budget, 100)
    before = first.paused

    second.grow(budget, 1)
    first.grow(budget, 1)

    assert (before, first.paused) == (False, True)


def test_one_body_goes_on_above_the_limit_and_the_others_wait() -> None:
    """Half-read bodies that all waited for each other would stand still for ever."""
    budget = Budget(2 * LIMIT)
    first, second = Body(), Body()
    first.grow(budget, 60)

    second.grow(budget, 60)
    first.grow(budget, 10)

    assert not second.paused
    assert first.paused


def test_who_waits_reads_on_when_the_other_is_written() -> None:
    """A body that is whole still counts until it is given back; then the next may go on."""
    budget = Budget(2 * LIMIT)
    first, second = Body(), Body()
    second.grow(budget, 30)
    first.grow(budget, 101)
    second.grow(budget, 10)

    budget.arrived(first.size, first, kept=True)
    before = second.paused
    budget.give(first.size)

    assert (before, second.paused) == (True, False)
    assert budget.used == second.size


def test_a_body_that_nobody_keeps_is_given_back_at_once() -> None:
    """Too large, or its reader was cancelled."""
    budget = Budget(2 * LIMIT)
    one = Body()
    one.grow(budget, 150)

    budget.arrived(one.size, one, kept=False)

    assert budget.used == 0


def test_while_bodies_wait_to_be_written_nobody_is_privileged() -> None:
    """The writer will make room: until then nothing more is read."""
    budget = Budget(2 * LIMIT)
    written, read = Body(), Body()
    written.grow(budget, 90)
    budget.arrived(written.size, written, kept=True)

    read.grow(budget, 20)
    before = read.paused
    budget.give(90)

    assert (before, read.paused) == (True, False)


class AnyOrder(RuleBasedStateMachine):
    """Bodies that grow, end and are written in any order."""

    @initialize()
    def begin(self) -> None:
        """With an empty budget."""
        self.budget = Budget(2 * LIMIT)
        self.bodies: list[Body] = []
        self.waiting: list[int] = []
        self.privileged: Body | None = None

    @rule()
    def another(self) -> None:
        """A reply begins."""
        self.bodies.append(Body())

    @precondition(lambda self: any(not body.paused for body in self.bodies))
    @rule(data=st.data(), size=st.integers(1, 60))
    def grow(self, data: st.DataObject, size: int) -> None:
        """Only those who are not paused read."""
        body = data.draw(st.sampled_from([body for body in self.bodies if not body.paused]))
        body.grow(self.budget, size)
        if self.budget.used > LIMIT and not body.paused:
            # Above the limit one may go on, and only one until it is over.
            assert self.privileged not in self.bodies or self.privileged is body
            self.privileged = body

    @precondition(lambda self: self.bodies)
    @rule(data=st.data(), kept=st.booleans())
    def end(self, data: st.DataObject, kept: bool) -> None:
        """A paused one, too: its server may have closed, or its time may be up."""
        body = data.draw(st.sampled_from(self.bodies))
        self.bodies.remove(body)
        self.budget.arrived(body.size, body, kept=kept)
        if kept:
            self.waiting.append(body.size)

    @precondition(lambda self: self.waiting)
    @rule()
    def write(self) -> None:
        """The writer took one."""
        self.budget.give(self.waiting.pop(0))

    @invariant()
    def counts(self) -> None:
        """What is used is what there is."""
        assert self.budget.used == sum(body.size for body in self.bodies) + sum(self.waiting)

    @invariant()
    def goes_on(self) -> None:
        """Somebody reads, or something waits to be written: the run never stands still."""
        if self.bodies and not sum(self.waiting):
            assert any(not body.paused for body in self.bodies)


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase
