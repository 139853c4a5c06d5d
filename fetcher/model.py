"""
Owns what travels between the rooms: requests, jobs, hops, attempts, results.

All of it is frozen plain data: it pickles, compares, prints and encodes; no exception, session or socket lives in it.
The structs of the hot path are made positionally, which costs a tenth of what keywords do, so a new field goes last
and has a default. The garbage collector watches none of them (`gc=False`), because what is plain and frozen is in no
circle; hops alone it does, so that a test can ask it which are held.

A *hop* is one request and its reply. An *attempt* is the hops from a start to a reply that is no redirect. A *result*
is what the attempts for one entry of the input came to.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fetcher.errors import ErrorKind

DEFAULT_PORTS = {"http": 80, "https": 443}

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Methods that may be repeated after any failure (RFC 9110 9.2.2)."""


FOLLOWED = 64 * 1024
"""Bytes that are archived of the body of a redirect: those that are followed are held beside the budget for bodies."""

UNCONNECTED = frozenset({ErrorKind.DNS, ErrorKind.REFUSED, ErrorKind.UNREACHABLE, ErrorKind.CONNECT_TIMEOUT})
"""Failures before there was a connection: nothing was sent, and any method may be repeated after them."""


class Error(Struct, frozen=True, gc=False):
    """
    What kept a reply from arriving whole: a kind that scripts branch on, a sentence for people.

    Attributes:
        lasting: Trying again cannot help, although the kind often can be helped: a name that does not exist.
    """

    kind: ErrorKind
    message: str
    lasting: bool = False


class Origin(Struct, frozen=True, gc=False):
    """
    Scheme, host and port: what shares connections, credentials and a breaker (RFC 6454).

    Attributes:
        scheme: `http` or `https`.
        host: ASCII, lower case; an IPv6 address without its brackets.
        port: 1 to 65535.
        text: `https://example.com`, with the port only where it is not the scheme's own; the key of every table.
    """

    scheme: str
    host: str
    port: int
    text: str

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: brackets round IPv6, no zone, no default port."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class Url(Struct, frozen=True, gc=False):
    """
    A URL that can be sent. It carries no user info and no fragment.

    Attributes:
        target: Path and query exactly as they go onto the wire: ASCII, beginning with a slash.
    """

    origin: Origin
    target: str

    def __str__(self) -> str:
        return self.origin.text + self.target


class File(Struct, frozen=True, gc=False):
    """
    What is in a file, to be sent.

    Attributes:
        size: Its bytes when it was named. If it has more or fewer when it is sent, it is not the one that was meant.
    """

    path: str
    size: int


class Form(Struct, frozen=True, gc=False):
    """
    A body that is partly in files, which are read when they are sent, each time anew, and never whole.

    Attributes:
        pieces: In the order in which they are sent.
        size: Bytes of all.
    """

    pieces: tuple[bytes | File, ...]
    size: int

    def __len__(self) -> int:
        return self.size


class Known(Struct, frozen=True, gc=False):
    """
    What an earlier run knew of a request's reply; without a `url` it knew nothing.

    Attributes:
        url: Where that reply came from.
        etag, modified: Its validators (RFC 9110 8.8), as they were sent.
        sha256: Of its decoded body.
    """

    url: str = ""
    etag: str | None = None
    modified: str | None = None
    sha256: str | None = None


class Request(Struct, frozen=True, gc=False):
    """
    One entry of the input: what to fetch, or why that cannot be tried.

    Attributes:
        index: 0-based position among the entries of the input.
        given: The entry's URL as the input gave it, fit to be shown: a password is `***`, a stray byte `\\xNN`.
        url: Where to, or None when `error` says why not.
        headers: The request's own, on top of the run's; names as they are sent.
        extra: The input row's other columns.
        timeout: Seconds of an attempt's own time, over the run's and the host's; 0 is none.
        save: The name of the file for its body, where bodies are saved.
        fallback: The method of a second request where a server refuses the first one's, or is not to be believed about
            it. Then only heads are asked for: no body is kept.
        known: What an earlier run knew of its reply; None where nobody asks.
        checksum: The SHA-256 that its body must have, in hexadecimal.
    """

    index: int
    given: str
    url: Url | None
    method: str = "GET"
    body: bytes | Form | None = None
    headers: tuple[tuple[str, str], ...] = ()
    error: Error | None = None
    extra: Mapping[str, Any] | None = None
    timeout: float | None = None
    save: str | None = None
    fallback: str | None = None
    known: Known | None = None
    checksum: str | None = None

    @property
    def ours(self) -> bool:
        """Whether it is asked on our own account (a robots.txt): no entry of the input, and without a record."""
        return self.index < 0


