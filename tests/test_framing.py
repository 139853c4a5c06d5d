"""Where a body begins and ends on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.client.framing import (
    MAX_LENGTH,
    MAX_OVERHEAD,
    Chunked,
    Framing,
    FramingError,
    Length,
    NoBody,
    UntilClose,
    framing_for,
    transfer_codings,
)
from fetcher.client.heads import Head, read_head
from tests.reading import cut_at


def head_of(*lines: bytes, status: int = 200, version: bytes = b"1.1") -> Head:
    """A head with these headers."""
    raw = b"HTTP/%s %d Whatever\r\n" % (version, status) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    head = read_head(None, raw)
    head.close = False
    return head


@pytest.mark.parametrize(
    ("method", "status", "lines", "framing"),
    [
        ("GET", 200, [b"Content-Length: 5"], Length),
        ("GET", 200, [b"Content-Length: 0"], Length),
        ("GET", 200, [], UntilClose),
        ("GET", 200, [b"Transfer-Encoding: chunked"], Chunked),
        ("GET", 200, [b"Transfer-Encoding: gzip, chunked"], Chunked),
        ("GET", 200, [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"], Chunked),
        ("GET", 200, [b"Transfer-Encoding: gzip"], UntilClose),
        ("GET", 200, [b"Transfer-Encoding: chunked", b"Content-Length: 5"], Chunked),
        ("GET", 200, [b"Content-Length: 99999999999999999999"], UntilClose),
        ("HEAD", 200, [b"Content-Length: 5"], NoBody),
        ("HEAD", 200, [b"Transfer-Encoding: chunked"], NoBody),
        ("HEAD", 200, [b"Content-Length: nonsense"], NoBody),
        ("GET", 204, [b"Content-Length: 5"], NoBody),
        ("GET", 304, [b"Content-Length: 5"], NoBody),
        ("GET", 304, [b"Transfer-Encoding: nonsense"], NoBody),
        ("GET", 205, [b"Content-Length: 5"], Length),
        ("POST", 101, [], UntilClose),
    ],
)
def test_the_head_says_how_the_body_is_framed(
    method: str, status: int, lines: list[bytes], framing: type[Framing]
) -> None:
    """By method, status and headers, in the order of RFC 9112 6.3."""
    assert type(framing_for(method, head_of(*lines, status=status))) is framing


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([b"Content-Length: 5"], 5),
        ([b"Content-Length: 0005"], 5),
        ([b"Content-Length: +5"], 5),
        ([b"Content-Length: 5 bytes"], 5),
        ([b"Content-Length: 5, 5"], 5),
        ([b"Content-Length: 5", b"Content-Length: 05"], 5),
        ([b"Content-Length: 5,"], 5),
        ([b"Content-Length: " + str(MAX_LENGTH).encode()], MAX_LENGTH),
        ([b"Content-Length: " + b"0" * 5_000 + b"7"], 7),
    ],
)
def test_lengths_are_read_as_curl_reads_them(lines: list[bytes], length: int) -> None:
    """The digits that a value begins with, and several that agree."""
    framing = framing_for("GET", head_of(*lines))

    assert framing.closed() == f"0 of {length:,} bytes arrived"


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([b"Content-Length: five"], "Content-Length is no number: b'five'"),
        ([b"Content-Length: -5"], "Content-Length is no number: b'-5'"),
        ([b"Content-Length:"], "Content-Length is empty"),
        ([b"Content-Length: 5", b"Content-Length: 6"], "different Content-Lengths: 5 and 6"),
        ([b"Content-Length: 5, 6"], "different Content-Lengths: 5 and 6"),
        ([b"Transfer-Encoding: foo"], "a transfer coding that nobody knows: b'foo'"),
        ([b"Transfer-Encoding: foo, chunked"], "a transfer coding that nobody knows: b'foo'"),
    ],
)
def test_what_cannot_be_a_frame_is_refused(lines: list[bytes], complaint: str) -> None:
    """With a sentence that says why."""
    head = head_of(*lines)

    with pytest.raises(FramingError) as refused:
        framing_for("GET", head)
    assert str(refused.value) == complaint


@pytest.mark.parametrize(
    ("lines", "trusted"),
    [
        ([b"Content-Length: 5"], True),
        ([b"Transfer-Encoding: chunked"], True),
        ([b"Transfer-Encoding: gzip, chunked"], True),
        ([b"Content-Length: 5 bytes"], False),
        ([b"Content-Length: 5, 5"], False),
        ([b"Content-Length: 99999999999999999999"], False),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], False),
        ([b"Transfer-Encoding: chunked, gzip"], False),
        ([b"Transfer-Encoding: chunked, chunked"], False),
    ],
)
def test_a_frame_that_needed_lenience_costs_the_connection(lines: list[bytes], trusted: bool) -> None:
    """Another reader may see the reply's end elsewhere."""
    head = head_of(*lines)

    framing_for("GET", head)

    assert head.close is not trusted


