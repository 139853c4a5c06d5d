"""
Owns which job is due next. Never sleeps, never asks the time: the clock's reading comes in by the door.

Mercator's frontier (Heydon and Najork, "Mercator: A scalable, extensible web crawler", 1999) with a bounded
look-ahead: a queue per host, turns among the hosts that may be asked now, and a heap of what is due later. A host that
has more than others has more of each turn, so that its jobs are spread over the whole run and are not all that is left
in the end. A list sorted by host is so fetched as evenly as a shuffled one, and whatever waits, a job for its retry, a
host for its rate, an origin for its probe, holds nothing but its place.

Most hosts never have a limit and never complain: they are a queue and a count. A host gets a `Host` once there is
something to keep of it, an origin a `Breaker` once it could not be connected to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from operator import itemgetter

from msgspec import Struct

from fetcher.frontier.breaker import Breaker
from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.host import Host
from fetcher.frontier.pace import Pace
from fetcher.hosts import Hosts, HostsConfig
from fetcher.model import Error, Job, News, Word

WIDEST = 10
"""How many times the window it may become while all that it holds waits."""

RESTING = 65_536
"""Hosts without a job whose limits are remembered, some 30 MB; the oldest is forgotten first."""

SLOWED = 100_000
"""Hosts whose own wish for a gap between two requests is remembered, some 10 MB; the oldest is forgotten first."""

WATCHED = 16_384
"""Origins whose failures to connect are counted; the oldest that keeps no job waiting is forgotten first."""

LOOKS = 4
"""How many of those are looked at for one that can be forgotten, each time that one is added."""

MOST_IN_TURN = 8
"""Jobs of one host that go one after the other, however many more it has than others."""

NEVER = 1e6
"""Seconds between two requests where none of the run's rate is ours."""

FAILURES = frozenset({Word.UNCONNECTED, Word.SHUNNED, Word.REFUSED})
"""What counts for a breaker. Of a host that refuses its rounds count, so one that never does anything else ends."""

Queue = tuple[Job, ...] | deque[Job]
"""A host's jobs: a tuple of one, a deque of more. A deque takes 760 bytes, and most hosts of many have one job."""

# A module's name is looked up at a third of what an Enum's member costs.
SERVED = Word.SERVED

UNTOLD = News(Word.NOTHING)


class Waits(Struct):
    """
    What a run waited for, so far.

    Attributes:
        refusals: Replies by which a host asked for less.
        refusing: Hosts that did.
        held: Seconds of the longest pause that a host was given.
        down: Origins that were given up, and did not come back.
        pinched: Seconds for which the widest window held nothing that was due, while the input had more.
    """

    refusals: int = 0
    refusing: int = 0
    held: float = 0.0
    down: int = 0
    pinched: float = 0.0


