"""
Owns a process that fetches for another one: an engine whose entries come over a line, and whose results go back.

It hears of signals from its parent only: a terminal sends them to all processes at once. When the line is cut its
parent is gone, and it ends there and then.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fetcher.backends.shares import home
from fetcher.backends.wire import Link, Message, Unpacking, pack_job, pack_result, unpack_moved
from fetcher.errors import AfetchError
from fetcher.model import Job, Part, Request, Result

if TYPE_CHECKING:
    from fetcher.engine import Engine
    from fetcher.saving.files import Saving
    from fetcher.settings import Settings

TOGETHER = 0.002
"""Seconds that a result waits for others to travel with."""

ALONE = 0.02
"""Seconds without results, after which the next one does not wait."""

FULL = 256 * 1024
"""Bytes of bodies that do not wait any longer."""

NEWS = 0.25
"""Seconds between two looks at what there is to tell beside results."""

APART = 1.0
"""
Seconds between the ends of a host's hold in two processes: one request goes alone then, and if that is refused as well
the others hear of it before they ask.
"""

QUEUE = 10_000
"""Results of all processes that may wait to be written before nothing new is begun."""

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What the parent hears of, and tells its children."""


Beginning = tuple["Settings", int, int, dict[str, float]]
"""What a child is told first: settings, its number, of how many, and what of the run is its own at first."""


class Inbox:
    """
    The source of a child's engine: the entries that the parent sends.

    Args:
        on_taken: Told when `taken` has grown.

    Attributes:
        taken: Entries that the engine has a place for, since somebody put this back to 0.
    """

    def __init__(self, on_taken: Callable[[], object]) -> None:
        self._on_taken = on_taken
        self._batches: deque[list[Request]] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self.taken = 0

    @property
    def total(self) -> int | None:
        """Only the parent knows."""
        return None

    def estimate(self) -> int | None:
        """Only the parent knows."""
        return None

    def put(self, batch: list[Request]) -> None:
        """Entries have arrived."""
        self._batches.append(batch)
        self._arrived.set()

    def close(self) -> None:
        """There will be no more."""
        self._closed = True
        self._arrived.set()

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        """Requests as `Source` promises them."""
        while True:
            while not self._batches:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            batch = self._batches.popleft()
            yield batch
            # Whoever asks for more has found a place for these.
            self.taken += len(batch)
            self._on_taken()


