"""
Owns who is asked for a name's addresses: c-ares or the system's resolver. Neither remembers anything.

c-ares asks the servers of /etc/resolv.conf without threads, which is what thousands of hosts need, and tells how long
an answer is good for. The system's resolver knows more (mDNS, split DNS), on a thread for each name under way. Those
are daemon threads: a lookup that hangs never holds the exit.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any, NamedTuple, Protocol

SYSTEM_THREADS = 32
"""Lookups by the system's resolver at once."""

SHORTEST_TRY, LONGEST_TRY = 0.25, 5.0
"""Seconds between which c-ares's patience with one server is, once it knows how long that one takes."""

NO_TIMEOUT = 60.0
"""Seconds that c-ares tries where no limit is set."""

INTERFACES = Path("/proc/net/if_inet6")
"""Linux's list of this machine's IPv6 addresses: the address without colons, and what it is on."""

SETTINGS = Path("/etc/resolv.conf")
"""Where the system says whom it asks."""

LOOK = 10.0
"""Seconds between two looks at those."""

ARES_AI_NOSORT = 1 << 7
"""c-ares's own; Python knows only the system's flags. Sorting opens a socket for each address."""

ARES_LASTING = {1: "the name has no address", 4: "no such name", 8: "no name that can be looked up"}
"""ARES_ENODATA, ARES_ENOTFOUND, ARES_EBADNAME: asking again cannot help."""

ARES_TROUBLE = {
    2: "the DNS server did not understand the question (FORMERR)",
    3: "the DNS server could not find out (SERVFAIL)",
    5: "the DNS server does not do that (NOTIMP)",
    6: "the DNS server refused to answer (REFUSED)",
    10: "the DNS server's answer made no sense",
    11: "no DNS server could be reached",
    12: "no DNS server answered",
}
"""The common rest of c-ares's codes, in our words."""

SYSTEM_LASTING = {
    getattr(socket, name): words
    for name, words in (
        ("EAI_NONAME", "no such name, or it has no address"),
        ("EAI_NODATA", "the name has no address"),
        ("EAI_ADDRFAMILY", "the name has no such address"),
    )
    if hasattr(socket, name)
}


class LookupFailedError(OSError):
    """
    A name without an address.

    Attributes:
        lasting: The name does not exist, or has no address: asking again cannot help.
    """

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(None, message)
        self.message = message
        self.lasting = lasting


class Answer(NamedTuple):
    """
    Addresses, best first, never empty.

    Attributes:
        ttl: Seconds for which they are good; None where nobody says.
    """

    addresses: tuple[str, ...]
    ttl: float | None


class Asker(Protocol):
    """Somebody who knows names."""

    async def ask(self, host: str) -> Answer:
        """
        A host's addresses.

        Raises:
            LookupFailedError: There is none, or nobody answered.
        """
        ...

    async def close(self) -> None:
        """Drop what is still being asked."""
        ...


