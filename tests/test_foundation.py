"""
What we lean on in aiohttp beyond what it promises: each test names one thing, and fails loudly when a release moves it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, cast

import certifi
import pytest
import uvloop
from aiohttp import BaseConnector, ClientConnectorError, ClientTimeout, TCPConnector
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from fetcher.backends import loops
from fetcher.client import foundation
from fetcher.client.config import ClientConfig
from fetcher.client.failures import error_of
from fetcher.client.foundation import MAX_HEADERS, Connector, ResponseHandler, Target, head_parser
from fetcher.client.names.config import NamesConfig
from fetcher.client.names.resolver import Resolver
from fetcher.client.phases import PHASES, Phases
from fetcher.client.reply import Wire
from fetcher.client.tls import make_context
from fetcher.errors import ErrorKind
from fetcher.urls import parse_url
from tests.conftest import MakeRawServer
from tests.servers import Hang, Reset, Site

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])

NewLoop = Callable[[], asyncio.AbstractEventLoop]


async def connect(connector: BaseConnector, url: str, cacert: str | None = None) -> Connection:
    """A connection, asked for as an exchange asks."""
    origin = parse_url(url)[0].origin
    context = make_context(ClientConfig(cacert=cacert)) if origin.scheme == "https" else None
    target = cast("Any", Target(origin, context))
    return await connector.connect(target, [], ClientTimeout(connect=5.0))


def make_connector(**options: Any) -> Connector:
    """A connector of ours; made within a loop."""
    return Connector(Wire, resolver=Resolver(), **options)


@LOOPS
def test_a_target_is_all_that_connecting_needs(loop: NewLoop, site: Site, tls_site: Site, ca_file: Path) -> None:
    """No attribute is asked of a request that `Target` lacks, with TLS or without; the protocol is a `Wire` of ours."""

    async def scenario() -> None:
        async with make_connector() as connector:
            for url in (site.url(), tls_site.url()):
                connection = await connect(connector, url, str(ca_file))
                assert type(connection.protocol) is Wire
                assert connection.transport is not None
                await drop(connection)

    run(loop, scenario)


class Detour:
    """A way to an origin that leads to another door."""

    def __init__(self, door: Target, *, forwards: bool) -> None:
        self.door = door
        self.forwards = forwards
        self.proxy = "a detour"

    async def open(
        self,
        connect: Callable[[], Awaitable[tuple[asyncio.Transport, ResponseHandler]]],
        fresh: Callable[[], ResponseHandler],
    ) -> ResponseHandler:
        """The protocol as it was connected; another could be made."""
        assert type(fresh()) is Wire
        transport, protocol = await connect()
        assert protocol.transport is transport
        return protocol


@LOOPS
@pytest.mark.parametrize("forwards", [True, False])
def test_a_way_is_asked_for_each_new_connection_and_has_its_own_pool(
    loop: NewLoop, site: Site, *, forwards: bool
) -> None:
    """What came by a way is not given to who goes directly; to another origin only if the way forwards."""
    door = parse_url(site.url())[0].origin
    way = Detour(Target(door, None), forwards=forwards)

    async def scenario() -> None:
        async with make_connector() as connector:

            async def ask(target: Target) -> Connection:
                return await connector.connect(cast("Any", target), [], ClientTimeout(connect=5.0))

            first, second = (parse_url(f"http://{name}.invalid/")[0].origin for name in "ab")
            held = await ask(Target(first, None, way))
            wire = held.protocol
            held.release()
            direct = await ask(Target(door, None))
            assert direct.protocol is not wire
            other = await ask(Target(second, None, way))
            assert (other.protocol is wire) == forwards
            same = await ask(Target(first, None, way))
            assert (same.protocol is wire) != forwards
            for connection in (direct, other, same):
                await drop(connection)

    run(loop, scenario)


@LOOPS
def test_the_pool_keeps_what_is_released_and_drops_what_is_closed(loop: NewLoop, site: Site) -> None:
    """`release` gives the same protocol to the next who asks; `close` does not."""

    async def scenario() -> None:
        async with make_connector() as connector:
            first = await connect(connector, site.url())
            wire = first.protocol
            first.release()
            second = await connect(connector, site.url())
            assert second.protocol is wire
            await drop(second)
            third = await connect(connector, site.url())
            assert third.protocol is not wire
            await drop(third)

    run(loop, scenario)


@LOOPS
def test_the_pool_asks_a_protocol_whether_it_is_alive(loop: NewLoop, site: Site) -> None:
    """One that says `should_close`, or is not connected, is not given to anybody."""

    async def scenario() -> None:
        async with make_connector() as connector:
            for spoil in (Wire.force_close, Wire.abort):
                first = await connect(connector, site.url())
                wire = cast("Wire", first.protocol)
                spoil(wire)
                assert wire.should_close or not wire.is_connected()
                first.release()
                second = await connect(connector, site.url())
                assert second.protocol is not wire
                await drop(second)

    run(loop, scenario)


@LOOPS
def test_a_protocol_goes_in_and_out_of_aiohttps_own_pool(loop: NewLoop, site: Site) -> None:
    """What `give_back` puts in is what `connect` finds, and `idle` finds what `release` puts in; both count."""

    async def scenario() -> None:
        target = Target(parse_url(site.url())[0].origin, None)
        connector = make_connector(limit=1)
        async with connector:
            assert connector.idle(target) is None
            wire = await connector.protocol(target, ClientTimeout(connect=5.0))
            assert connector._available_connections(target.connection_key) == 0
            # The first is released by aiohttp itself, which begins to look after old ones then.
            connector.give_back(target, wire)
            assert connector._cleanup_handle is not None
            assert connector.idle(target) is wire
            assert connector.idle(target) is None
            assert connector._available_connections(target.connection_key) == 0
            connector.give_back(target, wire)
            assert connector._available_connections(target.connection_key) == 1
            connection = await connect(connector, site.url())
            assert connection.protocol is wire
            connection.release()
            assert connector.idle(target) is wire
            connector.drop(target, wire)
            assert connector.idle(target) is None
            assert connector._available_connections(target.connection_key) == 1
        gc.collect()

    run(loop, scenario)


@LOOPS
def test_an_idle_protocol_that_is_of_no_use_is_given_to_nobody(loop: NewLoop, site: Site) -> None:
    """One that is too old, or has lost its connection, or says `should_close`, is closed instead."""

    async def scenario() -> None:
        target = Target(parse_url(site.url())[0].origin, None)
        connector = make_connector(keepalive_timeout=60.0)
        async with connector:
            for spoil in (Wire.force_close, Wire.abort):
                wire = await connector.protocol(target, ClientTimeout(connect=5.0))
                spoil(wire)
                connector.give_back(target, wire)
                assert connector.idle(target) is None
                assert not wire.is_connected()
            wire = await connector.protocol(target, ClientTimeout(connect=5.0))
            connector.give_back(target, wire)
            connector._conns[target.connection_key][0] = (wire, monotonic() - 61.0)
            assert connector.idle(target) is None
            assert not wire.is_connected()
            assert not connector._conns

    run(loop, scenario)


@LOOPS
def test_closing_and_aborting_a_protocol_end_its_connection(loop: NewLoop, raw_server: MakeRawServer) -> None:
    """`Wire` inherits both from aiohttp, and the exchange counts on them."""
    server = raw_server([Hang()], greet=True)

    async def scenario() -> None:
        async with make_connector() as connector:
            for end in (Wire.close, Wire.abort):
                connection = await connect(connector, server.url())
                wire = cast("Wire", connection.protocol)
                transport = connection.transport
                assert transport is not None
                end(wire)
                assert transport.is_closing()
                connection.close()

    run(loop, scenario)


def test_a_protocol_without_a_parser_takes_bytes_without_complaint() -> None:
    """What a server says unasked reaches `Wire`, which keeps it for the reply; aiohttp has no parser there yet."""
    with new_wire() as wire:
        assert wire._parser is None

        wire.data_received(b"HTTP/1.1 200 OK\r\n")

        assert wire._early == b"HTTP/1.1 200 OK\r\n"


def test_the_parser_reads_one_head_after_the_other() -> None:
    """It gives a message for each, whatever the head says of a body, with all that `read_head` takes from it."""
    with new_wire() as wire:
        parser = head_parser(wire, wire._loop)
        for raw in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: J\xfcrgen\r\n\r\n",
            b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
        ):
            [(message, _)], *_ = parser.feed_data(raw)

            assert message.code in {200, 404, 103}
            assert message.version == ((1, 0) if b"1.0" in raw else (1, 1))
            assert isinstance(message.should_close, bool)
            assert len(message.raw_headers) == raw.count(b": ")
            assert all(type(part) is bytes for pair in message.raw_headers for part in pair)


def test_the_parser_refuses_with_its_own_exception() -> None:
    """What it does not read is an HttpProcessingError, which sends us to the second reading."""
    with new_wire() as wire:
        parser = head_parser(wire, wire._loop)

        with pytest.raises(HttpProcessingError):
            parser.feed_data(b"HTTP/1.1 200 OK\r\nX-Name\x00: a\r\n\r\n")


def test_the_parser_takes_long_lines_and_many_headers() -> None:
    """Its limits are the ones that we set, far above its own of 8 KiB and 128."""
    with new_wire() as wire:
        parser = head_parser(wire, wire._loop)
        lines = b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS - 1))

        [(message, _)], *_ = parser.feed_data(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n" + lines + b"\r\n")

        assert len(message.raw_headers) == MAX_HEADERS


def test_connections_are_made_where_we_step_in() -> None:
    """aiohttp makes every socket with `socket_factory`, and connects it in the method that we override."""
    assert inspect.iscoroutinefunction(TCPConnector._wrap_create_connection)
    assert "socket_factory" in inspect.signature(TCPConnector.__init__).parameters
    assert "self._socket_factory" in inspect.getsource(TCPConnector._wrap_create_connection)


class Addresses(Resolver):
    """A resolver for which every host has these addresses."""

    def __init__(self, *addresses: str) -> None:
        super().__init__(NamesConfig(resolve=(f"*:1:{','.join(addresses)}",)))


@LOOPS
def test_each_address_is_tried_once(loop: NewLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp tries all again but for the first, and so on: 10 connections for 4 addresses."""
    made: list[object] = []
    make_socket = foundation._make_socket

    def noted(address: tuple[Any, ...], **options: Any) -> socket.socket:
        made.append(address)
        return make_socket(address, **options)

    monkeypatch.setattr(foundation, "_make_socket", noted)

    async def scenario() -> None:
        resolver = Addresses(*(f"127.0.0.{number}" for number in range(1, 5)))
        async with Connector(Wire, resolver=resolver) as connector:
            PHASES.set(Phases())
            with pytest.raises(ClientConnectorError):
                await connect(connector, "http://a.test:1/")

    run(loop, scenario)

    assert len(made) == 4


