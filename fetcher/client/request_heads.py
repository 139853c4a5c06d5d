"""
Owns a request's bytes: the request line, the headers, the body. Prepared once an origin, because most are alike.

A header of the entry's own wins over one of its host's table, that over one of the run's, that over ours. Credentials
that are not sent to an origin do not stand in the way of those that are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from fetcher.client.config import ClientConfig
from fetcher.client.cookies.header import CookieHeaders
from fetcher.client.cookies.jar import Jar
from fetcher.client.credentials import Credentials
from fetcher.hosts import Hosts
from fetcher.model import Job, Known

LENGTH_ALWAYS = frozenset({"POST", "PUT", "PATCH"})
"""Methods that say `Content-Length: 0` when they have no body (RFC 9110 8.6)."""

CREDENTIALS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "private-token",
        "proxy-authorization",
        "x-access-token",
        "x-api-key",
        "x-auth-token",
    }
)
"""Headers that never follow a redirect to another origin, in lower case."""

COOKIE = "cookie"

Headers = Sequence[tuple[str, str | None]]

_SECRETS = re.compile(
    rb"^([^:\r\n]*(?:auth|cookie|credential|key|passw|secret|session|signature|token)[^:\r\n]*: )[^\r\n]+",
    re.IGNORECASE | re.MULTILINE,
)
"""Headers by what is in the names of those that people put secrets into; to hide one too many harms nobody."""

HIDDEN = "***"
"""What is shown in place of a secret."""

CONDITIONS = frozenset({"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"})
"""Headers of a user's who asks for something else than what is there now."""

PREPARED = 1_024
"""Origins whose heads are kept ready."""

ENCODINGS = "gzip, deflate, br, zstd"
UNCODED = "identity"
"""What is asked for with and without compression; to say nothing would allow any coding (RFC 9110 12.5.3)."""


def shown_head(request: bytes) -> list[str]:
    """The lines of a request's head as a person may see them: what may be a credential is `***`."""
    head = hidden(request.partition(b"\r\n\r\n")[0])
    return head.decode("utf-8", "surrogateescape").split("\r\n")


def hidden(head: bytes) -> bytes:
    """A request's head, without its empty line, as others may see it: what may be a credential is `***`."""
    first, end, headers = head.partition(b"\r\n")
    return first + end + _SECRETS.sub(rb"\g<1>" + HIDDEN.encode(), headers)


