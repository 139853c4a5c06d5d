"""Owns the question what it takes to know which entries repeat an earlier one. Nothing is fetched."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from time import perf_counter

from fetcher.settings import Settings
from fetcher.sources.protocol import Source
from fetcher.sources.reader import Feed
from fetcher.sources.unique import Unique
from tests.benchmarks.bench_resume import BOUND
from tests.benchmarks.lab import Lab
from tests.benchmarks.processes import measure
from tests.benchmarks.report import MB, Plan, Report

TITLE = "microseconds an entry and memory to read ten million, without --unique and with it"

COUNT = 10_000_000
REPEATED = 10
"""One entry of so many is there already."""


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """One list, in two processes."""
    count = plan.count(COUNT, REPEATED)
    last = REPEATED - 1
    numbers = (number - last if number % REPEATED == last else number for number in range(count))
    source = lab.list_of(f"https://host-{number % 1000}.example/items/{number}" for number in numbers)
    plain, base, _ = _read(lab, source, "all")
    micros, peak, dropped = _read(lab, source, "unique")
    report.row(
        entries=count,
        verified=count - abs(dropped - count // REPEATED),
        dropped=dropped,
        microseconds_to_read=plain,
        microseconds_with_unique=micros,
        peak_MB=peak / MB,
        for_unique_MB=(peak - base) / MB,
        held="yes" if peak <= BOUND and dropped == count // REPEATED else "NO",
    )


def _read(lab: Lab, source: Path, which: str) -> tuple[float, int, int]:
    """Microseconds an entry, the process's peak in bytes, and how many entries were dropped."""
    out = lab.folder / "unique.txt"
    usage = measure([sys.executable, "-m", "tests.benchmarks.bench_unique", str(source), which], out=out)
    micros, dropped = out.read_text().split()
    return float(micros), usage.peak, int(dropped)


async def read(path: str, *, unique: bool) -> tuple[float, int]:
    """Microseconds an entry to read a list, and how many were dropped."""
    source: Source = Feed((path,), Settings())
    if unique:
        source = Unique(source)
    begun = perf_counter()
    kept = 0
    async for batch in source.batches():
        kept += len(batch)
    spent = perf_counter() - begun
    dropped = source.dropped if isinstance(source, Unique) else 0
    return spent / (kept + dropped) * 1e6, dropped


if __name__ == "__main__":
    print(*asyncio.run(read(sys.argv[1], unique=sys.argv[2] == "unique")))
