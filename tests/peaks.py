"""Owns the weighing of one run of the command, from below a parent that is lighter than it."""

from __future__ import annotations

import json
from typing import Any

from tests.benchmarks.processes import measure
from tests.conftest import COMMAND, Afetch


def peak_of(afetch: Afetch, *args: str) -> tuple[dict[str, Any], int]:
    """The one record of a run of its own, and the most memory that it ever had, in bytes."""
    out = afetch.folder / "weighed.jsonl"
    usage = measure([*COMMAND, "--no-env", "--json", *args], out=out, status=None)
    return json.loads(out.read_text()), usage.peak
