"""Owns the question what bodies at the size limit cost: fifty at once, in every form, with a reader that is slow."""

from __future__ import annotations

import gzip
import random
import sys
from dataclasses import dataclass

from fetcher.client.config import MIB, ClientConfig
from tests.benchmarks.lab import Lab, digest
from tests.benchmarks.processes import measure
from tests.benchmarks.records import Tally
from tests.benchmarks.report import MB, Plan, Report

TITLE = "peak with 50 slots of bodies just below --max-size"

COUNT = 100
SLOTS = 50
SLOW = 100 * MIB
"""Bytes a second of the slow reader: far less than the server sends."""


@dataclass(frozen=True)
class Case:
    """One way of writing bodies down."""

    body: str
    file: str
    format: str = "jsonl"
    pace: float | None = None


CASES = (
    Case("none", "text.txt"),
    Case("auto", "text.txt"),
    Case("auto", "wide.txt"),
    Case("auto", "binary"),
    Case("auto", "object.json"),
    Case("auto", "text.txt.gz"),
    Case("auto", "text.txt", pace=SLOW),
    Case("auto", "wide.txt", pace=SLOW),
    Case("auto", "binary", pace=SLOW),
    Case("auto", "object.json", pace=SLOW),
    Case("auto", "wide.txt", "json"),
    Case("auto", "binary", "json"),
)


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """
    Each case once.

    `above budget` is the peak beyond that of a run of one tiny URL and the budget: below zero, the budget was held.
    """
    config = ClientConfig()
    size = plan.count(config.max_size - 1024)
    contents = _contents(size)
    contents["text.txt.gz"] = contents["text.txt"]
    targets = {
        name: lab.serve(name, gzip.compress(content) if name.endswith(".gz") else content)
        for name, content in contents.items()
    }
    digests = {name: digest(content) for name, content in contents.items()}
    del contents
    single = lab.list_of([lab.url("/tiny/")])
    base = measure([sys.executable, "-m", "fetcher", str(single), "-q", "--json"]).peak
    for case in CASES:
        count = plan.count(COUNT, SLOTS)
        source = lab.list_of(lab.url(f"{targets[case.file]}?{number}") for number in range(count))
        tally = Tally(digests[case.file], size, pace=case.pace)
        command = [sys.executable, "-m", "fetcher", str(source), "-q", "-f", case.format, "--body", case.body]
        usage = measure([*command, "-c", str(SLOTS), "-t", "0"], reader=tally.read)
        above = usage.peak - base - config.body_budget
        report.row(
            body=case.body,
            file=f"{case.file:>11}",
            format=case.format,
            reader="slow" if case.pace else "quick",
            entries=count,
            verified=tally.right,
            base_MB=base / MB,
            peak_MB=usage.peak / MB,
            above_budget_MB=above / MB,
            held="yes" if above <= 0 and tally.right == count else "NO",
            seconds=usage.elapsed,
            read_MB_per_second=count * size / usage.elapsed / MB,
        )
    for name in targets:
        lab.drop(name)


def _contents(size: int) -> dict[str, bytes]:
    """ASCII text, text of which one character makes Python hold four bytes for each, what is no text, and JSON."""
    line = b"The quick brown fox jumps over the lazy dog.\n"
    text = (line * (size // len(line) + 1))[:size]
    wide = "\N{GRINNING FACE}".encode()
    entry = '{"quoted":"\\"ü\\"","list":[1,2]},'.encode()
    entries = entry * ((size - 4) // len(entry))
    chance = random.Random(0)
    noise = chance.randbytes(min(size, MIB))
    return {
        "text.txt": text,
        "wide.txt": wide + text[len(wide) :] if size > len(wide) else text,
        # NUL first: nobody takes it for text.
        "object.json": b"[" + entries + b"{}]".rjust(size - 1 - len(entries)),
        "binary": (b"\0" + noise * (size // len(noise) + 1))[:size],
    }
