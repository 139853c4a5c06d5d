"""Owns the race over a few large bodies, each of which is to be a file."""

from __future__ import annotations

import random

from tests.benchmarks.lab import Lab, digest
from tests.benchmarks.peers import CURL, Task
from tests.benchmarks.race import Body, Floor, Race, run_race
from tests.benchmarks.report import MB, Plan, Report

TITLE = "8 bodies of 128 MB, each to a file, 4 at a time; afetch hashes them, too"

COUNT = 8
SIZE = 128 * MB
SLOTS = 4


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer that writes files, over the same list."""
    noise = random.Random(0).randbytes(MB)
    size = plan.count(SIZE)
    content = (noise * (size // len(noise) + 1))[:size]
    body = Body(digest(content), size)
    source = lab.list_of(lab.url(lab.serve(f"{number}.bin", content)) for number in range(COUNT))
    task = Task(source, lab.folder / "run", SLOTS, files=True)
    run_race(Race(task, lambda _url: body, {CURL: Floor()}), plan, report)