@LOOPS
def test_of_different_failures_the_address_that_was_reached_counts(loop: NewLoop) -> None:
    """That there is no way by the other family says nothing of the host; aiohttp tells neither by its number."""

    async def scenario() -> None:
        # An address of a link, without the link.
        async with Connector(Wire, resolver=Addresses("fe80::1", "127.0.0.1")) as connector:
            PHASES.set(Phases())
            with pytest.raises(ClientConnectorError) as caught:
                await connect(connector, "http://a.test:1/")
        assert error_of(caught.value).kind == ErrorKind.REFUSED

    run(loop, scenario)


@LOOPS
def test_what_our_resolver_says_is_what_is_connected_to(loop: NewLoop, site: Site) -> None:
    """Nobody looks it up a second time, and finds something else: nobody else knows this name."""

    async def scenario() -> None:
        resolver = Resolver(NamesConfig(resolve=(f"a.test:{site.port}:127.0.0.1",)))
        async with Connector(Wire, resolver=resolver) as connector:
            connection = await connect(connector, f"http://a.test:{site.port}/")
            assert connection.transport is not None
            assert connection.transport.get_extra_info("peername") == ("127.0.0.1", site.port)
            await drop(connection)

    run(loop, scenario)


def test_on_uvloop_only_libuv_holds_the_descriptor_of_a_connection(site: Site) -> None:
    """
    A socket that still knew the descriptor would close it a second time, when it may be another connection's.

    uvloop forgets to tell it where the peer resets at once; see `Connector._wrap_create_connection`.
    """

    async def scenario() -> None:
        async with make_connector() as connector:
            connection = await connect(connector, site.url())
            sockets = [one for one in gc.get_objects() if isinstance(one, foundation._Socket)]
            assert {-1} == {one.fileno() for one in sockets}
            assert connection.transport is not None
            assert connection.transport.get_extra_info("peername") == ("127.0.0.1", site.port)
            await drop(connection)

    run(uvloop.new_event_loop, scenario)


