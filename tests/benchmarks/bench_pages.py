"""Owns the race over pages: HTML in gzip, by TLS, from many hosts in no order."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

from tests.benchmarks.lab import Lab, digest
from tests.benchmarks.peers import CURL, Task, name_of
from tests.benchmarks.race import Body, Floor, Race, run_race
from tests.benchmarks.report import Plan, Report

TITLE = "53 KB of HTML in gzip, by TLS, from 200 hosts in no order, 50 at a time"

COUNT = 4_000
HOSTS = 200
PAGES = 20
"""Pages that differ; each host has all of them."""

SIZE = 53_000
SLOTS = 50

WORDS = ("fetch", "hosts", "pages", "names", "under", "these", "lines", "words", "quick", "brown")


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer over the same list."""
    hosts = lab.hosts(plan.count(HOSTS))
    lab.secure(hosts)
    expected = _serve_pages(lab)
    urls = [
        lab.url(f"/{number % PAGES}.html?{number}", hosts[number % len(hosts)], secure=True)
        for number in range(plan.count(COUNT))
    ]
    random.Random(0).shuffle(urls)
    task = Task(lab.list_of(urls), lab.folder / "run", SLOTS, authority=lab.authority)
    run_race(Race(task, expected, {CURL: Floor(1.2)}), plan, report)


def _serve_pages(lab: Lab) -> Callable[[str], Body]:
    """What each URL brings."""
    chance = random.Random(0)
    bodies = {}
    for number in range(PAGES):
        paragraphs = "".join(f"<p>{' '.join(chance.choices(WORDS, k=20))}</p>\n" for _ in range(SIZE // 128))
        page = f"<!doctype html><title>Page {number}</title>\n{paragraphs}".ljust(SIZE)[:SIZE].encode()
        packed = gzip.compress(page)
        lab.serve(f"{number}.html", packed)
        bodies[f"{number}.html"] = Body(digest(page), len(page), len(packed))
    return lambda url: bodies[name_of(url).partition("?")[0]]
