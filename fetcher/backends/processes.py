"""
Owns the engines of a run that has several: a process each, which this one feeds, hears and looks after.

It has an engine's face. The list is read here, each entry goes to the process that its host belongs to, and results
come back to be written and counted here; so signals, the screen, the outputs and what is done already are where they
always are. Children are begun when there is something for them, and never by a fork: threads run here.

A child that dies is followed by another, which does again what the first one had not done. What has two of them die on
it is given up.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from fetcher.backends.allotment import Allotment
from fetcher.backends.child import SIGNALS
from fetcher.backends.shares import Router, divided, processes_of
from fetcher.backends.wire import BUFFER, Link, Message, pack_moved, pack_requests, unpack_result
from fetcher.client.cookies.jar import Jar
from fetcher.client.names.resolver import Resolver
from fetcher.client.names.tally import Lookups
from fetcher.client.request_heads import RequestHeads
from fetcher.client.tls import Trust
from fetcher.engine import Outlet
from fetcher.errors import ErrorKind, ProcessError, SinkError
from fetcher.frontier.frontier import Waits
from fetcher.hosts import Hosts
from fetcher.model import Error, Request, Result
from fetcher.policy import unsent
from fetcher.settings import Settings
from fetcher.sources.protocol import Source
from fetcher.tuner import Found

if TYPE_CHECKING:
    from fetcher.saving.files import Saving

log = logging.getLogger(__name__)

CREDIT = 512
"""Entries that a child has and has no place for yet: so many are on their way while it asks for more."""

CLOSING = 5.0
"""Seconds that children have beyond the grace of what is under way, before they are ended."""

NOTES = 10.0
"""Seconds within which one note is told once."""

SHARING = 0.1
"""Seconds between two looks at who is short of what others do not use."""

IN_VAIN = 1.0
"""Seconds for which a child that could spare nothing is not asked again."""

MOST_DEATHS = 5
"""Children that may die one after the other while nothing comes back, before there is no use in another."""

_BEGIN = "import sys; sys.path[:] = sys.argv[2:]; from fetcher.backends.child import main; main()"


class Facts(NamedTuple):
    """What a child tells of itself."""

    now: tuple[int, int, bool] = (0, 0, False)
    short: tuple[bool, bool] = (False, False)
    waits: Waits = Waits()
    lookups: Lookups = Lookups()
    outage: float = 0.0
    tuned: Found | None = None


class _Child:
    """One child, from here."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], settings: Settings) -> None:
        self.number = number
        self.process = process
        self.link: Link
        self.slots = settings.slots
        self.credit = self.most_credit = min(CREDIT, settings.window)
        self.out: dict[int, Request] = {}
        self.in_flight, self.waiting, self.idle = 0, 0, False
        self.facts = Facts()
        self.over = False
        self.up = False
        # It has been asked what it can spare, and has not answered.
        self.asked = False


