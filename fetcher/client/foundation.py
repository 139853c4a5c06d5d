"""
Owns the leaning on aiohttp: every part of it that is less than public is named here, and nowhere else.

What we lean on, and what `tests/test_foundation.py` therefore holds:

- `TCPConnector._wrap_create_connection` connects a socket that `socket_factory` made and gives it to the loop, or
  closes it;
- `TCPConnector._resolve_host` gives the addresses of every connection, and those are what `_wrap_create_connection` has
  in `addr_infos`, from which it takes what failed for its next try;
- `BaseConnector._factory` makes the protocol of a new connection, so that it can be our `Wire`;
- `TCPConnector.connect(request, traces, timeout)` reads from `request` what `Target` has: `connection_key`,
  `url.raw_host`, `host`, `port`, `ssl`, `is_ssl()`, `server_hostname`, `proxy`;
- `TCPConnector._create_connection(request, traces, timeout)` comes to a protocol, and `_create_direct_connection` with
  the same arguments to a transport and its protocol;
- `Connection` has a `protocol`, and forgets it once its `_protocol` is None; the pool asks a protocol for
  `should_close` and `is_connected()`;
- the pool is `BaseConnector._conns`, by `connection_key` the protocols that are idle and since when (`monotonic`),
  oldest first, none after `_keepalive_timeout`; whoever has one is in `_acquired`; `_waiters` queue for one; while
  `_cleanup_handle` is there somebody will close the old ones; `_release(key, protocol, should_close=)` gives one back;
- `ResponseHandler` has no parser before one is set, and closes its transport on `close()` and `abort()`; its
  `_drain_helper()` returns when the transport takes more, and raises ConnectionError when that is gone;
- `HttpResponseParser` with `response_with_body=False` reads one head after the other, and stops where a head ends.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from aiohttp import ClientConnectionError, ClientConnectorError, ClientTimeout, TCPConnector
from aiohttp.abc import ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser

from fetcher.client.names.resolver import Resolver
from fetcher.client.phases import PHASES
from fetcher.model import Origin

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = [
    "ClientTimeout",
    "Connector",
    "HttpProcessingError",
    "ResponseHandler",
    "Target",
    "head_parser",
]

WAYLESS = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})
"""What a family that this machine does not have fails with, or an address of a link without the link."""

_NUMBERS = re.compile(r"\[Errno (\d+)\]")

MAX_LINE = 128 * 1024
"""Bytes of a status or header line; curl stops at 100 KiB."""

MAX_HEADERS = 5_000
"""Header lines of a reply, as curl counts them."""


class Connector(TCPConnector):
    """
    aiohttp's connector: name, TCP, TLS and the pool of idle connections, with protocols of our own.

    Args:
        window: Bytes of each socket's receive buffer; None is the system's own choice, which grows with use.
    """

    def __init__(
        self,
        wire: Callable[[asyncio.AbstractEventLoop], ResponseHandler],
        *,
        resolver: Resolver,
        window: int | None = None,
        **options: Any,
    ) -> None:
        # Names are cached by our own resolver, which also caches failures.
        self._names = resolver
        super().__init__(
            use_dns_cache=False, resolver=resolver, socket_factory=partial(_make_socket, window=window), **options
        )
        self._factory = partial(wire, self._loop)
        self._libuv = any(kind.__module__.startswith("uvloop") for kind in type(self._loop).__mro__)

    def idle(self, target: Target) -> Any:
        """
        A protocol out of the pool, or None: what `connect` begins with, without two coroutines and a `Connection`.

        It is what `wire` made, and the caller's until `give_back` or `drop`.
        """
        key = target.connection_key
        idle = self._conns.get(key)
        if idle is None:
            return None
        longest, now = self._keepalive_timeout, monotonic()
        while idle:
            protocol, since = idle.popleft()
            transport = protocol.transport
            if transport is not None and not transport.is_closing() and (longest is None or now - since <= longest):
                if not idle:
                    del self._conns[key]
                self._acquired.add(protocol)
                return protocol
            protocol.close()
        del self._conns[key]
        return None

    async def protocol(self, target: Target, patience: ClientTimeout) -> Any:
        """The protocol of a connection, idle or new; the caller's as above."""
        connection = await self.connect(cast("Any", target), [], patience)
        protocol = connection.protocol
        # Or it would complain that nobody has closed it.
        connection._protocol = None  # noqa: SLF001 - named above, with the rest of what we lean on
        return protocol

    def give_back(self, target: Target, protocol: ResponseHandler) -> None:
        """A protocol goes into the pool, if it is fit for another request."""
        key = target.connection_key
        if self._closed or self._force_close or self._waiters or self._cleanup_handle is None or protocol.should_close:
            self._release(key, protocol)
            return
        self._acquired.discard(protocol)
        self._conns[key].append((protocol, monotonic()))

    def drop(self, target: Target, protocol: ResponseHandler) -> None:
        """A protocol's connection is closed."""
        self._part(protocol)
        self._release(target.connection_key, protocol, should_close=True)

    def end(self, target: Target, protocol: ResponseHandler) -> None:
        """An idle protocol leaves the pool, and its connection is closed."""
        key = target.connection_key
        idle = self._conns.get(key)
        if idle is not None:
            others = deque(entry for entry in idle if entry[0] is not protocol)
            if others:
                self._conns[key] = others
            else:
                del self._conns[key]
        self._part(protocol)
        protocol.close()

    def _part(self, protocol: ResponseHandler) -> None:
        """
        Have a connection that is about to be closed gone for good soon.

        A client has to say that it closes (RFC 9112 9.8), but not to wait until a server says the same: some never do,
        and both loops would hold the connection for half a minute, buffers and all.
        """
        transport = protocol.transport
        if transport is not None and transport.get_extra_info("ssl_object") is not None:
            # uvloop writes at the end of a turn.
            self._loop.call_soon(self._loop.call_soon, transport.abort)

    def _create_connection(
        self, req: Any, traces: list[Any], timeout: ClientTimeout
    ) -> Coroutine[Any, Any, ResponseHandler]:
        """The protocol of a new connection, which may lead through a proxy."""
        way: Way | None = req.way
        if way is None:
            return super()._create_connection(req, traces, timeout)

        async def connect() -> tuple[asyncio.Transport, ResponseHandler]:
            token = _TO_PROXY.set(True)
            try:
                return await self._create_direct_connection(cast("Any", way.door), traces, timeout)
            finally:
                _TO_PROXY.reset(token)

        return way.open(connect, self._factory)

    async def _resolve_host(self, host: str, port: int, traces: object = None) -> list[ResolveResult]:
        """The addresses to connect to, literal ones too, as our resolver says."""
        del traces  # there are none
        if self._closed:
            raise ClientConnectionError("Connector is closed")
        return await self._names.resolve(host, port, trusted=_TO_PROXY.get())

    async def _wrap_create_connection(self, *args: Any, addr_infos: list[Any], **options: Any) -> Any:
        """
        A transport and its protocol, once each address was tried, if need be.

        aiohttp would try those behind the first a second time, then those behind the second, and so on. That is right
        after a handshake that failed, since the race for a connection has one winner only, and for nothing else.
        """
        try:
            return await self._connect(*args, addr_infos=addr_infos, **options)
        except ClientConnectorError as error:
            phases = PHASES.get()
            if phases is None or phases.tls_started is not None:
                raise
            addr_infos.clear()
            raise _telling(error) from error

    async def _connect(self, *args: Any, **options: Any) -> Any:
        """
        A transport and its protocol, as aiohttp makes them; on uvloop nobody else holds the descriptor then.

        libuv owns a socket's descriptor from the moment it is given it, and closes it. uvloop tells the socket so, but
        not when the peer was quicker: a connection reset at once is closed before the two know each other, and the
        socket closes its descriptor again when it is collected, which by then may be another connection's.
        """
        if not self._libuv:
            return await super()._wrap_create_connection(*args, **options)
        made: list[_Socket] = []
        token = _MADE.set(made)
        try:
            return await super()._wrap_create_connection(*args, **options)
        finally:
            _MADE.reset(token)
            for one in made:
                # Those that lost the race to connect are closed by whoever made them.
                if not one.given_up:
                    one.detach()


