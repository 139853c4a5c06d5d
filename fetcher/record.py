"""
Owns the published shape of a result: the record, its JSON and its schema.

A record is made in a writer's thread, where hashing and decoding hold nobody up. Whatever a server or an input sent,
it encodes: every text in it has been made fit for UTF-8 here. Which format it is written in is the sinks' matter.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import re
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, cast, get_args

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from fetcher.bodies import NOTHING, BodyEncoding, BodyForm, BodyMode, read_form, read_label
from fetcher.errors import AfetchError, ErrorKind, UsageError
from fetcher.model import Attempt, Error, Hop, Known, Request, Result, Timings

SCHEMA_ID = "urn:afetch:record:1"
"""Names the shape. The number grows when a field goes or changes its meaning, not when one is added."""

LARGE = 1024 * 1024
"""Bytes from which a body is made into text or base64 piece by piece, while its record is written."""


NAMES, LONGEST_NAME = 1_024, 64
"""Names of headers that are remembered in lower case, and bytes of the longest."""


@dataclass(frozen=True, kw_only=True)
class RecordConfig:
    """
    What of a reply is in its record.

    Attributes:
        body: `auto` is JSON, text or base64 by what the reply is; `json` is JSON wherever the body is that, whatever
            its label, and else text; `text` and `base64` are always that; `none` leaves the body out, but hashes it.
    """

    body: BodyMode = "auto"

    def __post_init__(self) -> None:
        if self.body not in get_args(BodyMode):
            raise UsageError(f"body {self.body!r}: choose one of {', '.join(get_args(BodyMode))}")


Change = Literal["new", "changed", "unchanged", "gone"]

Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Failure(Struct, frozen=True, gc=False):
    """Why there is no whole reply."""

    kind: Annotated[ErrorKind, Meta(description="A stable word to branch on.")]
    message: Annotated[str, Meta(description="A sentence for people; it may change.")]


class Redirect(Struct, frozen=True, gc=False):
    """A hop that led on."""

    url: Annotated[str, Meta(description="Where it was sent.")]
    status: Annotated[int | None, Meta(description="Its HTTP status.")]


class Try(Struct, frozen=True, gc=False):
    """One attempt, when there was more than one."""

    url: Annotated[str, Meta(description="The URL of its last hop.")]
    started: Annotated[str, Meta(description="RFC 3339, UTC.")]
    elapsed: Annotated[float, Meta(description="Seconds of its hops, without waiting.")]
    status: Annotated[int | None, Meta(description="The HTTP status of its last hop.")]
    error: Annotated[Failure | None, Meta(description="Why it brought no whole reply.")]
    waited: Annotated[float, Meta(description="Seconds since the attempt before.")]
    waited_for: Annotated[
        str | None,
        Meta(
            description="`retry`: our own backoff; `retry-after`: the server's wish; `refused`: it wanted less, and "
            "did not say when; `fallback`: a GET in place of a HEAD that was refused. `retry-after-max` at the last: "
            "it wished for longer than is waited."
        ),
    ]


class Phases(Struct, frozen=True, gc=False):
    """Seconds of the last hop, phase by phase; null where a phase did not happen."""

    queue: Annotated[float | None, Meta(description="From due until slot.")]
    dns: Annotated[float | None, Meta(description="Looking up the name.")]
    connect: Annotated[float | None, Meta(description="The TCP connection.")]
    tls: Annotated[float | None, Meta(description="The TLS handshake.")]
    first_byte: Annotated[float | None, Meta(description="From the request sent until the reply's first byte.")]
    download: Annotated[float | None, Meta(description="From the first byte until the last.")]


class Record(Struct, frozen=True, dict=True):
    """
    What came of one entry of the input.

    Every field is in every record and in every format. For Python: `content`, `text` and `json()` give the body back,
    whatever form `body` has.
    """

    url: Annotated[
        str,
        Meta(description="As the input gave it; a password in it is `***`, an undecodable byte `\\xNN`."),
    ]
    index: Annotated[int, Meta(description="0-based position among the entries of the input.", ge=0)]
    ok: Annotated[bool, Meta(description="The final status is below 400 and the body arrived whole.")]
    status: Annotated[int | None, Meta(description="The last hop's HTTP status.")]
    error: Annotated[Failure | None, Meta(description="Null also where the HTTP status is the failure.")]
    method: Annotated[str, Meta(description="The last hop's method, as sent.")]
    final_url: Annotated[str | None, Meta(description="The last hop's URL, answered or not; null if nothing was sent.")]
    redirects: Annotated[list[Redirect], Meta(description="The hops before the last.")]
    attempts: Annotated[int, Meta(description="How many; 0 if nothing was sent.", ge=0)]
    history: Annotated[
        list[Try],
        Meta(description="All attempts, oldest first, when there was more than one, or more to tell of the one."),
    ]
    started: Annotated[str | None, Meta(description="When the last attempt began: RFC 3339, UTC, microseconds.")]
    elapsed: Annotated[float | None, Meta(description="Seconds of the last attempt's hops, without waiting.")]
    timings: Annotated[Phases, Meta(description="Seconds of the last hop, phase by phase.")]
    remote: Annotated[str | None, Meta(description="The peer's address and port, a proxy's where there is one.")]
    http_version: Annotated[str | None, Meta(description="`1.0` or `1.1`.")]
    headers: Annotated[
        dict[str, list[str]],
        Meta(description="The last reply's: lower-case name to its values, in order."),
    ]
    content_type: Annotated[str | None, Meta(description="The media type in lower case, without parameters.")]
    charset: Annotated[str | None, Meta(description="What the text was decoded with; null where no text was.")]
    bytes: Annotated[int, Meta(description="Of the decoded body.", ge=0)]
    wire_bytes: Annotated[int, Meta(description="Of the body as received.", ge=0)]
    sha256: Annotated[Digest | None, Meta(description="Of the decoded body.")]
    truncated: Annotated[
        bool,
        Meta(description="The body did not arrive whole: `bytes`, `sha256`, `body` are of what is kept."),
    ]
    body: Annotated[Raw | str | None, Meta(description="A JSON value, text or base64, as `body_encoding` says.")]
    body_encoding: Annotated[BodyEncoding | None, Meta(description="What `body` is; null where there is none.")]
    saved: Annotated[str | None, Meta(description="The file that has the body, relative to the folder of all.")]
    change: Annotated[
        Change | None,
        Meta(description="Against the cache's copy, where there is a cache."),
    ]
    extra: Annotated[Mapping[str, Any] | None, Meta(description="The input row's other columns.")]

    @property
    def hops(self) -> tuple[Hop, ...]:
        """
        The hops as they went over the wire, the redirects first, where they are to be archived.

        No field: no encoder writes it, and `replace` leaves it out.
        """
        hops: tuple[Hop, ...] = self.__dict__.get("hops", ())
        return hops

    @property
    def content(self) -> builtins.bytes | None:
        """
        The body as bytes, or None if the record has none.

        As they were sent only where `body_encoding` is `base64`: text comes back as UTF-8, JSON without blanks.
        """
        body = self.body
        if body is None:
            return None
        if isinstance(body, str):
            return a2b_base64(body) if self.body_encoding == "base64" else body.encode()
        return builtins.bytes(body)

    @property
    def text(self) -> str | None:
        """The body as text, or None if the record has none; base64 is read as UTF-8, with U+FFFD for what is not."""
        content = self.content
        return None if content is None else content.decode("utf-8", "replace")

    def json(self) -> Any:
        """
        The value that the body has as JSON, whatever it was labelled.

        Raises:
            ValueError: It is not JSON, or the record has no body.
        """
        content = self.content
        if content is None:
            raise ValueError(f"{self.url}: the record has no body")
        return json.loads(content)

    def verdict(self) -> str:
        """The outcome in short: `404`, `dns: no such name`."""
        return str(self.status) if self.error is None else f"{self.error.kind}: {self.error.message}"

    def raise_for_status(self) -> Record:
        """
        The record itself, if it is ok.

        Raises:
            FetchError: It is not; the record is at its `record`.
        """
        if not self.ok:
            raise FetchError(self)
        return self


class FetchError(AfetchError):
    """A record that is not ok; it is at `record`."""

    def __init__(self, record: Record) -> None:
        super().__init__(f"{record.url}: {record.verdict()}")
        self.record = record


class LargeRecord(Record, frozen=True):
    """
    A record whose `body` is made anew each time that it is asked for, because it costs up to five times its bytes.

    For writers: only `LargeLine` writes it piece by piece. The encoder does not take it, so that nobody holds it whole
    by mistake.
    """

    @property  # type: ignore[misc]  # mypy has no properties in the place of fields that are only read
    def body(self) -> Raw | str | None:
        return self.form.whole()

    @property
    def form(self) -> BodyForm:
        """What the body is made of."""
        return cast("BodyForm", _BODY.__get__(self))


class LargeLine:
    """
    A large record as one line of JSON, in pieces: iterate over it, as often as needed.

    Args:
        before, after: What the format puts around it.

    Attributes:
        held: Bytes that are held for it.
    """

    def __init__(self, record: LargeRecord, before: bytes = b"", after: bytes = b"") -> None:
        self._form = record.form
        # Up to the body all strings are the encoder's, which writes a NUL as an escape.
        head, _, tail = _ENCODER.encode(replace(record, body=Raw(b"\0"))).partition(b"\0")
        self._head = before + head
        self._tail = tail + after
        self.held = len(self._head) + self._form.held + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        yield from self._form.pieces()
        yield self._tail

    def __bytes__(self) -> bytes:
        return b"".join(self)


def make_record(result: Result, config: RecordConfig, *, whole: bool = True, saved: str | None = None) -> Record:
    """
    The record of a result; if it need not be `whole`, that of a large body is a `LargeRecord`.

    Args:
        saved: The path of the file with its body; nothing of that is in the record then.
    """
    hop = result.hop
    if hop is None:
        return _unsent(result)
    record = _sent(result, hop, config, whole, saved)
    if hop.capture is not None or (result.redirects and result.redirects[0].capture is not None):
        record.__dict__["hops"] = (*result.redirects, hop)
    return record


def shown_url(request: Request) -> str:
    """What is the `url` of the request's record."""
    return _clean(request.given)