class Part(Struct, frozen=True, gc=False):
    """
    A body in a file, or the beginning of one.

    Attributes:
        name: The file's, for whoever has made it.
        size: Bytes that are in it.
        validator: What its reply said that tells whether what comes later belongs to it (RFC 9110 13.1.5); None where
            that cannot be.
        total: Bytes that the whole of it has, where its reply said so.
        content_type, modified: What its reply said; one that goes on with it need not say so again (RFC 9110 15.3.7).
    """

    name: str
    size: int
    validator: str | None = None
    total: int | None = None
    content_type: bytes | None = None
    modified: bytes | None = None


class Timings(Struct, frozen=True, gc=False):
    """Seconds of one hop, phase by phase; None where a phase did not happen. `queue` is from due until slot."""

    queue: float | None = None
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    download: float | None = None


class Capture(Struct, frozen=True, gc=False):
    """
    One hop as it went over the wire, for an archive.

    Attributes:
        request: Its head as sent, but that values which may be credentials are `***`.
        form: A body was sent behind it that is not in it.
        head: Of the reply, as received and with its empty line; empty where there was none.
        payload: The reply's body as received, in its content coding; None where that is the hop's `body`, or nothing.
        chunked: The payload came in chunks, which are undone.
        truncated: Why the reply is not all here, as WARC has it (`length`, `time`, `disconnect`, `unspecified`); empty
            where it is.
        beside: The payload is held beside the budget for bodies.
        sent: The request's body: no copy, but what the entry has.
    """

    request: bytes
    form: bool
    head: bytes
    payload: bytes | None
    chunked: bool
    truncated: str
    beside: bool = False
    sent: bytes = b""

    def followed(self, body: bytes | None) -> Capture:
        """That of a redirect that is followed, with no more of its body than a few pages of text."""
        payload = body if self.payload is None else self.payload
        if payload is None or len(payload) <= FOLLOWED:
            return replace(self, payload=payload, beside=True)
        return replace(self, payload=payload[:FOLLOWED], truncated="length", beside=True)


class Hop(Struct, frozen=True):
    """
    One request and its reply.

    Attributes:
        started: Seconds since the epoch, when the slot was taken.
        elapsed: Seconds from slot to last byte.
        headers: Names and values of the reply as bytes, in order; folded lines joined.
        body: The decoded body, or as much of it as arrived; None where a reply has none or it was not kept.
        size: Bytes of the decoded body.
        wire_size: Bytes of the body as received, after the transfer coding is undone.
        truncated: The body did not arrive whole.
        sha256: Of the decoded body in hexadecimal, where it was hashed on the way; None leaves it to the record.
        paused: Seconds of `elapsed` for which we ourselves did not read: they use up no timeout.
        capture: It as it went over the wire, where that is to be archived.
        part: The file that the body is in, or as much of it as arrived; `body` is None then.
    """

    url: Url
    method: str
    status: int | None
    error: Error | None
    started: float
    elapsed: float
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    size: int = 0
    wire_size: int = 0
    truncated: bool = False
    timings: Timings = Timings()
    remote: str | None = None
    http_version: str | None = None
    sha256: str | None = None
    paused: float = 0.0
    capture: Capture | None = None
    part: Part | None = None

    @property
    def held(self) -> int:
        """Bytes of bodies that the budget counts for it until its result is written."""
        size = 0 if self.body is None else len(self.body)
        capture = self.capture
        if capture is None or capture.payload is None or capture.beside:
            return size
        return size + len(capture.payload)

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, or None. `name` is in lower case."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class Attempt(Struct, frozen=True, gc=False):
    """
    One try at an entry, as `history` shows it.

    Attributes:
        started: Seconds since the epoch.
        elapsed: Seconds of its hops' own time, without what it waited in the frontier.
        waited: Seconds between the try before and this one; 0 for the first.
        waited_for: Why: `retry` (our own backoff), `retry-after` (the server said so), `refused` (it wanted less, and
            did not say when), `fallback` (it refused the method, and is asked with another); None for the first. On an
            attempt that is the last because its server asked for longer than anybody waits there is also
            `retry-after-max`.
    """

    url: Url
    started: float
    elapsed: float
    status: int | None
    error: Error | None
    waited: float = 0.0
    waited_for: str | None = None