def _telling(error: ClientConnectorError) -> ClientConnectorError:
    """
    The error that says most, of all the addresses that were tried.

    Where they failed differently, there is only a text of them. That a family has no way out of this machine says less
    than what an address that was reached did.
    """
    numbers = [int(number) for number in _NUMBERS.findall(str(error.os_error))]
    if error.os_error.errno is not None or not numbers:
        return error
    number = next((number for number in numbers if number not in WAYLESS), numbers[0])
    return ClientConnectorError(error.args[0], OSError(number, str(error.os_error)))


class _Socket(socket.socket):
    """A socket that knows whether it was closed by hand."""

    given_up = False

    def close(self) -> None:
        self.given_up = True
        super().close()


_TO_PROXY: ContextVar[bool] = ContextVar("to_proxy", default=False)
"""Whether the current task connects to a proxy, which the user named."""

_MADE: ContextVar[list[_Socket] | None] = ContextVar("made", default=None)
"""The sockets of the connection that the current task is making."""


def _make_socket(address: tuple[Any, ...], *, window: int | None) -> socket.socket:
    family, kind, protocol, _, _ = address
    one = _Socket(family, kind, protocol)
    if window is not None:
        # Before it connects: what a peer was once promised it may send.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    made = _MADE.get()
    if made is not None:
        made.append(one)
    return one


