"""Going on with what an earlier run left: exactly one record for each entry, wherever a kill cut the files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import ErrorKind, SinkError, SourceError, UsageError
from fetcher.journal import Journal, Judges
from fetcher.model import Request
from fetcher.record import Failure, Record, RecordConfig, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.outputs import Outputs, open_outputs
from fetcher.sinks.past import Entry
from fetcher.verdict import Verdict, VerdictConfig
from tests.disks import full_disk
from tests.samples import reply

STREAMS = ("out.jsonl", "out.csv", "out.tsv", "out.jsonl.gz", "out.csv.gz", "out.jsonl.zst")
FIELDS = ("index", "url", "ok", "sha256", "body")

NEVER = Event()

LEAN = make_record(reply(b'two "lines",\r\n\tand a \\ \xc3\xa9', b"text/plain"), RecordConfig())


def record(index: int, *, ok: bool = True, url: str = "") -> Record:
    """A record that every format has to quote or to escape."""
    url = url or f"http://example.com/{index}?a=1,2&b='é'"
    return replace(LEAN, index=index, url=url, ok=ok, status=200 if ok else 503)


def request(index: int, url: str = "") -> Request:
    return Request(index, url or record(index).url, None)


def write(opened: Outputs, records: Sequence[Record], batch: int = 2) -> None:
    """What the writer's thread does, a few records at a time."""
    for output in opened.outputs:
        output.begin()
    for start in range(0, len(records), batch):
        for one in records[start : start + batch]:
            for output in opened.outputs:
                output.add(one)
        for output in opened.outputs:
            output.flush(NEVER)
    for output in opened.outputs:
        output.end(NEVER)
    close(opened)


def close(opened: Outputs) -> None:
    for output in opened.outputs:
        output.close()


def left(opened: Outputs, count: int) -> list[Record]:
    """The records of those entries of the list that are not done."""
    assert opened.journal is not None
    return [record(request.index) for request in opened.journal.left([request(index) for index in range(count)])]


def resumed(config: OutputConfig, count: int) -> int:
    """How many of the entries were there, when a run goes on and does the others."""
    opened = open_outputs(config)
    rest = left(opened, count)
    write(opened, rest)
    return count - len(rest)


def indexes(path: Path) -> list[int]:
    """Of all records, read without anything of ours; a file that is torn fails."""
    return [int(row["index"]) for row in rows(path)]


def rows(path: Path) -> list[dict[str, Any]]:
    if ".sqlite" in path.name:
        with closing(sqlite3.connect(path)) as base:
            base.row_factory = sqlite3.Row
            return [dict(row) for row in base.execute("SELECT * FROM records ORDER BY rowid")]
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zst":
        data = zstd.decompress(data)
    assert not data or data.endswith(b"\n")
    if ".jsonl" in path.name:
        return [json.loads(line) for line in data.splitlines()]
    if ".csv" in path.name:
        return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
    names, *lines = [line.split("\t") for line in data.decode().split("\n")[:-1]]
    return [dict(zip(names, line, strict=True)) for line in lines]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", STREAMS)
def test_a_file_cut_anywhere_is_gone_on_with(here: Path, name: str) -> None:
    """After a kill at any byte each entry has one record, and what was whole is not written again."""
    path = here / name
    write(open_outputs(OutputConfig(output=(name,), fields=FIELDS)), [record(index) for index in range(3)], batch=1)
    full = path.read_bytes()
    there = []

    for size in range(len(full) + 1):
        path.write_bytes(full[:size])
        there.append(resumed(OutputConfig(output=(name,), fields=FIELDS, resume=True), 4))
        assert sorted(indexes(path)) == [0, 1, 2, 3]

    assert there == sorted(there)
    assert (there[0], there[-1]) == (0, 3)
    assert set(there) >= {0, 1, 2, 3} if name.count(".") == 1 else there[-1] == 3


