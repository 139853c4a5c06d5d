"""Owns what a source that goes through another one has in common with every such: all but the requests themselves."""

from __future__ import annotations

from fetcher.sources.protocol import Source


class Through:
    """
    A source that gives another one's requests, in its own `batches`.

    It says of itself what that one says; who leaves some out says less.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def total(self) -> int | None:
        """How many entries there are; None until all are read."""
        return self._source.total

    def estimate(self) -> int | None:
        """About how many there will be."""
        return self._source.estimate()

    def close(self) -> None:
        """Read no more."""
        self._source.close()
