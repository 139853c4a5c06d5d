"""
Owns what is asked and what is known already: one question for many askers, answers and failures remembered, another
resolver where the first has trouble, and no address that may not be connected to.

That a name does not exist is an answer, not trouble.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from itertools import islice
from time import monotonic
from typing import Any, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

from fetcher.client.names.addresses import BlockedError, forbidden
from fetcher.client.names.askers import Answer, Ares, Asker, LookupFailedError, System
from fetcher.client.names.config import ANY, NamesConfig, pinned
from fetcher.client.names.tally import Lookups
from fetcher.client.phases import note
from fetcher.errors import UsageError

log = logging.getLogger(__name__)

LEAST, MOST = 5.0, 3600.0
"""Seconds for which an answer is kept at least and at most, whatever its TTL: 0 is for who asks now and then."""

REMEMBERED = 60.0
"""Seconds that an answer without a TTL is kept."""

NOTHING_THERE = 60.0
"""Seconds for which it is remembered that a name does not exist."""

NOBODY_SAID = 0.25
"""Seconds for which trouble is: a burst of URLs is one question, and nearly every retry asks anew."""

NAMES = 50_000
"""Names remembered at once, some 20 MB; more hosts than that are rarely met again while they are."""

FIRST_SHARE = 0.6
"""The part of a lookup's time that is c-ares's where the system's resolver is asked after it."""

LEFT = 0.01
"""Seconds that the system's resolver has at least then."""

HOPELESS = 10
"""Times in a row that the system's resolver knew no better than c-ares, after which it is not asked for a while."""

NO_HOPE_FOR = 30.0
"""Seconds of that."""

PREFERRED = 5
"""Times in a row that the system's resolver knew what c-ares did not find out, after which it is asked alone."""


class Known(NamedTuple):
    """An answer or a failure, and until when it counts."""

    until: float
    answer: tuple[str, ...] | LookupFailedError


