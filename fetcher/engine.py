"""
Owns the workers: who makes the next hop, and when the run is over.

Workers fan out under `asyncio.gather`; a semaphore as large as the connector's limit is the number of slots, so nobody
ever queues inside aiohttp, whose timeouts would run meanwhile (aiohttp issue 10313). A slot is held around the exchange
only. Idle workers wait in a line; one timer stands at the time when the next job is due; a worker that finds more due
than it can do wakes the next one. What a hop means is the policy's matter, which job is due the frontier's, whether
there is a network the outage's: here they are put together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Protocol

from msgspec.structs import replace

from fetcher.client.exchange import Client
from fetcher.client.keeping import Folder
from fetcher.client.names.tally import Lookups
from fetcher.errors import ErrorKind
from fetcher.frontier.frontier import Frontier, Waits
from fetcher.hosts import Hosts
from fetcher.model import Error, Hop, Job, News, Request, Result, Url, Word
from fetcher.outage import NO_RULING, Ended, Outage, Ruling
from fetcher.policy import NOTHING, Again, Policy, first_job, given_up, unsent
from fetcher.robots import PATH, Robots
from fetcher.seats import Seats
from fetcher.settings import Settings
from fetcher.sources.protocol import Source
from fetcher.tuner import Found, Tuner

log = logging.getLogger(__name__)

# A module's name is looked up at a third of what an Enum's member costs.
UNCONNECTED = Word.UNCONNECTED

GRACE = 5.0
"""Seconds that requests under way have when the run is stopped."""

CLOSING = 1.0
"""Seconds that connections may take to close."""

REFILL = 256
"""Places that must be free in a full window before the source is asked again: waking it for one is waste."""

SOON = 10.0
"""Seconds within which a next job tells what failures to connect meant: under a rate hardly any is ever under way."""

SILENT = frozenset({ErrorKind.READ_TIMEOUT, ErrorKind.TIMEOUT, ErrorKind.TOO_SLOW})
"""What happens to connections that are older than an outage: nothing that gets through."""


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

    Args:
        folder: Where bodies are written that go to files; None where they are for records.
        own: How many of the slots are ours at first, where others have the rest.

    Attributes:
        taken: Entries read from the source.
        delivered: Results put into the outlet. When a run ended by itself, the same number.
        in_flight: Exchanges under way.
        elsewhere: Asked of each job that a redirect has led to another host; True if somebody else goes on with it.
        on_given: Told how many slots are not ours any more, because we were to have fewer.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        outlet: Outlet,
        *,
        policy: Policy | None = None,
        notice: Callable[[str], None] = log.warning,
        clock: Callable[[], float] = perf_counter,
        folder: Folder | None = None,
        own: int | None = None,
    ) -> None:
        hosts = Hosts(settings)
        self._settings = settings
        self._source = source
        self._outlet = outlet
        self._policy = policy or Policy(settings, hosts)
        self._notice = notice
        self._clock = clock
        self._frontier = Frontier(settings, hosts)
        self._outage = Outage(settings, settings.slots, clock())
        self._robots = Robots(settings.sent_user_agent) if settings.robots else None
        self._loop = asyncio.get_running_loop()
        self._own = self._aim = settings.slots if own is None else own
        self._slots = asyncio.Semaphore(self._own)
        self._client = Client(
            settings,
            hosts=hosts,
            names=settings,
            wanted=lambda origin: self._frontier.expects(origin.host),
            notice=notice,
            folder=folder,
        )
        self._tuner = Tuner(settings.slots, clock()) if settings.concurrency == "auto" else None
        self._seats = Seats(settings.slots)
        if self._tuner is not None:
            self._move(self._tuner.limit)
        elif self._own < settings.slots:
            self._move(self._own)
        self._giver: asyncio.Task[None] | None = None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._room = asyncio.Event()
        self._refill = min(REFILL, settings.window)
        self._freed = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._feeder: asyncio.Task[None] | None = None
        self._workers: list[asyncio.Task[None]] = []
        self._input_closed = False
        self._stopping = False
        self._aborted = False
        self._source_error: Exception | None = None
        self._grace: asyncio.TimerHandle | None = None
        self.elsewhere: Callable[[Job], bool] | None = None
        self.on_given: Callable[[int], object] | None = None
        self.taken = 0
        self.delivered = 0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        """Jobs that wait for a later time, or for their host's."""
        return self._frontier.waiting

    @property
    def idle(self) -> bool:
        """Whether a worker has nothing to do."""
        return bool(self._idle)

    @property
    def waits(self) -> Waits:
        """What was waited for so far."""
        return self._frontier.waits

    @property
    def outage(self) -> Outage:
        """Whether there is a network, and how long there was none."""
        return self._outage

    @property
    def offline(self) -> float:
        """Seconds for which there was no network."""
        return self._outage.lasted

    @property
    def tuned(self) -> Found | None:
        """How many at once did best; None where that was not to be found out."""
        return self._tuner.found if self._tuner is not None else None

    @property
    def lookups(self) -> Lookups:
        """What the lookups of names came to so far."""
        return self._client.lookups

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
            SinkError: The cookies of the run cannot be kept.
        """
        self._feeder = self._loop.create_task(self._feed(), name="afetch-feeder")
        self._workers = [
            self._loop.create_task(self._work(number), name=f"afetch-worker-{number}")
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
            if self._giver is not None:
                tasks.append(self._giver)
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
        self._client.save()
        if self._source_error is not None:
            raise self._source_error

    def stop(self, grace: float) -> None:
        """Begin nothing new; what is under way has `grace` seconds."""
        if self._stopping:
            return
        self._stopping = True
        if self._feeder is not None:
            self._feeder.cancel()
        self._dismiss()
        self._grace = self._loop.call_later(grace, self.abort)

    def abort(self) -> None:
        """End what is under way, now."""
        self._stopping = self._aborted = True
        if self._feeder is not None:
            self._feeder.cancel()
        for worker in self._workers:
            worker.cancel()

    @property
    def frontier(self) -> Frontier:
        """What is due."""
        return self._frontier

    def take_over(self, job: Job) -> None:
        """Go on with a job that was begun elsewhere. For somebody who keeps the source open."""
        self._admit(job, 0.0)
        self._wake()

    def spare(self, most: int) -> list[int]:
        """The indexes of entries that are not begun, and that somebody else does from now on."""
        spared = [job.request.index for job in self._frontier.spare(most, self._clock())]
        self.taken -= len(spared)
        self._room.set()
        return spared

    def allot(self, more: int, aim: int) -> None:
        """So many slots `more` are ours. Of all that we have then, those beyond `aim` are given up as they get free."""
        self._own += more
        self._aim = aim
        for _ in range(more):
            self._slots.release()
        if self._stopping:
            return
        self._move(aim)
        self._wake()
        if self._own > aim and (self._giver is None or self._giver.done()):
            self._giver = self._loop.create_task(self._give_up(), name="afetch-giver")

    async def _give_up(self) -> None:
        """
        Slots that are not to be ours any more. A permit that is taken here is nobody's: whoever works has one each, so
        never more are under way than are ours.
        """
        while self._own > self._aim:
            await self._slots.acquire()
            if self._own <= self._aim:
                self._slots.release()
                return
            self._own -= 1
            if self.on_given is not None:
                self.on_given(1)

    def allot_rate(self, rate: float) -> None:
        """From now on so many requests a second of the run's are ours."""
        now = self._clock()
        self._frontier.allot(rate, now)
        if self._idle:
            self._arm(now)

    def allot_limit_rate(self, rate: float) -> None:
        """From now on so many bytes a second of the run's are ours."""
        self._client.allot(rate)

    @property
    def paced(self) -> bool:
        """Whether it is the run's rate that lets somebody wait."""
        return self.idle and self._frontier.paced(self._clock())

    @property
    def throttled(self) -> bool:
        """Whether it is the run's bytes a second that let somebody wait."""
        return self._client.throttled

    def written(self, size: int, _count: int = 0) -> None:
        """Bodies of `size` bytes in all have left the outlet, with so many results."""
        self._client.budget.give(size)

    async def _feed(self) -> None:
        """Entries of the source into the frontier, as far ahead as its window allows."""
        frontier, outlet = self._frontier, self._outlet
        try:
            async for batch in self._source.batches():
                room = 0
                for request in batch:
                    # Nobody else comes in between, but for the robots.txt that an entry may need first.
                    if room <= 0 or self._robots is not None:
                        if frontier.room() <= 0 or outlet.full():
                            self._wake()
                            await self._wait_for_room()
                        room = frontier.room()
                        now = self._clock()
                    room -= 1
                    self._take(request, now)
                self._wake()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except Exception as error:  # noqa: BLE001 - a library's user has a list of any kind; it is raised at the end
            self._source_error = error
        finally:
            self._input_closed = True
            if len(self._frontier):
                self._wake_all()
            else:
                # Where no slot is ours no worker looks whether there is anything left.
                self._dismiss()

    def _take(self, request: Request, now: float) -> None:
        self.taken += 1
        if request.url is None:
            self._deliver(unsent(request, request.error or Error(ErrorKind.INTERNAL, "an entry without a URL")))
        else:
            self._admit(first_job(request, request.url, now), 0.0)

    def _admit(self, job: Job, due: float, *, behind: bool = False) -> None:
        """A job into the frontier, if it may go."""
        if self._robots is not None and not job.request.ours and not self._allowed(self._robots, job):
            return
        self._frontier.add(job, due, behind=behind)
        if self._frontier.fallen:
            self._bury()

    def _allowed(self, robots: Robots, job: Job) -> bool:
        """Whether a job may go. One that may not has its result, or waits until its origin's robots.txt is there."""
        origin = job.url.origin
        now = self._clock()
        if not robots.knows(origin, now):
            if self._frontier.shelve(job):
                request = robots.request(origin)
                # A redirect may have led here, and nothing of the user's is for whom it leads to.
                asked = replace(first_job(request, Url(origin, PATH), now), trusted=False)
                self._frontier.add(asked, 0.0)
                if self._frontier.fallen:
                    self._bury()
            return False
        refusal = robots.refusal(job.url)
        if refusal is not None:
            self._deliver(given_up(job, refusal))
        return refusal is None

    def _learn(self, robots: Robots, result: Result) -> None:
        """A robots.txt is there, or will not be: those that wait for it go, or not."""
        if result.hop is not None and result.hop.body:
            self._client.budget.give(len(result.hop.body))
        if result.request.url is None or self._stopping:
            return
        origin = result.request.url.origin
        down = result.hop is None and result.error is not None and result.error.kind == ErrorKind.HOST_DOWN
        if not down:
            now = self._clock()
            robots.learn(origin, result, now)
            delay = robots.delay(origin)
            if delay:
                self._frontier.slow(origin.host, delay, now)
        for job in self._frontier.unshelve(origin.text):
            if down or self._allowed(robots, job):
                self._frontier.add(job, 0.0)
        if self._idle:
            self._wake()

    def _bury(self) -> None:
        """Deliver what the frontier has given up."""
        while self._frontier.fallen:
            fallen, self._frontier.fallen = self._frontier.fallen, []
            for job, error in fallen:
                self._finish(given_up(job, error))

    def _finish(self, result: Result) -> None:
        """A result goes to whom it is for."""
        if not result.request.ours:
            self._deliver(result)
        elif self._robots is not None:
            self._learn(self._robots, result)

    async def _wait_for_room(self) -> None:
        if self._frontier.room() <= 0:
            self._room.clear()
            await self._room.wait()
        if self._outlet.full():
            await self._outlet.room()

    async def _work(self, number: int) -> None:
        """
        One job after the other. The permit is kept while there is another: what lies between two exchanges waits for
        nobody.
        """
        slots, seats, outlet, tuner, clock = self._slots, self._seats, self._outlet, self._tuner, self._clock
        exchange = self._client.exchange
        try:
            while True:
                if number >= seats.limit:
                    # It may have been woken for something that it leaves to others.
                    self._wake()
                    await seats.wait(number)
                job = None
                # Since when it has been at it without a pause: what comes between two exchanges is part of what a reply
                # takes.
                since = 0.0
                async with slots:
                    while number < seats.limit:
                        job = self._next()
                        if job is None:
                            break
                        self.in_flight += 1
                        began = clock()
                        try:
                            hop = await exchange(job)
                        except Exception as exc:  # noqa: BLE001 - one job's trouble with our own bug is not the others'
                            hop = _bug(job, exc)
                        finally:
                            self.in_flight -= 1
                        since = self._settle(job, hop, began, since or began)
                        # Kept until the next hop is whole, its body would be one beyond the budget, in each slot.
                        del hop
                        if outlet.full():
                            break
                if job is None:
                    # Who has lost its seat meanwhile was woken for something that it leaves to others.
                    if number < seats.limit and not await self._rest():
                        return
                elif outlet.full():
                    if tuner is not None:
                        tuner.starved()
                    await outlet.room()
        except asyncio.CancelledError:
            if not self._aborted:
                raise

    def _next(self) -> Job | None:
        """The next job that is due now."""
        if self._stopping:
            return None
        now = self._clock()
        outage = self._outage
        if outage.since is not None:
            due = outage.next_try()
            if due is None or due > now:
                return None
        frontier = self._frontier
        job = frontier.take(now)
        if frontier.fallen:
            self._bury()
        if job is None:
            return None
        if outage.since is not None:
            outage.tries(job)
        elif self._idle:
            due = frontier.next_due()
            if due is not None and due <= now:
                self._wake()
            else:
                # Whoever was woken for this job goes to fetch it, and the timer has rung.
                self._arm(now)
        return job

    async def _rest(self) -> bool:
        """Return when there may be something to do; False when there will be nothing any more."""
        if self._stopping:
            return False
        if self._tuner is not None:
            self._tuner.starved()
        now = self._clock()
        if not self.in_flight and self._outage.doubts and (self._frontier.next_due() or inf) - now > SOON:
            self._rule(self._outage.idle(now), now)
            return True
        if self._input_closed:
            if not len(self._frontier):
                self._dismiss()
                return False
        elif self._frontier.room() > 0 or (self._outage.since is None and self._frontier.widen(now)):
            # Who has nothing to do does not wait until many places are free.
            self._room.set()
        self._arm(now)
        waiter = self._loop.create_future()
        self._idle.append(waiter)
        await waiter
        return True

    def _settle(self, job: Job, hop: Hop, began: float, since: float) -> float:
        """
        What comes after a hop, as soon as it is known whether the host or the network is to blame. When it was over.

        Args:
            since: Since when its worker has been at it.
        """
        now = self._clock()
        news = self._policy.news(hop)
        if self._tuner is not None:
            self._tune(self._tuner, hop, news, now, now - since)
        outage = self._outage
        if news.word is UNCONNECTED:
            self._rule(outage.failed(Ended(job, hop, news, now - began), now), now)
        else:
            mute = news is NOTHING or (hop.error is not None and hop.error.kind in SILENT)
            ruling = outage.aside(job) if mute else outage.through(job.url.origin.host, now, now - began)
            if ruling is not NO_RULING:
                self._rule(ruling, now)
            self._conclude(job, hop, news, now - began, now)
        self._freed += 1
        if self._freed >= self._refill:
            self._make_room()
        return now

    def _make_room(self) -> None:
        """Ask the source for more, if it waits for places and enough are free."""
        if not self._room.is_set():
            if self._frontier.room() < self._refill:
                return
            self._room.set()
        self._freed = 0

    def _rule(self, ruling: Ruling, now: float) -> None:
        """Do as the outage says."""
        for job, hop, news, elapsed in ruling.settled:
            self._conclude(job, hop, news, elapsed, now)
        for job, _, _, elapsed in ruling.returned:
            self._frontier.done(job, now, elapsed, NOTHING)
            if not self._stopping:
                self._admit(job, 0.0, behind=True)
        if ruling.note is not None:
            self._notice(ruling.note)
        if self._idle:
            self._arm(now)
            self._wake()

    def _conclude(self, job: Job, hop: Hop, news: News, elapsed: float, now: float) -> None:
        """A hop counts: its job has a result, or comes back."""
        outcome = self._policy.decide(job, hop)
        self._frontier.done(job, now, elapsed, news)
        if isinstance(outcome, Result):
            if self._robots is None:
                self._deliver(outcome)
            else:
                self._finish(outcome)
        else:
            held = hop.held
            if held:
                self._client.budget.give(held)
            if not self._stopping:
                self._give_back(outcome, now)
        if self._frontier.fallen:
            self._bury()

    def _give_back(self, again: Again, now: float) -> None:
        if self.elsewhere is not None and not again.wait and again.job.hops and self.elsewhere(again.job):
            return
        due = now + again.wait
        # A refused job is due when its host is, which the frontier knows.
        self._admit(replace(again.job, due=due), 0.0 if again.behind or not again.wait else due, behind=again.behind)
        if self._idle:
            self._arm(now)

    def _deliver(self, result: Result) -> None:
        self.delivered += 1
        self._outlet.put(result)

    def _arm(self, now: float) -> None:
        """Let the one timer stand at the time when the next job is due."""
        due = self._frontier.next_due()
        if due is not None and self._outage.since is not None:
            tries = self._outage.next_try()
            due = None if tries is None else max(due, tries)
        if due is None or due == 0.0:
            return
        if self._alarm is not None:
            if due >= self._alarm_at:
                return
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.call_later(max(0.0, due - now), self._ring)

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

    def _dismiss(self) -> None:
        """Let every worker look, and go home: there is nothing to do any more."""
        slots = self._settings.slots
        if self._own < slots:
            # They wait for slots that are others', only to see that there is nothing to do.
            self._own = self._aim = slots
            for _ in range(slots):
                self._slots.release()
        self._seats.move(slots)
        self._wake_all()

    def _tune(self, tuner: Tuner, hop: Hop, news: News, now: float, elapsed: float) -> None:
        """Let as many work from now on as did best so far, or are to be tried."""
        if hop.error is not None and hop.error.kind == ErrorKind.LOCAL:
            tuner.short(now, elapsed)
        else:
            failed = news.word is not Word.SERVED or (hop.status or 0) >= 500
            tuner.ended(now, elapsed, hop.wire_size, failed=failed)
        if tuner.limit != self._seats.limit and not self._stopping:
            self._move(tuner.limit)

    def _move(self, limit: int) -> None:
        self._seats.move(limit)
        self._client.slots = limit


def _bug(job: Job, exc: Exception) -> Hop:
    """The hop of an exchange that raised, which none does."""
    log.debug("while fetching %s", job.url, exc_info=exc)
    return Hop(
        job.url, job.method, None, Error(ErrorKind.INTERNAL, f"a bug of ours: {type(exc).__name__}: {exc}"), 0.0, 0.0
    )
