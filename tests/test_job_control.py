"""The terminal as a shell user has it, through the real command: stopped, put aside, resized, interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Afetch, missing
from tests.screens import Screen
from tests.servers import PATIENCE, Site
from tests.test_endings import wait_for

IN_FRONT = ("setsid", "--ctty", "--wait")
"""Gives what it starts the terminal for its own, as a terminal's window does: Ctrl-C and a resize reach it."""

COLUMNS = 100

PROMPT = "ready>"


class Window:
    """A terminal's window: who types into it, and what stands in it."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self.screen = Screen(COLUMNS)
        self.resize(COLUMNS)

    def resize(self, columns: int) -> None:
        """The kernel tells whoever is in front (SIGWINCH)."""
        self.screen.columns = columns
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, condition: Callable[[], bool], timeout: float = 2 * PATIENCE) -> None:
        """Show what comes until the condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"it has not come to that: {self.screen.lines}"
            self.look()

    def look(self, timeout: float = 0.02) -> bool:
        """Whether more has come; it is shown."""
        if not select.select([self._master], [], [], timeout)[0]:
            return False
        data = os.read(self._master, 65_536)
        self.screen.show(data)
        return True

    def close(self) -> None:
        for descriptor in (self._master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def window(afetch: Afetch) -> Iterator[Window]:
    """A window of 100 columns, closed after what runs in it has ended."""
    window = Window()
    yield window
    afetch.close()
    window.close()


def bar(window: Window) -> str:
    """The bar's line, or nothing where there is none."""
    return next((line for line in window.screen.lines if line.startswith(" ") and "in flight" in line), "")


def last(window: Window) -> str:
    """The lowest line, where the bar is."""
    return window.screen.lines[-1]


def start(afetch: Afetch, window: Window, *args: str, command: tuple[str, ...] = COMMAND) -> subprocess.Popen[bytes]:
    """The command in front of the window, with all three streams."""
    return afetch.start(
        *args,
        stdin=window.slave,
        stdout=window.slave,
        stderr=window.slave,
        env={"PS1": f"{PROMPT} "},
        command=(*IN_FRONT, *command),
    )


def finish(window: Window, process: subprocess.Popen[bytes]) -> int:
    """The status, when all that it has to show was shown."""
    window.until(lambda: process.poll() is not None)
    while window.look(0):
        pass
    return process.returncode


def records(window: Window) -> list[str]:
    """The URLs of the records that stand there whole."""
    return [line.split()[3] for line in window.screen.lines if re.match(r"200 +1 +[0-9.]+ +http", line)]


def summary(window: Window) -> list[str]:
    """What stands below the records."""
    return [line for line in window.screen.lines if line.startswith("afetch: ")]


def state(pid: int) -> str:
    """One letter: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_run_that_is_stopped_and_continued_goes_on(afetch: Afetch, site: Site, window: Window) -> None:
    """`kill -STOP`, then `kill -CONT`: nothing is lost, and the screen is whole."""
    gate = site.gate()
    urls = [site.page("x") for _ in range(5)]
    process = start(afetch, window, *urls, gate.url)
    window.until(lambda: len(records(window)) == 5 and bool(bar(window)))

    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: state(process.pid) == "T")
    gate.open()
    process.send_signal(signal.SIGCONT)
    status = finish(window, process)

    assert status == 0
    assert sorted(records(window)) == sorted(urls)
    assert [line.split(",")[0] for line in summary(window)] == ["afetch: 6 ok"]
    assert bar(window) == ""
    assert window.screen.as_found


def test_ctrl_z_gives_the_prompt_back_and_fg_goes_on(afetch: Afetch, site: Site, window: Window) -> None:
    """The shell's lines stay as they are, the bar comes again with the job, and the job ends as it would have."""
    bash = shutil.which("bash") or missing("bash")
    gate = site.gate()
    urls = [site.page("x") for _ in range(3)]
    shell = start(afetch, window, command=(bash, "--norc", "--noprofile", "--noediting", "-i"))
    window.until(lambda: last(window) == PROMPT)

    window.type(shlex.join((*COMMAND, *urls, gate.url)) + "\n")
    window.until(lambda: len(records(window)) == 3 and bool(bar(window)))
    window.type("\x1a")
    window.until(lambda: last(window) == PROMPT)
    aside = window.screen.lines
    window.type("echo in between\n")
    window.until(lambda: window.screen.lines[-2:] == ["in between", PROMPT])
    window.type("fg\n")
    window.until(lambda: last(window).startswith(" ") and bool(bar(window)))
    gate.open()
    window.until(lambda: last(window) == PROMPT)
    window.type("echo status $?\n")
    window.until(lambda: window.screen.lines[-2:] == ["status 0", PROMPT])
    after = window.screen.lines
    window.type("exit\n")
    shell.wait(PATIENCE)

    assert any("Stopped" in line for line in aside)
    assert after[: len(aside)] == [*aside[:-1], f"{PROMPT} echo in between"]
    assert [line.split(",")[0] for line in summary(window)] == ["afetch: 4 ok"]
    assert sorted(records(window)) == sorted(urls)
    # What stood there when it was put aside has scrolled up as it was; none is left of the later ones.
    assert not [line for line in after[len(aside) :] if "in flight" in line]


def test_a_window_that_is_resized_has_a_bar_that_fits(afetch: Afetch, site: Site, window: Window) -> None:
    """Narrower and wider again, while it is drawn; what is above stays."""
    gate = site.gate()
    urls = [site.page("x") for _ in range(3)]
    process = start(afetch, window, *urls, gate.url)
    window.until(lambda: len(records(window)) == 3 and len(bar(window)) > 40)

    window.resize(40)
    window.until(lambda: 0 < len(last(window)) < 40)
    narrow = last(window)
    window.resize(COLUMNS)
    window.until(lambda: len(last(window)) > 40)
    gate.open()
    status = finish(window, process)

    assert status == 0
    assert narrow.startswith(" ")
    assert "3/4" in narrow
    assert sorted(records(window)) == sorted(urls)
    assert bar(window) == ""
    assert window.screen.as_found


def test_ctrl_c_on_the_keyboard_reaches_all_of_a_pipeline(afetch: Afetch, site: Site, window: Window) -> None:
    """It goes to every process in front: our reader is gone, too, and the screen is left clean."""
    urls = [site.page("x") for _ in range(3)]
    pipeline = f"{shlex.join(COMMAND)} {' '.join(urls)} {site.hang()} | cat"
    process = start(afetch, window, command=("sh", "-c", pipeline))
    window.until(lambda: len(records(window)) == 3 and bool(bar(window)))

    window.type("\x03")
    window.until(lambda: any("stopping: 1 under way" in line for line in window.screen.lines))
    window.type("\x03")
    status = finish(window, process)

    assert status in {-signal.SIGINT, 128 + signal.SIGINT}
    assert sorted(records(window)) == sorted(urls)
    assert window.screen.lines[3:] == [
        "afetch: stopping: 1 under way have up to 5 s; once more to end at once",
        *[line for line in window.screen.lines if line.startswith("afetch: 3 ok, 3 B in ")],
        "  stopped  interrupted; 1 entry has no record",
        "",
    ]
    assert window.screen.as_found