def encode(record: Record) -> bytes:
    """The record as one line of JSON, without the line's end."""
    return _ENCODER.encode(record)


def encode_line(record: Record) -> bytes:
    """The record as one line of JSON, with the line's end; a large one is not copied for that."""
    # A list: msgspec 0.22 never lets go of a tuple, which is 48 bytes a record.
    return _ENCODER.encode_lines([record])


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record."""
    [record], parts = msgspec.json.schema_components([Record], ref_template="#/$defs/{name}")
    name = record["$ref"].rpartition("/")[2]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **parts.pop(name),
        "description": (Record.__doc__ or "").strip().partition("\n")[0],
        "$defs": parts,
    }


_ENCODER = msgspec.json.Encoder()
_BODY: Any = Record.__dict__["body"]
_NO_PHASES = Phases(None, None, None, None, None, None)
_SURROGATES = re.compile(r"[\ud800-\udfff]")


# Positionally, in both: by keyword a record costs many times as much.


def _unsent(result: Result) -> Record:
    """Of what was never sent, or not once more: then the attempts before are what there is to tell."""
    request, attempts = result.request, result.attempts
    last = attempts[-1] if attempts else None
    return Record(
        _clean(request.given),
        request.index,
        False,
        None,
        _failure(result.error),
        _clean(request.method),
        str(last.url) if last is not None else None,
        [Redirect(str(before.url), before.status) for before in result.redirects],
        len(attempts),
        [_try(attempt) for attempt in attempts],
        stamp(last.started) if last is not None else None,
        _micro(last.elapsed) if last is not None else None,
        _NO_PHASES,
        None,
        None,
        {},
        None,
        None,
        0,
        0,
        None,
        False,
        None,
        None,
        None,
        None,
        _extra(request.extra),
    )


def _sent(result: Result, hop: Hop, config: RecordConfig, whole: bool, saved: str | None) -> Record:
    request, attempts, url, given, method = result.request, result.attempts, hop.url, result.request.given, hop.method
    last = attempts[-1] if attempts else None
    headers = _headers(hop)
    types = headers.get("content-type")
    # Of several the last, as curl and browsers (Fetch 3.3) take it.
    label = read_label(types[-1] if types else None)
    body, sha256, form = hop.body, hop.sha256, NOTHING
    if result.error is not None and result.error.kind is ErrorKind.TOO_LARGE:
        body = sha256 = None
    if body is not None:
        sha256 = sha256 or hashlib.sha256(body).hexdigest()
        form = read_form(body, label, "none" if saved is not None else config.body)
    large = not whole and form.held >= LARGE
    return (LargeRecord if large else Record)(
        given if given.isascii() else _clean(given),
        request.index,
        result.ok,
        hop.status,
        None if result.error is None else _failure(result.error),
        method if method.isascii() else _clean(method),
        url.origin.text + url.target,
        _redirects(result) if result.redirects else [],
        len(attempts),
        [] if last is None or (len(attempts) == 1 and not last.waited_for) else [_try(attempt) for attempt in attempts],
        stamp(hop.started if last is None else last.started),
        _micro(hop.elapsed if last is None else last.elapsed),
        _phases(hop.timings),
        hop.remote,
        hop.http_version,
        headers,
        label.media_type,
        form.charset,
        hop.size,
        hop.wire_size,
        sha256,
        hop.truncated,
        cast("Any", form) if large else form.whole(),
        form.encoding,
        saved,
        None if request.known is None else _change(result, request.known, headers, sha256),
        None if request.extra is None else _extra(request.extra),
    )


def _change(result: Result, known: Known, headers: dict[str, list[str]], sha256: str | None) -> Change | None:
    """Against what an earlier run knew; None where nobody can tell, as after a failure."""
    if not result.ok:
        return "gone" if known.url and result.error is None and result.status in {404, 410} else None
    if result.status == 304:
        return "unchanged" if known.url else None
    if not known.url:
        return "new"
    # A reply without a body, as to HEAD, has its validators only.
    now, before = sha256, known.sha256
    for name, value in (("etag", known.etag), ("last-modified", known.modified)):
        if now is None or before is None:
            now, before = headers[name][-1] if name in headers else None, value
    if now is None or before is None:
        return None
    return "unchanged" if now == before else "changed"


def _failure(error: Error | None) -> Failure | None:
    return None if error is None else Failure(error.kind, _clean(error.message))


def _try(attempt: Attempt) -> Try:
    return Try(
        str(attempt.url),
        stamp(attempt.started),
        _micro(attempt.elapsed),
        attempt.status,
        _failure(attempt.error),
        _micro(attempt.waited),
        attempt.waited_for,
    )


def _redirects(result: Result) -> list[Redirect]:
    return [Redirect(str(before.url), before.status) for before in result.redirects]


def _phases(timings: Timings) -> Phases:
    queue, first, download = timings.queue, timings.first_byte, timings.download
    return Phases(
        # As in `_micro`, whose calls would cost more than it does.
        None if queue is None else int(queue * 1e6 + 0.5) / 1e6,
        None if timings.dns is None else _micro(timings.dns),
        None if timings.connect is None else _micro(timings.connect),
        None if timings.tls is None else _micro(timings.tls),
        None if first is None else int(first * 1e6 + 0.5) / 1e6,
        None if download is None else int(download * 1e6 + 0.5) / 1e6,
    )


class _Names(dict[bytes, str]):
    """Names of headers in lower case. Nearly all replies have the same; what a server makes up is not remembered."""

    def __missing__(self, name: bytes) -> str:
        lowered = name.decode("latin-1").lower()
        if len(self) < NAMES and len(name) <= LONGEST_NAME:
            self[name] = lowered
        return lowered


_NAMES = _Names()


def _headers(hop: Hop) -> dict[str, list[str]]:
    try:
        headers = {_NAMES[name]: [value.decode()] for name, value in hop.headers}
    except UnicodeDecodeError:
        headers = {}
    if len(headers) == len(hop.headers):
        # Each is said once, and in UTF-8: most replies are so.
        return headers
    headers = {}
    for name, value in hop.headers:
        key = _NAMES[name]
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        if key in headers:
            headers[key].append(text)
        else:
            headers[key] = [text]
    return headers


def _micro(seconds: float) -> float:
    # Half the cost of round(seconds, 6), and more digits than this mean nothing.
    return int(seconds * 1e6 + 0.5) / 1e6


def stamp(seconds: float) -> str:
    """RFC 3339 of seconds since the epoch."""
    micros = int(seconds * 1e6 + 0.5)
    return f"{_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


@lru_cache(maxsize=256)
def _second(whole: int) -> str:
    # A run's records share few seconds, and the calendar is slow.
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _clean(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot hold: a stray byte as `\\xNN`, others as `\\uNNNN`."""
    return text if text.isascii() else _SURROGATES.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    # PEP 383: a byte that could not be decoded.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _extra(extra: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The columns, fit to be encoded. A `Raw` among them is the source's word for it."""
    if extra is None:
        return None
    try:
        _ENCODER.encode(extra)
    except UnicodeEncodeError:
        return {_clean(name): _clean_value(value) for name, value in extra.items()}
    return extra


def _clean_value(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {_clean_value(key): _clean_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean_value(item) for item in value]
    return value
