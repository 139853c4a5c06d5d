"""
The frontier under random runs, beside a model of what it promises.

Nothing lost, nothing twice, never above a limit, never starved, never waiting while something is due, nothing kept of
hosts without jobs. The model knows each job's place, the limits, the holds and the breakers' states; of the frontier's
own tables it reads only whether they agree with each other.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import ceil, inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from fetcher.errors import ErrorKind
from fetcher.frontier.breaker import PROBES, Breaker
from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import WIDEST, Frontier
from fetcher.frontier.host import MEMORY
from fetcher.frontier.pace import CATCH_UP
from fetcher.hosts import HostConfig, Hosts, HostsConfig
from fetcher.model import Attempt, Job, News, Origin, Request, Url, Word

TICK = 1024
"""Steps of the clock in a second: a power of two, so that times can be added and taken away without a rest."""

ORIGINS = [
    Origin("http", host, port, f"http://{host}" if port == 80 else f"http://{host}:{port}")
    for host in ("a", "b", "c.x", "d.x")
    for port in (80, 81)
]
"""Two origins of each host name: they share its limits, and not its breakers."""

TABLES = HostsConfig(hosts={"a": HostConfig(concurrency=1), "*.x": HostConfig(concurrency=3, rate=2.0)})

CONFIGS = {
    "plain": (FrontierConfig(window=20), HostsConfig()),
    "plain, no breaker": (FrontierConfig(window=20, breaker=0), HostsConfig()),
    "breaker of two": (FrontierConfig(window=20, breaker=2), HostsConfig()),
    "breaker of one, no adapt": (FrontierConfig(window=20, breaker=1, adapt=False), HostsConfig()),
    "two a host": (FrontierConfig(window=20, per_host=2, breaker=2), HostsConfig()),
    "two a host, no adapt": (FrontierConfig(window=20, per_host=2, breaker=3, adapt=False), HostsConfig()),
    "slow": (FrontierConfig(window=20, rate=4.0, breaker=2), HostsConfig()),
    "slow hosts": (FrontierConfig(window=20, per_host_rate=2.0, breaker=2), HostsConfig()),
    "fast hosts": (FrontierConfig(window=20, per_host_rate=32.0, rate=64.0, breaker=0), HostsConfig()),
    "tables": (FrontierConfig(window=20, breaker=2), TABLES),
    "all at once": (FrontierConfig(window=20, per_host=4, rate=16.0, per_host_rate=8.0, breaker=2), TABLES),
    "a window of one": (FrontierConfig(window=1, per_host=1, breaker=1), HostsConfig()),
}

WAITS = (None, 0.0, 0.125, 1.0, 7.0, 60.0)
STEPS = (1 / TICK, 1 / 64, 0.125, 0.5, 1.0, 3.0, 30.0, 2 * MEMORY)


class Watch:
    """What the model knows of an origin's breaker."""

    def __init__(self) -> None:
        self.failures = 0
        self.opened: float | None = None
        self.due = 0.0
        self.probes = 0
        self.probe: int | None = None
        self.down = False


