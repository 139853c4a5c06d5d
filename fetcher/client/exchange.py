"""
Owns one hop on the wire: a job's request out, its reply in. Never raises for what a server or the network does.

It stands on aiohttp's connector and connection, without its session: half of what a small request costs through
`ClientSession` is the session's own bookkeeping, and redirects, retries, cookies and timeouts are ours anyway.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from time import perf_counter, time
from typing import Any, cast

from msgspec.structs import replace

from fetcher.client.budget import Budget
from fetcher.client.capture import Tape
from fetcher.client.config import ClientConfig
from fetcher.client.cookies.jar import Jar
from fetcher.client.failures import error_of
from fetcher.client.foundation import ClientTimeout, Connection, Connector, Target
from fetcher.client.keeping import Folder, Keeping
from fetcher.client.names.config import NamesConfig
from fetcher.client.names.resolver import Resolver, refuse_literal
from fetcher.client.names.tally import Lookups
from fetcher.client.phases import PHASES, Phases, ProxyPhases
from fetcher.client.reply import Reply, Wire
from fetcher.client.request_heads import RequestHeads
from fetcher.client.throttle import Throttle
from fetcher.client.tls import Trust
from fetcher.client.uploads import Upload, Uploads
from fetcher.errors import ErrorKind
from fetcher.hosts import Hosts
from fetcher.model import IDEMPOTENT, Error, Form, Hop, Job, Origin, Timings

log = logging.getLogger(__name__)

SHORTEST = 0.001
"""Seconds of a timer: uvloop's clock has steps of a millisecond, and shorter timers fire at once."""

PAUSED = 1.0
"""Seconds between looks at a reply that we ourselves do not read."""

OWN_SIZE = 1024 * 1024
"""Bytes that are read of what we ask on our own account, whatever the user allows; the standards ask for half of it."""

TARGETS = 4_096
"""Origins of which the connector's questions are answered ahead, some 5 MB."""


