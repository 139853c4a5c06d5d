"""Trust in numbers: what the summary says is what a count over each output says."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from fetcher.errors import ErrorKind
from tests.conftest import Afetch
from tests.servers import Site


class Told(Struct, frozen=True):
    """What an output says of an entry; text says no index."""

    index: int | None
    ok: bool
    status: int | None
    kind: str | None


def of_object(record: dict[str, Any]) -> Told:
    return Told(record["index"], record["ok"], record["status"], (record["error"] or {}).get("kind"))


def of_cells(row: dict[str, str]) -> Told:
    status = int(row["status"]) if row["status"] else None
    return Told(int(row["index"]), {"true": True, "false": False}[row["ok"]], status, row["error.kind"] or None)


def of_line(line: str) -> Told:
    """Of the five columns for people, with nothing but what they show."""
    status, _, _, _, note = line.split("\t")
    kinds = [part.partition(": ")[0] for part in note.split("; ") if part.partition(": ")[0] in set(ErrorKind)]
    kind = kinds[0] if kinds else None
    number = None if status == "-" else int(status)
    return Told(None, kind is None and number is not None and number < 400, number, kind)


def of_lines(data: bytes) -> list[Told]:
    return [of_object(json.loads(line)) for line in data.splitlines()]


def of_csv(data: bytes) -> list[Told]:
    return [of_cells(row) for row in csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True)]


def of_tsv(data: bytes) -> list[Told]:
    names, *rows = [line.split("\t") for line in data.decode().splitlines()]
    return [of_cells(dict(zip(names, row, strict=True))) for row in rows]


def unzst(data: bytes) -> bytes:
    from backports import zstd

    text: bytes = zstd.decompress(data)
    return text


def of_sqlite(path: Path) -> list[Told]:
    query = """SELECT "index", ok, status, json_extract(error, '$.kind') FROM records ORDER BY rowid"""
    with closing(sqlite3.connect(path)) as base:
        return [Told(index, bool(ok), status, kind) for index, ok, status, kind in base.execute(query)]


def of_parquet(path: Path) -> list[Told]:
    import pyarrow.parquet

    return [of_object(row) for row in pyarrow.parquet.read_table(path).to_pylist()]


def of_warc(path: Path) -> list[Told]:
    """By the record that closes each entry."""
    from tests.archives import read_archive

    closings = [record.values for record in read_archive(path) if record.kind == "metadata"]
    return [
        Told(int(values["index"]), values["ok"] == "true", int(values.get("status", 0)) or None, values.get("error"))
        for values in closings
    ]


def bytes_of(read: Callable[[bytes], list[Told]]) -> Callable[[Path], list[Told]]:
    return lambda path: read(path.read_bytes())


READERS: dict[str, Callable[[Path], list[Told]]] = {
    "a.jsonl": bytes_of(of_lines),
    "a.jsonl.gz": bytes_of(lambda data: of_lines(gzip.decompress(data))),
    "a.jsonl.zst": bytes_of(lambda data: of_lines(unzst(data))),
    "a.json": bytes_of(lambda data: [of_object(record) for record in json.loads(data)]),
    "a.csv": bytes_of(of_csv),
    "a.csv.gz": bytes_of(lambda data: of_csv(gzip.decompress(data))),
    "a.tsv": bytes_of(of_tsv),
    "a.txt": bytes_of(lambda data: [of_line(line) for line in data.decode().splitlines()]),
    "a.sqlite": of_sqlite,
} | ({"a.parquet": of_parquet} if find_spec("pyarrow") else {})
"""An output of each format, and what reads it. Of what is not installed there is none."""

if find_spec("warcio") and find_spec("fastwarc"):
    READERS |= {"a.warc": of_warc, "a.warc.gz": of_warc}

HEAD = re.compile(r"^afetch: ([\d,]+) ok(?:, ([\d,]+) failed)?", re.MULTILINE)


class Summary:
    """What the summary on standard error says."""

    def __init__(self, text: str) -> None:
        found = HEAD.search(text)
        assert found, text
        self.ok, self.failed = (_number(count) for count in found.groups())
        rows: dict[str, str] = {}
        label = ""
        for line in text[found.end() :].splitlines()[1:]:
            label = line[:11].strip() or label
            rows[label] = f"{rows.get(label, '')} {line[11:]}"
        self.statuses = {int(name): count for name, count in _counts(rows, "status").items()}
        self.kinds = _counts(rows, "errors")
        dropped = re.search(r"([\d,]+) entr(?:y|ies) dropped", rows.get("repeats", ""))
        self.dropped = _number(dropped[1]) if dropped else 0


def _counts(rows: dict[str, str], label: str) -> dict[str, int]:
    return {name: _number(count) for name, count in re.findall(r"([\w-]+): ([\d,]+)", rows.get(label, ""))}


def _number(text: str | None) -> int:
    return int((text or "0").replace(",", ""))


@pytest.fixture
def closed() -> Iterator[str]:
    """A URL where nobody listens, nor ever will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


