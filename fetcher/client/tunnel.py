"""
Owns the way through a proxy: from a connection to the proxy to one that reaches the origin.

CONNECT is RFC 9110 9.3.6, SOCKS5 is RFC 1928 with the passwords of RFC 1929, SOCKS4 is as its authors wrote it, with
names as 4A has them. What the proxy itself does wrong is `proxy`; what it says of the origin is the origin's.

The libraries there are for SOCKS look names up on the loop's own threads, try one address of the proxy only, and take
ASCII in passwords only; what they would save is short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from ssl import SSLContext
from typing import cast

from fetcher.client.failures import error_of
from fetcher.client.foundation import ResponseHandler, Target
from fetcher.client.heads import HeadError, complaint, head_end, might_be_head, read_head
from fetcher.client.phases import note
from fetcher.client.proxies import Proxy
from fetcher.client.reply import Wire
from fetcher.errors import ErrorKind
from fetcher.model import Error, Origin

MAX_HEAD = 64 * 1024
"""Bytes of what a proxy says before the way is open."""

PASSING = frozenset({ErrorKind.LOCAL, ErrorKind.INTERNAL, ErrorKind.BLOCKED})
"""What is not the proxy's doing, although it happened on the way to it."""

HOPELESS = frozenset({ErrorKind.TLS, ErrorKind.PROTOCOL})
"""Kinds that another time will not cure, of the proxy as of any server."""

AGAIN = frozenset({408, 429})
"""Refusals below 500 that another time may cure."""

CREDENTIALS_WANTED = 407
UNAUTHORIZED = 401
"""What tinyproxy says of wrong ones."""

SOCKS5_REFUSALS = {
    1: (ErrorKind.PROXY, "general failure, which a name that it cannot look up is as well", False),
    2: (ErrorKind.PROXY, "not allowed by its rules", True),
    3: (ErrorKind.UNREACHABLE, "no way to the network", False),
    4: (ErrorKind.UNREACHABLE, "no way to the host", False),
    5: (ErrorKind.REFUSED, "nothing listens there", False),
    6: (ErrorKind.UNREACHABLE, "too many routers on the way", False),
    7: (ErrorKind.PROXY, "it does not know the command", True),
    8: (ErrorKind.PROXY, "it does not know this type of address", True),
}
"""RFC 1928 6: the kind, what is told, and whether trying again is in vain. 3 to 6 are the origin's trouble, told."""

SOCKS4_REFUSALS = {
    91: ("refused or failed", False),
    92: ("it asks for identd, which is not there", True),
    93: ("it was told another user by identd", True),
}


