"""The plain exchange is the fuller one with less between: whatever a server answers, both say the same of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import MethodType
from typing import Self

import pytest

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.client.hops import HopMaker
from fetcher.model import Hop
from tests.exchanges import exchange
from tests.odd_replies import ODD_REPLIES, Ending

WARM = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm"

ODD = [odd for odd in ODD_REPLIES if odd.answers == "GET" and odd.ending in {Ending.CLOSE, Ending.HALF_CLOSE}]
"""A reset may overtake what was sent before it, silence takes its time, and HEAD is never plain."""

AT_ONCE = 40


class OddServer:
    """Answers `/N` with the odd reply of that number, in one piece, and all else so that the connection is kept."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._attend, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ")[1]
                if path == b"/warm":
                    writer.write(WARM)
                    continue
                odd = ODD[int(path[1:])]
                writer.write(odd.raw)
                if odd.ending is Ending.HALF_CLOSE:
                    writer.write_eof()
                    await reader.read()
                break
        writer.close()


async def ask(client: Client, server: OddServer, number: int) -> Hop:
    """The hop of an odd reply, on a connection that has carried another."""
    await exchange(client, f"{server.origin}/warm")
    return await exchange(client, f"{server.origin}/{number}")


async def hops_of(numbers: Sequence[int], *, plain: bool) -> tuple[list[Hop], set[str]]:
    """The hops of odd replies by one of the paths, and for which of them the plain one asked the fuller."""
    fuller = set()
    client = Client(ClientConfig(concurrency=AT_ONCE))

    async def fully(self: Client, hop: HopMaker) -> Hop:
        fuller.add(hop.job.url.target)
        return await Client._fully(self, hop)

    assert client._plain is not None
    client._plain._otherwise = MethodType(fully, client)
    if not plain:
        client._plain = None
    hops: list[Hop] = []
    try:
        async with OddServer() as server:
            for start in range(0, len(numbers), AT_ONCE):
                asked = [ask(client, server, number) for number in numbers[start : start + AT_ONCE]]
                hops += await asyncio.gather(*asked)
    finally:
        await client.close()
    return hops, fuller - {"/warm"}


def essence(hop: Hop) -> tuple[object, ...]:
    """What must not depend on the path."""
    error = None if hop.error is None else (hop.error.kind, hop.error.message)
    return (
        hop.status,
        hop.http_version,
        error,
        hop.headers,
        hop.body,
        hop.size,
        hop.wire_size,
        hop.truncated,
        hop.remote is None,
    )


async def test_both_paths_say_the_same_of_every_odd_reply() -> None:
    """Status, headers, body, counts and error: nothing depends on the path, and most of them were plain."""
    numbers = range(len(ODD))

    (plain, fuller), (full, _) = await asyncio.gather(hops_of(numbers, plain=True), hops_of(numbers, plain=False))

    assert len(fuller) < len(ODD) / 4
    differing = [
        (odd.name, essence(one), essence(other))
        for odd, one, other in zip(ODD, plain, full, strict=True)
        if essence(one) != essence(other)
    ]
    assert differing == []
    assert [(odd.name, odd.status, odd.body, odd.kind) for odd in ODD] == [
        (odd.name, hop.status, hop.body or b"", hop.error and hop.error.kind)
        for odd, hop in zip(ODD, plain, strict=True)
    ]


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "full"])
async def test_a_connection_that_was_closed_while_idle_is_no_failure(*, plain: bool) -> None:
    """The request is said again on a new connection, and the hop tells of that one alone."""
    client = Client(ClientConfig(concurrency=1))
    if not plain:
        client._plain = None
    asked: list[bytes] = []

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(WARM)
            # The second request of each connection is never answered.
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(attend, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        hops = [await exchange(client, f"http://{host}:{port}/{number}") for number in range(3)]
        await client.close()

    assert [(hop.status, hop.body) for hop in hops] == [(200, b"warm")] * 3
    assert len(asked) == 3


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "full"])
async def test_an_exchange_that_is_cancelled_holds_nothing(*, plain: bool) -> None:
    """Its connection is closed, and its body counts no more; the next one is as any other."""
    client = Client(ClientConfig(concurrency=1))
    if not plain:
        client._plain = None
    lost = asyncio.Event()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(WARM)
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /half"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                await reader.read()
                lost.set()
        writer.close()

    async with await asyncio.start_server(attend, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        origin = f"http://{host}:{port}"
        before = await exchange(client, f"{origin}/")
        client.budget.give(len(before.body or b""))
        half = asyncio.ensure_future(exchange(client, f"{origin}/half"))
        while not client.budget.used:
            await asyncio.sleep(0)
        half.cancel()
        with suppress(asyncio.CancelledError):
            await half
        await lost.wait()
        used = client.budget.used
        after = await exchange(client, f"{origin}/")
        await client.close()

    assert used == 0
    assert (after.status, after.body) == (200, b"warm")
