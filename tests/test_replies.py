"""Replies as servers should not send them: each is read as the list says, however the network cuts it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.errors import ErrorKind
from fetcher.model import Hop
from fetcher.model import Request as Source
from fetcher.policy import first_job
from fetcher.urls import parse_url
from tests.conftest import MakeRawServer, clean_environment
from tests.odd_replies import HELLO, ODD_REPLIES, Ending, Odd
from tests.reading import cut_at, in_pieces, read, read_odd
from tests.servers import Hang, reply
from tests.servers import Request as AwaitRequest

BYTEWISE = 4096
"""Bytes of a reply that is also read one by one: a head that grows so slowly is looked at each time."""

SMALL = [odd for odd in ODD_REPLIES if len(odd.raw) <= BYTEWISE]

every_odd_reply = pytest.mark.parametrize("odd", ODD_REPLIES, ids=lambda odd: odd.name)


def test_names_are_unique() -> None:
    """A name says which reply it is."""
    assert len({odd.name for odd in ODD_REPLIES}) == len(ODD_REPLIES) > 600


@every_odd_reply
def test_reads_it_as_the_list_says(odd: Odd) -> None:
    """Status, body and kind are those of the list."""
    outcome = read_odd(odd)

    assert (odd.status, odd.body, odd.kind) == (outcome.status, outcome.body, outcome.kind), outcome.message


@pytest.mark.parametrize(
    ("options", "environment"),
    [((), {"AIOHTTP_NO_EXTENSIONS": "1"}), (("-X", "dev"), {}), ((), {"PYTHONASYNCIODEBUG": "1"})],
    ids=["aiohttp without its extensions", "development mode", "asyncio's debug mode"],
)
def test_the_parsers_moods_make_no_difference(options: tuple[str, ...], environment: dict[str, str]) -> None:
    """aiohttp's parser in Python, or made strict by a debug mode, refuses more; the second reading makes up for it."""
    code = "from tests.reading import print_differences; print_differences()"

    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**clean_environment(), **environment},
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert done.stdout == ""


@every_odd_reply
def test_segments_make_no_difference(odd: Odd) -> None:
    """In one piece, in small ones or byte by byte: the outcome is the same, the fate of the connection included."""
    whole = read_odd(odd, [odd.raw])

    pieces = read_odd(odd, in_pieces(odd.raw, 1 if len(odd.raw) <= BYTEWISE else 1009))

    assert whole.essence == pieces.essence


@given(odd=st.sampled_from(SMALL), places=st.lists(st.integers(0, BYTEWISE), max_size=8))
@settings(max_examples=300, deadline=None)
def test_cuts_make_no_difference(odd: Odd, places: list[int]) -> None:
    """Wherever a reply is cut, the outcome is the same."""
    whole = read_odd(odd, [odd.raw])

    cut = read_odd(odd, cut_at(odd.raw, places))

    assert whole.essence == cut.essence


@st.composite
def mutants(draw: st.DrawFn) -> Odd:
    """An odd reply with some of its bytes replaced, removed, doubled or moved."""
    odd = draw(st.sampled_from(SMALL))
    raw = odd.raw
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 12)))
        spice = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", raw[start:end] * 2]
                ),
                st.sampled_from(SMALL).map(lambda other: other.raw[:200]),
            )
        )
        raw = raw[:start] + spice + raw[end:]
    return Odd("a mutant", (raw,), ending=draw(st.sampled_from(Ending)), answers=odd.answers)


@given(odd=mutants(), places=st.lists(st.integers(0, BYTEWISE), max_size=6))
@settings(max_examples=250, deadline=None)
def test_mutants_end_in_one_way(odd: Odd, places: list[int]) -> None:
    """A damaged reply ends with a head or an error that is no bug of ours, and segments make no difference."""
    whole = read_odd(odd)

    cut = read_odd(odd, cut_at(odd.raw, places))

    assert whole.essence == cut.essence
    assert whole.kind is not ErrorKind.INTERNAL, whole.message
    assert whole.status is not None or whole.kind is not None


@given(segments=st.lists(st.binary(max_size=64), max_size=8), ending=st.sampled_from(Ending))
@example(segments=[b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n", b"\xff" * 8], ending=Ending.CLOSE)
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_one_way(segments: list[bytes], ending: Ending) -> None:
    """Whatever a server sends, the reply ends, and the segments make no difference."""
    whole = read([b"".join(segments)], ending)

    cut = read(segments, ending)

    assert whole.essence == cut.essence
    assert whole.kind is not ErrorKind.INTERNAL, whole.message
    assert whole.status is not None or whole.kind is not None


@given(body=st.binary(max_size=64))
@settings(deadline=None)
def test_behind_a_sound_head_any_body_ends_in_one_way(body: bytes) -> None:
    """Bytes of no kind where chunks or a compressed body should be are an error or a body, never a bug of ours."""
    for lines in (
        b"Transfer-Encoding: chunked",
        *(b"Content-Encoding: " + name for name in (b"gzip", b"deflate", b"br", b"zstd")),
    ):
        raw = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n" + body

        whole, bytewise = read([raw]), read(in_pieces(raw, 1))

        assert whole.essence == bytewise.essence
        assert whole.kind is not ErrorKind.INTERNAL, whole.message


@every_odd_reply
def test_only_sound_replies_leave_their_connection_to_others(odd: Odd) -> None:
    """What kept its connection says plainly where it ends, and would not have kept it with a byte more."""
    outcome = read_odd(odd)

    if outcome.keeps:
        more = read([odd.raw + b"x"], odd.ending, odd.answers)

        assert outcome.kind is None
        assert outcome.version == "1.1" or b"keep-alive" in odd.raw.lower()
        assert not more.keeps
        assert outcome.body == more.body


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_sound_replies_do_leave_it(raw: bytes) -> None:
    """The common case is not among the distrusted."""
    outcome = read([raw], Ending.HANG)

    assert (outcome.body, outcome.kind, outcome.keeps) == (HELLO, None, True)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5 bytes\r\n",
        b"Content-Length: 5\r\nConnection: close\r\n",
        b"Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length: 5\r\nX-Name\0: a\r\n",
        b"Content-Length: 5\r\nno colon\r\n",
    ],
)
def test_a_reply_that_needed_lenience_takes_its_connection_along(lines: bytes) -> None:
    """Where another reader might see another end, nothing of ours is read behind it."""
    body = b"5\r\nhello\r\n0\r\n\r\n" if b"chunked" in lines else HELLO

    outcome = read([b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + body], Ending.HANG)

    assert (outcome.body, outcome.kind, outcome.keeps) == (HELLO, None, False)


