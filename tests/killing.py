"""
Owns the life of a list whose runs are killed: begun, killed at some moment, resumed, and at last left alone.

After every run what is in its files is held against the entries, and against what the server was asked for:

- What is whole in the journal when a run is killed is not asked for again, and is what the next one says was there.
- What was answered some time before the kill is in the journal.
- At the end every entry has one record in every output, with the body that the server gave it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from fetcher.demo.answers import head
from fetcher.demo.server import Received, Wire
from tests.leftovers import SIDE, Row, bodies, journal, whole
from tests.nursery import KILLED, Child, Nursery, Order
from tests.servers import Site

SAVE = "bodies"
"""The name of an output that is `--save`'s folder."""

JOURNALS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".tsv.zst", ".sqlite")

BEAT = 0.02
"""Seconds between two beats of the clock."""

SLACK = 5.0
"""
Seconds, by that clock, after which a reply must be in the journal: one is promised, and a busy machine may be slow. For
as long as the run had no processor it cannot have written anything.
"""

LINGERING = 60.0
"""Seconds after which a run hangs."""

MALFORMED = "http://[malformed"

_THERE = re.compile(r"^ *already +([\d,]+) records? there", re.MULTILINE)
_AGAIN = re.compile(r"([\d,]+) entr(?:y|ies) to fetch again")


class Clock:
    """Seconds that stand still whenever this machine has no time for us, so that nobody else is late for that."""

    def __init__(self) -> None:
        self.now = 0.0

    async def run(self) -> None:
        """Beat, until cancelled."""
        while True:
            await asyncio.sleep(BEAT)
            self.now += BEAT


class Blow(Struct, frozen=True):
    """
    How a run is killed, if it does not end before.

    Attributes:
        request: With the so-manieth request that arrives.
        step: At the so-manieth thing that it does to a file, with `share` of a write done.
        delay: Seconds behind that request or step; or, where there is neither, behind the start.
        near: What the name of a file must end with for its steps to count.
        settled: That request and those behind it get no reply, and the journal is waited for: it must have all others.
    """

    request: int | None = None
    step: int | None = None
    share: float = 0.0
    delay: float = 0.0
    near: str = ""
    settled: bool = False


class Page(Struct, frozen=True):
    """What is behind a URL of the list: its statuses, visit by visit (the last for all that follow), and its body."""

    statuses: tuple[int, ...]
    kind: str
    body: bytes
    delay: float

    def status(self, visit: int) -> int:
        """Of so-manieth visit, from 0."""
        return self.statuses[min(visit, len(self.statuses) - 1)]


class Asked(Struct):
    """A request, and when its reply was given to the network."""

    url: str
    status: int
    answered: float | None = None


