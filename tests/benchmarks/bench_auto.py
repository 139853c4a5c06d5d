"""Owns the question whether `-c auto` comes near the number that somebody who had tried them all would give."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.lab import Lab, digest, json_body
from tests.benchmarks.processes import measure
from tests.benchmarks.records import verified
from tests.benchmarks.report import Plan, Report
from tests.benchmarks.slow_server import BODY

TITLE = "-c auto beside fixed numbers, the start of the process included: 1 KB of JSON, and replies after 100 ms"

FIXED = (10, 20, 50, 100, 200, 400)
AUTO = "auto"
RUNS = 3

SMALL = 100_000
LATENCY = 10_000
DELAY = 0.1
"""Seconds until a reply of `latency` comes."""

FOUND = re.compile(r"([\d,]+) at once (?:did best|sufficed)")


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Both lists: every number once a round, `auto` among them; then medians, and what auto's is of the best."""
    late = lab.late(DELAY)
    delayed = digest(BODY.decode())
    _compare(lab, plan, report, "small", SMALL, lambda number: lab.url(f"/json/{number}"), _json_digest)
    _compare(lab, plan, report, "latency", LATENCY, lambda number: f"{late}/{number}", lambda _url: delayed)


def _compare(
    lab: Lab,
    plan: Plan,
    report: Report,
    name: str,
    whole: int,
    url: Callable[[int], str],
    expected: Callable[[str], str],
) -> None:
    count = plan.count(whole)
    source = lab.list_of(map(url, range(count)))
    slots = [*map(str, FIXED), AUTO]
    rates: dict[str, list[float]] = {value: [] for value in slots}
    for number in range(plan.runs or RUNS):
        # Whoever goes first finds another machine than whoever goes last.
        for value in slots[number % len(slots) :] + slots[: number % len(slots)]:
            rates[value].append(_fetch(lab, report, name, value, source, count, expected))
    medians = {value: statistics.median(found) for value, found in rates.items()}
    best = max(map(str, FIXED), key=lambda value: medians[value])
    report.row(
        list=f"{name:>8}",
        rounds=len(rates[AUTO]),
        best_fixed=best,
        its_median_per_second=medians[best],
        auto_median_per_second=medians[AUTO],
        auto_of_best=medians[AUTO] / medians[best],
    )


def _fetch(
    lab: Lab, report: Report, name: str, slots: str, source: Path, count: int, expected: Callable[[str], str]
) -> float:
    records = lab.folder / "records.jsonl"
    usage = measure(
        [sys.executable, "-m", "fetcher", str(source), "--no-progress", "-o", str(records), "-c", slots],
    )
    right = verified(records, expected, count)
    records.unlink()
    found = FOUND.search(usage.errors)
    rate = count / usage.elapsed
    report.row(
        list=f"{name:>8}",
        slots=f"{slots:>5}",
        found=found[1] if found is not None else None,
        entries=count,
        verified=right,
        per_second=rate,
        seconds=usage.elapsed,
        cpu_seconds=usage.cpu,
    )
    return rate


def _json_digest(url: str) -> str:
    return digest(json_body("/" + url.split("/", 3)[3]))
