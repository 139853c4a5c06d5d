"""Owns what the frontier can be told: how far to look ahead, and how hosts are to be treated."""

from __future__ import annotations

from dataclasses import dataclass

from fetcher.errors import UsageError

WINDOW = 10_000
"""Jobs looked ahead at: enough that a list sorted by host still keeps every slot busy, and some 10 MB."""


@dataclass(frozen=True, kw_only=True)
class FrontierConfig:
    """
    Whose turn it is, and when.

    Attributes:
        window: The most jobs known at once: queued, waiting and under way. While every one of them waits for its host,
            it widens up to ten times this.
        per_host: The most requests under way to one host at once; None is no limit but the slots.
        rate: The most requests a second of the whole run; None is no limit.
        per_host_rate: The most requests a second to one host; None is no limit.
        adapt: Send less at once to a host that refuses (429, 503 with Retry-After), and more again when it does not.
        breaker: Failures to connect, one after the other, that take an origin out; 0 is never.
        outage_wait: Seconds that a run without a network is paused for at most; 0 is not at all.
    """

    window: int = WINDOW
    per_host: int | None = None
    rate: float | None = None
    per_host_rate: float | None = None
    adapt: bool = True
    breaker: int = 20
    outage_wait: float = 60.0

    def __post_init__(self) -> None:
        if self.window < 1:
            raise UsageError(f"window must be at least 1, not {self.window}")
        if self.per_host is not None and self.per_host < 1:
            raise UsageError(f"per_host must be at least 1, not {self.per_host}")
        for name in ("rate", "per_host_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be more than 0, and is {value:g}; leave it out for no limit")
        for name in ("breaker", "outage_wait"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, and is {getattr(self, name)}")
