"""
Owns several cookies at once: one of a name, domain and path each, within the bounds of RFC 6265 6.1. Pure.

The cookies of a redirect chain travel on its job: `after_hop` says what they are after a reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fetcher.client.cookies.rules import covers, goes_to, is_for, is_over, read_cookie
from fetcher.model import ChainCookies, Cookie, Hop, Url

PER_DOMAIN = 50
IN_ALL = 3_000
"""Cookies that are kept; those that were loaded count for their domain only."""

IN_REPLY = 50
"""Cookies that one reply sets, as in curl: each costs a look at the others."""

IN_CHAIN = 100
"""Cookies that travel with a redirect chain."""

SET_COOKIE = b"set-cookie"

Key = tuple[str, str]
"""Path and name: what tells the cookies of a domain apart."""


class CookieStore:
    """
    Cookies by domain.

    Args:
        cookies: To begin with. Their domains keep them, however many others there will be.
        remember: Keep those that were dropped, as expired: whoever sends others must know.
    """

    def __init__(self, cookies: Iterable[Cookie] = (), *, remember: bool = False) -> None:
        self._remember = remember
        self._domains: dict[str, dict[Key, Cookie]] = {}
        for cookie in cookies:
            self._domains.setdefault(cookie.domain, {})[cookie.path, cookie.name] = cookie
        self._loaded = frozenset(self._domains)
        self._met = 0

    def __iter__(self) -> Iterator[Cookie]:
        for cookies in self._domains.values():
            yield from cookies.values()

    def take(self, url: Url, headers: Iterable[tuple[bytes, bytes]], now: float) -> bool:
        """What a reply from `url` sets; whether anything is other than before."""
        said = [value for name, value in headers if name.lower() == SET_COOKIE]
        read = [read_cookie(value, url, now) for value in said[:IN_REPLY]]
        changed = False
        for cookie in read:
            if cookie is not None and self._put(cookie, url, now):
                changed = True
        return changed

    def find(self, url: Url, now: float) -> list[Cookie]:
        """What is sent to a URL: longer paths first, then what was set first (RFC 6265 5.4)."""
        found = []
        for domain in _domains(url.origin.host):
            cookies = self._domains.get(domain)
            if cookies is not None:
                found += [cookie for cookie in cookies.values() if goes_to(cookie, url, now)]
                if domain not in self._loaded:
                    # The domains that are asked for are not the first to go.
                    self._domains[domain] = self._domains.pop(domain)
        found.sort(key=lambda cookie: -len(cookie.path))
        return found

    def dropped(self, url: Url, now: float) -> frozenset[str]:
        """Names of cookies for a URL that servers have dropped."""
        return frozenset(cookie.name for cookie in self if is_for(cookie, url) and is_over(cookie, now))

    def _put(self, cookie: Cookie, url: Url, now: float) -> bool:
        if url.origin.scheme != "https" and self._is_shielded(cookie):
            return False
        over = is_over(cookie, now)
        cookies = self._domains.get(cookie.domain, {})
        key = (cookie.path, cookie.name)
        old = cookies.get(key)
        if over and not self._remember:
            if old is not None:
                self._remove(cookie.domain, key)
            return old is not None
        if old is None:
            if len(cookies) >= PER_DOMAIN:
                self._thin(cookie.domain, now)
            if cookie.domain not in self._loaded:
                self._met += 1
                if self._met > IN_ALL:
                    self._make_room(cookie.domain)
        self._domains.setdefault(cookie.domain, {})[key] = cookie
        return old is None or old.value != cookie.value or is_over(old, now) != over

    def _is_shielded(self, cookie: Cookie) -> bool:
        """Whether a secure cookie of that name must be left alone: whoever is on the way could set this one."""
        return any(
            other.secure
            and other.name == cookie.name
            and (covers(cookie.domain, other.domain) or covers(other.domain, cookie.domain))
            and (cookie.path == other.path or cookie.path.startswith(other.path.rstrip("/") + "/"))
            for domain in {*_domains(cookie.domain), *(() if cookie.host_only else self._below(cookie.domain))}
            for other in self._domains.get(domain, {}).values()
        )

    def _below(self, domain: str) -> list[str]:
        return [name for name in self._domains if covers(domain, name)]

    def _thin(self, domain: str, now: float) -> None:
        """Drop one of a domain's cookies: the first that is over, else the oldest."""
        cookies = self._domains[domain]
        over = (key for key, cookie in cookies.items() if is_over(cookie, now))
        self._remove(domain, next(over, next(iter(cookies))))

    def _make_room(self, but: str) -> None:
        """Drop the oldest cookie of the domain that was not asked for longest."""
        for domain, cookies in self._domains.items():
            if domain not in self._loaded and domain != but:
                self._remove(domain, next(iter(cookies)))
                return

    def _remove(self, domain: str, key: Key) -> None:
        cookies = self._domains[domain]
        del cookies[key]
        if domain not in self._loaded:
            self._met -= 1
        if not cookies:
            del self._domains[domain]


def after_hop(before: ChainCookies | None, hop: Hop, hops: int, now: float) -> ChainCookies | None:
    """
    What a redirect chain's cookies are after a reply.

    Args:
        hops: How many replies of the chain there were, this one among them.
        now: Seconds since the epoch.
    """
    if hop.header(SET_COOKIE) is None:
        return before
    store = CookieStore(before.cookies if before is not None else (), remember=True)
    changed = store.take(hop.url, hop.headers, now)
    if not changed and before is None:
        return None
    return ChainCookies(tuple(store)[-IN_CHAIN:], hops if changed or before is None else before.changed)


def _domains(host: str) -> Iterator[str]:
    """A host and the domains above it."""
    while host:
        yield host
        host = host.partition(".")[2]
