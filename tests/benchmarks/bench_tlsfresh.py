"""Owns the race over hosts that are asked once: a lookup, a connection and a handshake for every URL."""

from __future__ import annotations

from tests.benchmarks.lab import Lab
from tests.benchmarks.peers import CURL, PYCURL, Task
from tests.benchmarks.race import Floor, Race, json_reply, run_race
from tests.benchmarks.report import MB, Plan, Report

TITLE = "one URL from each of 3,000 hosts, by name and TLS, 50 at a time"

COUNT = 3_000
SLOTS = 50
PEAK = 60 * MB


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer over the same list."""
    hosts = lab.hosts(plan.count(COUNT))
    lab.secure(hosts)
    source = lab.list_of(lab.url("/json/", host, secure=True) for host in hosts)
    task = Task(source, lab.folder / "run", SLOTS, authority=lab.authority)
    run_race(Race(task, json_reply, {CURL: Floor(1.2), PYCURL: Floor(0.75)}, PEAK), plan, report)