class Client:
    """
    The connections of a run, and the exchanges on them.

    Args:
        hosts: What is different for single hosts: their headers and timeouts.
        names: How names become addresses.
        wanted: Whether there is more to fetch from an origin. An idle TLS connection costs some 50 KB, so beyond
            `slots` of them only wanted ones are kept.
        folder: Where bodies go that are to be files and too large for memory.

    Attributes:
        slots: How many exchanges there are at once; whoever moves that says so.
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
        self._hosts = hosts
        self._wanted = wanted
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
        self._idle = 0
        self.slots = config.slots
        self.budget = Budget(config.body_budget)

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
        await self._uploads.close()
        await self._connector.close()
        await self._resolver.close()

    async def exchange(self, job: Job) -> Hop:
        """
        What one request came to.

        The bytes of its body are counted in `budget` until somebody gives them back.

        Raises:
            asyncio.CancelledError: The run is being ended; the connection is closed.
        """
        hop = _Exchange(job, self._timeout(job))
        if isinstance(job.body, Form) and (refusal := await self._uploads.check(job.body)) is not None:
            return hop.unconnected(refusal)
        while True:
            try:
                connection = await self._connect(hop)
            except Exception as exc:  # noqa: BLE001 - every failure becomes a hop; one that nobody foresaw is `internal`
                return hop.unconnected(self._connect_error(hop, exc))
            wire = cast("Wire", connection.protocol)
            reused = wire.used
            reply = await self._converse(hop, connection, wire)
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

    def _timeout(self, job: Job) -> float:
        """Seconds of an attempt's own time, as the entry has them, or the host of its next hop; 0 is none."""
        if job.request.timeout is not None:
            return job.request.timeout
        table = self._hosts.find(job.host) if self._hosts else None
        return self._config.timeout if table is None or table.timeout is None else table.timeout

    async def _connect(self, hop: _Exchange) -> Connection:
        """A connection to the hop's origin, idle or new. Raises whatever aiohttp, ssl or the system raise."""
        origin = hop.job.url.origin
        target = self._targets.get(origin.text)
        if target is None:
            if self._blocks:
                # Before any proxy is asked to go there. A name's addresses are looked at when it is looked up.
                refuse_literal(origin.host)
            if len(self._targets) >= TARGETS:
                self._targets.clear()
            target = self._targets[origin.text] = self._target(origin)
        hop.phases = Phases() if target.way is None else ProxyPhases()
        PHASES.set(hop.phases)
        hop.begun = perf_counter()
        patience = self._patience
        left = hop.deadline - hop.begun
        if left < (patience.connect or inf):
            patience = ClientTimeout(connect=max(left, SHORTEST), ceil_threshold=inf)
        connection = await self._connector.connect(cast("Any", target), [], patience)
        hop.connected = perf_counter()
        return connection

    def _target(self, origin: Origin) -> Target:
        """What the connector asks about an origin."""
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

    async def _converse(self, hop: _Exchange, connection: Connection, wire: Wire) -> Reply:
        """Say the request, hear the reply, give the connection back."""
        job = hop.job
        if wire.on_idle_lost is not None:
            wire.on_idle_lost = None
            self._idle -= 1
        throttle = self._throttle
        ours = job.request.ours
        limit = OWN_SIZE if ours else self._config.max_size
        ratio = self._config.max_ratio
        skip = job.request.fallback is not None
        reply = Reply(wire, job.method, limit, self.budget, self._loop, throttle, ratio=ratio, clip=ours, skip=skip)
        transport = connection.transport
        watch: _Watch | None = None
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
                    reply.tape = Tape(request, limit, form=isinstance(job.body, Form))
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
                watch = _Watch(reply, cast("asyncio.Transport", transport), hop, self._config, self._loop)
                await reply.done
            if reply.keeping is not None and reply.keeping.body is not None:
                if watch is not None:
                    watch.stop()
                kind = reply.error.kind if reply.error is not None else None
                hop.sha256 = await reply.keeping.finish(kind, reply.size)
            whole = True
        finally:
            # When cancelled, too: then the reply is not whole, its body is nobody's, and the connection goes.
            if watch is not None:
                watch.stop()
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
            self._release(connection, wire, job.url.origin, keep=keep)
            counted = reply.settle(kept=whole)
            self.budget.arrived(counted, reply, kept=whole and (reply.body is not None or reply.tape is not None))
            if reply.tape is not None and whole:
                # Of a body in a coding that is too large, or that is in a file, only the tape keeps something.
                self.budget.give(counted - reply.held)
        return reply

    def _release(self, connection: Connection, wire: Wire, origin: Origin, *, keep: bool) -> None:
        wire.forget()
        if keep and (self._idle < self.slots or self._wanted(origin)):
            self._idle += 1
            wire.on_idle_lost = self._idle_lost
            connection.release()
            return
        if not keep:
            # Not close(): that would wait for a peer that may not be reading.
            wire.abort()
        connection.close()

    def _idle_lost(self) -> None:
        self._idle -= 1

    def _connect_error(self, hop: _Exchange, exc: Exception) -> Error:
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


class _Exchange:
    """The times of one hop, on `perf_counter` but for `started`, and the hop made of them."""

    __slots__ = ("begun", "connected", "deadline", "job", "phases", "sha256", "slot", "started", "timeout")

    def __init__(self, job: Job, timeout: float) -> None:
        self.job = job
        self.timeout = timeout
        self.started = time()
        self.slot = perf_counter()
        self.deadline = self.slot + max(0.0, timeout - job.spent + job.paused) if timeout else inf
        self.begun = self.slot
        self.connected = self.slot
        self.phases = Phases()
        # Of a body that went to a file.
        self.sha256: str | None = None

    def unconnected(self, error: Error) -> Hop:
        """The hop that never had a connection."""
        now = perf_counter()
        job, phases = self.job, self.phases
        lookup = None
        if phases.dns_started is not None:
            lookup = (phases.dns_ended or now) - phases.dns_started
        timings = Timings(self._queue(), lookup)
        return Hop(job.url, job.method, None, error, self.started, now - self.slot, timings=timings, part=job.part)

    def ended(self, reply: Reply, wire: Wire, *, reused: bool) -> Hop:
        """The hop of a reply, whole or not."""
        now = perf_counter()
        job, head = self.job, reply.head
        return Hop(
            job.url,
            job.method,
            head.status if head is not None else None,
            reply.error,
            self.started,
            now - self.slot,
            head.headers if head is not None else (),
            reply.body,
            reply.size,
            reply.wire_size,
            reply.error is not None and head is not None,
            self._timings(reply, now, reused=reused),
            wire.remote,
            head.version if head is not None else None,
            None,
            reply.paused_for,
        )

    def _queue(self) -> float | None:
        return max(0.0, self.slot - self.job.due) if self.job.due else None

    def _timings(self, reply: Reply, now: float, *, reused: bool) -> Timings:
        dns = connect = tls = None
        if not reused:
            phases = self.phases
            named = self.begun
            if phases.dns_started is not None and phases.dns_ended is not None:
                dns = phases.dns_ended - phases.dns_started
                named = phases.dns_ended
            connect = (phases.tls_started or self.connected) - named
            if phases.tls_started is not None:
                tls = self.connected - phases.tls_started
        first = reply.first_at
        if first is None:
            return Timings(self._queue(), dns, connect, tls)
        # A server that speaks first has its first byte before our request.
        return Timings(self._queue(), dns, connect, tls, max(0.0, first - self.connected), now - first)


