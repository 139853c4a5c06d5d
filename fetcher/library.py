"""
Owns afetch as a library: the same engine as the command's, without its signals, screen or files.

    async with fetch(urls, Settings(concurrency=20)) as records:
        async for record in records:
            print(record.status, record.url)
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fetcher.backends.loops import run as run_loop
from fetcher.engine import GRACE, Engine
from fetcher.errors import UsageError
from fetcher.model import Request, Result
from fetcher.record import Record, make_record
from fetcher.settings import Settings
from fetcher.sources.iterable import from_iterable
from fetcher.sources.protocol import Source
from fetcher.sources.unique import Unique

if TYPE_CHECKING:
    from fetcher.saving.files import Saving

Urls = Iterable[str | Request] | AsyncIterable[str | Request]

AHEAD = 1_000
"""Results that may wait to be taken before nothing new is begun."""


class Fetch:
    """
    The records of a list of URLs, as they come: an async iterator, and an async context manager.

    Left early, by `break` inside `async with` or by `aclose`, it ends what is under way and leaves no task behind. The
    records come in the order in which the fetches end; `record.index` is the place in the list.

    With `settings.save` a body is in its file when its record is given. What is in the folder already stays, but for
    files of the same names.
    """

    def __init__(self, urls: Urls, settings: Settings) -> None:
        self._settings = settings
        source: Source = from_iterable(urls, settings, settings.headers)
        if settings.save is not None:
            # Imported here, so that only who asks for it pays for it.
            from fetcher.saving.naming import Named

            source = Named(source, settings.save_name)
        self._source: Source = Unique(source) if settings.unique else source
        self._saving: Saving | None = None
        self._failure: Exception | None = None
        self._results: deque[Result] = deque()
        self._engine: Engine | None = None
        self._run: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Record]:
        return self

    async def __anext__(self) -> Record:
        run = self._begin()
        while not self._results:
            if run.done():
                self._close_folder()
                # Raises what ended the run, if that was not its list.
                await run
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        result = self._results.popleft()
        self._taken.set()
        if self._engine is not None and result.hop is not None:
            self._engine.written(result.hop.held)
        if self._saving is None:
            return make_record(result, self._settings)
        result, saved = self._saving.settle(result)
        return make_record(result, self._settings, saved=saved)

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what is under way; whatever is fetched and not taken is dropped."""
        if self._engine is not None:
            self._engine.abort()
        if self._run is not None:
            await asyncio.gather(self._run, return_exceptions=True)
        self._close_folder()
        self._source.close()
        self._results.clear()

    def put(self, result: Result) -> None:
        """A result from the engine."""
        self._results.append(result)
        self._arrived.set()

    def full(self) -> bool:
        """Whether whoever iterates is far behind."""
        return len(self._results) >= AHEAD

    async def room(self) -> None:
        """Return when enough was taken."""
        while self.full():
            self._taken.clear()
            await self._taken.wait()

    def _begin(self) -> asyncio.Task[None]:
        if self._run is None:
            loop = asyncio.get_running_loop()
            if self._settings.save is not None:
                from fetcher.saving.files import Saving

                self._saving = Saving(self._settings, goes_on=True)
                self._saving.on_error = lambda error: loop.call_soon_threadsafe(self._fail, error)
            try:
                self._engine = Engine(self._settings, self._source, self, folder=self._saving)
            except BaseException:
                self._close_folder()
                raise
            self._run = loop.create_task(self._engine.run(), name="afetch-run")
            self._run.add_done_callback(lambda _: self._arrived.set())
            if self._settings.max_time:
                timer = loop.call_later(self._settings.max_time, self._engine.stop, GRACE)
                self._run.add_done_callback(lambda _: timer.cancel())
        return self._run

    def _fail(self, error: Exception) -> None:
        """A body cannot be written: the run is over."""
        self._failure = self._failure or error
        if self._engine is not None:
            self._engine.abort()

    def _close_folder(self) -> None:
        if self._saving is not None:
            self._saving.close()


def fetch(urls: Urls, settings: Settings | None = None) -> Fetch:
    """
    Records of URLs, as they come.

    Args:
        urls: Strings, or `Request`s; any iterable or async iterable, also an endless one: it is read as far ahead as
            `settings.window` says.
        settings: How to fetch; the defaults are the command's.

    Raises:
        UsageError: `settings` ask for several processes, which only the command has, or one of them cannot be used,
            when the first record is asked for (a `cacert` that cannot be read).
        SinkError: A body cannot be saved.
    """
    settings = settings or Settings()
    if settings.processes not in {1, "auto"}:
        raise UsageError(f"processes must be 1 in a program, not {settings.processes}; only the command has several")
    return Fetch(urls, settings)


def fetch_all(urls: Iterable[str | Request], settings: Settings | None = None) -> list[Record]:
    """
    The records of all URLs, in the order of the list, when all are done.

    For scripts and notebooks: it needs no event loop, and works where one already runs. All bodies are in memory at the
    end; for long lists use `fetch`.
    """
    records: list[Record] = []
    failure: list[BaseException] = []

    async def collect() -> None:
        async with fetch(urls, settings) as arriving:
            async for record in arriving:
                records.append(record)  # noqa: PERF401 - what came before an error is kept

    def on_a_loop() -> None:
        try:
            run_loop(collect())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            failure.append(error)

    if _loop_runs_here():
        thread = threading.Thread(target=on_a_loop, name="afetch-fetch-all", daemon=True)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
    else:
        run_loop(collect())
    records.sort(key=lambda record: record.index)
    return records


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
