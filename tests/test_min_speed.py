"""Replies that drip: ended when they are slower than asked for, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fetcher.client.config import ClientConfig
from fetcher.demo import answers
from fetcher.errors import ErrorKind, UsageError
from fetcher.model import Hop
from tests.conftest import MakeRawServer
from tests.exchanges import Loop, fetch_at_once, on_each_loop
from tests.servers import Hang, Pause, Site, Step, reply

SECONDS = 0.4
"""The window that drips are measured in."""


def fetch(loop: Loop, url: str, least: int, **options: object) -> Hop:
    """The hop of one URL that must be so many bytes a second fast."""
    [hop] = fetch_at_once(loop, [url], min_speed=(least, SECONDS), read_timeout=5.0, **options)
    return hop


def dripping(data: bytes, pause: float) -> list[Step | bytes]:
    """A script that sends bytes one by one."""

    def steps() -> Iterator[Step | bytes]:
        for place in range(len(data)):
            yield data[place : place + 1]
            yield Pause(pause)

    return list(steps())


@on_each_loop
def test_a_drip_in_the_body_is_too_slow(either_site: Site, ca_file: Path, loop: Loop) -> None:
    """It ends soon behind the window, says what was asked for, and keeps what arrived."""
    url = either_site.answer(answers.chunked([b"x"] * 200, pause=0.02))

    hop = fetch(loop, url, 1_000, cacert=str(ca_file))

    assert hop.error is not None
    assert (hop.error.kind, hop.error.message) == (
        ErrorKind.TOO_SLOW,
        "fewer than 1,000 bytes/s for 0.4 s (--min-speed)",
    )
    assert (hop.status, hop.truncated) == (200, True)
    assert hop.body
    assert set(hop.body) == set(b"x")
    assert SECONDS <= hop.elapsed < 3.0


@on_each_loop
def test_a_drip_in_the_head_is_too_slow(raw_server: MakeRawServer, loop: Loop) -> None:
    """The window begins with the first byte, not with the body."""
    server = raw_server(dripping(reply(b"hello"), 0.02))

    hop = fetch(loop, server.url(), 1_000)

    assert hop.error is not None
    assert hop.error.kind is ErrorKind.TOO_SLOW
    assert hop.body is None
    assert SECONDS <= hop.elapsed < 3.0


@on_each_loop
def test_a_drip_that_is_fast_enough_arrives(raw_server: MakeRawServer, loop: Loop) -> None:
    """Head and body byte by byte, for longer than the window."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
    server = raw_server(dripping(head + b"x" * 40, 0.01))

    hop = fetch(loop, server.url(), 10)

    assert (hop.error, hop.body) == (None, b"x" * 40)
    assert hop.elapsed > SECONDS


@on_each_loop
def test_a_reply_that_stalls_is_too_slow_however_fast_it_began(raw_server: MakeRawServer, loop: Loop) -> None:
    """The window slides: what came long ago does not make up for it."""
    server = raw_server([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 200_000, Hang()])

    hop = fetch(loop, server.url(), 10_000)

    assert hop.error is not None
    assert hop.error.kind is ErrorKind.TOO_SLOW
    assert hop.size == 200_000
    assert hop.elapsed < 5.0


@on_each_loop
def test_a_server_that_thinks_is_not_slow(site: Site, loop: Loop) -> None:
    """Before the first byte it is silent, which is the read timeout's matter."""
    hop = fetch(loop, site.slow(2 * SECONDS), 1_000_000)

    assert hop.error is None


@pytest.mark.parametrize("least", [(0, 1.0), (-1, 1.0), (1, 0.0), (1, -1.0), (1, float("nan")), (1, float("inf"))])
def test_a_speed_that_is_none_is_refused(least: tuple[int, float]) -> None:
    """None is how to say that any speed will do."""
    with pytest.raises(UsageError, match="min_speed needs bytes and seconds above 0"):
        ClientConfig(min_speed=least)
