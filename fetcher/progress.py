"""
Owns what a person sees while a run goes on: a bar, plain lines, or nothing. Reads the run, never steers it.

A display looks at the run a few times a second from a daemon thread of its own: it costs nothing per URL, and a
terminal that stands still (Ctrl-S, a full pipe) never holds up the event loop. What is shown from elsewhere is escaped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from io import BytesIO, TextIOWrapper
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from fetcher.screen import ScreenConfig
from fetcher.terminal import WIDTH, Pen, columns, counted, escaped, in_front, is_terminal, lasted, paced, sized

if TYPE_CHECKING:
    from rich.text import Text

T = TypeVar("T")

BAR_INTERVAL = 0.125
LINE_INTERVAL = 10.0
NOTES_INTERVAL = 3600.0
"""Seconds between two looks; who has only notes to show is woken for them."""

SPAN = 15.0
"""Seconds that a rate looks back: long enough to read, short enough that a stall shows."""

PATIENCE = 1.0
"""Seconds that `stop` waits for a terminal that stands still."""

SHORTEST_BAR = 10
LONGEST_BAR = 40
"""Columns of the bar itself; in between it takes what the figures leave."""

GAP = "  "

ERASE = b"\r\x1b[J"
"""From the line's start to the end of the screen."""

BEFORE, AFTER = "\x1b[?7l", "\x1b[J\r\x1b[?7h"
"""Round the line: no wrapping, should the window have become narrower since we looked; the old line's rest goes."""


class Snapshot(Struct, frozen=True):
    """
    A run at one moment.

    Attributes:
        done: Entries that have their result.
        total: Entries in all, as far as is known; None while nobody can tell.
        total_exact: The total is counted, not estimated.
        in_flight: Requests under way.
        waiting: Jobs that are due later.
        size: Bytes of the decoded bodies so far.
        elapsed: Seconds since the run began.
    """

    done: int
    total: int | None
    total_exact: bool
    ok: int
    failed: int
    in_flight: int
    waiting: int
    size: int
    elapsed: float


class Level(IntEnum):
    """How much a note matters. `-q` lets warnings and errors through."""

    INFO = 0
    WARNING = 1
    ERROR = 2


STYLES = {Level.INFO: "", Level.WARNING: "yellow", Level.ERROR: "bold red"}


class Display(Protocol):
    """What a run shows while it goes on. `note` and `write` are for any thread; only `write` may take long."""

    def start(self) -> None:
        """Begin to show; once."""

    def stop(self) -> None:
        """Show what was noted, leave the terminal as it was found, and end; more than once is no harm."""

    def note(self, text: str, *, level: Level = Level.WARNING) -> None:
        """A line for the person."""

    def write(self, data: bytes) -> None:
        """
        Results, where standard output and standard error are one terminal: lines, escaped already, passed on unchanged.

        Raises:
            OSError: The terminal is gone.
        """


class Pace:
    """How fast it went over the last seconds."""

    def __init__(self, span: float = SPAN) -> None:
        self._span = span
        self._seen: deque[Snapshot] = deque()

    def __call__(self, now: Snapshot) -> tuple[float, float]:
        """Entries and bytes a second, looking back from here; 0.0 at the first look."""
        seen = self._seen
        seen.append(now)
        while len(seen) > 2 and seen[1].elapsed <= now.elapsed - self._span:
            seen.popleft()
        first = seen[0]
        passed = now.elapsed - first.elapsed
        if passed <= 0:
            return 0.0, 0.0
        return (now.done - first.done) / passed, (now.size - first.size) / passed


class Silent:
    """Shows nothing but the notes that matter."""

    def __init__(self, *, least: Level = Level.WARNING, pen: Pen | None = None) -> None:
        self._least = least
        self._pen = pen or Pen()
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._ticker = _Ticker(NOTES_INTERVAL, self._act, self._act)

    def start(self) -> None:
        self._ticker.start()

    def stop(self) -> None:
        self._ticker.stop()

    def note(self, text: str, *, level: Level = Level.WARNING) -> None:
        if level >= self._least:
            self._notes.put(text)
            self._ticker.wake()

    def write(self, data: bytes) -> None:
        self._pen.write(data)

    def _act(self, _due: bool = False) -> None:
        for text in _drained(self._notes):
            self._pen.tell(noted(text))


class Lines:
    """A plain line now and then, where there is no terminal: in a log, a pipe, CI."""

    def __init__(
        self, look: Callable[[], Snapshot], *, interval: float = LINE_INTERVAL, pen: Pen | None = None
    ) -> None:
        self._look = look
        self._pace = Pace(interval)
        self._pen = pen or Pen()
        self._notes: SimpleQueue[str] = SimpleQueue()
        self._ticker = _Ticker(interval, self._act, self._act)

    def start(self) -> None:
        self._pace(self._look())
        self._ticker.start()

    def stop(self) -> None:
        self._ticker.stop()

    def note(self, text: str, *, level: Level = Level.WARNING) -> None:
        del level  # a log takes them all
        self._notes.put(text)
        self._ticker.wake()

    def write(self, data: bytes) -> None:
        self._pen.write(data)

    def _act(self, due: bool = False) -> None:
        for text in _drained(self._notes):
            self._pen.tell(noted(text))
        if due:
            now = self._look()
            rate, _ = self._pace(now)
            self._pen.tell(noted(told(now, rate)))


