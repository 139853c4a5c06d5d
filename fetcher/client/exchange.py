"""
Owns one hop on the wire: a job's request out, its reply in. Never raises for what a server or the network does.

It stands on aiohttp's connector and connection, without its session: half of what a small request costs through
`ClientSession` is the session's own bookkeeping, and redirects, retries, cookies and timeouts are ours anyway.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine
from math import inf
from time import perf_counter
from typing import Any, cast

from msgspec.structs import replace

from fetcher.client.budget import Budget
from fetcher.client.capture import Tape
from fetcher.client.config import ClientConfig
from fetcher.client.cookies.jar import Jar
from fetcher.client.failures import error_of
from fetcher.client.foundation import ClientTimeout, Connector, Target
from fetcher.client.hops import HopMaker
from fetcher.client.keeping import Folder, Keeping
from fetcher.client.names.config import NamesConfig
from fetcher.client.names.resolver import Resolver, refuse_literal
from fetcher.client.names.tally import Lookups
from fetcher.client.phases import PHASES, Phases, ProxyPhases
from fetcher.client.plain import Plain
from fetcher.client.pool import Pool
from fetcher.client.reply import Reply, Wire
from fetcher.client.request_heads import RequestHeads
from fetcher.client.throttle import Throttle
from fetcher.client.tls import Trust
from fetcher.client.uploads import Upload, Uploads
from fetcher.client.watch import SHORTEST, Watch
from fetcher.errors import ErrorKind
from fetcher.hosts import Hosts
from fetcher.model import IDEMPOTENT, Error, Form, Hop, Job, Origin

log = logging.getLogger(__name__)

OWN_SIZE = 1024 * 1024
"""Bytes that are read of what we ask on our own account, whatever the user allows; the standards ask for half of it."""

TARGETS = 1_024
"""Origins of which the connector's questions are answered ahead. To more there is hardly ever a connection (`pool`)."""


