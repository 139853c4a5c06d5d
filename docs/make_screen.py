"""
Owns docs/screen.svg: the terminal as `afetch --demo` left it shortly before its end, drawn by rich.

Run it in the environment where afetch is installed; it needs tmux, which is the terminal:

    .venv/bin/python docs/make_screen.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 136, 22
PATIENCE = 60.0
BAR = re.compile(r"(\d+)/(\d+)\D.* in flight")
FAILURES = re.compile(r"(?:decode|disconnected|incomplete|protocol|redirects|refused): ")
CELL = 12.2
BLANK = "&#160;"
PIECE = re.compile(rf'x="([\d.]+)" y=("[\d.]+") textLength="([\d.]+)"([^>]*>)((?:{BLANK})+)')
"""A text of rich's that begins with blanks; CELL is the width of a column."""

ENOUGH = 2
"""Failures that must be on the screen together with the bar."""


def tmux(*arguments: str) -> str:
    """What tmux prints, on a server of our own."""
    return subprocess.run(  # noqa: S603 - our own words only
        ["tmux", "-L", "afetch-screen", "-f", "/dev/null", *arguments],  # noqa: S607 - the user's own tmux
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def halfway(screen: str) -> bool:
    """Whether the bar is there, and more than half full."""
    bar = BAR.search(screen)
    return bar is not None and int(bar[1]) * 2 > int(bar[2])


def capture() -> str:
    """
    The running screen, with its colours as escape sequences.

    Raises:
        TimeoutError: It never showed what it should.
    """
    # Retries wait by chance: not every run shows failures side by side.
    command = f"while :; do {sys.executable} -m fetcher --demo; clear; done"
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), command)
    try:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            screen = tmux("capture-pane", "-e", "-p", "-t", ":")
            if halfway(screen) and len(FAILURES.findall(screen)) >= ENOUGH:
                return screen.rstrip("\n")
            time.sleep(0.05)
        raise TimeoutError(f"no run showed a bar and {ENOUGH} failures within {PATIENCE:g} s")
    finally:
        tmux("kill-server")


def outdented(text: re.Match[str]) -> str:
    """A piece of text that begins where its first letter is: some renderers drop the blanks before it."""
    left, top, width, rest, blanks = text.groups()
    shift = CELL * (len(blanks) // len(BLANK))
    return f'x="{float(left) + shift:g}" y={top} textLength="{float(width) - shift:g}"{rest}'


def main() -> None:
    """Write docs/screen.svg."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, legacy_windows=False)
        text = Text.from_ansi(capture())
        # tmux keeps tabs, and in a picture they are nothing.
        text.expand_tabs(8)
        console.print(text, soft_wrap=True)
    # The picture loads nothing from elsewhere: whoever looks has a font of fixed width.
    frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    picture = console.export_svg(title="afetch --demo", code_format=frame, unique_id="afetch")
    lines = (line.rstrip() for line in PIECE.sub(outdented, picture).splitlines())
    Path(__file__).with_name("screen.svg").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
