"""Owns the race over replies that come late, where everybody only waits: who adds to it?"""

from __future__ import annotations

from tests.benchmarks.lab import Lab, digest
from tests.benchmarks.peers import CURL, Task
from tests.benchmarks.race import Body, Floor, Race, run_race
from tests.benchmarks.report import Plan, Report
from tests.benchmarks.slow_server import BODY

TITLE = "replies after 100 ms from one host, 200 at a time; at the full size no less than 5.0 s"

COUNT = 10_000
DELAY = 0.1
SLOTS = 200


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer over the same list."""
    late = lab.late(DELAY)
    source = lab.list_of(f"{late}/{number}" for number in range(plan.count(COUNT)))
    body = Body(digest(BODY), len(BODY))
    race = Race(Task(source, lab.folder / "run", SLOTS), lambda _url: body, {CURL: Floor(seconds=0.1)})
    run_race(race, plan, report)
