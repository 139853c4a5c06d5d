"""Owns the question whether memory grows with the list: with its length, and with its hosts."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tests.benchmarks.lab import Lab, digest, many_hosts
from tests.benchmarks.processes import measure
from tests.benchmarks.records import verified
from tests.benchmarks.report import MB, Plan, Report

TITLE = "peak of the real command over the length of the list, and over its hosts"

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
HOSTS = 50_000
BOUND = 30 * MB
"""What a million entries may need beyond a thousand."""


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Each length once; then a list of as many hosts as entries, beside the same length on one host."""
    base: int | None = None
    for whole in COUNTS:
        count = plan.count(whole)
        peak = _fetch(lab, report, "1", (lab.url(f"/tiny/{number}") for number in range(count)), count, base)
        base = base or peak
    if sys.platform == "linux":
        count = plan.count(HOSTS)
        _fetch(lab, report, "1", (lab.url(f"/tiny/{number}") for number in range(count)), count, base)
        _fetch(lab, report, f"{count:,}", (lab.url("/tiny/", host) for host in many_hosts(count)), count, base)


def _fetch(lab: Lab, report: Report, hosts: str, urls: Iterable[str], count: int, base: int | None) -> int:
    source = lab.list_of(urls)
    records = lab.folder / "records.jsonl"
    usage = measure([sys.executable, "-m", "fetcher", str(source), "-q", "-o", str(records), "-c", "50"])
    expected = digest("ok")
    right = verified(records, lambda _url: expected, count)
    source.unlink()
    records.unlink()
    more = usage.peak - (base or usage.peak)
    report.row(
        entries=count,
        hosts=hosts,
        verified=right,
        peak_MB=usage.peak / MB,
        above_first_MB=more / MB,
        held="yes" if more <= BOUND and right == count else "NO",
        seconds=usage.elapsed,
        per_second=count / usage.elapsed,
    )
    return usage.peak