@pytest.mark.parametrize("other", [*STREAMS, "out.sqlite"])
def test_what_the_journal_lacks_is_dropped(here: Path, other: str) -> None:
    """The other output is cut back to it, in the midst of members, too; rows of a database are replaced."""
    journal, ahead = here / "journal.sqlite", here / other
    records = [record(index) for index in range(4)]
    for count in range(4):
        for path in (journal, ahead):
            path.unlink(missing_ok=True)
        write(open_outputs(OutputConfig(output=(journal.name,), fields=FIELDS)), records[:count])
        write(open_outputs(OutputConfig(output=(other,), fields=FIELDS)), records, batch=3)
        if other != "out.sqlite":
            ahead.write_bytes(ahead.read_bytes() + ahead.read_bytes()[:20])

        there = resumed(OutputConfig(output=(journal.name, other), fields=FIELDS, resume=True), 5)

        assert there == count
        assert sorted(indexes(ahead)) == sorted(indexes(journal)) == [0, 1, 2, 3, 4]


def test_the_journal_never_has_what_another_output_lacks(here: Path) -> None:
    """A compressed file holds records back for a moment, and so the journal waits for them."""
    opened = open_outputs(OutputConfig(output=("held.csv.gz", "journal.sqlite")))
    for output in opened.outputs:
        output.begin()
    for output in opened.outputs:
        output.add(record(0))
    for output in opened.outputs:
        output.flush(NEVER)
    held = indexes(here / "journal.sqlite"), (here / "held.csv.gz").read_bytes()

    for output in opened.outputs:
        output.end(NEVER)
    close(opened)

    assert held == ([], b"")
    assert indexes(here / "journal.sqlite") == indexes(here / "held.csv.gz") == [0]


def test_the_journal_stops_where_another_output_fails(here: Path) -> None:
    """What could not be written there is not done."""
    opened = open_outputs(OutputConfig(output=("full.csv", "journal.sqlite")))
    full, journal = opened.outputs
    for output in opened.outputs:
        output.begin()
        output.add(record(0))
        output.flush(NEVER)
    for output in opened.outputs:
        output.add(record(1))

    with full_disk((here / "full.csv").stat().st_size), pytest.raises(SinkError, match=r"^full\.csv"):
        full.flush(NEVER)
    journal.flush(NEVER)
    journal.end(NEVER)
    close(opened)

    assert indexes(here / "journal.sqlite") == indexes(here / "full.csv") == [0]


@pytest.mark.parametrize("name", [*STREAMS, "out.sqlite"])
def test_what_failed_is_fetched_again_and_replaced(here: Path, name: str) -> None:
    """One record an entry, the later one; others are as they were."""
    first = [record(0), record(1, ok=False), record(2, ok=False), record(3)]
    write(open_outputs(OutputConfig(output=(name,))), first, batch=1)

    opened = open_outputs(OutputConfig(output=(name,), retry_failed=("503",)))
    again = left(opened, 5)
    write(opened, again)

    assert [record.index for record in again] == [1, 2, 4]
    assert sorted(indexes(here / name)) == [0, 1, 2, 3, 4]
    assert {str(row["ok"]).lower() for row in rows(here / name)} <= {"true", "1"}
    assert [path.name for path in here.iterdir()] == [name]


@pytest.mark.parametrize("name", STREAMS)
def test_a_kill_before_the_rewrite_loses_nothing(here: Path, name: str) -> None:
    """Both records are there then, and the next run takes out the older one at its end, and what the kill left."""
    write(open_outputs(OutputConfig(output=(name,))), [record(0, ok=False), record(1)])
    opened = open_outputs(OutputConfig(output=(name,), retry_failed=("all",)))
    for output in opened.outputs[:-1]:
        output.begin()
        output.add(record(0))
        output.end(NEVER)
    close(opened)
    (here / f"{name}.afetch-new").write_bytes(b"half of it")
    both = indexes(here / name)

    there = resumed(OutputConfig(output=(name,), resume=True), 2)

    assert (both, there) == ([0, 1, 0], 2)
    assert indexes(here / name) == [1, 0]
    assert [path.name for path in here.iterdir()] == [name]