class Bar:
    """
    One line at the foot of a terminal, drawn over and over, and taken away at the end.

    The cursor rests at the line's start and is never hidden. So, whatever becomes of the line when the window is made
    narrower, erasing from the cursor to the end of the screen takes all of it away, and nothing has to be put back
    after Ctrl-Z or a kill. rich lays the line out but does not write it: its `Live` leaves the cursor at the end, where
    a narrower window garbles what is above, and lays out anew for every batch of results.
    """

    def __init__(self, look: Callable[[], Snapshot], *, interval: float = BAR_INTERVAL, pen: Pen | None = None) -> None:
        self._look = look
        self._pace = Pace()
        self._pen = pen or Pen()
        self._painter = _Painter(self._pen.encoding)
        self._notes: SimpleQueue[tuple[str, Level]] = SimpleQueue()
        self._ticker = _Ticker(interval, self._act, self._leave)
        # Held round each write, and round what is known of the screen: the line that is on it, and the start of a
        # result whose end has not come yet.
        self._lock = threading.Lock()
        self._line = b""
        self._tail = b""
        self._left = False

    def start(self) -> None:
        self._pace(self._look())
        self._ticker.start()

    def stop(self) -> None:
        self._ticker.stop()

    def note(self, text: str, *, level: Level = Level.WARNING) -> None:
        self._notes.put((text, level))
        self._ticker.wake()

    def write(self, data: bytes) -> None:
        with self._lock:
            # The bar needs a line of its own, so only whole lines go out while there may be one.
            end = len(data) if self._left else data.rfind(b"\n") + 1
            if not end:
                self._tail += data
                return
            whole, self._tail = self._tail + data[:end], data[end:]
            self._pen.write((ERASE if self._line else b"") + whole + self._line)

    def _act(self, due: bool) -> None:
        with self._lock:
            line = self._line
            if due:
                # In the background the cursor is the shell's, and so is our line.
                front = in_front(self._pen.fd)
                self._line = self._line if front else b""
                line = self._drawn() if front else b""
            self._put(self._above(), line)

    def _leave(self) -> None:
        with self._lock:
            tail, self._tail, self._left = self._tail, b"", True
            self._put(tail + self._above(), b"")

    def _put(self, above: bytes, line: bytes) -> None:
        """Put a line in the place of the one that is on the screen, and something above it."""
        if above == b"" and line == self._line:
            return
        # A line that only changes is drawn over the old one: erasing first would flicker.
        erase = ERASE if self._line and (above or not line) else b""
        self._line = line
        self._pen.tell(erase + above + line)

    def _drawn(self) -> bytes:
        now = self._look()
        return self._painter.line(now, *self._pace(now), columns(self._pen.fd))

    def _above(self) -> bytes:
        """The notes, to go above the bar."""
        return b"".join(self._painter.note(text, level) for text, level in _drained(self._notes))


def choose(config: ScreenConfig, look: Callable[[], Snapshot], *, pen: Pen | None = None) -> Display:
    """The display for where standard error leads and what was asked for: `quiet` wins, then `progress`."""
    pen = pen or Pen()
    if config.quiet:
        return Silent(pen=pen)
    if config.progress is False:
        return Silent(least=Level.INFO, pen=pen)
    if config.progress or is_terminal(pen.fd):
        return Bar(look, pen=pen)
    return Lines(look, pen=pen)


def told(now: Snapshot, rate: float) -> str:
    """A snapshot in words: `12,345 of ~50,000 done, 17 failed, 1,203/s, 50 in flight`."""
    of = "" if now.total is None else f" of {_total(now)}"
    parts = [f"{counted(now.done)}{of} done"]
    if now.failed:
        parts.append(f"{counted(now.failed)} failed")
    parts += [paced(rate), f"{counted(now.in_flight)} in flight"]
    if now.waiting:
        parts.append(f"{counted(now.waiting)} waiting")
    return ", ".join(parts)


def noted(text: str) -> str:
    """A line of ours, among lines of others."""
    return f"afetch: {escaped(text)}\n"


def _total(now: Snapshot) -> str:
    return f"{'' if now.total_exact else '~'}{now.total or 0:,}"


class _Figure(NamedTuple):
    """One figure beside the bar."""

    name: str
    text: str
    style: str = ""
    number: float = 1
    """What it counts. Nothing is shown of what has not happened yet."""


