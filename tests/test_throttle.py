"""A rate for all replies together: kept exactly on paper, and seen from the server's side for real."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Self, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fetcher.client.config import ClientConfig
from fetcher.client.throttle import BURST, STEP, Throttle
from fetcher.errors import ErrorKind, UsageError
from tests.exchanges import Loop, fetch_at_once, on_each_loop
from tests.servers import Site

RATE = 100_000.0

TICK = 0.001
"""Seconds between what happens in the pure tests."""


class Timer:
    """A call that is due."""

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Not any more."""
        self.call = None


class Time:
    """A clock, and a loop's timers on it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.timers: list[Timer] = []

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        """As a loop does it."""
        assert delay >= 0
        self.timers.append(Timer(self.now + delay, call))
        return self.timers[-1]

    @property
    def pending(self) -> list[Timer]:
        """Timers that are still to come."""
        self.timers = [timer for timer in self.timers if timer.call is not None]
        return self.timers

    def advance(self, seconds: float) -> None:
        """Let time pass, and call what is due at its end."""
        self.now += seconds
        for timer in [timer for timer in self.pending if timer.due <= self.now]:
            call, timer.call = timer.call, None
            assert call is not None
            call()


class Connection:
    """A connection that has `lump` bytes to be read whenever it is looked at."""

    def __init__(self, throttle: Throttle, lump: int) -> None:
        self.lump = lump
        self.held = False
        self.read = 0
        self._throttle = throttle
        throttle.begin(self)

    def hold(self) -> None:
        """Stop reading."""
        assert not self.held
        self.held = True

    def go_on(self) -> None:
        """Read on."""
        assert self.held
        self.held = False

    def look(self) -> None:
        """What a loop does with a socket that has something."""
        if not self.held and self.lump:
            self.read += self.lump
            self._throttle.take(self.lump, self)


def bucket(time: Time, rate: float = RATE) -> Throttle:
    """A throttle on a clock in hand."""
    return Throttle(rate, cast("asyncio.AbstractEventLoop", time), clock=time)


def run(time: Time, connections: list[Connection], seconds: float) -> Iterator[tuple[float, int]]:
    """Seconds passed and bytes read, tick by tick. The first of the connections are always looked at first."""
    begun = time.now
    for _ in range(round(seconds / TICK)):
        time.advance(TICK)
        for connection in connections:
            connection.look()
        yield time.now - begun, sum(connection.read for connection in connections)


@pytest.mark.parametrize(
    ("rate", "lump", "count"), [(RATE, 15_000, 50), (RATE, 700, 50), (50e6, 262_144, 1), (1e6, 1, 3)]
)
def test_the_rate_is_kept_at_any_time(rate: float, lump: int, count: int) -> None:
    """Never more than one read ahead, and never behind by more than a read and the time between turns."""
    time = Time()
    throttle = bucket(time, rate)
    # A thousand bytes a tick and connection are all that a lump of one byte a look can bring.
    connections = [Connection(throttle, lump) for _ in range(count)]

    for passed, read in run(time, connections, 3.0):
        assert read <= rate * passed + lump
        assert lump == 1 or read >= rate * (passed - STEP - 2 * TICK) - lump


def test_turns_are_fair() -> None:
    """Whoever has just read goes last, in whatever order the loop looks; those with nothing to read change nothing."""
    time = Time()
    throttle = bucket(time)
    connections = [Connection(throttle, lump) for lump in [1_500] * 15 + [0] * 15 + [1_500] * 15]

    for _ in run(time, connections, 10.0):
        pass

    turns = sorted(connection.read // 1_500 for connection in connections if connection.lump)
    assert sum(turns) > 600
    assert turns[-1] - turns[0] <= 3


def test_those_with_nothing_to_read_hold_nobody_up() -> None:
    """Forty slow servers at the front of the queue, and two quick ones behind: these have the whole rate."""
    time = Time()
    throttle = bucket(time)
    connections = [Connection(throttle, lump) for lump in [0] * 40 + [2_000] * 2]

    *_, (passed, read) = run(time, connections, 5.0)

    assert read == pytest.approx(RATE * passed, rel=0.03)


def test_nobody_is_ever_held_below_the_rate() -> None:
    """Who asks for half of it is never told to wait, but at the very beginning."""
    time = Time()
    throttle = bucket(time)
    time.advance(BURST)
    connection = Connection(throttle, int(RATE * TICK / 2))

    *_, (passed, read) = run(time, [connection], 3.0)

    assert read == pytest.approx(RATE / 2 * passed)


def test_a_rest_allows_a_small_burst_only() -> None:
    """After an hour of silence a tenth of a second's worth comes at once, and a read."""
    time = Time()
    throttle = bucket(time)
    connection = Connection(throttle, 0)
    time.advance(3600)
    connection.lump = 100

    for _ in range(1_000):
        connection.look()

    assert connection.read == RATE * BURST