def test_a_full_disk_keeps_the_old_file(here: Path) -> None:
    """What could not be written anew is as it was, half a new file does not stay, and the next run does it."""
    write(open_outputs(OutputConfig(output=("out.jsonl",))), [record(0, ok=False), record(1)])
    opened = open_outputs(OutputConfig(output=("out.jsonl",), retry_failed=("all",)))
    *outputs, thinning = opened.outputs
    for output in outputs:
        output.begin()
        output.add(record(0))
        output.end(NEVER)

    with full_disk(100), pytest.raises(SinkError, match=r"^out.jsonl, which is to be written anew: the file may grow"):
        thinning.end(NEVER)
    close(opened)

    assert indexes(here / "out.jsonl") == [0, 1, 0]
    assert [path.name for path in here.iterdir()] == ["out.jsonl"]
    assert resumed(OutputConfig(output=("out.jsonl",), resume=True), 2) == 2
    assert indexes(here / "out.jsonl") == [1, 0]


def test_nobody_in_a_hurry_waits_for_a_rewrite(here: Path) -> None:
    """A second signal leaves both records there; the later one counts."""
    write(open_outputs(OutputConfig(output=("out.csv",))), [record(0, ok=False)])
    opened = open_outputs(OutputConfig(output=("out.csv",), retry_failed=("all",)))
    hurry = Event()
    hurry.set()
    for output in opened.outputs:
        output.begin()
        output.add(record(0))
        output.end(hurry)
    close(opened)

    again = open_outputs(OutputConfig(output=("out.csv",), retry_failed=("all",)))
    close(again)

    assert indexes(here / "out.csv") == [0, 0]
    assert left(again, 1) == []


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_to_do_leaves_a_file_as_it_is(here: Path, name: str) -> None:
    """Byte for byte; only what a killed run left beside it goes."""
    write(open_outputs(OutputConfig(output=(name,))), [record(0), record(1)])
    (here / f"{name}.afetch-new").write_bytes(b"half of it")
    before = (here / name).read_bytes()

    there = resumed(OutputConfig(output=(name,), resume=True), 2)

    assert there == 2
    assert (here / name).read_bytes() == before
    assert [path.name for path in here.iterdir()] == [name]


def test_all_outputs_are_rewritten(here: Path) -> None:
    """Whichever of them is the journal."""
    names = ("a.csv.gz", "b.jsonl", "c.sqlite")
    write(open_outputs(OutputConfig(output=names)), [record(0, ok=False), record(1)])

    opened = open_outputs(OutputConfig(output=names, retry_failed=("all",)))
    write(opened, left(opened, 3))

    assert [sorted(indexes(here / name)) for name in names] == [[0, 1, 2]] * 3


def test_a_rewrite_keeps_link_and_mode(here: Path) -> None:
    """The file that a link leads to is written anew, with the rights that it had."""
    (here / "real.jsonl").touch(0o640)
    (here / "link.jsonl").symlink_to("real.jsonl")
    write(open_outputs(OutputConfig(output=("link.jsonl",))), [record(0, ok=False)])

    opened = open_outputs(OutputConfig(output=("link.jsonl",), retry_failed=("all",)))
    write(opened, left(opened, 1))

    assert (here / "link.jsonl").is_symlink()
    assert (here / "real.jsonl").stat().st_mode & 0o777 == 0o640
    assert [row["ok"] for row in rows(here / "real.jsonl")] == [True]


def test_what_failed_otherwise_stays(here: Path) -> None:
    """Kinds, statuses and classes choose among failures; a success is never fetched again."""
    dns = replace(record(1, ok=False), status=None, error=Failure(ErrorKind.DNS, "no such name"))
    write(open_outputs(OutputConfig(output=("out.jsonl",))), [record(0), dns, record(2, ok=False)])

    found = []
    for kinds in (("dns",), ("5xx",), ("dns", "503"), ("all",), ("404",), ("200",)):
        opened = open_outputs(OutputConfig(output=("out.jsonl",), retry_failed=kinds))
        found.append([record.index for record in left(opened, 3)])
        close(opened)

    assert found == [[1], [2], [1, 2], [1, 2], [], []]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("out.jsonl", b"precious"),
        ("out.jsonl", b"precious\n"),
        ("out.jsonl", b'{"url": "http://example.com/"}\n'),
        ("out.jsonl", b"[1,2]\n"),
        ("out.jsonl.gz", b"precious"),
        ("out.jsonl.gz", gzip.compress(b"precious", mtime=0)),
        ("out.jsonl.zst", b"precious and long enough"),
        ("out.csv", b"precious"),
        ("out.csv", b"name,value\n1,2\n"),
        ("out.tsv", b"index\turl\n1\thttp://example.com/\n"),
        ("out.sqlite", b"precious" * 1000),
    ],
)
def test_what_is_none_of_ours_is_never_touched(here: Path, name: str, content: bytes) -> None:
    """A file of somebody else's, or of other columns, is a complaint that names it."""
    (here / name).write_bytes(content)

    with pytest.raises(SinkError, match=rf"^{name}: .*--output$"):
        open_outputs(OutputConfig(output=(name,), resume=True))

    assert (here / name).read_bytes() == content