class Ares:
    """
    c-ares, on the running loop.

    Args:
        family: AF_INET, AF_INET6 or AF_UNSPEC.
        patience: Seconds for which it should go on trying; 0 is no limit.
        servers: Instead of the system's: `127.0.0.1:5353`, `[::1]:53`.
        interfaces: Where the machine's IPv6 addresses are listed.
        settings: The system's file of them; when that has changed c-ares reads it again.

    Raises:
        ImportError: aiodns is not there.
        RuntimeError: It cannot run on this loop (as on Windows' default one).
    """

    def __init__(
        self,
        family: int,
        patience: float,
        *,
        servers: Sequence[str] | None = None,
        interfaces: Path = INTERFACES,
        settings: Path = SETTINGS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        from fetcher.client.names.onloop import DNSError, OnLoop

        self._error = DNSError
        self._family = family
        self._interfaces = interfaces
        self._clock = clock
        # What this machine has of IPv6; None where nobody says.
        self._seen: _Ipv6 | None = None
        self._look_at = 0.0
        patience = patience or NO_TIMEOUT
        first = min(max(patience / 4, SHORTEST_TRY), 2.0)
        self._resolver = OnLoop(first, nameservers=servers, tries=_tries(patience))
        self._settings = settings
        self._settings_at = _changed_at(settings)

    async def ask(self, host: str) -> Answer:
        self._look()
        ipv6 = self._seen
        if self._family != socket.AF_UNSPEC or ipv6 is None:
            return await self._ask(host, self._family, ipv6)
        if ipv6.any:
            return await self._ask(host, socket.AF_UNSPEC, ipv6)
        # Without an IPv6 address of ours theirs are of no use, and not to ask for them is to ask half as much.
        try:
            return await self._ask(host, socket.AF_INET, ipv6)
        except LookupFailedError as error:
            if not error.lasting:
                raise
        return await self._ask(host, socket.AF_INET6, ipv6)

    async def close(self) -> None:
        await self._resolver.close()

    async def _ask(self, host: str, family: int, ipv6: _Ipv6 | None) -> Answer:
        # Where we do not know the machine, c-ares finds out which addresses it can reach best (RFC 6724).
        flags = 0 if ipv6 is None else ARES_AI_NOSORT
        try:
            answer = await self._resolver.getaddrinfo(
                host, family=socket.AddressFamily(family), type=socket.SOCK_STREAM, flags=flags
            )
        except self._error as error:
            code, words = error.args
            lasting = ARES_LASTING.get(code)
            if lasting is not None:
                raise LookupFailedError(lasting, lasting=True) from error
            raise LookupFailedError(ARES_TROUBLE.get(code, f"the lookup failed: {words}"), lasting=False) from error
        nodes = answer.nodes
        if not nodes:
            raise LookupFailedError(ARES_LASTING[1], lasting=True)
        if ipv6 is not None and len(nodes) > 1:
            nodes = sorted(nodes, key=lambda node: (node.family == socket.AF_INET6) != ipv6.public)
        addresses = dict.fromkeys(_with_zone(node.addr[0].decode("ascii"), node.addr[2:]) for node in nodes)
        # An alias counts, too: it may lead elsewhere sooner than the addresses behind it change.
        ttls = [node.ttl for node in nodes] + [alias.ttl for alias in answer.cnames]
        return Answer(tuple(addresses), float(min(ttls)))

    def _look(self) -> None:
        """See what this machine has of IPv6 and whom it asks, if that is some time ago: networks come and go."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        self._seen = _Ipv6.of(self._interfaces)
        changed_at = _changed_at(self._settings)
        if changed_at != self._settings_at:
            self._settings_at = changed_at
            self._resolver.reread()


class _Ipv6(NamedTuple):
    """
    What a machine has of IPv6 beyond itself and its links.

    Attributes:
        any: An address, which may be a private one.
        public: One from which the internet can be reached: only then are IPv6 addresses the better ones.
    """

    any: bool
    public: bool

    @classmethod
    def of(cls, interfaces: Path) -> _Ipv6 | None:
        try:
            lines = interfaces.read_text("ascii").splitlines()
        except (OSError, ValueError):
            return None
        # The fourth column is the scope, 00 for what is neither this machine's own nor its link's.
        routable = [line[0] for line in lines if line.split()[3:4] == ["00"]]
        return cls(bool(routable), any(digit in "23" for digit in routable))


def _changed_at(file: Path) -> int:
    """When a file was last changed; 0 where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


class System:
    """
    The system's resolver.

    Args:
        family: AF_INET, AF_INET6 or AF_UNSPEC.
        lookup: The call that blocks.
    """

    def __init__(self, family: int, *, lookup: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._loop = asyncio.get_running_loop()
        self._family = family
        self._lookup = lookup
        self._questions: SimpleQueue[tuple[str, asyncio.Future[Any]] | None] = SimpleQueue()
        self._pending = 0
        self._threads = 0

    async def ask(self, host: str) -> Answer:
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._pending += 1
        self._questions.put((host, answer))
        # A thread that hangs is still one: there are never more.
        if self._threads < min(self._pending, SYSTEM_THREADS):
            self._threads += 1
            threading.Thread(target=self._work, name=f"afetch-lookups-{self._threads}", daemon=True).start()
        try:
            infos = await answer
        except OSError as error:
            words = SYSTEM_LASTING.get(error.errno or 0)
            if words is not None:
                raise LookupFailedError(words, lasting=True) from error
            raise LookupFailedError(f"the lookup failed: {error.strerror}", lasting=False) from error
        except UnicodeError as error:
            raise LookupFailedError(ARES_LASTING[8], lasting=True) from error
        addresses = dict.fromkeys(_with_zone(str(address[0]), address[2:]) for *_, address in infos)
        if not addresses:
            raise LookupFailedError(ARES_LASTING[1], lasting=True)
        return Answer(tuple(addresses), None)

    async def close(self) -> None:
        for _ in range(self._threads):
            self._questions.put(None)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            host, answer = question
            told: Any = None
            # Nobody waits for it any more where it was given up while it stood in the queue.
            if not answer.cancelled():
                try:
                    told = self._lookup(
                        host, None, type=socket.SOCK_STREAM, family=self._family, flags=socket.AI_ADDRCONFIG
                    )
                except (OSError, UnicodeError) as error:
                    told = error
            try:
                self._loop.call_soon_threadsafe(self._tell, answer, told)
            except RuntimeError:
                # The run is over and its loop closed.
                return

    def _tell(self, answer: asyncio.Future[Any], told: Any) -> None:
        self._pending -= 1
        if answer.done():
            return
        if isinstance(told, Exception):
            answer.set_exception(told)
        else:
            answer.set_result(told)


def _tries(patience: float) -> int:
    """How often c-ares must try to go on for so long: each try is up to twice as long as the one before."""

    def spent() -> Iterator[float]:
        length = SHORTEST_TRY
        while True:
            # It takes a random part off, up to half.
            yield min(length, LONGEST_TRY) / 2
            length *= 2

    return next(number for number, total in enumerate(accumulate(spent()), 1) if total >= min(patience, NO_TIMEOUT))


def _with_zone(address: str, rest: tuple[int, ...]) -> str:
    """An address with its zone, where it has one and the system says it beside it."""
    zone = rest[1] if len(rest) > 1 else 0
    return f"{address}%{zone}" if zone and "%" not in address else address
