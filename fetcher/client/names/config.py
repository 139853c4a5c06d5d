"""Owns what the lookup of names can be told. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from fetcher.errors import UsageError
from fetcher.urls import UrlError, parse_url

RESOLVERS = ("auto", "system", "aiodns")

ANY = "*"
"""A pinned host that stands for every one."""

_PIN = re.compile(r"(\[[^\]]*\]|[^\[\]:]*):([^:]*):(.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class NamesConfig:
    """
    How names become addresses, and which addresses may be connected to.

    Attributes:
        resolve: Addresses that are known already: `HOST:PORT:ADDRESS[,ADDRESS]...` each, as curl has it; `*` as the
            host is every one, which the others go before. Of two for the same host and port the last counts.
        resolver: Who is asked: `aiodns` (c-ares, without threads), `system` (getaddrinfo, on threads), or `auto`:
            aiodns, and the system where that has trouble.
        dns_timeout: Seconds that a lookup may take in all; 0 is no limit but the connection's own.
        ipv4: Use IPv4 addresses only.
        ipv6: Use IPv6 addresses only.
        block_private: Connect to no address that is not on the public internet.
    """

    resolve: tuple[str, ...] = ()
    resolver: Literal["auto", "system", "aiodns"] = "auto"
    dns_timeout: float = 8.0
    ipv4: bool = False
    ipv6: bool = False
    block_private: bool = False

    def __post_init__(self) -> None:
        pinned(self.resolve)
        if self.resolver not in RESOLVERS:
            raise UsageError(f"resolver {self.resolver!r}: choose one of {', '.join(RESOLVERS)}")
        if self.dns_timeout < 0:
            raise UsageError(f"dns_timeout must not be negative, and is {self.dns_timeout:g}; 0 is none")
        if self.ipv4 and self.ipv6:
            raise UsageError(
                "ipv4 and ipv6 contradict each other: each wants its addresses only; leave one of them out"
            )


def pinned(texts: Iterable[str]) -> Mapping[tuple[str, int], tuple[str, ...]]:
    """
    Addresses by host and port, from texts as `NamesConfig.resolve` has them.

    Raises:
        UsageError: A text is none of those.
    """
    return dict(_pin(text) for text in texts)


def _pin(text: str) -> tuple[tuple[str, int], tuple[str, ...]]:
    match = _PIN.fullmatch(text)
    if match is None:
        raise UsageError(f"resolve {text!r}: write HOST:PORT:ADDRESS, as example.com:443:192.0.2.7")
    host, port, rest = match.groups()
    addresses = [address.strip().removeprefix("[").removesuffix("]") for address in rest.split(",")]
    for address in addresses:
        try:
            ip_address(address)
        except ValueError as error:
            raise UsageError(f"resolve {text!r}: {address!r} is not an IP address") from error
    try:
        # A URL's own rules: case, IDNA, other spellings of an address.
        origin = parse_url(f"http://{'any' if host == ANY else host}:{port or '-'}/")[0].origin
    except UrlError as error:
        raise UsageError(f"resolve {text!r}: {error}") from error
    return (ANY if host == ANY else origin.host, origin.port), tuple(addresses)