def test_another_database_is_never_touched(here: Path) -> None:
    """Neither one without our table nor one of other columns."""
    with closing(sqlite3.connect("out.sqlite")) as base:
        base.execute("CREATE TABLE precious (a)")

    with pytest.raises(SinkError, match="has no table records"):
        open_outputs(OutputConfig(output=("out.sqlite",), resume=True))
    write(open_outputs(OutputConfig(output=("ours.sqlite",), fields=FIELDS)), [record(0)])
    with pytest.raises(SinkError, match="has other columns than this run's"):
        open_outputs(OutputConfig(output=("ours.sqlite",), resume=True))


def test_an_output_that_lacks_what_the_journal_has_is_refused(here: Path) -> None:
    """It was changed by somebody: neither is touched."""
    write(open_outputs(OutputConfig(output=("a.jsonl",))), [record(index) for index in range(3)])
    write(open_outputs(OutputConfig(output=("b.csv",))), [record(0), record(2)])
    before = (here / "a.jsonl").read_bytes(), (here / "b.csv").read_bytes()

    with pytest.raises(SinkError, match=r"^b.csv: lacks the record of index 1, which a.jsonl has; .*--overwrite$"):
        open_outputs(OutputConfig(output=("a.jsonl", "b.csv"), resume=True))

    assert before == ((here / "a.jsonl").read_bytes(), (here / "b.csv").read_bytes())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (OutputConfig(output=("b.csv",), only=("ok",)), OutputConfig(output=("b.csv",), only=("ok",), resume=True)),
        (OutputConfig(output=("b.csv",)), OutputConfig(output=("a.jsonl", "b.csv"), resume=True)),
    ],
)
def test_records_without_their_journal_are_never_dropped(here: Path, first: OutputConfig, then: OutputConfig) -> None:
    """It would be as if nothing were done: that is refused, and no journal is left behind."""
    write(open_outputs(first), [record(0)])
    before = (here / "b.csv").read_bytes()

    with pytest.raises(SinkError, match=r"^b.csv: has records, and .* is not there; put it back"):
        open_outputs(then)

    assert (here / "b.csv").read_bytes() == before
    assert [path.name for path in here.iterdir()] == ["b.csv"]


def test_records_taken_out_by_hand_are_fetched_again(here: Path) -> None:
    """The journal is what its lines say; another output's records of those entries are replaced."""
    write(open_outputs(OutputConfig(output=("a.jsonl", "b.csv"))), [record(index) for index in range(4)])
    lines = (here / "a.jsonl").read_bytes().splitlines(keepends=True)
    (here / "a.jsonl").write_bytes(b"\n".join([lines[0], lines[3]]))

    there = resumed(OutputConfig(output=("a.jsonl", "b.csv"), resume=True), 4)

    assert there == 2
    assert sorted(indexes(here / "b.csv")) == [0, 1, 2, 3]
    assert b"\n\n" not in (here / "b.csv").read_bytes()


def test_fields_may_stand_in_another_order(here: Path) -> None:
    """Also such lines say what is done."""
    write(open_outputs(OutputConfig(output=("out.jsonl",), fields=("url", "index"))), [record(0)])

    config = OutputConfig(output=("out.jsonl",), fields=("error.kind", "ok", "index", "url"), resume=True)

    assert resumed(config, 3) == 1
    assert [row["index"] for row in map(json.loads, (here / "out.jsonl").read_text().splitlines())] == [0, 1, 2]