class Processes:
    """
    Engines in processes of their own.

    Args:
        folder: Where bodies go that are to be files.

    Attributes:
        taken: Entries read from the source.
        delivered: Results put into the outlet.

    Raises:
        UsageError: A setting cannot be, or does not go with several processes.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        outlet: Outlet,
        *,
        notice: Callable[[str], None] = log.warning,
        folder: Saving | None = None,
    ) -> None:
        # For their complaints, while nothing is begun.
        Trust(settings)
        RequestHeads(settings, Hosts(settings), Jar.of(settings))
        self._resolver = Resolver(settings)
        self._count = processes_of(settings)
        self._settings = settings
        self._source = source
        self._outlet = outlet
        self._notice = notice
        self._folder = folder
        if folder is not None:
            folder.shares = True
        self._router = Router(settings, self._count)
        self._allotments: dict[str, Allotment] = {}
        if settings.concurrency != "auto":
            self._allotments["slots"] = Allotment(settings.slots, self._count, pieces=True)
        for what, rate in (("rate", settings.rate), ("limit_rate", settings.limit_rate)):
            if rate is not None:
                self._allotments[what] = Allotment(rate, self._count, pieces=False)
        self._sharer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._children: list[_Child | None] = [None] * self._count
        self._backlogs: list[deque[Request]] = [deque() for _ in range(self._count)]
        # Entries of hosts whose home is being asked to let others have a part of them.
        self._undecided: dict[str, list[Request]] = {}
        # Those of them that wait for children to begin.
        self._unasked: set[str] = set()
        self._room = asyncio.Event()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._feeder: asyncio.Task[None] | None = None
        self._input_closed = False
        self._stopping = False
        self._finishing = False
        self._source_error: Exception | None = None
        self._failure: Exception | None = None
        # Whose results wait to be written, in the order in which they came: child, results, bytes.
        self._unwritten: deque[list[Any]] = deque()
        # Entries whose child has died.
        self._again: set[int] = set()
        self._deaths = 0
        self._refusing: dict[str, set[int]] = {}
        self._gone: list[Facts] = []
        self._notes: dict[str, float] = {}
        self._words: dict[str, Callable[..., object]] = {
            "up": self._on_up,
            "results": self._on_results,
            "facts": self._on_facts,
            "gave": self._on_gave,
            "spared": self._on_spared,
            "away": self._on_away,
            "ready": self._on_ready,
            "refused": self._on_refused,
            "note": self._on_note,
            "log": self._on_log,
            "trouble": self._on_trouble,
            "bye": self._on_bye,
        }
        self.taken = 0
        self.delivered = 0

    @property
    def stopped(self) -> bool:
        """Whether the run was ended before its list was."""
        return self._stopping

    @property
    def in_flight(self) -> int:
        """Exchanges under way, as far as is known."""
        return sum(child.in_flight for child in self._alive())

    @property
    def waiting(self) -> int:
        """Jobs that wait for a later time, or for their host's."""
        return sum(child.waiting for child in self._alive())

    @property
    def idle(self) -> bool:
        """Whether somebody has nothing to do."""
        return any(child.idle or not child.out for child in self._alive()) or None in self._children

    @property
    def waits(self) -> Waits:
        """What was waited for so far."""
        waits = Waits()
        for facts in self._facts():
            waits.refusals += facts.waits.refusals
            waits.refusing += facts.waits.refusing
            waits.held = max(waits.held, facts.waits.held)
            waits.down += facts.waits.down
            waits.pinched = max(waits.pinched, facts.waits.pinched)
        # One that is divided may have refused several of us.
        waits.refusing -= sum(len(numbers) - 1 for numbers in self._refusing.values())
        return waits

    @property
    def lookups(self) -> Lookups:
        """What the lookups of names came to so far."""
        lookups = Lookups()
        for facts in self._facts():
            lookups.merge(facts.lookups)
        return lookups

    @property
    def offline(self) -> float:
        """Seconds for which there was no network."""
        return max((facts.outage for facts in self._facts()), default=0.0)

    @property
    def tuned(self) -> Found | None:
        """How many at once did best, all together."""
        found = [facts.tuned for facts in self._facts(dead=False) if facts.tuned is not None]
        if not found:
            return None
        return Found(sum(each.slots for each in found), any(each.compared for each in found))

    async def run(self) -> None:
        """
        Everything, from the first entry to the last result.

        Raises:
            Exception: Whatever the source raised before its end.
            ProcessError: The children die one after the other.
            SinkError: A child cannot write a body.
        """
        self._feeder = self._loop.create_task(self._feed(), name="afetch-feeder")
        self._look_who_is_short()
        try:
            await self._over
        finally:
            if self._sharer is not None:
                self._sharer.cancel()
            self._feeder.cancel()
            await asyncio.gather(self._feeder, return_exceptions=True)
            self._end_all()
            await self._resolver.close()
        if self._failure is not None:
            raise self._failure
        if self._source_error is not None:
            raise self._source_error

    def stop(self, grace: float) -> None:
        """Begin nothing new; what is under way has `grace` seconds."""
        if self._stopping:
            return
        self._stopping = True
        if self._feeder is not None:
            self._feeder.cancel()
        for child in self._alive():
            child.link.send("stop", grace)
        self._loop.call_later(grace + CLOSING, self.abort)
        self._look_for_end()

    def abort(self) -> None:
        """End what is under way, now."""
        self._stopping = True
        self._finish()

    def written(self, size: int, count: int = 0) -> None:
        """So many results have left the outlet, and bodies of `size` bytes in all."""
        unwritten = self._unwritten
        while count and unwritten:
            entry = unwritten[0]
            child, sizes = entry
            done = 0
            freed = 0
            while count and sizes:
                freed += sizes.popleft()
                done += 1
                count -= 1
            if child is not None and not child.over:
                child.link.send("written", done, freed)
            if not sizes:
                unwritten.popleft()

    def _alive(self) -> Iterable[_Child]:
        return [child for child in self._children if child is not None and not child.over]

    def _facts(self, *, dead: bool = True) -> Iterable[Facts]:
        present = [child.facts for child in self._children if child is not None]
        return [*present, *self._gone] if dead else present

    # The list.

    async def _feed(self) -> None:
        """Entries of the source to the children, as far ahead as the window allows."""
        outlet = self._outlet
        try:
            async for batch in self._source.batches():
                for request in batch:
                    self._take(request)
                self._send_all()
                while self._backlog() >= self._settings.window and not self._stopping:
                    self._room.clear()
                    await self._room.wait()
                while outlet.full():
                    await outlet.room()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        except Exception as error:  # noqa: BLE001 - what was read is done all the same, and it is raised at the end
            self._source_error = error
        finally:
            self._input_closed = True
            self._look_for_end()

    def _take(self, request: Request) -> None:
        self.taken += 1
        if request.url is None:
            self._deliver(unsent(request, request.error or Error(ErrorKind.INTERNAL, "an entry without a URL")))
            return
        host = request.url.origin.host
        if self._router.took(host):
            self._ask(host)
        if self._undecided and (waiting := self._undecided.get(host)) is not None:
            waiting.append(request)
        else:
            self._backlogs[self._place(host)].append(request)

    def _place(self, host: str) -> int:
        """The process that the next entry of a host goes to."""
        if host not in self._router.divided:
            return self._router.home(host)
        return min(self._router.may_go_to(host), key=self._load)

    def _load(self, number: int) -> int:
        child = self._children[number]
        return len(self._backlogs[number]) + (0 if child is None else len(child.out))

    def _backlog(self) -> int:
        return sum(map(len, self._backlogs)) + sum(map(len, self._undecided.values()))

    def _send_all(self) -> None:
        for number, backlog in enumerate(self._backlogs):
            if backlog and not self._stopping:
                self._send(self._children[number] or self._begin(number), backlog)

    def _send(self, child: _Child, backlog: deque[Request]) -> None:
        """As many of the entries that wait for a child as it has asked for."""
        many = min(child.credit, len(backlog))
        if not many or child.over:
            return
        requests = [backlog.popleft() for _ in range(many)]
        child.credit -= many
        child.out.update((request.index, request) for request in requests)
        child.link.send("entries", *pack_requests(requests))
        # Until it tells.
        child.in_flight = self._presumed(child)
        self._room.set()
        if any(not allotment.given[child.number] for allotment in self._allotments.values()):
            self._share()

    def _presumed(self, child: _Child) -> int:
        """How many a child has under way, as far as we know."""
        slots = self._allotments.get("slots")
        most = child.slots if slots is None else int(slots.given[child.number])
        return min(most, len(child.out) - child.waiting)

    # What is the run's.

    def _look_who_is_short(self) -> None:
        self._share()
        self._balance()
        self._sharer = self._loop.call_later(SHARING, self._look_who_is_short)

    def _share(self) -> None:
        """Let whoever is short have what others do not use."""
        if self._stopping or self._finishing:
            return
        for what, allotment in self._allotments.items():
            wants = [self._wish(what, allotment, number) for number in range(self._count)]
            for number, more, aim in allotment.plan(wants):
                child = self._children[number]
                if child is not None and not child.over:
                    child.link.send("allot", what, more, aim)

    def _wish(self, what: str, allotment: Allotment, number: int) -> float:
        """How much of something a child could use."""
        child = self._children[number]
        if child is None or child.over:
            return 0
        if what == "slots":
            # One that waits may be due before we know.
            return max(len(child.out) - child.waiting, min(1, len(child.out)))
        paced, throttled = child.facts.short
        busy = bool(child.out)
        short = (paced if what == "rate" else throttled) or not allotment.given[number]
        return allotment.wish(number, short=busy and short, busy=busy)

    def _balance(self) -> None:
        """Let who has nothing to do have some of what others have not begun, where a host is divided."""
        if self._stopping or self._finishing or not self._router.divided:
            return
        children = [child for child in self._alive() if child.up]
        if not any(self._unbegun(child) <= 0 for child in children):
            return
        busiest = max(children, key=self._unbegun)
        many = self._unbegun(busiest)
        if many > 0 and not busiest.asked:
            busiest.asked = True
            busiest.link.send("spare", (many + 1) // 2)

    def _unbegun(self, child: _Child) -> int:
        return len(self._backlogs[child.number]) + len(child.out) - child.in_flight

    def _on_spared(self, child: _Child, indexes: list[int]) -> None:
        if not indexes:
            self._loop.call_later(IN_VAIN, self._may_be_asked, child)
            return
        child.asked = False
        for index in indexes:
            request = child.out.pop(index)
            host = "" if request.url is None else request.url.origin.host
            # It may have agreed to a division that nobody else knows of yet.
            places = [number for number in self._router.may_go_to(host) if number != child.number] or [child.number]
            self._backlogs[min(places, key=self._load)].append(request)
        self._send_all()

    def _may_be_asked(self, child: _Child) -> None:
        child.asked = False

    def _on_gave(self, child: _Child, what: str, amount: float) -> None:
        self._allotments[what].gave(child.number, amount)
        self._share()

    # Hosts that are divided.

    def _ask(self, host: str) -> None:
        """Ask a host's home to let others have a part of it, once all of them have begun."""
        self._router.asked(host)
        self._undecided[host] = []
        self._unasked.add(host)
        self._ask_when_up(host)

    def _ask_when_up(self, host: str) -> None:
        # What is divided before somebody is there to do it would be done by nobody.
        asked_by = [self._children[number] or self._begin(number) for number in self._router.may_be_asked_by(host)]
        if all(child.up for child in asked_by):
            self._unasked.discard(host)
            asked_by[0].link.send("divide", host, 0, len(asked_by), True)

    def _on_up(self, child: _Child) -> None:
        child.up = True
        for host in tuple(self._unasked):
            self._ask_when_up(host)

    def _on_ready(self, child: _Child, host: str, agreed: bool) -> None:
        if self._stopping:
            return
        if agreed:
            self._router.divide(host)
            for place, number in enumerate(self._router.may_go_to(host)):
                other = self._children[number]
                if other is not None and other is not child:
                    other.link.send("divide", host, place, self._router.divided[host], False)
        self._deal(host)
        self._send_all()

    def _deal(self, host: str) -> None:
        """It is known now where a host's entries go."""
        for request in self._undecided.pop(host, ()):
            self._backlogs[self._place(host)].append(request)

    def _on_refused(self, child: _Child, host: str, wait: float) -> None:
        self._refusing.setdefault(host, set()).add(child.number)
        for number in self._router.may_go_to(host):
            other = self._children[number]
            if other is not None and other is not child and not other.over:
                other.link.send("hold", host, wait)

    # What comes back.

    def _on_results(
        self, child: _Child, results: list[Any], taken: int, in_flight: int, waiting: int, idle: bool
    ) -> None:
        bodies = child.link.bodies()
        sizes: deque[int] = deque()
        if results:
            self._deaths = 0
            self._unwritten.append([child, sizes])
        router, out = self._router, child.out
        for packed in results:
            request = out.pop(packed[0])
            result = unpack_result(request, packed, bodies)
            sizes.append(0 if result.hop is None else result.hop.held)
            if request.url is not None:
                router.gave(request.url.origin.host)
            self.delivered += 1
            self._outlet.put(result)
        child.credit += taken
        self._see(child, in_flight, waiting, idle)
        if taken:
            self._send(child, self._backlogs[child.number])
        if self._input_closed:
            self._look_for_end()

    def _on_facts(self, child: _Child, packed: bytes) -> None:
        child.facts = Facts(*pickle.loads(packed))  # noqa: S301 - a child of ours has made it
        self._see(child, *child.facts.now)

    def _see(self, child: _Child, in_flight: int, waiting: int, idle: bool) -> None:
        """What a child says of itself counts, unless entries are on their way that it does not know of."""
        child.waiting, child.idle = waiting, idle
        child.in_flight = in_flight if child.credit == child.most_credit else self._presumed(child)

    def _on_away(self, child: _Child, host: str, index: int, job: bytes) -> None:
        """A redirect has led to a host of somebody else's."""
        request = child.out.pop(index)
        number = self._place(host)
        other = self._children[number]
        if other is None:
            if self._stopping:
                return
            other = self._begin(number)
        other.out[index] = request
        if not other.over:
            other.link.send("moved", *pack_moved(request, job))

    def _on_note(self, _child: _Child, text: str) -> None:
        # What one of them sees the others mostly see as well.
        now = self._loop.time()
        if now - self._notes.get(text, -NOTES) >= NOTES:
            self._notes[text] = now
            self._notice(text)

    def _on_log(self, child: _Child, text: str) -> None:
        log.debug("process %d: %s", child.number, text)

    def _on_trouble(self, _child: _Child, text: str, ours: bool) -> None:
        self._fail(SinkError(text) if ours else RuntimeError(text))

    def _on_bye(self, child: _Child) -> None:
        child.over = True
        child.in_flight = child.waiting = 0
        child.link.close()
        if self._stopping or self._finishing:
            self._look_for_end()
        else:
            # Nobody told it to.
            self._fail(RuntimeError(f"process {child.number} has ended before its time"))

    def _deliver(self, result: Result) -> None:
        self.delivered += 1
        self._unwritten.append([None, deque([0 if result.hop is None else result.hop.held])])
        self._outlet.put(result)

    # The children.

    def _begin(self, number: int) -> _Child:
        """A child, which has its settings."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        # What is blocked when a process begins stays so in it: no signal meets it before it is ready for one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, with words of ours
                [sys.executable, "-c", _BEGIN, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        settings = divided(self._settings, number, self._count)
        child = _Child(number, process, settings)
        child.link = Link(lambda message: self._heard(child, message), lambda: self._lost(child))
        self._children[number] = child
        own = {what: allotment.begin(number) for what, allotment in self._allotments.items()}
        path = log.isEnabledFor(logging.DEBUG)
        child.link.send("settings", pickle.dumps(settings), number, self._count, own, path)
        for host, ways in self._router.divided.items():
            for place, other in enumerate(self._router.may_go_to(host)):
                if other == number:
                    child.link.send("divide", host, place, ways, False)
        self._loop.create_task(self._connect(child, ours))
        return child

    async def _connect(self, child: _Child, line: socket.socket) -> None:
        await self._loop.create_unix_connection(lambda: child.link, sock=line)

    def _heard(self, child: _Child, message: Message) -> None:
        word, *rest = message
        if not self._over.done():
            self._words[word](child, *rest)

    def _lost(self, child: _Child) -> None:
        """A child's line is cut."""
        if child.over or self._over.done():
            return
        child.over = True
        child.in_flight = child.waiting = 0
        child.process.kill()
        status = child.process.wait()
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        if self._stopping:
            self._look_for_end()
            return
        for allotment in self._allotments.values():
            allotment.end(child.number)
        self._gone.append(child.facts)
        self._children[child.number] = None
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            self._fail(
                ProcessError(
                    f"{self._deaths} processes of this run have ended one after the other, the last one {how}; "
                    "if memory is short, use fewer with --processes"
                )
            )
            return
        self._notice(f"a process of this run has ended ({how}); another one does again what it had under way")
        backlog = self._backlogs[child.number]
        for request in reversed(child.out.values()):
            if request.index not in self._again:
                self._again.add(request.index)
                backlog.appendleft(request)
                continue
            self._again.discard(request.index)
            if request.url is not None:
                self._router.gave(request.url.origin.host)
            message = f"the process that fetched it has ended twice, the second time {how}"
            self._deliver(unsent(request, Error(ErrorKind.INTERNAL, message)))
        self._router.unasked(child.number)
        for host in [host for host in self._undecided if self._router.home(host) == child.number]:
            self._unasked.discard(host)
            self._deal(host)
        if not self._stopping:
            for host in tuple(self._unasked):
                self._ask_when_up(host)
        if not self._finishing:
            self._send_all()
        self._look_for_end()

    def _look_for_end(self) -> None:
        """End the run when there is nothing left to do."""
        if self._over.done():
            return
        if not self._stopping and not self._finishing:
            if not self._input_closed or self._backlog() or any(child.out for child in self._alive()):
                return
            self._finishing = True
            for child in self._alive():
                child.link.send("finish")
            self._loop.call_later(CLOSING, self._finish)
        if not any(True for _ in self._alive()):
            self._finish()

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._stopping = True
        self._finish()

    def _end_all(self) -> None:
        """No child outlives this."""
        children = [child for child in self._children if child is not None]
        for child in children:
            child.over = True
            child.process.kill()
            child.link.close()
        for child in children:
            child.process.wait()
