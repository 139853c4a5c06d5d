"""--ordered: the input's order in every output, in bounded memory, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from fetcher.backends.local import LocalRun
from fetcher.demo import answers
from fetcher.errors import SinkError
from fetcher.model import Result
from fetcher.settings import Settings
from fetcher.sinks import ordered
from fetcher.sinks.files import Function
from fetcher.sinks.jsonl import JsonLines
from fetcher.sinks.ordered import Order
from fetcher.sinks.outputs import ByteOutput
from fetcher.sources.iterable import Entries, from_iterable
from tests.conftest import Afetch
from tests.samples import sample_result, unsent_result
from tests.servers import Site

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a file open."""
    before = set(Path("/dev/fd").iterdir())
    yield
    assert set(Path("/dev/fd").iterdir()) <= before


def numbered(index: int, body: bytes | None = None) -> Result:
    """A result of this index, which has a body of its own if it has one."""
    result = unsent_result() if body is None else sample_result()
    hop = result.hop and replace(result.hop, body=body)
    return replace(result, request=replace(result.request, index=index), hop=hop)


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/dev/fd").iterdir()))


def drained(order: Order) -> list[Result]:
    """All that is ready."""
    found = []
    while (result := order.take()) is not None:
        found.append(result)
    return found


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Indexes with gaps, and the order in which their results come."""
    indexes = sorted(draw(st.sets(st.integers(0, 60), max_size=40)))
    return indexes, draw(st.permutations(indexes))


@given(arrivals(), st.sampled_from([0, 5_000, 50_000, 1 << 40]), st.booleans(), st.sampled_from([1, 4_000, 1 << 30]))
def test_any_order_of_arrival_comes_out_in_that_of_the_input(
    arrived: tuple[list[int], list[int]], memory: int, at_once: bool, segment: int
) -> None:
    """Each result once, as it was put, and as soon as those before it are there; what is in memory has its bound."""
    indexes, coming = arrived
    results = {index: numbered(index, bytes([index]) * index * 50 if index % 3 else None) for index in coming}
    largest = max((ordered._size(result) for result in results.values()), default=0)
    order = Order(memory, 1 << 40, 1 << 40)
    order.expect(indexes)
    found: list[Result] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "SEGMENT", segment)

        for number, index in enumerate(coming):
            order.put(results[index])
            assert order._in_memory <= memory + (largest if order.ready else 0)
            if at_once or number % 7 == 0:
                found += drained(order)
                missing = set(coming[number + 1 :])
                assert len(found) == next((at for at, one in enumerate(indexes) if one in missing), len(indexes))
        found += drained(order)

    assert found == [results[index] for index in indexes]
    assert (order._in_memory, order._in_files, order.ready) == (0, 0, False)
    order.close()


@given(arrivals(), st.data())
def test_what_is_held_at_the_end_comes_in_its_order(arrived: tuple[list[int], list[int]], data: st.DataObject) -> None:
    """After an interrupt some results never come, and nobody waits for them."""
    indexes, coming = arrived
    there = coming[: data.draw(st.integers(0, len(coming)))]
    order = Order(3_000, 1 << 40, 1 << 40)
    order.expect(indexes)
    for index in there:
        order.put(numbered(index, b"x" * 100))
    found = drained(order)

    order.finish()
    found += drained(order)

    assert [result.request.index for result in found] == sorted(there)
    assert not order.ready
    order.close()


def test_a_long_run_does_not_keep_what_it_has_written() -> None:
    """While there is always something in a file, the files are let go one after the other."""
    order = Order(0, 1 << 40, 1 << 40)
    order.expect(range(1_000))
    open_files: set[int] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "SEGMENT", 20_000)
        before = descriptors()

        order.put(numbered(1, b"x" * 1_000))
        for index in range(0, 998, 2):
            order.put(numbered(index + 3, b"x" * 1_000))
            order.put(numbered(index, b"x" * 1_000))
            assert [result.request.index for result in drained(order)] == [index, index + 1]
            open_files.add(descriptors() - before)

    assert open_files <= {1, 2}
    order.close()


def test_is_full_by_number_and_by_bytes() -> None:
    """Entries count from when they are read, bytes in files as in memory; what is let go makes room."""
    many, large = Order(1 << 30, 4, 1 << 30), Order(0, 10, 20_000)
    fullness: list[bool] = []

    for index in range(4):
        many.expect([index])
        large.expect([index])
        fullness.append(many.full)
    for index in (1, 2):
        large.put(numbered(index, b"x" * 9_000))
        fullness.append(large.full)
    for order in (many, large):
        order.put(numbered(0))
        drained(order)
        fullness.append(order.full)

    assert fullness == [False, False, False, True, False, True, False, False]
    many.close()
    large.close()


def test_what_a_row_brought_counts_as_well() -> None:
    """Its columns are held with it, and go into a file with it; the body that it sent is let go."""
    extra = {"text": "x" * 6_000, "number": Raw(b"1.50")}
    row = numbered(1)
    row = replace(row, request=replace(row.request, extra=extra, body=b"y" * 6_000))
    order = Order(10_000, 10, 1 << 30)
    order.expect(range(3))

    order.put(row)
    order.put(replace(row, request=replace(row.request, index=2)))
    held = order._in_memory, order._in_files
    order.put(numbered(0))
    found = [result.request for result in drained(order)][1:]

    assert [6_000 < size < 10_000 for size in held] == [True, True]
    assert [(request.body, request.extra) for request in found] == [(None, extra)] * 2
    order.close()


def test_a_full_temporary_folder_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run, once, with a message that names the folder and the way on; all that was held is written."""

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    order = Order(0, 10, 1 << 30)
    order.expect(range(3))
    order.put(numbered(2, b"two"))
    monkeypatch.setattr("os.pwrite", full)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/scratch")

    with pytest.raises(SinkError) as failed:
        order.put(numbered(1, b"one"))
    order.put(numbered(0, b"nought"))

    assert [result.hop and result.hop.body for result in drained(order)] == [b"nought", b"one", b"two"]
    assert str(failed.value) == (
        "/scratch: no space is left; make room or choose another place with TMPDIR "
        "(results that wait for an earlier one are kept there, for --ordered)"
    )
    order.close()


