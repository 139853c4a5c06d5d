"""Owns the question what the frontier costs a URL, however many hosts there are. Nothing is fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from time import perf_counter

from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import Frontier
from fetcher.model import Job, Origin, Request, Url
from fetcher.policy import SERVED
from tests.benchmarks.lab import Lab
from tests.benchmarks.processes import measure
from tests.benchmarks.report import MB, Plan, Report

TITLE = "microseconds a URL for add, take and done, with a window of 10,000"

JOBS = 1_000_000
HOSTS = (1, 1_000, 50_000, 1_000_000)
BATCH = 256
"""Entries that the engine reads at a time."""


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Each number of hosts in a process of its own, beside one of as few jobs as fill the window."""
    count = plan.count(JOBS)
    for whole in HOSTS:
        hosts = plan.count(whole)
        base = _simulate(lab, min(count, FrontierConfig().window), hosts)[1]
        micros, peak = _simulate(lab, count, hosts)
        report.row(
            jobs=count,
            hosts=hosts,
            microseconds=micros,
            peak_MB=peak / MB,
            above_one_window_MB=(peak - base) / MB,
        )


def _simulate(lab: Lab, count: int, hosts: int) -> tuple[float, int]:
    """Microseconds a URL, and the process's peak in bytes."""
    out = lab.folder / "frontier.txt"
    usage = measure([sys.executable, "-m", "tests.benchmarks.bench_frontier", str(count), str(hosts)], out=out)
    return float(out.read_text()), usage.peak


def simulate(count: int, hosts: int) -> float:
    """Seconds that the frontier took over `count` jobs in a list that goes round `hosts` hosts."""
    frontier = Frontier(FrontierConfig())
    source = _jobs(count, hosts)
    spent = 0.0
    while batch := list(islice(source, BATCH)):
        begun = perf_counter()
        for job in batch:
            if frontier.room() <= 0:
                _work(frontier, BATCH)
            frontier.add(job, 0.0)
        spent += perf_counter() - begun
    begun = perf_counter()
    _work(frontier, len(frontier))
    return spent + perf_counter() - begun


def _work(frontier: Frontier, count: int) -> None:
    for _ in range(count):
        job = frontier.take(1.0)
        if job is None:
            raise RuntimeError("a job is lost")
        frontier.next_due()
        frontier.done(job, 1.0, 0.0, SERVED)


def _jobs(count: int, hosts: int) -> Iterator[Job]:
    for number in range(count):
        host = f"host-{number % hosts}.example"
        url = Url(Origin("http", host, 80, f"http://{host}"), f"/{number}")
        yield Job(Request(number, str(url), url), url, "GET", None)


if __name__ == "__main__":
    total = int(sys.argv[1])
    print(simulate(total, int(sys.argv[2])) / total * 1e6)
