"""
Owns a request's bytes: the request line, the headers, the body. Prepared once an origin, because most are alike.

A header of the entry's own wins over one of its host's table, that over one of the run's, that over ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fetcher.client.config import ClientConfig
from fetcher.hosts import Hosts
from fetcher.model import Form, Job, Known, Origin

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

_SECRET = re.compile(r"auth|cookie|credential|key|passw|secret|session|signature|token", re.IGNORECASE)
"""What is in the names of headers that people put secrets into; to hide one too many harms nobody."""

HIDDEN = "***"
"""What is shown in place of a secret."""

CONDITIONS = frozenset({"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"})
"""Headers of a user's who asks for something else than what is there now."""

PREPARED = 4_096
"""Origins whose heads are kept ready."""

ENCODINGS = "gzip, deflate, br, zstd"
UNCODED = "identity"
"""What is asked for with and without compression; to say nothing would allow any coding (RFC 9110 12.5.3)."""


def shown_head(request: bytes) -> list[str]:
    """The lines of a request's head as a person may see them: what may be a credential is `***`."""
    head = request.partition(b"\r\n\r\n")[0]
    first, *headers = head.decode("utf-8", "surrogateescape").split("\r\n")
    lines = [first]
    for header in headers:
        name, _, value = header.partition(": ")
        lines.append(f"{name}: {HIDDEN if value and _SECRET.search(name) else value}")
    return lines


class RequestHeads:
    """
    The run's headers, as bytes for each origin.

    Args:
        hosts: What single hosts get beside or instead.
    """

    def __init__(self, config: ClientConfig, hosts: Hosts | None = None) -> None:
        self._config = config
        self._hosts = hosts
        self._proxies = config.proxies or None
        self._ready: dict[tuple[str, str, bool], tuple[bytes, bytes]] = {}

    def request(self, job: Job) -> bytes:
        """What goes onto the wire for a job's next hop; of a form only the head."""
        origin = job.url.origin
        own = job.request.headers
        if job.request.known is not None:
            own = (*own, *self._conditions(job, job.request.known))
        if job.body is not None or own:
            before, behind = self._head(job.method, origin, own, job.body, trusted=job.trusted)
            body = job.body if isinstance(job.body, bytes) else b""
            return b"".join((before, job.url.target.encode("ascii"), behind, body))
        key = (origin.text, job.method, job.trusted)
        ready = self._ready.get(key)
        if ready is None:
            if len(self._ready) >= PREPARED:
                self._ready.clear()
            ready = self._ready[key] = self._head(job.method, origin, (), None, trusted=job.trusted)
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

    def _head(
        self,
        method: str,
        origin: Origin,
        own: tuple[tuple[str, str], ...],
        body: bytes | Form | None,
        *,
        trusted: bool,
    ) -> tuple[bytes, bytes]:
        """The bytes before the target and those behind it."""
        config = self._config
        table = self._hosts.find(origin.host) if self._hosts is not None else None
        special = table.headers if table is not None else ()
        # A host's credentials are meant for it wherever a redirect comes from, but not to be sent in the clear then.
        trusting = trusted or origin.scheme == "https"
        given = [
            *_over(config.headers, special, own, trusted=trusted),
            *_over(special, own, trusted=trusting),
            *_over(own, trusted=trusted),
        ]
        names = {name.lower() for name, _ in (*config.headers, *special, *own)}
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
        headers = [header for header in ours if header[0].lower() not in names]
        headers.extend(given)
        if "content-length" not in names and (body is not None or method in LENGTH_ALWAYS):
            headers.append(("Content-Length", str(0 if body is None else len(body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        # A header that is no UTF-8 goes out as the shell gave it.
        return f"{method} {start}".encode("ascii"), f" HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape")


def _over(
    headers: Sequence[tuple[str, str | None]], *stronger: Sequence[tuple[str, str | None]], trusted: bool
) -> list[tuple[str, str]]:
    """What is sent of these headers, whose names those of `stronger` replace."""
    replaced = {name.lower() for others in stronger for name, _ in others}
    return [
        (name, value)
        for name, value in headers
        if value is not None and name.lower() not in replaced and (trusted or name.lower() not in CREDENTIALS)
    ]