class Running:
    """An ordered run of URLs in this process, whose records are kept."""

    def __init__(self, urls: Entries, **settings: Any) -> None:
        told = Settings(retries=0, **settings)
        self.lines: list[bytes] = []
        output = ByteOutput(JsonLines(), Function(self.lines.append))
        self.run = LocalRun(told, from_iterable(urls, told), [output], ordered=True)
        self.task = asyncio.create_task(self.run.run())

    async def until(self, true: Callable[[], bool]) -> None:
        """Return when it is true, which it has to be before the run is over."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                assert not self.task.done()
                await asyncio.sleep(0.005)

    async def records(self) -> list[dict[str, Any]]:
        """What was written when the run is over."""
        async with asyncio.timeout(PATIENCE):
            await self.task
        return [json.loads(line) for line in b"".join(self.lines).splitlines()]


async def one_by_one(urls: Iterable[str]) -> AsyncIterator[str]:
    """A list of which every entry is read on its own."""
    for url in urls:
        yield url


async def test_a_slow_entry_holds_the_reading_back_and_nothing_else(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While as many wait as may, what was read goes on and no more is read; how long that was is known."""
    monkeypatch.setattr("fetcher.sinks.ordered.MOST", 20)
    gate, page = site.gate(), site.page("x")
    urls = [f"{page}?{number}" for number in range(300)]
    urls[10] = gate.url
    running = Running(one_by_one(urls), concurrency=5, window=10)

    # Those before it, and all that may be read from it on.
    await running.until(lambda: len(site.log) == 10 + 20 + 10)
    await running.until(lambda: running.run.held_back > 0)
    await running.until(lambda: b"".join(running.lines).count(b"\n") >= 10)
    asked, written = len(site.log), b"".join(running.lines).count(b"\n")
    gate.open()
    records = await running.records()

    assert (asked, written) == (40, 10)
    assert [record["index"] for record in records] == list(range(300))


async def test_large_bodies_wait_outside_of_the_memory(site: Site) -> None:
    """Bodies that are more than all memory for bodies wait in files, and the one that is waited for still arrives."""
    gate = site.gate(answers.page(b"x" * 300_000))
    urls = [gate.url, *(site.page(b"%d" % number * 30_000) for number in range(60))]
    running = Running(one_by_one(urls), concurrency=5, window=5, body_budget=400_000)

    await running.until(lambda: running.run.held_back > 0)
    order = running.run._order
    assert order is not None
    held = order._in_memory, order._in_files
    gate.open()
    records = await running.records()

    assert held[0] <= 100_000
    # At most half as much is on the way there, and a window behind that.
    assert 400_000 < sum(held) < 400_000 + 200_000 + 7 * 70_000
    assert [record["body"] for record in records[1:]] == [str(number) * 30_000 for number in range(60)]
    assert (len(records[0]["body"]), records[0]["index"]) == (300_000, 0)


async def test_a_run_that_is_ended_early_writes_what_it_held(site: Site) -> None:
    """Results that wait for one that never comes are written, in their order, when nothing more comes."""
    gate = site.gate(answers.page("no", 404))
    urls = [site.page("a"), site.hang(), site.page("b"), "nothing", site.page("c"), gate.url]
    running = Running(urls, concurrency=6, fail_fast=True, fail_on=("404",))

    await running.until(lambda: running.run.stats.results == 4)
    gate.open()
    records = await running.records()

    assert [record["index"] for record in records] == [0, 2, 3, 4, 5]
    assert (running.run.unwritten, running.run.unrecorded) == (0, 1)


async def test_a_run_that_is_ended_at_once_leaves_no_file(site: Site) -> None:
    """The second interrupt waits for nothing: what was held is dropped, and counted as without a record."""
    urls = [site.page("a"), site.hang(), *(site.page("x" * 30_000) for _ in range(5))]
    running = Running(urls, concurrency=7, body_budget=100_000)
    await running.until(lambda: running.run.stats.results == 6 and running.run.unwritten == 5)

    running.run.abandon()
    records = await running.records()

    assert [record["index"] for record in records] == [0]
    assert running.run.unrecorded == 6


def test_nobody_waits_for_what_does_not_come(afetch: Afetch, site: Site) -> None:
    """Entries that are dropped, chosen away or refused have their place, or none; every output has the order."""
    gate, page = site.gate(), site.page("x")
    urls = [page, gate.url, f"{page}#again", site.url("/missing"), "nothing", gate.url, site.redirect(page), page]
    (afetch.folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    process = afetch.start("urls.txt", "--ordered", "--unique", "-o", "all.jsonl", "-f", "jsonl", "-o", "-")
    site.wait(5)

    gate.open()
    out, err = process.communicate(timeout=PATIENCE)

    assert [json.loads(line)["index"] for line in out.splitlines()] == [0, 1, 3, 4, 6]
    assert (afetch.folder / "all.jsonl").read_bytes() == out
    assert b"3 ok, 2 failed" in err