class Way(Protocol):
    """How an origin is reached that is not connected to directly."""

    @property
    def proxy(self) -> Hashable:
        """What its connections have in common beside the origin."""

    @property
    def forwards(self) -> bool:
        """They are for every origin."""

    @property
    def door(self) -> Target:
        """What is connected to instead."""

    def open(
        self,
        connect: Callable[[], Awaitable[tuple[asyncio.Transport, ResponseHandler]]],
        fresh: Callable[[], ResponseHandler],
    ) -> Coroutine[Any, Any, ResponseHandler]:
        """The protocol of a connection that carries requests, from what connects to `door` and what makes another."""


class _Place(NamedTuple):
    """What the connector asks about a request's URL. A whole one was 6% of what a URL of a new host costs."""

    raw_host: str


class Target:
    """What the connector asks about a request before there is a connection. One an origin, not one a request."""

    __slots__ = ("connection_key", "host", "port", "proxy", "request_info", "server_hostname", "ssl", "url", "way")

    def __init__(self, origin: Origin, context: SSLContext | None, way: Way | None = None) -> None:
        self.url = _Place(origin.host)
        self.host = origin.host
        self.port = origin.port
        self.ssl: SSLContext | bool = context or True
        self.server_hostname = None
        # aiohttp's own way through a proxy asks for a whole request of its session, and knows no SOCKS.
        self.proxy = None
        self.way = way
        self.request_info = None
        key = ConnectionKey(origin.host, origin.port, context is not None, self.ssl, None, None, None)
        if way is not None:
            # Whatever tells proxies apart will do there. It also tells these connections from direct ones.
            key = (way.door.connection_key if way.forwards else key)._replace(proxy=cast("Any", way.proxy))
        self.connection_key: ConnectionKey = key

    def is_ssl(self) -> bool:
        """Whether TLS comes before HTTP."""
        return self.connection_key.is_ssl


def head_parser(protocol: ResponseHandler, loop: asyncio.AbstractEventLoop) -> Any:
    """aiohttp's parser, set to read heads only: where a body ends is our own matter (`fetcher.client.framing`)."""
    return HttpResponseParser(
        protocol,
        loop,
        2**16,
        response_with_body=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        max_headers=MAX_HEADERS,
    )