class TunnelError(Exception):
    """There is no way through: what a record says of it."""

    def __init__(self, kind: ErrorKind, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.error = Error(kind, message, lasting)


class Way:
    """
    How an origin is reached through a proxy. One an origin, not one a request.

    Args:
        context: For a proxy that is itself spoken to in TLS.
        inner: For an origin whose TLS is within the tunnel.
        user_agent: What a proxy is told of us; nothing if empty.

    Attributes:
        proxy: Which.
        forwards: The proxy takes the request itself, so that its connections are for every origin.
        door: The proxy, as what is connected to.
    """

    def __init__(
        self, proxy: Proxy, origin: Origin, context: SSLContext | None, inner: SSLContext | None, user_agent: str
    ) -> None:
        self.proxy = proxy
        self.forwards = proxy.forwards(origin)
        self.door = Target(_door(proxy), context if proxy.scheme == "https" else None)
        self._origin = origin
        self._inner = inner
        self._user_agent = user_agent

    async def open(
        self,
        connect: Callable[[], Awaitable[tuple[asyncio.Transport, ResponseHandler]]],
        fresh: Callable[[], ResponseHandler],
    ) -> ResponseHandler:
        """
        The protocol of a connection that carries requests for the origin.

        Args:
            connect: Connects to `door`.
            fresh: Makes a protocol.

        Raises:
            TunnelError: The proxy cannot be had, or does not open the way.
        """
        try:
            transport, protocol = await connect()
        except Exception as exc:
            error = error_of(exc)
            if error.kind in PASSING:
                raise
            lasting = error.lasting or error.kind in HOPELESS
            raise TunnelError(ErrorKind.PROXY, f"{self.proxy}: {error.message}", lasting=lasting) from exc
        note("proxy_reached")
        if self.forwards:
            return protocol
        # What is no proxy may speak first.
        talk = Talk(self.proxy, cast("Wire", protocol).unasked())
        transport.set_protocol(talk)
        try:
            await self._ask(transport, talk)
            note("tunnel_opened")
            if self._inner is None:
                transport.set_protocol(protocol)
                if talk.heard:
                    protocol.data_received(bytes(talk.heard))
                return protocol
            return await self._begin_tls(transport, talk, self._inner, fresh())
        except BaseException:
            # Not close(): that would wait for a peer that may not be reading.
            transport.abort()
            raise

    async def _ask(self, transport: asyncio.Transport, talk: Talk) -> None:
        """Have the way opened."""
        proxy, origin = self.proxy, self._origin
        if proxy.scheme == "socks5":
            await _socks5(transport, talk, proxy, origin)
        elif proxy.scheme == "socks4":
            await _socks4(transport, talk, proxy, origin)
        else:
            await _connect(transport, talk, proxy, origin, self._user_agent)
        if transport.is_closing():
            raise TunnelError(ErrorKind.DISCONNECTED, f"{proxy} closed the connection as soon as it was open")

    async def _begin_tls(
        self, transport: asyncio.Transport, talk: Talk, context: SSLContext, protocol: ResponseHandler
    ) -> ResponseHandler:
        if talk.heard:
            raise TunnelError(ErrorKind.TLS, "the server speaks first, so there is no TLS on this port; try http://")
        inner = await asyncio.get_running_loop().start_tls(
            transport,
            protocol,
            context,
            # Names end in a dot in DNS only, not in certificates.
            server_hostname=self._origin.host.rstrip("."),
        )
        if inner is None:
            raise ConnectionResetError("the connection was closed before the TLS handshake")
        protocol.connection_made(inner)
        return protocol


class Talk(asyncio.Protocol):
    """
    What a proxy says before the way is open.

    Attributes:
        heard: What it said that nobody read yet.
    """

    def __init__(self, proxy: Proxy, heard: bytes) -> None:
        self._proxy = proxy
        self._more = asyncio.Event()
        self._ended = False
        self.heard = bytearray(heard)

    async def read(self, end: Callable[[bytes], int]) -> bytes:
        """
        The bytes up to where `end` says that what is awaited ends; it is asked whenever there are more, -1 is not yet.

        Raises:
            TunnelError: The proxy closed the connection instead, or says no end of things.
        """
        while (length := end(bytes(self.heard)) if self.heard else -1) < 0:
            if self._ended:
                raise TunnelError(ErrorKind.PROXY, f"{self._proxy} closed the connection before it had opened a way")
            if len(self.heard) > MAX_HEAD:
                raise TunnelError(ErrorKind.PROXY, f"{self._proxy} says no end of things", lasting=True)
            self._more.clear()
            await self._more.wait()
        said = bytes(self.heard[:length])
        del self.heard[:length]
        return said

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._more.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._ended = True
        self._more.set()


def _door(proxy: Proxy) -> Origin:
    """A proxy as an origin, so that it can be connected to."""
    return Origin("https" if proxy.scheme == "https" else "http", proxy.host, proxy.port, str(proxy))


def unwelcome(proxy: Proxy, status: int = CREDENTIALS_WANTED) -> str:
    """What is wrong where a proxy asks for credentials."""
    if proxy.user is None:
        return f"{proxy} asks for a user and a password ({status}); write them as USER:PASSWORD@ before its host"
    return f"{proxy} does not take the user and password that it was given ({status})"


async def _connect(transport: asyncio.Transport, talk: Talk, proxy: Proxy, origin: Origin, user_agent: str) -> None:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if user_agent:
        lines.append(f"User-Agent: {user_agent}")
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("utf-8", "surrogateescape"))

    def end(heard: bytes) -> int:
        if not might_be_head(heard):
            raise HeadError(complaint(heard))
        return head_end(heard)

    try:
        head = read_head(None, await talk.read(end))
        while head.interim:
            head = read_head(None, await talk.read(end))
    except HeadError as error:
        raise TunnelError(ErrorKind.PROXY, f"{proxy} answered CONNECT with {error}", lasting=True) from error
    status = head.status
    if 200 <= status < 300:
        return
    if status in {CREDENTIALS_WANTED, UNAUTHORIZED}:
        raise TunnelError(ErrorKind.PROXY, unwelcome(proxy, status), lasting=True)
    words = f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)
    lasting = status < 500 and status not in AGAIN
    raise TunnelError(ErrorKind.PROXY, f"{proxy} refused CONNECT {target}: {words}", lasting=lasting)


