"""
Owns which connections are kept for the next request, on top of the connector's pool.

An idle TLS connection costs some 40 KB, and one to a host that is never asked again is of no use. So there are no more
connections than slots, those at work and idle ones together, unless there is more to fetch for the idle ones; and not
too many of those, either.
"""

from __future__ import annotations

from collections.abc import Callable

from fetcher.client.foundation import ClientTimeout, Connector, Target
from fetcher.client.reply import Wire
from fetcher.model import Origin

MOST = 512
"""Connections that there are at most where all idle ones are wanted, unless twice the slots are more: some 20 MB."""


class Pool:
    """
    Connections, taken out and given back. Who has one must give it back, whatever happens.

    Args:
        wanted: Whether there is more to fetch from an origin.

    Attributes:
        slots: How many connections there may be though nobody wants the idle ones among them.
    """

    def __init__(self, connector: Connector, slots: int, wanted: Callable[[Origin], bool]) -> None:
        self._connector = connector
        self._wanted = wanted
        self._busy = 0
        self._idle = 0
        # Idle ones, oldest first, of which nobody was asked yet whether they are wanted.
        self._spare: dict[Wire, tuple[Target, Origin]] = {}
        # Made once: a method is bound anew each time that it is asked for.
        self._when_lost = self._left
        self.slots = slots

    def idle(self, target: Target) -> Wire | None:
        """A connection that is there, or None."""
        wire: Wire | None = self._connector.idle(target)
        if wire is not None:
            self._busy += 1
            self._left(wire)
        return wire

    async def connect(self, target: Target, patience: ClientTimeout) -> Wire:
        """A connection, idle or new. Raises whatever aiohttp, ssl or the system raise."""
        wire = self.idle(target)
        if wire is None:
            # From here on: what is being connected has its buffers already.
            self._busy += 1
            try:
                wire = await self._connector.protocol(target, patience)
            except BaseException:
                self._busy -= 1
                raise
            if wire.on_idle_lost is not None:
                # aiohttp has found one after all.
                self._left(wire)
        return wire

    def give_back(self, wire: Wire, target: Target, origin: Origin, *, keep: bool) -> None:
        """A connection is free; it is ended unless it is to be kept."""
        wire.forget()
        self._busy -= 1
        if not keep:
            # Not close(): that would wait for a peer that may not be reading.
            wire.abort()
            self._connector.drop(target, wire)
        elif self._busy + self._idle < self.slots or self._makes_room():
            # Not asked whether it is wanted: the reply may be a redirect to the same host, which nobody knows yet.
            self._idle += 1
            self._spare[wire] = target, origin
            wire.on_idle_lost = self._when_lost
            self._connector.give_back(target, wire)
        else:
            self._connector.drop(target, wire)

    def _makes_room(self) -> bool:
        """Whether there may be one idle connection more; the oldest that nobody wants is ended for it."""
        while self._spare:
            wire, (target, origin) = next(iter(self._spare.items()))
            if self._wanted(origin):
                del self._spare[wire]
                continue
            self._left(wire)
            self._connector.end(target, wire)
            return True
        # Hosts take turns, so the one that was used last is the one that is needed last.
        return self._busy + self._idle < max(2 * self.slots, MOST)

    def _left(self, wire: Wire) -> None:
        """A connection is idle no more."""
        wire.on_idle_lost = None
        self._idle -= 1
        self._spare.pop(wire, None)
