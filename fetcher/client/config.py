"""Owns what the wire can be told: patience, connections, trust, headers. Imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from fetcher import __version__
from fetcher.client.cookies.config import CookiesConfig
from fetcher.client.credentials import CredentialsConfig
from fetcher.client.proxies import Proxies, proxy_variables
from fetcher.client.trust import TrustConfig
from fetcher.errors import UsageError

MIB = 1024 * 1024

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A method or a header's name (RFC 9110 5.6.2)."""


class YieldingSeconds(float):
    """A time limit that nobody has asked for: it gives way where it would stop a large file."""


class YieldingSize(int):
    """The same, of a size."""


TIMEOUT = YieldingSeconds(30.0)
MAX_SIZE = YieldingSize(50 * MIB)

YIELDING = frozenset({"timeout", "max_size"})
"""Fields with such defaults."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class ClientConfig(TrustConfig, CredentialsConfig, CookiesConfig):
    """
    How to speak to servers.

    Attributes:
        concurrency: Slots: how many requests are under way at once; `auto` finds out, from few to `max_concurrency`.
        max_concurrency: The most slots that `auto` may come to.
        timeout: Seconds of an attempt's own time, from slot to last byte, over all its hops; 0 is none.
        connect_timeout: Seconds for the name, TCP and TLS together; 0 is none.
        read_timeout: Seconds of silence while a reply is awaited or read; 0 is none.
        keepalive: Seconds that an idle connection is kept; 0 closes each after its reply.
        max_size: Bytes of a decoded body that are kept before the reply is `too-large`; 0 is no limit.
        max_ratio: How many times as large as what arrived a body may become by decoding, above 50 MB; beyond that the
            reply is `too-large`. 0 is no limit.
        compress: Ask for replies in a content coding. What comes in one is decoded either way.
        capture: Keep with each hop what went over the wire, for an archive.
        body_budget: Bytes of memory for all bodies in flight and waiting to be written. Half of them are counted, and
            reading pauses above that.
        headers: Sent with every request. A name given here replaces our own header of that name; None as its value
            drops it.
        user_agent: The User-Agent header.
        limit_rate: Bytes a second of all replies together, heads and bodies as received; None is no limit.
        min_speed: (Bytes a second, seconds): a reply that is slower than that on average over so many seconds is
            `too-slow`, from its first byte on. None is no such demand.
        proxy: What every request goes through: `http://user:password@host:port`, or https, socks4, socks5. Empty is
            none; None is what the environment says.
        no_env: Heed no variables of the environment: neither those of proxies nor others that are not afetch's own.
        proxy_variables: What the environment says of proxies (`http_proxy` and its like), read when this is made.
    """

    concurrency: int | Literal["auto"] = 50
    max_concurrency: int = 1_000
    timeout: float = TIMEOUT
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    keepalive: float = 15.0
    max_size: int = MAX_SIZE
    max_ratio: int = 1_000
    compress: bool = True
    capture: bool = False
    body_budget: int = 256 * MIB
    headers: tuple[tuple[str, str | None], ...] = ()
    user_agent: str = f"afetch/{__version__}"
    limit_rate: float | None = None
    min_speed: tuple[int, float] | None = None
    proxy: str | None = field(default=None, repr=False)
    no_env: bool = False
    proxy_variables: tuple[tuple[str, str], ...] = field(default_factory=proxy_variables, repr=False)

    def __post_init__(self) -> None:
        for room in (TrustConfig, CredentialsConfig, CookiesConfig):
            room.__post_init__(self)
        if self.slots < 1:
            raise UsageError(f"concurrency must be at least 1, not {self.slots}")
        for name in ("timeout", "connect_timeout", "read_timeout", "keepalive", "max_size", "max_ratio"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, and is {getattr(self, name)}; 0 is none")
        if self.limit_rate is not None and not 0 < self.limit_rate < inf:
            raise UsageError(f"limit_rate must be above 0 and finite, not {self.limit_rate}; None is no limit")
        if self.min_speed is not None:
            speed, seconds = self.min_speed
            if not (speed > 0 and 0 < seconds < inf):
                raise UsageError(f"min_speed needs bytes and seconds above 0, not {speed} and {seconds}; None is none")
        for name, value in (*self.headers, ("User-Agent", self.user_agent)):
            check_header(name, value or "")
        # For its complaint.
        _ = self.proxies

    @property
    def proxies(self) -> Proxies:
        """
        Which proxy a URL goes through.

        Raises:
            UsageError: One that was named cannot be.
        """
        return Proxies(self.proxy, () if self.no_env else self.proxy_variables)

    @property
    def slots(self) -> int:
        """The most requests that are ever under way at once; also the connector's limit."""
        return self.max_concurrency if self.concurrency == "auto" else self.concurrency

    @property
    def sent_user_agent(self) -> str:
        """The User-Agent as it is sent: a header of that name wins."""
        sent: str | None = self.user_agent
        for name, value in self.headers:
            if name.lower() == "user-agent":
                sent = value
        return sent or ""


def check_header(name: str, value: str) -> None:
    """
    Nothing, if a header may be sent.

    Raises:
        UsageError: The name is no token, or the value has a control character (RFC 9110 5.5).
    """
    if not TOKEN.fullmatch(name):
        raise UsageError(f"header {name!r}: not a header name; write it as 'Name: value'")
    if _CONTROLS.search(value):
        raise UsageError(f"header {name!r}: the value has a control character or a line break; remove it")
