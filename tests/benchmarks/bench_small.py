"""Owns the race over many small replies: afetch beside what its users would reach for instead, in turns."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from tests.benchmarks.lab import Lab, digest, json_body
from tests.benchmarks.peers import PEERS, Peer
from tests.benchmarks.processes import measure
from tests.benchmarks.report import MB, Plan, Report, spread

TITLE = "1 KB of JSON from one host, keep-alive, 50 at a time; ratios are of rates within one round"

COUNT = 100_000
RUNS = 3
SLOTS = 50


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every peer once a round; then medians, and what afetch's rate was to each one's."""
    count = plan.count(COUNT)
    urls = [lab.url(f"/json/{number}") for number in range(count)]
    source = lab.list_of(urls)
    peers = [peer for peer in PEERS if peer.installed()]
    rates: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for number in range(plan.runs or RUNS):
        # Whoever goes first finds another machine than whoever goes last.
        for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
            rates[peer.name].append(_race(lab, report, peer, source, count))
    own = rates["afetch"]
    for name, theirs in rates.items():
        ratios = [mine / other for mine, other in zip(own, theirs, strict=True)]
        report.row(
            fetcher=f"{name:>14}",
            rounds=len(theirs),
            median_per_second=statistics.median(theirs),
            afetch_is_times_as_fast=spread(ratios),
        )


def _race(lab: Lab, report: Report, peer: Peer, source: Path, count: int) -> float:
    out = lab.folder / "out"
    usage = measure(peer.command(source, out, SLOTS), out=out if peer.to_output else None)
    right = _verified(peer, out, count)
    out.unlink()
    rate = count / usage.elapsed
    report.row(
        fetcher=f"{peer.name:>14}",
        entries=count,
        verified=right,
        per_second=rate,
        seconds=usage.elapsed,
        cpu_seconds=usage.cpu,
        peak_MB=usage.peak / MB,
    )
    return rate


def _verified(peer: Peer, out: Path, count: int) -> int:
    """How many URLs have a line that says 200 and, where the peer hashes, the right sha256."""
    right = set()
    with out.open("rb") as file:
        for text in file:
            url, status, size, sha256 = peer.read(json.loads(text))
            body = json_body("/" + url.split("/", 3)[3])
            if status == 200 and size == len(body) and (sha256 is None or sha256 == digest(body)):
                right.add(url)
    return len(right) if len(right) <= count else 0
