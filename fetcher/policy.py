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
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from fetcher.client.cookies.store import after_hop
from fetcher.errors import ErrorKind, UsageError
from fetcher.hosts import Hosts, HostsConfig
from fetcher.model import IDEMPOTENT, UNCONNECTED, Attempt, Error, Hop, Job, News, Request, Result, Url, Word
from fetcher.terms import Terms, check_terms
from fetcher.urls import UrlError, join_url

CURABLE = (
    "dns",
    "refused",
    "unreachable",
    "connect-timeout",
    "proxy",
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

REFUSALS = 10
"""How often one entry may be refused by a host that wants less, before that is its result."""

FIRST_WAIT = 1.0
"""Seconds that the first wait is at most, unless told otherwise."""

OWN_REDIRECTS = 5
"""Redirects that a robots.txt may take at least, whatever the user allows (RFC 9309 2.3.1.2)."""

NO_PART = frozenset({206, 416})
"""Statuses of a reply that does not go on where the part that is here ends (RFC 9110 14.4, 15.5.17)."""

REFUSING = frozenset({429, 503})
"""Statuses by which a host may say that it wants less."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

BODY_ONLY = frozenset({None, ErrorKind.INCOMPLETE, ErrorKind.DECODE, ErrorKind.TOO_LARGE})
"""Errors of a redirect's body, which nobody reads: they do not keep us from following it."""

OURS = frozenset({ErrorKind.LOCAL, ErrorKind.INTERNAL, ErrorKind.BLOCKED, ErrorKind.INVALID_REQUEST, ErrorKind.PROXY})
"""Errors that say nothing of the host."""

UNSENT = UNCONNECTED | {ErrorKind.PROXY}
"""Errors after which any method may be repeated: the host was sent nothing."""

SERVED, REACHED, NOTHING = News(Word.SERVED), News(Word.REACHED), News(Word.NOTHING)

METHOD_ASIDE = frozenset({401, 407, 429})
"""Refusals that say nothing of the method: they come to every request."""

METHOD_BROKEN = frozenset({ErrorKind.DISCONNECTED, ErrorKind.PROTOCOL, ErrorKind.READ_TIMEOUT})
"""What servers do that cannot cope with a method."""

FALLBACK = "fallback"

CONTENT_HEADERS = frozenset(
    {"content-type", "content-length", "content-encoding", "content-language", "content-location"}
)
"""Headers that describe a body and go when it goes (RFC 9110 15.4)."""

_WORDS = frozenset({"none"})


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """
    When to try again and where to follow.

    Attributes:
        retries: How many attempts may follow the first.
        retry_on: What is tried again, for every method: error kinds, statuses, classes of statuses, or `none`. None is
            what can get better by itself, for methods that may be repeated.
        retry_wait: Seconds that the first wait is at most; it doubles from there.
        retry_wait_max: Seconds that any of our own waits is at most.
        retry_max_time: Seconds since an entry's first attempt after which none begins any more; 0 is no limit.
        retry_after_max: Seconds beyond which a server's Retry-After is not waited for: the reply is final.
        follow: Follow redirects.
        max_redirects: How many redirects one attempt may follow.
    """

    retries: int = 2
    retry_on: tuple[str, ...] | None = None
    retry_wait: float = FIRST_WAIT
    retry_wait_max: float = 60.0
    retry_max_time: float = 600.0
    retry_after_max: float = 300.0
    follow: bool = True
    max_redirects: int = 10

    def __post_init__(self) -> None:
        for name in ("retries", "retry_wait", "retry_wait_max", "retry_max_time", "retry_after_max", "max_redirects"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, and is {getattr(self, name)}")
        # Without a word about the first wait, a lower bound on all of them is one on it, too.
        if self.retry_wait > max(self.retry_wait_max, FIRST_WAIT):
            raise UsageError(
                f"retry_wait must not be above retry_wait_max ({self.retry_wait_max:g}), and is {self.retry_wait:g}; "
                "raise that as well"
            )
        if self.retry_on is not None:
            check_terms("retry-on", self.retry_on, _WORDS)


class Again(Struct, frozen=True):
    """
    A job that is not done: its next hop may go in `wait` seconds.

    Attributes:
        behind: It goes behind the others of its host, which refused it and is now left alone for a while.
    """

    job: Job
    wait: float = 0.0
    behind: bool = False


def first_job(request: Request, url: Url, due: float = 0.0) -> Job:
    """Where a request begins."""
    return Job(request, url, request.method, request.body, due)


def unsent(request: Request, error: Error) -> Result:
    """The result of an entry for which nothing was sent."""
    return Result(request, None, error)


def given_up(job: Job, error: Error) -> Result:
    """The result of a job whose next hop will not go. What was sent before, redirects and attempts, is kept."""
    if not job.hops:
        return Result(job.request, None, error, (), job.attempts)
    # It was a redirect that led to where nothing goes.
    last = job.hops[-1]
    started = last.started if job.started is None else job.started
    error = Error(error.kind, f"{job.url}: {error.message}")
    waited = max(0.0, started - job.ended) if job.attempts else 0.0
    attempt = Attempt(last.url, started, job.spent, last.status, error, waited, job.waited_for)
    return Result(job.request, last, error, job.hops[:-1], (*job.attempts, attempt))


def _followed(hop: Hop) -> Hop:
    """What is kept of a redirect."""
    capture = None if hop.capture is None else hop.capture.followed(hop.body)
    return replace(hop, body=None, error=None, capture=capture)


def _is_foreign(hop: Hop) -> bool:
    """Whether a reply does not go on where a part ends."""
    return hop.status in NO_PART and (hop.error is None or hop.error.kind is ErrorKind.INCOMPLETE)


class Policy:
    """Turns a hop into a result, or into another try."""

    def __init__(
        self,
        config: PolicyConfig,
        hosts: Hosts | None = None,
        *,
        chance: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._hosts = hosts or Hosts(HostsConfig())
        self._terms = Terms(CURABLE if config.retry_on is None else set(config.retry_on) - _WORDS)
        self._final = frozenset(status for status in range(200, 300) if (status, None) not in self._terms)
        self._chance = chance
        self._wall = wall

    def decide(self, job: Job, hop: Hop) -> Result | Again:
        """What comes after a hop: the entry's result, or the job again with the hop behind it."""
        if hop.error is None and hop.status in self._final:
            # Nearly all of nearly every run.
            return Result(job.request, hop, None, job.hops, (*job.attempts, self._attempt(job, hop, None)))
        if job.part is not None and hop.part is None and _is_foreign(hop):
            # The server had nothing to go on with: all of it is asked for again, which is no attempt of its own.
            return Again(self._once_more(job, hop))
        if (
            hop.status in REDIRECTS
            and (self._config.follow or job.request.ours)
            and (hop.error.kind if hop.error else None) in BODY_ONLY
        ):
            location = hop.header(b"location")
            if location:
                return self._follow(job, hop, location)
        if job.request.fallback is not None and job.method != job.request.fallback and self._doubtful(hop):
            return Again(replace(self._next(job, hop, self._wall(), FALLBACK), method=job.request.fallback))
        again = self._again(job, hop)
        if isinstance(again, Again):
            return again
        if hop.error is not None and hop.error.kind is ErrorKind.BLOCKED:
            # Nobody was asked, so it was no attempt.
            return given_up(job, hop.error)
        attempt = self._attempt(job, hop, hop.error, again)
        return Result(job.request, hop, hop.error, job.hops, (*job.attempts, attempt))

    def news(self, hop: Hop) -> News:
        """What a hop says of its host."""
        error = hop.error
        if hop.status is not None:
            told = self._told(hop) if hop.status in REFUSING else None
            if told is None:
                return SERVED if error is None else REACHED
            seconds, _ = told
            if seconds is not None and seconds > self._config.retry_after_max:
                return News(Word.SHUNNED, seconds, f"status {hop.status}, which asks for a pause of {seconds:g} s")
            return News(Word.REFUSED, seconds, f"status {hop.status}")
        if error is None or error.kind in OURS:
            return NOTHING
        if error.kind not in UNCONNECTED or error.lasting:
            return REACHED
        return News(Word.UNCONNECTED, None, f"{error.kind}: {error.message}")

    def _doubtful(self, hop: Hop) -> bool:
        """
        Whether a server may mean the method, and not the URL.

        Some answer HEAD with 405 or 501, as they should, others with 400, 403, 404 or 500, or drop the connection, and
        all these have the page for whoever asks with GET: so any failure is doubted, as Sphinx's linkcheck does.
        """
        if hop.status is None:
            return hop.error is not None and hop.error.kind in METHOD_BROKEN
        return hop.status >= 400 and hop.status not in METHOD_ASIDE and self._told(hop) is None

    def _attempt(self, job: Job, hop: Hop, error: Error | None, reason: str | None = None) -> Attempt:
        """The attempt that a hop ends; `reason` is what would have been waited for after it."""
        started = hop.started if job.started is None else job.started
        waited = max(0.0, started - job.ended) if job.attempts else 0.0
        why = job.waited_for
        if reason is not None:
            why = reason if why is None else f"{why}; {reason}"
        return Attempt(hop.url, started, job.spent + hop.elapsed, hop.status, error, waited, why)

    def _follow(self, job: Job, hop: Hop, location: bytes) -> Result | Again:
        try:
            url = join_url(hop.url, location.decode("utf-8", "surrogateescape"))
        except UrlError as error:
            return self._stray(job, hop, f"the redirect leads nowhere: {error}")
        method, body = job.method, job.body
        if (hop.status == 303 and method != "HEAD") or (hop.status in {301, 302} and method == "POST"):
            method, body = "GET", None
        cookies = after_hop(job.cookies, hop, len(job.hops) + 1, self._wall())
        # What was seen before the cookies last changed was asked with others, and may well answer differently now.
        since = cookies.changed if cookies is not None else 0
        if any(url == seen.url and method == seen.method for seen in (*job.hops, hop)[since:]):
            return self._stray(job, hop, f"a redirect loop: {url} again")
        most = max(self._config.max_redirects, OWN_REDIRECTS if job.request.ours else 0)
        if len(job.hops) >= most:
            return self._stray(job, hop, f"more than {most} redirects; allow more with --max-redirects")
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
                hops=(*job.hops, _followed(hop)),
                started=hop.started if job.started is None else job.started,
                spent=job.spent + hop.elapsed,
                paused=job.paused + hop.paused,
                trusted=job.trusted and url.origin == hop.url.origin,
                cookies=cookies,
                part=None,
            )
        )

    def _once_more(self, job: Job, hop: Hop) -> Job:
        """The job without what it had, and the hop's time in its attempt."""
        return replace(
            job,
            started=hop.started if job.started is None else job.started,
            spent=job.spent + hop.elapsed,
            paused=job.paused + hop.paused,
            part=None,
        )

    def _stray(self, job: Job, hop: Hop, message: str) -> Result:
        error = Error(ErrorKind.REDIRECTS, message)
        return Result(job.request, hop, error, job.hops, (*job.attempts, self._attempt(job, hop, error)))

    def _again(self, job: Job, hop: Hop) -> Again | str | None:
        """The job once more, or None to stop, or what it would have to wait for and does not."""
        error = hop.error
        if (hop.status, error) not in self._terms or (error is not None and error.lasting):
            return None
        ended = self._wall()
        first = job.attempts[0].started if job.attempts else hop.started if job.started is None else job.started
        left = (self._config.retry_max_time or inf) - (ended - first)
        if hop.part is not None and hop.part.validator is not None:
            # What is here already of a large file is worth more than the time that it took.
            left = inf
        told = self._told(hop)
        if told is not None:
            # The host did not do what it was asked, so any method may be repeated, and that is no retry.
            seconds, reason = told
            if seconds is None and not self._retries(job):
                # It did not say that another time will do, and nothing is to be sent twice.
                return None
            if seconds is not None and seconds > self._config.retry_after_max:
                return "retry-after-max"
            if job.refusals + 1 >= REFUSALS or left < (seconds or 0.0):
                return None
            return Again(self._next(job, hop, ended, reason, refusals=1), seconds or 0.0, behind=True)
        # One that was asked again with another method is no retry either.
        tried = len(job.attempts) - job.refusals - (job.method == job.request.fallback)
        if tried >= self._retries(job):
            return None
        asked = self._config.retry_on is not None
        if not asked and job.method not in IDEMPOTENT and (error is None or error.kind not in UNSENT):
            return None
        # Doubled often enough, a wait is beyond any longest one, and then beyond any number.
        longest = min(self._config.retry_wait_max, self._config.retry_wait * 2.0 ** min(tried, 64))
        wait = self._chance() * longest
        return None if left < wait else Again(self._next(job, hop, ended, "retry"), wait)

    def _next(self, job: Job, hop: Hop, ended: float, reason: str, refusals: int = 0) -> Job:
        """The job with an attempt behind it."""
        return replace(
            job,
            attempts=(*job.attempts, self._attempt(job, hop, hop.error)),
            started=None,
            spent=0.0,
            paused=0.0,
            ended=ended,
            waited_for=reason,
            refusals=job.refusals + refusals,
            part=hop.part if hop.part is not None and hop.part.validator is not None else None,
        )

    def _retries(self, job: Job) -> int:
        if self._hosts:
            said = self._hosts.find(job.host)
            if said is not None and said.retries is not None:
                return said.retries
        return self._config.retries

    def _told(self, hop: Hop) -> tuple[float | None, str] | None:
        """If a host wants less: the pause that it asks for in seconds, or None, and what that is called."""
        if hop.status not in REFUSING:
            return None
        seconds = self._retry_after(hop)
        if seconds is None:
            return (None, "refused") if hop.status == 429 else None
        return seconds, "retry-after"

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
        except (ValueError, IndexError, OverflowError):
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - self._wall())