def _figures(now: Snapshot, rate: float, speed: float) -> list[_Figure]:
    """What stands beside the bar, what matters most first: a narrow terminal cuts from the end."""
    if now.total is None:
        done = f"{counted(now.done)} done"
        spell = f"{lasted(now.elapsed, whole=True)} so far"
    else:
        done = f"{counted(now.done)}/{_total(now)}"
        left = max(0, now.total - now.done)
        spell = f"{lasted(left / rate, whole=True)} left" if rate else ""
    return [
        _Figure("done", done, "bold"),
        _Figure("rate", paced(rate), "cyan"),
        _Figure("time", spell, "", len(spell)),
        _Figure("failed", f"{counted(now.failed)} failed", "red", now.failed),
        _Figure("in flight", f"{counted(now.in_flight)} in flight", "", now.in_flight),
        _Figure("waiting", f"{counted(now.waiting)} waiting", "yellow", now.waiting),
        _Figure("size", sized(now.size), "", now.size),
        _Figure("speed", f"{sized(speed)}/s", "", now.size),
        _Figure("ok", f"{counted(now.ok)} ok", "green", now.ok),
    ]


class _Painter:
    """Lays out what the bar shows, with rich, as bytes for a terminal."""

    def __init__(self, encoding: str) -> None:
        # rich is for those who have a terminal to look at.
        from rich.console import Console
        from rich.progress_bar import ProgressBar

        self._encoding = encoding
        # The file is never written to: it says which characters there are.
        self._console = Console(
            file=TextIOWrapper(BytesIO(), encoding=encoding), force_terminal=True, width=WIDTH, height=1, emoji=False
        )
        self._bar = ProgressBar(total=None)
        # How wide each figure has been, so that the others keep their places when it gets shorter.
        self._widest: dict[str, int] = {}

    def line(self, now: Snapshot, rate: float, speed: float, width: int) -> bytes:
        """One line of less than `width` columns, with the cursor back at its start."""
        from rich.segment import Segment, Segments

        if width != self._console.width:
            self._widest.clear()
            self._console.width = width
        # A blank for the cursor to rest on, and not the last column: terminals differ in where the cursor is after it.
        room = width - 2
        beside = self._beside(_figures(now, rate, speed), room - len(GAP) - SHORTEST_BAR)
        length = min(LONGEST_BAR, room - len(GAP) - beside.cell_len)
        with self._console.capture() as capture:
            self._console.out(" ", end="")
            if length >= SHORTEST_BAR:
                self._bar.total = now.total
                self._bar.completed = now.done
                self._bar.width = length
                bar = list(self._console.render(self._bar))
                # Without colour rich leaves out what is not done yet, and what stands beside would move.
                self._console.print(Segments(Segment.adjust_line_length(bar, length)), GAP, sep="", end="")
            else:
                beside.truncate(room)
            self._console.print(beside, end="", soft_wrap=True)
        return self._encoded(BEFORE + capture.get() + AFTER)

    def note(self, text: str, level: Level) -> bytes:
        """A note on a line, or more where it is too long, of its own."""
        from rich.text import Text

        with self._console.capture() as capture:
            self._console.print(Text(noted(text).rstrip("\n"), STYLES[level]), soft_wrap=True)
        return self._encoded(capture.get())

    def _beside(self, figures: list[_Figure], room: int) -> Text:
        """As many of the figures as there is room for, the first in any case."""
        from rich.text import Text

        beside = Text()
        for name, text, style, number in figures:
            if not number and name not in self._widest:
                continue
            widest = self._widest[name] = max(self._widest.get(name, 0), len(text))
            gap = GAP if beside else ""
            if beside and beside.cell_len + len(gap) + widest > room:
                break
            beside.append(gap).append(text.rjust(widest), style if number else "dim")
        return beside

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._encoding, "backslashreplace")


class _Ticker:
    """
    Acts from a daemon thread: every `interval` seconds, without drift, and as soon as it is woken.

    Where there is no thread, before and after, it acts in the caller's.

    Args:
        act: Told whether the interval has passed.
        leave: The last act.
    """

    def __init__(self, interval: float, act: Callable[[bool], None], leave: Callable[[], None]) -> None:
        self._interval = interval
        self._act = act
        self._leave = leave
        self._woken = threading.Event()
        self._over = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="display", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        if self._thread is None:
            self._act(False)
        else:
            self._woken.set()

    def stop(self) -> None:
        self._over = True
        self._woken.set()
        thread = self._thread
        if thread is None:
            self._leave()
            return
        # A terminal that stands still keeps its thread; the run goes on to its end without it.
        thread.join(PATIENCE)
        if not thread.is_alive():
            self._thread = None

    def _run(self) -> None:
        due = time.monotonic() + self._interval
        try:
            while not self._over:
                self._woken.wait(max(0.0, due - time.monotonic()))
                self._woken.clear()
                now = time.monotonic()
                passed = now >= due
                if passed:
                    # The next beat of the same clock, unless that has passed too.
                    due = max(due + self._interval, now)
                self._act(passed)
        finally:
            self._leave()


def _drained(queue: SimpleQueue[T]) -> list[T]:
    return [queue.get_nowait() for _ in range(queue.qsize())]
