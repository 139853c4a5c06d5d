"""
Owns names: host to addresses, asked once for many askers, remembered for a while, failures too.

aiodns asks without threads, which is what thousands of hosts need; but c-ares is not getaddrinfo (mDNS, split DNS), so
trouble with its servers is taken to the system's resolver, on daemon threads: a lookup that hangs never holds the exit.
That a name does not exist is an answer, not trouble.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from aiohttp import AsyncResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from fetcher.client.phases import note

REMEMBERED = 60.0
"""Seconds that addresses are kept; c-ares does not tell their TTL through aiodns's getaddrinfo."""

FAILED = 5.0
"""Seconds that a failure is kept: long enough for a burst of URLs of one host, short enough for a retry to ask anew."""

MOST = 10_000
"""Names remembered at once, some 8 MB; more hosts than that are rarely met again while they are."""

SYSTEM_THREADS = 16
"""Lookups by the system's resolver at once."""

NO_SUCH_NAME = frozenset({1, 4})
"""ARES_ENODATA and ARES_ENOTFOUND: the servers answered that there is nothing."""

NO_SUCH_NAME_SYSTEM = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)


class LookupFailedError(OSError):
    """
    A name without an address.

    Attributes:
        lasting: The name does not exist: asking again cannot help.
    """

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(None, message)
        self.lasting = lasting


class Resolver(AbstractResolver):
    """Host names to addresses, for one event loop."""

    def __init__(self, *, system: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._loop = asyncio.get_running_loop()
        self._system = system
        self._threads = asyncio.Semaphore(SYSTEM_THREADS)
        self._known: dict[tuple[str, int, int], tuple[float, list[ResolveResult] | LookupFailedError]] = {}
        self._heard = 0.0
        self._asking: dict[tuple[str, int, int], asyncio.Task[list[ResolveResult]]] = {}
        try:
            self._ares: AsyncResolver | None = AsyncResolver()
        except RuntimeError:
            # aiodns is not there (or has no way to run on this loop, as on Windows' default one).
            self._ares = None

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """
        Addresses of a host, best first, never empty.

        Raises:
            LookupFailedError: There is none, or nobody answered.
        """
        key = (host, port, family)
        known = self._known.get(key)
        if known is not None:
            until, answer = known
            if not isinstance(answer, LookupFailedError):
                if monotonic() < until:
                    return answer
            # Where nobody answered, that counts only until another is answered: the trouble may be over then.
            elif monotonic() < until and (answer.lasting or until - FAILED >= self._heard):
                raise LookupFailedError(str(answer.strerror), lasting=answer.lasting)
            del self._known[key]
        note("dns_started")
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = self._loop.create_task(self._ask(host, port, family))
            task.add_done_callback(lambda done: self._answered(key, done))
        # One asker's cancellation is not the others': the question goes on for them.
        addresses = await asyncio.shield(task)
        note("dns_ended")
        return addresses

    async def close(self) -> None:
        """Drop what is still being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        if self._ares is not None:
            await self._ares.close()

    def _answered(self, key: tuple[str, int, int], task: asyncio.Task[list[ResolveResult]]) -> None:
        self._asking.pop(key, None)
        if task.cancelled():
            return
        error = task.exception()
        now = monotonic()
        if error is None:
            self._known[key] = (now + REMEMBERED, task.result())
        elif isinstance(error, LookupFailedError):
            self._known[key] = (now + FAILED, error)
        if error is None or (isinstance(error, LookupFailedError) and error.lasting):
            self._heard = now
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    async def _ask(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        if self._ares is not None:
            try:
                return await self._ares.resolve(host, port, family)
            except OSError as error:
                code = error.__cause__.args[0] if error.__cause__ is not None and error.__cause__.args else None
                if code in NO_SUCH_NAME:
                    raise LookupFailedError("no such name, or it has no address", lasting=True) from error
        async with self._threads:
            return await self._ask_system(host, port, family)

    async def _ask_system(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        answer: asyncio.Future[list[Any]] = self._loop.create_future()

        def tell(infos: list[Any] | OSError) -> None:
            if answer.done():
                return
            if isinstance(infos, OSError):
                answer.set_exception(infos)
            else:
                answer.set_result(infos)

        def ask() -> None:
            told: list[Any] | OSError
            try:
                told = self._system(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
            except OSError as error:
                told = error
            except UnicodeError as error:
                told = OSError(None, str(error))
            try:
                self._loop.call_soon_threadsafe(tell, told)
            except RuntimeError:
                # The run is over and its loop closed: nobody waits for this answer any more.
                return

        threading.Thread(target=ask, name=f"afetch-lookup-{host}", daemon=True).start()
        try:
            infos = await answer
        except OSError as error:
            lasting = error.errno in NO_SUCH_NAME_SYSTEM
            message = "no such name, or it has no address" if lasting else f"the lookup failed: {error.strerror}"
            raise LookupFailedError(message, lasting=lasting) from error
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=int(kind), proto=0, flags=0)
            for kind, _, _, _, address in infos
        ]