def test_what_is_odd_about_an_interim_reply_counts_as_well() -> None:
    """A sound reply behind a 100 that needed lenience is not trusted with another."""
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    outcome = read([b"HTTP/1.1 100 Continue\r\nno colon\r\n\r\n", final], Ending.HANG)

    assert (outcome.body, outcome.kind, outcome.keeps) == (HELLO, None, False)


SOUND = reply(b"the first")

SECOND = reply(b"the second")

FetchEach = Callable[..., list[Hop]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def fetch_each(request: pytest.FixtureRequest) -> FetchEach:
    """Fetches URLs one after the other, by one client, so that connections are used again; on each loop we run on."""

    async def fetch(urls: tuple[str, ...], method: str) -> list[Hop]:
        client = Client(ClientConfig(read_timeout=5.0))
        try:
            parsed = [parse_url(text)[0] for text in urls]
            return [await client.exchange(first_job(Source(0, str(url), url, method), url)) for url in parsed]
        finally:
            await client.close()

    def run(*urls: str, method: str = "GET") -> list[Hop]:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(fetch(urls, method))

    return run


@pytest.mark.parametrize(
    "first",
    [
        SOUND,
        SOUND.replace(b"HTTP/1.1", b"http/1.1"),
        SOUND.replace(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n"),
        SOUND.replace(b"Content-Length: 9", b"Content-Length: 9\r\nContent-Length: 9"),
        SOUND.replace(b"Content-Length: 9", b"Content-Length: 9, 9"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nthe first\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n9\r\nthe first\r\n0\r\n\r\n",
    ],
)
def test_the_second_request_does_not_read_the_first_ones_tail(
    raw_server: MakeRawServer, fetch_each: FetchEach, first: bytes
) -> None:
    """Two replies at once, the second unasked: it goes with its connection; the next request gets its own answer."""
    unasked = reply(b"unasked")
    server = raw_server([AwaitRequest(), first + unasked, AwaitRequest(), unasked], [AwaitRequest(), SECOND])

    hops = fetch_each(server.url("/1"), server.url("/2"))

    assert [hop.body for hop in hops] == [b"the first", b"the second"]
    assert [hop.error for hop in hops] == [None, None]
    assert server.connections == 2


@pytest.mark.parametrize("status", [204, 304])
def test_a_body_that_must_not_be_is_not_read_as_the_next_reply(
    raw_server: MakeRawServer, fetch_each: FetchEach, status: int
) -> None:
    """What follows the head of a reply without a body goes with the connection."""
    unasked = reply(b"unasked")
    server = raw_server(
        [AwaitRequest(), b"HTTP/1.1 %d No\r\n\r\n" % status + unasked, AwaitRequest()], [AwaitRequest(), SECOND]
    )

    hops = fetch_each(server.url("/1"), server.url("/2"))

    assert [(status, None), (200, b"the second")] == [(hop.status, hop.body) for hop in hops]
    assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        SOUND,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nthe first\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No\r\n\r\n",
    ],
)
def test_sound_replies_share_a_connection(raw_server: MakeRawServer, fetch_each: FetchEach, first: bytes) -> None:
    """Without a reason for distrust the second request goes where the first went."""
    server = raw_server([AwaitRequest(), first, AwaitRequest(), SECOND])

    hops = fetch_each(server.url("/1"), server.url("/2"))

    assert hops[1].body == b"the second"
    assert server.connections == 1


def test_replies_to_head_share_a_connection_although_they_name_no_end(
    raw_server: MakeRawServer, fetch_each: FetchEach
) -> None:
    """They have no body, so there is none to wait for until the connection closes."""
    bare = b"HTTP/1.1 200 OK\r\n\r\n"
    server = raw_server([AwaitRequest(), bare, AwaitRequest(), bare, AwaitRequest(), bare])

    hops = fetch_each(*[server.url()] * 3, method="HEAD")

    assert [(hop.status, hop.error) for hop in hops] == [(200, None)] * 3
    assert server.connections == 1


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"220 mail ESMTP\r\n", b"\xff\xfd\x18"])
def test_a_server_that_speaks_first_is_no_http_server(
    raw_server: MakeRawServer, fetch_each: FetchEach, greeting: bytes
) -> None:
    """A banner is a malformed reply at once, although the server waits for us to speak its language."""
    server = raw_server([greeting, Hang()], greet=True)

    [hop] = fetch_each(server.url())

    assert hop.error is not None
    assert (hop.status, hop.error.kind) == (None, ErrorKind.PROTOCOL)