class Child:
    """
    One run of an engine for a parent; also the outlet of that engine.

    Args:
        line: The socket to the parent.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._link = Link(self._heard, self._orphaned)
        self._link.on_flow = self._room_there
        self._unpacking = Unpacking()
        self._inbox = Inbox(self._flush_soon)
        self._begun: asyncio.Future[Beginning] = self._loop.create_future()
        self._engine: Engine | None = None
        # What the parent said before there was an engine.
        self._pending: list[Callable[[Engine], object]] = []
        self._over = False
        self._saving: Saving | None = None
        self._number, self._count = 0, 1
        self._places: dict[str, int] = {}
        self._results: list[Any] = []
        self._waiting_bytes = 0
        self._flusher: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        # Results and bytes of bodies that the parent has not written.
        self._unwritten = self._unwritten_bytes = 0
        self._most_unwritten, self._most_bytes = QUEUE, 0
        self._space = asyncio.Event()
        self._told: bytes = b""
        # Slots that are not ours any more, and of the run's rates what is ours.
        self._given_up = 0
        self._rates: dict[str, float] = {}
        self._words: dict[str, Callable[..., object]] = {
            "settings": self._settings,
            "entries": self._entries,
            "moved": self._moved,
            "written": self._written,
            "divide": self._divide,
            "hold": self._hold,
            "stop": self._stop,
            "finish": self._finish,
            "allot": self._allot,
            "spare": self._spare,
        }

    async def run(self) -> None:
        """Everything, until there is no more to do and the parent knows it."""
        await self._loop.create_unix_connection(lambda: self._link, sock=self._line)
        settings, self._number, self._count, own = await self._begun
        self._most_unwritten = max(1, QUEUE // self._count)
        self._most_bytes = settings.body_budget // 2
        # Not before there is a parent that is told of trouble.
        from fetcher.client.lean import import_aiohttp

        import_aiohttp()
        from fetcher.engine import Engine

        # As in the command's own process: what is there by now stays.
        gc.freeze()
        gc.enable()
        try:
            if settings.save is not None:
                from fetcher.saving.files import Saving

                self._saving = Saving(settings, shared=True)
                self._saving.on_error = lambda error: self._loop.call_soon_threadsafe(self._trouble, error)
            slots = own.pop("slots", None)
            engine = Engine(
                settings,
                self._inbox,
                self,
                notice=self._note,
                folder=self._saving,
                own=None if slots is None else int(slots),
            )
            engine.on_given = self._gave
            for what, rate in own.items():
                self._rates[what] = rate
                self._set_rate(engine, what)
            engine.elsewhere = self._elsewhere
            engine.frontier.on_refusal = self._refused
            running = self._loop.create_task(engine.run())
            # It has begun by then, so it can be told to stop.
            await asyncio.sleep(0)
            self._engine = engine
            pending, self._pending = self._pending, []
            for act in pending:
                act(engine)
            self._link.send("up")
            while not running.done():
                self._tell()
                await asyncio.wait((running,), timeout=NEWS)
            await running
        except Exception as error:  # noqa: BLE001 - the parent ends the run, and says why
            self._trouble(error)
        self._flush()
        self._tell()
        self._link.send("bye")
        if self._saving is not None:
            self._saving.close()
        self._over = True
        # The parent hangs up when it has heard all.
        await self._loop.create_future()

    def put(self, result: Result) -> None:
        """A result from the engine."""
        hop = result.hop
        self._unwritten += 1
        if hop is not None:
            held = hop.held
            self._unwritten_bytes += held
            self._waiting_bytes += held
            if hop.part is not None:
                self._give(hop.part)
        self._results.append(pack_result(result, self._link))
        if self._waiting_bytes > FULL:
            self._flush()
        elif self._flusher is None:
            # What comes alone does not wait for others.
            alone = self._loop.time() - self._flushed_at > ALONE
            self._flush_soon(0.0 if alone else TOGETHER)

    def full(self) -> bool:
        """Whether the parent is far behind."""
        return self._unwritten > self._most_unwritten or self._unwritten_bytes > self._most_bytes or self._link.blocked

    async def room(self) -> None:
        """Return when the parent has caught up."""
        while self.full():
            self._space.clear()
            await self._space.wait()

    def _flush_soon(self, delay: float = TOGETHER) -> None:
        if self._flusher is None:
            self._flusher = self._loop.call_later(delay, self._flush)

    def _flush(self) -> None:
        """Send what waits to be sent, and how many entries the engine has taken since."""
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None
        self._flushed_at = self._loop.time()
        results, self._results, self._waiting_bytes = self._results, [], 0
        taken, self._inbox.taken = self._inbox.taken, 0
        engine = self._engine
        if engine is None:
            return
        self._link.send("results", results, taken, engine.in_flight, engine.waiting, engine.idle)
        if self._given_up:
            self._link.send("gave", "slots", self._given_up)
            self._given_up = 0

    def _tell(self) -> None:
        """Tell the parent what is new beside results."""
        engine = self._engine
        if engine is None:
            return
        facts = pickle.dumps(
            (
                (engine.in_flight, engine.waiting, engine.idle),
                (engine.paced, engine.throttled),
                engine.waits,
                engine.lookups,
                engine.outage.lasted,
                engine.tuned,
            )
        )
        if facts != self._told:
            self._told = facts
            self._link.send("facts", facts)

    def _heard(self, message: Message) -> None:
        word, *rest = message
        self._words[word](*rest)

    def _settings(self, packed: bytes, number: int, count: int, own: dict[str, float], path: bool) -> None:
        if path:
            # With -v: what the rooms have to say.
            logger = logging.getLogger("fetcher")
            logger.addHandler(_Sending(self._link))
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
        settings = pickle.loads(packed)  # noqa: S301 - our parent has made it
        self._begun.set_result((settings, number, count, own))

    def _entries(self, known: list[Any], packed: list[Any]) -> None:
        self._inbox.put(self._unpacking.requests(known, packed))

    def _moved(self, request: bytes, job: bytes) -> None:
        moved = unpack_moved(request, job)
        if moved.part is not None and self._saving is not None:
            self._saving.receive(moved.part)
        self._when_up(lambda engine: engine.take_over(moved))

    def _written(self, count: int, size: int) -> None:
        self._unwritten -= count
        self._unwritten_bytes -= size
        self._when_up(lambda engine: engine.written(size))
        self._room_there()

    def _divide(self, host: str, place: int, ways: int, asked: bool) -> None:
        """Others have parts of a host from now on. Where we are `asked`, we answer whether we are ready for that."""
        self._when_up(lambda engine: self._divided(engine, host, place, ways, asked=asked))

    def _divided(self, engine: Engine, host: str, place: int, ways: int, *, asked: bool) -> None:
        if asked and engine.frontier.humbled(host, perf_counter()):
            self._link.send("ready", host, False)
            return
        engine.frontier.divide(host, place, ways)
        self._places[host] = place
        if asked:
            self._ready(engine, host)

    def _ready(self, engine: Engine, host: str) -> None:
        if engine.frontier.within(host):
            self._link.send("ready", host, True)
        else:
            self._loop.call_later(TOGETHER, self._ready, engine, host)

    def _hold(self, host: str, wait: float) -> None:
        # Behind the processes whose place among those that the host is divided among is before ours.
        self._when_up(
            lambda engine: engine.frontier.hold(host, wait + self._places.get(host, 0) * APART, perf_counter())
        )

    def _allot(self, what: str, more: float, aim: float) -> None:
        """Of what is the run's so much `more` is ours, and no more than `aim` is to be."""
        self._when_up(lambda engine: self._allotted(engine, what, more, aim))

    def _spare(self, most: int) -> None:
        """Somebody else has nothing to do: give back what is not begun, and may be done there."""
        self._when_up(lambda engine: self._link.send("spared", engine.spare(most)))

    def _allotted(self, engine: Engine, what: str, more: float, aim: float) -> None:
        if what == "slots":
            engine.allot(int(more), int(aim))
            return
        self._rates[what] += more
        beyond = self._rates[what] - aim
        if beyond > 0:
            self._rates[what] = aim
        self._set_rate(engine, what)
        if beyond > 0:
            self._link.send("gave", what, beyond)

    def _set_rate(self, engine: Engine, what: str) -> None:
        (engine.allot_rate if what == "rate" else engine.allot_limit_rate)(self._rates[what])

    def _gave(self, count: int) -> None:
        self._given_up += count
        self._flush_soon()

    def _stop(self, grace: float) -> None:
        self._when_up(lambda engine: engine.stop(grace))

    def _finish(self) -> None:
        self._inbox.close()

    def _when_up(self, act: Callable[[Engine], object]) -> None:
        """Do it with the engine, as soon as there is one."""
        if self._engine is not None:
            act(self._engine)
        else:
            self._pending.append(act)

    def _orphaned(self) -> None:
        # Nothing is left to say, and nobody to say it to.
        os._exit(0 if self._over else 1)

    def _room_there(self) -> None:
        self._space.set()

    def _refused(self, host: str, wait: float) -> None:
        if host in self._places:
            self._link.send("refused", host, wait)
            if self._engine is not None:
                self._engine.frontier.linger(host, self._places[host] * APART)

    def _elsewhere(self, job: Job) -> bool:
        """Whether a job goes on in the process that its new host belongs to."""
        host = job.host
        if job.request.ours or host == job.hops[-1].url.origin.host or host in self._places:
            return False
        if home(host, self._count) == self._number:
            return False
        if job.part is not None:
            self._give(job.part)
        self._link.send("away", host, *pack_job(job))
        return True

    def _give(self, part: Part) -> None:
        """Somebody else looks after a part from now on."""
        if self._saving is not None:
            self._saving.release(part)

    def _note(self, text: str) -> None:
        self._link.send("note", text)

    def _trouble(self, error: Exception) -> None:
        ours = isinstance(error, AfetchError)
        self._link.send("trouble", str(error) if ours else f"{type(error).__name__}: {error}", ours)


class _Sending(logging.Handler):
    """Log records as messages to the parent."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        self._link.send("log", self.format(record))


def main() -> None:
    """A child's whole life; the descriptor of its line is the command's first argument."""
    gc.disable()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    from fetcher.backends.loops import run

    line = socket.socket(fileno=int(sys.argv[1]))

    async def live() -> None:
        await Child(line).run()

    run(live())
