"""
Owns which connections are kept for the next request, on top of the connector's pool.

An idle TLS connection costs some 50 KB, so beyond `slots` of them only those are kept for which there is more to fetch.
"""

from __future__ import annotations

from collections.abc import Callable

from fetcher.client.foundation import ClientTimeout, Connector, Target
from fetcher.client.reply import Wire
from fetcher.model import Origin


class Pool:
    """
    Connections, taken out and given back. Who has one must give it back, whatever happens.

    Args:
        wanted: Whether there is more to fetch from an origin.

    Attributes:
        slots: How many may be idle though nobody wants them.
    """

    def __init__(self, connector: Connector, slots: int, wanted: Callable[[Origin], bool]) -> None:
        self._connector = connector
        self._wanted = wanted
        self._idle = 0
        # Made once: a method is bound anew each time that it is asked for.
        self._when_lost = self._lost
        self.slots = slots

    def idle(self, target: Target) -> Wire | None:
        """A connection that is there, or None."""
        wire: Wire | None = self._connector.idle(target)
        if wire is not None and wire.on_idle_lost is not None:
            wire.on_idle_lost = None
            self._idle -= 1
        return wire

    async def connect(self, target: Target, patience: ClientTimeout) -> Wire:
        """A connection, idle or new. Raises whatever aiohttp, ssl or the system raise."""
        wire = self.idle(target)
        if wire is None:
            wire = await self._connector.protocol(target, patience)
        return wire

    def give_back(self, wire: Wire, target: Target, origin: Origin, *, keep: bool) -> None:
        """A connection is free; it is ended unless it is to be kept."""
        wire.forget()
        if keep and (self._idle < self.slots or self._wanted(origin)):
            self._idle += 1
            wire.on_idle_lost = self._when_lost
            self._connector.give_back(target, wire)
            return
        if not keep:
            # Not close(): that would wait for a peer that may not be reading.
            wire.abort()
        self._connector.drop(target, wire)

    def _lost(self) -> None:
        self._idle -= 1
