"""
Owns the embedded site as a whole: it stands while entered, gives the list of its pages, and says whether a fetcher's
records are what the pages promise.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from fetcher.demo.answers import page
from fetcher.demo.pages import Page, Promise, pages
from fetcher.demo.server import LOOPBACK, Answer, Received, Server, Wire

FAR = "127.0.0.2"
"""A second loopback host, so that one can see a limited host not holding up another. Linux has it, macOS does not."""

_STRAY = page("Not a page of this site.\n", 404)


class Failure(Protocol):
    """An error, as far as promises go."""

    @property
    def kind(self) -> str: ...


class Recorded(Protocol):
    """A record, as far as promises go; `fetcher.record.Record` is one."""

    @property
    def url(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def ok(self) -> bool: ...
    @property
    def status(self) -> int | None: ...
    @property
    def error(self) -> Failure | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def sha256(self) -> str | None: ...


class DemoSite:
    """
    A small site on loopback with every situation a fetcher meets.

        async with DemoSite() as site:
            records = [record async for record in fetch(site.entries(), settings)]
            problems = site.verify(records)

    Attributes:
        url: Its origin, once entered.
        listed: What `entries` lists, each with its promise.
    """

    def __init__(self) -> None:
        self.url = ""
        self.listed: list[tuple[str, Promise]] = []
        self._answers: dict[tuple[str, str], Answer] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            home = await stack.enter_async_context(Server(self._answer))
            try:
                far = await stack.enter_async_context(Server(self._answer, host=FAR))
            except OSError:
                far = home
            # Bound and never listening, the port refuses connections, and nobody else can take it meanwhile.
            nobody = stack.enter_context(socket.socket())
            nobody.bind((LOOPBACK, 0))
            self.url = home.origin
            self._furnish(pages(home.origin, far.origin, f"http://{LOOPBACK}:{nobody.getsockname()[1]}"))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def entries(self) -> list[str]:
        """The list to fetch: every page's URL, and one line that is none."""
        return [url for url, _ in self.listed]

    def check(self, record: Recorded) -> str | None:
        """What one record says that the site did not promise, or None."""
        if not 0 <= record.index < len(self.listed):
            return f"{record.url}: index {record.index} is not in the list"
        url, promise = self.listed[record.index]
        kind = None if record.error is None else record.error.kind
        found = {
            "url": (record.url, url),
            "status": (record.status, promise.status),
            "error": (None if kind is None else str(kind), promise.error),
            "ok": (record.ok, promise.ok),
            "attempts": (record.attempts, promise.attempts if promise.attempts is not None else record.attempts),
            "bytes": (record.bytes, promise.size if promise.size is not None else record.bytes),
            "sha256": (record.sha256, promise.sha256 or record.sha256),
        }
        broken = [f"{field} {is_!r}, promised {should!r}" for field, (is_, should) in found.items() if is_ != should]
        return f"{url}: {'; '.join(broken)}" if broken else None

    def verify(self, records: Iterable[Recorded]) -> list[str]:
        """All that the records of a whole run say wrongly, twice or not at all; empty when every promise was kept."""
        problems = []
        missing = dict(enumerate(self.entries()))
        for record in records:
            problem = self.check(record)
            if problem is not None:
                problems.append(problem)
            elif missing.pop(record.index, None) is None:
                problems.append(f"{record.url}: more than one record")
        # An entry with a wrong record is not missing.
        named = {problem.partition(": ")[0] for problem in problems}
        return problems + [f"{url}: no record" for url in missing.values() if url not in named]

    def _furnish(self, built: list[Page]) -> None:
        for entry in built:
            if entry.answer is not None:
                self._answers[entry.route] = entry.answer
            if entry.promise is not None:
                self.listed.append((entry.url, entry.promise))

    async def _answer(self, request: Received, wire: Wire) -> None:
        route = (request.header("host") or "", request.target)
        await self._answers.get(route, _STRAY)(request, wire)
