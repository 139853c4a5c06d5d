"""Holds that the embedded site does what it promises, asked by a client of the standard library."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import http.client
import logging
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import quote, urljoin, urlsplit

import pytest

from fetcher.demo import site as demo_site
from fetcher.demo.pages import PATIENCE, Promise
from fetcher.demo.site import DemoSite
from fetcher.errors import ErrorKind
from fetcher.model import Error

PLENTY = ("/api/items/", "/pages/", "/slow/")
"""Kinds of pages of which a sample is enough."""

SILENCE = 0.2
"""Seconds after which the page that never answers is given up; the others get `PATIENCE`."""


def inflate(data: bytes) -> bytes:
    """Deflated data, with its zlib wrapper or bare."""
    return zlib.decompress(data, 15 if data[0] & 15 == 8 else -15)


DECODERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": inflate}


@dataclass(frozen=True)
class Seen:
    """What a fetcher's record would say."""

    url: str
    index: int
    status: int | None
    error: Error | None = None
    attempts: int = 1
    bytes: int = 0
    sha256: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None and self.status is not None and self.status < 400


def kept(url: str, index: int, promise: Promise) -> Seen:
    """The record of a page that keeps its promise."""
    error = Error(ErrorKind(promise.error), "") if promise.error else None
    attempts = 1 if promise.attempts is None else promise.attempts
    return Seen(url, index, promise.status, error, attempts, promise.size or 0, promise.sha256)


def ask(url: str) -> tuple[int | None, ErrorKind | None, bytes, str | None]:
    """Status, what went wrong, body and Location of one request."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    patience = SILENCE if parts.path == "/never" else PATIENCE
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=patience)
    status, body, response = None, b"", None
    try:
        target = quote(parts.path, safe="/%") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept-Encoding": "gzip, deflate"})
        response = connection.getresponse()
        status = response.status
        body = response.read()
        for coding in reversed((response.headers["Content-Encoding"] or "").split(", ")):
            body = DECODERS[coding](body) if coding else body
    except ConnectionRefusedError:
        return None, ErrorKind.REFUSED, b"", None
    except ConnectionResetError:
        return None, ErrorKind.DISCONNECTED, b"", None
    except http.client.BadStatusLine:
        return None, ErrorKind.PROTOCOL, b"", None
    except http.client.IncompleteRead as error:
        return status, ErrorKind.INCOMPLETE, error.partial, None
    except (zlib.error, gzip.BadGzipFile):
        return status, ErrorKind.DECODE, b"", None
    except TimeoutError:
        return status, ErrorKind.READ_TIMEOUT, b"", None
    finally:
        connection.close()
    return status, None, body, response.headers["Location"]


def visit(url: str, index: int) -> Seen:
    """A page's record, after redirects and retries."""
    if not url.startswith("http"):
        return Seen(url, index, None, Error(ErrorKind.INVALID_URL, ""), 0)
    status, kind, body, location = ask(url)
    for attempt in range(1, 4):
        seen, here = {url}, url
        status, kind, body, location = ask(here) if attempt > 1 else (status, kind, body, location)
        while location is not None:
            here = urljoin(here, location)
            if here in seen or not here.startswith("http"):
                kind = ErrorKind.REDIRECTS
                break
            seen.add(here)
            status, kind, body, location = ask(here)
        again = kind in {ErrorKind.REFUSED, ErrorKind.DISCONNECTED, ErrorKind.INCOMPLETE, ErrorKind.READ_TIMEOUT}
        if attempt == 3 or not (again or status in {429, 500, 502, 503, 504}):
            break
    error = None if kind is None else Error(kind, "")
    return Seen(url, index, status, error, attempt, len(body), hashlib.sha256(body).hexdigest())


