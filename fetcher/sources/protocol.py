"""Owns the face that every kind of input shows to the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, runtime_checkable

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


Known = Callable[[int, str], bool]
"""Whether nothing is to be made of the entry of this index, which is this text."""


@runtime_checkable
class Passing(Protocol):
    """A source that may pass over entries before it makes requests of them, which is most of their cost."""

    def pass_over(self, known: Known) -> None:
        """Ask of entries that are nothing but a URL, where it can; others are given as ever. Before `batches`."""
        ...