class Resolver(AbstractResolver):
    """
    Host names to addresses, for one event loop.

    Args:
        ares: Makes the resolver that is asked first; None is c-ares.
        system: The system's call.
        notice: Told what a person should hear.

    Attributes:
        lookups: What they came to so far.

    Raises:
        UsageError: aiodns is asked for, and is not there.
    """

    def __init__(
        self,
        config: NamesConfig | None = None,
        *,
        ares: Callable[[int, float], Asker] | None = None,
        system: Callable[..., Any] = socket.getaddrinfo,
        notice: Callable[[str], object] = log.warning,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._config = config = config or NamesConfig()
        self._loop = asyncio.get_running_loop()
        self._notice = notice
        self._clock = clock
        self._pins = pinned(config.resolve)
        self._known: dict[str, Known] = {}
        self._asking: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._told: set[str] = set()
        self._warned = False
        self._in_vain = 0
        self._better = 0
        self._no_hope_until = 0.0
        self.lookups = Lookups()
        self._family = socket.AF_INET if config.ipv4 else socket.AF_INET6 if config.ipv6 else socket.AF_UNSPEC
        self._system = System(self._family, lookup=system)
        # c-ares takes a thread and some milliseconds to begin, and a list of literal addresses never asks it.
        self._make = None if config.resolver == "system" else ares or Ares
        self._ares: Asker | None = None
        if config.resolver == "aiodns":
            self._begin()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC, *, trusted: bool = False
    ) -> list[ResolveResult]:
        """
        Addresses of a host that may be connected to, best first, never empty. A literal address is its own.

        Args:
            trusted: It is the user's own word to go there, wherever that is.

        Raises:
            LookupFailedError: There is none, or nobody answered.
            BlockedError: There are, but none that may be connected to.
        """
        del family  # ours is the settings'
        addresses = self._pinned(host, port) if self._pins else None
        if addresses is None:
            addresses = (host,) if _is_literal(host) else await self._find(host)
        if self._family:
            addresses = self._of_family(host, addresses)
        if self._config.block_private and not trusted:
            addresses = _public(host, addresses)
        return [
            # The connector reads no more of it than the address and the port.
            ResolveResult(hostname=host, host=address, port=port, family=0, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        """Drop what is still being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        await self._system.close()
        if self._ares is not None:
            await self._ares.close()

    def _begin(self) -> None:
        """Have c-ares asked from here on, where it can be."""
        make, self._make = self._make, None
        if make is None or self._ares is not None:
            return
        patience = self._config.dns_timeout
        if self._config.resolver == "auto":
            patience *= FIRST_SHARE
        try:
            self._ares = make(self._family, patience)
        except (ImportError, RuntimeError) as error:
            if self._config.resolver == "aiodns":
                raise UsageError(
                    f"resolver aiodns cannot be used here ({error}); leave it out, or choose system"
                ) from error
            log.debug("names are looked up by the system: aiodns cannot be used here (%s)", error)

    def _pinned(self, host: str, port: int) -> tuple[str, ...] | None:
        return self._pins.get((host, port)) or self._pins.get((ANY, port))

    def _of_family(self, host: str, addresses: Iterable[str]) -> tuple[str, ...]:
        """Those of the family that is wanted."""
        kept = tuple(address for address in addresses if (":" in address) == (self._family == socket.AF_INET6))
        if not kept:
            wanted = "an IPv6 address (-6)" if self._family == socket.AF_INET6 else "an IPv4 address (-4)"
            raise LookupFailedError(f"{host} is not, or has not, {wanted}", lasting=True)
        return kept

    async def _find(self, host: str) -> tuple[str, ...]:
        """A name's addresses, remembered or asked for."""
        known = self._known.get(host)
        if known is not None:
            if self._clock() < known.until:
                self.lookups.spared += 1
                if isinstance(known.answer, LookupFailedError):
                    raise LookupFailedError(known.answer.message, lasting=known.answer.lasting)
                return known.answer
            del self._known[host]
        note("dns_started")
        task = self._asking.get(host)
        if task is None:
            if self._make is not None:
                self._begin()
            task = self._asking[host] = self._loop.create_task(self._ask(host))
        else:
            self.lookups.spared += 1
        # One asker's cancellation is not the others': the question goes on for them.
        addresses = await asyncio.shield(task)
        note("dns_ended")
        return addresses

    async def _ask(self, host: str) -> tuple[str, ...]:
        """A name's addresses from who knows them; what is learned is kept, and counted."""
        began = self._clock()
        try:
            addresses, ttl = await self._ask_somebody(host)
        except LookupFailedError as error:
            self._remember(host, NOTHING_THERE if error.lasting else NOBODY_SAID, error)
            self.lookups.add(self._clock() - began, failed=True, answered=error.lasting)
            self._warn(error)
            raise
        finally:
            del self._asking[host]
        self._remember(host, REMEMBERED if ttl is None else min(max(ttl, LEAST), MOST), addresses)
        self.lookups.add(self._clock() - began)
        return addresses

    def _remember(self, host: str, seconds: float, answer: tuple[str, ...] | LookupFailedError) -> None:
        if len(self._known) >= NAMES:
            for oldest in list(islice(self._known, NAMES // 10)):
                del self._known[oldest]
        self._known[host] = Known(self._clock() + seconds, answer)

    async def _ask_somebody(self, host: str) -> Answer:
        patience = self._config.dns_timeout
        if self._ares is None:
            return await _within(patience, self._system, host, patience)
        if self._config.resolver == "aiodns":
            return await _within(patience, self._ares, host, patience)
        began = self._clock()
        try:
            answer = await _within(patience * FIRST_SHARE, self._ares, host, patience)
        except LookupFailedError as error:
            if error.lasting:
                self._better = 0
                raise
            if self._clock() < self._no_hope_until:
                raise
            trouble = error
        else:
            self._better = 0
            return answer
        left = max(patience - (self._clock() - began), LEFT) if patience else 0.0
        return await self._ask_again(host, trouble, left)

    async def _ask_again(self, host: str, trouble: LookupFailedError, left: float) -> Answer:
        """What the system's resolver says where c-ares had trouble."""
        if trouble.message not in self._told:
            self._told.add(trouble.message)
            log.info("%s: %s; the system's resolver is asked then, here and elsewhere", host, trouble.message)
        try:
            answer = await _within(left, self._system, host, self._config.dns_timeout)
        except LookupFailedError as error:
            if error.lasting:
                raise
            self._in_vain += 1
            if self._in_vain >= HOPELESS:
                self._in_vain = 0
                self._no_hope_until = self._clock() + NO_HOPE_FOR
            raise trouble from error
        self._in_vain = 0
        self._better += 1
        ares = self._ares
        if self._better >= PREFERRED and ares is not None:
            self._ares = None
            log.info(
                "aiodns is not asked any more: %d times in a row the system's resolver knew what it did not", PREFERRED
            )
            await ares.close()
        return answer

    def _warn(self, failure: LookupFailedError) -> None:
        """Say once that many lookups fail, and what can be done."""
        if self._warned or not self.lookups.troubled:
            return
        self._warned = True
        other = "aiodns" if self._config.resolver == "system" else "system"
        self._notice(
            f"many lookups fail ({self.lookups.unanswered:,} of {self.lookups.asked:,}, the last: {failure.message}): "
            f"fewer at once (-c), a longer --dns-timeout, or another resolver (--resolver {other}) may help"
        )


async def _within(seconds: float, asker: Asker, host: str, whole: float) -> Answer:
    """What somebody answers in time; 0 is no limit."""
    try:
        async with asyncio.timeout(seconds or None):
            return await asker.ask(host)
    except TimeoutError:
        raise LookupFailedError(f"no answer within {whole:g} s (--dns-timeout)", lasting=False) from None


def refuse_literal(host: str) -> None:
    """
    Nothing, unless a host is an address that may not be connected to: for where somebody else connects.

    Raises:
        BlockedError: It is.
    """
    if _is_literal(host):
        _public(host, (host,))


def _public(host: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """Those that are on the public internet."""
    why = {address: forbidden(address) for address in addresses}
    kept = tuple(address for address, reason in why.items() if reason is None)
    if kept:
        return kept
    address, reason = next(iter(why.items()))
    name = "" if address == host else f"{host} is "
    glue = " is " if address == host else ", "
    raise BlockedError(f"{name}{address}{glue}{reason} (--block-private)")


def _is_literal(host: str) -> bool:
    """Whether a URL's host is an address. Its spelling is canonical already (`fetcher.urls`)."""
    if ":" in host:
        return True
    if not host[-1:].isdigit():
        return False
    with suppress(ValueError):
        ip_address(host)
        return True
    return False
