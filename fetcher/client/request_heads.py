"""Owns a request's bytes: the request line, the headers, the body. Prepared once an origin, because most are alike."""

from __future__ import annotations

from fetcher.client.config import ClientConfig
from fetcher.model import Job, Origin

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

PREPARED = 4_096
"""Origins whose heads are kept ready."""

ENCODINGS = "gzip, deflate, br, zstd"


class RequestHeads:
    """The run's headers, as bytes for each origin."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._ready: dict[tuple[str, str, bool], tuple[bytes, bytes]] = {}

    def request(self, job: Job) -> bytes:
        """What goes onto the wire for a job's next hop."""
        origin = job.url.origin
        if job.body is not None or job.request.headers:
            before, behind = self._head(job.method, origin, job.request.headers, job.body, trusted=job.trusted)
            return b"".join((before, job.url.target.encode("ascii"), behind, job.body or b""))
        key = (origin.text, job.method, job.trusted)
        ready = self._ready.get(key)
        if ready is None:
            if len(self._ready) >= PREPARED:
                self._ready.clear()
            ready = self._ready[key] = self._head(job.method, origin, (), None, trusted=job.trusted)
        return b"".join((ready[0], job.url.target.encode("ascii"), ready[1]))

    def _head(
        self,
        method: str,
        origin: Origin,
        own: tuple[tuple[str, str], ...],
        body: bytes | None,
        *,
        trusted: bool,
    ) -> tuple[bytes, bytes]:
        """The bytes before the target and those behind it."""
        config = self._config
        replaced = {name.lower() for name, _ in own}
        given = (*(header for header in config.headers if header[0].lower() not in replaced), *own)
        names = {name.lower() for name, _ in given}
        ours = [
            ("Host", origin.authority),
            ("User-Agent", config.user_agent),
            ("Accept", "*/*"),
            ("Accept-Encoding", ENCODINGS),
        ]
        if not config.keepalive:
            ours.append(("Connection", "close"))
        headers = [header for header in ours if header[0].lower() not in names]
        for name, value in given:
            if value is not None and (trusted or name.lower() not in CREDENTIALS):
                headers.append((name, value))
        if "content-length" not in names and (body is not None or method in LENGTH_ALWAYS):
            headers.append(("Content-Length", str(len(body or b""))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{method} ".encode("ascii"), f" HTTP/1.1\r\n{lines}\r\n".encode()
