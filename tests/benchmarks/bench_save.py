"""Owns the race over many small bodies, each of which is to be a file."""

from __future__ import annotations

from tests.benchmarks.lab import Lab
from tests.benchmarks.peers import Task
from tests.benchmarks.race import Race, json_reply, run_race
from tests.benchmarks.report import Plan, Report

TITLE = "1 KB of JSON from one host, each to a file, 50 at a time"

COUNT = 50_000
SLOTS = 50


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer that writes files, over the same list."""
    source = lab.list_of(lab.url(f"/json/{number}") for number in range(plan.count(COUNT)))
    run_race(Race(Task(source, lab.folder / "run", SLOTS, files=True), json_reply), plan, report)
