"""The benchmarks run, at a size at which their figures mean nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.processes import BenchmarkError, measure
from tests.benchmarks.records import Tally, verified


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_delivers_every_entry(name: str, tmp_path: Path) -> None:
    """Whatever it measures, all that it asked for came and was right."""
    kept = tmp_path / "figures.json"

    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", name, "--scale", "0.0005", "--runs", "1", "--json", kept],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )

    figures: dict[str, Any] = json.loads(kept.read_text())
    rows = figures["benchmarks"][name]
    assert figures["machine"]["cores"] >= 1
    assert rows
    for row in rows:
        assert row.get("verified") == row.get("entries")


def test_a_process_is_weighed_without_its_parent(tmp_path: Path) -> None:
    """What starts it may hold far more, which Linux would count as its own peak."""
    ballast = bytearray(64 * 1024 * 1024)

    usage = measure(["sh", "-c", "echo weighed"], out=tmp_path / "out")

    assert (tmp_path / "out").read_text() == "weighed\n"
    assert usage.peak < len(ballast) / 2


def test_a_command_that_fails_is_no_figure() -> None:
    """It would look quick."""
    with pytest.raises(BenchmarkError, match="exit status 3, not 0: why"):
        measure(["sh", "-c", "echo why >&2; exit 3"])


def test_a_record_that_is_wrong_twice_or_missing_is_not_verified(tmp_path: Path) -> None:
    """Nothing is fast that is wrong."""
    lines = [
        {"url": "a", "index": 0, "ok": True, "status": 200, "sha256": "A"},
        {"url": "b", "index": 1, "ok": True, "status": 200, "sha256": "other"},
        {"url": "c", "index": 2, "ok": True, "status": 200, "sha256": "C"},
        {"url": "c", "index": 2, "ok": True, "status": 200, "sha256": "C"},
    ]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    right = verified(path, str.upper, 4)

    assert right == 0


def test_records_are_verified_while_they_are_read(tmp_path: Path) -> None:
    """However long they are, and wherever a read ends."""
    sha256 = "0" * 64
    path = tmp_path / "records"
    line = '{{"index":{},"ok":true,"status":200,"bytes":5,"sha256":"{}","body":"{}"}}\n'
    path.write_text(
        line.format(0, sha256, "x" * 3_000_000) + line.format(1, "1" * 64, "") + line.format(2, sha256, "") * 2
    )
    tally = Tally(sha256, 5)

    with path.open("rb") as pipe:
        tally.read(pipe)

    assert tally.right == 2
    assert tally.bytes == path.stat().st_size