class Life:
    """
    A list with its outputs in a folder of their own, and the runs over it.

    Args:
        outputs: Names of files, and `SAVE`.
        seed: Of everything that is chosen: bodies, delays.
        failing: Share of the pages that are missing, at their first visit.
        mended: Missing pages are there at a later visit.
        pace: Seconds that a reply takes at most; it is chosen if it is not said.

    Attributes:
        only: Records of what succeeded are written, and no others; so the journal is none of the outputs.
        failed: The name of a file for the entries that failed; empty is none.
    """

    def __init__(
        self,
        site: Site,
        nursery: Nursery,
        folder: Path,
        outputs: tuple[str, ...],
        seed: int,
        *,
        failing: float = 0.05,
        mended: bool = False,
        pace: float | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        # Not in it: that may be full.
        self._said = folder.with_name(f"{folder.name}.said")
        self.outputs = outputs
        self.random = random.Random(seed)
        self.only = False
        self.failed = ""
        self.entries: list[str] = []
        self.story: list[str] = []
        self.asked: list[list[Asked]] = []
        self.clock = Clock()
        self._nursery = nursery
        self._pace = self.random.choice([0.0, 0.01, 0.03]) if pace is None else pace
        self._failing = failing
        self._mended = mended
        self._pages: dict[str, Page] = {}
        self._visits: Counter[str] = Counter()
        self._struck = asyncio.Event()
        self._dead = asyncio.Event()
        self._blow = Blow()
        self._due = 0.0
        self._base = site.answer(self._answer, f"/life-{folder.name}")
        (folder / "urls.txt").touch()

    @property
    def known(self) -> list[Row]:
        """What is whole in the journal, in the order in which it was written."""
        return journal(self.journal)

    @property
    def said(self) -> str:
        """What the last run wrote to standard error."""
        return self._said.read_text()

    @property
    def journal(self) -> Path:
        """The output that says what is done: a database if there is one, else the first that can."""
        able = [name for name in self.outputs if name.endswith(JOURNALS) and not self.only]
        return self.folder / min(able, key=lambda name: name != "out.sqlite", default=self.outputs[0] + SIDE)

    @property
    def last(self) -> dict[int, Row]:
        """The last of those records of each index."""
        return {row.index: row for row in self.known}

    def grow(self, count: int) -> None:
        """More entries, at the list's end; also some that are malformed, or there already, and lines that are none."""
        lines = []
        for _ in range(count):
            number = len(self.entries)
            draw = self.random.random()
            if draw < 0.02:
                lines.append("# a comment\n\n")
            if draw < 0.04:
                url = MALFORMED
            elif draw < 0.06 and self._pages:
                url = self.random.choice(list(self._pages))
            else:
                url = f"{self._base}?{number}"
                self._pages[url] = self._page(number)
            self.entries.append(url)
            lines.append(f"{url}\n")
        with (self.folder / "urls.txt").open("a") as file:
            file.writelines(lines)

    async def run(self, *args: str, blow: Blow | None = None, cold: bool = False, file_size: int | None = None) -> int:
        """How a run ended; `KILLED` if it was."""
        known = self.known
        self._blow = blow or Blow()
        self._struck.clear()
        self._dead.clear()
        # What was answered before must be in the journal.
        self._due = 0.0
        self.asked.append([])
        self._said.unlink(missing_ok=True)
        command = (*self._command(), "-A", f"run-{len(self.asked) - 1}", *args)
        order = Order(
            command,
            str(self.folder),
            str(self._said),
            cold,
            file_size,
            step=self._blow.step,
            share=self._blow.share,
            lag=self._blow.delay,
            near=self._blow.near,
        )
        child = await self._nursery.start(order)
        strike = asyncio.create_task(self._strike(blow, len(known), child))
        ended = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait({ended, strike}, timeout=LINGERING, return_when=asyncio.FIRST_COMPLETED)
            if strike.done():
                strike.result()
            status = await asyncio.wait_for(ended, LINGERING)
        finally:
            self._dead.set()
            strike.cancel()
            child.kill()
        self.story.append(f"{' '.join(args)}: {blow or 'left alone'}: status {status}, {len(self.asked[-1])} asked")
        self._check_asked(known, "--retry-failed" in args)
        if status == KILLED:
            self._check_written()
        else:
            self._check_said(known, self.said)
        return status

    def check_end(self) -> None:
        """One record for each entry, in every output, with the right body; and nothing else in the folder."""
        files = {"urls.txt", self.journal.name, *self.outputs, *filter(None, [self.failed])}
        left = {path.name for path in self.folder.iterdir()}
        assert left == files, f"files: {left ^ files}"
        rows = self.known
        self._check_rows(rows, self.journal.name, set(range(len(self.entries))))
        wanted = {row.index for row in rows if row.ok or not self.only}
        for name in self.outputs:
            if name == SAVE:
                self._check_saved(rows)
            else:
                self._check_rows(whole(self.folder / name), name, wanted)
        if self.failed:
            listed = Counter((self.folder / self.failed).read_text().splitlines())
            assert listed == Counter(row.url for row in rows if not row.ok), f"{self.failed}: {listed}"

    def _command(self) -> Iterable[str]:
        yield from ("urls.txt", "--no-env")
        for name in self.outputs:
            yield from ("--save" if name == SAVE else "-o", name)
        if self.only:
            yield from ("--only", "ok")
        if self.failed:
            yield from ("--failed", self.failed)

    def _page(self, number: int) -> Page:
        chance = self.random
        size = chance.choice([0, *[chance.randrange(400)] * 6, chance.randrange(60_000)])
        if chance.random() < 0.01:
            # Large enough to be written piece by piece.
            size = 1_100_000
        kind = chance.choice(["text/plain", "application/json", "application/octet-stream"])
        text = f'"{number}, a line\\n'
        body = (text * (size // len(text) + 1)).encode()[:size]
        if kind == "application/octet-stream":
            body = chance.randbytes(size)
        elif kind == "application/json" and body:
            body = b'{"number": %d, "text": "%s"}' % (number, b"x" * size)
        statuses = (404, 200) if self._mended else (404,)
        return Page(statuses if chance.random() < self._failing else (200,), kind, body, chance.uniform(0, self._pace))

    async def _answer(self, request: Received, wire: Wire) -> None:
        url = self._base + "?" + request.target.partition("?")[2]
        run = int((request.header("user-agent") or "").removeprefix("run-"))
        page = self._pages[url]
        asked = Asked(url, page.status(self._visits[url]))
        self._visits[url] += 1
        self.asked[run].append(asked)
        if len(self.asked[run]) == self._blow.request:
            self._struck.set()
        if self._struck.is_set() and self._blow.settled:
            await self._dead.wait()
        if page.delay:
            await asyncio.sleep(page.delay)
        fields = [("Content-Length", str(len(page.body))), ("Content-Type", page.kind)]
        await wire.send(head(asked.status, fields) + page.body)
        asked.answered = self.clock.now

    async def _strike(self, blow: Blow | None, there: int, child: Child) -> None:
        if blow is None or blow.step is not None:
            return
        expected = there + (blow.request or 1) - 1
        if blow.request is not None:
            await self._struck.wait()
        if blow.delay:
            await asyncio.sleep(blow.delay)
        until = self.clock.now + SLACK - child.starved
        while blow.settled and len(self.known) < expected:
            assert self.clock.now - child.starved < until, "what was answered does not come to the journal"
            await asyncio.sleep(BEAT)
        self._due = self.clock.now - SLACK - child.starved
        child.kill()

    def _check_asked(self, known: list[Row], retried: bool) -> None:
        """Nothing is asked for that was done: what is in the journal, whole, before the run."""
        done = {row.index for row in {row.index: row for row in known}.values() if row.ok or not retried}
        missing = Counter(url for index, url in enumerate(self.entries) if index not in done)
        asked = Counter(request.url for request in self.asked[-1])
        assert asked <= missing, f"asked for again: {asked - missing}"

    def _check_written(self) -> None:
        """What was answered some time ago is in the journal."""
        known = Counter(row.url for row in self.known)
        for asked in self.asked[-1]:
            if asked.answered is not None and asked.answered < self._due:
                assert known[asked.url], f"{asked.url}: answered {self._due - asked.answered + SLACK} s ago, and lost"

    def _check_said(self, known: list[Row], said: str) -> None:
        """The summary says how many were there already, and how many of them are fetched again."""
        there, again = _THERE.search(said), _AGAIN.search(said)
        counted = sum(int(found[1].replace(",", "")) for found in (there, again) if found is not None)
        assert counted == len({row.index for row in known}), f"{len(known)} records were there: {said}"

    def _check_rows(self, rows: list[Row], name: str, wanted: set[int]) -> None:
        """There is one record for each of the wanted entries, and no other."""
        counts = Counter(row.index for row in rows)
        twice = sorted(index for index, count in counts.items() if count > 1)
        assert not twice, f"{name}: more than one record: {twice}"
        assert not wanted - counts.keys(), f"{name}: no record: {sorted(wanted - counts.keys())}"
        assert not counts.keys() - wanted, f"{name}: not to be there: {sorted(counts.keys() - wanted)}"
        for row in rows:
            assert row.url == self.entries[row.index], f"{name}: {row} is {self.entries[row.index]}"
            page = self._pages.get(row.url)
            expected = hashlib.sha256(page.body).hexdigest() if page is not None else None
            assert row.sha256 == expected, f"{name}: {row}: not the body that was sent"

    def _check_saved(self, rows: list[Row]) -> None:
        found = dict(bodies(self.folder / SAVE))
        named = {row.saved: row.sha256 for row in rows if row.saved is not None}
        assert found == named, f"{SAVE}: {set(found.items()) ^ set(named.items())}"
        assert any(row.ok for row in rows) == bool(named)
