"""Owns the command: `python -m tests.benchmarks [NAME]… [--json FILE] [--rounds N] [--scale F]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import (
    bench_auto,
    bench_budget,
    bench_formats,
    bench_frontier,
    bench_hostile,
    bench_large,
    bench_latency,
    bench_million,
    bench_pages,
    bench_processes,
    bench_resume,
    bench_rooms,
    bench_save,
    bench_small,
    bench_start,
    bench_tlsfresh,
    bench_unique,
    network,
)
from tests.benchmarks.lab import Lab
from tests.benchmarks.report import Plan, Report, machine

BENCHMARKS = {
    "small": bench_small,
    "pages": bench_pages,
    "tlsfresh": bench_tlsfresh,
    "latency": bench_latency,
    "large": bench_large,
    "hostile": bench_hostile,
    "save": bench_save,
    "formats": bench_formats,
    "million": bench_million,
    "budget": bench_budget,
    "frontier": bench_frontier,
    "rooms": bench_rooms,
    "processes": bench_processes,
    "auto": bench_auto,
    "start": bench_start,
    "resume": bench_resume,
    "unique": bench_unique,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure afetch on this machine.")
    parser.add_argument("benchmark", nargs="*", help=f"{', '.join(BENCHMARKS)}; without any: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there")
    parser.add_argument(
        "--rounds", "--runs", dest="runs", type=int, metavar="N", help="rounds of what is compared in turns"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="factor on counts and sizes, to try it out")
    options = parser.parse_args(arguments)
    names = options.benchmark or list(BENCHMARKS)
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    network.enter(sys.argv[1:] if arguments is None else arguments)
    # Whoever is told to end takes the servers along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    plan = Plan(options.runs, options.scale)
    report = Report()
    about = machine()
    print(", ".join(f"{key} {value or 'not installed'}" for key, value in about.items()))
    for name in names:
        report.begin(name, BENCHMARKS[name].TITLE)
        # A server of its own, so that no benchmark finds what another left.
        with Lab() as lab:
            about["server"] = lab.server
            BENCHMARKS[name].run(lab, plan, report)
    if options.json is not None:
        kept = {"machine": about, "scale": plan.scale, "benchmarks": report.rows}
        options.json.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
