"""
Owns the ways to answer a request, well and badly. Each function returns an `Answer`; none keeps anything in between.

A reply that has no body by RFC 9110 6.4.1 (to HEAD, 204, 304) is sent without one, whatever the answer was made of.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus

from fetcher.demo.server import Answer, Received, Wire

HTML = "text/html; charset=utf-8"

BODILESS = frozenset({204, 304})

Headers = Sequence[tuple[str, str]]


def head(status: int, headers: Headers = (), version: str = "1.1") -> bytes:
    """Status line and headers, with the empty line behind them."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def page(body: bytes | str = b"", status: int = 200, headers: Headers = (), content_type: str = HTML) -> Answer:
    """A plain reply; text goes out as UTF-8."""
    content = body.encode() if isinstance(body, str) else body
    described = () if status in BODILESS else (("Content-Type", content_type), ("Content-Length", str(len(content))))
    # Headers that are given stand for our own of the same name.
    given = {name.lower() for name, _ in headers}
    start = head(status, [*(own for own in described if own[0].lower() not in given), *headers])

    async def answer(request: Received, wire: Wire) -> None:
        await wire.send(start if request.method == "HEAD" or status in BODILESS else start + content)

    return answer


def json_page(value: object, status: int = 200, headers: Headers = ()) -> Answer:
    """A JSON document."""
    return page(json.dumps(value), status, headers, "application/json")


def redirect(location: str, status: int = 302) -> Answer:
    """A redirect with a small body, as servers send one."""
    return page(f"<p>See <a href='{location}'>{location}</a></p>\n", status, [("Location", location)])


def later(seconds: float, then: Answer) -> Answer:
    """Another answer, after a while."""

    async def answer(request: Received, wire: Wire) -> None:
        await asyncio.sleep(seconds)
        await then(request, wire)

    return answer


def sequence(*answers: Answer) -> Answer:
    """One answer after the other for the requests of one target; the last for all that follow."""

    async def answer(request: Received, wire: Wire) -> None:
        await answers[min(request.visit, len(answers) - 1)](request, wire)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """As `sequence`, but beginning anew behind the last."""

    async def answer(request: Received, wire: Wire) -> None:
        await answers[request.visit % len(answers)](request, wire)

    return answer


def chunked(pieces: Sequence[bytes], headers: Headers = (), pause: float = 0, trailers: Headers = ()) -> Answer:
    """A body whose length is not told beforehand, in chunks with `pause` seconds before each but the first."""

    async def answer(request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Content-Type", HTML), ("Transfer-Encoding", "chunked"), *headers]))
        if request.method == "HEAD":
            return
        for place, piece in enumerate(pieces):
            if place and pause:
                await asyncio.sleep(pause)
            await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        end = "".join(f"{name}: {value}\r\n" for name, value in trailers)
        await wire.send(f"0\r\n{end}\r\n".encode("latin-1"))

    return answer


def stream(blocks: Callable[[], Iterable[bytes]], size: int, content_type: str = "text/plain") -> Answer:
    """A large body of `size` bytes, made while it is sent."""
    start = head(200, [("Content-Type", content_type), ("Content-Length", str(size))])

    async def answer(request: Received, wire: Wire) -> None:
        await wire.send(start)
        if request.method == "HEAD":
            return
        for block in blocks():
            await wire.send(block)
            # A reader that keeps up never makes us wait, and the loop is not ours alone.
            await asyncio.sleep(0)

    return answer


def encoded(plain: bytes, coding: str, body: bytes) -> Answer:
    """A body under a content coding for clients that accept every part of it, and as it is for the others."""
    wanted = {part.strip() for part in coding.split(",")}
    packed = page(body, headers=[("Content-Encoding", coding), ("Vary", "Accept-Encoding")])
    identity = page(plain, headers=[("Vary", "Accept-Encoding")])

    async def answer(request: Received, wire: Wire) -> None:
        accepted = {part.partition(";")[0].strip() for part in (request.header("accept-encoding") or "").split(",")}
        await (packed if wanted <= accepted else identity)(request, wire)

    return answer


def until_close(body: bytes, version: str = "1.0", headers: Headers = ()) -> Answer:
    """A body that ends where the connection does."""
    start = head(200, [("Content-Type", HTML), *headers], version)

    async def answer(request: Received, wire: Wire) -> None:
        wire.open = False
        await wire.send(start if request.method == "HEAD" else start + body)

    return answer


def cut(body: bytes, missing: int = 1000) -> Answer:
    """A Content-Length that promises `missing` bytes more than are sent before the connection closes."""
    start = head(200, [("Content-Type", HTML), ("Content-Length", str(len(body) + missing))])

    async def answer(request: Received, wire: Wire) -> None:
        wire.open = False
        await wire.send(start if request.method == "HEAD" else start + body)

    return answer


def verbatim(data: bytes, last: bool = True) -> Answer:
    """Exactly these bytes; behind them, if they are the `last`, the end of the connection."""

    async def answer(request: Received, wire: Wire) -> None:
        wire.open = not last
        await wire.send(data)

    return answer


def reset() -> Answer:
    """No reply: the connection is reset."""

    async def answer(request: Received, wire: Wire) -> None:
        wire.reset()

    return answer


def hang() -> Answer:
    """No reply, for as long as the client waits."""

    async def answer(request: Received, wire: Wire) -> None:
        await wire.until_gone()

    return answer
