"""
Owns the reading of a large body straight into the memory that it is written to its file from.

A transport that hands out bytes makes and fills an object of them for each read; most of what reading costs is that.
Where nothing of a body has to be looked at, and it is known where it ends, the transport is given the memory instead.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from fetcher.client.framing import Length
from fetcher.client.keeping import Body

LEAST = 64 * 1024
"""Bytes that must be left of a body: for fewer the change costs more than it saves."""


class Poured(Protocol):
    """A reply whose body is read so."""

    done: asyncio.Future[None]

    def poured(self, framing: Length, body: Body, size: int) -> None:
        """Bytes of the body arrived, where that had room for them."""
        ...


class Pouring(asyncio.BufferedProtocol):
    """
    A connection's protocol in place of the usual one, until the body is whole or the connection over.

    Args:
        usual: Hears of everything else.
        framing: Where the body ends; nothing is read beyond that.
    """

    def __init__(self, usual: asyncio.Protocol, reply: Poured, framing: Length, body: Body) -> None:
        self._usual = usual
        self._reply = reply
        self._framing = framing
        self._body = body

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint  # what we have is larger
        if self._reply.done.done():
            # Nobody's, until whoever waited for it has ended the connection.
            return memoryview(bytearray(LEAST))
        return self._body.room()[: self._framing.left]

    def buffer_updated(self, nbytes: int) -> None:
        if not self._reply.done.done():
            self._reply.poured(self._framing, self._body, nbytes)

    def eof_received(self) -> bool | None:
        return self._usual.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._usual.connection_lost(exc)

    def pause_writing(self) -> None:
        self._usual.pause_writing()

    def resume_writing(self) -> None:
        self._usual.resume_writing()
