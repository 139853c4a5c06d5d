"""
Owns what a hop means: done, again (when), or follow (where to). Pure: chance and the date come in by the door.

Redirects are RFC 9110 15.4, retries wait with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), a
server's Retry-After (RFC 9110 10.2.3) wins over that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from msgspec import Struct
from msgspec.structs import replace

from fetcher.errors import ErrorKind, UsageError
from fetcher.model import IDEMPOTENT, Attempt, Error, Hop, Job, Request, Result, Url
from fetcher.terms import Terms, check_terms
from fetcher.urls import UrlError, join_url

CURABLE = (
    "dns",
    "refused",
    "unreachable",
    "connect-timeout",
    "disconnected",
    "read-timeout",
    "timeout",
    "incomplete",
    "local",
    "408",
    "429",
    "500",
    "502",
    "503",
    "504",
)
"""What can get better by itself, and is tried again unless `retry_on` says otherwise."""

UNSENT = frozenset({ErrorKind.DNS, ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.CONNECT_TIMEOUT})
"""Failures before a byte of the request went out: any method may be repeated after them."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

BODY_ONLY = frozenset({None, ErrorKind.INCOMPLETE, ErrorKind.DECODE, ErrorKind.TOO_LARGE})
"""Errors of a redirect's body, which nobody reads: they do not keep us from following it."""

CONTENT_HEADERS = frozenset(
    {"content-type", "content-length", "content-encoding", "content-language", "content-location"}
)
"""Headers that describe a body and go when it goes (RFC 9110 15.4)."""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """
    When to try again and where to follow.

    Attributes:
        retries: How many attempts may follow the first.
        retry_on: What is tried again, for every method: error kinds, statuses, classes of statuses. None is what can
            get better by itself, for methods that may be repeated.
        retry_wait: Seconds that the first wait is at most; it doubles from there.
        retry_wait_max: Seconds that any of our own waits is at most.
        retry_max_time: Seconds since an entry's first attempt after which none begins any more; 0 is no limit.
        retry_after_max: Seconds beyond which a server's Retry-After is not waited for: the reply is final.
        follow: Follow redirects.
        max_redirects: How many redirects one attempt may follow.
    """

    retries: int = 2
    retry_on: tuple[str, ...] | None = None
    retry_wait: float = 1.0
    retry_wait_max: float = 60.0
    retry_max_time: float = 600.0
    retry_after_max: float = 300.0
    follow: bool = True
    max_redirects: int = 10

    def __post_init__(self) -> None:
        for name in ("retries", "retry_wait", "retry_wait_max", "retry_max_time", "retry_after_max", "max_redirects"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, and is {getattr(self, name)}")
        if self.retry_on is not None:
            check_terms("retry-on", self.retry_on)


class Again(Struct, frozen=True):
    """A job that is not done: its next hop may go in `wait` seconds."""

    job: Job
    wait: float = 0.0


def first_job(request: Request, url: Url, due: float = 0.0) -> Job:
    """Where a request begins."""
    return Job(request, url, request.method, request.body, due)


def unsent(request: Request, error: Error) -> Result:
    """The result of an entry for which nothing was sent."""
    return Result(request, None, error)


class Policy:
    """Turns a hop into a result, or into another try."""

    def __init__(
        self,
        config: PolicyConfig,
        *,
        chance: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._terms = Terms(CURABLE if config.retry_on is None else config.retry_on)
        self._chance = chance
        self._wall = wall

    def decide(self, job: Job, hop: Hop) -> Result | Again:
        """What comes after a hop: the entry's result, or the job again with the hop behind it."""
        if hop.status in REDIRECTS and self._config.follow and (hop.error.kind if hop.error else None) in BODY_ONLY:
            location = hop.header(b"location")
            if location:
                return self._follow(job, hop, location)
        attempt = self._attempt(job, hop, hop.error)
        wait = self._wait(job, hop)
        if wait is None:
            return Result(job.request, hop, hop.error, job.hops, (*job.attempts, attempt))
        seconds, reason = wait
        return Again(
            replace(
                job,
                attempts=(*job.attempts, attempt),
                started=None,
                spent=0.0,
                waited=seconds,
                waited_for=reason,
            ),
            seconds,
        )

    def _attempt(self, job: Job, hop: Hop, error: Error | None) -> Attempt:
        started = hop.started if job.started is None else job.started
        return Attempt(hop.url, started, job.spent + hop.elapsed, hop.status, error, job.waited, job.waited_for)

    def _follow(self, job: Job, hop: Hop, location: bytes) -> Result | Again:
        try:
            url = join_url(hop.url, location.decode("utf-8", "surrogateescape"))
        except UrlError as error:
            return self._stray(job, hop, f"the redirect leads nowhere: {error}")
        method, body = job.method, job.body
        if (hop.status == 303 and method != "HEAD") or (hop.status in {301, 302} and method == "POST"):
            method, body = "GET", None
        if any(url == seen.url and method == seen.method for seen in (*job.hops, hop)):
            return self._stray(job, hop, f"a redirect loop: {url} again")
        if len(job.hops) >= self._config.max_redirects:
            return self._stray(
                job, hop, f"more than {self._config.max_redirects} redirects; allow more with --max-redirects"
            )
        request = job.request
        if body is None and job.body is not None:
            kept = tuple(header for header in request.headers if header[0].lower() not in CONTENT_HEADERS)
            request = replace(request, headers=kept)
        return Again(
            replace(
                job,
                request=request,
                url=url,
                method=method,
                body=body,
                hops=(*job.hops, replace(hop, body=None, error=None)),
                started=hop.started if job.started is None else job.started,
                spent=job.spent + hop.elapsed,
                trusted=job.trusted and url.origin == hop.url.origin,
            )
        )

    def _stray(self, job: Job, hop: Hop, message: str) -> Result:
        error = Error(ErrorKind.REDIRECTS, message)
        return Result(job.request, hop, error, job.hops, (*job.attempts, self._attempt(job, hop, error)))

    def _wait(self, job: Job, hop: Hop) -> tuple[float, str] | None:
        """Seconds until the next attempt and what for, or None to stop."""
        error = hop.error
        if len(job.attempts) >= self._config.retries or (hop.status, error) not in self._terms:
            return None
        if error is not None and error.lasting:
            return None
        asked = self._config.retry_on is not None
        if not asked and job.method not in IDEMPOTENT and (error is None or error.kind not in UNSENT):
            return None
        told = self._retry_after(hop) if error is None else None
        if told is not None:
            return (told, "retry-after") if told <= self._config.retry_after_max else None
        longest = min(self._config.retry_wait_max, self._config.retry_wait * 2 ** len(job.attempts))
        return self._chance() * longest, "retry"

    def _retry_after(self, hop: Hop) -> float | None:
        """Seconds that the server asks us to wait, never negative; None if it does not say, or not clearly."""
        value = hop.header(b"retry-after")
        if value is None:
            return None
        text = value.decode("latin-1").strip()
        if text.isascii() and text.isdigit():
            # Too long a number of digits is a long time, whatever it is.
            return float(text[:12])
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, IndexError):
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - self._wall())
