"""Owns one run of a list: source, engine and writer put together, and what is known of it meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from fetcher.client.names.tally import Lookups
from fetcher.engine import GRACE, Engine, Outlet
from fetcher.errors import ProcessError, SinkError, SourceError
from fetcher.frontier.frontier import Waits
from fetcher.model import Result
from fetcher.progress import Snapshot
from fetcher.settings import Settings
from fetcher.sinks.protocol import Output
from fetcher.sinks.writer import Writer
from fetcher.sources.protocol import Source
from fetcher.stats import Stats
from fetcher.verdict import Verdict

if TYPE_CHECKING:
    from fetcher.saving.files import Saving
    from fetcher.sinks.ordered import Order, Paced
    from fetcher.tuner import Found

log = logging.getLogger(__name__)

QUEUE = 10_000
"""Results that may wait to be written before nothing new is begun."""

FIRST_LOOK, LOOK = 0.001, 0.02
"""Seconds until the first look at whether the writer is done, and between two at most; twice as long each time."""


class Fetching(Protocol):
    """What fetches: an engine, or several of them that look like one. Its attributes are an `Engine`'s."""

    taken: int

    @property
    def in_flight(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    @property
    def idle(self) -> bool: ...

    @property
    def waits(self) -> Waits: ...

    @property
    def lookups(self) -> Lookups: ...

    @property
    def offline(self) -> float: ...

    @property
    def tuned(self) -> Found | None: ...

    @property
    def stopped(self) -> bool: ...

    async def run(self) -> None: ...

    def stop(self, grace: float) -> None: ...

    def abort(self) -> None: ...

    def written(self, size: int, count: int = 0, /) -> None: ...


class MakeEngine(Protocol):
    """Makes what fetches."""

    def __call__(
        self,
        settings: Settings,
        source: Source,
        outlet: Outlet,
        /,
        *,
        notice: Callable[[str], None],
        folder: Saving | None,
    ) -> Fetching: ...


class LocalRun:
    """
    One run of a list.

    Attributes:
        stats: What it came to so far.
        verdict: Which of the results count as failures.
        failure: What ended it early: an output's failure, a pipe whose reader is gone, or a bug of ours.
        source_error: The input could not be read to its end.
        timed_out: It was ended because its time was over (`max_time`).

    Args:
        observe: Told each result.
        notice: Told what a person should hear while it runs.
        ordered: Write the results in the order of the input.
        saving: Where bodies go that are to be files; it is closed here.
        engine: What fetches.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source,
        outputs: Sequence[Output],
        *,
        observe: Callable[[Result], object] | None = None,
        notice: Callable[[str], None] = log.warning,
        ordered: bool = False,
        saving: Saving | None = None,
        engine: MakeEngine = Engine,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._order: Order | None = None
        self._paced: Paced | None = None
        if ordered:
            source = self._in_order(source)
        self._source = source
        self._observe = observe
        self._queue_bytes = settings.body_budget // 2
        self._space = asyncio.Event()
        self._begun = monotonic()
        self._ended: float | None = None
        self._abandoned = False
        self.stats = Stats()
        self.verdict = Verdict(settings)
        self.failure: Exception | None = None
        self.source_error: SourceError | None = None
        self.timed_out = False
        # First the engine, whose settings may be refused: the writer's thread empties a file that is to be replaced.
        self._engine = engine(settings, source, self, notice=notice, folder=saving)
        self._saving = saving
        if saving is not None:
            saving.on_error = self._on_error
        settle = saving.settle if saving is not None else None
        self._writer = Writer(outputs, settings, self._on_written, self._on_error, self._order, settle)

    def _in_order(self, source: Source) -> Source:
        """The source, held back by what waits for an earlier result."""
        # Only who asks for it pays for it.
        from fetcher.sinks.ordered import MOST, Order, Paced

        settings = self._settings
        self._order = Order(settings.body_budget // 4, settings.window + MOST, settings.body_budget)
        self._paced = Paced(source, self._order, lambda: self._engine.idle)
        return self._paced

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._engine.in_flight

    @property
    def waits(self) -> Waits:
        """What was waited for so far."""
        return self._engine.waits

    @property
    def lookups(self) -> Lookups:
        """What the lookups of names came to so far."""
        return self._engine.lookups

    @property
    def outage(self) -> float:
        """Seconds for which there was no network."""
        return self._engine.offline

    @property
    def held_back(self) -> float:
        """Seconds for which nothing new was begun because too many results waited for an earlier one."""
        return self._paced.held_back if self._paced is not None else 0.0

    @property
    def unwritten(self) -> int:
        """Results that wait to be written, or never will be."""
        return self._writer.unwritten

    @property
    def unrecorded(self) -> int:
        """Entries without a record, as far as the list is known."""
        known = self._source.total or self._source.estimate() or 0
        return max(self._engine.taken, known) - self.stats.results + self._writer.unwritten

    @property
    def tuned(self) -> Found | None:
        """How many requests at once did best, where that was to be found out."""
        return self._engine.tuned

    @property
    def stopped(self) -> bool:
        """Whether it was ended before its list was."""
        return self._engine.stopped

    @property
    def elapsed(self) -> float:
        """Seconds since it began, or until it ended."""
        return (self._ended or monotonic()) - self._begun

    @property
    def exact(self) -> bool:
        """Whether `unrecorded` is all, because the list was read to its end."""
        return self._source.total is not None

    def snapshot(self) -> Snapshot:
        """The run at this moment; for any thread."""
        total = self._source.total
        stats, engine = self.stats, self._engine
        return Snapshot(
            stats.results,
            self._source.estimate() if total is None else total,
            total is not None,
            stats.ok,
            stats.failed,
            engine.in_flight,
            engine.waiting,
            stats.size,
            self.elapsed,
        )

    async def run(self) -> None:
        """Everything, until the last record is written or the run was ended."""
        most = self._settings.max_time
        timer = self._loop.call_later(most, self._time_is_up) if most else None
        try:
            await self._engine.run()
        except SourceError as error:
            self.source_error = error
        except (SinkError, ProcessError) as error:
            self.failure = self.failure or error
        finally:
            if timer is not None:
                timer.cancel()
            self._source.close()
            await self._close()
            if self._saving is not None:
                self._saving.close()
            self._ended = monotonic()

    def stop(self, grace: float = GRACE) -> None:
        """Begin nothing new; what is under way has `grace` seconds, then a reader of ours has as long again."""
        self._engine.stop(grace)
        self._loop.call_later(2 * grace, self.abandon)

    def _time_is_up(self) -> None:
        if not self.stopped:
            self.timed_out = True
            self.stop()

    def abandon(self) -> None:
        """End at once: what is under way has no record, files end whole."""
        self._abandoned = True
        self._engine.abort()

    def put(self, result: Result) -> None:
        """A result from the engine."""
        self.stats.add(result)
        if self._observe is not None:
            self._observe(result)
        self._writer.put(result)
        if self.verdict.add(result):
            self._engine.stop(0.0)

    def full(self) -> bool:
        """Whether the writer is far behind."""
        return self._writer.behind(QUEUE, self._queue_bytes)

    async def room(self) -> None:
        """Return when the writer has caught up, or will not any more."""
        while self.full() and self.failure is None:
            self._space.clear()
            await self._space.wait()

    async def _close(self) -> None:
        """Wait for the writer without holding the loop, so that a second signal can still end it."""
        look = FIRST_LOOK
        while not self._writer.close(0):
            if self._abandoned:
                self._writer.abandon()
                return
            await asyncio.sleep(look)
            look = min(2 * look, LOOK)

    def _on_written(self, count: int, size: int) -> None:
        # In the writer's thread. The loop is closed only after the writer, unless that was abandoned.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._written, count, size)

    def _written(self, count: int, size: int) -> None:
        self._engine.written(size, count)
        self._space.set()

    def _on_error(self, error: Exception) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._broken, error)

    def _broken(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
        self._space.set()
        self._engine.abort()
