"""SQLite files, read with Python and with SQLite's own command: while they grow, after a kill, on a full disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from fetcher.errors import ErrorKind, SinkError, UsageError
from fetcher.record import LARGE, Failure, Record, RecordConfig, encode, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.sqlite import TYPES, Sqlite
from tests.conftest import Afetch
from tests.disks import full_disk
from tests.opening import open_output
from tests.samples import failed_result, reply, sample_record, unsent_result
from tests.servers import Site

NEVER = threading.Event()
CONFIG = RecordConfig()
PATIENCE = 10.0

NESTED = ("error", "redirects", "history", "timings", "headers", "extra")


def rows(path: Path) -> list[dict[str, Any]]:
    """All rows, in the order of the list."""
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as base:
        base.row_factory = sqlite3.Row
        return [dict(row) for row in base.execute('SELECT * FROM records ORDER BY "index"')]


def write(path: Path, *records: Record, names: tuple[str, ...] = ()) -> Sqlite:
    output = Sqlite(str(path), names)
    output.begin()
    for record in records:
        output.add(record)
    output.end(NEVER)
    output.close()
    return output


def numbered(index: int) -> Record:
    return replace(make_record(unsent_result(), CONFIG), index=index)


def tables(path: Path) -> set[str]:
    """The names of what is in the file so far."""
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as base:
        return {name for (name,) in base.execute("SELECT name FROM sqlite_master")}


def sqlite3_says(path: Path, query: str) -> str:
    """What SQLite's own command says to a query."""
    if shutil.which("sqlite3") is None:
        if os.environ.get("CI"):
            pytest.fail("sqlite3 is not installed")
        pytest.skip("sqlite3 is not installed")
    # It gives up at once on a file that is locked, as this one is while it becomes a database.
    command = ["sqlite3", "-cmd", f".timeout {1000 * PATIENCE:.0f}", str(path), query]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=2 * PATIENCE)
    return done.stdout


