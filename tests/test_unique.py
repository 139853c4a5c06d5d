"""--unique: what repeats an earlier entry is asked for once, and everything still adds up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher import Settings, fetch_all
from fetcher.cli.launch import launch
from fetcher.cli.status import ExitStatus
from fetcher.model import Request
from fetcher.screen import ScreenConfig
from fetcher.sinks.config import OutputConfig
from fetcher.sources.config import SourceConfig
from fetcher.sources.formats import Intake
from fetcher.sources.iterable import from_iterable
from fetcher.sources.ledger import Ledger
from fetcher.sources.lines import LineParser
from fetcher.sources.rows import RowMaker
from fetcher.sources.unique import Unique
from tests.conftest import Afetch
from tests.servers import Site


def read(source: Unique) -> list[Request]:
    """All that a source gives; no batch of it is empty."""

    async def collect() -> list[Request]:
        found = []
        async for batch in source.batches():
            assert batch
            found += batch
        return found

    return asyncio.run(collect())


def items(entries: Sequence[str | Request]) -> Unique:
    return Unique(from_iterable(entries, SourceConfig()))


@given(st.lists(st.sampled_from(["http://a/", "http://a", "HTTP://A/#x", "http://a/?", "http://b/", "", "no url"])))
def test_keeps_the_first_of_each_with_its_index(entries: list[str]) -> None:
    """URLs are compared as they are sent; what cannot be sent is kept each time; the counts are right."""
    same = {"http://a": "http://a/", "HTTP://A/#x": "http://a/"}
    wanted, known = [], set[str]()
    for index, entry in enumerate(entries):
        url = same.get(entry, entry)
        if url not in known:
            wanted.append((index, entry))
        if url.startswith("http"):
            known.add(url)
    source = items(entries)

    kept = [(request.index, request.given) for request in read(source)]

    assert kept == wanted
    assert source.dropped == len(entries) - len(wanted)
    assert source.total == source.estimate() == len(wanted)


def test_a_request_is_its_method_url_and_body() -> None:
    """One that differs in any of them is another; one that differs in its headers is not."""
    [first] = read(items(["http://a/"]))
    url = first.url
    requests = [
        Request(0, "1", url),
        Request(0, "2", url, "HEAD"),
        Request(0, "3", url, "POST", b""),
        Request(0, "4", url, "POST", b"x"),
        Request(0, "5", url, "POST"),
        Request(0, "6", url, "POST", b"x", (("X-Header", "y"),)),
        Request(0, "7", url, headers=(("X-Header", "y"),)),
    ]

    kept = [request.given for request in read(items(requests))]

    assert kept == ["1", "2", "3", "4", "5"]


def test_a_long_list_of_one_url_is_one_request() -> None:
    """Also where whole batches are dropped, and the estimate goes by what was seen so far."""
    source = items(["http://a/"] * 1_000)

    assert source.estimate() == 1_000
    [only] = read(source)

    assert only.index == 0
    assert (source.dropped, source.total) == (999, 1)


def test_what_is_dropped_is_let_go() -> None:
    """The ledger of those that fail does not keep what nobody will ask for."""
    config, ledger = SourceConfig(), Ledger()
    intake = Intake(RowMaker(LineParser(config), config), "list", "", "lines", ledger)
    requests = intake.requests(intake.feed(b"http://a/\nhttp://b/\nhttp://a/\nhttp://b/\n"))

    kept = read(Unique(from_iterable(requests, config), ledger.let_go))

    assert [request.index for request in kept] == list(ledger._given) == [0, 1]


def test_a_run_keeps_nothing_of_what_it_drops(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is over, the ledger that the command made has let go of every entry."""
    page = site.page("x")
    (tmp_path / "urls.txt").write_text(f"{page}\n{page}\n{site.url('/missing')}\n{page}\n")
    ledgers: list[Ledger] = []

    def made() -> Ledger:
        ledgers.append(Ledger())
        return ledgers[-1]

    monkeypatch.setattr("fetcher.cli.launch.Ledger", made)
    output = OutputConfig(output=(str(tmp_path / "out.jsonl"),), failed=str(tmp_path / "failed.txt"))

    status = launch((str(tmp_path / "urls.txt"),), Settings(unique=True), output, ScreenConfig(quiet=True))

    assert status == ExitStatus.FAILED
    assert [ledger._given for ledger in ledgers] == [{}]
    assert (tmp_path / "failed.txt").read_text() == f"{site.url('/missing')}\n"


def test_a_list_with_repetitions_is_fetched_once(afetch: Afetch, site: Site) -> None:
    """Records, indexes, server, summary, progress and the list of what failed: all know of each entry once."""
    page, missing = site.page("x"), site.url("/missing")
    (afetch.folder / "urls.txt").write_text(f"{page}\n{missing}\nnothing\n{page}#again\n{missing}\nnothing\n{page}?\n")

    done = afetch("urls.txt", "--unique", "-f", "jsonl", "--failed", "failed.txt", "--limit", "6")

    assert sorted(record["index"] for record in done.records) == [0, 1, 2, 5]
    assert sorted(request.target for request in site.log) == ["/0", "/missing"]
    assert "1 ok, 3 failed" in done.stderr
    assert "repeats  2 entries dropped (--unique)" in done.stderr
    assert sorted((afetch.folder / "failed.txt").read_text().split()) == sorted([missing, "nothing", "nothing"])


def test_rows_are_told_apart_by_what_is_sent(afetch: Afetch, site: Site) -> None:
    """A row's method and body count, its other columns do not; the cache learns of what was kept."""
    url = site.echo()
    rows = [
        {"url": url, "id": 1},
        {"url": url, "id": 2},
        {"url": url, "method": "POST", "data": "a"},
        {"url": url, "method": "POST", "data": "b"},
        {"url": url, "method": "POST", "data": "a", "id": 3},
    ]
    given = "".join(f"{json.dumps(row)}\n" for row in rows)

    done = afetch("-", "--input-format", "jsonl", "--unique", "-f", "jsonl", "--cache", "seen", stdin=given)

    assert sorted((record["index"], record["change"]) for record in done.records) == [
        (0, "new"),
        (2, "new"),
        (3, "new"),
    ]
    assert len(site.log) == 3


def test_a_run_that_goes_on_drops_the_same_ones(afetch: Afetch, site: Site) -> None:
    """What repeats an entry that an earlier run has done is dropped as well, and the order is that of the input."""
    pages = [site.page(f"page {number}") for number in range(4)]
    urls = [pages[0], pages[1], pages[0], pages[2], pages[1], "nothing", pages[2], pages[3], pages[0], "nothing"]
    (afetch.folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    command = ("urls.txt", "--unique", "--ordered", "--resume", "-o", "out.jsonl")
    first = afetch(*command, "--limit", "4")

    done = afetch(*command)

    records = [json.loads(line) for line in (afetch.folder / "out.jsonl").read_bytes().splitlines()]
    assert [record["index"] for record in records] == [0, 1, 3, 5, 7, 9]
    assert sorted(request.target for request in site.log) == ["/0", "/1", "/2", "/3"]
    assert "repeats  1 entry dropped (--unique)" in first.stderr
    assert "repeats  4 entries dropped (--unique)" in done.stderr


def test_the_library_drops_them_as_well(site: Site) -> None:
    """`Settings(unique=True)` is the option."""
    first, second = site.page("a"), site.page("b")

    records = fetch_all([first, second, first, second, "nothing"], Settings(unique=True))

    assert [(record.index, record.url) for record in records] == [(0, first), (1, second), (4, "nothing")]
