"""
Owns the server whose replies are late: `python -m tests.benchmarks.slow_server DESCRIPTOR SECONDS`.

nginx has no way to wait. This one only waits: it reads no more of a request than where it ends, and thousands of its
replies may be due at once.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import cast

import uvloop

BODY = b"ok"
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Late(asyncio.Protocol):
    """One connection: each request is answered `delay` seconds after it came."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for _ in requests:
            self._loop.call_later(self._delay, self._answer)

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(REPLY)


async def serve(listener: socket.socket, delay: float) -> None:
    """Answer whoever connects, for ever."""
    server = await asyncio.get_running_loop().create_server(lambda: Late(delay), sock=listener, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        uvloop.run(serve(inherited, float(sys.argv[2])))
