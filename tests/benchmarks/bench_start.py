"""Owns the question what one URL costs: whole processes, beside Python's own start and the import of aiohttp."""

from __future__ import annotations

import compileall
import shutil
import statistics
import sys
from pathlib import Path

import fetcher
from tests.benchmarks.lab import Lab
from tests.benchmarks.processes import Usage, measure
from tests.benchmarks.report import Plan, Report, spread

TITLE = 'one URL, the whole process; ratios are of times within one round, to python -c "import aiohttp"'

RUNS = 21
YARDSTICK = "import aiohttp"

ANSWERED = {"afetch URL": "200\t", "afetch --json URL": '"status":200,', "curl URL": "ok"}
"""What is in the standard output of who fetches."""


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """Every command once a round, another one first each time."""
    # As pip leaves what it installs: a checkout that may not write bytecode would be compiled at every start.
    compileall.compile_dir(str(Path(fetcher.__file__).parent), quiet=2)
    commands = list(_commands(lab.url("/tiny/")).items())
    usages: dict[str, list[Usage]] = {name: [] for name, _ in commands}
    answered = {name: 0 for name in usages if name in ANSWERED}
    out = lab.folder / "out"
    for number in range(plan.runs or RUNS):
        for name, command in commands[number % len(commands) :] + commands[: number % len(commands)]:
            usage = measure(command, out=out)
            usages[name].append(usage)
            if name in answered:
                answered[name] += ANSWERED[name] in out.read_text()
    for name, ours in usages.items():
        pairs = list(zip(ours, usages[YARDSTICK], strict=True))
        report.row(
            command=f"{name:>17}",
            entries=len(ours) if name in answered else None,
            verified=answered.get(name),
            milliseconds=statistics.median(usage.elapsed for usage in ours) * 1000,
            cpu_milliseconds=statistics.median(usage.cpu for usage in ours) * 1000,
            times_as_long=spread([one.elapsed / other.elapsed for one, other in pairs]),
            times_the_cpu=spread([one.cpu / other.cpu for one, other in pairs]),
        )


def _commands(url: str) -> dict[str, list[str]]:
    script = shutil.which("afetch", path=str(Path(sys.executable).parent))
    afetch = [sys.executable, "-m", "fetcher"] if script is None else [script]
    commands = {
        "pass": [sys.executable, "-c", "pass"],
        YARDSTICK: [sys.executable, "-c", "import aiohttp"],
        "afetch URL": [*afetch, url],
        "afetch --json URL": [*afetch, "--json", url],
        "afetch --help": [*afetch, "--help"],
        "afetch --version": [*afetch, "--version"],
    }
    if shutil.which("curl") is not None:
        commands["curl URL"] = ["curl", "-s", url]
    return commands