class Machine(RuleBasedStateMachine):
    """One frontier and its model."""

    @initialize(
        name=st.sampled_from(sorted(CONFIGS)),
        start=st.sampled_from([1.0, 1000.0]),
        # Few origins with many jobs meet their limits more often than many with few.
        origins=st.sampled_from([ORIGINS[:1], ORIGINS[:2], ORIGINS[2:4], ORIGINS[1:5], ORIGINS]),
    )
    def begin(self, name: str, start: float, origins: list[Origin]) -> None:
        self.origins = origins
        self.config, tables = CONFIGS[name]
        self.hosts = Hosts(tables)
        self.frontier = Frontier(self.config, self.hosts)
        self.now = start
        self.made = 0
        self.waiting: dict[int, tuple[Job, float]] = {}
        self.shelved: dict[int, Job] = {}
        self.under_way: dict[int, tuple[Job, float]] = {}
        self.ended: set[int] = set()
        self.takes: list[float] = []
        self.host_takes: dict[str, list[float]] = defaultdict(list)
        self.gaps: dict[str, float] = {}
        self.holds: dict[str, float] = defaultdict(float)
        self.refused_at: dict[str, float] = {}
        self.halved: dict[str, float] = defaultdict(lambda: -inf)
        self.alone: set[str] = set()
        self.watches: dict[str, Watch] = {}

    # What can happen.

    @rule(which=st.integers(0, 7), wait=st.sampled_from([0.0, 0.0, 0.0, 0.5, 10.0]), count=st.integers(1, 8))
    def add(self, which: int, wait: float, count: int) -> None:
        """Fresh entries, due now or later."""
        origin = self._origin(which)
        for _ in range(count):
            url = Url(origin, f"/{self.made}")
            self._add(Job(Request(self.made, str(url), url), url, "GET", None), wait)
            self.made += 1

    @rule(count=st.sampled_from([1, 1, 1, 3, 30]))
    def take(self, count: int) -> None:
        for _ in range(count):
            if not self._take():
                break

    @precondition(lambda self: self.under_way)
    @rule(
        data=st.data(),
        word=st.sampled_from([*Word, Word.SERVED, Word.UNCONNECTED, Word.UNCONNECTED, Word.REFUSED]),
        wait=st.sampled_from(WAITS),
        again=st.sampled_from([None, None, "now", "behind", "later"]),
    )
    def done(self, data: st.DataObject, word: Word, wait: float | None, again: str | None) -> None:
        """A job is over, with any word, or it comes back."""
        self._done(data.draw(st.sampled_from(sorted(self.under_way))), word, wait, again)

    @precondition(lambda self: len(self.under_way) > 1)
    @rule(word=st.sampled_from([Word.SERVED, Word.UNCONNECTED, Word.REFUSED]))
    def all_done(self, word: Word) -> None:
        for index in sorted(self.under_way):
            self._done(index, word, 1.0, None)

    @precondition(lambda self: len(self.under_way) > 1)
    @rule(first=st.sampled_from([Word.UNCONNECTED, Word.REFUSED]), then=st.sampled_from([Word.SERVED, Word.REFUSED]))
    def the_last_one_differs(self, first: Word, then: Word) -> None:
        """All but one say that a host is in trouble, others wait for it, and then one that was under way ends."""
        *troubled, last = sorted(self.under_way)
        for index in troubled:
            self._done(index, first, None, None)
        while self._take():
            pass
        self._done(last, then, None, None)

    @rule(which=st.integers(0, 7))
    def shelve(self, which: int) -> None:
        """An entry whose origin's rules are not known."""
        origin = self._origin(which)
        url = Url(origin, f"/{self.made}")
        job = Job(Request(self.made, str(url), url), url, "GET", None)
        first = not any(other.url.origin == origin for other in self.shelved.values())

        assert self.frontier.shelve(job) == first

        self.shelved[self.made] = job
        self.made += 1

    @precondition(lambda self: self.shelved)
    @rule(data=st.data())
    def unshelve(self, data: st.DataObject) -> None:
        """An origin's rules are known: its entries go, in their order."""
        self._unshelve(data.draw(st.sampled_from(sorted({job.url.origin.text for job in self.shelved.values()}))))

    @rule(which=st.integers(0, 7), gap=st.sampled_from([0.25, 1.0, 5.0]))
    def slow(self, which: int, gap: float) -> None:
        origin = self._origin(which)

        self.frontier.slow(origin.host, gap, self.now)

        self.gaps[origin.host] = max(gap, self.gaps.get(origin.host, 0.0))

    @rule()
    def widen(self) -> None:
        could = bool(self.frontier._turns) or not self.frontier.waiting

        assert not (self.frontier.widen(self.now) and could)

    @rule(step=st.sampled_from(STEPS))
    def advance(self, step: float) -> None:
        self.now += step

    @rule()
    def advance_to_the_next(self) -> None:
        """As the engine's timer does."""
        due = self.frontier.next_due()
        if due is not None:
            self.now = max(self.now, ceil(due * TICK) / TICK)

    # What must hold.

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "frontier"):
            return
        self._bury()
        frontier = self.frontier
        inside = Counter(job.request.index for job in self._inside())
        assert inside == Counter([*self.waiting, *self.shelved])
        assert len(frontier) == len(self.waiting) + len(self.shelved) + len(self.under_way)
        assert frontier._under_way == len(self.under_way)
        assert frontier._active == Counter(job.host for job, _ in self.under_way.values())
        assert 0 <= frontier.room() <= WIDEST * self.config.window

    @invariant()
    def the_counters_agree_with_the_tables(self) -> None:
        if not hasattr(self, "frontier"):
            return
        frontier = self.frontier
        parked = {name for name, state in frontier._states.items() if state.parked}
        breakers = frontier._breakers.values()
        assert all(frontier._queues.values())
        assert parked <= set(frontier._queues)
        assert sorted(frontier._turns) == sorted(set(frontier._queues) - parked)
        assert frontier._queued == sum(map(len, frontier._queues.values()))
        assert frontier._parked == sum(len(frontier._queues[name]) for name in parked)
        shelved = sum(map(len, frontier._shelves.values()))
        assert frontier._aside == sum(len(breaker.parked) for breaker in breakers) + shelved
        assert frontier.waiting == len(frontier._later) + frontier._parked + frontier._aside
        assert frontier.waiting <= len(self.waiting) + len(self.shelved)
        assert set(frontier._resting) <= set(frontier._states)
        for name in frontier._states:
            assert (name in frontier._resting) != (name in frontier._queues or name in frontier._active)

    @invariant()
    def nothing_is_forgotten_too_soon(self) -> None:
        """What a host taught us has its time; whether one request goes first is a part of that."""
        if not hasattr(self, "frontier"):
            return
        for host in sorted(self.alone - set(self.frontier._states)):
            assert self.now >= self.refused_at[host] + MEMORY
            self.alone.discard(host)

    @invariant()
    def whatever_waits_is_woken(self) -> None:
        """A host that may not go has an alarm, or something under way; a breaker with jobs a look to come."""
        if not hasattr(self, "frontier"):
            return
        frontier = self.frontier
        rings: dict[int, float] = {}
        for due, _, sleeper in frontier._alarms:
            rings[id(sleeper)] = min(due, rings.get(id(sleeper), inf))
        for name, state in frontier._states.items():
            if state.parked:
                due = state.ready(self.now, frontier._active.get(name, 0))
                assert rings.get(id(state), inf) <= max(due, self.now)
        for _, _, sleeper in frontier._alarms:
            if isinstance(sleeper, Breaker) and frontier._breakers.get(sleeper.origin.text) is not sleeper:
                assert not sleeper.parked
        for breaker in frontier._breakers.values():
            if breaker.parked and breaker.probe is None and not self._probe_queued(breaker.origin):
                assert rings.get(id(breaker), inf) <= breaker.due

    def teardown(self) -> None:
        """Whatever happened, it all ends, and leaves nothing behind."""
        if not hasattr(self, "frontier") or sys.exc_info()[0] is not None:
            return
        for key in sorted({job.url.origin.text for job in self.shelved.values()}):
            self._unshelve(key)
        steps = 40 * (len(self.frontier) + 10)
        while len(self.frontier):
            steps -= 1
            assert steps, "a job is starved"
            while self._take():
                pass
            for index in sorted(self.under_way):
                self._done(index, Word.SERVED, None, None)
            self._bury()
            due = self.frontier.next_due()
            assert due is not None or not len(self.frontier)
            if due is not None:
                self.now = max(self.now, ceil(due * TICK) / TICK)
        assert sorted(self.ended) == list(range(self.made))
        self._nothing_is_left()

    # The model.

    def _origin(self, which: int) -> Origin:
        return self.origins[which % len(self.origins)]

    def _add(self, job: Job, wait: float, *, behind: bool = False) -> None:
        due = self.now + wait if wait else 0.0
        down = self._down(job)
        self.frontier.add(job, due, behind=behind)
        self.waiting[job.request.index] = job, due
        assert down == any(fallen is job for fallen, _ in self.frontier.fallen)
        self._bury()

    def _take(self) -> bool:
        job = self.frontier.take(self.now)
        self._bury()
        if job is None:
            self._nothing_was_due()
            return False
        index, host = job.request.index, job.host
        known, due = self.waiting.pop(index)
        assert known is job
        assert due <= self.now
        self._within_limits(host)
        self._within_breaker(job)
        self.under_way[index] = job, self.now
        self.takes.append(self.now)
        self.host_takes[host].append(self.now)
        due_next = self.frontier.next_due()
        assert due_next is not None or not self._inside_queues()
        return True

    def _done(self, index: int, word: Word, wait: float | None, again: str | None) -> None:
        job, sent = self.under_way.pop(index)
        if word is not Word.REFUSED:
            wait = None
        self.frontier.done(job, self.now, self.now - sent, News(word, wait, "so it was"))
        counts = self._hear(job, sent, word, wait)
        if counts:
            self._judge(job, word)
        elif (watch := self.watches.get(job.url.origin.text)) is not None and watch.probe == index:
            watch.probe, watch.due = None, self.now + PROBES[0]
        self._bury()
        if again is None:
            self.ended.add(index)
            return
        attempt = Attempt(job.url, sent, self.now - sent, None, None)
        self._add(
            replace(job, attempts=(*job.attempts, attempt)), 2.0 if again == "later" else 0.0, behind=again == "behind"
        )

    def _hear(self, job: Job, sent: float, word: Word, wait: float | None) -> bool:
        """What is known of the host from now on. Whether it counts for its origin."""
        host = job.host
        if word is Word.SERVED and sent >= self.holds[host]:
            self.alone.discard(host)
        if word not in (Word.REFUSED, Word.SHUNNED):
            return True
        fresh = sent >= self.halved[host]
        self.refused_at[host] = self.now
        if fresh:
            self.halved[host] = self.now
        if word is Word.SHUNNED:
            return True
        if self.config.adapt:
            self.alone.add(host)
        hold = self.frontier._states[host].hold if host in self.frontier._states else self.now
        assert hold >= self.now + (wait or 0.0)
        self.holds[host] = max(hold, self.holds[host])
        return fresh

    def _judge(self, job: Job, word: Word) -> None:
        key = job.url.origin.text
        watch = self.watches.get(key)
        if word in (Word.SERVED, Word.REACHED):
            self.watches.pop(key, None)
        elif word is Word.NOTHING:
            if watch is not None and watch.probe == job.request.index:
                watch.probe, watch.due = None, self.now + PROBES[0]
        elif self.config.breaker:
            watch = self.watches.setdefault(key, Watch())
            watch.failures += 1
            if watch.opened is None:
                if watch.failures == self.config.breaker:
                    watch.opened = self.now
                    watch.due = self.now + PROBES[0]
            elif watch.probe == job.request.index:
                watch.probe = None
                watch.probes += 1
                watch.down = watch.probes == len(PROBES)
                watch.due = 0.0 if watch.down else max(self.now, watch.opened + PROBES[watch.probes])

    def _down(self, job: Job) -> bool:
        watch = self.watches.get(job.url.origin.text)
        return watch is not None and watch.down

    def _bury(self) -> None:
        """What fell is of an origin that is down, was not under way, and falls once."""
        fallen, self.frontier.fallen = self.frontier.fallen, []
        for job, error in fallen:
            known, _ = self.waiting.pop(job.request.index)
            assert known is job
            assert self._down(job)
            assert error.kind == ErrorKind.HOST_DOWN
            self.ended.add(job.request.index)
        # Neither with the breaker nor among the later ones is anything left that only time would tell.
        for breaker in self.frontier._breakers.values():
            assert not (breaker.down and breaker.parked)
        assert not any(self._down(job) for _, _, job in self.frontier._later)

    def _within_limits(self, host: str) -> None:
        said = self.hosts.find(host)
        limit = (said and said.concurrency) or self.config.per_host or inf
        beside = sum(job.host == host for job, _ in self.under_way.values())
        assert beside < limit
        assert self.now >= self.holds[host]
        assert host not in self.alone or not beside
        self._within_rate(self.takes, self.config.rate)
        self._within_rate(self.host_takes[host], (said and said.rate) or self.config.per_host_rate)
        self._apart(host)

    def _apart(self, host: str) -> None:
        """Between two requests to a host is at least what `slow` asked for."""
        if host in self.gaps and self.host_takes[host]:
            assert self.now - self.host_takes[host][-1] >= self.gaps[host]

    def _within_rate(self, takes: list[float], rate: float | None) -> None:
        if rate is not None:
            assert sum(then > self.now - 1.0 for then in takes) + 1 <= ceil(rate * (1.0 + CATCH_UP))

    def _within_breaker(self, job: Job) -> None:
        watch = self.watches.get(job.url.origin.text)
        if watch is None or watch.opened is None:
            return
        assert not watch.down
        assert watch.probe is None
        assert self.now >= watch.due
        watch.probe = job.request.index

    def _nothing_was_due(self) -> None:
        """Take gave nothing: rightly so, and the time to come back is neither gone by nor too late."""
        frontier = self.frontier
        soonest = min((due for _, due in self._later_ones()), default=inf)
        for host, queue in frontier._queues.items():
            state = frontier._states.get(host)
            assert queue
            ready = 0.0 if state is None else state.ready(self.now, frontier._active.get(host, 0))
            soonest = min(soonest, ready)
        for breaker in frontier._breakers.values():
            if breaker.parked and breaker.probe is None and not self._probe_queued(breaker.origin):
                soonest = min(soonest, breaker.due)
        if frontier._pace is not None:
            soonest = max(soonest, frontier._pace.due)
        assert soonest > self.now, "something was due"
        due = frontier.next_due()
        assert due is None or due > self.now, "a busy loop"
        assert (inf if due is None else due) <= soonest, "too late"

    def _later_ones(self) -> Iterator[tuple[Job, float]]:
        return ((job, due) for _, (job, due) in self.waiting.items() if due > self.now)

    def _probe_queued(self, origin: Origin) -> bool:
        """Whether a job that will look is in its host's queue already."""
        return any(job.url.origin == origin for job in self.frontier._queues.get(origin.host, ()))

    def _inside_queues(self) -> bool:
        return any(name not in self.frontier._states for name in self.frontier._queues)

    def _inside(self) -> Iterator[Job]:
        frontier = self.frontier
        for queue in frontier._queues.values():
            yield from queue
        for breaker in frontier._breakers.values():
            yield from breaker.parked
        for shelf in frontier._shelves.values():
            yield from shelf
        for _, _, job in frontier._later:
            yield job

    def _unshelve(self, key: str) -> None:
        jobs = [job for job in self.shelved.values() if job.url.origin.text == key]
        assert self.frontier.unshelve(key) == jobs
        for job in jobs:
            del self.shelved[job.request.index]
            self._add(job, 0.0)

    def _nothing_is_left(self) -> None:
        frontier = self.frontier
        tables = (frontier._queues, frontier._turns, frontier._active, frontier._shelves, frontier._later)
        assert not any(tables)
        assert [frontier._queued, frontier._parked, frontier._aside, frontier._under_way] == [0, 0, 0, 0]
        assert all(not breaker.parked for breaker in frontier._breakers.values())
        # All that was learned has its time; the next host that rests finds that it is over.
        self.now += 10 * MEMORY
        frontier.take(self.now)
        frontier.slow("z", 1.0, self.now)
        assert set(frontier._states) == set(frontier._resting) == {"z"}
        assert not frontier._alarms


TestFrontier = Machine.TestCase
TestFrontier.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
