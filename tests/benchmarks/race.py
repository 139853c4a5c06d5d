"""
Owns a race: everybody who is installed over one list, in turns, several rounds, and what afetch came to beside each.

What was not delivered, or not right, is in the figures of whoever did not deliver it.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.benchmarks.lab import digest, json_body
from tests.benchmarks.peers import AFETCH, PEERS, Found, Peer, Task
from tests.benchmarks.processes import Usage, measure
from tests.benchmarks.report import MB, Plan, Report, Row, spread

RUNS = 3


@dataclass(frozen=True)
class Body:
    """What a URL's reply brings: its sha256, and its size, which who does not decode counts as it came (`wire`)."""

    sha256: str
    size: int
    wire: int | None = None

    def is_what(self, found: Found) -> bool:
        """Whether it is this, as far as is told."""
        return (
            found.status == 200 and found.size in (None, self.size, self.wire) and found.sha256 in (None, self.sha256)
        )


def json_reply(url: str) -> Body:
    """What comes of a URL below /json/."""
    body = json_body("/" + url.split("/", 3)[3])
    return Body(digest(body), len(body))


@dataclass(frozen=True)
class Floor:
    """What is asked of afetch beside one peer: to be so many times as fast, or `seconds` beyond that."""

    ratio: float = 1.0
    seconds: float = 0.0

    def holds(self, own: Sequence[float], theirs: Sequence[float]) -> bool:
        """Whether the median round kept to it."""
        if self.seconds:
            return statistics.median(mine - other for mine, other in zip(own, theirs, strict=True)) <= self.seconds
        return statistics.median(other / mine for mine, other in zip(own, theirs, strict=True)) >= self.ratio

    def __str__(self) -> str:
        return f"+{self.seconds:g} s" if self.seconds else f"{self.ratio:g} x"


@dataclass(frozen=True)
class Race:
    """
    What everybody is to do.

    Attributes:
        task: As a peer is told it.
        expected: The body of each URL; None where there can be none.
        floors: By the peer's name.
        peak: Bytes that afetch may hold.
        peers: Who takes part, if they are installed.
        base: Whose times the ratios are to, and who has the floors to keep.
    """

    task: Task
    expected: Callable[[str], Body | None]
    floors: Mapping[str, Floor] = field(default_factory=dict)
    peak: int | None = None
    peers: Sequence[Peer] = PEERS
    base: str = AFETCH


@dataclass(frozen=True)
class Finish:
    """How one peer did in one round, and what part of the entries was right."""

    usage: Usage
    right: float


def run_race(race: Race, plan: Plan, report: Report) -> None:
    """Every peer once a round, each round another one first; then medians, and ratios of times within one round."""
    peers = [peer for peer in race.peers if peer.installed() and (peer.read or race.task.files)]
    finishes: dict[str, list[Finish]] = {peer.name: [] for peer in peers}
    count = sum(1 for _ in race.task.urls())
    for number in range(plan.runs or RUNS):
        # Whoever goes first finds another machine than whoever goes last.
        for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
            finishes[peer.name].append(_run(race, peer, count, report))
    for name, theirs in finishes.items():
        _compare(name, finishes[race.base], theirs, race, report)


def verify(task: Task, found: Iterable[Found], expected: Callable[[str], Body | None]) -> int:
    """How many entries have what is expected of them: the right body, or none. What nobody asked for makes it fewer."""
    told: dict[str, Found] = {}
    twice = 0
    for each in found:
        twice += each.url in told
        told[each.url] = each
    right = 0
    for url in task.urls():
        body, answer = expected(url), told.pop(url, None)
        right += body.is_what(answer) if body is not None and answer is not None else not (body or _came(answer))
    return right - twice - len(told)


def _came(answer: Found | None) -> bool:
    return answer is not None and answer.status == 200


def _run(race: Race, peer: Peer, count: int, report: Report) -> Finish:
    task = race.task
    task.place.mkdir()
    task.out.touch()
    if task.folder is not None:
        task.folder.mkdir()
    # Some say by their exit status that a URL failed. What came is looked at instead.
    usage = measure(peer.command(task), out=task.out if peer.to_output else None, status=None)
    right = verify(task, peer.found(task), race.expected)
    shutil.rmtree(task.place)
    report.row(
        fetcher=f"{peer.name:>14}",
        entries=count,
        verified=right,
        exit_status=usage.status,
        per_second=count / usage.elapsed,
        seconds=usage.elapsed,
        cpu_seconds=usage.cpu,
        peak_MB=usage.peak / MB,
    )
    return Finish(usage, right / count)


def _compare(name: str, own: Sequence[Finish], theirs: Sequence[Finish], race: Race, report: Report) -> None:
    mine = [finish.usage.elapsed for finish in own]
    times = [finish.usage.elapsed for finish in theirs]
    peak = max(finish.usage.peak for finish in theirs)
    floor, held = "", True
    if name in race.floors:
        floor, held = str(race.floors[name]), race.floors[name].holds(mine, times)
    elif name == race.base and race.peak is not None:
        floor, held = f"{race.peak / MB:g} MB", peak <= race.peak
    cells: Row = {
        "fetcher": f"{name:>14}",
        "rounds": len(theirs),
        "delivered": f"{min(finish.right for finish in theirs):.2%}",
        "median_seconds": statistics.median(times),
        "cpu_seconds": statistics.median(finish.usage.cpu for finish in theirs),
        "peak_MB": peak / MB,
        f"{race.base}_is_times_as_fast": spread([other / one for one, other in zip(mine, times, strict=True)]),
        "with_times_the_CPU": spread(
            [ours.usage.cpu / their.usage.cpu for ours, their in zip(own, theirs, strict=True)]
        ),
        "floor": floor,
        "held": ("yes" if held else "NO") if floor else "",
    }
    report.row(**cells)
