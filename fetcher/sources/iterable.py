"""Owns the entries that a program gives: texts and requests, from anything that can be iterated over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sized
from itertools import islice

from msgspec.structs import replace

from fetcher.errors import UsageError
from fetcher.model import Request
from fetcher.sources.config import SourceConfig
from fetcher.sources.lines import BLANKS, LineParser

TAKEN = 64
"""Entries taken from an iterable before the loop gets its turn."""

Entries = Iterable[str | Request] | AsyncIterable[str | Request]


def from_iterable(entries: Entries, config: SourceConfig, headers: Iterable[tuple[str, str | None]] = ()) -> Items:
    """
    The source that gives a program's own entries.

    Raises:
        UsageError: `entries` is one text, which would be taken apart into its characters.
    """
    return Items(entries, config, headers)


class Items:
    """
    The requests of an iterable, which may be endless, or async.

    A text is one entry whatever it is: blanks round it are dropped as in a line, but `#` begins no comment and an empty
    one is an `invalid-url`, so that record n is of entry n. A `Request` goes as it is, with its new index: neither base
    URL nor params touch it. An ordinary iterable is read on the loop, so one that waits belongs in an async one.
    """

    def __init__(self, entries: Entries, config: SourceConfig, headers: Iterable[tuple[str, str | None]] = ()) -> None:
        if isinstance(entries, str | bytes) or not isinstance(entries, Iterable | AsyncIterable):
            raise UsageError(f"{entries!r} is no list of URLs; put it into one: [url]")
        if config.base_columns:
            raise UsageError("base_url has columns in it, which only files have; put the URLs together yourself")
        self._entries = entries
        self._parser = LineParser(config, headers)
        self._limit = config.limit
        self._closed = False
        self._total: int | None = None

    @property
    def total(self) -> int | None:
        """How many entries there are; None until all are read."""
        return self._total

    def estimate(self) -> int | None:
        """How many entries there will be, where the iterable knows its length."""
        if self._total is not None or not isinstance(self._entries, Sized):
            return self._total
        return len(self._entries) if self._limit is None else min(len(self._entries), self._limit)

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        """
        Requests as `Source` promises them; those of an async iterable one by one, as soon as each is there.

        Raises:
            UsageError: An entry is neither a text nor a request.
        """
        if isinstance(self._entries, AsyncIterable):
            if not self._over():
                async for entry in self._entries:
                    yield [self._request(entry)]
                    if self._over():
                        break
        else:
            entries = iter(self._entries)
            while not self._over():
                room = TAKEN if self._limit is None else min(TAKEN, self._limit - self._parser.index)
                requests: list[Request] = []
                broken: Exception | None = None
                try:
                    for entry in islice(entries, room):
                        requests.append(self._request(entry))  # noqa: PERF401 - what came before an error counts
                except Exception as error:  # noqa: BLE001 - the iterable is the user's; raised again below
                    broken = error
                if requests:
                    yield requests
                if broken is not None:
                    raise broken
                if not requests:
                    break
                await asyncio.sleep(0)
        if not self._closed:
            self._total = self._parser.index

    def close(self) -> None:
        """Take no more."""
        self._closed = True

    def _over(self) -> bool:
        return self._closed or self._parser.full

    def _request(self, entry: object) -> Request:
        if isinstance(entry, str):
            return self._parser.entry(entry.strip(BLANKS))
        if isinstance(entry, Request):
            return replace(entry, index=self._parser.skip())
        raise UsageError(f"entry {self._parser.index}: {entry!r} is neither a text nor a Request; give str(url)")
