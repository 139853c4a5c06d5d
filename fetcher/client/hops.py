"""Owns a hop in the making: its times, from the slot to the last byte, and the hop that is made of them."""

from __future__ import annotations

from math import inf
from time import perf_counter, time

from fetcher.client.phases import Phases
from fetcher.client.reply import Reply, Wire
from fetcher.model import Error, Hop, Job, Timings

_NO_PHASES = Phases()


class HopMaker:
    """
    One hop in the making.

    Attributes:
        timeout: Seconds of its attempt's own time; 0 is none.
        deadline: When they are over. Times are `perf_counter`'s, but for `started`.
        slot: When it began.
        begun: When somebody began to connect for it.
        connected: When it had a connection.
        phases: What came before that; those of nobody until somebody begins to connect.
        sha256: Of a body that went to a file.
    """

    __slots__ = ("begun", "connected", "deadline", "job", "phases", "sha256", "slot", "started", "timeout")

    def __init__(self, job: Job, timeout: float) -> None:
        self.job = job
        self.timeout = timeout
        self.started = time()
        self.slot = self.begun = self.connected = slot = perf_counter()
        self.deadline = slot + max(0.0, timeout - job.spent + job.paused) if timeout else inf
        self.phases = _NO_PHASES
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
        job, head, error, first = self.job, reply.head, reply.error, reply.first_at
        if reused and first is not None:
            timings = Timings(self._queue(), None, None, None, first - self.connected, now - first)
        else:
            dns, connect, tls = (None, None, None) if reused else self._connecting()
            # A server that speaks first has its first byte before our request.
            waited = None if first is None else max(0.0, first - self.connected)
            timings = Timings(self._queue(), dns, connect, tls, waited, None if first is None else now - first)
        return Hop(
            job.url,
            job.method,
            None if head is None else head.status,
            error,
            self.started,
            now - self.slot,
            () if head is None else head.headers,
            reply.body,
            reply.size,
            reply.wire_size,
            error is not None and head is not None,
            timings,
            wire.remote,
            None if head is None else head.version,
            None,
            reply.paused_for,
        )

    def _queue(self) -> float | None:
        due = self.job.due
        if not due:
            return None
        return self.slot - due if self.slot > due else 0.0

    def _connecting(self) -> tuple[float | None, float | None, float | None]:
        """Seconds of name, TCP and TLS."""
        phases = self.phases
        dns = tls = None
        named = self.begun
        if phases.dns_started is not None and phases.dns_ended is not None:
            dns = phases.dns_ended - phases.dns_started
            named = phases.dns_ended
        if phases.tls_started is not None:
            tls = self.connected - phases.tls_started
        return dns, (phases.tls_started or self.connected) - named, tls
