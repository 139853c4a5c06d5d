"""Connections that we ourselves do not read for a while: for want of room, or because of the rate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.model import Hop
from tests.exchanges import Loop, exchange, fetch_at_once, on_each_loop
from tests.servers import Authority, Site, reply


@pytest.mark.parametrize("options", [{"limit_rate": 400_000.0}, {"body_budget": 1}], ids=["rate", "budget"])
@on_each_loop
def test_a_connections_end_loses_nothing_that_came_before(
    authority: Authority, ca_file: Path, loop: Loop, options: dict[str, Any]
) -> None:
    """The end comes while we do not read, and TLS holds what was sent: uvloop would drop it, if it saw both."""
    body = b"x" * 100_000
    context = authority.context()

    def answer(listener: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(reply(body))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=answer, args=(listener,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        hops = fetch_at_once(loop, [url] * 3, cacert=str(ca_file), **options)
        for thread in threads:
            thread.join(10)

    assert [(hop.error, hop.size) for hop in hops] == [(None, len(body))] * 3


@on_each_loop
def test_a_connection_is_read_again_when_its_reply_is_over(either_site: Site, ca_file: Path, loop: Loop) -> None:
    """One that ended while there was no room goes back to the pool, and carries the next reply."""
    url = either_site.page("hello")

    async def scenario() -> tuple[Hop, Hop]:
        client = Client(ClientConfig(body_budget=8, cacert=str(ca_file), read_timeout=1.0))
        try:
            # Something waits to be written, and takes all the room there is.
            client.budget.take(100, Nobody())
            client.budget.arrived(100, Nobody(), kept=True)
            first = await exchange(client, url)
            client.budget.give(105)
            return first, await exchange(client, url)
        finally:
            await client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        hops = runner.run(scenario())

    assert [(hop.error, hop.body) for hop in hops] == [(None, b"hello")] * 2
    assert either_site.connections == 1


class Nobody:
    """A reader of no connection."""

    def pause(self) -> None:
        """Nothing to stop."""

    def resume(self) -> None:
        """Nothing to read."""
