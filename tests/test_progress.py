"""What a person sees while a run goes on, on real terminals and pipes."""

from __future__ import annotations

import fcntl
import inspect
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from io import RawIOBase
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.progress import LINE_INTERVAL, Bar, Display, Level, Lines, Pace, Silent, Snapshot, choose, told
from fetcher.screen import ScreenConfig
from fetcher.terminal import Pen

NEVER = 3600.0
AT_ONCE = 0.01

NOW = Snapshot(
    done=45_210,
    total=100_000,
    total_exact=True,
    ok=45_081,
    failed=129,
    in_flight=50,
    waiting=12,
    size=312_400_000,
    elapsed=37.6,
)
BEFORE = replace(NOW, done=33_180, size=231_400_000, elapsed=27.6)


Pipe = tuple[RawIOBase, Pen]


class Screen:
    """A terminal of so many columns; what was written to it is read from the other side."""

    def __init__(self, columns: int) -> None:
        self._master, self.fd = pty.openpty()
        tty.setraw(self.fd)
        self.resize(columns)
        self.pen = Pen(self.fd)
        self.seen = b""

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def until(self, text: bytes) -> bytes:
        """All that was written since the last time, up to `text` and what came with it."""
        seen = b""
        while text not in seen:
            assert select.select([self._master], [], [], 10)[0], f"{text!r} never came, only {seen!r}"
            seen += os.read(self._master, 65_536)
        self.seen += seen
        return seen

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._master)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A colour terminal of 120 columns."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    screen = Screen(120)
    yield screen
    screen.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A reading stream and the pen at the other end."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as stream:
        yield stream, Pen(writer)
    os.close(writer)


def looking(*snapshots: Snapshot) -> Callable[[], Snapshot]:
    """A look that sees these in turn, and then the last for ever."""
    left = list(snapshots)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def plain(data: bytes) -> str:
    """What a terminal shows of a line, without colours and movements."""
    return re.sub(r"\x1b\[[?\d;]*[a-zA-Z]|\r", "", data.decode())


def first_line(screen: Screen, look: Callable[[], Snapshot]) -> bytes:
    """What the bar shows at its first drawing."""
    bar = Bar(look, interval=AT_ONCE, pen=screen.pen)
    bar.start()
    drawn = screen.until(b"\x1b[?7h").partition(b"\x1b[?7h")[0]
    bar.stop()
    return drawn


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (12, " 45,210/100"),
        (40, " ━━━━━╸━━━━━━━  45,210/100,000  1,203/s"),
        (80, " ━━━━━━━╺━━━━━━━━  45,210/100,000  1,203/s  46 s left  129 failed  50 in flight"),
        (
            120,
            (
                " ━━━━━━╸━━━━━━━━  45,210/100,000  1,203/s  46 s left  129 failed  50 in flight"
                "  12 waiting  312 MB  8.1 MB/s  45,081 ok"
            ),
        ),
    ],
)
def test_a_narrow_terminal_drops_figures_from_the_right(screen: Screen, columns: int, line: str) -> None:
    """What matters most stays, and no line is as wide as the terminal."""
    screen.resize(columns)

    shown = plain(first_line(screen, looking(BEFORE, NOW)))

    assert line == shown
    assert len(shown) < columns


def test_what_never_happened_is_left_out(screen: Screen) -> None:
    """A run without failures does not speak of them."""
    quiet = replace(NOW, failed=0, waiting=0)

    shown = plain(first_line(screen, looking(BEFORE, quiet)))

    assert shown.endswith("45,210/100,000  1,203/s  46 s left  50 in flight  312 MB  8.1 MB/s  45,081 ok")


def test_figures_keep_their_places(screen: Screen) -> None:
    """What stops happening is a zero, and what gets shorter is padded, so that nothing beside it jumps."""
    calm = replace(NOW, waiting=0, in_flight=3, elapsed=NOW.elapsed + 1)
    bar = Bar(looking(BEFORE, NOW, calm), interval=AT_ONCE, pen=screen.pen)

    bar.start()
    shown = plain(screen.until(b" 0 waiting"))
    bar.stop()

    assert "  129 failed  50 in flight  12 waiting  312 MB  " in shown
    assert "  129 failed   3 in flight   0 waiting  312 MB  " in shown


def test_an_estimated_total_says_so(screen: Screen) -> None:
    """A total that nobody has counted has a tilde."""
    shown = plain(first_line(screen, looking(BEFORE, replace(NOW, total_exact=False))))

    assert "  45,210/~100,000  " in shown


