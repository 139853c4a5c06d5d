"""Owns the race over a list as lists are: some hosts refuse, some do not exist, some take their time."""

from __future__ import annotations

import random

from tests.benchmarks import network
from tests.benchmarks.lab import Lab, digest
from tests.benchmarks.peers import AFETCH, PEERS, Task
from tests.benchmarks.race import Body, Floor, Race, json_reply, run_race
from tests.benchmarks.report import Plan, Report
from tests.benchmarks.slow_server import BODY

TITLE = "5% of the hosts refuse, 5% do not exist, 2% answer after 2 s; 50 at a time, no second tries"

COUNT = 4_000
HOSTS = 200
SLOTS = 50
REFUSED, MISSING, SLOW = 0.05, 0.05, 0.02
DELAY = 2.0
PATIENCE = 10


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer over the same list. Of what cannot be had nobody may say that it came."""
    count = plan.count(COUNT, SLOTS)
    refused, missing, slow = (max(1, int(count * part)) for part in (REFUSED, MISSING, SLOW))
    hosts = lab.hosts(plan.count(HOSTS))
    closed, late = lab.refused(), lab.late(DELAY)
    urls = [f"http://{host}:{closed}/refused" for host in lab.hosts(refused)]
    urls += [f"http://{network.missing_name(number)}:{lab.port}/missing" for number in range(missing)]
    urls += [f"{late}/{number}" for number in range(slow)]
    urls += [lab.url(f"/json/{number}", hosts[number % len(hosts)]) for number in range(count - len(urls))]
    random.Random(0).shuffle(urls)
    delayed = Body(digest(BODY), len(BODY))

    def expected(url: str) -> Body | None:
        if url.endswith(("/refused", "/missing")):
            return None
        return delayed if url.startswith(late) else json_reply(url)

    task = Task(lab.list_of(urls), lab.folder / "run", SLOTS, patience=PATIENCE)
    floors = {peer.name: Floor() for peer in PEERS if peer.name != AFETCH}
    run_race(Race(task, expected, floors), plan, report)
