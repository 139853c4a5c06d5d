"""Owns the one canonical result that every format's test prints whole, and the parts to make others of."""

from __future__ import annotations

from fetcher.errors import ErrorKind
from fetcher.model import Attempt, Error, Hop, Origin, Request, Result, Timings, Url
from fetcher.record import Record, RecordConfig, make_record

HTTP = Origin("http", "example.com", 80, "http://example.com")
HTTPS = Origin("https", "example.com", 443, "https://example.com")

BODY = b'{\n  "name": "caf\xc3\xa9",\n  "price": 1.50\n}\n'


def sample_result() -> Result:
    """A JSON reply behind a redirect, at the second attempt: everything that a record can show, but an error."""
    moved = Hop(Url(HTTP, "/item"), "GET", 301, None, 1767225601.25, 0.05)
    last = Hop(
        Url(HTTPS, "/item?id=7"),
        "GET",
        200,
        None,
        1767225602.5,
        0.1875,
        (
            (b"Content-Type", b"application/json; charset=utf-8"),
            (b"Set-Cookie", b"a=1"),
            (b"Set-Cookie", b"b=2"),
            (b"X-Place", b"caf\xe9"),
        ),
        BODY,
        len(BODY),
        30,
        False,
        Timings(0.001, 0.0125, 0.02, 0.04, 0.0625, 0.0525),
        "192.0.2.7:443",
        "1.1",
    )
    return Result(
        Request(7, "http://user:***@example.com/item#top", moved.url, extra={"id": "7", "note": "naïve"}),
        last,
        None,
        (moved,),
        (
            Attempt(moved.url, 1767225600.0, 0.125, 503, None),
            Attempt(last.url, 1767225602.0, 0.5, 200, None, 1.5, "retry-after"),
        ),
    )


def sample_record() -> Record:
    """The record of `sample_result`."""
    return make_record(sample_result(), RecordConfig())


def failed_result() -> Result:
    """A name that does not exist: a hop without a reply."""
    error = Error(ErrorKind.DNS, "no such name: nowhere.example", lasting=True)
    url = Url(Origin("http", "nowhere.example", 80, "http://nowhere.example"), "/")
    hop = Hop(url, "GET", None, error, 1767225600.0, 0.25, timings=Timings(0.0, 0.25))
    attempt = Attempt(url, hop.started, hop.elapsed, None, error)
    return Result(Request(8, "http://nowhere.example", url), hop, error, (), (attempt,))


def unsent_result() -> Result:
    """A line that is no URL: nothing was sent."""
    error = Error(ErrorKind.INVALID_URL, "scheme 'ftp' is neither http nor https")
    return Result(Request(9, "ftp://example.com/", None, error=error), None, error)


def reply(
    body: bytes | None,
    content_type: bytes | None = None,
    *,
    status: int | None = 200,
    error: Error | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Result:
    """A plain result of one attempt."""
    if content_type is not None:
        headers = (*headers, (b"Content-Type", content_type))
    size = len(body or b"")
    hop = Hop(Url(HTTP, "/"), "GET", status, error, 1767225600.0, 0.1, headers, body, size, size)
    attempt = Attempt(hop.url, hop.started, hop.elapsed, status, error)
    return Result(Request(0, "http://example.com/", hop.url), hop, error, (), (attempt,))