def until(what: Any) -> None:
    """Wait for something that happens in another process."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


def test_a_row_is_a_record(tmp_path: Path) -> None:
    """Each field is a column of its name; what is nested is JSON, and true is 1."""
    records = [sample_record(), make_record(failed_result(), CONFIG), make_record(unsent_result(), CONFIG)]

    output = write(tmp_path / "out.db", *records)

    for row, record in zip(rows(tmp_path / "out.db"), records, strict=True):
        expected = json.loads(encode(record))
        for name in NESTED:
            row[name] = None if row[name] is None else json.loads(row[name])
        row["body"] = None if row["body"] is None else json.loads(row["body"])
        assert list(row) == list(Record.__struct_fields__)
        assert row == expected
    assert output.written == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out.db"]


def test_every_field_has_a_type() -> None:
    """But the body, which is text or bytes."""
    assert set(TYPES) == set(Record.__struct_fields__) - {"body"}


def test_bodies_are_text_or_bytes(tmp_path: Path) -> None:
    """JSON and text are TEXT, what is base64 in JSON is a BLOB of its bytes."""
    bodies: list[tuple[bytes, bytes]] = [
        (b'{ "a": 1.50 }', b"application/json"),
        (b"a\0b\xc3\xa9", b"text/plain"),
        (b"\xff\0\xfe", b"image/png"),
        (b"", b"text/plain"),
        (b'"x"', b"application/json"),
    ]
    records = [replace(make_record(reply(*body), CONFIG), index=index) for index, body in enumerate(bodies)]
    large = make_record(reply(b"\xff" * LARGE, b"image/png"), CONFIG, whole=False)

    write(tmp_path / "out.db", *records, replace(make_record(reply(None, status=204), CONFIG), index=5))
    write(tmp_path / "large.db", large)

    read = [(row["body"], row["body_encoding"]) for row in rows(tmp_path / "out.db")]
    assert read == [
        ('{"a":1.50}', "json"),
        ("a\0bé", "text"),
        (b"\xff\0\xfe", "base64"),
        ("", "text"),
        ('"x"', "json"),
        (None, None),
    ]
    assert rows(tmp_path / "large.db")[0]["body"] == b"\xff" * LARGE


def test_columns_are_the_fields_that_were_asked_for(tmp_path: Path) -> None:
    """Names with dots are names of columns; numbers of JSON are numbers while SQLite has such."""
    extra = {
        "n": Raw(b"1.5"),
        "big": Raw(b"1234567890123456789012"),
        "t": Raw(b'"x"'),
        "l": Raw(b"[1]"),
        "z": Raw(b"null"),
    }
    record = replace(sample_record(), extra={**extra, "yes": Raw(b"true"), 'q"': "quoted"})
    names = ("status", "timings.dns", "body.price", *(f"extra.{name}" for name in record.extra or {}))

    write(tmp_path / "out.db", record, names=names)

    with closing(sqlite3.connect(tmp_path / "out.db")) as base:
        table = base.execute("SELECT * FROM records")
        assert [column[0] for column in table.description] == list(names)
        assert table.fetchall() == [(200, 0.0125, 1.5, 1.5, "1234567890123456789012", "x", "[1]", None, 1, "quoted")]


@given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8"))] * 3), min_size=1, max_size=5))
def test_every_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]]) -> None:
    """NUL, line ends, quotes, characters beyond 16 bits: as they went in."""
    path = tmp_path_factory.mktemp("round") / "out.db"
    records = [
        replace(numbered(index), url=url, error=Failure(ErrorKind.TLS, message), extra={"x": cell})
        for index, (url, message, cell) in enumerate(texts)
    ]

    write(path, *records)

    read = rows(path)
    assert [row["url"] for row in read] == [url for url, _, _ in texts]
    assert [json.loads(row["error"])["message"] for row in read] == [message for _, message, _ in texts]
    assert [json.loads(row["extra"]) for row in read] == [{"x": cell} for _, _, cell in texts]


def test_urls_are_found_by_an_index(tmp_path: Path) -> None:
    """SQLite's own command uses it, finds the file in order, and reads JSON inside of it."""
    write(tmp_path / "out.db", sample_record())

    plan = sqlite3_says(tmp_path / "out.db", "EXPLAIN QUERY PLAN SELECT status FROM records WHERE url = 'x'")
    check = sqlite3_says(tmp_path / "out.db", "PRAGMA integrity_check")
    value = sqlite3_says(tmp_path / "out.db", "SELECT json_extract(timings, '$.dns') FROM records")

    assert "USING INDEX records_url" in plan
    assert (check, value) == ("ok\n", "0.0125\n")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"format": "sqlite"}, "format sqlite needs a file of its own: name one with --output"),
        ({"output": ("-",), "format": "sqlite"}, "format sqlite needs a file of its own: name one with --output"),
        ({"output": ("a.db.gz",)}, "output 'a.db.gz': sqlite cannot be compressed; leave .gz out"),
    ],
)
def test_refuses_what_is_no_file(config: dict[str, Any], message: str) -> None:
    """Standard output cannot be a database, and none is compressed."""
    with pytest.raises(UsageError) as refusal:
        OutputConfig(**config)

    assert str(refusal.value) == message


def test_refuses_what_cannot_hold_a_database(tmp_path: Path) -> None:
    """A device, and a file that is not empty."""
    (tmp_path / "full.db").write_text("precious")

    with pytest.raises(SinkError, match="/dev/null: is no regular file"):
        open_output(OutputConfig(output=("/dev/null",), format="sqlite"))
    with pytest.raises(SinkError, match="is not empty; go on with it with --resume, replace it with --overwrite"):
        open_output(OutputConfig(output=(str(tmp_path / "full.db"),)))

    assert (tmp_path / "full.db").read_text() == "precious"


def test_replaces_a_file_only_when_the_run_begins(tmp_path: Path) -> None:
    """With `overwrite` what was there is whole until then, whatever it was, with the log that a kill left beside it."""
    path = tmp_path / "out.db"
    path.write_bytes(b"no database" * 1_000)
    (tmp_path / "out.db-wal").write_bytes(b"no log")
    config = OutputConfig(output=(str(path),), overwrite=True)

    open_output(config).close()
    before = path.stat().st_size
    output = open_output(config)
    output.begin()
    output.add(numbered(0))
    output.end(NEVER)
    output.close()

    assert before == 11_000
    assert len(rows(path)) == 1