@pytest.mark.parametrize("chosen", [("ok",), ("failed",), ("503",)])
def test_some_of_the_records_have_a_journal_beside_them(here: Path, chosen: tuple[str, ...]) -> None:
    """It says what is done although its record was not to be written, and has no bodies."""
    config = OutputConfig(output=("out.csv",), resume=True, only=chosen)
    opened = open_outputs(config)
    write(opened, [record(index, ok=index % 2 == 0) for index in range(4)], batch=1)
    first = indexes(here / "out.csv")
    (here / "out.csv").write_bytes((here / "out.csv").read_bytes() + b"torn")

    there = resumed(config, 6)

    assert first == ([0, 2] if chosen == ("ok",) else [1, 3])
    assert there == 4
    assert indexes(here / "out.csv") == ([0, 2, 4, 5] if chosen == ("ok",) else [1, 3])
    assert indexes(here / "out.csv.afetch.jsonl") == [0, 1, 2, 3, 4, 5]
    assert "body" not in json.loads((here / "out.csv.afetch.jsonl").read_text().splitlines()[0])


def test_some_of_the_records_that_are_gone_are_noticed(here: Path) -> None:
    """A journal without its output would say that all is done."""
    config = OutputConfig(output=("out.csv",), resume=True, only=("ok",))
    write(open_outputs(config), [record(0, ok=False), record(1)])
    (here / "out.csv").unlink()

    with pytest.raises(SinkError, match=r"^out.csv: lacks the record of index 1, which out.csv.afetch.jsonl has"):
        open_outputs(config)


def test_changes_have_a_journal_beside_them(here: Path) -> None:
    """What did not change has no record, and is done all the same."""
    config = OutputConfig(output=("out.jsonl",), resume=True, cache="seen", changed_only=True)
    write(open_outputs(config), [replace(record(0), change="new"), replace(record(1), change="unchanged")])

    opened = open_outputs(config)
    rest = left(opened, 3)
    close(opened)

    assert [record.index for record in rest] == [2]
    assert indexes(here / "out.jsonl") == [0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"output": ("out.json",), "resume": True}, "no run can go on with json"),
        ({"output": ("out.txt", "out.csv"), "resume": True}, "no run can go on with text"),
        ({"output": ("out.csv",), "resume": True, "overwrite": True}, "contradict each other"),
        ({"output": ("out.csv",), "resume": True, "fields": ("url", "ok")}, "needs the fields index and url"),
        ({"output": ("out.csv",), "retry_failed": ("all",), "fields": ("url", "index")}, "needs the field ok"),
        ({"output": ("out.csv",), "retry_failed": ("dns",), "fields": ("url", "index", "ok")}, "needs the field error"),
        ({"output": ("out.csv",), "retry_failed": ("nonsense",)}, "retry-failed 'nonsense'"),
        ({"output": ("out.csv",), "retry_failed": ("all", "dns")}, "'all' stands alone"),
        ({"output": ("out.csv",), "retry_failed": ("all",), "only": ("failed",)}, "leave --only"),
        ({"output": ("out.warc",), "retry_failed": ("all",)}, "nothing can be taken out of warc"),
    ],
)
def test_refuses_what_cannot_be_gone_on_with(fields: dict[str, Any], words: str) -> None:
    """Before anything is opened."""
    with pytest.raises(UsageError, match=words):
        OutputConfig(**fields)


def test_standard_output_alone_cannot_be_gone_on_with() -> None:
    """Beside a file it shows what this run does."""
    with pytest.raises(SinkError, match="standard output: no run can go on with it"):
        open_outputs(OutputConfig(resume=True), write=lambda data: None)


def test_a_second_run_on_an_output_is_refused(here: Path) -> None:
    """While the first one holds it; also on a new name of it, also a database, also the list of what failed."""
    for name in ("out.jsonl", "out.sqlite", "out.csv.gz"):
        first = open_outputs(OutputConfig(output=(name,)))

        for config in (OutputConfig(output=(name,), resume=True), OutputConfig(output=(name,), overwrite=True)):
            with pytest.raises(SinkError, match=rf"^{name}: another run is writing to it; let it end"):
                open_outputs(config)

        write(first, [record(0)])
        close(open_outputs(OutputConfig(output=(name,), resume=True)))


