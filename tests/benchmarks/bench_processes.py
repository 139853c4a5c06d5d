"""Owns the question what a second process brings where one is busy all the time."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from tests.benchmarks.lab import Lab, digest, json_body
from tests.benchmarks.processes import measure
from tests.benchmarks.records import verified
from tests.benchmarks.report import MB, Plan, Report, spread

TITLE = "--processes 2 beside one, 1 KB of JSON from one host, which is divided; at least 1.25 x is asked for"

COUNT = 200_000
RUNS = 5
SLOTS = 50
PROCESSES = (1, 2)


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """One and two in turns over the same list; then medians, and their ratio within a round."""
    count = plan.count(COUNT)
    source = lab.list_of(lab.url(f"/json/{number}") for number in range(count))
    rates: dict[int, list[float]] = {processes: [] for processes in PROCESSES}
    for number in range(plan.runs or RUNS):
        # Whoever goes first finds another machine than whoever goes last.
        for processes in PROCESSES if number % 2 else reversed(PROCESSES):
            rates[processes].append(_fetch(lab, report, processes, source, count))
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    report.row(
        rounds=len(ratios),
        one_per_second=statistics.median(rates[1]),
        two_per_second=statistics.median(rates[2]),
        ratio=spread(ratios),
    )


def _fetch(lab: Lab, report: Report, processes: int, source: Path, count: int) -> float:
    records = lab.folder / "records.jsonl"
    command = [sys.executable, "-m", "fetcher", str(source), "-q", "-o", str(records), "-c", str(SLOTS)]
    usage = measure([*command, "--processes", str(processes)])
    right = verified(records, _digest, count)
    records.unlink()
    rate = count / usage.elapsed
    report.row(
        processes=processes,
        entries=count,
        verified=right,
        per_second=rate,
        seconds=usage.elapsed,
        cpu_seconds=usage.cpu,
        peak_MB=usage.peak / MB,
    )
    return rate


def _digest(url: str) -> str:
    return digest(json_body("/" + url.split("/", 3)[3]))
