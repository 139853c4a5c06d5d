"""
Owns which proxy a URL goes through: what `--proxy` says, else the environment as it was when the run began. Pure.

The rules are curl's, with two of Go's: `NO_PROXY` may name ports, and `HTTP_PROXY` in capitals counts, too, unless this
is a CGI script, where whoever sends a `Proxy:` header writes that variable (httpoxy, CVE-2016-5385).
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote_to_bytes

from fetcher.errors import UsageError
from fetcher.model import Origin
from fetcher.urls import UrlError, parse_url

SCHEMES = {
    "http": "http",
    "https": "https",
    "socks": "socks5",
    "socks4": "socks4",
    "socks4a": "socks4",
    "socks5": "socks5",
    "socks5h": "socks5",
}
"""What may be written, and what it is. Names are the SOCKS server's to resolve in each of them."""

PORTS = {"http": 1080, "https": 443, "socks4": 1080, "socks5": 1080}
"""Where a proxy listens that is given without a port; curl's."""

LONGEST = 255
"""Bytes of a SOCKS5 user or password (RFC 1929)."""

KNOWN = 8_192
"""Origins whose proxy is remembered."""

_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

_PROXY = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.\-]*)://)?(?:([^/?#\\]*)@)?([^/?#\\@]*)/?")
_PORT = re.compile(r"[0-9]{1,5}")

_FORM = "[SCHEME://][USER:PASSWORD@]HOST[:PORT]"


@dataclass(frozen=True)
class Proxy:
    """
    A proxy.

    Attributes:
        scheme: `http`, `https`, `socks4` or `socks5`.
        host: ASCII, lower case; an IPv6 address without its brackets.
        user: As it is sent; None where the proxy is not to be told any.
        password: As it is sent.
    """

    scheme: str
    host: str
    port: int
    user: bytes | None = field(default=None, repr=False)
    password: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        """It as it may be shown, without its credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of the Proxy-Authorization header, None without a user (RFC 7617)."""
        if self.user is None:
            return None
        return f"Basic {b64encode(self.user + b':' + self.password).decode('ascii')}"

    def forwards(self, origin: Origin) -> bool:
        """Whether it is sent the request itself; everywhere else it opens a way for a connection to the origin."""
        return origin.scheme == "http" and self.scheme in {"http", "https"}


def parse_proxy(text: str, place: str) -> Proxy | None:
    """
    A proxy from its URL, which may be without a scheme (`http`) and without a port; None if there is none in it.

    Args:
        place: Who says so, for the complaint. The text itself may have a password and is never repeated.

    Raises:
        UsageError: It is none, or one of a kind that nobody knows.
    """
    text = text.strip()
    if not text:
        return None
    match = _PROXY.fullmatch(text)
    if match is None:
        raise UsageError(f"{place}: not a proxy; write {_FORM}, and encode what is special in a password (/ is %2F)")
    written, userinfo, netloc = match.groups()
    scheme = SCHEMES.get((written or "http").lower())
    if scheme is None:
        *most, last = SCHEMES
        raise UsageError(f"{place}: unknown scheme {written!r}; a proxy's is {', '.join(most)} or {last}")
    try:
        origin = parse_url(f"http://{netloc}/")[0].origin
    except UrlError as error:
        raise UsageError(f"{place}: not a proxy ({error}); write {_FORM}") from error
    port = origin.port if _PORT.fullmatch(_behind_host(netloc)) else PORTS[scheme]
    user, password = _credentials(scheme, userinfo, place)
    return Proxy(scheme, origin.host, port, user, password)


def _behind_host(netloc: str) -> str:
    """The port's digits."""
    return netloc.rpartition("]")[2].rpartition(":")[2] if ":" in netloc.rpartition("]")[2] else ""


def _credentials(scheme: str, userinfo: str | None, place: str) -> tuple[bytes | None, bytes]:
    if not userinfo:
        return None, b""
    name, _, secret = userinfo.partition(":")
    user, password = unquote_to_bytes(name), unquote_to_bytes(secret)
    if scheme == "socks5" and not (0 < len(user) <= LONGEST and len(password) <= LONGEST):
        raise UsageError(f"{place}: a SOCKS5 user has 1 to {LONGEST} bytes, and a password at most as many")
    if scheme == "socks4" and (password or b"\0" in user):
        raise UsageError(f"{place}: SOCKS4 knows no password, and no NUL in a user; use socks5://")
    return user, password


