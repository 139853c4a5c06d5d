"""Owns when the phases of making a connection began: noted by whoever does the work, read by the exchange."""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter


class Phases:
    """
    Seconds on `perf_counter`; None where a phase did not happen, or not yet.

    The resolver notes the name's beginning and end, the TLS context its own beginning; TCP is what lies between.
    """

    __slots__ = ("dns_ended", "dns_started", "tls_started")

    def __init__(self) -> None:
        self.dns_started: float | None = None
        self.dns_ended: float | None = None
        self.tls_started: float | None = None


class ProxyPhases(Phases):
    """Those of a connection through a proxy: when that was reached, and when it had opened the way."""

    __slots__ = ("proxy_reached", "tunnel_opened")

    def __init__(self) -> None:
        super().__init__()
        self.proxy_reached: float | None = None
        self.tunnel_opened: float | None = None


PHASES: ContextVar[Phases | None] = ContextVar("phases", default=None)
"""Of the connection that the current task is making."""


def note(phase: str) -> None:
    """Write down that a phase begins or ends now, for whoever is making a connection."""
    phases = PHASES.get()
    if phases is not None:
        setattr(phases, phase, perf_counter())
