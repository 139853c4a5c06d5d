"""
Owns the wire of the embedded site: connections, requests as received, keep-alive. What a request is answered with comes
in by the door.

Standard library only, on bare streams: half of what the site has to show is what no HTTP library would let it send.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"

HEAD_LIMIT = 1024 * 1024
"""Bytes of a request's head; a connection that sends more is closed."""

BACKLOG = 1024
"""Connections that may wait to be accepted: a bulk fetcher opens hundreds at once."""

ACCEPTING = 4
"""Turns of the loop between a connection that asyncio has accepted and our hearing of it, and one to spare."""

LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER on, for zero seconds: closing sends RST instead of FIN."""


@dataclass(frozen=True, slots=True)
class Received:
    """
    One request as it arrived.

    Attributes:
        target: Byte for byte as it stood on the request line, read as Latin-1.
        version: `1.0` or `1.1`.
        headers: Names and values in order, read as Latin-1.
        body: Without its transfer coding.
        time: `time.monotonic()` when it was complete.
        connection: Which of the server's connections it came by, from 0.
        visit: How many requests for the same target came before it.
    """

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    time: float
    connection: int
    visit: int

    def header(self, name: str) -> str | None:
        """The first value of a header, or None. `name` is in lower case."""
        return _value(self.headers, name)

    @property
    def last(self) -> bool:
        """Whether the client wants the connection closed behind the reply (RFC 9112 9.3)."""
        connection = (self.header("connection") or "").lower()
        return connection == "close" or (self.version == "1.0" and connection != "keep-alive")


class Wire:
    """
    One connection, as an answer sees it.

    Attributes:
        number: Which of the listener's connections it is, from 0.
        open: Whether it is kept for another request when the answer is through.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.reader = reader
        self.number = number
        self.open = True
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """
        Nothing, when the data is on its way.

        Raises:
            ConnectionError: The client has gone.
        """
        self._writer.write(data)
        await self._writer.drain()

    async def until_gone(self) -> None:
        """Nothing, when the client has closed; what it still sends is dropped."""
        while await self.reader.read(65536):
            pass
        self.open = False

    def end(self) -> None:
        """Say that nothing more comes, and still hear what the client sends; TLS cannot, and does nothing."""
        if self._writer.can_write_eof():
            self._writer.write_eof()

    def reset(self) -> None:
        """Drop the connection at once, with a RST."""
        self.open = False
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.abort()

    def abort(self) -> None:
        """Drop the connection at once, with whatever waits to be sent."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Nothing, when what was sent has left and the connection is closed."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


Answer = Callable[[Received, Wire], Awaitable[None]]
"""Sends the reply to one request; may leave the connection unfit for another (`wire.open`)."""


class Listener:
    """
    Accepts connections and gives each to `serve` in a task of its own; none is left when it is closed.

    Attributes:
        host, port: Where it listens, once entered.
        connections: How many it has accepted.
    """

    def __init__(
        self,
        serve: Callable[[Wire], Awaitable[None]],
        *,
        host: str = LOOPBACK,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.connections = 0
        self._serve = serve
        self._tls = tls
        self._open: dict[asyncio.Task[None], Wire] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self.host, self.port, limit=HEAD_LIMIT, backlog=BACKLOG, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is None:
            return
        await self._accept_no_more(self._server)
        self._server.close()
        tasks = list(self._open)
        for task, wire in self._open.items():
            wire.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def origin(self) -> str:
        """Scheme, host and port, as a URL begins."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self.port}"

    @staticmethod
    async def _accept_no_more(server: asyncio.Server) -> None:
        """Nothing, when every connection is either the kernel's or ours: asyncio loses those between, unclosed."""
        loop = asyncio.get_running_loop()
        for listening in server.sockets:
            # Windows' loop has no readers, and another way to accept.
            with contextlib.suppress(NotImplementedError):
                loop.remove_reader(listening.fileno())
        for _ in range(ACCEPTING):
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The task is made here and not by asyncio, so that even one that never ran is known when we close.
        wire = Wire(reader, writer, self.connections)
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._attend(wire))
        self._open[task] = wire
        task.add_done_callback(self._open.pop)

    async def _attend(self, wire: Wire) -> None:
        try:
            # A client that leaves in the middle, or speaks no HTTP, is no matter of ours.
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                await self._serve(wire)
        finally:
            await wire.close()


class Server(Listener):
    """An HTTP/1.1 server that gives every request it receives to one answer."""

    def __init__(
        self, answer: Answer, *, host: str = LOOPBACK, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(self._converse, host=host, port=port, tls=tls)
        self._answer = answer
        self._visits: Counter[str] = Counter()

    async def _converse(self, wire: Wire) -> None:
        while wire.open:
            request = await self._receive(wire)
            await self._answer(request, wire)
            wire.open = wire.open and not request.last

    async def _receive(self, wire: Wire) -> Received:
        """
        The next request.

        Raises:
            EOFError: The client has closed.
            ValueError: It is no request.
        """
        head = await wire.reader.readuntil(b"\r\n\r\n")
        line, *fields = head[:-4].decode("latin-1").split("\r\n")
        method, target, version = line.split(" ")
        headers = tuple((name, value.strip(" \t")) for name, _, value in (field.partition(":") for field in fields))
        if (_value(headers, "expect") or "").lower() == "100-continue":
            await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(wire.reader, headers)
        visit = self._visits[target]
        self._visits[target] += 1
        return Received(
            method, target, version.removeprefix("HTTP/"), headers, body, time.monotonic(), wire.number, visit
        )


def _value(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


async def _body(reader: asyncio.StreamReader, headers: tuple[tuple[str, str], ...]) -> bytes:
    if (_value(headers, "transfer-encoding") or "").lower() != "chunked":
        return await reader.readexactly(int(_value(headers, "content-length") or 0))
    pieces = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(pieces)
