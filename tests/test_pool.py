"""Which connections are kept: the client alone, on each loop, against sites that count who connects."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from collections.abc import Callable, Coroutine

import pytest

from fetcher.client import pool
from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.client.reply import Wire
from tests.conftest import MakeRawServer, MakeSite, MakeTlsSite
from tests.exchanges import Loop, exchange, on_each_loop
from tests.servers import Authority, Certificate, Hang, Site

Scenario = Callable[[Client], Coroutine[None, None, None]]


def run(loop: Loop, scenario: Scenario, wanted: set[str], **options: object) -> None:
    """A scenario with a client that knows which origins are wanted."""

    async def whole() -> None:
        config = ClientConfig(**options)  # type: ignore[arg-type]  # checked by itself
        client = Client(config, wanted=lambda origin: origin.text in wanted)
        try:
            async with asyncio.timeout(20.0):
                await scenario(client)
        finally:
            await client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(whole())


def idle(client: Client) -> int:
    """Connections in the pool."""
    return sum(map(len, client._connector._conns.values()))


def asked(sites: list[Site]) -> list[int]:
    """How many connections were made to each."""
    return [site.connections for site in sites]


@on_each_loop
def test_the_oldest_connection_that_nobody_wants_makes_room(loop: Loop, make_site: MakeSite) -> None:
    """With all slots idle the one that was used last is kept, whatever is known of it, and the first one goes."""
    sites = [make_site() for _ in range(3)]
    urls = [site.page("x") for site in sites]

    async def scenario(client: Client) -> None:
        for url in urls:
            await exchange(client, url)
        assert idle(client) == 2
        for url in reversed(urls):
            await exchange(client, url)

    run(loop, scenario, set(), concurrency=2)

    assert asked(sites) == [2, 1, 1]


@on_each_loop
def test_what_has_become_wanted_makes_no_room(loop: Loop, make_site: MakeSite) -> None:
    """As a redirect's host has, whose next hop is queued only after its connection is idle."""
    sites = [make_site() for _ in range(3)]
    urls = [site.page("x") for site in sites]
    wanted: set[str] = set()

    async def scenario(client: Client) -> None:
        await exchange(client, urls[0])
        wanted.add(sites[0].origin)
        for url in [*urls[1:], *urls[1:], urls[0]]:
            await exchange(client, url)

    run(loop, scenario, wanted, concurrency=1)

    assert asked(sites) == [1, 2, 2]


@on_each_loop
def test_connections_at_work_count_too(loop: Loop, make_site: MakeSite) -> None:
    """While every slot is at work but one, there is one idle connection that nobody wants, and no second."""
    sites = [make_site() for _ in range(3)]
    gate = sites[0].gate()

    async def scenario(client: Client) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(exchange(client, gate.url))
            await asyncio.to_thread(sites[0].wait, 1)
            for site in sites[1:]:
                await exchange(client, site.page("x"))
                assert idle(client) == 1
            gate.open()

    run(loop, scenario, set(), concurrency=2)

    assert asked(sites) == [1, 1, 1]


@on_each_loop
def test_connections_that_are_being_made_count_too(loop: Loop, make_site: MakeSite, raw_server: MakeRawServer) -> None:
    """As they do when they are at work; one that fails counts no more."""
    sites = [make_site() for _ in range(3)]
    urls = [site.page("x") for site in sites]
    silent = raw_server([Hang()])

    async def scenario(client: Client) -> None:
        shaking = asyncio.create_task(exchange(client, silent.url().replace("http", "https")))
        while not silent.connections:
            await asyncio.sleep(0)
        for url in urls[:2]:
            await exchange(client, url)
            assert idle(client) == 1
        shaking.cancel()
        await asyncio.wait([shaking])
        await exchange(client, urls[2])
        assert idle(client) == 2

    run(loop, scenario, set(), concurrency=2)


@on_each_loop
def test_too_many_are_not_kept_even_if_they_are_wanted(
    loop: Loop, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there stay: hosts take turns, so what was used last is needed last."""
    monkeypatch.setattr(pool, "MOST", 3)
    sites = [make_site() for _ in range(5)]
    urls = [site.page("x") for site in sites]

    async def scenario(client: Client) -> None:
        for url in urls * 2:
            await exchange(client, url)
            assert idle(client) <= 3

    run(loop, scenario, {site.origin for site in sites}, concurrency=1)

    assert asked(sites) == [1, 1, 1, 2, 2]


@on_each_loop
def test_a_connection_that_is_lost_while_idle_leaves_its_place(loop: Loop, make_site: MakeSite) -> None:
    """The server ended it, so it holds no place of another's."""
    sites = [make_site() for _ in range(2)]
    urls = [site.page("x") for site in sites]

    async def scenario(client: Client) -> None:
        await exchange(client, urls[0])
        assert client._pool._idle == 1
        sites[0].close()
        while client._pool._idle:
            await asyncio.sleep(0)
        assert not client._pool._spare
        for _ in range(2):
            await exchange(client, urls[1])

    run(loop, scenario, set(), concurrency=1)

    assert asked(sites) == [1, 1]


@on_each_loop
def test_a_connection_that_is_over_is_forgotten_at_once(
    loop: Loop, make_tls_site: MakeTlsSite, make_site: MakeSite, ca_file: str
) -> None:
    """Nothing of it is in a circle that waits for the garbage collector, by TLS or without."""
    sites = [make_tls_site(Certificate.RIGHT), make_site()]
    wires: list[weakref.ref[Wire]] = []

    async def scenario(client: Client) -> None:
        made = client._connector._factory

        def watched() -> Wire:
            wire = made()
            assert isinstance(wire, Wire)
            wires.append(weakref.ref(wire))
            return wire

        client._connector._factory = watched  # type: ignore[assignment]  # aiohttp wants a partial
        for site in sites:
            await exchange(client, site.page("x"))
        while any(wire() is not None for wire in wires):
            await asyncio.sleep(0)

    gc.collect()
    gc.disable()
    try:
        run(loop, scenario, set(), concurrency=1, keepalive=0, cacert=str(ca_file))
    finally:
        gc.enable()

    assert len(wires) == len(sites)


class Listener:
    """Answers one request by TLS, and then only listens: it never says that it closes, too."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/"

    def hear(self) -> tuple[bytes, bytes]:
        """What comes behind the request: by TLS, where nothing is the client's word that it closes, and below it."""
        with self._listener, self._listener.accept()[0] as raw:
            raw.settimeout(20.0)
            with self._context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False) as wire:
                while b"\r\n\r\n" not in wire.recv(65536):
                    pass
                wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
                word = wire.recv(1)
                with socket.socket(fileno=wire.detach()) as below:
                    below.settimeout(20.0)
                    return word, below.recv(1)


@on_each_loop
def test_a_tls_connection_is_closed_with_a_word_and_without_waiting(
    loop: Loop, authority: Authority, make_site: MakeSite, ca_file: str
) -> None:
    """The word is the closure alert that RFC 9112 9.8 asks for; a server that does not answer it holds nothing up."""
    listener = Listener(authority.context())
    url = make_site().page("x")
    heard: list[tuple[bytes, bytes]] = []

    async def scenario(client: Client) -> None:
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(asyncio.to_thread(listener.hear))
            hop = await exchange(client, listener.url)
            assert hop.body == b"x"
            await exchange(client, url)
            heard.append(await hearing)

    run(loop, scenario, set(), concurrency=1, cacert=str(ca_file))

    assert heard == [(b"", b"")]