class RequestHeads:
    """
    The run's headers, as bytes for each origin.

    Args:
        hosts: What single hosts get beside or instead.
        jar: The cookies that are kept for the run, if any are.

    Raises:
        UsageError: The netrc file cannot be read.
    """

    def __init__(self, config: ClientConfig, hosts: Hosts | None = None, jar: Jar | None = None) -> None:
        self._config = config
        self._hosts = hosts
        self._proxies = config.proxies or None
        self._credentials = Credentials(config, environ={} if config.no_env else os.environ) or None
        self._jar = jar
        self._cookies = CookieHeaders(config.sent_cookies, jar)
        self._ready: dict[tuple[str, str, bool, bool], tuple[bytes, bytes]] = {}

    def request(self, job: Job) -> bytes:
        """What goes onto the wire for a job's next hop; of a form only the head."""
        origin = job.url.origin
        own: Headers = job.request.headers
        if job.part is not None:
            own = (*own, ("Range", f"bytes={job.part.size}-"), ("If-Range", job.part.validator or ""))
        elif job.request.known is not None:
            own = (*own, *self._conditions(job, job.request.known))
        clear = job.trusted or _began_in_the_clear(job)
        if job.body is not None or own or job.cookies is not None or self._jar is not None:
            before, behind = self._head(job, own, clear=clear)
            body = job.body if isinstance(job.body, bytes) else b""
            return b"".join((before, job.url.target.encode("ascii"), behind, body))
        key = (origin.text, job.method, job.trusted, clear)
        ready = self._ready.get(key)
        if ready is None:
            if len(self._ready) >= PREPARED:
                self._ready.clear()
            ready = self._ready[key] = self._head(job, (), clear=clear)
        return b"".join((ready[0], job.url.target.encode("ascii"), ready[1]))

    def _conditions(self, job: Job, known: Known) -> tuple[tuple[str, str], ...]:
        """What makes a request one for a reply that is not the known one (RFC 9110 13.1); of the user's own, none."""
        if str(job.url) != known.url or job.method not in {"GET", "HEAD"}:
            return ()
        given = {name.lower() for name, _ in (*self._config.headers, *job.request.headers)}
        if given & CONDITIONS:
            return ()
        conditions = (("If-None-Match", known.etag), ("If-Modified-Since", known.modified))
        return tuple((name, value) for name, value in conditions if value is not None and value.isascii())

    def _head(self, job: Job, own: Headers, *, clear: bool) -> tuple[bytes, bytes]:
        """The bytes before the target and those behind it."""
        config, method, body, origin, trusted = self._config, job.method, job.body, job.url.origin, job.trusted
        table = self._hosts.find(origin.host) if self._hosts is not None else None
        special: Headers = table.headers if table is not None else ()
        # A host's credentials are meant for it wherever a redirect comes from, but not to be sent in the clear then.
        trusting = trusted or origin.scheme == "https"
        run, own = _for_origin(config.headers, trusted=trusted), _for_origin(own, trusted=trusted)
        special = _for_origin(special, trusted=trusting)
        given = [*_over(run, special, own), *_over(special, own), *_over(own)]
        names = {name.lower() for name, _ in (*run, *special, *own)}
        cookies = [header for header in given if header[0].lower() == COOKIE]
        # Without a value the name says that none are to be sent.
        if cookies or COOKIE not in names:
            given = self._with_cookies(job, given, cookies)
        ours = [
            ("Host", origin.authority),
            ("User-Agent", config.user_agent),
            ("Accept", "*/*"),
            ("Accept-Encoding", ENCODINGS if config.compress else UNCODED),
        ]
        if not config.keepalive:
            ours.append(("Connection", "close"))
        start = ""
        proxy = self._proxies.find(origin) if self._proxies is not None else None
        if proxy is not None and proxy.forwards(origin):
            # A proxy is told the whole URL (RFC 9112 3.2.2).
            start = f"http://{origin.authority}"
            if proxy.authorization is not None:
                ours.append(("Proxy-Authorization", proxy.authorization))
        if self._credentials is not None:
            authorization = self._credentials.find(origin, trusted=trusted, clear=clear)
            if authorization is not None:
                ours.append(("Authorization", authorization))
        headers = [header for header in ours if header[0].lower() not in names]
        headers.extend(given)
        if "content-length" not in names and (body is not None or method in LENGTH_ALWAYS):
            headers.append(("Content-Length", str(0 if body is None else len(body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        # A header that is no UTF-8 goes out as the shell gave it.
        return f"{method} {start}".encode("ascii"), f" HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape")

    def _with_cookies(
        self, job: Job, given: list[tuple[str, str]], cookies: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """The headers with one for all cookies (RFC 6265 5.4), those among them and others."""
        line = self._cookies.line(job, [value for _, value in cookies])
        if not cookies:
            return [*given, ("Cookie", line)] if line else given
        first = given.index(cookies[0])
        rest = [header for header in given if header not in cookies]
        return [*rest[:first], (cookies[0][0], line), *rest[first:]] if line else rest


def _for_origin(headers: Headers, *, trusted: bool) -> Headers:
    """What may be said to an origin; that a header is to be left out always may."""
    if trusted:
        return headers
    return [(name, value) for name, value in headers if value is None or name.lower() not in CREDENTIALS]


def _over(headers: Headers, *stronger: Headers) -> list[tuple[str, str]]:
    """What is sent of these headers, whose names those of `stronger` replace."""
    replaced = {name.lower() for others in stronger for name, _ in others}
    return [(name, value) for name, value in headers if value is not None and name.lower() not in replaced]


def _began_in_the_clear(job: Job) -> bool:
    """Whether the entry itself asks over http: then whoever is on the way learns no more by a redirect than before."""
    url = job.request.url
    # Which entry a robots.txt is for is not known, and it may be one over https.
    return url is not None and url.origin.scheme == "http" and not job.request.ours