async def _socks5(transport: asyncio.Transport, talk: Talk, proxy: Proxy, origin: Origin) -> None:
    user = proxy.user
    # With a user both, so that a server that wants none is content; some close where they are not first in line.
    transport.write(b"\x05\x01\x00" if user is None else b"\x05\x02\x00\x02")
    version, method = await talk.read(_bytes(2))
    if version != 5:
        raise TunnelError(ErrorKind.PROXY, f"{proxy} does not speak SOCKS5", lasting=True)
    if method == 2 and user is not None:
        transport.write(b"\x01%c%b%c%b" % (len(user), user, len(proxy.password), proxy.password))
        _, status = await talk.read(_bytes(2))
        if status:
            message = f"{proxy} does not take the user and password that it was given"
            raise TunnelError(ErrorKind.PROXY, message, lasting=True)
    elif method:
        wish = "asks for a user and a password; write them as USER:PASSWORD@ before its host"
        message = f"{proxy} {wish if user is None else 'takes no user and password'}"
        raise TunnelError(ErrorKind.PROXY, message, lasting=True)
    transport.write(b"\x05\x01\x00" + _address(proxy, origin.host) + origin.port.to_bytes(2, "big"))
    reply = await talk.read(_socks5_reply)
    if reply[0] != 5:
        raise TunnelError(ErrorKind.PROXY, f"{proxy} does not speak SOCKS5", lasting=True)
    if reply[1]:
        kind, words, lasting = SOCKS5_REFUSALS.get(reply[1], (ErrorKind.PROXY, "which is no known reason", True))
        target = f"{origin.host}:{origin.port}"
        raise TunnelError(kind, f"{proxy} has no way to {target}: {words} (SOCKS5 reply {reply[1]})", lasting=lasting)


def _address(proxy: Proxy, host: str) -> bytes:
    """A host as SOCKS5 has it: an address, or a name, which is then the server's to look up."""
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > 255:
            raise TunnelError(ErrorKind.PROXY, f"{proxy}: a name of more than 255 bytes", lasting=True) from None
        return b"\x03%c%b" % (len(name), name)
    return (b"\x04" if isinstance(address, IPv6Address) else b"\x01") + address.packed


def _socks5_reply(heard: bytes) -> int:
    """Where the reply ends. Of a refusal two bytes are enough: there are servers that then say no more."""
    if heard[0] != 5 or (len(heard) > 1 and heard[1]):
        return min(len(heard), 2)
    if len(heard) < 5:
        return -1
    length = {1: 10, 4: 22}.get(heard[3], 7 + heard[4])
    return length if len(heard) >= length else -1


async def _socks4(transport: asyncio.Transport, talk: Talk, proxy: Proxy, origin: Origin) -> None:
    name = b""
    try:
        address = ip_address(origin.host)
    except ValueError:
        # An address that cannot be says that a name follows.
        packed, name = b"\x00\x00\x00\x01", origin.host.encode("ascii") + b"\x00"
    else:
        if isinstance(address, IPv6Address):
            raise TunnelError(ErrorKind.PROXY, f"{proxy}: SOCKS4 knows no IPv6 addresses; use socks5://", lasting=True)
        packed = address.packed
    transport.write(b"\x04\x01" + origin.port.to_bytes(2, "big") + packed + (proxy.user or b"") + b"\x00" + name)
    reply = await talk.read(lambda heard: 8 if len(heard) >= 8 or heard[0] else -1)
    if reply[0] or len(reply) < 8:
        raise TunnelError(ErrorKind.PROXY, f"{proxy} does not speak SOCKS4", lasting=True)
    if reply[1] != 90:
        words, lasting = SOCKS4_REFUSALS.get(reply[1], ("which is no known reason", True))
        target = f"{origin.host}:{origin.port}"
        message = f"{proxy} has no way to {target}: {words} (SOCKS4 reply {reply[1]})"
        raise TunnelError(ErrorKind.PROXY, message, lasting=lasting)


def _bytes(count: int) -> Callable[[bytes], int]:
    return lambda heard: count if len(heard) >= count else -1
