"""Heads: the parser's reading, and the second one that makes up for what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.client.foundation import MAX_LINE, head_parser
from fetcher.client.heads import (
    MAX_FIELDS,
    MAX_PARTIAL,
    HeadError,
    complaint,
    head_end,
    might_be_head,
    read_head,
    read_partial,
)
from fetcher.client.reply import Wire

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.!", min_size=1, max_size=12)
VALUE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20)


@pytest.fixture
def parser() -> Iterator[Any]:
    """A connection's parser."""
    loop = asyncio.new_event_loop()
    wire = Wire(loop)
    yield head_parser(wire, loop)
    loop.close()


def test_a_head_has_status_version_and_headers(parser: Any) -> None:
    """Names and values as they were received."""
    head = read_head(parser, b"HTTP/1.1 404 Not Found\r\nX-Name:  J\xfcrgen \r\nx-name: b\r\nContent-Length: 5\r\n\r\n")

    assert (head.status, head.version, head.close, head.interim) == (404, "1.1", False, False)
    assert head.headers == ((b"X-Name", b"J\xfcrgen"), (b"x-name", b"b"), (b"Content-Length", b"5"))
    assert head.wanted == {b"content-length": [b"5"]}


@pytest.mark.parametrize(
    ("raw", "close"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n", True),
        (b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
def test_a_connection_ends_by_its_own_word_or_by_our_distrust(parser: Any, raw: bytes, close: bool) -> None:
    """Version and Connection say so, or the second reading was needed."""
    assert read_head(parser, raw).close is close


@pytest.mark.parametrize(
    ("lines", "endless"),
    [
        (b"", True),
        (b"Connection: keep-alive\r\n", True),
        (b"Connection: close\r\n", False),
        (b"Connection: TE\r\nConnection: foo, Close\r\n", False),
        (b"Content-Length: 5\r\n", False),
        (b"Content-Length: 5\r\nConnection: close\r\n", False),
        (b"Transfer-Encoding: chunked\r\n", False),
    ],
)
def test_a_head_that_names_no_end_says_so(parser: Any, lines: bytes, endless: bool) -> None:
    """Then the connection is not at fault: a reply to HEAD leaves it as it is."""
    assert read_head(parser, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n").endless is endless


@given(
    status=st.integers(100, 999),
    headers=st.lists(st.tuples(TOKEN, VALUE), max_size=6),
    line_end=st.sampled_from([b"\r\n", b"\n"]),
)
def test_both_readings_agree_on_sound_heads(status: int, headers: list[tuple[str, str]], line_end: bytes) -> None:
    """What the grammar allows, the second reading reads as the first does, but for its distrust."""
    lines = [b"HTTP/1.1 %d Fine" % status, *(f"{name}: {value}".encode("latin-1") for name, value in headers)]
    raw = line_end.join([*lines, b"", b""])
    loop = asyncio.new_event_loop()
    first = read_head(head_parser(Wire(loop), loop), raw)
    loop.close()

    second = read_head(None, raw)

    assert (first.status, first.version, first.headers) == (second.status, second.version, second.headers)
    assert first.wanted == second.wanted


@pytest.mark.parametrize(
    ("lines", "headers"),
    [
        (b"X: one\r\n two\r\n\tthree\r\n", [(b"X", b"one two three")]),
        (b" folded from nothing\r\nX: a\r\n", [(b"X", b"a")]),
        (b"X : a\r\n", [(b"X ", b"a")]),
        (b": a\r\nno colon\r\nX: b\r\n", [(b"X", b"b")]),
        (b"X: a\0b\r\nY\0Z: c\r\n", [(b"X", b"a b"), (b"Y Z", b"c")]),
        (b"X: a\rb\r\r\n", [(b"X", b"a\rb")]),
        (b"X:\r\nY: \r\n", [(b"X", b""), (b"Y", b"")]),
        (b"X: a\r\n\rrest of the end's line", [(b"X", b"a")]),
    ],
)
def test_the_second_reading_is_as_lenient_as_curls(lines: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Folds are joined, NULs are blanks (RFC 9110 5.5), lines that say nothing are passed over."""
    assert read_head(None, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n").headers == tuple(headers)


@pytest.mark.parametrize(
    ("raw", "end"),
    [
        (b"", -1),
        (b"HTTP/1.1 200 OK\r\n", -1),
        (b"HTTP/1.1 200 OK\r\n\r", -1),
        (b"a\r\n\r\nb\r\n\r\n", 5),
        (b"a\n\nb\r\n\r\n", 3),
        (b"a\r\n\nb", 4),
        (b"a\n\r\nb", 4),
        (b"a\r\n\r\r\nb", 6),
        (b"a\n\rb\nc", 5),
        (b"\n\n", 2),
    ],
)
def test_a_head_ends_with_a_line_that_begins_with_a_line_end(raw: bytes, end: int) -> None:
    """The first of its kind, in whatever way lines end."""
    assert head_end(raw) == end


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "not an HTTP reply: 'SSH-2.0-OpenSSH_9.2p1'"),
        (b"\x1b[31mred\x00\xff\r\nmore", r"not an HTTP reply: '\\x1b[31mred\\x00\\xff'"),
        (b"x" * 100, f"not an HTTP reply: '{'x' * 60}'"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "the server speaks TLS on this port; try https://"),
        (b"HTTP/2 200 OK\r\n", "a reply in HTTP/2, which is not HTTP/1.0 or 1.1"),
        (b"HTTP/1.2 200 OK\r\n", "a reply in HTTP/1.2, which is not HTTP/1.0 or 1.1"),
        (b"HTTP/1.1 99 Few\r\n", "not an HTTP reply: 'HTTP/1.1 99 Few'"),
    ],
)
def test_what_is_no_head_is_told_in_words(raw: bytes, told: str) -> None:
    """Short, printable, and with a way out where there is one."""
    assert complaint(raw) == told
    with pytest.raises(HeadError) as refused:
        read_head(None, raw.replace(b"\r\nmore", b"\r\n"))
    assert str(refused.value) == told


@pytest.mark.parametrize("lines", [b"X: y\r\n" * (MAX_FIELDS + 1), b"X: " + b"y" * MAX_LINE + b"\r\n"])
def test_heads_are_bounded(lines: bytes) -> None:
    """In lines, and in bytes of one."""
    with pytest.raises(HeadError, match="more than"):
        read_head(None, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")


def test_a_head_that_was_cut_gives_what_is_whole_of_it() -> None:
    """The status, and the headers whose lines have ended; nothing without a status line."""
    head = read_partial(b"HTTP/1.1 301 Moved\r\nLocation: /whole\r\nX-Cut: of")

    assert head is not None
    assert (head.status, head.headers) == (301, ((b"Location", b"/whole"),))
    assert read_partial(b"HTTP/1.1 301 Mov") is None
    assert read_partial(b"SSH-2.0-OpenSSH\r\nmore") is None


def test_only_the_beginning_of_a_head_that_never_ended_is_kept() -> None:
    """A megabyte of headers without an end is nobody's record."""
    head = read_partial(b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyy\r\n" * 100_000)

    assert head is not None
    assert sum(len(name) + len(value) for name, value in head.headers) < MAX_PARTIAL


@given(raw=st.sampled_from([b"HTTP/1.1 200 OK", b"  http/1.0 404 No"]), cut=st.integers(0, 20))
def test_every_beginning_of_a_head_might_be_one(raw: bytes, cut: int) -> None:
    """So that a slow server is waited for."""
    assert might_be_head(raw[:cut])


@pytest.mark.parametrize("raw", [b"S", b"HTML", b"220 mail", b"\x15", b"\0", b"HTTPS/1.1 200 OK", b" <html>"])
def test_what_can_be_no_head_is_known_at_once(raw: bytes) -> None:
    """Its server may wait for us to speak its language, and would be waited for until the timeout."""
    assert not might_be_head(raw)
