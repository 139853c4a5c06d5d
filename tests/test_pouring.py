"""Large bodies that are read to where they are written from: the same files, records and ends as otherwise."""

from __future__ import annotations

import asyncio
import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from fetcher import Settings, fetch
from fetcher.client.pouring import Pouring
from fetcher.demo.answers import head
from fetcher.demo.server import Received, Wire
from fetcher.saving.files import SLAB
from tests.conftest import MakeTlsSite
from tests.servers import PATIENCE, Site
from tests.test_saving import ETAG, Shelf, files, save, sha256

BODY = random.Random(11).randbytes(5 * SLAB + 333)


@pytest.fixture(autouse=True, params=["uvloop", "asyncio"])
def _either_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it on uvloop and on asyncio's own loop."""
    if request.param == "asyncio":
        monkeypatch.setattr("fetcher.backends.loops._factory", lambda: asyncio.new_event_loop)
    else:
        pytest.importorskip("uvloop")


@pytest.fixture
def poured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was read so."""
    sizes: list[int] = []
    usual = Pouring.buffer_updated

    def updated(self: Pouring, nbytes: int) -> None:
        sizes.append(nbytes)
        usual(self, nbytes)

    monkeypatch.setattr(Pouring, "buffer_updated", updated)
    return sizes


def test_large_bodies_are_poured_and_their_connection_is_kept(site: Site, tmp_path: Path, poured: list[int]) -> None:
    """The next request goes over the same one, and gets its own body."""
    urls = [site.page(BODY, path="/a"), site.page("small", path="/b"), site.page(BODY[::-1], path="/c")]

    records = save(tmp_path, *urls, concurrency=1)

    assert sum(poured) > len(BODY)
    assert files(tmp_path) == {"a": BODY, "b": b"small", "c": BODY[::-1]}
    assert [record.sha256 for record in records] == [sha256(BODY), sha256(b"small"), sha256(BODY[::-1])]
    assert [(record.bytes, record.wire_bytes) for record in records] == [(n, n) for n in (len(BODY), 5, len(BODY))]
    assert {request.connection for request in site.log} == {0}


def test_what_comes_behind_a_body_is_not_of_it(site: Site, tmp_path: Path, poured: list[int]) -> None:
    """It is left in the socket, and who sends it is not asked again over that connection."""

    async def more(_request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Content-Length", str(len(BODY)))]) + BODY + b"HTTP/1.1 200 OK\r\n\r\n" * 5)

    urls = [site.answer(more, path="/a"), site.page("mine", path="/b")]

    records = save(tmp_path, *urls, concurrency=1)

    assert poured
    assert files(tmp_path) == {"a": BODY, "b": b"mine"}
    assert [record.ok for record in records] == [True, True]
    assert len({request.connection for request in site.log}) == 2


def test_a_poured_body_that_breaks_off_goes_on(site: Site, tmp_path: Path, poured: list[int]) -> None:
    """Where it did, by a range that is poured in its turn."""
    shelf = Shelf(BODY, cuts=(3 * SLAB + 17,))

    [record] = save(tmp_path, site.answer(shelf, path="/cut"), retries=1)

    assert sum(poured) > SLAB
    assert shelf.asked == [(None, None), (f"bytes={3 * SLAB + 17}-", ETAG)]
    assert files(tmp_path) == {"cut": BODY}
    assert (record.ok, record.bytes, record.sha256) == (True, len(BODY), sha256(BODY))


@pytest.mark.parametrize(
    ("settings", "kind"), [({"read_timeout": 0.3}, "read-timeout"), ({"timeout": 0.5}, "timeout")], ids=str
)
def test_a_poured_body_that_stops_coming_is_given_up(
    site: Site, tmp_path: Path, poured: list[int], settings: dict[str, Any], kind: str
) -> None:
    """By the same timeouts as others, and nothing is left of it."""

    async def half(_request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Content-Length", str(len(BODY)))]) + BODY[: 4 * SLAB])
        await wire.until_gone()

    [record] = save(tmp_path, site.answer(half), retries=0, **settings)

    assert poured
    assert record.error is not None
    assert record.error.kind == kind
    assert not files(tmp_path)


def test_a_poured_body_waits_for_a_slow_disk(
    site: Site, tmp_path: Path, poured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops and goes on many times."""
    monkeypatch.setattr("fetcher.saving.files.MOST_UNWRITTEN", 2 * SLAB)
    monkeypatch.setattr("fetcher.saving.files.FEWEST_UNWRITTEN", SLAB // 2)

    records = save(tmp_path, *(site.page(BODY, path=f"/{name}") for name in "abc"))

    assert poured
    assert files(tmp_path) == {"a": BODY, "b": BODY, "c": BODY}
    assert [record.ok for record in records] == [True] * 3


@pytest.mark.parametrize("settings", [{"limit_rate": 1e9}, {"max_size": len(BODY) - 1}, {"capture": True}], ids=str)
def test_what_has_to_be_looked_at_is_not_poured(
    site: Site, tmp_path: Path, poured: list[int], settings: dict[str, Any]
) -> None:
    """A body under a rate, one that will be too large, one that is archived."""
    [record] = save(tmp_path, site.page(BODY, path="/a"), retries=0, **settings)

    assert not poured
    assert record.ok == ("max_size" not in settings)


def test_neither_codings_nor_chunks_nor_tls_are_poured(
    site: Site, make_tls_site: MakeTlsSite, tmp_path: Path, poured: list[int]
) -> None:
    """Something is between the socket and the body there."""

    async def chunked(_request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Transfer-Encoding", "chunked")]) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))

    urls = [
        site.page(gzip.compress(BODY, 1), headers=[("Content-Encoding", "gzip")], path="/coded"),
        site.answer(chunked, path="/chunked"),
        make_tls_site().page(BODY, path="/tls"),
    ]

    save(tmp_path, *urls, insecure=True)

    assert not poured
    assert files(tmp_path) == {"coded": BODY, "chunked": BODY, "tls": BODY}


async def test_nothing_is_left_of_a_poured_body_that_nobody_wants(
    site: Site, tmp_path: Path, poured: list[int]
) -> None:
    """When a run is left while it comes."""

    async def half(_request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Content-Length", str(len(BODY)))]) + BODY[: 4 * SLAB])
        await wire.until_gone()

    records = fetch([site.answer(half)], Settings(save=str(tmp_path), save_name="x"))

    async with asyncio.timeout(PATIENCE), records:
        while not poured:
            await asyncio.sleep(0.005)

    assert not files(tmp_path)
