"""Owns what can be said of the processes of a run. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fetcher.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ProcessesConfig:
    """
    Who does the work.

    Attributes:
        processes: How many processes fetch; `auto` is as many as there are processors for this one. A program's own
            runs have one, the program's.
    """

    processes: int | Literal["auto"] = 1

    def __post_init__(self) -> None:
        if self.processes != "auto" and self.processes < 1:
            raise UsageError(f"processes must be at least 1, not {self.processes}")