def test_replies_of_one_read_are_held_too() -> None:
    """Each is over before it can be paused: it is held before it begins."""
    time = Time()
    throttle = bucket(time)
    slots = [Connection(throttle, 1_000) for _ in range(50)]
    begun, done = time.now, 0

    for _ in range(3_000):
        time.advance(TICK)
        for place, connection in enumerate(slots):
            connection.look()
            if connection.read:
                done += connection.read
                throttle.end(connection)
                slots[place] = Connection(throttle, 1_000)

    assert done == pytest.approx(RATE * (time.now - begun), rel=0.02)


def test_who_is_over_is_left_alone() -> None:
    """A reply that ended while it was held is not told to go on, and no timer is left behind."""
    time = Time()
    throttle = bucket(time)
    gone, last = Connection(throttle, 10), Connection(throttle, 10)

    throttle.end(gone)
    throttle.end(last)
    left = list(time.pending)
    time.advance(10)

    assert (gone.held, last.held, left) == (True, True, [])


def test_a_run_that_ends_leaves_no_timer() -> None:
    """With it go all who are held."""
    time = Time()
    throttle = bucket(time)
    held = Connection(throttle, 10)

    throttle.close()
    left = list(time.pending)
    time.advance(10)

    assert (held.held, left) == (True, [])


def test_a_window_is_small_where_the_rate_is() -> None:
    """A slow rate's sockets take little ahead of it; a fast one leaves the system its choice."""
    windows = [bucket(Time(), rate).window for rate in (1_000, RATE, 1e6, 50e6)]

    assert windows == [8 * 1024, 10_000, 100_000, None]


class AnyOrder(RuleBasedStateMachine):
    """Readers that begin, read and end in any order, at any time."""

    @initialize(rate=st.floats(1, 1e9))
    def begin(self, rate: float) -> None:
        """With an empty bucket."""
        self.time = Time()
        self.throttle = bucket(self.time, rate)
        self.readers: list[Connection] = []

    @rule(lump=st.integers(1, 300_000))
    def another(self, lump: int) -> None:
        """A reply is awaited."""
        self.readers.append(Connection(self.throttle, lump))

    @precondition(lambda self: any(not reader.held for reader in self.readers))
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Bytes arrive for one that reads."""
        data.draw(st.sampled_from([reader for reader in self.readers if not reader.held])).look()

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        """Bytes arrive for anybody: TLS had them already."""
        self.throttle.take(100, data.draw(st.sampled_from(self.readers)))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A reply is over, or its reader has gone."""
        reader = data.draw(st.sampled_from(self.readers))
        self.readers.remove(reader)
        self.throttle.end(reader)

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.time.advance(seconds)

    @invariant()
    def who_is_held_waits_for_one_timer(self) -> None:
        """And without anybody there is none."""
        assert len(self.time.pending) == any(reader.held for reader in self.readers)

    def teardown(self) -> None:
        """Whoever is held has a turn, when the others leave it one."""
        for reader in [reader for reader in self.readers if not reader.held]:
            self.throttle.end(reader)
            self.readers.remove(reader)
        for _ in range(100_000):
            if not self.readers:
                return
            [timer] = self.time.pending
            self.time.advance(timer.due - self.time.now + TICK)
            for reader in [reader for reader in self.readers if not reader.held]:
                self.throttle.end(reader)
                self.readers.remove(reader)
        raise AssertionError("somebody never had a turn")