@LOOPS
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the descriptors under /proc")
def test_connections_that_fail_leave_no_descriptor_behind(loop: NewLoop, raw_server: MakeRawServer) -> None:
    """Refused, reset before or within the handshake, given up by us: nothing stays open."""
    resetting = raw_server([Reset()], greet=True)
    silent = raw_server([Hang()], greet=True)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        refused = unused.getsockname()[1]

    async def scenario() -> None:
        async with make_connector() as connector:
            before = descriptors()
            for _ in range(20):
                with pytest.raises((ClientConnectorError, OSError)):
                    await connect(connector, resetting.url().replace("http", "https"))
                with pytest.raises((ClientConnectorError, OSError)):
                    await connect(connector, f"http://127.0.0.1:{refused}/")
                task = asyncio.create_task(connect(connector, silent.url().replace("http", "https")))
                while silent.connections == 0:
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        assert descriptors() <= before + 2

    run(loop, scenario)


@LOOPS
def test_a_writer_waits_until_there_is_room_or_nobody_to_write_to(loop: NewLoop, raw_server: MakeRawServer) -> None:
    """`drain` returns at once while the transport takes more, else when it does, or when the connection is gone."""
    silent = raw_server([Hang()], greet=True)

    async def scenario() -> None:
        async with make_connector() as connector:
            connection = await connect(connector, silent.url())
            wire = cast("Wire", connection.protocol)
            await wire.drain()
            # More than the system's buffers for both ends take.
            cast("asyncio.Transport", connection.transport).write(bytes(2**26))
            assert wire.writing_paused
            waiting = asyncio.create_task(wire.drain())
            await asyncio.sleep(0)
            assert not waiting.done()
            wire.abort()
            await asyncio.wait_for(waiting, 10)
            await wire.drain()
            connection.close()

    run(loop, scenario)


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def drop(connection: Connection) -> None:
    """End a connection as the exchange does."""
    cast("Wire", connection.protocol).abort()
    connection.close()
    # The loop closes the socket when it has the time.
    await asyncio.sleep(0)


