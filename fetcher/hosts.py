"""
Owns what a user says of single hosts: `[hosts."api.example.com"]` in a configuration, `Settings.hosts` in a program.

What is said of one host wins over what is said of all. `*.example.com` is every host below example.com that has no
table of its own; of several that fit, the longest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from fetcher.client.config import check_header
from fetcher.errors import UsageError
from fetcher.urls import UrlError, parse_url

BELOW = "*."
"""How a name begins that stands for all hosts below it."""

KNOWN = 8_192
"""Hosts whose table is remembered."""


@dataclass(frozen=True, kw_only=True)
class HostConfig:
    """
    What is different for a host. None leaves a setting as it is for all.

    Attributes:
        concurrency: The most requests under way to it at once.
        rate: The most requests a second to it.
        retries: How many attempts may follow the first.
        timeout: Seconds of an attempt's own time; 0 is none.
        headers: Sent with every request to it, over those of the run; None as a value drops one.
    """

    concurrency: int | None = None
    rate: float | None = None
    retries: int | None = None
    timeout: float | None = None
    headers: tuple[tuple[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise UsageError(f"concurrency must be at least 1, not {self.concurrency}")
        if self.rate is not None and self.rate <= 0:
            raise UsageError(f"rate must be more than 0, and is {self.rate:g}")
        if self.retries is not None and self.retries < 0:
            raise UsageError(f"retries must not be negative, and is {self.retries}")
        if self.timeout is not None and self.timeout < 0:
            raise UsageError(f"timeout must not be negative, and is {self.timeout:g}; 0 is none")
        for name, value in self.headers:
            check_header(name, value or "")


@dataclass(frozen=True, kw_only=True)
class HostsConfig:
    """
    What is said of single hosts.

    Attributes:
        hosts: By name, as a URL has it (`api.example.com`, `127.0.0.1`, `::1`), or `*.example.com`.
    """

    hosts: Mapping[str, HostConfig] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        names: dict[str, str] = {}
        for name in self.hosts:
            other = names.setdefault(canonical_host(name), name)
            if other != name:
                raise UsageError(f"hosts: {other!r} and {name!r} are one host; leave one of them out")


class Hosts:
    """The tables, looked up by a host's name."""

    def __init__(self, config: HostsConfig) -> None:
        self._names = {canonical_host(name): name for name in config.hosts}
        self._tables = {key: config.hosts[name] for key, name in self._names.items()}
        self._find = lru_cache(maxsize=KNOWN)(self._search)

    def __bool__(self) -> bool:
        return bool(self._tables)

    def find(self, host: str) -> HostConfig | None:
        """What is said of a host, or None."""
        return self._find(host) if self._tables else None

    def name(self, host: str) -> str | None:
        """What the user calls the table that counts for a host, or None."""
        return self._names.get(self._key(host) or "")

    def _search(self, host: str) -> HostConfig | None:
        return self._tables.get(self._key(host) or "")

    def _key(self, host: str) -> str | None:
        key = host
        while key not in self._tables:
            _, dot, host = host.partition(".")
            if not dot:
                return None
            key = BELOW + host
        return key


def canonical_host(name: str, option: str = "hosts") -> str:
    """
    A host's name as URLs have it in the end: ASCII, lower case; also one that begins with `*.`.

    Args:
        option: Where it was written, for the message.

    Raises:
        UsageError: No URL can have such a host.
    """
    below = name.startswith(BELOW)
    host = name.removeprefix(BELOW)
    try:
        # One colon is a port's, and a slash a URL's: those are told below.
        bracketed = f"[{host}]" if host.count(":") > 1 and host[0] != "[" and "/" not in host else host
        url, user = parse_url(f"http://{bracketed}/")
    except UrlError as error:
        raise UsageError(
            f"{option}: {name!r} is no host ({error}); write a name, an address, or *.example.com"
        ) from error
    # A port may be the one that URLs leave out, and a fragment is never a part of one.
    port = bracketed.rpartition("]")[2] if ":" in url.origin.host else host
    if user is not None or url.target != "/" or ":" in port or "#" in host:
        raise UsageError(f"{option}: {name!r} is more than a host; write the name alone, without scheme, port and path")
    if below and ":" in url.origin.host:
        raise UsageError(f"{option}: {name!r} is no host (no host is below an address); write the address alone")
    return f"{BELOW}{url.origin.host}" if below else url.origin.host
