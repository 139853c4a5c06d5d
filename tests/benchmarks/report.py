"""Owns what a person reads of a benchmark, and what `--json` keeps of it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import network

MB = 1_000_000

PACKAGES = ("afetch-cli", "aiohttp", "uvloop", "aiodns", "msgspec", "pycurl", "parfive")

_VERSION = re.compile(r"\d+(\.\d+)+")

Cell = str | int | float | None
Row = dict[str, Cell]


@dataclass(frozen=True)
class Plan:
    """
    How much to measure.

    Attributes:
        runs: How often to repeat what is compared in turns; None is the benchmark's own choice.
        scale: Factor on all counts and sizes: 1 for figures, little for trying whether it works.
    """

    runs: int | None = None
    scale: float = 1.0

    def count(self, whole: int, least: int = 1) -> int:
        """So many of them."""
        return max(least, int(whole * self.scale))


class Report:
    """Prints rows as they come, and keeps them by benchmark."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        self._benchmark = ""
        self._columns: dict[str, int] = {}

    def begin(self, benchmark: str, title: str) -> None:
        """A benchmark begins."""
        self._benchmark = benchmark
        self._columns = {}
        self.rows[benchmark] = []
        print(f"\n{benchmark}: {title}", flush=True)

    def row(self, **cells: Cell) -> None:
        """One measurement. Its cells' names are the columns; `_` in them is shown as a blank."""
        self.rows[self._benchmark].append(cells)
        if list(self._columns) != list(cells):
            self._columns = {name: max(9, len(name), len(_shown(cell))) for name, cell in cells.items()}
            print("  ".join(f"{name.replace('_', ' '):>{width}}" for name, width in self._columns.items()))
        print("  ".join(f"{_shown(cells[name]):>{width}}" for name, width in self._columns.items()), flush=True)


def spread(values: Sequence[float]) -> str:
    """The median, and in brackets the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def machine() -> Row:
    """What it ran on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "network": "our own" if network.is_own() else "plain loopback",
        **{name: _version(name) for name in PACKAGES},
        "nginx": _said("nginx", "-v"),
        "dnsmasq": _said("dnsmasq", "--version"),
        "curl": _said("curl", "--version"),
        "wget2": _said("wget2", "--version"),
        "aria2": _said("aria2c", "--version"),
    }


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.2f}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _said(program: str, option: str) -> str | None:
    path = shutil.which(program, path=network.ENVIRONMENT["PATH"])
    if path is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)
    found = _VERSION.search(done.stdout + done.stderr)
    return found[0] if found is not None else None
