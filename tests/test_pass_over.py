"""Lines of a list that are done already: passed over without being read as URLs, and nothing else changes by that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fetcher.errors import SourceError
from fetcher.journal import Journal
from fetcher.model import Request
from fetcher.sinks.past import Entry
from fetcher.sources.config import SourceConfig
from fetcher.sources.ledger import Ledger
from fetcher.sources.lines import LineParser
from fetcher.sources.reader import Feed

LINES = "# three\nhttp://a.example/0\n\nhttp://a.example/1\n  http://a.example/2  \nhttp://[malformed\n"


class Kept:
    """What an earlier run has left."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    def entries(self) -> Iterator[Entry]:
        return iter(self._entries)

    def keep(self, count: int) -> None:
        self._entries = self._entries[:count]


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A list."""
    path = tmp_path / "urls.txt"
    path.write_text(LINES)
    return str(path)


async def left(feed: Feed, *entries: Entry) -> tuple[list[tuple[int, str]], list[tuple[int, bool]], Journal]:
    """What of a list is not done, what was skipped, and the journal."""
    journal = Journal(Kept(*entries), "out.jsonl")
    skipped: list[tuple[int, bool]] = []
    remaining = journal.remaining(feed, lambda index, failed: skipped.append((index, failed)))
    requests = [request async for batch in remaining.batches() for request in batch]
    return [(request.index, request.given) for request in requests], skipped, journal


async def test_what_is_done_is_not_even_read_as_a_url(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others keep their index, and whoever wants to know is told what was skipped."""
    read: list[str] = []
    entry = LineParser.entry

    def noted(parser: LineParser, text: str) -> Request:
        read.append(text)
        return entry(parser, text)

    monkeypatch.setattr(LineParser, "entry", noted)
    feed = Feed([source], SourceConfig())
    read.clear()

    given, skipped, journal = await left(
        feed, Entry(0, "http://a.example/0", True), Entry(2, "http://a.example/2", False), Entry(3, "http://[malformed")
    )

    assert read == ["http://a.example/1"]
    assert given == [(1, "http://a.example/1")]
    assert skipped == [(0, False), (2, True), (3, False)]
    assert (journal.met, feed.total) == (3, 4)


async def test_a_list_that_has_changed_is_noticed_all_the_same(source: str) -> None:
    """A line that is not what its record says is looked at."""
    with pytest.raises(SourceError, match=r"index 1 is http://a.example/1, where out.jsonl has http://a.example/x"):
        await left(Feed([source], SourceConfig()), Entry(1, "http://a.example/x", True))


async def test_a_ledger_gets_every_line(source: str) -> None:
    """The text of one that has failed before is wanted in the list of all that failed."""
    ledger = Ledger()
    feed = Feed([source], SourceConfig(), (), ledger)

    given, skipped, _ = await left(feed, Entry(0, "http://a.example/0", False))

    assert [index for index, _ in given] == [1, 2, 3]
    assert skipped == [(0, True)]
    assert ledger.ask(0, wanted=True) == b"http://a.example/0\n"