class Word(Enum):
    """What a hop says of its host. A room that takes jobs out is told it when a job is over."""

    SERVED = "it answered"
    REACHED = "it is there, or its name was asked for: no more than that"
    REFUSED = "it wants less, or a pause"
    SHUNNED = "it wants a pause longer than anybody waits"
    UNCONNECTED = "nobody could be connected to"
    NOTHING = "the fault was ours"


class News(Struct, frozen=True, gc=False):
    """
    What a hop says of its host, in full.

    Attributes:
        wait: Seconds of the pause that a host that refuses asked for; None if it named none.
        reason: Why there was no connection, for people.
    """

    word: Word
    wait: float | None = None
    reason: str = ""


class Cookie(Struct, frozen=True, gc=False):
    """
    A cookie that a server has set (RFC 6265 5.3).

    Attributes:
        domain: Without a dot before it.
        host_only: It goes to that host, and to none below it.
        secure: It goes over https only.
        expires: Seconds since the epoch when it is over; None is with the session.
        http_only: Scripts in pages do not see it; kept for those who read our files.
    """

    name: str
    value: str
    domain: str
    host_only: bool
    path: str
    secure: bool = False
    expires: float | None = None
    http_only: bool = False


class ChainCookies(Struct, frozen=True, gc=False):
    """
    What the servers of a redirect chain have set.

    Attributes:
        cookies: Those that have expired are what a server has dropped, and hide others of their name.
        changed: How many replies of the chain there were when they last changed.
    """

    cookies: tuple[Cookie, ...]
    changed: int


class Job(Struct, frozen=True, gc=False):
    """
    A request on its way: the hop to make next and what came before it.

    Attributes:
        url: Where the next hop goes.
        due: The clock's time from which it may go.
        hops: The redirects before the next hop, of this attempt.
        attempts: The attempts that came to nothing, oldest first.
        started: Seconds since the epoch when this attempt began; None before its first hop.
        spent: Seconds of this attempt's own time so far.
        ended: Seconds since the epoch when the attempt before this one was over.
        waited_for: What this attempt waited for before it began, as `Attempt` has it.
        trusted: The next hop goes to the origin that the entry named, so credentials may go with it.
        paused: Seconds of `spent` for which we ourselves did not read.
        refusals: How many of the attempts were refused by a host that wants less; they are no retries.
        cookies: What the redirects before the next hop have set.
        part: What the attempts before have brought of the body, with which the next one may go on.
    """

    request: Request
    url: Url
    method: str
    body: bytes | Form | None
    due: float = 0.0
    hops: tuple[Hop, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    started: float | None = None
    spent: float = 0.0
    ended: float = 0.0
    waited_for: str | None = None
    trusted: bool = True
    refusals: int = 0
    paused: float = 0.0
    cookies: ChainCookies | None = None
    part: Part | None = None

    @property
    def host(self) -> str:
        """Whose turn the next hop takes."""
        return self.url.origin.host


class Result(Struct, frozen=True, gc=False):
    """
    What the attempts for one entry came to.

    Attributes:
        hop: The last hop; None for an entry that was never sent, whose `error` then says why.
        redirects: The hops before the last.
        attempts: Every attempt, oldest first; empty for an entry that was never sent.
    """

    request: Request
    hop: Hop | None
    error: Error | None
    redirects: tuple[Hop, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def status(self) -> int | None:
        """The last hop's HTTP status."""
        return self.hop.status if self.hop is not None else None

    @property
    def ok(self) -> bool:
        """Whether the final status is below 400 and the body arrived whole."""
        if self.error is not None or self.hop is None:
            return False
        status = self.hop.status
        return status is not None and status < 400
