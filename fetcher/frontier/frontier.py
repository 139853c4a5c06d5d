"""
Owns which job is due next. Never sleeps, never asks the time: the clock's reading comes in by the door.

Mercator's frontier (Heydon and Najork, "Mercator: A scalable, extensible web crawler", 1999) with a bounded
look-ahead: a queue per host, turns among the hosts that have something due, and a heap of what is due later. A list
sorted by host is fetched as evenly as a shuffled one, and a job that waits (for a retry, for a host) holds nothing but
its place.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from fetcher.frontier.config import FrontierConfig
from fetcher.model import Job


class Frontier:
    """
    The jobs of a run that are not done.

    A job is in one of three places: its host's queue (it may go now), the heap of later ones, or under way. A host's
    queue is dropped when it is empty, so memory is in the jobs, not in the hosts ever seen.
    """

    def __init__(self, config: FrontierConfig) -> None:
        self._window = config.window
        self._queues: dict[str, deque[Job]] = {}
        self._turns: deque[str] = deque()
        self._later: list[tuple[float, int, Job]] = []
        self._queued = 0
        self._sequence = 0
        self._under_way = 0

    def __len__(self) -> int:
        """Jobs not done: queued, waiting and under way."""
        return self._queued + len(self._later) + self._under_way

    @property
    def waiting(self) -> int:
        """Jobs that are due later."""
        return len(self._later)

    def room(self) -> int:
        """How many more jobs may be looked at now."""
        return max(0, self._window - len(self))

    def expects(self, host: str) -> bool:
        """Whether a job for a host is queued, so that a connection there is worth keeping."""
        return host in self._queues

    def add(self, job: Job, due: float) -> None:
        """Take a job in, to go at `due` or after; one whose time has come waits for its host's turn only."""
        if due > 0.0:
            self._sequence += 1
            heappush(self._later, (due, self._sequence, job))
        else:
            self._enqueue(job)

    def take(self, now: float) -> Job | None:
        """The next job, which is then under way until it is `done`; None if none is due yet."""
        later = self._later
        while later and later[0][0] <= now:
            self._enqueue(heappop(later)[2])
        if not self._turns:
            return None
        host = self._turns.popleft()
        queue = self._queues[host]
        job = queue.popleft()
        if queue:
            self._turns.append(host)
        else:
            del self._queues[host]
        self._queued -= 1
        self._under_way += 1
        return job

    def next_due(self) -> float | None:
        """When to come back: 0.0 for now, None if nothing is queued or waiting."""
        if self._turns:
            return 0.0
        return self._later[0][0] if self._later else None

    def done(self, _job: Job) -> None:
        """A job is no longer under way: it has its result, or was given back by `add`."""
        self._under_way -= 1

    def _enqueue(self, job: Job) -> None:
        queue = self._queues.get(job.host)
        if queue is None:
            queue = self._queues[job.host] = deque()
            self._turns.append(job.host)
        queue.append(job)
        self._queued += 1
