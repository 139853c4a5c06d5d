"""
Owns the plain exchange: a GET without a body over a connection that is there, with as little between as correctness
allows. Nearly all of nearly every run.

Everything else is the fuller path's (`exchange`): a connection that is yet to be made, uploads, proxies, cookies,
throttles, archives, bodies that go to files. Both say the same request, read the same reply and make the same hop of
it, with the same parts; what the fuller path adds is left out here, not done otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fetcher.client.budget import Budget
from fetcher.client.config import ClientConfig
from fetcher.client.foundation import Target
from fetcher.client.hops import HopMaker
from fetcher.client.pool import Pool
from fetcher.client.reply import Reply
from fetcher.client.request_heads import RequestHeads
from fetcher.client.watch import Watch
from fetcher.errors import ErrorKind
from fetcher.model import Hop, Job


class Plain:
    """
    Plain exchanges of a run in which nothing stands between requests and their connections.

    Args:
        targets: Those origins that were connected to.
        otherwise: The fuller path, for what turns out to need it.
    """

    def __init__(
        self,
        config: ClientConfig,
        targets: Mapping[str, Target],
        pool: Pool,
        heads: RequestHeads,
        watch: Watch,
        budget: Budget,
        otherwise: Callable[[HopMaker], Awaitable[Hop]],
    ) -> None:
        self._max_size, self._max_ratio = config.max_size, config.max_ratio
        self._targets = targets
        self._pool = pool
        self._heads = heads
        self._watch = watch
        self._budget = budget
        self._otherwise = otherwise
        self._loop = asyncio.get_running_loop()

    @staticmethod
    def takes(job: Job) -> bool:
        """Whether a job's next hop is a GET of the user's own that asks for nothing special."""
        request = job.request
        return (
            job.method == "GET"
            and job.body is None
            and job.part is None
            and request.save is None
            and request.checksum is None
            and request.fallback is None
            and request.index >= 0
        )

    async def exchange(self, job: Job, timeout: float) -> Hop:
        """What one request came to, as `Client.exchange` promises it; its attempt has `timeout` seconds."""
        hop = HopMaker(job, timeout)
        origin = job.url.origin
        target = self._targets.get(origin.text)
        wire = self._pool.idle(target) if target is not None else None
        transport = wire.transport if wire is not None else None
        if wire is None or target is None or transport is None:
            return await self._otherwise(hop)
        reply = Reply(wire, "GET", self._max_size, self._budget, self._loop, ratio=self._max_ratio)
        watched = whole = False
        try:
            transport.write(self._heads.request(job))
            wire.attend(reply)
            self._watch.begin(reply, transport, hop.deadline, timeout)
            watched = True
            await reply.done
            whole = True
        finally:
            # When cancelled, too: then the reply is not whole, its body is nobody's, and the connection goes.
            if watched:
                self._watch.end(reply)
            if reply.paused_at is not None:
                reply.free()
            self._pool.give_back(wire, target, origin, keep=whole and reply.keeps)
            self._budget.arrived(reply.settle(kept=whole), reply, kept=whole and reply.body is not None)
        if reply.error is not None and reply.error.kind is ErrorKind.DISCONNECTED:
            # The server had closed this connection while it was idle: the fuller path says it again, uncounted.
            return await self._otherwise(hop)
        return hop.ended(reply, wire, reused=True)