class _Watch:
    """
    One timer over a reply: the attempt's deadline, silence, and speed.

    Its clock stands still while we ourselves do not read: that is nobody's fault.
    """

    __slots__ = ("_config", "_handle", "_hop", "_loop", "_reply", "_speed", "_transport", "_unsent")

    def __init__(
        self,
        reply: Reply,
        transport: asyncio.Transport,
        hop: _Exchange,
        config: ClientConfig,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._reply = reply
        self._transport = transport
        self._hop = hop
        self._config = config
        self._loop = loop
        self._unsent = 0
        self._speed = _Speed(*config.min_speed) if config.min_speed is not None else None
        self._handle: asyncio.TimerHandle | None = None
        self._look()

    def stop(self) -> None:
        """The reply is over."""
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        reply = self._reply
        paused = reply.paused_at
        now = perf_counter() if paused is None else paused
        deadline = self._hop.deadline + reply.paused_for
        silence = self._config.read_timeout
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            # The server is still taking our request: that is not silence.
            self._unsent = unsent
            reply.last_at = max(reply.last_at, now)
        if now >= deadline:
            reply.fail(ErrorKind.TIMEOUT, f"not done within {self._hop.timeout:g} s in all (--timeout)")
            return
        if silence and now - reply.last_at >= silence:
            reply.fail(ErrorKind.READ_TIMEOUT, f"silence for {silence:g} s (--read-timeout)")
            return
        until = min(deadline, reply.last_at + silence if silence else inf)
        speed = self._speed
        if speed is not None:
            if reply.first_at is not None and speed.too_slow(now - reply.paused_for, reply.received):
                reply.fail(ErrorKind.TOO_SLOW, speed.complaint)
                return
            until = min(until, now + speed.step)
        if until < inf:
            # While the clock stands still nothing can come to pass, and a look a second is enough.
            least = SHORTEST if paused is None else PAUSED
            self._handle = self._loop.call_later(max(until - now, least), self._look)


class _Speed:
    """
    Whether a reply is slower than asked for, on average over the last `seconds` at any time.

    The window slides by a tenth of its length. It opens when the first look finds a byte, at most a tenth late, so a
    drip ends between 1.0 and 1.2 times `seconds` behind its first byte.

    Attributes:
        step: Seconds between looks.
    """

    __slots__ = ("_least", "_seconds", "_seen", "step")

    def __init__(self, least: int, seconds: float) -> None:
        self._least = least
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()
        self.step = max(seconds / 10, SHORTEST)

    @property
    def complaint(self) -> str:
        """What is wrong with one that is."""
        return f"fewer than {self._least:,} bytes/s for {self._seconds:g} s (--min-speed)"

    def too_slow(self, now: float, received: int) -> bool:
        """Whether `received` bytes at `now` are too few. Asked once a step, from the first byte on."""
        seen = self._seen
        if not seen:
            # What is there already counts for the window that begins with it.
            seen.append((now, 0))
            return False
        seen.append((now, received))
        # The latest look that is a whole window ago is where it begins.
        while now - seen[1][0] >= self._seconds:
            seen.popleft()
        since, before = seen[0]
        return now - since >= self._seconds and received - before < self._least * (now - since)


def _address(peer: object) -> str | None:
    """`1.2.3.4:80` or `[::1]:443`, from a socket's peer name."""
    if not isinstance(peer, tuple) or len(peer) < 2:
        return None
    host, port = peer[0], peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