class Client:
    """
    The connections of a run, and the exchanges on them.

    Args:
        hosts: What is different for single hosts: their headers and timeouts.
        names: How names become addresses.
        wanted: Whether there is more to fetch from an origin, so that a connection there is worth keeping.
        folder: Where bodies go that are to be files and too large for memory.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        hosts: Hosts | None = None,
        names: NamesConfig | None = None,
        wanted: Callable[[Origin], bool] = lambda _origin: False,
        notice: Callable[[str], object] = log.warning,
        folder: Folder | None = None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._hosts = hosts or None
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver(names, notice=notice)
        self._blocks = names is not None and names.block_private
        pool: dict[str, Any] = {"keepalive_timeout": config.keepalive} if config.keepalive else {"force_close": True}
        self._trust = Trust(config)
        self._throttle = Throttle(config.limit_rate, self._loop) if config.limit_rate is not None else None
        if self._throttle is not None:
            pool["window"] = self._throttle.window
        self._connector = Connector(Wire, limit=config.slots, resolver=self._resolver, **pool)
        self._patience = ClientTimeout(connect=config.connect_timeout or None, ceil_threshold=inf)
        self._targets: dict[str, Target] = {}
        self._jar = Jar.of(config)
        self._heads = RequestHeads(config, hosts, self._jar)
        self._uploads = Uploads(self._loop)
        self._proxies = config.proxies or None
        self._pool = Pool(self._connector, config.slots, wanted)
        self._watch = Watch(config, self._loop)
        self.budget = Budget(config.body_budget)
        self._plain: Plain | None = None
        if not self._proxies and self._jar is None and self._throttle is None and not config.capture:
            self._plain = Plain(config, self._targets, self._pool, self._heads, self._watch, self.budget, self._fully)

    @property
    def slots(self) -> int:
        """How many exchanges there are at once; whoever moves that says so."""
        return self._pool.slots

    @slots.setter
    def slots(self, slots: int) -> None:
        self._pool.slots = slots

    def allot(self, limit_rate: float) -> None:
        """Of the run's bytes a second so many are ours from now on; without a bound nothing happens."""
        if self._throttle is not None:
            self._throttle.change(limit_rate)

    @property
    def throttled(self) -> bool:
        """Whether somebody waits for bytes that may be read."""
        return self._throttle is not None and self._throttle.holds

    @property
    def lookups(self) -> Lookups:
        """What the lookups of names came to so far."""
        return self._resolver.lookups

    def save(self) -> None:
        """
        Write the cookies of the run down, where that was asked for.

        Raises:
            SinkError: They cannot be.
        """
        if self._jar is not None:
            self._jar.save()

    async def close(self) -> None:
        """End every connection and lookup."""
        if self._throttle is not None:
            self._throttle.close()
        self._watch.close()
        await self._uploads.close()
        await self._connector.close()
        await self._resolver.close()

    def exchange(self, job: Job) -> Coroutine[Any, Any, Hop]:
        """
        What one request came to.

        The bytes of its body are counted in `budget` until somebody gives them back.

        Raises:
            asyncio.CancelledError: The run is being ended; the connection is closed.
        """
        timeout = job.request.timeout
        if timeout is None:
            timeout = self._config.timeout if self._hosts is None else self._timeout(job.host, self._hosts)
        if self._plain is not None and self._plain.takes(job):
            return self._plain.exchange(job, timeout)
        return self._fully(HopMaker(job, timeout))

    async def _fully(self, hop: HopMaker) -> Hop:
        """What one request came to, whatever it needs."""
        job = hop.job
        if isinstance(job.body, Form) and (refusal := await self._uploads.check(job.body)) is not None:
            return hop.unconnected(refusal)
        while True:
            try:
                target = self._target(job.url.origin)
                wire = await self._connect(hop, target)
            except Exception as exc:  # noqa: BLE001 - every failure becomes a hop; one that nobody foresaw is `internal`
                return hop.unconnected(self._connect_error(hop, exc))
            reused = wire.used
            reply = await self._converse(hop, target, wire)
            stale = reused and reply.error is not None and reply.error.kind == ErrorKind.DISCONNECTED
            # The server had closed this connection while it was idle: say it again on the next one, uncounted. Each try
            # takes one out of the pool, so this ends with a fresh one.
            if not stale or job.method not in IDEMPOTENT:
                if self._proxies is not None and (refusal := self._proxy_refusal(job, reply)) is not None:
                    return hop.unconnected(refusal)
                ended = hop.ended(reply, wire, reused=reused)
                if reply.tape is not None:
                    ended = replace(ended, capture=reply.captured())
                if reply.keeping is not None:
                    ended = replace(ended, sha256=hop.sha256, part=reply.keeping.part)
                if job.request.checksum is not None:
                    ended = self._checked(ended, job.request.checksum)
                if self._jar is not None:
                    self._jar.take(ended)
                return ended

    def _checked(self, hop: Hop, checksum: str) -> Hop:
        """The hop, with an error where its body is not the one that was meant."""
        part, sha256 = hop.part, hop.sha256
        if hop.error is not None or hop.status is None or not 200 <= hop.status < 300:
            return hop
        if hop.body is not None:
            sha256 = hashlib.sha256(hop.body).hexdigest()
        if sha256 is None or sha256 == checksum:
            return replace(hop, sha256=sha256)
        if part is not None and self._folder is not None:
            self._folder.discard(part)
        error = Error(ErrorKind.CHECKSUM, f"its SHA-256 is {sha256}, and should be {checksum}")
        return replace(hop, error=error, sha256=sha256, part=None)

    def _timeout(self, host: str, hosts: Hosts) -> float:
        """Seconds of an attempt's own time, as the host of its next hop has them; 0 is none."""
        table = hosts.find(host)
        return self._config.timeout if table is None or table.timeout is None else table.timeout

    async def _connect(self, hop: HopMaker, target: Target) -> Wire:
        """A connection to the hop's origin, idle or new. Raises whatever aiohttp, ssl or the system raise."""
        hop.phases = Phases() if target.way is None else ProxyPhases()
        PHASES.set(hop.phases)
        hop.begun = perf_counter()
        patience = self._patience
        left = hop.deadline - hop.begun
        if left < (patience.connect or inf):
            patience = ClientTimeout(connect=max(left, SHORTEST), ceil_threshold=inf)
        wire = await self._pool.connect(target, patience)
        hop.connected = perf_counter()
        return wire

    def _target(self, origin: Origin) -> Target:
        """What the connector asks about an origin."""
        target = self._targets.get(origin.text)
        if target is None:
            if self._blocks:
                # Before any proxy is asked to go there. A name's addresses are looked at when it is looked up.
                refuse_literal(origin.host)
            if len(self._targets) >= TARGETS:
                self._targets.clear()
            target = self._targets[origin.text] = self._new_target(origin)
        return target

    def _new_target(self, origin: Origin) -> Target:
        context = self._trust.context(origin.host) if origin.scheme == "https" else None
        proxy = self._proxies.find(origin) if self._proxies is not None else None
        if proxy is None:
            return Target(origin, context)
        # Only who has a proxy pays for it.
        from fetcher.client.tunnel import Way

        outer = self._trust.context(proxy.host) if proxy.scheme == "https" else None
        return Target(origin, context, Way(proxy, origin, outer, context, self._config.sent_user_agent))

    def _proxy_refusal(self, job: Job, reply: Reply) -> Error | None:
        """What a reply is that only a proxy gives, and none of the host's: it asks for credentials."""
        if self._proxies is None or reply.head is None:
            return None
        from fetcher.client.tunnel import CREDENTIALS_WANTED, unwelcome

        if reply.head.status != CREDENTIALS_WANTED:
            return None
        proxy = self._proxies.find(job.url.origin)
        if proxy is None or not proxy.forwards(job.url.origin):
            return None
        self.budget.give(reply.held)
        return Error(ErrorKind.PROXY, unwelcome(proxy), lasting=True)

    async def _converse(self, hop: HopMaker, target: Target, wire: Wire) -> Reply:
        """Say the request, hear the reply, give the connection back."""
        job = hop.job
        throttle = self._throttle
        ours = job.request.ours
        limit = OWN_SIZE if ours else self._config.max_size
        ratio = self._config.max_ratio
        skip = job.request.fallback is not None
        reply = Reply(wire, job.method, limit, self.budget, self._loop, throttle, ratio=ratio, clip=ours, skip=skip)
        transport = wire.transport
        watched = False
        upload: Upload | None = None
        whole = False
        try:
            if transport is None or transport.is_closing():
                reply.fail(ErrorKind.DISCONNECTED, "the connection was closed before the request went out")
            else:
                if wire.remote is None:
                    wire.remote = _address(transport.get_extra_info("peername"))
                request = self._heads.request(job)
                if self._config.capture and not ours:
                    reply.tape = Tape(request, job.body, limit)
                if self._folder is not None and job.request.save is not None:
                    all_asked = job.part is not None or b"\r\nrange: " not in request.lower()
                    reply.keeping = Keeping(self._folder, job, whole=all_asked)
                transport.write(request)
                if throttle is not None:
                    throttle.begin(reply)
                wire.attend(reply)
                if isinstance(job.body, Form):
                    upload = self._uploads.begin(job.body, wire, reply)
            if not reply.done.done():
                self._watch.begin(reply, cast("asyncio.Transport", transport), hop.deadline, hop.timeout)
                watched = True
                await reply.done
            if reply.keeping is not None and reply.keeping.body is not None:
                if watched:
                    self._watch.end(reply)
                    watched = False
                if reply.error is None and (missing := reply.keeping.missing(reply.size)) is not None:
                    reply.error = Error(ErrorKind.INCOMPLETE, missing)
                kind = reply.error.kind if reply.error is not None else None
                hop.sha256 = await reply.keeping.finish(kind, reply.size)
            whole = True
        finally:
            # When cancelled, too: then the reply is not whole, its body is nobody's, and the connection goes.
            if watched:
                self._watch.end(reply)
            if throttle is not None:
                throttle.end(reply)
            if reply.keeping is not None and not whole:
                reply.keeping.drop()
            reply.free()
            keep = whole and reply.keeps
            if upload is not None:
                # What is left of a body would be taken for the next request.
                keep = keep and upload.whole
                upload.stop()
            self._pool.give_back(wire, target, job.url.origin, keep=keep)
            counted = reply.settle(kept=whole)
            self.budget.arrived(counted, reply, kept=whole and (reply.body is not None or reply.tape is not None))
            if reply.tape is not None and whole:
                # Of a body in a coding that is too large, or that is in a file, only the tape keeps something.
                self.budget.give(counted - reply.held)
        return reply

    def _connect_error(self, hop: HopMaker, exc: Exception) -> Error:
        if self._proxies is not None:
            from fetcher.client.tunnel import TunnelError

            if isinstance(exc, TunnelError):
                return exc.error
        if isinstance(exc, TimeoutError):
            if perf_counter() >= hop.deadline - SHORTEST:
                return Error(ErrorKind.TIMEOUT, f"no connection within {hop.timeout:g} s in all (--timeout)")
            if isinstance(hop.phases, ProxyPhases) and hop.phases.tunnel_opened is None:
                return self._late_proxy(hop.job.url.origin, hop.phases)
            if hop.phases.dns_started is not None and hop.phases.dns_ended is None:
                seconds = f"{self._config.connect_timeout:g} s"
                return Error(ErrorKind.DNS, f"the lookup took longer than {seconds} (--connect-timeout)")
            phase = "TLS handshake" if hop.phases.tls_started is not None else "connection"
            seconds = f"{self._config.connect_timeout:g} s"
            return Error(ErrorKind.CONNECT_TIMEOUT, f"no {phase} within {seconds} (--connect-timeout)")
        error = error_of(exc)
        if error.kind == ErrorKind.INTERNAL:
            log.debug("while connecting to %s", hop.job.url.origin.text, exc_info=exc)
        return error

    def _late_proxy(self, origin: Origin, phases: ProxyPhases) -> Error:
        """What took too long before a way was open. A proxy that was reached may well wait for the origin itself."""
        proxy = self._proxies.find(origin) if self._proxies is not None else None
        seconds = f"{self._config.connect_timeout:g} s (--connect-timeout)"
        if phases.proxy_reached is None:
            return Error(ErrorKind.PROXY, f"{proxy}: no connection within {seconds}")
        return Error(ErrorKind.CONNECT_TIMEOUT, f"{proxy} opened no way to {origin.host} within {seconds}")


def _address(peer: object) -> str | None:
    """`1.2.3.4:80` or `[::1]:443`, from a socket's peer name."""
    if not isinstance(peer, tuple) or len(peer) < 2:
        return None
    host, port = peer[0], peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