AnyOrder.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    """None is how to say that there is no limit."""
    with pytest.raises(UsageError, match="limit_rate must be above 0"):
        ClientConfig(limit_rate=rate)


class Pouring:
    """
    A server that sends as fast as it is let, and notes what the client has acknowledged.

    Attributes:
        seen: (Seconds since the first request, connection, bytes acknowledged), in order of time.
    """

    PIECE = 4 * 1024

    def __init__(self, size: int) -> None:
        self._size = size
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        # Else the system takes megabytes from us in one go.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * self.PIECE)
        self._threads = [threading.Thread(target=self._accept)]
        self._begun: float | None = None
        self.seen: list[tuple[float, int, int]] = []

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._pour, args=(connection, len(self._threads)))
                self._threads.append(thread)
                thread.start()

    def _pour(self, connection: socket.socket, number: int) -> None:
        with connection:
            connection.recv(65536)
            self._begun = self._begun or perf_counter()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._size)
            for _ in range(self._size // self.PIECE):
                connection.sendall(b"x" * self.PIECE)
                # tcpi_bytes_acked, since Linux 4.1.
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
                self.seen.append((perf_counter() - self._begun, number, struct.unpack_from("=Q", info, 120)[0]))
            connection.recv(1)


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the system does not tell what was acknowledged")
@on_each_loop
def test_servers_see_the_rate(loop: Loop) -> None:
    """Five that pour: what they are ahead of the rate is bounded by the receive buffers, and it ends when it should."""
    rate, size, count = 300_000.0, 80 * 1024, 5
    window = bucket(Time(), rate).window
    assert window is not None

    with Pouring(size) as server:
        hops = fetch_at_once(loop, [server.url] * count, limit_rate=rate)

    assert [(hop.error, hop.size) for hop in hops] == [(None, size)] * count
    acked = dict.fromkeys(range(1, count + 1), 0)
    for passed, number, total in server.seen:
        acked[number] = total
        assert sum(acked.values()) <= rate * (passed + 0.1) + count * 2 * window
    assert max(hop.elapsed for hop in hops) == pytest.approx(size * count / rate, rel=0.3)


@on_each_loop
def test_connections_share_the_rate(either_site: Site, ca_file: Path, loop: Loop) -> None:
    """Four bodies that begin together end together; read one after the other, the first would take a quarter."""
    rate, size = 400_000.0, 120_000
    url = either_site.page(b"x" * size)

    hops = fetch_at_once(loop, [url] * 4, limit_rate=rate, cacert=str(ca_file))

    assert [(hop.error, hop.size) for hop in hops] == [(None, size)] * 4
    elapsed = sorted(hop.elapsed for hop in hops)
    assert elapsed[-1] >= 0.8 * 4 * size / rate
    assert elapsed[0] >= 0.45 * elapsed[-1]


@on_each_loop
def test_what_we_hold_back_is_nobodys_fault(either_site: Site, ca_file: Path, loop: Loop) -> None:
    """Replies that the rate makes last longer than every timeout, and slower than the least speed, arrive."""
    url = either_site.page(b"x" * 40_000)

    hops = fetch_at_once(
        loop,
        [url] * 3,
        limit_rate=RATE,
        timeout=0.5,
        read_timeout=0.4,
        min_speed=(60_000, 0.2),
        cacert=str(ca_file),
    )

    assert [(hop.error, hop.size) for hop in hops] == [(None, 40_000)] * 3
    assert max(hop.elapsed for hop in hops) > 0.9


@on_each_loop
def test_a_silent_server_is_found_while_others_use_up_the_rate(either_site: Site, ca_file: Path, loop: Loop) -> None:
    """It is held most of the time, but there would have been nothing to read."""
    busy = either_site.page(b"x" * 100_000)

    *_, silent = fetch_at_once(
        loop, [busy, busy, either_site.hang()], limit_rate=RATE, read_timeout=0.3, cacert=str(ca_file)
    )

    assert silent.error is not None
    assert silent.error.kind is ErrorKind.READ_TIMEOUT
    assert silent.elapsed < 3.0
