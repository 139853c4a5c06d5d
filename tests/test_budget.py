"""The bytes of all bodies at once: counted, bounded, and never a reason to stand still."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fetcher import Settings, fetch
from fetcher.backends.local import LocalRun
from fetcher.client.budget import Budget
from fetcher.client.codings import PIECE
from fetcher.client.foundation import head_parser
from fetcher.client.reply import Reply, Wire
from fetcher.errors import ErrorKind
from fetcher.sinks.files import Function
from fetcher.sinks.jsonl import JsonLines
from fetcher.sinks.outputs import ByteOutput
from fetcher.sources.iterable import from_iterable
from tests.servers import Site

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


# -- what is in a content coding

ROOM = 4 * PIECE
LARGE = b"A line that compresses well.\n" * PIECE
GZIPPED = gzip.compress(LARGE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
WITH_LENGTH = HEAD + f"Content-Length: {len(GZIPPED)}\r\n\r\n".encode()


class Full:
    """A budget with room for one piece, because another body waits to be written."""

    def __init__(self) -> None:
        self.budget = Budget(2 * ROOM)
        self._other = Body()
        self._other.grow(self.budget, ROOM - PIECE)
        self.budget.arrived(self._other.size, self._other, kept=True)
        self._loop = asyncio.get_running_loop()

    def reply(self) -> Reply:
        """A reply that is to be fed."""
        wire = Wire(self._loop)
        wire.parser = head_parser(wire, self._loop)
        return Reply(wire, "GET", 0, self.budget, self._loop)

    def empty(self) -> None:
        """The other body is written."""
        self.budget.give(self._other.size)


@pytest.fixture
async def full() -> Full:
    """No room."""
    return Full()


def settled(full: Full, reply: Reply) -> bytes:
    """The reply's body, which is dropped; the budget is empty then."""
    full.budget.arrived(reply.settle(kept=True), reply, kept=False)
    assert full.budget.used == 0
    return reply.body or b""


async def test_decoding_stops_where_there_is_no_room(full: Full) -> None:
    """A few bytes that stand for a large body are decoded as room comes, and the reply is whole only then."""
    reply = full.reply()

    reply.feed(WITH_LENGTH + GZIPPED)
    before, whole = reply.size, reply.done.done()
    full.empty()
    await reply.done

    assert (before <= 2 * PIECE, whole) == (True, False)
    assert reply.error is None
    assert reply.keeps
    assert settled(full, reply) == LARGE


async def test_many_replies_without_room_decode_nothing(full: Full) -> None:
    """A piece of each would be far more than there is room for, at their beginning and whenever there is room."""
    replies = [full.reply() for _ in range(20)]

    for reply in replies:
        reply.feed(WITH_LENGTH + GZIPPED)
    before = full.budget.used
    full.empty()
    most = 0
    while not any(reply.done.done() for reply in replies):
        await asyncio.sleep(0)
        most = max(most, full.budget.used - max(reply.size for reply in replies))

    assert before <= ROOM + 2 * PIECE
    assert most <= ROOM + 2 * PIECE


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + f"{len(GZIPPED):x}\r\n".encode() + GZIPPED + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "lost", "kind"),
    [
        pytest.param(WITH_LENGTH + GZIPPED, True, None, id="lost-behind"),
        pytest.param(HEAD + b"\r\n" + GZIPPED, True, None, id="until-close"),
        pytest.param(WITH_LENGTH.replace(b"Length: ", b"Length: 9") + GZIPPED, True, ErrorKind.INCOMPLETE, id="cut"),
        pytest.param(CHUNKED + b"0\r\n\r\n", False, None, id="chunked"),
        pytest.param(CHUNKED + b"none\r\n", True, ErrorKind.PROTOCOL, id="no-chunk"),
        pytest.param(
            HEAD.replace(b"gzip", b"deflate") + b"\r\n" + zlib.compress(LARGE)[:-4] + b"none",
            True,
            ErrorKind.DECODE,
            id="broken",
        ),
    ],
)
async def test_a_reply_ends_behind_what_waits_to_be_decoded(
    full: Full, raw: bytes, lost: bool, kind: ErrorKind | None
) -> None:
    """Whatever ends it: all that arrived is in it, and what is wrong is told as ever."""
    reply = full.reply()

    reply.feed(raw)
    if lost:
        reply.lost(None)
    early = reply.done.done()
    full.empty()
    await reply.done

    assert not early
    assert (reply.error and reply.error.kind) == kind
    assert settled(full, reply) == LARGE


async def test_waiting_to_be_decoded_is_not_the_servers_silence(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once all has arrived nothing more comes, which is no reason to call the server slow."""
    monkeypatch.setattr(Wire, "waits", False)
    reply = full.reply()

    reply.feed(WITH_LENGTH + GZIPPED)
    full.empty()
    await reply.done

    assert reply.paused_for > 0.0
    assert settled(full, reply) == LARGE


async def test_what_follows_a_reply_that_waits_is_not_read(full: Full) -> None:
    """It is nobody's, and the connection carries no other reply."""
    reply = full.reply()

    reply.feed(WITH_LENGTH + GZIPPED)
    reply.feed(b"surplus")
    full.empty()
    await reply.done

    assert not reply.keeps
    assert settled(full, reply) == LARGE


async def test_a_reply_that_is_given_up_decodes_no_more(full: Full) -> None:
    """Room that comes later is for others."""
    reply = full.reply()
    reply.feed(WITH_LENGTH + GZIPPED)
    later = full.reply()
    later.feed(WITH_LENGTH + GZIPPED)

    full.empty()
    full.budget.arrived(reply.settle(kept=False), reply, kept=False)
    await later.done

    assert reply.size <= 2 * PIECE
    assert settled(full, later) == LARGE


async def test_a_reader_that_stands_still_holds_new_requests_back(site: Site) -> None:
    """What waits to be written has a bound in bytes; all of it is written in the end."""
    opened = threading.Event()
    lines: list[bytes] = []

    def write(data: bytes) -> None:
        assert opened.wait(20)
        lines.append(data)

    body = "x" * 20_000
    settings = Settings(concurrency=5, window=10, body_budget=400_000)
    source = from_iterable([site.page(body) for _ in range(200)], settings)
    run = LocalRun(settings, source, [ByteOutput(JsonLines(), Function(write))])
    task = asyncio.create_task(run.run())

    async with asyncio.timeout(20):
        while not run.full():
            await asyncio.sleep(0.005)
        # Many turns of the loop, in which nothing is to be begun.
        async with fetch([site.page("other")] * 50, Settings(concurrency=1)) as others:
            ended = [record.ok async for record in others]
        asked, size = len(site.log) - 50, run.stats.size
        opened.set()
        await task

    assert all(ended)
    assert size <= 200_000 + 6 * len(body)
    assert asked <= 10 + 6
    assert b"".join(lines).count(b"\n") == 200
