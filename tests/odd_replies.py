"""
Owns several hundred replies that servers should not send, and what we make of each. Data only; `test_replies` reads
them without a network, `test_against_curl` gives the same bytes to curl.

Each family is a function that yields replies; a name is `family: what is odd`. What is not said is the common case:
status 200, the body `hello`, no error, and the server closes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import brotli

from fetcher.errors import ErrorKind

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14 has it
except ImportError:
    from backports import zstd

DECODE = ErrorKind.DECODE
DISCONNECTED = ErrorKind.DISCONNECTED
INCOMPLETE = ErrorKind.INCOMPLETE
PROTOCOL = ErrorKind.PROTOCOL
SILENCE = ErrorKind.READ_TIMEOUT

HELLO = b"hello"

TEXT = b"The quick brown fox jumps over the lazy dog. " * 40
"""What is worth compressing."""

HALF = TEXT[:900]

_GZIP_HEAD = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_ZLIB_HEAD = b"\x78\x9c"


class Ending(Enum):
    """What the server does when it has sent everything."""

    CLOSE = "close"
    RESET = "reset"
    HALF_CLOSE = "half close"
    HANG = "hang"


@dataclass(frozen=True)
class Odd:
    """
    A reply, and what we make of it.

    Attributes:
        segments: What the server sends, one write each.
        status: None if there is no head to be had.
        body: What is kept of it.
        kind: Of the error; None if the reply is whole.
        answers: The method that it answers.
    """

    name: str
    segments: tuple[bytes, ...]
    status: int | None = 200
    body: bytes = HELLO
    kind: ErrorKind | None = None
    ending: Ending = Ending.CLOSE
    answers: str = "GET"

    @property
    def raw(self) -> bytes:
        """The reply in one piece."""
        return b"".join(self.segments)


def _no_head(name: str, *segments: bytes, kind: ErrorKind = PROTOCOL, ending: Ending = Ending.CLOSE) -> Odd:
    return Odd(name, segments, None, b"", kind, ending)


def _status_lines() -> Iterator[Odd]:
    rest = b"\r\nContent-Length: 5\r\n\r\nhello"
    for name, line, status in (
        ("no reason", b"HTTP/1.1 200", 200),
        ("no reason but its blank", b"HTTP/1.1 200 ", 200),
        ("a long reason", b"HTTP/1.1 200 " + b"very " * 1000 + b"OK", 200),
        ("a Latin-1 reason", b"HTTP/1.1 200 \xdcberpr\xfcft", 200),
        ("a UTF-8 reason", "HTTP/1.1 200 Всё хорошо".encode(), 200),
        ("a reason with a tab", b"HTTP/1.1 200 O\tK", 200),
        ("a reason with control characters", b"HTTP/1.1 200 O\x01\x1b[31mK\x7f", 200),
        ("a reason with a carriage return", b"HTTP/1.1 200 O\rK", 200),
        ("a reason of digits", b"HTTP/1.1 200 404", 200),
        ("two blanks before the code", b"HTTP/1.1  200 OK", 200),
        ("many blanks before the code", b"HTTP/1.1     200 OK", 200),
        ("a carriage return before the code", b"HTTP/1.1 \r200 OK", 200),
        ("two blanks before the reason", b"HTTP/1.1 200  OK", 200),
        ("a blank in front", b" HTTP/1.1 200 OK", 200),
        ("two carriage returns", b"HTTP/1.1 200 OK\r", 200),
        ("blanks at the end", b"HTTP/1.1 200 OK   ", 200),
        ("lower case", b"http/1.1 200 OK", 200),
        ("mixed case", b"Http/1.1 200 ok", 200),
        ("HTTP/1.0", b"HTTP/1.0 200 OK", 200),
        ("HTTP/1.2", b"HTTP/1.2 200 OK", None),
        ("HTTP/1.9", b"HTTP/1.9 200 OK", None),
        ("HTTP/1.10", b"HTTP/1.10 200 OK", None),
        ("HTTP/1.01", b"HTTP/1.01 200 OK", None),
        ("HTTP/1", b"HTTP/1 200 OK", None),
        ("HTTP/1.", b"HTTP/1. 200 OK", None),
        ("HTTP/1.x", b"HTTP/1.x 200 OK", None),
        ("HTTP/01.1", b"HTTP/01.1 200 OK", None),
        ("HTTP/11.1", b"HTTP/11.1 200 OK", None),
        ("HTTP/-1.1", b"HTTP/-1.1 200 OK", 200),
        ("HTTP/x.y", b"HTTP/x.y 200 OK", 200),
        ("HTTP/ twice", b"HTTP/HTTP/1.1 200 OK", 200),
        ("HTTP/v1.1", b"HTTP/v1.1 200 OK", 200),
        ("a fault in small letters", b"http/1.1 404 Not Found", 404),
        ("HTTP/0.9", b"HTTP/0.9 200 OK", None),
        ("HTTP/2", b"HTTP/2 200 OK", None),
        ("HTTP/2 without a reason", b"HTTP/2 200", None),
        ("HTTP/2.0", b"HTTP/2.0 200 OK", None),
        ("HTTP/3", b"HTTP/3 200 OK", None),
        ("HTTP/4", b"HTTP/4 200 OK", None),
        ("no version", b"HTTP 200 OK", None),
        ("no version but its slash", b"HTTP/ 200 OK", None),
        ("a blank within the version", b"HTTP/ 1.1 200 OK", 200),
        ("a blank before the slash", b"HTTP /1.1 200 OK", None),
        ("a tab for a blank", b"HTTP/1.1\t200\tOK", 200),
        ("a tab before the reason", b"HTTP/1.1 200\tOK", 200),
        ("no blank before the code", b"HTTP/1.1200 OK", None),
        ("no blank before the reason", b"HTTP/1.1 200OK", 200),
        ("a comma behind the code", b"HTTP/1.1 200, OK", 200),
        ("a fraction behind the code", b"HTTP/1.1 200.1 OK", 200),
        ("a sign before the code", b"HTTP/1.1 +200 OK", None),
        ("a minus before the code", b"HTTP/1.1 -200 OK", None),
        ("no code", b"HTTP/1.1 OK", None),
        ("nothing behind the version", b"HTTP/1.1", None),
        ("a blank behind the version", b"HTTP/1.1 ", None),
        ("a code of one digit", b"HTTP/1.1 2 OK", None),
        ("a code of two digits", b"HTTP/1.1 20 OK", None),
        ("a code of four digits", b"HTTP/1.1 2000 OK", None),
        ("a code with a leading zero", b"HTTP/1.1 0200 OK", None),
        ("code 1000", b"HTTP/1.1 1000 OK", None),
        ("code 000", b"HTTP/1.1 000 OK", None),
        ("code 001", b"HTTP/1.1 001 OK", None),
        ("code 020", b"HTTP/1.1 020 OK", None),
        ("code 099", b"HTTP/1.1 099 OK", None),
        ("code 299", b"HTTP/1.1 299 OK", 299),
        ("code 306", b"HTTP/1.1 306 OK", 306),
        ("code 418", b"HTTP/1.1 418 I'm a teapot", 418),
        ("code 451", b"HTTP/1.1 451 Unavailable For Legal Reasons", 451),
        ("code 599", b"HTTP/1.1 599 Network Connect Timeout", 599),
        ("code 600", b"HTTP/1.1 600 OK", 600),
        ("code 700", b"HTTP/1.1 700 OK", 700),
        ("code 999", b"HTTP/1.1 999 Request denied", 999),
        ("a hexadecimal code", b"HTTP/1.1 0xC8 OK", None),
        ("Arabic-Indic digits", "HTTP/1.1 ٢٠٠ OK".encode(), None),
        ("the code in words", b"HTTP/1.1 two hundred OK", None),
        ("ICY", b"ICY 200 OK", None),
        ("HTTPS/1.1", b"HTTPS/1.1 200 OK", None),
        ("a NUL behind the code", b"HTTP/1.1 200\x00OK", 200),
        ("a NUL in the reason", b"HTTP/1.1 200 O\x00K", 200),
        ("a carriage return behind the code", b"HTTP/1.1 200\rOK", 200),
        ("only carriage returns", b"HTTP/1.1 200 OK\rContent-Length: 5", 200),
        ("a request line", b"GET / HTTP/1.1", None),
        ("a byte order mark in front", b"\xef\xbb\xbfHTTP/1.1 200 OK", None),
        ("a letter in front", b"xHTTP/1.1 200 OK", None),
        ("a NUL in front", b"\x00HTTP/1.1 200 OK", None),
        ("a header in front", b"X-Early: 1\r\nHTTP/1.1 200 OK", None),
        ("an empty line in front", b"\r\nHTTP/1.1 200 OK", 200),
        ("three empty lines in front", b"\r\n\r\n\r\nHTTP/1.1 200 OK", 200),
        ("a bare empty line in front", b"\nHTTP/1.1 200 OK", 200),
        ("a carriage return in front", b"\rHTTP/1.1 200 OK", 200),
        ("blank lines of blanks in front", b"  \r\nHTTP/1.1 200 OK", None),
        ("the status line twice", b"HTTP/1.1 200 OK\r\nHTTP/1.1 404 Not Found", 200),
        ("a long line of garbage in front", b"x" * 5000 + b"\r\nHTTP/1.1 200 OK", None),
    ):
        yield (
            Odd(f"status line: {name}", (line + rest,), status)
            if status
            else _no_head(f"status line: {name}", line + rest)
        )
    yield Odd("status line: bare line feeds", (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",))
    yield Odd("status line: a bare line feed, then proper ones", (b"HTTP/1.1 200 OK\n" + rest[2:],))
    yield Odd("status line: a bare line feed at the head's end", (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nhello",))
    yield Odd("status line: a proper end behind bare ones", (b"HTTP/1.1 200 OK\nContent-Length: 5\n\r\nhello",))
    yield Odd("status line: nothing but it", (b"HTTP/1.1 200 OK\r\n\r\n",), body=b"")
    yield Odd("status line: nothing but it, bare", (b"HTTP/1.0 200 OK\n\n",), body=b"")
    yield _no_head("status line: HTTP/0.9's answer, just a page", b"<html>hello</html>\n")
    yield _no_head("status line: a page with an empty line", b"<html>\r\n\r\nhello</html>\r\n\r\n")
    yield _no_head("status line: SSH's banner", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    yield _no_head("status line: SMTP's banner", b"220 mail.example.com ESMTP Postfix\r\n")
    yield _no_head("status line: FTP's banner", b"220 ProFTPD Server ready.\r\n500 GET not understood\r\n")
    yield _no_head("status line: a TLS alert", b"\x15\x03\x01\x00\x02\x02\x50")
    yield _no_head("status line: a TLS handshake", b"\x16\x03\x03\x00\x31\x02" + bytes(48))
    yield _no_head("status line: HTTP/2's SETTINGS frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18))
    yield _no_head("status line: bytes of no kind", bytes(range(256)) * 4)
    yield _no_head("status line: NULs", bytes(4096))
    yield _no_head("status line: nothing at all", kind=DISCONNECTED)
    yield _no_head("status line: only an empty line", b"\r\n", kind=DISCONNECTED)
    yield _no_head("status line: only a line feed", b"\n", kind=DISCONNECTED)
    yield _no_head("status line: only blanks", b"   \r\n\r\n")
    yield _no_head("status line: one letter", b"H", kind=DISCONNECTED)
    yield _no_head("status line: cut within the protocol", b"HTT", kind=DISCONNECTED)
    yield _no_head("status line: cut within the version", b"HTTP/1.", kind=DISCONNECTED)
    yield _no_head("status line: cut behind the code", b"HTTP/1.1 200", kind=DISCONNECTED)
    yield _no_head("status line: cut before the line's end", b"HTTP/1.1 200 OK", kind=DISCONNECTED)
    yield _no_head("status line: cut within the line's end", b"HTTP/1.1 200 OK\r", kind=DISCONNECTED)
    yield Odd("status line: cut behind the line", (b"HTTP/1.1 200 OK\r\n",), body=b"", kind=INCOMPLETE)
    yield Odd("status line: cut within a header", (b"HTTP/1.1 200 OK\r\nContent-Len",), body=b"", kind=INCOMPLETE)
    yield Odd(
        "status line: cut behind a header", (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",), body=b"", kind=INCOMPLETE
    )
    yield Odd(
        "status line: cut within the head's end",
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r",),
        body=b"",
        kind=INCOMPLETE,
    )


def _headers() -> Iterator[Odd]:
    for name, lines in (
        ("Latin-1", b"X-Name: J\xfcrgen\r\n"),
        ("UTF-8", "X-Name: 寿司\r\n".encode()),
        ("a NUL in a value", b"X-Name: a\x00b\r\n"),
        ("a NUL in a name", b"X-\x00Name: ab\r\n"),
        ("a NUL in a line without a colon", b"X-Name\x00\r\n"),
        ("control characters in a value", b"X-Name: a\x01\x02\x1b[31m\x7fb\r\n"),
        ("a carriage return in a value", b"X-Name: a\rb\r\n"),
        ("two carriage returns at the end", b"X-Name: a\r\r\n"),
        ("folded with a blank", b"X-Name: one\r\n two\r\n"),
        ("folded with a tab", b"X-Name: one\r\n\ttwo\r\n"),
        ("folded twice", b"X-Name: one\r\n  two\r\n   three\r\n"),
        ("folded and bare", b"X-Name: one\n two\n"),
        ("folded to nothing", b"X-Name: one\r\n \r\n"),
        ("folded from nothing", b"X-Name:\r\n one\r\n"),
        ("an empty name", b": nobody\r\n"),
        ("no colon", b"Just some words\r\n"),
        ("no colon and no blank", b"word\r\n"),
        ("a blank before the colon", b"X-Name : a\r\n"),
        ("a tab before the colon", b"X-Name\t: a\r\n"),
        ("a blank within the name", b"X Name: a\r\n"),
        ("a name of punctuation", b"!#$%&'*+-.^_`|~: a\r\n"),
        ("a name with brackets", b"X[Name]: a\r\n"),
        ("a name with a slash", b"X/Name: a\r\n"),
        ("a name with quotes", b'"X-Name": a\r\n'),
        ("a name with parentheses", b"(comment): a\r\n"),
        ("a name with an at", b"user@host: a\r\n"),
        ("a name in Latin-1", b"X-N\xe4me: a\r\n"),
        ("a name in UTF-8", "X-Näme: a\r\n".encode()),
        ("a name of one letter", b"X: a\r\n"),
        ("a name of 10,000 letters", b"X" * 10_000 + b": a\r\n"),
        ("no value", b"X-Name:\r\n"),
        ("a value of blanks", b"X-Name:    \r\n"),
        ("no blank behind the colon", b"X-Name:a\r\n"),
        ("blanks round the value", b"X-Name:  \t a \t \r\n"),
        ("colons in the value", b"X-Name: a:b::c\r\n"),
        ("a line of 50 KB", b"X-Long: " + b"y" * 50_000 + b"\r\n"),
        ("a line of 100,000 bytes", b"X-Long: " + b"y" * 100_000 + b"\r\n"),
        ("1,000 headers", b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(1_000))),
        ("4,900 headers", b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(4_900))),
        ("a cookie of 64 KB", b"Set-Cookie: a=" + b"z" * 65_536 + b"; Path=/\r\n"),
        ("200 cookies", b"Set-Cookie: a=b; Path=/\r\n" * 200),
        ("a cookie without a name", b"Set-Cookie: =b\r\nSet-Cookie: \r\nSet-Cookie: ;;;\r\n"),
        ("the same header twice", b"X-Name: a\r\nX-Name: b\r\n"),
        ("two Content-Types", b"Content-Type: text/html\r\nContent-Type: text/plain\r\n"),
        ("a Content-Type that is none", b"Content-Type: ;;;=\r\n"),
        ("a Date that is none", b"Date: yesterday\r\nLast-Modified: 0\r\nExpires: -1\r\n"),
        ("Connection: close", b"Connection: close\r\n"),
        ("Connection: keep-alive", b"Connection: keep-alive\r\n"),
        ("Connection: Upgrade", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        ("Connection of many words", b"Connection: keep-alive, close, TE, foo\r\n"),
        ("Proxy-Connection", b"Proxy-Connection: keep-alive\r\n"),
        ("Keep-Alive that is none", b"Keep-Alive: timeout=abc, max=-5\r\n"),
        ("Trailer without chunks", b"Trailer: X-Sum\r\n"),
        ("Upgrade alone", b"Upgrade: websocket\r\n"),
        ("Alt-Svc that is none", b'Alt-Svc: h3=":443"; ma=x,,,;\r\n'),
        ("Strict-Transport-Security that is none", b"Strict-Transport-Security: max-age=banana\r\n"),
        ("WWW-Authenticate that is none", b"WWW-Authenticate: \r\nWWW-Authenticate: ,,,\r\n"),
        ("Content-Range without a range", b"Content-Range: bytes 0-4/5\r\n"),
        ("Content-Range that is none", b"Content-Range: banana\r\n"),
        ("Location with a 200", b"Location: /elsewhere\r\n"),
        ("Content-Disposition with a path", b'Content-Disposition: attachment; filename="../../etc/passwd"\r\n'),
        ("a status line among them", b"HTTP/1.1 500 Oops\r\n"),
        ("a chunk's size among them", b"5\r\n"),
        ("a line of bytes above 127", b"\xff\xfe\xfd\r\n"),
    ):
        yield Odd(f"headers: {name}", (b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 5\r\n\r\nhello",))
    ok = b"HTTP/1.1 200 OK\r\n"
    yield Odd(
        "headers: a line of a carriage return",
        (ok + b"\r\r\nContent-Length: 5\r\n\r\nhello",),
        body=b"Content-Length: 5\r\n\r\nhello",
    )
    yield Odd("headers: folded before the first", (ok + b" folded\r\nContent-Length: 5\r\n\r\nhello",))
    yield Odd("headers: a blank line of blanks before the first", (ok + b"  \r\nContent-Length: 5\r\n\r\nhello",))
    yield Odd("headers: a folded Content-Length", (ok + b"Content-Length:\r\n 5\r\n\r\nhello",))
    yield Odd("headers: a Content-Length behind a fold", (ok + b"X: a\r\n Content-Length: 9\r\n\r\nhello",))
    yield Odd("headers: a blank before the colon of Content-Length", (ok + b"Content-Length : 5\r\n\r\nhello",))
    yield Odd("headers: a blank before Content-Length", (ok + b"X: a\r\n\r\nhello",))
    yield Odd(
        "headers: a folded Transfer-Encoding", (ok + b"Transfer-Encoding:\r\n chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",)
    )
    yield Odd(
        "headers: a blank before the colon of Transfer-Encoding",
        (ok + b"Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
        body=b"5\r\nhello\r\n0\r\n\r\n",
    )
    yield Odd(
        "headers: names in capitals", (ok + b"CONTENT-LENGTH: 5\r\nCONTENT-TYPE: TEXT/PLAIN\r\n\r\nhello and more",)
    )
    yield Odd("headers: names in small letters", (ok + b"content-length: 5\r\n\r\nhello and more",))
    yield Odd("headers: names in both", (ok + b"cOnTeNt-LeNgTh: 5\r\n\r\nhello and more",))
    yield Odd("headers: carriage returns alone between them", (ok + b"X-A: 1\rContent-Length: 5\r\n\r\nhello",))
    yield _no_head(
        "headers: carriage returns alone everywhere", b"HTTP/1.1 200 OK\rContent-Length: 5\r\rhello", kind=DISCONNECTED
    )
    yield Odd(
        "headers: line feed before carriage return",
        (b"HTTP/1.1 200 OK\n\rContent-Length: 5\n\r\n\rhello",),
        body=b"\r\n\rhello",
    )
    yield Odd("headers: an end of three carriage returns", (ok + b"Content-Length: 5\r\n\r\r\nhello",))
    yield Odd(
        "headers: a line of 110,000 bytes", (ok + b"X: " + b"y" * 110_000 + b"\r\nContent-Length: 5\r\n\r\nhello",)
    )
    yield Odd(
        "headers: a line of 200,000 bytes",
        (ok + b"X: " + b"y" * 200_000 + b"\r\nContent-Length: 5\r\n\r\nhello",),
        body=b"",
        kind=PROTOCOL,
    )
    yield Odd("headers: 6,000 of them", (ok + b"X: y\r\n" * 6_000 + b"Content-Length: 5\r\n\r\nhello",))
    yield Odd(
        "headers: 250 KB of them", (ok + (b"X: " + b"y" * 1000 + b"\r\n") * 250 + b"Content-Length: 5\r\n\r\nhello",)
    )
    yield Odd(
        "headers: 400 KB of them", (ok + (b"X: " + b"y" * 1000 + b"\r\n") * 400 + b"Content-Length: 5\r\n\r\nhello",)
    )
    yield Odd(
        "headers: 2 MB of them",
        (ok + (b"X: " + b"y" * 1000 + b"\r\n") * 2000 + b"Content-Length: 5\r\n\r\nhello",),
        body=b"",
        kind=PROTOCOL,
    )
    yield Odd("headers: one that never ends", (ok + b"X: " + b"y" * 3_000_000,), body=b"", kind=PROTOCOL)


def _lengths() -> Iterator[Odd]:
    for name, value, body, kind in (
        ("right", b"5", HELLO, None),
        ("none", None, HELLO, None),
        ("too short", b"3", b"hel", None),
        ("too long", b"50", HELLO, INCOMPLETE),
        ("zero with a body", b"0", b"", None),
        ("zero", b"0", b"", None),
        ("empty", b"", b"", PROTOCOL),
        ("blank", b"   ", b"", PROTOCOL),
        ("negative", b"-5", b"", PROTOCOL),
        ("minus one", b"-1", b"", PROTOCOL),
        ("a plus", b"+5", HELLO, None),
        ("blanks round it", b"  5  ", HELLO, None),
        ("a tab round it", b"\t5\t", HELLO, None),
        ("leading zeros", b"0005", HELLO, None),
        ("hexadecimal", b"0x5", b"", None),
        ("hexadecimal letters", b"a", b"", PROTOCOL),
        ("a fraction", b"5.0", HELLO, None),
        ("an exponent", b"5e0", HELLO, None),
        ("a unit", b"5 bytes", HELLO, None),
        ("a unit without a blank", b"5b", HELLO, None),
        ("a semicolon", b"5;", HELLO, None),
        ("a comma behind", b"5,", HELLO, None),
        ("a comma before", b",5", HELLO, None),
        ("words", b"five", b"", PROTOCOL),
        ("a quoted number", b'"5"', b"", PROTOCOL),
        ("two numbers", b"5 5", HELLO, None),
        ("a list of equal ones", b"5, 5", HELLO, None),
        ("a list of three equal ones", b"5,5,5", HELLO, None),
        ("a list of different ones", b"5, 6", b"", PROTOCOL),
        ("a list of unlike spellings", b"5, 05", HELLO, None),
        ("2 ** 31", b"2147483648", HELLO, INCOMPLETE),
        ("2 ** 32 + 5", b"4294967301", HELLO, INCOMPLETE),
        ("2 ** 63 - 1", b"9223372036854775807", HELLO, INCOMPLETE),
        ("2 ** 63", b"9223372036854775808", HELLO, None),
        ("2 ** 64 + 5", b"18446744073709551621", HELLO, None),
        ("fifty digits", b"9" * 50, HELLO, None),
        ("fifty zeros before it", b"0" * 50 + b"5", HELLO, None),
        ("underscores", b"0_5", b"", None),
        ("Arabic-Indic digits", "٥".encode(), b"", PROTOCOL),
        ("a superscript", b"\xb2", b"", PROTOCOL),
        ("NaN", b"NaN", b"", PROTOCOL),
        ("a NUL behind it", b"5\x00", HELLO, None),
    ):
        head = b"HTTP/1.1 200 OK\r\n" + (b"" if value is None else b"Content-Length: " + value + b"\r\n") + b"\r\n"
        yield Odd(f"length: {name}", (head + (b"" if name == "zero" else HELLO),), 200, body, kind)
    for name, lines, kind in (
        ("two equal", b"Content-Length: 5\r\nContent-Length: 5\r\n", None),
        ("three equal", b"Content-Length: 5\r\n" * 3, None),
        ("two different", b"Content-Length: 5\r\nContent-Length: 9\r\n", PROTOCOL),
        ("two different, the longer first", b"Content-Length: 9\r\nContent-Length: 5\r\n", PROTOCOL),
        ("two, the second one nonsense", b"Content-Length: 5\r\nContent-Length: x\r\n", PROTOCOL),
        ("two, the first one nonsense", b"Content-Length: x\r\nContent-Length: 5\r\n", PROTOCOL),
        ("two, one empty", b"Content-Length: \r\nContent-Length: 5\r\n", None),
        ("two of unlike spellings", b"Content-Length: 5\r\nContent-Length: 005\r\n", None),
        ("beside an unknown Transfer-Encoding", b"Content-Length: 5\r\nTransfer-Encoding: foo\r\n", PROTOCOL),
        ("beside Transfer-Encoding: identity", b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n", None),
        ("beside an empty Transfer-Encoding", b"Content-Length: 5\r\nTransfer-Encoding:\r\n", None),
        ("in Content_Length", b"Content_Length: 3\r\n", None),
        ("in X-Content-Length", b"X-Content-Length: 3\r\n", None),
    ):
        yield Odd(
            f"length: {name}", (b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nhello",), 200, b"" if kind else HELLO, kind
        )
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    both = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield Odd("length: beside chunked, of the wire", (both % len(chunks) + chunks,))
    yield Odd("length: beside chunked, of the body", (both % 5 + chunks,))
    yield Odd("length: beside chunked, too long", (both % 500 + chunks,))
    yield Odd("length: beside chunked, zero", (both % 0 + chunks,))
    yield Odd(
        "length: behind chunked",
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + chunks,),
    )
    yield Odd(
        "length: nonsense beside chunked",
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n" + chunks,),
    )
    yield Odd(
        "length: two different beside chunked",
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + chunks,),
    )
    yield Odd("length: none, in HTTP/1.0", (b"HTTP/1.0 200 OK\r\n\r\nhello",))
    yield Odd("length: none, with keep-alive", (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhello",))
    yield Odd("length: none, in HTTP/1.0 with keep-alive", (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",))
    yield Odd("length: none and no body", (b"HTTP/1.1 200 OK\r\n\r\n",), body=b"")
    yield Odd(
        "length: too short, another reply behind",
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nlost",),
    )
    yield Odd("length: right, then an empty line", (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\r\n",))
    yield Odd(
        "length: nonsense on a 404",
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: abc\r\n\r\nhello",),
        404,
        body=b"",
        kind=PROTOCOL,
    )


def _chunked() -> Iterator[Odd]:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for name, chunks, body, kind in (
        ("plain", b"5\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("two", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", HELLO, None),
        ("a byte each", b"".join(b"1\r\n%c\r\n" % c for c in HELLO) + b"0\r\n\r\n", HELLO, None),
        ("an upper-case size", b"A\r\nhellohello\r\n0\r\n\r\n", b"hellohello", None),
        ("a lower-case size", b"a\r\nhellohello\r\n0\r\n\r\n", b"hellohello", None),
        ("an extension", b"5;name=value\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension without a value", b"5;name\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an empty extension", b"5;\r\nhello\r\n0;\r\n\r\n", HELLO, None),
        ("a quoted extension", b'5;name="a;b\\"c"\r\nhello\r\n0\r\n\r\n', HELLO, None),
        ("an extension behind blanks", b"5 ; name = value\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension on the last", b"5\r\nhello\r\n0;name=value\r\n\r\n", HELLO, None),
        ("an extension of 4 KB", b"5;" + b"x" * 4096 + b"\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension of 20 KB", b"5;" + b"x" * 20_000 + b"\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension of 200 KB", b"5;" + b"x" * 200_000 + b"\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension with a NUL", b"5;\x00\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension without its semicolon", b"5 name\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("an extension with a comma", b"5,name\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("bare line feeds", b"5\nhello\n0\n\n", HELLO, None),
        ("a bare line feed behind the size", b"5\nhello\r\n0\r\n\r\n", HELLO, None),
        ("a bare line feed behind the data", b"5\r\nhello\n0\r\n\r\n", HELLO, None),
        ("a bare line feed at the end", b"5\r\nhello\r\n0\n\n", HELLO, None),
        ("a blank before the size", b" 5\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("a blank behind the size", b"5 \r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("a tab behind the size", b"5\t\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("many blanks behind the size", b"5      \r\nhello\r\n0      \r\n\r\n", HELLO, None),
        ("leading zeros", b"00005\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("sixteen digits", b"0000000000000005\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("seventeen digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("forty digits", b"0" * 39 + b"5\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("many zeros for the last", b"5\r\nhello\r\n00000\r\n\r\n", HELLO, None),
        ("no last one", b"5\r\nhello\r\n", HELLO, INCOMPLETE),
        ("no end of the data's line", b"5\r\nhello", HELLO, INCOMPLETE),
        ("no last line feed", b"5\r\nhello\r\n0\r\n\r", HELLO, None),
        ("no last line", b"5\r\nhello\r\n0\r\n", HELLO, None),
        ("cut behind the last size", b"5\r\nhello\r\n0", HELLO, INCOMPLETE),
        ("cut within the data", b"a\r\nhello", HELLO, INCOMPLETE),
        ("cut within the size's line", b"5\r\nhello\r\n5\r", HELLO, INCOMPLETE),
        ("cut within a size", b"5\r\nhello\r\n5", HELLO, INCOMPLETE),
        ("cut within the data's line end", b"5\r\nhello\r", HELLO, INCOMPLETE),
        ("cut within a trailer", b"5\r\nhello\r\n0\r\nX-Su", HELLO, None),
        ("cut behind a trailer", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n", HELLO, None),
        ("nothing", b"", b"", INCOMPLETE),
        ("only the last", b"0\r\n\r\n", b"", None),
        ("a trailer", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", HELLO, None),
        ("trailers", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", HELLO, None),
        ("100 trailers", b"5\r\nhello\r\n0\r\n" + b"X-Sum: 1\r\n" * 100 + b"\r\n", HELLO, None),
        ("a trailer of 20 KB", b"5\r\nhello\r\n0\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", HELLO, None),
        ("a folded trailer", b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n", HELLO, None),
        ("a trailer without a colon", b"5\r\nhello\r\n0\r\nwords\r\n\r\n", HELLO, None),
        ("a trailer with a bare line feed", b"5\r\nhello\r\n0\r\nX-Sum: 1\n\n", HELLO, None),
        ("a trailer that gives a length", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", HELLO, None),
        ("a trailer that gives a coding", b"5\r\nhello\r\n0\r\nContent-Encoding: gzip\r\n\r\n", HELLO, None),
        ("bytes behind the end", b"5\r\nhello\r\n0\r\n\r\nmore", HELLO, None),
        (
            "another reply behind the end",
            b"5\r\nhello\r\n0\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            HELLO,
            None,
        ),
        ("an empty line behind the end", b"5\r\nhello\r\n0\r\n\r\n\r\n", HELLO, None),
        ("no number for a size", b"xyz\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("no number for the second size", b"5\r\nhello\r\nxyz\r\nhello\r\n0\r\n\r\n", HELLO, PROTOCOL),
        ("an empty size", b"\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("an empty size, later", b"5\r\nhello\r\n\r\n0\r\n\r\n", HELLO, PROTOCOL),
        ("an empty line in front", b"\r\n5\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("a negative size", b"-5\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("a negative second size", b"5\r\nhello\r\n-1\r\nhello\r\n0\r\n\r\n", HELLO, PROTOCOL),
        ("a plus", b"+5\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("0x", b"0x5\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("an h", b"5h\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("a fraction", b"5.0\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("quotes", b'"5"\r\nhello\r\n0\r\n\r\n', b"", PROTOCOL),
        ("an underscore", b"0_5\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("a size in Latin-1", b"5\xa0\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("a NUL behind the size", b"5\x00\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("a carriage return within the size", b"5\r\r\nhello\r\n0\r\n\r\n", HELLO, None),
        ("only carriage returns", b"5\rhello\r0\r\r", b"", INCOMPLETE),
        ("a size of 2 ** 31", b"80000000\r\nhello\r\n0\r\n\r\n", b"hello\r\n0\r\n\r\n", INCOMPLETE),
        ("a size of 2 ** 32 + 5", b"100000005\r\nhello\r\n0\r\n\r\n", b"hello\r\n0\r\n\r\n", INCOMPLETE),
        ("a size of 2 ** 63 - 1", b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n", b"hello\r\n0\r\n\r\n", INCOMPLETE),
        ("a size of 2 ** 64 - 1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("a size of 2 ** 64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"", PROTOCOL),
        ("a second size of 2 ** 64 + 5", b"5\r\nhello\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", HELLO, PROTOCOL),
        ("data longer than the size", b"3\r\nhello\r\n0\r\n\r\n", b"hel", PROTOCOL),
        ("data longer by a line feed", b"5\r\nhello\n\r\n0\r\n\r\n", HELLO, PROTOCOL),
        ("data shorter than the size", b"7\r\nhello\r\n0\r\n\r\n", b"hello\r\n", PROTOCOL),
        ("data shorter than the size by one", b"6\r\nhello\r\n0\r\n\r\n", b"hello\r", None),
        ("no line end behind the data", b"5\r\nhello0\r\n\r\n", HELLO, PROTOCOL),
        ("two carriage returns behind the data", b"5\r\nhello\r\r\n0\r\n\r\n", HELLO, None),
        ("blanks behind the data", b"5\r\nhello  \r\n0\r\n\r\n", HELLO, PROTOCOL),
        ("a body that is not chunked", b"hello", b"", INCOMPLETE),
        ("a body that is not chunked, with lines", b"<html>\r\nhello\r\n</html>\r\n", b"", PROTOCOL),
        ("a body that begins like a size", b"deadbeef and hello", b"", INCOMPLETE),
        ("64 KB and more", b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n", b"x" * 0x20000, None),
    ):
        yield Odd(f"chunked: {name}", (head + chunks,), 200, body, kind)
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    for name, lines, body, kind in (
        ("'Chunked'", b"Transfer-Encoding: Chunked", HELLO, None),
        ("'CHUNKED'", b"TRANSFER-ENCODING: CHUNKED", HELLO, None),
        ("blanks round it", b"Transfer-Encoding:   chunked  ", HELLO, None),
        ("a tab before it", b"Transfer-Encoding:\tchunked", HELLO, None),
        ("no blank", b"Transfer-Encoding:chunked", HELLO, None),
        ("twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HELLO, None),
        ("'chunked, chunked'", b"Transfer-Encoding: chunked, chunked", HELLO, None),
        ("'chunked,'", b"Transfer-Encoding: chunked,", HELLO, None),
        ("', chunked'", b"Transfer-Encoding: , chunked", HELLO, None),
        ("'identity, chunked'", b"Transfer-Encoding: identity, chunked", HELLO, None),
        ("'chunked, identity'", b"Transfer-Encoding: chunked, identity", HELLO, None),
        ("'identity' and 'chunked'", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", HELLO, None),
        ("'chunked' and 'identity'", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", HELLO, None),
        ("'chunked;foo=bar'", b"Transfer-Encoding: chunked;foo=bar", HELLO, None),
        ("'chunked ; q=1'", b"Transfer-Encoding: chunked ; q=1", HELLO, None),
        ("'xchunked'", b"Transfer-Encoding: xchunked", b"", PROTOCOL),
        ("'chunkedx'", b"Transfer-Encoding: chunkedx", b"", PROTOCOL),
        ("'foo, chunked'", b"Transfer-Encoding: foo, chunked", b"", PROTOCOL),
        ("'chunked, foo'", b"Transfer-Encoding: chunked, foo", b"", PROTOCOL),
        ("quoted", b'Transfer-Encoding: "chunked"', b"", PROTOCOL),
        ("'chunked' and a NUL", b"Transfer-Encoding: chunked\x00", HELLO, None),
        ("'chunked' and a vertical tab", b"Transfer-Encoding: \x0bchunked", HELLO, None),
        ("in Content-Encoding", b"Content-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", None),
        ("in TE", b"TE: chunked", b"5\r\nhello\r\n0\r\n\r\n", None),
        ("in Transfer_Encoding", b"Transfer_Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", None),
    ):
        yield Odd(f"chunked: {name}", (b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n" + chunks,), 200, body, kind)
    yield Odd("chunked: 'identity' alone", (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",))
    yield Odd(
        "chunked: 'foo' alone", (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\n\r\nhello",), body=b"", kind=PROTOCOL
    )
    yield Odd("chunked: an empty Transfer-Encoding", (b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nhello",))
    yield Odd("chunked: in HTTP/1.0", (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,))
    yield Odd(
        "chunked: in HTTP/1.0 with keep-alive",
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,),
    )
    yield Odd(
        "chunked: with Connection: close",
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,),
    )
    yield Odd("chunked: on a 404", (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,), 404)
    yield Odd("chunked: one byte a segment", tuple(bytes([byte]) for byte in head + chunks))


def _bodiless() -> Iterator[Odd]:
    for status in (204, 304):
        line = b"HTTP/1.1 %d Whatever\r\n" % status
        for name, rest in (
            ("bare", b"\r\n"),
            ("a length and no body", b"Content-Length: 5\r\n\r\n"),
            ("a length and a body", b"Content-Length: 5\r\n\r\nhello"),
            ("a body without a length", b"\r\nhello"),
            ("length zero", b"Content-Length: 0\r\n\r\n"),
            ("length zero and a body", b"Content-Length: 0\r\n\r\nhello"),
            ("chunked and no body", b"Transfer-Encoding: chunked\r\n\r\n"),
            ("chunked and its end", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("chunked and a body", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            ("gzip and no body", b"Content-Encoding: gzip\r\n\r\n"),
            ("gzip and a length", b"Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"),
            ("nonsense for a length", b"Content-Length: abc\r\n\r\n"),
            ("two different lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        ):
            yield Odd(f"no body: {status}, {name}", (line + rest,), status, b"")
    yield Odd("no body: 204 in HTTP/1.0", (b"HTTP/1.0 204 No Content\r\n\r\n",), 204, b"")
    yield Odd("no body: 204 and silence", (b"HTTP/1.1 204 No Content\r\n\r\n",), 204, b"", ending=Ending.HANG)
    yield Odd(
        "no body: 304 and silence",
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",),
        304,
        b"",
        ending=Ending.HANG,
    )
    yield Odd("no body: 205 and nothing", (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",), 205, b"")
    yield Odd("no body: 205 with one", (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello",), 205)
    yield Odd("no body: 205 with one until close", (b"HTTP/1.1 205 Reset Content\r\n\r\nhello",), 205)
    yield Odd("no body: 202 with length zero", (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",), 202, b"")
    for name, rest in (
        ("bare", b"\r\n"),
        ("a length", b"Content-Length: 5\r\n\r\n"),
        ("a length and a body", b"Content-Length: 5\r\n\r\nhello"),
        ("chunked", b"Transfer-Encoding: chunked\r\n\r\n"),
        ("chunked and a body", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("a body without a length", b"\r\nhello"),
        ("gzip", b"Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"),
        ("nonsense for a length", b"Content-Length: abc\r\n\r\n"),
        ("a huge length", b"Content-Length: 99999999999999999999\r\n\r\n"),
    ):
        yield Odd(f"no body: HEAD, {name}", (b"HTTP/1.1 200 OK\r\n" + rest,), 200, b"", answers="HEAD")
    yield Odd(
        "no body: HEAD, a length and silence",
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",),
        200,
        b"",
        None,
        Ending.HANG,
        "HEAD",
    )
    yield Odd("no body: HEAD, 404", (b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n",), 404, b"", answers="HEAD")


def _interim() -> Iterator[Odd]:
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    for name, before in (
        ("100", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("100 without a reason", b"HTTP/1.1 100\r\n\r\n"),
        ("100 with headers", b"HTTP/1.1 100 Continue\r\nServer: x\r\nDate: y\r\n\r\n"),
        ("100 with a length of zero", b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"),
        ("100 with a length", b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n"),
        ("100 with a coding", b"HTTP/1.1 100 Continue\r\nContent-Encoding: gzip\r\n\r\n"),
        ("100 that is chunked", b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("100 with Connection: close", b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n"),
        ("100 in HTTP/1.0", b"HTTP/1.0 100 Continue\r\n\r\n"),
        ("100 with bare line feeds", b"HTTP/1.1 100 Continue\n\n"),
        ("100 and an empty line more", b"HTTP/1.1 100 Continue\r\n\r\n\r\n"),
        ("100 twice", b"HTTP/1.1 100 Continue\r\n\r\n" * 2),
        ("102", b"HTTP/1.1 102 Processing\r\n\r\n"),
        ("103 with links", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        (
            "103 of two kinds",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n",
        ),
        ("100, 102, 103", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\n\r\n"),
        ("104", b"HTTP/1.1 104 Upload Resumption Supported\r\n\r\n"),
        ("199", b"HTTP/1.1 199 Whatever\r\n\r\n"),
        ("ten", b"HTTP/1.1 102 Processing\r\n\r\n" * 10),
        ("ninety", b"HTTP/1.1 102 Processing\r\n\r\n" * 90),
        ("500 of them", b"HTTP/1.1 102 Processing\r\n\r\n" * 500),
    ):
        yield Odd(f"interim: {name}", (before + final,))
    yield Odd("interim: 100, then a segment", (b"HTTP/1.1 100 Continue\r\n\r\n", final))
    yield Odd(
        "interim: 100, then 404",
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",),
        404,
    )
    yield Odd("interim: 100, then 204", (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",), 204, b"")
    yield Odd(
        "interim: 100, then chunks",
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
    )
    yield Odd("interim: 100, then a reply until close", (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",))
    yield _no_head("interim: 100 and nothing", b"HTTP/1.1 100 Continue\r\n\r\n", kind=DISCONNECTED)
    yield _no_head("interim: 103 and nothing", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", kind=DISCONNECTED)
    yield _no_head("interim: 100 and silence", b"HTTP/1.1 100 Continue\r\n\r\n", ending=Ending.HANG, kind=SILENCE)
    yield _no_head("interim: 100 and garbage", b"HTTP/1.1 100 Continue\r\n\r\nhello, world, no status line\r\n\r\n")
    yield Odd(
        "interim: 100 and half a head",
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-",),
        body=b"",
        kind=INCOMPLETE,
    )
    yield Odd("interim: 101 unasked", (b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello",), 101)
    yield Odd(
        "interim: 101 unasked, with Upgrade",
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",),
        101,
    )
    yield Odd(
        "interim: 101, then a reply",
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + final,),
        101,
        body=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    )
    yield Odd(
        "interim: 101 and silence",
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",),
        101,
        ending=Ending.HANG,
        body=b"",
        kind=SILENCE,
    )


def _redirects() -> Iterator[Odd]:
    for status in (300, 301, 302, 303, 307, 308):
        yield Odd(
            f"redirect: {status} with a body",
            (b"HTTP/1.1 %d Moved\r\nLocation: /x\r\nContent-Length: 5\r\n\r\nhello" % status,),
            status,
        )
    yield Odd("redirect: no Location", (b"HTTP/1.1 302 Found\r\nContent-Length: 5\r\n\r\nhello",), 302)
    yield Odd(
        "redirect: an empty Location", (b"HTTP/1.1 302 Found\r\nLocation:\r\nContent-Length: 5\r\n\r\nhello",), 302
    )
    yield Odd("redirect: no length and no body", (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n",), 301, b"")
    yield Odd("redirect: a body until close", (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\nhello",), 301)
    yield Odd(
        "redirect: chunks",
        (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
        301,
    )
    yield Odd(
        "redirect: a Location that is none",
        (b"HTTP/1.1 301 Moved\r\nLocation: ht!tp://[\r\nContent-Length: 5\r\n\r\nhello",),
        301,
    )
    location = "Location: /ü".encode()
    yield Odd(
        "redirect: a Location in UTF-8",
        (b"HTTP/1.1 301 Moved\r\n" + location + b"\r\nContent-Length: 5\r\n\r\nhello",),
        301,
    )
    yield Odd(
        "redirect: a cut body",
        (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 50\r\n\r\nhello",),
        301,
        kind=INCOMPLETE,
    )


def _raw_deflate(data: bytes) -> bytes:
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(data) + squeezer.flush()


def _half_deflate() -> bytes:
    """As much of a bare stream as gives HALF, to the byte: it ends with a flush."""
    squeezer = zlib.compressobj(wbits=-15)
    return squeezer.compress(HALF) + squeezer.flush(zlib.Z_SYNC_FLUSH)


def _half_brotli() -> bytes:
    squeezer = brotli.Compressor()
    return bytes(squeezer.process(HALF) + squeezer.flush())


def _half_zstd() -> bytes:
    squeezer = zstd.ZstdCompressor()
    return bytes(squeezer.compress(HALF, mode=squeezer.FLUSH_BLOCK))


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _named_gzip(data: bytes) -> bytes:
    """With every optional field of the header: extra, name, comment, checksum (RFC 1952 2.3)."""
    head = b"\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\x03" + b"\x04\x00abcd" + b"name\x00" + b"comment\x00"
    head += (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    return head + _gzip(data)[10:]


def _codings() -> Iterator[Odd]:
    squeezed = {
        b"gzip": _gzip(TEXT),
        b"deflate": zlib.compress(TEXT),
        b"br": brotli.compress(TEXT),
        b"zstd": zstd.compress(TEXT),
    }
    gz, deflate, br, zs = squeezed.values()
    raw = _raw_deflate(TEXT)
    half = _half_deflate()
    bad_sum = gz[:-8] + bytes(byte ^ 0xFF for byte in gz[-8:-4]) + gz[-4:]
    bad_size = gz[:-4] + b"\x01\x02\x03\x04"
    for name, label, coded, body, kind in (
        ("gzip", b"gzip", gz, TEXT, None),
        ("deflate", b"deflate", deflate, TEXT, None),
        ("raw deflate", b"deflate", raw, TEXT, None),
        ("br", b"br", br, TEXT, None),
        ("zstd", b"zstd", zs, TEXT, None),
        ("x-gzip", b"x-gzip", gz, TEXT, None),
        ("x-deflate", b"x-deflate", deflate, deflate, None),
        ("brotli", b"brotli", br, br, None),
        ("'GZIP'", b"GZIP", gz, TEXT, None),
        ("'GZip'", b"GZip", gz, TEXT, None),
        ("'Deflate'", b"Deflate", deflate, TEXT, None),
        ("'BR'", b"BR", br, TEXT, None),
        ("'ZSTD'", b"ZSTD", zs, TEXT, None),
        ("blanks round gzip", b"  gzip  ", gz, TEXT, None),
        ("gzip, gzip", b"gzip, gzip", _gzip(gz), TEXT, None),
        ("gzip, br", b"gzip, br", brotli.compress(gz), TEXT, None),
        ("br, gzip", b"br,gzip", _gzip(br), TEXT, None),
        ("deflate, gzip", b"deflate, gzip", _gzip(deflate), TEXT, None),
        ("zstd, gzip", b"zstd, gzip", _gzip(zs), TEXT, None),
        ("gzip, zstd", b"gzip, zstd", zstd.compress(gz), TEXT, None),
        ("gzip three times", b"gzip, gzip, gzip", _gzip(_gzip(gz)), TEXT, None),
        ("gzip five times", b"gzip, gzip, gzip, gzip, gzip", _gzip(_gzip(_gzip(_gzip(gz)))), TEXT, None),
        ("gzip six times", b"gzip, " * 5 + b"gzip", _gzip(_gzip(_gzip(_gzip(_gzip(gz))))), b"", DECODE),
        ("identity, gzip", b"identity, gzip", gz, TEXT, None),
        ("gzip, identity", b"gzip, identity", gz, TEXT, None),
        ("', gzip'", b", gzip", gz, TEXT, None),
        ("'gzip,'", b"gzip,", gz, TEXT, None),
        ("'gzip;q=1'", b"gzip;q=1", gz, TEXT, None),
        ("'gzip deflate'", b"gzip deflate", gz, gz, None),
        ("'\"gzip\"'", b'"gzip"', gz, gz, None),
        ("identity", b"identity", TEXT, TEXT, None),
        ("'Identity'", b"Identity", TEXT, TEXT, None),
        ("none", b"none", TEXT, TEXT, None),
        ("utf-8", b"utf-8", TEXT, TEXT, None),
        ("'UTF-8, gzip'", b"UTF-8, gzip", gz, TEXT, None),
        ("'gzip, utf-8'", b"gzip, utf-8", gz, gz, None),
        ("binary", b"binary", TEXT, TEXT, None),
        ("compress", b"compress", TEXT, TEXT, None),
        ("aws-chunked", b"aws-chunked", TEXT, TEXT, None),
        ("amz-1.0", b"amz-1.0", TEXT, TEXT, None),
        ("an empty label", b"", TEXT, TEXT, None),
        ("only commas", b",,,", TEXT, TEXT, None),
        ("text labelled gzip", b"gzip", TEXT, b"", DECODE),
        ("text labelled deflate", b"deflate", TEXT, b"", DECODE),
        ("text labelled br", b"br", TEXT, b"", DECODE),
        ("text labelled zstd", b"zstd", TEXT, b"", DECODE),
        ("one byte labelled gzip", b"gzip", b"x", b"", DECODE),
        ("one byte labelled deflate", b"deflate", b"x", b"", DECODE),
        ("one byte labelled br", b"br", b"x", b"", DECODE),
        ("one byte labelled zstd", b"zstd", b"x", b"", DECODE),
        ("deflate labelled gzip", b"gzip", deflate, TEXT, None),
        ("raw deflate labelled gzip", b"gzip", raw, b"", DECODE),
        ("gzip labelled deflate", b"deflate", gz, TEXT, None),
        ("gzip labelled br", b"br", gz, b"", DECODE),
        ("br labelled gzip", b"gzip", br, b"", DECODE),
        ("gzip labelled zstd", b"zstd", gz, b"", DECODE),
        ("zstd labelled gzip", b"gzip", zs, b"", DECODE),
        ("gzip labelled 'gzip, gzip'", b"gzip, gzip", gz, b"", DECODE),
        ("nothing labelled gzip", b"gzip", b"", b"", None),
        ("nothing labelled deflate", b"deflate", b"", b"", None),
        ("nothing labelled br", b"br", b"", b"", None),
        ("nothing labelled zstd", b"zstd", b"", b"", None),
        ("nothing labelled 'gzip, br'", b"gzip, br", b"", b"", None),
        ("gzip of nothing", b"gzip", _gzip(b""), b"", None),
        ("deflate of nothing", b"deflate", zlib.compress(b""), b"", None),
        ("raw deflate of nothing", b"deflate", _raw_deflate(b""), b"", None),
        ("br of nothing", b"br", brotli.compress(b""), b"", None),
        ("zstd of nothing", b"zstd", zstd.compress(b""), b"", None),
        ("gzip with every field", b"gzip", _named_gzip(TEXT), TEXT, None),
        ("gzip cut in half", b"gzip", _GZIP_HEAD + half, HALF, DECODE),
        ("gzip cut within its header", b"gzip", gz[:5], b"", DECODE),
        ("gzip cut before its trailer", b"gzip", gz[:-8], TEXT, None),
        ("gzip cut within its trailer", b"gzip", gz[:-3], TEXT, None),
        ("gzip cut by one byte", b"gzip", gz[:-1], TEXT, None),
        ("deflate cut in half", b"deflate", _ZLIB_HEAD + half, HALF, DECODE),
        ("deflate without its checksum", b"deflate", deflate[:-4], TEXT, None),
        ("raw deflate cut in half", b"deflate", half, HALF, DECODE),
        ("br cut in half", b"br", _half_brotli(), HALF, DECODE),
        ("zstd cut in half", b"zstd", _half_zstd(), HALF, DECODE),
        ("zstd cut by one byte", b"zstd", zs[:-1], b"", DECODE),
        ("gzip with a wrong checksum", b"gzip", bad_sum, TEXT, DECODE),
        ("gzip with a wrong size", b"gzip", bad_size, TEXT, DECODE),
        ("deflate with a wrong checksum", b"deflate", deflate[:-4] + b"\x00\x01\x02\x03", TEXT, DECODE),
        ("gzip with garbage behind", b"gzip", gz + b"garbage", TEXT, None),
        ("gzip with a line end behind", b"gzip", gz + b"\r\n", TEXT, None),
        ("gzip with zeros behind", b"gzip", gz + bytes(512), TEXT, None),
        ("gzip with half a member behind", b"gzip", gz + _GZIP_HEAD + half, TEXT + HALF, DECODE),
        ("gzip with a header's first byte behind", b"gzip", gz + b"\x1f", TEXT, None),
        ("deflate with garbage behind", b"deflate", deflate + b"garbage", TEXT, None),
        ("raw deflate with garbage behind", b"deflate", raw + b"garbage", TEXT, None),
        ("br with garbage behind", b"br", br + b"garbage", TEXT, None),
        ("zstd with garbage behind", b"zstd", zs + b"garbage", TEXT, DECODE),
        ("gzip of two members", b"gzip", _gzip(HALF) + _gzip(TEXT[len(HALF) :]), TEXT, None),
        (
            "gzip of many members",
            b"gzip",
            b"".join(_gzip(TEXT[n : n + 100]) for n in range(0, len(TEXT), 100)),
            TEXT,
            None,
        ),
        ("gzip with an empty member", b"gzip", _gzip(b"") + gz, TEXT, None),
        ("zstd of two frames", b"zstd", zstd.compress(HALF) + zstd.compress(TEXT[len(HALF) :]), TEXT, None),
        ("zstd with a skippable frame", b"zstd", b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zs, TEXT, None),
        ("gzip broken in the middle", b"gzip", _GZIP_HEAD + half + b"\xff\xff", HALF, DECODE),
        ("deflate broken in the middle", b"deflate", _ZLIB_HEAD + half + b"\xff\xff", HALF, DECODE),
        ("br broken in the middle", b"br", br[:20] + b"\xff\xff\xff\xff" + br[24:], b"", DECODE),
        ("zstd broken in the middle", b"zstd", zstd.compress(HALF) + b"\xff" * 20, HALF, DECODE),
        ("gzip with a wrong method", b"gzip", gz[:2] + b"\x07" + gz[3:], b"", DECODE),
        ("gzip with reserved flags", b"gzip", gz[:3] + b"\xe0" + gz[4:], b"", DECODE),
        ("gzip of 300 KB", b"gzip", _gzip(bytes(300_000)), bytes(300_000), None),
        ("gzip stored, not squeezed", b"gzip", gzip.compress(TEXT, 0, mtime=0), TEXT, None),
    ):
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (label, len(coded))
        yield Odd(f"coding: {name}", (head + coded,), 200, body, kind)
    head = b"HTTP/1.1 200 OK\r\n"
    lines = b"Content-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n"
    yield Odd("coding: two headers", (head + lines + brotli.compress(gz),), body=TEXT)
    yield Odd(
        "coding: the header twice",
        (head + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n" + gz,),
        body=b"",
        kind=DECODE,
    )
    yield Odd("coding: gzip until close", (head + b"Content-Encoding: gzip\r\n\r\n" + gz,), body=TEXT)
    yield Odd("coding: gzip in HTTP/1.0", (b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gz,), body=TEXT)
    yield Odd(
        "coding: gzip in segments",
        (head + b"Content-Encoding: gzip\r\n\r\n", *(gz[n : n + 7] for n in range(0, len(gz), 7))),
        body=TEXT,
    )
    chunked = b"Transfer-Encoding: chunked\r\n"
    for label, coded in (*squeezed.items(), (b"deflate", raw)):
        what = "raw deflate" if coded is raw else label.decode()
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(coded), coded)
        yield Odd(
            f"coding: {what} in chunks",
            (head + chunked + b"Content-Encoding: " + label + b"\r\n\r\n" + body,),
            body=TEXT,
        )
        body = b"".join(b"1\r\n%c\r\n" % byte for byte in coded) + b"0\r\n\r\n"
        yield Odd(
            f"coding: {what} in chunks of a byte",
            (head + chunked + b"Content-Encoding: " + label + b"\r\n\r\n" + body,),
            body=TEXT,
        )
        body = b"%x\r\n%s\r\n" % (len(coded), coded)
        yield Odd(
            f"coding: {what} in chunks without the last",
            (head + chunked + b"Content-Encoding: " + label + b"\r\n\r\n" + body,),
            body=TEXT,
            kind=INCOMPLETE,
        )
    yield Odd(
        "coding: nothing labelled gzip in chunks",
        (head + chunked + b"Content-Encoding: gzip\r\n\r\n0\r\n\r\n",),
        body=b"",
    )
    yield Odd("coding: nothing labelled gzip until close", (head + b"Content-Encoding: gzip\r\n\r\n",), body=b"")
    in_chunks = b"%x\r\n%s\r\n0\r\n\r\n"
    for name, label, coded, body, kind in (
        ("gzip", b"gzip", gz, TEXT, None),
        ("deflate", b"deflate", deflate, TEXT, None),
        ("gzip, chunked", b"gzip, chunked", in_chunks % (len(gz), gz), TEXT, None),
        ("deflate, chunked", b"deflate, chunked", in_chunks % (len(deflate), deflate), TEXT, None),
        ("br, chunked", b"br, chunked", in_chunks % (len(br), br), TEXT, None),
        ("chunked, gzip", b"chunked, gzip", in_chunks % (len(gz), gz), TEXT, None),
        ("x-gzip, chunked", b"x-gzip, chunked", in_chunks % (len(gz), gz), TEXT, None),
        ("gzip, identity, chunked", b"gzip, identity, chunked", in_chunks % (len(gz), gz), TEXT, None),
        ("gzip over nothing", b"gzip, chunked", b"0\r\n\r\n", b"", None),
        ("gzip over what is not", b"gzip, chunked", in_chunks % (len(TEXT), TEXT), b"", DECODE),
    ):
        yield Odd(
            f"coding: Transfer-Encoding {name}",
            (head + b"Transfer-Encoding: " + label + b"\r\n\r\n" + coded,),
            200,
            body,
            kind,
        )
    yield Odd(
        "coding: Transfer-Encoding gzip with a length",
        (head + b"Transfer-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gz) + gz,),
        body=TEXT,
    )
    twice = _gzip(gz)
    yield Odd(
        "coding: gzip in both",
        (
            head
            + b"Content-Encoding: gzip\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
            + in_chunks % (len(twice), twice),
        ),
        body=TEXT,
    )
    yield Odd(
        "coding: gzip in both headers, once in fact",
        (head + b"Content-Encoding: gzip\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + in_chunks % (len(gz), gz),),
        body=b"",
        kind=DECODE,
    )
    yield Odd(
        "coding: gzip, the length of the text",
        (head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + gz,),
        body=TEXT,
        kind=INCOMPLETE,
    )
    yield Odd(
        "coding: gzip, the length too short",
        (head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (len(gz) - 4) + gz,),
        body=TEXT,
    )
    yield Odd(
        "coding: gzip with bytes behind the length",
        (head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gz) + gz + b"more",),
        body=TEXT,
    )
    yield Odd(
        "coding: gzip on a 404",
        (b"HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gz) + gz,),
        404,
        TEXT,
    )
    yield Odd(
        "coding: text labelled gzip on a 404",
        (b"HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",),
        404,
        body=b"",
        kind=DECODE,
    )


def _endings() -> Iterator[Odd]:
    ok = b"HTTP/1.1 200 OK\r\n"
    length = ok + b"Content-Length: 5\r\n\r\n"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n"
    whole = length + HELLO
    for ending in (Ending.RESET, Ending.HALF_CLOSE, Ending.HANG):
        name = ending.value
        cut = SILENCE if ending is Ending.HANG else INCOMPLETE
        early = SILENCE if ending is Ending.HANG else DISCONNECTED
        # A close is the end of what has no other end.
        late = None if ending is Ending.HALF_CLOSE else cut
        yield _no_head(f"{name}: before anything", kind=early, ending=ending)
        yield _no_head(f"{name}: within the status line", b"HTTP/1.1 2", kind=early, ending=ending)
        yield _no_head(
            f"{name}: within an interim reply", b"HTTP/1.1 100 Continue\r\n\r\nHTTP", kind=early, ending=ending
        )
        for where, sent, body, kind in (
            ("within the head", ok + b"Content-Length: 5\r\n", b"", cut),
            ("behind the head", length, b"", cut),
            ("within the body", length + b"hel", b"hel", cut),
            ("behind the body", whole, HELLO, None),
            ("within a chunk", chunked + b"5\r\nhel", b"hel", cut),
            ("between chunks", chunked + b"5\r\nhello\r\n", HELLO, cut),
            ("before the last line", chunked + b"5\r\nhello\r\n0\r\n", HELLO, late),
            ("behind the last chunk", chunked + b"5\r\nhello\r\n0\r\n\r\n", HELLO, None),
            ("within a body until close", ok + b"\r\nhello", HELLO, late),
        ):
            yield Odd(f"{name}: {where}", (sent,), 200, body, kind, ending)
    yield Odd("hang: behind an empty body", (ok + b"Content-Length: 0\r\n\r\n",), body=b"", ending=Ending.HANG)
    yield Odd("hang: behind more than the body", (whole + b"more",), ending=Ending.HANG)
    yield _no_head("hang: garbage", b"hello, world\r\n", ending=Ending.HANG)
    yield _no_head("hang: garbage without a line end", b"hello, world", ending=Ending.HANG)
    yield Odd(
        "hang: behind a gzip body",
        (ok + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_gzip(TEXT)) + _gzip(TEXT),),
        body=TEXT,
        ending=Ending.HANG,
    )
    yield _no_head("close: before anything", kind=DISCONNECTED)
    yield Odd("close: within the body", (length + b"hel",), body=b"hel", kind=INCOMPLETE)
    yield Odd("close: behind the head", (length,), body=b"", kind=INCOMPLETE)
    yield Odd("segments: head and body", (length, HELLO))
    yield Odd("segments: within the head", (length[:30], length[30:] + HELLO))
    yield Odd("segments: within the head's end", (length[:-1], length[-1:] + HELLO))
    yield Odd("segments: one byte each", tuple(bytes([byte]) for byte in whole))
    yield Odd("segments: one byte each, bare line feeds", tuple(bytes([byte]) for byte in whole.replace(b"\r", b"")))
    yield _no_head("segments: one byte each, no HTTP", *(bytes([byte]) for byte in b"hello world\r\n"))


FAMILIES = (_status_lines, _headers, _lengths, _chunked, _bodiless, _interim, _redirects, _codings, _endings)

ODD_REPLIES = tuple(odd for family in FAMILIES for odd in family())
