"""
Owns lists of outcomes as users write them: error kinds, statuses (`404`) and classes of statuses (`5xx`). Pure.

`--fail-on` and `--retry-on` speak this one language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fetcher.errors import ErrorKind, UsageError
from fetcher.model import Error

_STATUS = re.compile(r"[1-9](\d\d|xx)")


class Terms:
    """A set of outcomes that can be asked whether it holds one."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._terms = frozenset(terms)

    def __contains__(self, outcome: tuple[int | None, Error | None]) -> bool:
        """Whether a status and an error are named; the error counts where there are both."""
        status, error = outcome
        return self.names(status, None if error is None else error.kind.value)

    def names(self, status: int | None, kind: str | None) -> bool:
        """The same, of a status and an error's kind."""
        if kind is not None:
            return kind in self._terms
        if status is None:
            return False
        return str(status) in self._terms or f"{status // 100}xx" in self._terms


def check_terms(option: str, terms: Iterable[str], words: frozenset[str] = frozenset()) -> None:
    """
    Nothing, if all terms are of the language or among the extra `words`, which stand alone.

    Raises:
        UsageError: A term is not.
    """
    terms = list(terms)
    for term in terms:
        if term in words:
            if len(terms) > 1:
                raise UsageError(f"{option}: {term!r} stands alone")
        elif term not in set(ErrorKind) and not _STATUS.fullmatch(term):
            extra = "".join(f", {word!r}" for word in sorted(words))
            raise UsageError(
                f"{option} {term!r}: write error kinds, statuses such as 404 or classes such as 5xx{extra}, "
                f"separated by commas; the kinds are {', '.join(ErrorKind)}"
            )