def test_chunks_in_http_1_0_cost_the_connection() -> None:
    """That version knows none (RFC 9112 6.1)."""
    head = head_of(b"Transfer-Encoding: chunked", version=b"1.0")

    framing_for("GET", head)

    assert head.close


def test_transfer_codings_below_chunked_are_left_to_undo() -> None:
    """In the order in which they were applied."""
    head = head_of(b"Transfer-Encoding: gzip, br ", b"Transfer-Encoding: Chunked")

    assert transfer_codings(head) == [b"gzip", b"br"]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    behind=st.sampled_from([b"", b";x", b' ; a="b;c"', b"   "]),
    end=st.sampled_from([b"\r\n", b"\n"]),
    trailers=st.sampled_from([b"", b"X-Sum: 1\r\n", b"X-Sum: 1\nX: 2\r\n"]),
    places=st.lists(st.integers(0, 400), max_size=8),
)
def test_chunks_give_the_body_wherever_they_are_cut(
    chunks: list[bytes], behind: bytes, end: bytes, trailers: bytes, places: list[int]
) -> None:
    """With extensions, bare line feeds, trailers; nothing is left over, so the connection is kept."""
    raw = b"".join(b"%x" % len(chunk) + behind + end + chunk + end for chunk in chunks) + b"0" + end + trailers + end
    framing = Chunked()

    body = b"".join(framing.feed(piece) for piece in cut_at(raw, places))

    assert body == b"".join(chunks)
    assert framing.whole
    assert framing.keeps
    assert framing.closed() is None


def test_a_fault_among_chunks_keeps_what_came_before_it() -> None:
    """The exception carries the bytes of the feed that it ended."""
    framing = Chunked()

    with pytest.raises(FramingError, match="not a chunk's size: b'xyz") as fault:
        framing.feed(b"3\r\nabc\r\n2\r\nde\r\nxyz\r\n")
    assert fault.value.body == b"abcde"


@pytest.mark.parametrize("flood", [b"1;" + b"x" * 1000, b"0\r\n" + b"X: y\r\n" * 1000], ids=["extension", "trailers"])
def test_what_is_between_chunks_is_bounded(flood: bytes) -> None:
    """A server cannot feed us for ever with what is no body."""
    framing = Chunked()
    framing.feed(flood[:3])

    def go_on() -> None:
        for _ in range(2 * MAX_OVERHEAD // len(flood)):
            framing.feed(flood[3:])

    with pytest.raises(FramingError, match="extensions and trailers"):
        go_on()


def test_long_extensions_are_borne_where_the_body_is_long() -> None:
    """Some servers sign every chunk: only what is out of proportion is refused."""
    framing = Chunked()
    chunk = b"1000;chunk-signature=" + b"f" * 200 + b"\r\n" + bytes(0x1000) + b"\r\n"

    size = sum(len(framing.feed(chunk)) for _ in range(10_000))

    assert size == 10_000 * 0x1000


def test_more_than_the_length_is_passed_over_and_costs_the_connection() -> None:
    """In the same segment or in a later one."""
    at_once, later = Length(5), Length(5)

    assert at_once.feed(b"hello and more") == b"hello"
    assert (later.feed(b"hel"), later.feed(b"lo and more")) == (b"hel", b"lo")
    assert (at_once.whole, at_once.keeps) == (later.whole, later.keeps) == (True, False)


def test_less_than_the_length_is_told() -> None:
    """How much of how much."""
    framing = Length(1_234_567)
    framing.feed(b"hello")

    assert framing.closed() == "5 of 1,234,567 bytes arrived"


def test_a_reply_without_a_body_takes_none() -> None:
    """What comes behind it is not ours."""
    quiet, loud = NoBody(), NoBody()

    assert (quiet.feed(b""), quiet.keeps, quiet.closed()) == (b"", True, None)
    assert (loud.feed(b"hello"), loud.keeps, loud.closed()) == (b"", False, None)


def test_until_close_everything_is_body() -> None:
    """And only the close makes it whole."""
    framing = UntilClose()

    assert framing.feed(b"hello") == b"hello"
    assert (framing.whole, framing.keeps, framing.closed()) == (False, False, None)