def proxy_variables(environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """
    What the environment says of proxies: the variables that count, by the names that they have there.

    Lower case wins over upper case, and an empty variable is none.
    """
    said = []
    for name in _VARIABLES:
        for spelling in (name, name.upper()):
            # In capitals a CGI script's is the request's own header.
            if environ.get(spelling) and not (spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
                said.append((spelling, environ[spelling]))
                break
    return tuple(said)


class Proxies:
    """
    The proxies of a run.

    Args:
        proxy: The one for everything; empty means that there is none, None that the variables say it.
        variables: Names and values, as `proxy_variables` has them.

    Raises:
        UsageError: One of them cannot be.
    """

    def __init__(self, proxy: str | None, variables: Sequence[tuple[str, str]] = ()) -> None:
        said = {name.lower(): (value, name) for name, value in variables}
        self._except = _Exceptions(said.get("no_proxy", ("", ""))[0])
        if proxy is not None:
            one = parse_proxy(proxy, "--proxy")
            self._by_scheme = {"http": (one, "--proxy"), "https": (one, "--proxy")}
        else:
            self._by_scheme = {}
            for scheme in ("http", "https"):
                value, name = said.get(f"{scheme}_proxy") or said.get("all_proxy") or ("", "")
                self._by_scheme[scheme] = (parse_proxy(value, name), name)
        self.find = lru_cache(maxsize=KNOWN)(self._find)

    def __bool__(self) -> bool:
        return any(proxy is not None for proxy, _ in self._by_scheme.values())

    def _find(self, origin: Origin) -> Proxy | None:
        """The proxy for an origin, or None to go there directly."""
        proxy, _ = self._by_scheme[origin.scheme]
        return None if proxy is None or origin in self._except else proxy

    def told(self, origin: Origin) -> str:
        """Which way an origin is reached, and who says so; for a person."""
        proxy, place = self._by_scheme[origin.scheme]
        if proxy is None:
            return "none"
        return f"none (NO_PROXY has {origin.host})" if origin in self._except else f"{proxy} ({place})"


class _Exceptions:
    """What NO_PROXY says: hosts with all below them, addresses, networks, each with a port or without; `*` is all."""

    def __init__(self, text: str) -> None:
        self._all = False
        # Ports by name; None among them is any port. A name is looked for whole, and each of its ends.
        self._hosts: dict[str, set[int | None]] = {}
        self._below: dict[str, set[int | None]] = {}
        self._networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
        for word in re.split(r"[,\s]+", text):
            self._add(word)

    def __contains__(self, origin: Origin) -> bool:
        if self._all:
            return True
        host = origin.host.rstrip(".")
        try:
            address = ip_address(host)
        except ValueError:
            return self._names(host, origin.port)
        return any(address in network and port in {None, origin.port} for network, port in self._networks)

    def _names(self, host: str, port: int) -> bool:
        wanted = {None, port}
        if wanted & self._hosts.get(host, set()):
            return True
        below = host
        while below:
            below = below.partition(".")[2]
            if wanted & (self._hosts.get(below, set()) | self._below.get(below, set())):
                return True
        return False

    def _add(self, word: str) -> None:
        """An entry. One that makes no sense never matches, which is curl's way, too."""
        if word == "*":
            self._all = True
            return
        host, port = _split_port(word)
        try:
            self._networks.append((ip_network(host, strict=False), port))
        except ValueError:
            table = self._below if host.startswith("*.") else self._hosts
            name = _name(host.removeprefix("*").removeprefix("."))
            if name:
                table.setdefault(name, set()).add(port)


def _split_port(word: str) -> tuple[str, int | None]:
    """An entry's host or network, without brackets, and its port."""
    if word.startswith("["):
        host, _, rest = word[1:].partition("]")
        # A network's length stands behind the bracket.
        length = rest if rest.startswith("/") else ""
        port = rest.removeprefix(":")
        return host + length, int(port) if _PORT.fullmatch(port) else None
    host, colon, port = word.rpartition(":")
    if colon and ":" not in host and _PORT.fullmatch(port):
        return host, int(port)
    return word, None


def _name(host: str) -> str:
    """A name as URLs have it in the end, nothing if none can have it."""
    try:
        return parse_url(f"http://{host}/")[0].origin.host.rstrip(".") if host and ":" not in host else ""
    except UrlError:
        return ""