def talk(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """All that comes for some bytes."""
    with socket.create_connection((host, port), PATIENCE) as connection:
        connection.sendall(data)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def port_of(site: DemoSite) -> int:
    """Where the site's first host listens."""
    port = urlsplit(site.url).port
    assert port is not None
    return port


async def visit_all(site: DemoSite) -> list[Seen]:
    """The records of every kind of page, three of those of which there are plenty."""
    sampled = [
        (index, url)
        for index, url in enumerate(site.entries())
        if not any(kind in url for kind in PLENTY) or url.partition("?")[0][-2:] in {"/1", "/2", "/3", "00"}
    ]
    # http.client takes a 103 for the reply itself; that page has a test of its own.
    chosen = [(index, url) for index, url in sampled if not url.endswith("/early-hints")]
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(16) as pool:
        return await asyncio.gather(*(loop.run_in_executor(pool, visit, url, index) for index, url in chosen))


async def test_every_page_keeps_its_promise() -> None:
    """A correct fetcher finds no problem, and neither does it the second time on the same site."""
    async with DemoSite() as site:
        first = await visit_all(site)
        second = await visit_all(site)

        problems = [problem for record in (*first, *second) if (problem := site.check(record))]

    assert len(first) > 90
    assert problems == []


async def test_early_hints_come_before_the_reply() -> None:
    """Two heads, one body, on a connection that is kept for the next request."""
    async with DemoSite() as site:
        host = site.url.encode().removeprefix(b"http://")
        request = b"GET /early-hints HTTP/1.1\r\nHost: " + host

        heard = await asyncio.to_thread(
            talk, port_of(site), request + b"\r\n\r\n" + request + b"\r\nConnection: close\r\n\r\n"
        )

    assert heard.count(b"HTTP/1.1 103 Early Hints\r\n") == 2
    assert heard.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert heard.endswith(b"</p>\n")


async def test_the_list_is_long_enough_to_look_at_and_has_nothing_twice() -> None:
    """Its kinds of failure are published ones."""
    async with DemoSite() as site:
        entries = site.entries()
        kinds = {promise.error for _, promise in site.listed} - {None}

    assert 150 <= len(entries) <= 300
    assert len(set(entries)) == len(entries)
    assert kinds == {
        "decode",
        "disconnected",
        "incomplete",
        "invalid-url",
        "protocol",
        "read-timeout",
        "redirects",
        "refused",
    }
    assert kinds <= set(ErrorKind)


async def test_verify_is_content_with_one_right_record_for_every_entry() -> None:
    """In any order, as they come."""
    async with DemoSite() as site:
        records = [kept(url, index, promise) for index, (url, promise) in enumerate(site.listed)]

        problems = site.verify(reversed(records))

    assert problems == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": 500}, "status 500, promised 200; ok False, promised True"),
        ({"error": Error(ErrorKind.TLS, "no")}, "error 'tls', promised None; ok False, promised True"),
        ({"attempts": 7}, "attempts 7, promised 2"),
        ({"bytes": 1}, "bytes 1, promised 83"),
        ({"url": "http://elsewhere/"}, "url 'http://elsewhere/', promised 'http://"),
    ],
)
async def test_verify_names_what_a_record_says_wrongly(change: dict[str, object], problem: str) -> None:
    """Each field that was promised is looked at."""
    async with DemoSite() as site:
        records = [kept(url, index, promise) for index, (url, promise) in enumerate(site.listed)]
        place = next(index for index, record in enumerate(records) if record.url.endswith("/flaky/0"))
        records[place] = replace(records[place], **change)  # type: ignore[arg-type]  # the table's values are of many types

        problems = site.verify(records)

    assert len(problems) == 1
    assert f"/flaky/0: {problem}" in problems[0]


async def test_verify_looks_at_what_the_body_is() -> None:
    """The right length is not enough."""
    async with DemoSite() as site:
        records = [kept(url, index, promise) for index, (url, promise) in enumerate(site.listed)]
        place = next(index for index, record in enumerate(records) if record.url.endswith("/large"))
        records[place] = replace(records[place], sha256="0" * 64)

        [problem] = site.verify(records)

    assert f"sha256 '{'0' * 64}', promised" in problem


async def test_verify_counts_records() -> None:
    """One that is missing, one that came twice, one of no entry: each is a problem."""
    async with DemoSite() as site:
        records = [kept(url, index, promise) for index, (url, promise) in enumerate(site.listed)]
        stranger = replace(records[0], index=len(records))

        problems = site.verify([*records[:-1], records[3], stranger])

    assert problems == [
        f"{records[3].url}: more than one record",
        f"{stranger.url}: index {len(records)} is not in the list",
        f"{records[-1].url}: no record",
    ]


async def test_the_site_leaves_nothing_behind() -> None:
    """No task, no open connection, no listening port, although clients are in the middle of things."""
    before = asyncio.all_tasks()
    async with DemoSite() as site:
        origin = site.entries()[0].removesuffix("/never")
        host, _, port = origin.removeprefix("http://").partition(":")
        never = f"GET /never HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        clients = []
        for part in ("", "GET /ne", never):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(part.encode())
            clients.append((reader, writer))
        # Connections are accepted in their order: the others have been, once this one is answered.
        await asyncio.to_thread(visit, f"{origin}/closed", 0)
        during = asyncio.all_tasks() - before

    after = asyncio.all_tasks()
    ends = await asyncio.gather(*(reader.read() for reader, _ in clients), return_exceptions=True)
    for _, writer in clients:
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
    assert len(during) >= 3
    assert after == before
    assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)


async def test_clients_that_cut_connections_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged, and the site serves on."""
    caplog.set_level(logging.DEBUG)
    async with DemoSite() as site:
        host = site.url.removeprefix("http://")

        for part in ("GET /la", "no http at all\r\n\r\n", f"GET /large HTTP/1.1\r\nHost: {host}\r\n\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", port_of(site))
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.write(part.encode())
            writer.transport.abort()
        record = await asyncio.to_thread(visit, f"{site.url}/here", 0)

    assert record.ok
    assert [
        entry.message for entry in caplog.records if entry.name == "asyncio" and entry.levelno > logging.DEBUG
    ] == []


async def test_the_site_stands_on_one_host_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where loopback is a single address, everything is found there."""
    monkeypatch.setattr(demo_site, "FAR", "192.0.2.1")
    async with DemoSite() as site:
        records = await visit_all(site)

        problems = [problem for record in records if (problem := site.check(record))]

    assert {urlsplit(url).hostname for url in site.entries()} == {"127.0.0.1", None}
    assert problems == []


def test_the_site_needs_nothing_but_the_standard_library() -> None:
    """The server shares no code with the client that it tests."""
    program = (
        "import sys, fetcher.demo.site as s; print(sorted({'aiohttp', 'yarl', 'msgspec', 'uvloop'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
