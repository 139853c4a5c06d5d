"""Owns who takes part in a race: how each is run, and how its results are read. A new one is a row in `PEERS`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Found = tuple[str, int | None, int, str | None]
"""URL, status, bytes of the body, and its sha256 where the peer tells it."""


@dataclass(frozen=True)
class Peer:
    """
    One who fetches lists.

    Attributes:
        command: From the list, the file for results, and how many at a time.
        read: What one line of the results says.
        installed: Whether it can be run here.
        to_output: Its results go to standard output.
    """

    name: str
    command: Callable[[Path, Path, int], list[str]]
    read: Callable[[Any], Found]
    installed: Callable[[], bool] = lambda: True
    to_output: bool = False


def _afetch(source: Path, out: Path, slots: int) -> list[str]:
    return [sys.executable, "-m", "fetcher", str(source), "-q", "--json", "-o", str(out), "-c", str(slots)]


def _curl(source: Path, _out: Path, slots: int) -> list[str]:
    # Its own form of a list: every URL needs its own place to go to.
    config = source.with_suffix(".curl")
    with source.open() as lines, config.open("w") as file:
        file.writelines(f'url = "{line.strip()}"\noutput = "/dev/null"\n' for line in lines)
    report = "%{json}\n"
    return ["curl", "-s", "-Z", "--parallel-max", str(slots), "-w", report, "-K", str(config)]


def _plain(source: Path, out: Path, slots: int) -> list[str]:
    script = Path(__file__).with_name("plain_aiohttp.py")
    return [sys.executable, str(script), str(source), str(out), str(slots)]


PEERS = (
    Peer("afetch", _afetch, lambda line: (line["url"], line["status"], line["bytes"], line["sha256"])),
    Peer(
        "curl -Z",
        _curl,
        lambda line: (line["url"], line["http_code"], line["size_download"], None),
        installed=lambda: shutil.which("curl") is not None,
        to_output=True,
    ),
    Peer(
        "plain aiohttp",
        _plain,
        lambda line: (line["url"], line["status"], line["bytes"], line["sha256"]),
    ),
)
