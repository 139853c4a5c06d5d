"""`-c auto` as a run has it: workers that wait for their number to be let in, and what the command says it found."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from fetcher import engine
from fetcher.demo import answers
from fetcher.demo.server import Received, Wire
from fetcher.library import fetch
from fetcher.seats import Seats
from fetcher.settings import Settings
from fetcher.tuner import START, Tuner
from tests.conftest import Afetch
from tests.servers import Site


async def test_a_worker_waits_until_its_number_is_below_the_limit() -> None:
    """Those who may work are told when the limit rises, the others are not; a fall is heard of at the next wait."""
    seats = Seats(1)
    workers = [asyncio.create_task(seats.wait(number)) for number in range(4)]
    await asyncio.sleep(0)
    first = [worker.done() for worker in workers]

    seats.move(3)
    await asyncio.sleep(0)
    second = [worker.done() for worker in workers]
    seats.move(1)
    late = asyncio.create_task(seats.wait(2))
    await asyncio.sleep(0)
    third = late.done()
    seats.move(4)
    await asyncio.gather(late, *workers)

    assert first == [True, False, False, False]
    assert second == [True, True, True, False]
    assert not third


async def test_as_many_are_under_way_as_the_limit_says(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It falls and rises in the middle of a run, and nothing is lost."""
    under_way = 0
    seen: list[int] = []
    page = answers.page("page")

    async def leave(request: Received, wire: Wire) -> None:
        nonlocal under_way
        under_way -= 1
        await page(request, wire)

    late = answers.later(0.005, leave)

    async def answer(request: Received, wire: Wire) -> None:
        nonlocal under_way
        under_way += 1
        seen.append(under_way)
        await late(request, wire)

    class Scripted(Tuner):
        """Four, then one, then six."""

        count = 0

        def ended(self, now: float, elapsed: float, size: int, *, failed: bool) -> None:
            self.count += 1
            self.limit = 4 if self.count < 40 else 1 if self.count < 60 else 6

    monkeypatch.setattr(engine, "Tuner", Scripted)
    url = site.answer(answer)

    async with fetch([f"{url}?{number}" for number in range(120)], Settings(concurrency="auto")) as records:
        indexes = [record.index async for record in records]

    assert sorted(indexes) == list(range(120))
    assert max(seen[24:40]) == 4
    assert set(seen[46:58]) == {1}
    assert max(seen[24:]) == 6


async def test_idle_workers_leave_the_work_to_those_who_may(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that pauses leaves all idle; when the limit has fallen meanwhile, whoever is woken passes it on."""

    class Falling(Tuner):
        """Eight for the first eight, then one."""

        count = 0

        def ended(self, now: float, elapsed: float, size: int, *, failed: bool) -> None:
            self.count += 1
            self.limit = 8 if self.count < 8 else 1

    monkeypatch.setattr(engine, "Tuner", Falling)
    slowest, url = site.slow(0.1), site.slow(0.005)
    delivered = 0
    enough, over = asyncio.Event(), asyncio.Event()

    async def urls() -> AsyncIterator[str]:
        # The one that may go on is the last to become idle, so others are woken before it.
        yield slowest
        for number in range(7):
            yield f"{url}?{number}"
        await enough.wait()
        yield f"{url}?one more"
        # The end of a list would wake everybody.
        await over.wait()

    async with asyncio.timeout(10), fetch(urls(), Settings(concurrency="auto")) as records:
        async for _ in records:
            delivered += 1
            if delivered == 8:
                enough.set()
            if delivered == 9:
                over.set()

    assert delivered == 9


def test_the_command_says_what_it_found(afetch: Afetch, site: Site) -> None:
    """From a few at once to as many as do best, under the ceiling that the system sets, without losing a record."""
    url = site.slow(0.05)
    (afetch.folder / "list.txt").write_text("".join(f"{url}?{number}\n" for number in range(1500)))

    process = afetch.start("list.txt", "-c", "auto", "-o", "out.jsonl", shell="""ulimit -n 160; exec "$@" """)
    err = process.communicate(timeout=60)[1].decode()

    assert process.returncode == 0, err
    assert len((afetch.folder / "out.jsonl").read_text().splitlines()) == 1500
    assert "afetch: at most 48 requests at once: the system allows no more open files (ulimit -n)\n" in err
    found = re.search(r"^  slots    (\d+) at once did best \(-c auto\)$", err, re.MULTILINE)
    assert found is not None, err
    assert START < int(found[1]) <= 48
    assert START < site.peak <= 48


def test_a_short_list_needs_nothing_found(afetch: Afetch, site: Site) -> None:
    """It says so, and no more than the first few were ever under way."""
    url = site.slow(0.05)

    done = afetch("-c", "auto", stdin="".join(f"{url}?{number}\n" for number in range(20)))

    assert done.returncode == 0
    assert f"  slots    {START} at once sufficed (-c auto)\n" in done.stderr
    assert site.peak == START


def test_a_run_that_is_stopped_lets_those_go_home_who_wait(afetch: Afetch, site: Site) -> None:
    """Hundreds of workers are outside the limit when --fail-fast ends it."""
    hang = site.hang()
    urls = [site.page("gone", 404), *(f"{hang}?{number}" for number in range(50))]

    done = afetch("-c", "auto", "--fail-fast", "--json", stdin="".join(f"{url}\n" for url in urls), timeout=10)

    assert done.returncode == 1
    assert [record["status"] for record in done.records] == [404]