def test_a_rewrite_leaves_the_file_to_the_next_run(here: Path) -> None:
    """The lock goes with the old file, so that nobody waits for a lock on what is gone."""
    write(open_outputs(OutputConfig(output=("out.jsonl",))), [record(0, ok=False)])
    opened = open_outputs(OutputConfig(output=("out.jsonl",), retry_failed=("all",)))
    write(opened, left(opened, 1))

    assert resumed(OutputConfig(output=("out.jsonl",), resume=True), 2) == 1
    assert indexes(here / "out.jsonl") == [0, 1]


class Told:
    """A `Past` of entries that a test names."""

    def __init__(self, *entries: Entry) -> None:
        self._told = entries

    def entries(self) -> Iterator[Entry]:
        return iter(self._told)

    def keep(self, count: int) -> None:
        """Nothing."""


def test_a_changed_list_is_told_with_both_urls() -> None:
    """Those entries that are as they were have been let through or dropped before."""
    journal = Journal(Told(Entry(0, "http://a/"), Entry(5, "http://b/", False, None, "dns")), "out.csv")

    assert [request.index for request in journal.left([request(0, "http://a/"), request(1)])] == [1]
    with pytest.raises(SourceError, match=r"index 5 is http://c/, where out.csv has http://b/"):
        journal.left([request(5, "http://c/")])


class Listed:
    """A source of two batches, which tells how many entries it has at its end."""

    total: int | None = None

    def __init__(self, *entries: Request) -> None:
        self._entries = entries

    def estimate(self) -> int | None:
        return 10

    def close(self) -> None:
        """Nothing."""

    async def batches(self) -> AsyncIterator[list[Request]]:
        half = len(self._entries) // 2
        yield list(self._entries[:half])
        yield list(self._entries[half:])
        self.total = len(self._entries)


async def test_a_list_has_only_what_is_left_of_it() -> None:
    """In batches, number and estimate; a batch of which nothing is left is none, and what is done is told of."""
    journal = Journal(Told(*(Entry(index, record(index).url, index != 1) for index in (0, 1, 3, 9))), "x")
    told: list[tuple[int, bool]] = []
    source = journal.remaining(Listed(*map(request, range(4))), lambda *entry: told.append(entry))

    estimate = source.estimate()
    batches = [[request.index for request in batch] async for batch in source.batches()]

    assert batches == [[2]]
    assert (estimate, source.total) == (6, 1)
    assert told == [(0, False), (1, True), (3, False)]
    assert (journal.there, journal.met) == (4, 3)


def test_failures_that_were_there_count() -> None:
    """The verdict is on the list, however many runs it took; a share is of all entries."""
    number, share = Verdict(VerdictConfig(max_failures="1")), Verdict(VerdictConfig(max_failures="10%"))
    for verdict in (number, share):
        verdict.recall(98, 9)
        verdict.add(reply(None, status=404))
        verdict.add(reply(b"ok"))

    assert (number.failed, share.failed) == (True, False)
    assert (share.seen, share.counted) == (100, 10)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), max_size=40), st.integers(0, 40))
def test_the_later_record_of_an_index_counts(told: list[tuple[int, bool]], ahead: int) -> None:
    """Whatever was written, in whatever order; and what another output has more is found."""
    entries = [Entry(index, f"http://{index}/", ok, 200 if ok else 500) for index, ok in told]
    last = dict(told)
    extra = [Entry(30_000 + number, "http://x/", True, 200) for number in range(ahead)]

    journal = Journal(Told(*entries), "x", Judges(counts=lambda entry: entry.ok is False))
    cut = journal.cut(Told(*entries, *extra))

    assert (journal.there, journal.doubled) == (len(last), len(told) - len(last))
    assert journal.failed == journal.counted == list(last.values()).count(False)
    assert cut.lacking is None
    assert cut.keep <= len(entries)
    assert cut.keep - cut.surplus == len(last)
    assert journal.left([request(index, f"http://{index}/") for index in last]) == []