class Frontier:
    """
    The jobs of a run that are not done.

    A job is in one of these places: its host's queue; the heap of later ones; with an origin's breaker; on the shelf
    of an origin whose rules are being fetched; or under way. What is kept of a host is dropped when it has no job and
    nothing of it matters any more, so memory is in the jobs, not in the hosts ever seen.

    Attributes:
        fallen: Jobs that will not go because their origin is down, and why: for whoever delivers them to take out.
        waits: What was waited for.
        on_refusal: Told when a host refuses, and for how many seconds from then it is to be left alone.
    """

    def __init__(self, config: FrontierConfig, hosts: Hosts | None = None) -> None:
        self._config = config
        self._hosts = hosts or Hosts(HostsConfig())
        self._window = config.window
        self._gap = 1.0 / config.per_host_rate if config.per_host_rate else 0.0
        self._limit: float = config.per_host or inf
        self._limited = bool(config.per_host or config.per_host_rate or self._hosts)
        self._pace = Pace(1.0 / config.rate) if config.rate else None
        self._queues: dict[str, Queue] = {}
        self._turns: deque[str] = deque()
        # Jobs that may still go in the turn of the host that is first; 0 where it has only come up.
        self._in_turn = 0
        self._active: dict[str, int] = {}
        self._states: dict[str, Host] = {}
        self._resting: dict[str, float] = {}
        self._gaps: dict[str, float] = {}
        self._breakers: dict[str, Breaker] = {}
        self._shelves: dict[str, list[Job]] = {}
        # Hosts of which others have parts: our place among them, and how many they are.
        self._parts: dict[str, tuple[int, int]] = {}
        self.on_refusal: Callable[[str, float], object] | None = None
        self.fallen: list[tuple[Job, Error]] = []
        self._later: list[tuple[float, int, Job]] = []
        self._alarms: list[tuple[float, int, Host | Breaker]] = []
        self._sequence = 0
        self._queued = 0
        self._parked = 0
        self._aside = 0
        self._under_way = 0
        self._pinched_at: float | None = None
        self.waits = Waits()

    def __len__(self) -> int:
        """Jobs not done: queued, waiting and under way."""
        return self._queued + len(self._later) + self._aside + self._under_way

    @property
    def waiting(self) -> int:
        """Jobs that are due later, or whose host or origin has to wait."""
        return len(self._later) + self._parked + self._aside

    def room(self) -> int:
        """How many more jobs may be looked at now."""
        known = self._queued + len(self._later) + self._aside + self._under_way
        usual = self._config.window
        if known < usual < self._window:
            self._window = usual
        return self._window - known if known < self._window else 0

    def widen(self, now: float) -> bool:
        """
        Look further ahead, because all that is in the window waits. False if that was as far as it goes: then the
        time until something is due counts as `pinched`.
        """
        if self._turns or not self.waiting:
            return False
        if self._window < WIDEST * self._config.window:
            self._window = min(2 * self._window, WIDEST * self._config.window)
            return True
        if self._pinched_at is None:
            self._pinched_at = now
        return False

    def expects(self, host: str) -> bool:
        """Whether a job for a host is queued, so that a connection there is worth keeping."""
        return host in self._queues

    def add(self, job: Job, due: float, *, behind: bool = False) -> None:
        """
        Take a job in, to go at `due` or after; one whose time has come waits for its host's turn only.

        Of a host's jobs those that were begun go first, so that few are half done, unless they are to go `behind`.
        """
        if self._breakers and self._falls(job):
            return
        if due > 0.0:
            self._sequence += 1
            heappush(self._later, (due, self._sequence, job))
        else:
            self._enqueue(job, first=not behind and bool(job.hops or job.attempts))

    def take(self, now: float) -> Job | None:
        """The next job, which is then under way until it is `done`; None if none is due yet."""
        if self._later and self._later[0][0] <= now:
            self._recall(now)
        if self._alarms and self._alarms[0][0] <= now:
            self._ring(now)
        pace = self._pace
        if pace is not None and pace.due > now:
            return None
        turns = self._turns
        while turns:
            host = turns.popleft()
            queue = self._queues[host]
            state = self._states.get(host) if self._states else None
            if state is not None and self._parks(state, queue, now):
                self._in_turn = 0
                continue
            in_turn = self._in_turn or min(len(queue) * len(self._queues) // self._queued, MOST_IN_TURN)
            if isinstance(queue, tuple):
                job, queue = queue[0], ()
            else:
                job = queue.popleft()
            self._queued -= 1
            if self._breakers and self._set_aside(job, now):
                if queue:
                    turns.appendleft(host)
                    self._in_turn = in_turn
                else:
                    self._emptied(host, now)
                    self._in_turn = 0
                continue
            self._under_way += 1
            active = self._active
            active[host] = active.get(host, 0) + 1
            if pace is not None:
                pace.took(now)
            if state is not None:
                state.took(now)
            self._in_turn = 0
            if not queue:
                del self._queues[host]
            elif state is None or not self._parks(state, queue, now):
                if in_turn > 1:
                    turns.appendleft(host)
                    self._in_turn = in_turn - 1
                else:
                    turns.append(host)
            if self._pinched_at is not None:
                self.waits.pinched += now - self._pinched_at
                self._pinched_at = None
            return job
        return None

    def paced(self, now: float) -> bool:
        """Whether something could go if the run's rate were higher."""
        return self._pace is not None and self._pace.due > now and bool(self._turns)

    def allot(self, rate: float, now: float) -> None:
        """Of the run's rate so many requests a second are ours from now on; without one nothing happens."""
        if self._pace is not None:
            self._pace.change(1.0 / rate if rate else NEVER, now)

    def next_due(self) -> float | None:
        """The clock's time when to come back, 0.0 or one gone by for now; None if nothing is queued or waiting."""
        due = inf
        if self._turns:
            if self._pace is None:
                return 0.0
            due = self._pace.due
        if self._later and self._later[0][0] < due:
            due = self._later[0][0]
        if self._alarms and self._alarms[0][0] < due:
            due = self._alarms[0][0]
        return None if due == inf else due

    def done(self, job: Job, now: float, elapsed: float, news: News) -> None:
        """
        A job is no longer under way: it has its result, or comes back by `add`.

        Args:
            elapsed: Seconds for which it was under way.
            news: What that told of its host.
        """
        self._under_way -= 1
        host = job.url.origin.host
        active = self._active[host]
        if active > 1:
            self._active[host] = active - 1
        else:
            del self._active[host]
        word = news.word
        if word is SERVED and not self._states and not self._breakers:
            # Nearly all of nearly every run.
            return
        state = self._states.get(host) if self._states else None
        if state is None and (word is Word.REFUSED or word is Word.SHUNNED):
            state = self._states[host] = self._new_state(host)
        counts = state is None or self._judge_host(state, now, now - elapsed, active, news)
        if not counts:
            # It is one refusal with those before it, and no word of its own; a probe must hear that much.
            news = UNTOLD
        if word is not SERVED or self._breakers:
            self._judge_origin(job, now, news)
        if state is None:
            return
        queue = self._queues.get(host)
        if queue is None:
            if active == 1:
                self._rest(state, now)
        elif state.parked:
            due = state.ready(now, active - 1)
            if due == 0.0:
                self._unpark(state, queue)
            elif due < inf:
                self._alarm(due, state)

    def shelve(self, job: Job) -> bool:
        """Keep a job that may not go before its origin's rules are known. Whether it is the first of that origin."""
        key = job.url.origin.text
        shelf = self._shelves.get(key)
        self._aside += 1
        if shelf is not None:
            shelf.append(job)
            return False
        self._shelves[key] = [job]
        return True

    def unshelve(self, key: str) -> list[Job]:
        """All that was shelved of an origin, by its text; the frontier's no longer, until `add`."""
        shelf = self._shelves.pop(key, [])
        self._aside -= len(shelf)
        return shelf

    def slow(self, host: str, gap: float, now: float) -> None:
        """Keep at least so many seconds between two requests to a host, now and whenever it has jobs."""
        gaps = self._gaps
        gaps[host] = gap = max(gap, gaps.pop(host, 0.0))
        if len(gaps) > SLOWED:
            del gaps[next(iter(gaps))]
        state = self._states.get(host)
        if state is None:
            state = self._states[host] = self._new_state(host)
        state.slow(gap * self._parts[host][1] if host in self._parts else gap, now)
        if host not in self._queues and host not in self._active:
            self._resting.pop(host, None)
            self._rest(state, now)

    def humbled(self, host: str, now: float) -> bool:
        """Whether a host gets less than it may, because it refused."""
        state = self._states.get(host)
        return state is not None and state.humbled(now)

    def divide(self, host: str, place: int, ways: int) -> None:
        """A host is asked by `ways` frontiers from now on, and this one has the part of that `place`."""
        self._parts[host] = place, ways
        state = self._states.get(host)
        if state is not None:
            state.divide(_part(self._limit_of(host)[0], place, ways), ways)

    def spare(self, most: int, now: float) -> list[Job]:
        """
        Jobs that nobody has begun, of hosts that others have parts of: they are not ours any more.

        A host that can go on keeps one; one that asks for less is left as it is.
        """
        spared: list[Job] = []
        for host in self._parts:
            queue = self._queues.get(host)
            state = self._states.get(host)
            if queue is None or (state is not None and state.humbled(now)):
                continue
            stuck = state is not None and state.parked and state.ready(now, self._active.get(host, 0)) == inf
            jobs = list(queue)
            kept = 0 if stuck else 1
            while len(jobs) > kept and len(spared) < most and not (jobs[-1].hops or jobs[-1].attempts):
                spared.append(jobs.pop())
            gone = len(queue) - len(jobs)
            if not gone:
                continue
            self._queued -= gone
            if state is not None and state.parked:
                self._parked -= gone
            if jobs:
                self._queues[host] = deque(jobs)
            else:
                # It is parked, so it has no turn.
                if state is not None:
                    state.parked = False
                self._emptied(host, now)
        return spared

    def within(self, host: str) -> bool:
        """Whether no more is under way to a host than may be."""
        state = self._states.get(host)
        return state is None or self._active.get(host, 0) <= state.window

    def hold(self, host: str, wait: float, now: float) -> None:
        """A host has refused somebody else, and is to be left alone for so many seconds."""
        state = self._states.get(host)
        if state is None:
            state = self._states[host] = self._new_state(host)
        state.refused(now, now, self._active.get(host, 0), wait)
        if host not in self._queues and host not in self._active:
            self._resting.pop(host, None)
            self._rest(state, now)

    def linger(self, host: str, extra: float) -> None:
        """A host that has just refused is left alone for so many seconds more."""
        self._states[host].hold += extra

    def _enqueue(self, job: Job, *, first: bool = False) -> None:
        host = job.url.origin.host
        queue = self._queues.get(host)
        self._queued += 1
        if queue is None:
            self._queues[host] = (job,)
            self._turns.append(host)
            if self._limited or self._resting or self._gaps:
                self._rouse(host)
            return
        if self._states and (state := self._states.get(host)) is not None and state.parked:
            self._parked += 1
        if isinstance(queue, tuple):
            queue = self._queues[host] = deque(queue)
        if first:
            queue.appendleft(job)
        else:
            queue.append(job)

    def _recall(self, now: float) -> None:
        """Put the jobs whose time has come into their hosts' queues."""
        later = self._later
        begun = []
        while later and later[0][0] <= now:
            job = heappop(later)[2]
            if job.hops or job.attempts:
                begun.append(job)
            else:
                self._enqueue(job)
        # Each goes before those that are there already, so the one that was due first comes last.
        for job in reversed(begun):
            self._enqueue(job, first=True)

    def _ring(self, now: float) -> None:
        """Let the hosts and origins go whose time has come."""
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            due, _, sleeper = heappop(alarms)
            if sleeper.alarm == due:
                # It may ask for the same time once more: what a probe found can be that it is time for the next.
                sleeper.alarm = 0.0
            if isinstance(sleeper, Breaker):
                if sleeper.open and not sleeper.down and sleeper.probe is None and sleeper.parked:
                    self._aside -= 1
                    self._enqueue(sleeper.parked.popleft(), first=True)
            elif sleeper.parked:
                self._unpark(sleeper, self._queues[sleeper.name])

    def _alarm(self, due: float, sleeper: Host | Breaker) -> None:
        if sleeper.alarm == due:
            return
        sleeper.alarm = due
        self._sequence += 1
        heappush(self._alarms, (due, self._sequence, sleeper))

    # Hosts.

    def _new_state(self, name: str) -> Host:
        limit, gap = self._limit_of(name)
        own = self._gaps.get(name)
        if name in self._parts:
            place, ways = self._parts[name]
            limit, gap = _part(limit, place, ways), gap * ways
            own = None if own is None else own * ways
        state = Host(name, limit, gap, adapt=self._config.adapt)
        if own is not None:
            # Its last request is longer ago than that, or it would not be a new one.
            state.slow(own, -own)
        return state

    def _limit_of(self, name: str) -> tuple[float, float]:
        """The most requests at once to a host, and the seconds between two, as we were told."""
        said = self._hosts.find(name)
        limit, gap = self._limit, self._gap
        if said is not None:
            limit = said.concurrency or limit
            gap = 1.0 / said.rate if said.rate else gap
        return limit, gap

    def _rouse(self, host: str) -> None:
        """A host has jobs again, or for the first time."""
        if self._resting.pop(host, None) is None and host not in self._states and (self._limited or host in self._gaps):
            self._states[host] = self._new_state(host)

    def _rest(self, state: Host, now: float) -> None:
        """A host has no job: forget it when nothing of it matters any more."""
        self._forget(now)
        until = state.rested
        if until > now:
            self._resting[state.name] = until
        else:
            del self._states[state.name]

    def _forget(self, now: float) -> None:
        """Drop the hosts that have rested long enough, and the oldest where they are too many."""
        resting = self._resting
        while resting:
            name, until = next(iter(resting.items()))
            if until > now and len(resting) < RESTING:
                break
            del resting[name]
            del self._states[name]

    def _emptied(self, host: str, now: float) -> None:
        """A host's last queued job was taken away without being taken."""
        del self._queues[host]
        state = self._states.get(host) if self._states else None
        if state is not None and host not in self._active:
            self._rest(state, now)

    def _parks(self, state: Host, queue: Queue, now: float) -> bool:
        """Whether a host, whose turn it is not any more, has to wait."""
        due = state.ready(now, self._active.get(state.name, 0))
        if due == 0.0:
            return False
        state.parked = True
        self._parked += len(queue)
        if due < inf:
            self._alarm(due, state)
        return True

    def _unpark(self, state: Host, queue: Queue) -> None:
        state.parked = False
        self._parked -= len(queue)
        self._turns.append(state.name)

    def _judge_host(self, state: Host, now: float, sent: float, active: int, news: News) -> bool:
        """What a host is told to have said. Whether that is news of its origin, too."""
        if news.word is SERVED:
            state.served(sent)
        elif news.word is Word.SHUNNED:
            state.shunned(now, sent, active)
        elif news.word is Word.REFUSED:
            if not state.refusing:
                state.refusing = True
                self.waits.refusing += 1
            self.waits.refusals += 1
            fresh = state.refused(now, sent, active, news.wait)
            self.waits.held = max(self.waits.held, state.hold - now)
            if fresh and self.on_refusal is not None:
                self.on_refusal(state.name, state.hold - now)
            return fresh
        return True

    # Origins.

    def _judge_origin(self, job: Job, now: float, news: News) -> None:
        key = job.url.origin.text
        breaker = self._breakers.get(key)
        word = news.word
        if word in FAILURES:
            if not self._config.breaker:
                return
            if breaker is None:
                breaker = self._watch(job)
            if breaker.failed(job, now, news.reason, self._config.breaker):
                if breaker.down:
                    self._give_up(breaker)
                else:
                    self._alarm(breaker.due, breaker)
        elif breaker is None:
            return
        elif word is Word.NOTHING:
            if breaker.undecided(job, now):
                self._alarm(breaker.due, breaker)
        else:
            del self._breakers[key]
            self.waits.down -= breaker.down
            # Its alarms are still in the heap, and must find nothing.
            jobs, breaker.parked = breaker.parked, deque()
            self._aside -= len(jobs)
            for waiting in jobs:
                self._enqueue(waiting)

    def _watch(self, job: Job) -> Breaker:
        origin = job.url.origin
        # Several are looked at, so that the table shrinks again to its size behind those that have to stay.
        for _ in range(LOOKS):
            if len(self._breakers) < WATCHED:
                break
            key = next(iter(self._breakers))
            oldest = self._breakers.pop(key)
            if oldest.open:
                # What keeps jobs waiting, or is known to be down, is not forgotten; it is the youngest now.
                self._breakers[key] = oldest
        breaker = self._breakers[origin.text] = Breaker(origin)
        return breaker

    def _set_aside(self, job: Job, now: float) -> bool:
        """Whether a job may not go because its origin is taken out."""
        breaker = self._breakers.get(job.url.origin.text)
        if breaker is None or breaker.admits(job, now):
            return False
        if breaker.down:
            self.fallen.append((job, breaker.epitaph()))
        else:
            breaker.parked.append(job)
            self._aside += 1
        return True

    def _falls(self, job: Job) -> bool:
        """Whether a job will not go any more because its origin is down."""
        breaker = self._breakers.get(job.url.origin.text)
        if breaker is None or not breaker.down:
            return False
        self.fallen.append((job, breaker.epitaph()))
        return True

    def _give_up(self, breaker: Breaker) -> None:
        """An origin did not come back: nothing of it goes any more, at once."""
        self.waits.down += 1
        jobs = list(breaker.parked)
        self._aside -= len(jobs)
        breaker.parked.clear()
        origin = breaker.origin
        lost = [entry for entry in self._later if entry[2].url.origin == origin]
        if lost:
            self._later = [entry for entry in self._later if entry[2].url.origin != origin]
            heapify(self._later)
            jobs += [job for _, _, job in sorted(lost, key=itemgetter(0, 1))]
        error = breaker.epitaph()
        # What is still in its host's queue falls when its turn comes, with all behind it.
        self.fallen += [(job, error) for job in jobs]


def _part(limit: float, place: int, ways: int) -> float:
    """What of a limit is the part of that place; the parts add up to it."""
    return limit if limit == inf else limit // ways + (place < limit % ways)
