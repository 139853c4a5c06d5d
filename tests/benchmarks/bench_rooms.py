"""
Owns the question what a URL costs in each room, counted and not timed: bytecodes and calls of functions in Python.

They are the same on every machine of one version of Python, however busy it is, to a few in a thousand. What is done in
C (the sockets, the parser of heads, JSON, the hash) is not in them.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import fetcher
from tests.benchmarks.lab import Lab
from tests.benchmarks.processes import measure
from tests.benchmarks.report import Plan, Report

TITLE = "bytecodes and calls a URL in each room, for 1 KB of JSON from one host, 50 at a time"

FEW, MANY = 200, 1_200
"""What they differ by is counted, so that nothing of a run's beginning and end is."""

ROOMS = {
    "sources": ("sources/", "urls.py"),
    "frontier": ("frontier/",),
    "engine, policy, outage": ("engine.py", "policy.py", "outage.py", "terms.py"),
    "client, replies": ("client/reply.py", "client/heads.py", "client/framing.py"),
    "client, the rest, and aiohttp": ("client/", "hosts.py", "aiohttp/"),
    "stats, verdict, results": ("stats.py", "verdict.py", "model.py", "backends/"),
    "record, bodies": ("record.py", "bodies.py", "charsets.py"),
    "writer, sinks": ("sinks/",),
}
"""By how a file's name begins below the package; the first that fits counts."""

ELSEWHERE = "elsewhere"


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """One traced run of few URLs and one of many."""
    few, many = (_counted(lab, plan.count(count, least)) for count, least in ((FEW, 10), (MANY, 20)))
    between = plan.count(MANY, 20) - plan.count(FEW, 10)
    for room in (*ROOMS, ELSEWHERE, "all"):
        (bytecodes, calls), (before, called) = many[room], few[room]
        report.row(room=f"{room:>29}", bytecodes=(bytecodes - before) / between, calls=(calls - called) / between)


def _counted(lab: Lab, count: int) -> dict[str, tuple[int, int]]:
    """Bytecodes and calls by room, of a whole run over so many URLs."""
    source = lab.list_of((lab.url(f"/json/{number}") for number in range(count)), "rooms.txt")
    counts = lab.folder / "rooms.json"
    measure(
        [sys.executable, "-m", "tests.benchmarks.bench_rooms", str(source), str(lab.folder / "rooms.jsonl")], out=counts
    )
    rooms: dict[str, tuple[int, int]] = {}
    for name, (bytecodes, calls) in json.loads(counts.read_text()).items():
        for room in (_room(name), "all"):
            before, called = rooms.get(room, (0, 0))
            rooms[room] = before + bytecodes, called + calls
    return {room: rooms.get(room, (0, 0)) for room in (*ROOMS, ELSEWHERE, "all")}


def _room(name: str) -> str:
    return next((room for room, places in ROOMS.items() if name.startswith(places)), ELSEWHERE)


class Counting:
    """Counts what is traced, by the code that it belongs to."""

    def __init__(self) -> None:
        self.bytecodes: Counter[CodeType] = Counter()
        self.calls: Counter[CodeType] = Counter()

    def enter(self, frame: FrameType, _event: str, _what: object) -> Callable[..., Any]:
        """A function is called, or a coroutine goes on."""
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.calls[frame.f_code] += 1
        return self._step

    def _step(self, frame: FrameType, event: str, _what: object) -> Callable[..., Any]:
        self.bytecodes[frame.f_code] += event == "opcode"
        return self._step

    def by_file(self) -> dict[str, tuple[int, int]]:
        """Bytecodes and calls by file: ours below the package, others below where packages are."""
        ours = f"{Path(fetcher.__file__).parent}/"
        files: dict[str, tuple[int, int]] = {}
        for code, calls in self.calls.items():
            name = code.co_filename.removeprefix(ours).rpartition("site-packages/")[2]
            bytecodes, called = files.get(name, (0, 0))
            files[name] = bytecodes + self.bytecodes[code], called + calls
        return files


def _trace(source: str, out: str) -> dict[str, tuple[int, int]]:
    """What a run of the command counts to."""
    from fetcher.cli.launch import launch
    from fetcher.screen import ScreenConfig
    from fetcher.settings import Settings
    from fetcher.sinks import writer
    from fetcher.sinks.config import OutputConfig

    # Traced, all is slow, and the naps would be one for each record.
    writer.NAP = 0.5
    counting = Counting()
    threading.settrace(counting.enter)
    sys.settrace(counting.enter)
    try:
        launch((source,), Settings(), OutputConfig(output=(out,), overwrite=True), ScreenConfig(quiet=True))
    finally:
        sys.settrace(None)
        threading.settrace(None)
    return counting.by_file()


if __name__ == "__main__":
    print(json.dumps(_trace(*sys.argv[1:])))