def run(loop: NewLoop, scenario: Callable[[], Any]) -> None:
    """Run a scenario to its end, on such a loop."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())


@contextmanager
def new_wire() -> Iterator[Wire]:
    """A protocol that is not connected to anything."""
    loop = asyncio.new_event_loop()
    try:
        yield Wire(loop)
    finally:
        loop.close()


def test_our_loop_asks_nobody_about_an_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop looks up what a socket is to be connected to, and would do so in a thread."""
    kind: Any = loops._factory()
    lookup = kind.getaddrinfo
    told: list[str] = []

    async def at_once(*args: Any, **options: Any) -> Any:
        question = lookup(*args, **options)
        try:
            question.send(None)
        except StopIteration as answer:
            told.append(args[1])
            return answer.value
        raise AssertionError("somebody else is asked")

    monkeypatch.setattr(kind, "getaddrinfo", at_once)

    async def scenario() -> None:
        connector = make_connector()
        assert connector._libuv
        async with connector:
            await drop(await connect(connector, site.url()))

    run(kind, scenario)

    assert told == ["127.0.0.1"]


def test_the_commands_aiohttp_loads_nothing_that_is_not_used() -> None:
    """
    No certificates of the system's: its own contexts are empty, and verify all the same; every other context is made as
    ever. And no aiodns, which is imported when there is a name to look up.
    """
    code = """
import ssl, sys
from fetcher.client.lean import import_aiohttp
import_aiohttp()
from aiohttp import connector
theirs, other = connector._SSL_CONTEXT_VERIFIED, ssl.create_default_context()
print(theirs.cert_store_stats()["x509"], theirs.verify_mode.name, other.cert_store_stats()["x509"] > 0)
print("aiodns" in sys.modules)
import aiodns
"""

    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"SSL_CERT_FILE": certifi.where()},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.split() == ["0", "CERT_REQUIRED", "True", "False"]


def test_garbage_is_looked_for_once_the_run_begins() -> None:
    """Not while the command is imported, and what is there by then is left out of it for good."""
    code = """
import gc, sys
from fetcher.cli import launch
launch.launch = lambda *_: print(gc.isenabled(), gc.get_freeze_count() > 10_000) or 0
sys.argv = ["afetch", "http://127.0.0.1/"]
from fetcher.__main__ import run
print(gc.isenabled())
import fetcher.cli.main as main
usual = main.main
main.main = lambda **given: print(gc.isenabled()) or usual(**given)
run()
"""

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["True", "False", "True", "True"]