def test_an_unknown_total_has_a_bar_that_moves_and_no_time_left(screen: Screen) -> None:
    """A producer that may never end: what was done and how long it took so far."""
    shown = plain(first_line(screen, looking(replace(BEFORE, total=None), replace(NOW, total=None))))

    assert re.match(r" ━+  45,210 done  1,203/s  38 s so far  129 failed  ", shown)


def test_nothing_done_yet_has_no_time_left(screen: Screen) -> None:
    """No rate, no promise, and no division by it."""
    fresh = Snapshot(0, 10, True, 0, 0, 5, 0, 0, 0.0)

    shown = plain(first_line(screen, looking(fresh)))

    assert re.fullmatch(r" ━+  0/10  0.0/s  5 in flight", shown)


def test_colours_are_left_out_where_they_are_not_wanted(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR is kept: no sequence sets a colour, and what stands beside the bar stands where it stood."""
    with_colour = first_line(screen, looking(BEFORE, NOW))
    monkeypatch.setenv("NO_COLOR", "1")

    without = first_line(screen, looking(BEFORE, NOW))

    assert re.search(rb"\x1b\[[\d;]*3\d", with_colour)
    assert not re.search(rb"\x1b\[[\d;]*[34]\d", without)
    assert plain(with_colour).index("45,210") == plain(without).index("45,210")


def test_a_resized_window_gets_a_line_that_fits(screen: Screen) -> None:
    """The width is asked for at each drawing, and the rest of the longer line is erased."""
    bar = Bar(looking(BEFORE, NOW), interval=AT_ONCE, pen=screen.pen)
    bar.start()
    screen.until(b"\x1b[?7h")

    screen.resize(40)
    drawn = screen.until(b"\x1b[?7h")
    bar.stop()

    assert plain(drawn) == " ━━━━━╸━━━━━━━  45,210/100,000  1,203/s"
    assert drawn.endswith(b"\x1b[J\r\x1b[?7h")


def test_a_resized_window_forgets_how_wide_figures_were(screen: Screen) -> None:
    """Room that one large figure took once is not lost for ever."""
    large = replace(NOW, failed=1_000_000_000)
    looks = [BEFORE, large]
    bar = Bar(lambda: looks.pop(0) if len(looks) > 1 else looks[0], interval=AT_ONCE, pen=screen.pen)
    bar.start()
    screen.until(b"\x1b[?7h")

    looks[0] = NOW
    padded = plain(screen.until(b"\x1b[?7h"))
    screen.resize(119)
    fitting = plain(screen.until(b"\x1b[?7h"))
    bar.stop()

    assert "46 s left" + " " * 12 + "129 failed" in padded
    assert "46 s left  129 failed" in fitting


def test_results_pass_unchanged_above_the_bar(screen: Screen) -> None:
    """The bar is erased before them and drawn again after them, in one write; brackets and colours are theirs."""
    bar = Bar(looking(BEFORE, NOW), interval=AT_ONCE, pen=screen.pen)
    bar.start()
    line = screen.until(b"\x1b[?7h")
    results = "\x1b[32m200\x1b[0m\t[bold]x[/bold]\thttp://日本/:smile:\n".encode() * 3

    bar.write(results)
    shown = screen.until(b"\x1b[?7h")
    bar.stop()

    assert b"\r\x1b[J" + results + line == shown


def test_the_bar_waits_for_the_end_of_a_line(screen: Screen) -> None:
    """A result without its line's end is held back until the end comes; the bar is never drawn in the midst of it."""
    bar = Bar(looking(BEFORE, NOW), interval=AT_ONCE, pen=screen.pen)
    bar.start()
    line = screen.until(b"\x1b[?7h")

    bar.write(b"[\n{1}")
    bar.write(b",")
    bar.write(b"\n{2}")
    bar.stop()
    bar.write(b"\n]")
    shown = screen.until(b"]")

    assert b"\r\x1b[J[\n" + line + b"\r\x1b[J{1},\n" + line + b"\r\x1b[J{2}\n]" == shown


def test_the_bar_is_gone_at_the_end(screen: Screen) -> None:
    """The last thing written erases the line; stopping again writes nothing."""
    bar = Bar(looking(BEFORE, NOW), interval=AT_ONCE, pen=screen.pen)
    bar.start()
    screen.until(b"\x1b[?7h")

    bar.stop()
    bar.stop()
    bar.write(b"end")

    assert screen.until(b"end") == b"\r\x1b[Jend"


def test_a_note_is_shown_at_once_above_the_bar(screen: Screen) -> None:
    """It does not wait for the next look, in its level's colour, and cannot steer the terminal."""
    bar = Bar(looking(NOW), interval=NEVER, pen=screen.pen)
    bar.start()

    bar.note("the server said [red]\x1b[2J\n", level=Level.ERROR)
    shown = screen.until(b"\n")
    bar.stop()

    assert shown == b"\x1b[1;31mafetch: the server said [red]\\x1b[2J\\x0a\x1b[0m\n"


def test_notes_before_and_after_are_shown_too(screen: Screen) -> None:
    """A warning about an option comes before the bar, the last word after it."""
    bar = Bar(looking(NOW), interval=NEVER, pen=screen.pen)

    bar.note("before", level=Level.INFO)
    bar.start()
    bar.stop()
    bar.note("after", level=Level.INFO)

    assert screen.until(b"after\n") == b"afetch: before\nafetch: after\n"


def test_results_of_several_threads_keep_their_lines_whole(screen: Screen) -> None:
    """Writers, notes and the bar share one terminal without cutting into each other."""
    bar = Bar(lambda: NOW, interval=AT_ONCE / 10, pen=screen.pen)
    bar.start()

    def write(name: str) -> None:
        for number in range(100):
            bar.write(f"<{name} {number}>\n".encode() * 3)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    reader = threading.Thread(target=screen.until, args=(b"<end>\n",))
    reader.start()
    for thread in threads:
        thread.join()
    bar.stop()
    bar.write(b"<end>\n")
    reader.join()

    lines = plain(screen.seen).split("\n")
    for name in "abc":
        assert [f"<{name} {number}>" for number in range(100) for _ in range(3)] == [
            found[0] for line in lines if (found := re.search(rf"<{name} \d+>$", line))
        ]


class SlowPen(Pen):
    """A pen that holds its first writer until somebody else came to write, or waits for the lock to do so."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()
        self.met = threading.Event()
        self.inside = self.most = 0

    def write(self, data: bytes) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.writing.is_set():
            self.met.set()
        self.writing.set()
        assert self.met.wait(10), "nobody else came"
        self.inside -= 1


class Gate:
    """A lock that tells when somebody finds it taken."""

    def __init__(self, taken: threading.Event) -> None:
        self._lock = threading.Lock()
        self._taken = taken

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._taken.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("first", ["result", "note"])
def test_nobody_writes_while_another_does(first: str) -> None:
    """A result and the bar never meet on the terminal: what one knows of the screen is still true when it writes."""
    pen = SlowPen()
    bar = Bar(looking(NOW), interval=NEVER, pen=pen)
    bar._lock = Gate(pen.met)  # type: ignore[assignment] # it is used as a context only
    bar.start()
    acts = {"result": lambda: bar.write(b"result\n"), "note": lambda: bar.note("a note")}
    second = "note" if first == "result" else "result"

    threads = [threading.Thread(target=acts[first])]
    threads[0].start()
    assert pen.writing.wait(10)
    threads.append(threading.Thread(target=acts[second]))
    threads[1].start()
    for thread in threads:
        thread.join()
    bar.stop()

    assert pen.most == 1


def test_a_plain_line_comes_every_ten_seconds() -> None:
    """Often enough to see that it is alive, seldom enough for a log."""
    assert LINE_INTERVAL == 10.0
    assert inspect.signature(Lines).parameters["interval"].default == LINE_INTERVAL


def test_a_terminal_that_stands_still_does_not_hold_up_the_run(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-S nobody reads, but notes return at once and so does the stop."""
    monkeypatch.setattr("fetcher.progress.PATIENCE", AT_ONCE)
    bar = Bar(lambda: NOW, interval=AT_ONCE, pen=screen.pen)
    bar.start()
    os.set_blocking(screen.fd, False)
    while True:
        try:
            os.write(screen.fd, b"." * 4096)
        except BlockingIOError:
            break

    bar.note("unseen as yet")
    bar.stop()

    assert b"unseen as yet" not in screen.seen
    assert b"unseen as yet" in screen.until(b"unseen as yet")


def test_a_job_in_the_background_leaves_the_prompt_alone(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar is neither drawn nor erased while another process group has the terminal; results still come."""
    front = True
    looked = threading.Semaphore(0)

    def in_front(_fd: int) -> bool:
        if not front:
            looked.release()
        return front

    monkeypatch.setattr("fetcher.progress.in_front", in_front)
    bar = Bar(looking(BEFORE, NOW), interval=AT_ONCE, pen=screen.pen)
    bar.start()
    screen.until(b"\x1b[?7h")

    front = False
    assert looked.acquire(timeout=10)
    assert looked.acquire(timeout=10)
    bar.write(b"result\n")
    bar.stop()
    bar.write(b"end\n")

    assert screen.until(b"end\n") == b"result\nend\n"


def test_lines_say_the_whole_in_one_line(pipe: Pipe) -> None:
    """Without a terminal there is a plain line now and then, without a single escape."""
    stream, pen = pipe
    lines = Lines(looking(BEFORE, NOW), interval=AT_ONCE, pen=pen)

    lines.start()
    written = stream.read(4096)
    lines.stop()

    line = b"afetch: 45,210 of 100,000 done, 129 failed, 1,203/s, 50 in flight, 12 waiting\n"
    assert {line} == set(written.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "45,210 of 100,000 done, 129 failed, 1,203/s, 50 in flight, 12 waiting"),
        ({"total_exact": False}, "45,210 of ~100,000 done, 129 failed, 1,203/s, 50 in flight, 12 waiting"),
        ({"total": None, "failed": 0, "waiting": 0}, "45,210 done, 1,203/s, 50 in flight"),
    ],
)
def test_a_line_says_what_is_known(changes: dict[str, Any], text: str) -> None:
    """An unknown total is not mentioned, an estimated one has a tilde, zeroes are left out."""
    assert text == told(replace(NOW, **changes), 1203.0)


def test_lines_and_silence_do_not_care_that_nobody_reads(pipe: Pipe) -> None:
    """A closed standard error disturbs nothing: the thread goes on looking."""
    stream, pen = pipe
    stream.close()
    looked = threading.Event()
    looks = iter(range(3))

    def look() -> Snapshot:
        if next(looks, None) is None:
            looked.set()
        return NOW

    lines = Lines(look, interval=AT_ONCE, pen=pen)
    silent = Silent(pen=pen)
    for display in (lines, silent):
        display.start()
        display.note("unheard")

    assert looked.wait(10)
    for display in (lines, silent):
        display.stop()


def test_silence_lets_pass_what_matters(pipe: Pipe) -> None:
    """-q: no progress and no information, but warnings and errors, and the results of a shared terminal."""
    stream, pen = pipe
    silent = Silent(pen=pen)

    silent.start()
    silent.note("only by the way", level=Level.INFO)
    silent.note("take care \x07")
    silent.stop()
    silent.write(b"a result\n")

    assert stream.read(4096) == b"afetch: take care \\x07\na result\n"


def test_a_rate_looks_back_over_its_span_only() -> None:
    """An hour of full speed does not hide a stall of the last seconds."""
    pace = Pace(span=10)
    moments = [replace(NOW, elapsed=float(second), done=min(second, 20) * 100, size=0) for second in range(31)]

    rates = [pace(moment)[0] for moment in moments]

    assert (rates[0], rates[1], rates[20], rates[25], rates[30]) == (0.0, 100.0, 100.0, 50.0, 0.0)


@pytest.mark.parametrize(
    ("config", "on_terminal", "kind"),
    [
        (ScreenConfig(), True, Bar),
        (ScreenConfig(), False, Lines),
        (ScreenConfig(progress=True), False, Bar),
        (ScreenConfig(progress=False), True, Silent),
        (ScreenConfig(quiet=True), True, Silent),
        (ScreenConfig(quiet=True, progress=True), False, Silent),
    ],
)
def test_the_display_fits_the_place_and_the_wish(
    screen: Screen, pipe: Pipe, config: ScreenConfig, on_terminal: bool, kind: type[Display]
) -> None:
    """A bar on a terminal, lines elsewhere; options force or forbid it, and quiet wins."""
    display = choose(config, looking(NOW), pen=screen.pen if on_terminal else pipe[1])

    assert type(display) is kind


def test_no_progress_still_tells_what_happens(pipe: Pipe) -> None:
    """--no-progress is not -q: "stopping, 12 in flight" is heard."""
    stream, pen = pipe
    display = choose(ScreenConfig(progress=False), looking(NOW), pen=pen)

    display.note("stopping", level=Level.INFO)

    assert stream.read(4096) == b"afetch: stopping\n"


def test_a_run_without_a_terminal_does_not_pay_for_rich() -> None:
    """Neither the room nor its plain lines import rich."""
    code = (
        "import sys\n"
        "from fetcher.progress import ScreenConfig, choose\n"
        "display = choose(ScreenConfig(), lambda: None)\n"
        "display.note('x')\n"
        "print('rich' in sys.modules, type(display).__name__)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("False Lines\n", "afetch: x\n")