def entries(site: Site, closed: str) -> list[str]:
    """A list on which everything happens, some of it twice."""
    page, missing = site.page("x"), site.page("no", 404)
    short = site.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    broken = site.raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    loop = site.redirect("/loop", path="/loop")
    return [
        *(site.page(f"page {number}") for number in range(12)),
        *(site.page("gone", 410) for _ in range(3)),
        site.page("", 204),
        site.page("broken", 500),
        site.redirect(page),
        site.redirect(missing),
        *(page, missing, closed, short, broken, loop, "nonsense", "http://a b/", "ftp://a/"),
        site.raw(b"not HTTP at all\r\n\r\n"),
        site.raw(),
        *(page, missing, closed, "nonsense", loop),
        "http://user:pass\tword@/",
    ]


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ((), lambda _: True),
        (("--unique", "--ordered"), lambda _: True),
        (("--only", "failed"), lambda told: not told.ok),
        (("--only", "ok", "--ordered"), lambda told: told.ok),
        (("--only", "404,refused,redirects"), lambda told: told.status == 404 or told.kind in {"refused", "redirects"}),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_the_summary_counts_what_is_in_every_output(
    afetch: Afetch, site: Site, closed: str, options: Sequence[str], written: Callable[[Told], bool]
) -> None:
    """Records are entries, ok and failed, each status and kind as often as said; all outputs agree."""
    urls = entries(site, closed)
    (afetch.folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    outputs = [word for name in READERS for word in ("-o", name)]

    done = afetch("urls.txt", "-r", "0", *options, *outputs, "--failed", "failed.txt", "-f", "jsonl", "-o", "-")

    said = Summary(done.stderr)
    found = {name: read(afetch.folder / name) for name, read in READERS.items()}
    printed = of_lines(done.stdout.encode())
    in_order = sorted(printed, key=lambda told: told.index or 0)
    as_lines = [Told(None, told.ok, told.status, told.kind) for told in printed]
    # A table has no order but that of its key.
    shown = {"a.txt": as_lines, "a.sqlite": in_order}
    assert {name: told == shown.get(name, printed) for name, told in found.items()} == dict.fromkeys(READERS, True)
    failed = (afetch.folder / "failed.txt").read_text().splitlines()
    assert done.returncode == 1
    assert said.ok + said.failed == len(urls) - said.dropped
    assert said.dropped == (4 if "--unique" in options else 0)
    assert len(failed) == said.failed
    if "--only" not in options:
        assert len(printed) == said.ok + said.failed
        assert sum(told.ok for told in printed) == said.ok
        assert Counter(told.status for told in printed if told.status is not None) == said.statuses
        assert Counter(told.kind for told in printed if told.kind is not None) == said.kinds
        assert len({told.index for told in printed}) == len(printed)
    else:
        assert all(map(written, printed))
        counts = {"failed": said.failed, "ok": said.ok}
        named = said.statuses.get(404, 0) + said.kinds["refused"] + said.kinds["redirects"]
        assert len(printed) == counts.get(options[1], named)
    if "--ordered" in options:
        assert printed == in_order
