"""Owns which failures count, and when there are too many. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fetcher.errors import UsageError
from fetcher.model import Result
from fetcher.terms import Terms, check_terms

_LIMIT = re.compile(r"\d+|\d+(\.\d+)?%")
_WORDS = frozenset({"any", "none"})


@dataclass(frozen=True, kw_only=True)
class VerdictConfig:
    """
    What makes a run a failure, and when it has had enough.

    Attributes:
        fail_on: Which results count: `any` failure, `none`, or error kinds, statuses and classes of statuses. A status
            named here counts even where it is a success.
        max_failures: How many may count before the run has failed: a number, or a share of the entries such as `5%`.
        fail_fast: Stop at the first that counts.
        max_time: Seconds after which the run is ended in good order, and has failed; 0 is none.
    """

    fail_on: tuple[str, ...] = ("any",)
    max_failures: str = "0"
    fail_fast: bool = False
    max_time: float = 0.0

    def __post_init__(self) -> None:
        check_terms("fail-on", self.fail_on, _WORDS)
        if not _LIMIT.fullmatch(self.max_failures):
            raise UsageError(f"max-failures {self.max_failures!r}: write a number or a share such as 5%")
        if self.max_time < 0:
            raise UsageError(f"max_time must not be negative, and is {self.max_time:g}; 0 is none")


class Verdict:
    """Counts the results that fail a run."""

    def __init__(self, config: VerdictConfig) -> None:
        self._any = "any" in config.fail_on
        self._terms = Terms(set(config.fail_on) - _WORDS)
        self._fail_fast = config.fail_fast
        self._share = config.max_failures.endswith("%")
        self._limit = float(config.max_failures.rstrip("%"))
        self.seen = 0
        self.counted = 0

    def add(self, result: Result) -> bool:
        """Whether the run should stop here (`fail_fast`)."""
        self.seen += 1
        error = result.error
        counts = self.counts(result.ok, result.status, None if error is None else error.kind.value)
        self.counted += counts
        return counts and self._fail_fast

    def counts(self, ok: bool, status: int | None, kind: str | None) -> bool:
        """Whether a result that came to this counts."""
        return not ok if self._any else self._terms.names(status, kind)

    def recall(self, seen: int, counted: int) -> None:
        """So many results were there already, and so many of them count: it is one list."""
        self.seen += seen
        self.counted += counted

    @property
    def failed(self) -> bool:
        """Whether more failures counted than may; an empty run has not failed."""
        limit = self.seen * self._limit / 100 if self._share else self._limit
        return self.counted > limit
