"""Parquet files, read with pyarrow, DuckDB and pandas: whole, killed at every step, gone on with, on a full disk."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from fetcher.errors import SinkError, UsageError
from fetcher.record import LARGE, SCHEMA_ID, Record, RecordConfig, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.files import AbandonedError
from fetcher.sinks.outputs import open_outputs
from tests.any_records import any_records, values
from tests.conftest import Afetch
from tests.disks import full_disk
from tests.samples import failed_result, reply, sample_record, unsent_result
from tests.servers import Site

if not os.environ.get("CI"):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (it is in the extra parquet)")
    pytest.importorskip("duckdb", reason="duckdb is not installed (it is in the extra test)")

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from fetcher.sinks import parquet
from fetcher.sinks.columns import TYPES, Columns
from fetcher.sinks.footer import Span, group_rows, join, schema_of
from fetcher.sinks.parquet import Parquet
from fetcher.sinks.parts import PastParquet

NEVER = threading.Event()
CONFIG = RecordConfig()

COLUMNS = """\
url: string
index: int64
ok: bool
status: int32
error: struct<kind: string, message: string>
method: string
final_url: string
redirects: list<element: struct<url: string, status: int32>>
attempts: int64
history: list<element: struct<url: string, started: timestamp[us, tz=UTC], elapsed: double, status: int32, \
error: struct<kind: string, message: string>, waited: double, waited_for: string>>
started: timestamp[us, tz=UTC]
elapsed: double
timings: struct<queue: double, dns: double, connect: double, tls: double, first_byte: double, download: double>
remote: string
http_version: string
headers: map<string, list<element: string>>
content_type: string
charset: string
bytes: int64
wire_bytes: int64
sha256: string
truncated: bool
body: string
body_encoding: string
saved: string
change: string
extra: string
"""


def numbered(index: int, size: int = 10) -> Record:
    return replace(make_record(reply(b"x" * size, b"text/plain"), CONFIG), index=index)


def fill(output: Parquet, indexes: range, size: int = 10) -> None:
    for index in indexes:
        output.add(numbered(index, size))
        output.flush(NEVER)


def write(path: Path, *records: Record, names: tuple[str, ...] = ()) -> Parquet:
    output = Parquet(str(path), names)
    output.begin()
    for record in records:
        output.add(record)
    output.end(NEVER)
    output.close()
    return output


def indexes(path: Path) -> list[int]:
    """Of the records in a file, as pyarrow reads it."""
    found: list[int] = pq.read_table(path)["index"].to_pylist()
    return found


def restored(row: dict[str, Any]) -> dict[str, Any]:
    """A row, with its values as the record's JSON has them."""

    def stamp(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    row["started"] = stamp(row["started"])
    for attempt in row["history"]:
        attempt["started"] = stamp(attempt["started"])
    row["headers"] = dict(row["headers"])
    row["extra"] = None if row["extra"] is None else json.loads(row["extra"])
    row["body"] = json.loads(row["body"]) if row["body_encoding"] == "json" else row["body"]
    return row


# --- What is in it ---


def test_a_row_is_a_record(tmp_path: Path) -> None:
    """Each field is a column of its name, nested ones too; `extra` and a body that is JSON are its text."""
    records = [sample_record(), make_record(failed_result(), CONFIG), make_record(unsent_result(), CONFIG)]

    output = write(tmp_path / "out.parquet", *records)

    rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [list(row) for row in rows] == [list(Record.__struct_fields__)] * 3
    assert [restored(row) for row in rows] == [values(record) for record in records]
    assert output.written == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


@settings(deadline=None, max_examples=50)
@given(any_records())
def test_every_record_comes_back(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    """Whatever a server or a list has said."""
    path = tmp_path_factory.mktemp("round") / "out.parquet"

    write(path, *records)

    assert [restored(row) for row in pq.read_table(path).to_pylist()] == [values(record) for record in records]


def test_columns_have_types(tmp_path: Path) -> None:
    """The same ones, however many records there are and whatever is in them; and a name that says what they are."""
    write(tmp_path / "none.parquet")
    write(tmp_path / "some.parquet", sample_record())

    schemas = [pq.read_schema(tmp_path / name) for name in ("none.parquet", "some.parquet")]

    for schema in schemas:
        told = "".join(f"{field.name}: {field.type}\n" for field in schema)
        # Parquet's maps have a name of their own.
        assert told.replace(" ('headers')", "") == COLUMNS
        assert schema.metadata == {b"afetch.record": SCHEMA_ID.encode()}


def test_the_document_has_every_column_and_its_type() -> None:
    """Its table is the code's; of what is nested it says the kind."""
    text = (Path(__file__).parent.parent / "docs/formats.md").read_text()
    table = text[text.index("| column | type |") : text.index("`body` is the text that it is in the record's JSON")]

    documented = {
        name: told.split()[0].rstrip(":s")
        for names, told in re.findall(r"^\| (`.*?) \| (.*?) \|$", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }

    assert documented == {name: str(type_).partition("<")[0].partition("[")[0] for name, type_ in TYPES.items()}


def test_duckdb_reads_it(tmp_path: Path) -> None:
    """Structs, lists, maps and times are what they are; JSON in `extra` and `body` is read where it is wanted."""
    path = tmp_path / "out.parquet"
    write(path, sample_record(), make_record(failed_result(), CONFIG))

    with duckdb.connect() as base:
        types = dict(base.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{path}')").fetchall())
        rows = base.execute(f"""
            SELECT status, redirects[1].status, history[1].status, timings.dns, headers['set-cookie'],
                   epoch_us(started), body->>'price', extra->>'id', error IS NULL
            FROM '{path}' WHERE ok""").fetchall()
        failed = base.execute(f"SELECT url, error.kind FROM '{path}' WHERE NOT ok").fetchall()

    assert types["started"] == "TIMESTAMP WITH TIME ZONE"
    assert types["redirects"] == "STRUCT(url VARCHAR, status INTEGER)[]"
    assert types["headers"] == "MAP(VARCHAR, VARCHAR[])"
    assert (types["ok"], types["index"], types["body"]) == ("BOOLEAN", "BIGINT", "VARCHAR")
    assert rows == [(200, 301, 503, 0.0125, ["a=1", "b=2"], 1767225602000000, "1.5", "7", True)]
    assert failed == [("http://nowhere.example", "dns")]


def test_pandas_reads_it(tmp_path: Path) -> None:
    """`read_parquet` gives a table with its columns and their types."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (it is in the extra dev)")
    write(tmp_path / "out.parquet", sample_record(), make_record(failed_result(), CONFIG))

    table = pandas.read_parquet(tmp_path / "out.parquet")

    assert list(table.columns) == list(Record.__struct_fields__)
    assert (str(table["started"].dtype), str(table["index"].dtype)) == ("datetime64[us, UTC]", "int64")
    assert list(table["ok"]) == [True, False]
    assert list(table["error"])[1]["kind"] == "dns"


def test_a_body_is_the_text_that_it_is_in_json(tmp_path: Path) -> None:
    """Whatever it is, large or small, so that one type is that of all."""
    bodies: list[tuple[bytes, bytes]] = [
        (b'{ "a": 1.50 }', b"application/json"),
        (b"null", b"application/json"),
        (b"a\0b\xc3\xa9", b"text/plain"),
        (b"\xff\0\xfe", b"image/png"),
        (b"", b"text/plain"),
        ("\N{SNOWMAN}".encode("utf-16-le") * LARGE, b"text/plain; charset=utf-16le"),
        (b"\xff" * LARGE, b"image/png"),
        (b'["' + b"x" * LARGE + b'"]', b"application/json"),
    ]
    records = [make_record(reply(*body), CONFIG, whole=False) for body in bodies]
    none = make_record(reply(None, status=204), CONFIG)

    write(tmp_path / "out.parquet", *records, none)

    read = pq.read_table(tmp_path / "out.parquet").select(["body", "body_encoding"]).to_pylist()
    small = [(row["body"], row["body_encoding"]) for row in read[:5]]
    assert small == [('{"a":1.50}', "json"), ("null", "json"), ("a\0bé", "text"), ("/wD+", "base64"), ("", "text")]
    assert [(row["body"], row["body_encoding"]) for row in read[5:]] == [
        ("\N{SNOWMAN}" * LARGE, "text"),
        (values(make_record(reply(*bodies[6]), CONFIG))["body"], "base64"),
        ('["' + "x" * LARGE + '"]', "json"),
        (None, None),
    ]


def test_columns_are_the_fields_that_were_asked_for(tmp_path: Path) -> None:
    """What is inside of a field has the type of its place; what others have named is text, and null where it is not."""
    extra = {"n": Raw(b"1.5"), "t": Raw(b'"x"'), "l": Raw(b"[1]"), "z": Raw(b"null"), "c": "cell"}
    wanted = {
        "status": ("int32", 200),
        "timings.dns": ("double", 0.0125),
        "history.0.started": ("timestamp[us, tz=UTC]", datetime(2026, 1, 1, tzinfo=UTC)),
        "history.0.error.kind": ("string", None),
        "redirects.0": ("struct<url: string, status: int32>", {"url": "http://example.com/item", "status": 301}),
        "redirects.7.status": ("int32", None),
        "error.kind": ("string", None),
        "headers.Set-Cookie": ("string", "a=1\nb=2"),
        "body.price": ("string", "1.50"),
        "body.none": ("string", None),
        "extra.n": ("string", "1.5"),
        "extra.t": ("string", "x"),
        "extra.l": ("string", "[1]"),
        "extra.z": ("string", None),
        "extra.c": ("string", "cell"),
    }

    write(tmp_path / "out.parquet", replace(sample_record(), extra=extra), names=tuple(wanted))

    table = pq.read_table(tmp_path / "out.parquet")
    [row] = table.to_pylist()
    assert {name: (str(table.schema.field(name).type), row[name]) for name in table.column_names} == wanted


# --- Row groups ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of some fifteen records, which are written by five or so."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 5_000)
    monkeypatch.setattr(parquet, "BATCH", 4_000)


def test_row_groups_are_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of long records there are few in each; what is asked of one does not read the others."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 300_000)
    monkeypatch.setattr(parquet, "BATCH", 1)
    path = tmp_path / "out.parquet"
    output = Parquet(str(path))
    output.begin()

    fill(output, range(1_000), 100)
    fill(output, range(1_000, 1_020), 100_000)
    output.end(NEVER)

    groups = group_rows(path)
    assert sum(groups) == 1_020
    assert max(groups) > 100
    # The last three of those that end the short ones, whose group they may share.
    assert groups[-5:-1] == [3, 3, 3, 3]
    assert indexes(path) == list(range(1_020))
    first = pq.read_metadata(path).row_group(0)
    assert (first.column(1).statistics.min, first.column(1).compression) == (0, "ZSTD")
    with duckdb.connect() as base:
        query = f"SELECT count(*), sum(length(body)) FROM '{path}' WHERE \"index\" >= 990"
        assert base.execute(query).fetchall() == [(30, 10 * 100 + 20 * 100_000)]


def test_no_more_than_a_row_group_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten of them are written, and joined, with what three take."""
    size = 1024 * 1024
    monkeypatch.setattr(parquet, "ROW_GROUP", size)
    monkeypatch.setattr(parquet, "BATCH", size // 10)
    pool, usual = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    output = Parquet(str(tmp_path / "out.parquet"))
    output.begin()
    pa.set_memory_pool(pool)
    waiting = []
    try:
        for index in range(1_000):
            waiting.append(output.add(numbered(index, 10_000)))
            output.flush(NEVER)
        output.end(NEVER)
    finally:
        pa.set_memory_pool(usual)

    assert sum(group_rows(tmp_path / "out.parquet")) == 1_000
    assert len(group_rows(tmp_path / "out.parquet")) >= 9
    assert 0 < pool.max_memory() < 3 * size
    assert max(waiting) < size // 10 + 20_000


def test_a_record_is_held_for_a_moment_only(tmp_path: Path) -> None:
    """Less than half a second, if nothing else comes."""
    now = [100.0]
    output = Parquet(str(tmp_path / "out.parquet"), clock=lambda: now[0])
    output.begin()
    output.add(numbered(0))

    output.flush(NEVER)
    before = output.written
    now[0] += parquet.DELAY
    output.flush(NEVER)

    assert (before, output.written) == (0, 1)


def test_files_are_joined_as_they_are(tmp_path: Path) -> None:
    """A file alone is the same byte for byte; of several all offsets are right, and what has wrong ones is left out."""
    one, two, both, same = (tmp_path / f"{name}.parquet" for name in ("one", "two", "both", "same"))
    table = pa.table({"a": ["x", "yy"] * 50, "b": range(100)})
    pq.write_table(table, one, row_group_size=40, write_page_index=True)
    pq.write_table(table.slice(0, 7), two, compression="zstd")

    join([Span(one), Span(two), Span(one, 1)], both, lambda: None)
    join([Span(one)], same, lambda: None)

    assert group_rows(both) == [40, 40, 20, 7, 40]
    assert pq.read_table(both).equals(pa.concat_tables([table, table.slice(0, 7), table.slice(0, 40)]))
    assert same.read_bytes() == one.read_bytes()
    groups = [pq.read_metadata(both).row_group(group).column(1) for group in range(5)]
    assert [group.has_offset_index for group in groups] == [True, True, True, False, False]
    assert [group.has_column_index for group in groups] == [True, True, True, False, False]
    with duckdb.connect() as base:
        found = base.execute(f"SELECT count(*), sum(b), max(b) FILTER (b < 7) FROM '{both}'").fetchall()
    assert found == [(147, 4950 + 21 + 780, 6)]


# --- Killed, and gone on with ---


def go_on(path: Path, count: int, until: int, *, size: int = 10) -> None:
    """What a resumed run does behind the first `count` records."""
    PastParquet(str(path)).keep(count)
    output = Parquet(str(path), kept=True)
    output.begin()
    fill(output, range(count, until), size)
    output.end(NEVER)
    output.close()


def entries(path: Path) -> list[int]:
    return [entry.index for entry in PastParquet(str(path)).entries()]


def test_what_was_written_is_there_after_a_kill(tmp_path: Path, small: None) -> None:
    """Records behind parts in spools, and in a finished file; with what the journal asks of them."""
    path = tmp_path / "out.parquet"
    output = Parquet(str(path))
    output.begin()
    output.add(make_record(failed_result(), CONFIG))
    fill(output, range(1, 50))

    there = list(PastParquet(str(path)).entries())

    assert len(there) == output.written > 40
    assert (there[0].url, there[0].ok, there[0].status, there[0].kind) == ("http://nowhere.example", False, None, "dns")
    assert (there[-1].url, there[-1].ok, there[-1].status, there[-1].kind) == ("http://example.com/", True, 200, None)
    with duckdb.connect() as base:
        found = base.execute(f"SELECT count(*) FROM '{path}.afetch/*.parquet'").fetchall()
    assert 20 < found[0][0] <= 50
    go_on(path, len(there), 60)
    assert [entry.index for entry in PastParquet(str(path)).entries()] == indexes(path)
    assert indexes(path) == [8, *range(1, 60)]


@pytest.mark.parametrize(("finished", "killed"), [(0, True), (25, False), (25, True)])
def test_it_is_gone_on_with_behind_any_record(tmp_path: Path, small: None, finished: int, killed: bool) -> None:
    """Wherever the journal ends: in a file that is whole, in parts, in spools, between them."""
    there = 0
    for count in range(0, 46, 5):
        path = tmp_path / f"{count}.parquet"
        if finished:
            write(path, *map(numbered, range(finished)))
        if killed:
            output = Parquet(str(path), kept=True)
            output.begin()
            fill(output, range(finished, 45))
        there = len(entries(path))
        if count > there:
            with pytest.raises(SinkError, match=f"has {there} of the {count} records that the journal has"):
                PastParquet(str(path)).keep(count)
            continue

        PastParquet(str(path)).keep(count)

        assert entries(path) == list(range(count))
        go_on(path, count, 50)
        assert indexes(path) == list(range(50))
        assert not Path(f"{path}.afetch").exists()
    assert there >= (25 if finished else 40)


@settings(deadline=None, max_examples=50)
@given(cut=st.integers(0, 1_000_000), noise=st.binary(max_size=20))
def test_a_torn_spool_is_whole_up_to_its_last_batch(
    tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes
) -> None:
    """Cut anywhere, also with something behind that is nothing."""
    path = tmp_path_factory.mktemp("torn") / "out.parquet"
    output = Parquet(str(path), clock=iter(range(1_000_000)).__next__)
    output.begin()
    fill(output, range(5))
    [spool] = Path(f"{path}.afetch").iterdir()
    data = spool.read_bytes()
    cut %= len(data) + 1
    spool.write_bytes(data[:cut] + noise)

    left = entries(path)

    assert left == list(range(len(left)))
    assert len(left) == 5 or cut < len(data)
    go_on(path, len(left), 7)
    assert indexes(path) == list(range(7))


class Killed(BaseException):
    """Nothing more happens on the disk."""


STEPS = ("os.write", "os.truncate", "os.open", "pathlib.Path.replace", "pathlib.Path.unlink", "shutil.rmtree")


def test_a_kill_at_any_step_loses_nothing(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two changes of the disk: what was written is there once, in order, and the rest goes behind it."""

    for begun, until in ((0, 10), (15, 40)):
        for step in range(1_000):
            path = tmp_path / f"{begun}-{step}.parquet"
            if begun:
                write(path, *map(numbered, range(begun)))
            output = Parquet(str(path), kept=True)
            with monkeypatch.context() as patch:
                done = _killing(patch, step)
                try:
                    output.begin()
                    fill(output, range(begun, until))
                    output.end(NEVER)
                except Killed:
                    pass
                else:
                    break
                finally:
                    done()

            there = entries(path)

            assert there == list(range(len(there)))
            assert len(there) >= begun + output.written
            go_on(path, begun + output.written, until + 2)
            assert indexes(path) == list(range(until + 2))
            assert not Path(f"{path}.afetch").exists()
        assert 8 < step < 999


def _killing(patch: pytest.MonkeyPatch, step: int) -> Callable[[], None]:
    """Let the change of that number, and all behind it, not happen; what ends that."""
    left = [step]
    over = [False]

    def guarded(change: Callable[..., Any]) -> Callable[..., Any]:
        def dare(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] < 0 and not over[0]:
                raise Killed
            return change(*args, **kwargs)

        return dare

    for name in STEPS:
        place, _, attribute = name.rpartition(".")
        module, _, kind = place.partition(".")
        owner: Any = __import__(module)
        owner = getattr(owner, kind) if kind else owner
        patch.setattr(owner, attribute, guarded(getattr(owner, attribute)))

    def end() -> None:
        over[0] = True

    return end


@pytest.mark.parametrize("count", [3, 15, 22, 38, 40])
def test_parts_of_a_file_that_is_whole_are_nothing(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Killed when the file was there and its parts still were: also where the journal has less than the file."""
    path = tmp_path / "out.parquet"
    write(path, *map(numbered, range(15)))
    output = Parquet(str(path), kept=True)
    output.begin()
    fill(output, range(15, 40))
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_args, **_options: None)
        output.end(NEVER)
    assert len(list(Path(f"{path}.afetch").glob("part-*"))) > 1

    PastParquet(str(path)).keep(count)

    assert entries(path) == list(range(count))
    go_on(path, count, 50)
    assert indexes(path) == list(range(50))
    assert not Path(f"{path}.afetch").exists()


def test_a_file_that_is_whole_stays_as_it_is(tmp_path: Path) -> None:
    """With nothing new behind it there is nothing to write."""
    path = tmp_path / "out.parquet"
    write(path, numbered(0), numbered(1))
    before = path.stat()

    go_on(path, 2, 2)

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [found.name for found in tmp_path.iterdir()] == ["out.parquet"]


def test_what_another_version_has_written_is_gone_on_with(tmp_path: Path) -> None:
    """Its schema says the same in other bytes, so its rows are written anew."""
    path = tmp_path / "out.parquet"
    write(tmp_path / "now.parquet", numbered(0), numbered(1))
    columns = Columns()
    columns.add(numbered(0))
    columns.add(numbered(1))
    pq.write_table(pa.Table.from_batches([columns.take()]), path, use_compliant_nested_type=False)
    assert schema_of(path) != schema_of(tmp_path / "now.parquet")

    go_on(path, 2, 4)

    assert indexes(path) == [0, 1, 2, 3]
    assert schema_of(path) == schema_of(tmp_path / "now.parquet")


def test_a_run_that_is_abandoned_leaves_its_parts(tmp_path: Path, small: None) -> None:
    """There is no time to join them; the next run does."""
    path = tmp_path / "out.parquet"
    output = Parquet(str(path))
    output.begin()
    fill(output, range(50))
    stopped = threading.Event()
    stopped.set()

    with pytest.raises(AbandonedError):
        output.end(stopped)
    output.close()

    assert output.written == len(entries(path)) == 50
    go_on(path, 50, 60)
    assert indexes(path) == list(range(60))


# --- What stands in the way ---


def close(config: OutputConfig) -> None:
    """What a run does that is refused before it begins."""
    for output in open_outputs(config).outputs:
        output.close()


def test_replaces_what_is_there_only_when_the_run_begins(tmp_path: Path, small: None) -> None:
    """With `overwrite` a file, and the folder of a run that was killed, are whole until then."""
    path = tmp_path / "out.parquet"
    write(path, numbered(7))
    killed = Parquet(str(path), kept=True)
    killed.begin()
    fill(killed, range(20))
    there = entries(path)
    config = OutputConfig(output=(str(path),), overwrite=True)

    close(config)
    before = entries(path)
    outputs = open_outputs(config).outputs
    for output in outputs:
        output.begin()
        output.add(numbered(3))
    for output in outputs:
        output.end(NEVER)
        output.close()

    assert before == there
    assert indexes(path) == [3]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["out.parquet", "out.parquet.afetch.jsonl"]


def test_records_of_a_killed_run_are_in_the_way(tmp_path: Path) -> None:
    """The file is empty, but its folder is not; an empty one, or what is about to be removed, is no matter."""
    path = tmp_path / "out.parquet"
    killed = Parquet(str(path), clock=iter(range(100)).__next__)
    killed.begin()
    close(OutputConfig(output=(str(path),)))
    fill(killed, range(2))

    with pytest.raises(SinkError) as refusal:
        open_outputs(OutputConfig(output=(str(path),)))

    assert str(refusal.value) == (
        f"{path}: a run that was killed has left records in out.parquet.afetch; go on with --resume, "
        "replace them with --overwrite, or choose another name"
    )
    assert entries(path) == [0, 1]


def test_leaves_nothing_of_a_run_that_never_began(tmp_path: Path) -> None:
    """What was made for a run that was refused is removed."""
    close(OutputConfig(output=(str(tmp_path / "out.parquet"),)))

    assert list(tmp_path.iterdir()) == []


def test_other_columns_are_refused(tmp_path: Path) -> None:
    """Rows of two kinds are no table."""
    path = tmp_path / "out.parquet"
    write(path, numbered(0), names=("index", "url"))

    with pytest.raises(SinkError, match=r"was begun with other columns \(index, url\); say the same --fields"):
        Parquet(str(path), ("index", "status"), kept=True)

    Parquet(str(path), ("index", "url"), kept=True).close()


def test_records_without_index_and_url_are_nobodys(tmp_path: Path) -> None:
    """They can be counted, and not be told apart."""
    path = tmp_path / "out.parquet"
    write(path, numbered(0), names=("status",))

    with pytest.raises(SinkError, match="has no columns index and url, by which records are known"):
        list(PastParquet(str(path)).entries())
    PastParquet(str(path)).keep(1)

    assert pq.read_table(path).to_pylist() == [{"status": 200}]


def test_a_part_that_is_gone_is_named(tmp_path: Path, small: None) -> None:
    """Nothing goes on behind a gap."""
    path = tmp_path / "out.parquet"
    output = Parquet(str(path))
    output.begin()
    fill(output, range(50))
    min(Path(f"{path}.afetch").iterdir()).unlink()

    with pytest.raises(SinkError, match=r"out\.parquet\.afetch: the records from 0 to \d+ are missing; begin anew"):
        Parquet(str(path), kept=True)


@pytest.mark.parametrize("content", [b"precious", b"PAR1" + b"x" * 100 + b"PAR1", b"PAR1"])
def test_what_is_no_parquet_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Whatever it is, it is somebody's."""
    path = tmp_path / "out.parquet"
    path.write_bytes(content)

    with pytest.raises(SinkError, match=r"out\.parquet: cannot be gone on with"):
        list(PastParquet(str(path)).entries())
    with pytest.raises(SinkError, match=r"out\.parquet: cannot be gone on with"):
        Parquet(str(path), kept=True)

    assert path.read_bytes() == content


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """A batch is in the spool or not at all, the message says where it is, and the next run goes on."""
    path = tmp_path / "out.parquet"
    output = Parquet(str(path), clock=iter(range(1_000_000)).__next__)
    output.begin()

    with full_disk(100_000):
        with pytest.raises(SinkError) as complaint:
            fill(output, range(10_000))
        written = output.written
        output.end(NEVER)
        output.close()

    assert str(complaint.value) == (
        f"{path}: the file may grow no larger; raise the limit (ulimit -f) or choose another place with --output; "
        "its records so far are in out.parquet.afetch, behind which --resume goes on"
    )
    assert entries(path) == list(range(written))
    assert 0 < written < 100
    go_on(path, written, 100)
    assert indexes(path) == list(range(100))


def test_no_room_for_the_file_leaves_its_parts(tmp_path: Path, small: None) -> None:
    """Each of them is there, and the file is made of them when there is room."""
    path = tmp_path / "out.parquet"
    output = Parquet(str(path))
    output.begin()
    fill(output, range(50))

    with full_disk(20_000), pytest.raises(SinkError, match=r"its records so far are in out\.parquet\.afetch"):
        output.end(NEVER)
    output.close()

    assert output.written == len(entries(path)) == 50
    assert sum(part.stat().st_size for part in Path(f"{path}.afetch").glob("part*")) > 20_000
    go_on(path, 50, 50)
    assert indexes(path) == list(range(50))


def test_a_body_that_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the output, before anybody has lost what came before."""
    path = tmp_path / "out.parquet"
    monkeypatch.setattr(parquet, "LONGEST", 10_000)
    monkeypatch.setattr(parquet, "BATCH", 1)
    output = Parquet(str(path))
    output.begin()
    fill(output, range(3))

    with pytest.raises(SinkError, match="Parquet takes no body as large as that; bound them with --max-size"):
        fill(output, range(3, 4), 10_000)
    output.end(NEVER)
    output.close()

    assert entries(path) == [0, 1, 2]
    assert output.written == 3


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is done, with what to do."""
    monkeypatch.setattr("fetcher.sinks.config.find_spec", lambda _name: None)

    with pytest.raises(UsageError) as refusal:
        OutputConfig(output=("out.parquet",))

    assert str(refusal.value) == (
        "format parquet needs pyarrow, which is not installed: pip install pyarrow, "
        "or pip install '.[parquet]' in a checkout of afetch"
    )


def test_a_file_behind_a_link_is_written_where_it_is(tmp_path: Path) -> None:
    """The link stays one, and the file keeps who may read it."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there/real.parquet").touch(0o640)
    (tmp_path / "out.parquet").symlink_to(tmp_path / "there/real.parquet")

    write(tmp_path / "out.parquet", numbered(0))

    assert (tmp_path / "out.parquet").is_symlink()
    assert indexes(tmp_path / "there/real.parquet") == [0]
    assert (tmp_path / "there/real.parquet").stat().st_mode & 0o777 == 0o640


# --- From the command line ---


def test_the_summary_counts_what_is_in_it(afetch: Afetch, site: Site) -> None:
    """Beside another format, with some of the records, and with fields of them: as many rows as records."""
    urls = [site.page("x"), site.page("y", status=404), "http:///x"]

    done = afetch(*urls, "-o", "out.parquet", "-o", "out.jsonl")
    some = afetch(*urls, "-o", "some.parquet", "--only", "404", "--fields", "status,error.kind,index,body")

    assert (done.returncode, some.returncode) == (1, 1), done.stderr + some.stderr
    assert "1 ok, 2 failed" in done.stderr
    lines = [json.loads(line) for line in (afetch.folder / "out.jsonl").read_text().splitlines()]
    assert [restored(row) for row in pq.read_table(afetch.folder / "out.parquet").to_pylist()] == lines
    assert pq.read_table(afetch.folder / "some.parquet").to_pylist() == [
        {"status": 404, "error.kind": None, "index": 1, "body": "y"}
    ]
