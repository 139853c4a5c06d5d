"""
Owns the workers: who makes the next hop, and when the run is over.

Workers fan out under `asyncio.gather`; a semaphore as large as the connector's limit is the number of slots, so nobody
ever queues inside aiohttp, whose timeouts would run meanwhile (aiohttp issue 10313). A slot is held around the exchange
only. Idle workers wait in a line; one timer stands at the time when the next job is due; a worker that finds more due
than it can do wakes the next one. What a hop means is the policy's matter, which job is due the frontier's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from msgspec.structs import replace

from fetcher.client.exchange import Client
from fetcher.errors import ErrorKind
from fetcher.frontier.frontier import Frontier
from fetcher.model import Error, Hop, Job, Request, Result
from fetcher.policy import Again, Policy, first_job, unsent
from fetcher.settings import Settings
from fetcher.sources.protocol import Source

log = logging.getLogger(__name__)

CLOSING = 1.0
"""Seconds that connections may take to close."""

REFILL = 256
"""Places that must be free in a full window before the source is asked again: waking it for one is waste."""


class Outlet(Protocol):
    """Where results go."""

    def put(self, result: Result) -> None:
        """Take a result in; never blocks."""
        ...

    def full(self) -> bool:
        """Whether nothing new should be begun until there is room."""
        ...

    async def room(self) -> None:
        """Return when there is room again."""
        ...


class Engine:
    """
    One run of a list on one event loop.

    Attributes:
        taken: Entries read from the source.
        delivered: Results put into the outlet. When a run ended by itself, the same number.
        in_flight: Exchanges under way.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        outlet: Outlet,
        *,
        policy: Policy | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._settings = settings
        self._source = source
        self._outlet = outlet
        self._policy = policy or Policy(settings)
        self._clock = clock
        self._frontier = Frontier(settings)
        self._loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(settings.slots)
        self._client = Client(settings, wanted=lambda origin: self._frontier.expects(origin.host))
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._refill = min(REFILL, settings.window)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._feeder: asyncio.Task[None] | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._input_closed = False
        self._stopping = False
        self._aborted = False
        self._source_error: Exception | None = None
        self._grace: asyncio.TimerHandle | None = None
        self.taken = 0
        self.delivered = 0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """Jobs that wait for a later time."""
        return self._frontier.waiting

    @property
    def stopped(self) -> bool:
        """Whether the run was ended before its list was."""
        return self._stopping

    async def run(self) -> None:
        """
        Everything, from the first entry to the last result.

        Raises:
            Exception: Whatever the source raised before its end, `SourceError` where it is one of ours; what was read
                is done all the same.
        """
        self._feeder = self._loop.create_task(self._feed(), name="afetch-feeder")
        self._workers = [
            self._loop.create_task(self._work(), name=f"afetch-worker-{number}")
            for number in range(self._settings.slots)
        ]
        tasks = [self._feeder, *self._workers]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            # A task that was stopped before its first step is cancelled from outside.
            if not self._stopping:
                raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for timer in (self._alarm, self._grace):
                if timer is not None:
                    timer.cancel()
            try:
                await asyncio.wait_for(self._client.close(), CLOSING)
            except TimeoutError:
                log.debug("connections took longer than %g s to close", CLOSING)
        if self._source_error is not None:
            raise self._source_error

    def stop(self, grace: float) -> None:
        """Begin nothing new; what is under way has `grace` seconds."""
        if self._stopping:
            return
        self._stopping = True
        if self._feeder is not None:
            self._feeder.cancel()
        self._wake_all()
        self._grace = self._loop.call_later(grace, self.abort)

    def abort(self) -> None:
        """End what is under way, now."""
        self._stopping = self._aborted = True
        if self._feeder is not None:
            self._feeder.cancel()
        for worker in self._workers:
            worker.cancel()

    def written(self, size: int) -> None:
        """Bodies of `size` bytes in all have left the outlet."""
        self._client.budget.give(size)

    async def _feed(self) -> None:
        """Entries of the source into the frontier, as far ahead as its window allows."""
        try:
            async for batch in self._source.batches():
                for request in batch:
                    if self._frontier.room() <= 0 or self._outlet.full():
                        self._wake()
                        await self._wait_for_room()
                    self._take(request)
                self._wake()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except Exception as error:  # noqa: BLE001 - a library's user has a list of any kind; it is raised at the end
            self._source_error = error
        finally:
            self._input_closed = True
            self._wake_all()

    def _take(self, request: Request) -> None:
        self.taken += 1
        if request.url is None:
            self._deliver(unsent(request, request.error or Error(ErrorKind.INTERNAL, "an entry without a URL")))
        else:
            self._frontier.add(first_job(request, request.url, self._clock()), 0.0)

    async def _wait_for_room(self) -> None:
        if self._frontier.room() <= 0:
            self._room.clear()
            await self._room.wait()
        if self._outlet.full():
            await self._outlet.room()

    async def _work(self) -> None:
        try:
            while (job := await self._next()) is not None:
                async with self._slots:
                    self.in_flight += 1
                    try:
                        hop = await self._exchange(job)
                    finally:
                        self.in_flight -= 1
                self._settle(job, hop)
                # Kept until the next hop is whole, its body would be one beyond the budget, in each slot.
                del hop
                if self._outlet.full():
                    await self._outlet.room()
        except asyncio.CancelledError:
            if not self._aborted:
                raise

    async def _exchange(self, job: Job) -> Hop:
        try:
            return await self._client.exchange(job)
        except Exception as exc:
            log.debug("while fetching %s", job.url, exc_info=exc)
            error = Error(ErrorKind.INTERNAL, f"a bug of ours: {type(exc).__name__}: {exc}")
            return Hop(job.url, job.method, None, error, 0.0, 0.0)

    async def _next(self) -> Job | None:
        """The next job that is due, however long that takes; None when there will be none."""
        while not self._stopping:
            job = self._frontier.take(self._clock())
            if job is not None:
                if self._idle and self._frontier.next_due() == 0.0:
                    self._wake()
                return job
            if self._input_closed and not len(self._frontier):
                self._wake_all()
                return None
            self._arm()
            waiter = self._loop.create_future()
            self._idle.append(waiter)
            await waiter
        return None

    def _settle(self, job: Job, hop: Hop) -> None:
        """What comes after a hop."""
        outcome = self._policy.decide(job, hop)
        self._frontier.done(job)
        if isinstance(outcome, Result):
            self._deliver(outcome)
        else:
            if hop.body:
                self._client.budget.give(len(hop.body))
            if not self._stopping:
                self._give_back(outcome)
        if not self._room.is_set() and self._frontier.room() >= self._refill:
            self._room.set()

    def _give_back(self, again: Again) -> None:
        due = self._clock() + again.wait
        self._frontier.add(replace(again.job, due=due), due if again.wait > 0.0 else 0.0)
        self._arm()

    def _deliver(self, result: Result) -> None:
        self.delivered += 1
        self._outlet.put(result)

    def _arm(self) -> None:
        """Let the one timer stand at the time when the next job is due."""
        due = self._frontier.next_due()
        if due is None or due == 0.0:
            return
        if self._alarm is not None:
            if due >= self._alarm_at:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.call_later(max(0.0, due - self._clock()), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        # uvloop's clock has steps of a millisecond: it may be a little early, and whoever wakes arms it again.
        self._wake()

    def _wake(self) -> None:
        """Let one idle worker look; if more is due, it wakes the next."""
        while self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._idle:
            self._wake()
