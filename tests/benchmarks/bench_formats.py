"""Owns the question what each format of output costs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from fetcher.sinks.config import OutputConfig
from fetcher.sinks.formats import SINKS, Shape
from fetcher.sinks.past import Left
from tests.benchmarks.lab import Lab
from tests.benchmarks.peers import Found, Peer, Task, afetch_command, read_records
from tests.benchmarks.race import Race, json_reply, run_race
from tests.benchmarks.report import Plan, Report

TITLE = "1 KB of JSON from one host, 50 at a time, in each format"

COUNT = 100_000
SLOTS = 50

SUFFIXES = (
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".json",
    ".txt",
    ".csv",
    ".tsv",
    ".sqlite",
    ".parquet",
    ".warc",
    ".warc.gz",
)


class Line(msgspec.Struct):
    """What is looked at of a record."""

    url: str
    status: int | None
    bytes: int
    sha256: str | None


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every format over the same list."""
    source = lab.list_of(lab.url(f"/json/{number}") for number in range(plan.count(COUNT)))
    peers = [_peer(suffix) for suffix in SUFFIXES]
    race = Race(Task(source, lab.folder / "run", SLOTS), json_reply, peers=peers, base=SUFFIXES[0])
    run_race(race, plan, report)


def _peer(suffix: str) -> Peer:
    """afetch, which writes a file with this suffix."""
    return Peer(
        suffix,
        lambda task: [*afetch_command(task), "-o", str(task.out.with_suffix(suffix))],
        lambda out: _READERS.get(suffix, _past)(out.with_suffix(suffix)),
        installed=(lambda: importlib.util.find_spec("pyarrow") is not None) if suffix == ".parquet" else lambda: True,
    )


def _json(path: Path) -> Iterator[Found]:
    for line in msgspec.json.decode(path.read_bytes(), type=list[Line]):
        yield Found(line.url, line.status, line.bytes, line.sha256)


def _text(path: Path) -> Iterator[Found]:
    with path.open() as lines:
        for line in lines:
            status, size, _, url, _ = line.split("\t")
            yield Found(url, int(status), int(size), None)


def _past(path: Path) -> Iterator[Found]:
    """As a run that goes on reads what it has done."""
    [place] = OutputConfig(output=(str(path),)).places
    past = SINKS[place.format].past
    assert past is not None
    for entry in past(Left(str(path), place.packing), Shape()).entries():
        yield Found(entry.url, entry.status, None, None)


_READERS: dict[str, Callable[[Path], Iterator[Found]]] = {".jsonl": read_records, ".json": _json, ".txt": _text}
