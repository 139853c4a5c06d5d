"""Owns the race over many small replies of one host."""

from __future__ import annotations

from tests.benchmarks.lab import Lab
from tests.benchmarks.peers import CURL, Task
from tests.benchmarks.race import Floor, Race, json_reply, run_race
from tests.benchmarks.report import Plan, Report

TITLE = "1 KB of JSON from one host, keep-alive, 50 at a time"

COUNT = 200_000
SLOTS = 50


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer over the same list."""
    source = lab.list_of(lab.url(f"/json/{number}") for number in range(plan.count(COUNT)))
    task = Task(source, lab.folder / "run", SLOTS)
    run_race(Race(task, json_reply, {CURL: Floor(1.15)}), plan, report)
