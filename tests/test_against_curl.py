"""
The same odd replies for curl and for us, from one server: whatever curl reads, we read.

Where curl succeeds, status and body are equal. Where it fails with something in hand, we have the same status, and what
we kept begins with what it wrote. Where it refuses, we may read: `test_replies` says that it is rightly read.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.model import Hop, Request
from fetcher.policy import first_job
from fetcher.urls import parse_url
from tests.conftest import clean_environment, missing
from tests.odd_replies import ODD_REPLIES, Ending, Odd
from tests.servers import Close, Hang, Reset, Site, Stage, Step, Talk

AT_ONCE = 12
"""Processes of curl, and requests of ours, at a time. Most of them compute, but some wait for a server that hangs."""

PATIENCE = 1.0
"""Seconds until we give up a server that hangs."""

CURLS_PATIENCE = 1.5
"""Seconds until curl does; it counts the start of its process and the whole reply, so it gets a little more."""

CUT_CODING = "curl takes a compressed body that ends early for whole; ours is `decode`, with the same bytes"
CUT_HEAD = "curl takes a head that was cut for whole, if it had named no length yet; ours is `incomplete`"
INTERIM = "curl names the interim status where no other came; an interim reply is no reply"
LENGTHS = "curl takes one of several lengths; they are a sign of tampering (RFC 9112 6.3), and ours is `protocol`"
VERSION = "no HTTP/2 was agreed on, and a record knows no such version"

DIFFERENT = {
    "status line: HTTP/2": VERSION,
    "status line: HTTP/2 without a reason": VERSION,
    "status line: HTTP/2.0": VERSION,
    "status line: a fault in small letters": "curl reads such a line, but any status on it as 200",
    "status line: cut behind the line": CUT_HEAD,
    "status line: cut within a header": CUT_HEAD,
    "interim: 100 and half a head": CUT_HEAD,
    "headers: a folded Transfer-Encoding": "curl overlooks it, and delivers the chunks with their sizes",
    "length: a list of different ones": LENGTHS,
    "length: two different": LENGTHS,
    "length: two different, the longer first": LENGTHS,
    "interim: 100 and nothing": INTERIM,
    "interim: 103 and nothing": INTERIM,
    "interim: 100 and silence": INTERIM,
    "interim: 100 and garbage": INTERIM,
    "reset: within an interim reply": INTERIM,
    "half close: within an interim reply": INTERIM,
    "hang: within an interim reply": INTERIM,
    "coding: one byte labelled gzip": CUT_CODING,
    "coding: one byte labelled deflate": CUT_CODING,
    "coding: one byte labelled br": CUT_CODING,
    "coding: gzip cut in half": CUT_CODING,
    "coding: gzip cut within its header": CUT_CODING,
    "coding: deflate cut in half": CUT_CODING,
    "coding: raw deflate cut in half": CUT_CODING,
    "coding: br cut in half": CUT_CODING,
    "coding: zstd cut in half": CUT_CODING,
    "coding: zstd cut by one byte": CUT_CODING,
}
"""Where we differ on purpose, and why."""


@dataclass(frozen=True)
class HalfClose:
    """Say that nothing more comes, and wait until the client has gone."""

    async def perform(self, talk: Talk) -> bool:
        """Nothing more."""
        talk.wire.end()
        await talk.wire.until_gone()
        return False


ENDINGS: dict[Ending, Step] = {
    Ending.CLOSE: Close(),
    Ending.RESET: Reset(),
    Ending.HALF_CLOSE: HalfClose(),
    Ending.HANG: Hang(),
}


@dataclass(frozen=True)
class Reading:
    """What curl made of a reply: its exit status, the HTTP status (0 for none), what it wrote."""

    exit: int
    status: int
    body: bytes


@dataclass(frozen=True)
class Bench:
    """A server that sends the odd replies, and what curl read from it."""

    urls: dict[str, str]
    curl: dict[str, Reading]


@pytest.fixture(scope="module")
def bench(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """All odd replies read by the real curl, in a process each."""
    program = shutil.which("curl")
    if program is None:
        missing("curl")
    folder = tmp_path_factory.mktemp("curl")
    with Site(stage) as site:
        urls = {odd.name: site.raw(*odd.segments, ENDINGS[odd.ending]) for odd in ODD_REPLIES}

        def read(odd: Odd) -> Reading:
            return _curl(program, odd, urls[odd.name], folder)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            readings = dict(zip(urls, pool.map(read, ODD_REPLIES), strict=True))
        yield Bench(urls, readings)


def _curl(program: str, odd: Odd, url: str, folder: Path) -> Reading:
    body = folder / url.rpartition("/")[2]
    command = [program, "--disable", "--silent", "--compressed", "--max-time", str(CURLS_PATIENCE)]
    command += ["--output", str(body), "--write-out", "%{http_code}"]
    if odd.answers == "HEAD":
        command.append("--head")
    done = subprocess.run([*command, url], stdout=subprocess.PIPE, env=clean_environment(), check=False)
    # With --head curl writes the head where the body would be.
    written = body.read_bytes() if body.exists() and odd.answers != "HEAD" else b""
    return Reading(done.returncode, int(done.stdout), written)


async def _ours(urls: dict[str, str]) -> dict[str, Hop]:
    client = Client(ClientConfig(concurrency=AT_ONCE, read_timeout=PATIENCE, keepalive=0))
    slots = asyncio.Semaphore(AT_ONCE)

    async def fetch(odd: Odd) -> Hop:
        url = parse_url(urls[odd.name])[0]
        async with slots:
            return await client.exchange(first_job(Request(0, str(url), url, odd.answers), url))

    try:
        return dict(zip(urls, await asyncio.gather(*map(fetch, ODD_REPLIES)), strict=True))
    finally:
        await client.close()


def _difference(curl: Reading, ours: Hop) -> str | None:
    """How the two differ where they must not, or None."""
    kept = ours.body or b""
    if curl.exit == 0:
        same = (curl.status, curl.body, None) == (ours.status, kept, ours.error)
    elif ours.error is None:
        # We read what curl refuses, or more of it.
        same = curl.status in {0, 100, ours.status}
    else:
        same = (curl.status or None) == ours.status and kept.startswith(curl.body)
    if same:
        return None
    error = ours.error.kind if ours.error else "no error"
    return f"curl: exit {curl.exit}, {curl.status}, {curl.body[:60]!r}; we: {error}, {ours.status}, {kept[:60]!r}"


@pytest.fixture(scope="module", params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def ours(request: pytest.FixtureRequest, bench: Bench) -> dict[str, Hop]:
    """What we read, on each loop that we run on."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        return runner.run(_ours(bench.urls))


def test_whatever_curl_reads_we_read(bench: Bench, ours: dict[str, Hop]) -> None:
    """Status and body of every odd reply are curl's, but for the ones that are different on purpose."""
    differences = {name: _difference(bench.curl[name], hop) for name, hop in ours.items()}

    assert {name: told for name, told in differences.items() if told is not None and name not in DIFFERENT} == {}


def test_the_wire_changes_nothing(ours: dict[str, Hop]) -> None:
    """Over a real connection each odd reply is read as the list says; one with a status and an error is truncated."""
    read = {name: (hop.status, hop.body or b"", hop.error.kind if hop.error else None) for name, hop in ours.items()}

    told = {odd.name: (odd.status, odd.body, odd.kind) for odd in ODD_REPLIES}
    assert {name: read[name] for name in told if read[name] != told[name]} == {}
    assert all(hop.truncated == (hop.error is not None and hop.status is not None) for hop in ours.values())


def test_what_differs_on_purpose_is_in_the_list() -> None:
    """The table names replies that there are."""
    assert set() == DIFFERENT.keys() - {odd.name for odd in ODD_REPLIES}
