"""Owns which entries repeat an earlier one: they are taken out of the list before anybody asks for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from fetcher.model import Request
from fetcher.seen import Seen
from fetcher.sources.protocol import Source
from fetcher.sources.through import Through


class Unique(Through):
    """
    A source without the requests that repeat an earlier one: the same method, URL as it is sent, and body.

    Headers, and the other columns of a row, are not looked at. What cannot be sent repeats nothing. The others keep
    their index, so the same list gives the same requests in every run.

    Args:
        let_go: Told the index of each entry that is dropped, by whoever keeps something for each.

    Attributes:
        dropped: How many were.
    """

    def __init__(self, source: Source, let_go: Callable[[int], object] | None = None) -> None:
        super().__init__(source)
        self._let_go = let_go
        self._seen = Seen()
        self._read = 0
        self.dropped = 0

    @property
    def total(self) -> int | None:
        """How many entries there are that repeat none; None until all are read."""
        total = self._source.total
        return None if total is None else total - self.dropped

    def estimate(self) -> int | None:
        """About how many there will be, if those to come repeat others as often as those so far."""
        entries = self._source.estimate()
        return entries and round(entries * (1 - self.dropped / max(self._read, 1)))

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        """Requests as `Source` promises them."""
        async for batch in self._source.batches():
            kept = [request for request in batch if request.url is None or self._seen.add(_key(request))]
            self._read += len(batch)
            if len(kept) < len(batch):
                self._drop(batch, kept)
            if kept:
                yield kept

    def _drop(self, batch: list[Request], kept: list[Request]) -> None:
        self.dropped += len(batch) - len(kept)
        if self._let_go is not None:
            for index in {request.index for request in batch} - {request.index for request in kept}:
                self._let_go(index)


def _key(request: Request) -> bytes:
    # Neither a method nor a URL as it is sent has a blank in it.
    key = f"{request.method} {request.url}".encode()
    body = request.body
    if body is None:
        return key
    return key + b" " + (body if isinstance(body, bytes) else repr(body).encode())