def test_leaves_no_file_of_a_run_that_never_began(tmp_path: Path) -> None:
    """What was made for a run that was refused is removed."""
    open_output(OutputConfig(output=(str(tmp_path / "out.db"),))).close()

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """A batch is in the file or not at all, the count says how many records, and the file is in order."""
    path = tmp_path / "out.db"
    output = Sqlite(str(path))
    output.begin()

    def fill() -> None:
        for index in range(10_000):
            output.add(numbered(index))
            if index % 10 == 9:
                output.flush(NEVER)

    with full_disk(300_000):
        with pytest.raises(SinkError, match=r"out\.db: .*; make room, or choose another place with --output"):
            fill()
        output.end(NEVER)
        output.close()

    assert len(rows(path)) == output.written > 0
    assert sqlite3_says(path, "PRAGMA integrity_check") == "ok\n"


def test_somebody_who_writes_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who locks the file for longer than is waited ends the run, and the message says why."""
    path = tmp_path / "out.db"
    monkeypatch.setattr("fetcher.sinks.sqlite.PATIENCE", 0.01)
    output = Sqlite(str(path))
    output.begin()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        output.add(numbered(0))
        with pytest.raises(SinkError, match=r"another program is writing to it; let it end, or choose another file"):
            output.flush(NEVER)
    output.close()

    assert output.written == 0


def test_it_is_read_while_the_run_goes_on_and_after_a_kill(afetch: Afetch, site: Site) -> None:
    """SQLite's command sees each record soon after it came, and all of them after SIGKILL."""
    urls = [site.page(f"page {number}") for number in range(50)]
    process = afetch.start(*urls, site.hang(), "-o", "out.sqlite", "-c", "10")
    path = afetch.folder / "out.sqlite"
    query = "SELECT count(*), count(DISTINCT url) FROM records"
    # The command would make it, and is no match for who makes it: the file is there before its table is.
    until(lambda: path.exists() and "records" in tables(path))

    until(lambda: sqlite3_says(path, query) == "50|50\n")
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)

    assert running
    assert sorted(row["url"] for row in rows(path)) == sorted(urls)
    assert sqlite3_says(path, "PRAGMA integrity_check") == "ok\n"


def test_an_interrupted_run_leaves_one_file(afetch: Afetch, site: Site) -> None:
    """Ended twice, at once, the log is folded into the file, and every record written is there."""
    url = site.page("x")
    process = afetch.start(url, site.hang(), "-o", "out.db")
    path = afetch.folder / "out.db"
    # The file is there before its table is.
    until(lambda: path.exists() and "records" in tables(path) and len(rows(path)) == 1)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)

    assert [row["url"] for row in rows(path)] == [url]
    assert [found.name for found in afetch.folder.iterdir()] == ["out.db"]


def test_the_summary_counts_what_is_in_it(afetch: Afetch, site: Site) -> None:
    """Beside another format, with only some fields: as many rows as records."""
    urls = [site.page("x"), site.page("y", status=404)]

    done = afetch(*urls, "-o", "out.db", "-o", "out.csv", "--fields", "url,status,body")

    assert done.returncode == 1
    assert "1 ok, 1 failed" in done.stderr
    with closing(sqlite3.connect(afetch.folder / "out.db")) as base:
        found = base.execute("SELECT * FROM records ORDER BY status").fetchall()
    assert found == [(urls[0], 200, "x"), (urls[1], 404, "y")]
    assert len((afetch.folder / "out.csv").read_text().splitlines()) == 3


def test_pandas_reads_it(tmp_path: Path) -> None:
    """`read_sql` gives a table with its columns."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (it is in the extra dev)")
    write(tmp_path / "out.db", sample_record(), make_record(failed_result(), CONFIG))

    with closing(sqlite3.connect(tmp_path / "out.db")) as base:
        table = pandas.read_sql("SELECT * FROM records", base)

    assert list(table.columns) == list(Record.__struct_fields__)
    assert list(table["ok"]) == [1, 0]
