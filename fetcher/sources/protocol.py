"""Owns the face that every kind of input shows to the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from fetcher.model import Request

BATCH = 256
"""Requests handed over at once: making them holds the loop for half a millisecond."""


class Source(Protocol):
    """Gives the requests of a run once, in the order of the input, numbered from 0."""

    def batches(self) -> AsyncIterator[list[Request]]:
        """
        Requests as soon as there are some, never an empty list, at most `BATCH` at once.

        The loop gets its turn between batches, however fast the input is.

        Raises:
            SourceError: The input broke off. What was read before has been given.
        """
        ...

    @property
    def total(self) -> int | None:
        """How many entries there are; None until all are read."""
        ...

    def estimate(self) -> int | None:
        """About how many entries there will be, for a progress bar; None where nobody can tell."""
        ...

    def close(self) -> None:
        """Read no more, and let go of what is open. May be called twice, and before `batches` has ended."""
        ...
