"""Owns the running of one measured command: how long it took, what it cost, how much it held at most."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LAUNCHER = Path(__file__).with_name("launcher.py")

# As pip leaves it, a package's bytecode is there; a checkout's is not where it may not be written.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

PATIENCE = 3600.0
"""Seconds after which a command hangs, whatever it does."""


@dataclass(frozen=True)
class Usage:
    """
    What one command came to.

    Attributes:
        status: Its exit status; negative for a signal.
        elapsed: Seconds from its start to its end.
        cpu: Seconds of CPU, its own and the system's for it, and those of the processes that it started.
        peak: Bytes that it held in memory at most (`ru_maxrss`); the sum of all peaks, where it was several processes.
        errors: The end of what it wrote to standard error.
    """

    status: int
    elapsed: float
    cpu: float
    peak: int
    errors: str


class BenchmarkError(Exception):
    """A measured command did not do what is measured."""


def measure(
    command: Sequence[str],
    *,
    out: Path | None = None,
    reader: Callable[[IO[bytes]], None] | None = None,
    status: int | None = 0,
) -> Usage:
    """
    What `command` came to.

    Args:
        out: Where its standard output goes.
        reader: Reads its standard output through a pipe instead, to the end.
        status: What it must exit with; None is anything.

    Raises:
        BenchmarkError: It ended otherwise.
    """
    report, told = os.pipe()
    with tempfile.TemporaryFile() as errors, (out or Path(os.devnull)).open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(told), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if reader is not None else sink,
            stderr=errors,
            pass_fds=[told],
            env=ENVIRONMENT,
            start_new_session=True,
        )
        os.close(told)
        try:
            if reader is not None and process.stdout is not None:
                with process.stdout:
                    reader(process.stdout)
            process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
        said = errors.read().decode(errors="replace")
    with os.fdopen(report, "rb") as pipe:
        numbers = pipe.read().split()
    if len(numbers) != 4:
        raise BenchmarkError(f"{command[0]}: could not be run: {said}")
    usage = Usage(int(numbers[0]), float(numbers[1]), float(numbers[2]), int(numbers[3]) * 1024, said)
    if status is not None and usage.status != status:
        raise BenchmarkError(f"{' '.join(command[:6])} …: exit status {usage.status}, not {status}: {said}")
    return usage
