"""Owns exchanges of a client alone, without an engine round it, on each loop that we run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import uvloop

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.model import Hop, Request
from fetcher.policy import first_job
from fetcher.urls import parse_url

Loop = Callable[[], asyncio.AbstractEventLoop]

on_each_loop = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


async def exchange(client: Client, text: str) -> Hop:
    """The hop of a URL."""
    url = parse_url(text)[0]
    return await client.exchange(first_job(Request(0, text, url), url))


def fetch_at_once(loop: Loop, urls: Iterable[str], **options: Any) -> list[Hop]:
    """The hops of URLs that are all fetched at the same time, by one client; each body is written at once."""

    async def fetch(client: Client, text: str) -> Hop:
        hop = await exchange(client, text)
        if hop.body is not None:
            client.budget.give(len(hop.body))
        return hop

    async def scenario() -> list[Hop]:
        client = Client(ClientConfig(**options))
        try:
            return await asyncio.gather(*[fetch(client, text) for text in urls])
        finally:
            await client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(scenario())
