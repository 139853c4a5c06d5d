"""Owns a run as the command's: descriptors, signals, the screen, and what its end is called to the shell."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fetcher.backends.limits import fit_descriptors
from fetcher.backends.local import LocalRun, MakeEngine
from fetcher.backends.loops import run as run_loop
from fetcher.cli.complaints import complain
from fetcher.cli.status import ExitStatus
from fetcher.engine import GRACE, Engine
from fetcher.errors import ChangedListError, ProcessError, SinkError
from fetcher.model import Result
from fetcher.progress import Display, Level, choose
from fetcher.screen import ScreenConfig
from fetcher.settings import Settings
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.outputs import Outputs, open_outputs
from fetcher.sources.ledger import Ledger
from fetcher.sources.protocol import Source
from fetcher.sources.reader import Feed
from fetcher.summary import Already, Facts, show
from fetcher.terminal import Pen, counted, is_terminal, same_terminal, sized
from fetcher.verdict import Verdict

if TYPE_CHECKING:
    from fetcher.cache import Cache
    from fetcher.journal import Journal
    from fetcher.saving.files import Saving
    from fetcher.sources.unique import Unique

STOPPING = {
    name: status
    for name, status in (
        ("SIGINT", ExitStatus.INTERRUPTED),
        ("SIGTERM", ExitStatus.TERMINATED),
        ("SIGHUP", ExitStatus.HUNG_UP),
    )
    if hasattr(signal, name)
}
"""Signals that end a run in good order, once, and at once the second time."""

MUCH = 1024 * 1024 * 1024
"""Bytes of outputs that are not read in a few seconds."""

BACKLOG = 100
"""Results that wait to be written without anybody noticing."""


def launch(sources: tuple[str, ...], settings: Settings, output: OutputConfig, screen: ScreenConfig) -> int:
    """
    Fetch the sources' lists: the exit status.

    Raises:
        AfetchError: It could not begin: an input cannot be read, an output cannot be written, a setting cannot be.
    """
    # Before there is a loop, which takes descriptors of its own.
    fit_descriptors(settings.slots, saving=settings.save is not None)

    async def main() -> int:
        ledger = None if output.failed is None else Ledger()
        feed = Feed(sources, settings, settings.headers, ledger)
        names = tuple("standard input" if name == "-" else name for name in sources)
        return await Conductor(settings, screen, names).conduct(feed, output, feed.files, ledger)

    return run_loop(main())


class Conductor:
    """One run from the first signal handler to the summary."""

    def __init__(self, settings: Settings, screen: ScreenConfig, sources: Sequence[str]) -> None:
        slots = fit_descriptors(settings.slots, saving=settings.save is not None)
        self._wanted = settings.slots
        auto = settings.concurrency == "auto"
        self._settings = replace(settings, max_concurrency=slots) if auto else replace(settings, concurrency=slots)
        self._screen = screen
        self._sources = tuple(sources)
        self._display: Display
        self._run: LocalRun
        self._signal: str | None = None
        self._cache: Cache | None = None
        self._saving: Saving | None = None
        self._journal: Journal | None = None
        self._resumes = False
        self._unique: Unique | None = None

    async def conduct(
        self,
        source: Source,
        output: OutputConfig,
        inputs: frozenset[tuple[int, int]] = frozenset(),
        ledger: Ledger | None = None,
        *,
        observe: Callable[[Result], object] | None = None,
    ) -> int:
        """The exit status of the run of a source into an output, with the screen as it was asked for."""
        self._display = choose(self._screen, lambda: self._run.snapshot())
        try:
            opened = self._open(output, inputs, ledger)
            places, self._journal = opened.outputs, opened.journal
            self._resumes = opened.resumes
            try:
                if self._settings.save is not None:
                    source = self._save(source, goes_on=output.overwrite or output.resume)
                if self._settings.unique:
                    from fetcher.sources.unique import Unique

                    source = self._unique = Unique(source, None if ledger is None else ledger.let_go)
                if self._journal is not None:
                    source = self._journal.remaining(source, opened.skipped)
                source = source if self._cache is None else self._cache.remembering(source)
                if output.wants_bytes and self._settings.body == "auto":
                    self._settings = replace(self._settings, body="base64")
                if output.captures:
                    self._settings = replace(self._settings, capture=True)
                self._run = LocalRun(
                    self._settings,
                    source,
                    places,
                    observe=observe,
                    notice=self._display.note,
                    ordered=output.ordered,
                    saving=self._saving,
                    engine=self._engine(),
                )
                if self._journal is not None:
                    self._run.verdict.recall(self._journal.there, self._journal.counted)
            except BaseException:
                for place in places:
                    place.close()
                if self._saving is not None:
                    self._saving.close()
                raise
        except BaseException:
            source.close()
            raise
        self._display.start()
        try:
            self._warn()
            with self._logging(), self._signals():
                await self._run.run()
        finally:
            self._display.stop()
        return self._end()

    def _engine(self) -> MakeEngine:
        """What fetches: here, or in processes of their own."""
        if self._settings.processes == 1:
            return Engine
        from fetcher.backends.processes import Processes
        from fetcher.backends.shares import processes_of

        return Processes if processes_of(self._settings) > 1 else Engine

    def _open(self, output: OutputConfig, inputs: frozenset[tuple[int, int]], ledger: Ledger | None) -> Outputs:
        """Where records go: the outputs, and behind them what is to be remembered of them."""
        shown = any(place.path is None for place in output.places)
        terminal = shown and os.isatty(1)
        # On one terminal the results are printed above the bar, by whoever draws it.
        shared = shown and same_terminal()
        verdict = Verdict(self._settings)
        if output.resume and not self._screen.quiet:
            self._announce(output)
        opened = open_outputs(
            output,
            inputs=inputs,
            write=self._display.write if shared else None,
            colour=terminal and is_terminal(1) and not os.environ.get("NO_COLOR"),
            terminal=terminal,
            ledger=ledger,
            user_agent=self._settings.sent_user_agent,
            robots=self._settings.robots,
            folder=self._settings.save,
            counts=lambda entry: verdict.counts(entry.ok is not False, entry.status, entry.kind),
        )
        if output.cache is None:
            return opened
        try:
            # Imported here, so that only who asks for it pays for it.
            from fetcher.cache import Cache

            self._cache = Cache(output.cache)
        except BaseException:
            for place in opened.outputs:
                place.close()
            raise
        return opened._replace(outputs=[*opened.outputs, self._cache.learning(opened.outputs)])

    @staticmethod
    def _announce(output: OutputConfig) -> None:
        """Say that what is there is read first, where that takes a while."""
        sizes = 0
        for place in output.places:
            with contextlib.suppress(OSError, ValueError):
                sizes += Path(place.path).stat().st_size if place.path is not None else 0
        if sizes > MUCH:
            Pen().tell(f"afetch: reading what is there already, {sized(sizes)}\n")

    def _save(self, source: Source, *, goes_on: bool) -> Source:
        """The source, whose requests know what their files are called; the folder for them is opened."""
        from fetcher.saving.files import Saving
        from fetcher.saving.naming import Named

        self._saving = Saving(self._settings, goes_on=goes_on)
        return Named(source, self._settings.save_name)

    def _warn(self) -> None:
        if self._settings.insecure:
            self._display.note(
                "certificates are not verified (--insecure): anyone on the way can read and change replies"
            )
        elif self._settings.insecure_hosts:
            hosts = ", ".join(self._settings.insecure_hosts)
            self._display.note(
                f"certificates of {hosts} are not verified (--insecure-host): anyone on the way can read and change it"
            )
        if self._settings.slots < self._wanted:
            most = f"{counted(self._settings.slots, 'request')} at once"
            auto = self._settings.concurrency == "auto"
            most = f"at most {most}" if auto else f"{most} instead of {self._wanted:,}"
            self._display.note(f"{most}: the system allows no more open files (ulimit -n)")

    def _end(self) -> int:
        """The last words, and what the end is called."""
        run, failure = self._run, self._run.failure
        if isinstance(failure, BrokenPipeError):
            die_of_closed_pipe()
        if not self._screen.quiet:
            show(run.stats, self._facts())
        if failure is not None:
            way_on = (
                "; then go on with --resume" if self._resumes and isinstance(failure, SinkError | ProcessError) else ""
            )
            complain(f"{failure}{way_on}")
            return ExitStatus.UNUSABLE
        if run.source_error is not None:
            complain(str(run.source_error))
            return ExitStatus.UNUSABLE
        if self._signal is not None:
            return STOPPING[self._signal]
        return ExitStatus.FAILED if run.verdict.failed or run.timed_out else ExitStatus.OK

    def _facts(self) -> Facts:
        run = self._run
        return Facts(
            elapsed=run.elapsed,
            sources=self._sources,
            reason=self._reason(),
            unrecorded=run.unrecorded,
            unrecorded_exact=run.exact,
            resume="--resume" if self._resumes else None,
            already=self._already(),
            counted=run.verdict.counted,
            excessive=run.verdict.failed,
            waits=run.waits,
            changes=self._cache.changes if self._cache is not None else None,
            outage=run.outage,
            tuned=run.tuned,
            lookups=run.lookups,
            held_back=run.held_back,
            repeats=self._unique.dropped if self._unique is not None else 0,
        )

    def _already(self) -> Already | None:
        journal = self._journal
        if journal is None:
            return None
        strays = journal.there - journal.met if self._run.exact else 0
        return Already(journal.there, journal.failed, journal.again, strays)

    def _reason(self) -> str | None:
        if self._run.failure is not None:
            ours = isinstance(self._run.failure, ProcessError)
            return "its processes ended" if ours else "the output failed"
        if self._signal is not None:
            return "interrupted" if self._signal == "SIGINT" else f"ended by {self._signal}"
        if self._run.source_error is not None:
            changed = isinstance(self._run.source_error, ChangedListError)
            return "the list has changed" if changed else "the input broke off"
        if self._run.timed_out:
            return "its time was over (--max-time)"
        return "a failure (--fail-fast)" if self._run.stopped else None

    def _on_signal(self, name: str) -> None:
        if self._signal is not None:
            self._run.abandon()
            return
        self._signal = name
        self._run.stop()
        rest = []
        if self._run.in_flight:
            rest.append(f"{self._run.in_flight:,} under way have up to {GRACE:g} s")
        if self._run.unwritten > BACKLOG:
            rest.append(f"{self._run.unwritten:,} records wait to be written")
        if rest:
            self._display.note(f"stopping: {', '.join(rest)}; once more to end at once", level=Level.INFO)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first signal ends the run in good order, the second at once. One inherited as ignored stays so."""
        loop = asyncio.get_running_loop()
        caught = []
        for name in STOPPING:
            number = getattr(signal, name)
            if signal.getsignal(number) == signal.SIG_IGN:
                continue
            # Windows' loops have no signal handlers: there Ctrl-C is a KeyboardInterrupt.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._on_signal, name)
                caught.append(number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    @contextlib.contextmanager
    def _logging(self) -> Iterator[None]:
        """With -v, what the rooms have to say."""
        if not self._screen.verbose:
            yield
            return
        logger = logging.getLogger("fetcher")
        handler = _Notes(self._display)
        before = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)


class _Notes(logging.Handler):
    """Log records as notes on the screen, line by line."""

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            self._display.note(line, level=Level.INFO)


def die_of_closed_pipe() -> None:
    """End as any other program whose reader is gone: of SIGPIPE, without a word."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
        os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(ExitStatus.UNUSABLE)
