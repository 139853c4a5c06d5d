"""
Owns what the embedded site has to show: each page's address, how it is answered, and what a fetcher must make of it.

The promises hold for the command's defaults with a read timeout of `PATIENCE`. A new situation is one more `Page`.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from fetcher.demo.answers import (
    HTML,
    chunked,
    cut,
    encoded,
    hang,
    head,
    in_turn,
    json_page,
    later,
    page,
    redirect,
    reset,
    stream,
    until_close,
    verbatim,
)
from fetcher.demo.server import Answer

PATIENCE = 2.0
"""Seconds of read timeout that show the page which never answers, and leave the slow ones (at most 0.9) in peace."""

TRIES = 3
"""Attempts at what stays broken: the first, and the two retries of the command's default."""

QUICK, ITEMS, SLOW = 36, 160, 27
"""How many of the plain kinds: enough for the bar to be looked at, for some five seconds at 20 at a time."""

LINES = 48_000
"""Lines of the large page, 64 bytes each: some 3 MB."""


@dataclass(frozen=True, slots=True)
class Promise:
    """
    What the record of a page must say.

    Attributes:
        error: The error's kind, or None where there must be no error.
        attempts: How many there must be; None where chance has a say.
        size, sha256: Of the decoded body, or of what arrives of it; None promises nothing.
    """

    status: int | None
    error: str | None = None
    ok: bool = False
    attempts: int | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of the site.

    Attributes:
        url: As the list has it.
        answer: What it is answered with; None where nobody answers.
        promise: None for a page that is not in the list, only reached through another.
    """

    url: str
    answer: Answer | None
    promise: Promise | None = None

    @property
    def route(self) -> tuple[str, str]:
        """Host and port, and the target as it goes onto the wire."""
        parts = urlsplit(self.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        return parts.netloc, "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in target)


def pages(home: str, far: str, closed: str) -> list[Page]:
    """
    The whole site, in the order of its list.

    Args:
        home: Origin of the host that behaves.
        far: Origin of the one that often does not; it may be the same.
        closed: Origin of a port where nobody listens.
    """
    return [
        # What takes several tries comes first, so that its waiting falls into the time of the others.
        *_patience(far),
        *_moods(far),
        *_nowhere(closed),
        *_spread(
            _quick(home),
            _items(home, far),
            _slow(home),
            _moved(home, far),
            _missing(home, far),
            _addresses(home),
            _codings(home),
            _framings(home),
            _broken(far),
        ),
    ]


def whole(body: bytes | str, attempts: int | None = None) -> Promise:
    """A page that arrives as it should."""
    content = body.encode() if isinstance(body, str) else body
    return Promise(200, None, True, attempts, len(content), hashlib.sha256(content).hexdigest())


def _html(title: str, text: str = "A page of the embedded site.") -> str:
    return f"<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"


def _plain(url: str, title: str) -> Page:
    body = _html(title)
    return Page(url, page(body), whole(body))


def _patience(far: str) -> list[Page]:
    return [Page(f"{far}/never", hang(), Promise(None, "read-timeout", attempts=TRIES))]


def _moods(far: str) -> list[Page]:
    """What recovers when it is asked again, and what only seems so."""
    calm = _html("Calm", "It took a second request.")
    busy, broken = page(_html("Busy"), 503), page(_html("Broken"), 500)
    limited = page(_html("Too many"), 429, [("Retry-After", "1")])
    late = page(_html("Too late"), 504)
    again = whole(calm, attempts=2)
    return [
        *(Page(f"{far}/limited/{n}", in_turn(limited, page(calm)), again) for n in range(3)),
        *(Page(f"{far}/flaky/{n}", in_turn(busy, page(calm)), again) for n in range(4)),
        Page(f"{far}/moody", in_turn(busy, late, page(calm)), whole(calm, attempts=3)),
        Page(f"{far}/half-then-whole", in_turn(cut(b"half of it"), page(calm)), again),
        Page(f"{far}/broken/500", broken, Promise(500, attempts=TRIES)),
        Page(f"{far}/broken/502", page(_html("Bad gateway"), 502), Promise(502, attempts=TRIES)),
    ]


def _nowhere(closed: str) -> list[Page]:
    return [
        Page(f"{closed}/nobody-is-here", None, Promise(None, "refused", attempts=TRIES)),
        Page("htp:/oops", None, Promise(None, "invalid-url", attempts=0)),
    ]


def _quick(home: str) -> list[Page]:
    pages = [_plain(f"{home}/", "The embedded site")]
    for n in range(1, QUICK):
        body = _html(f"Page {n}")
        pages.append(Page(f"{home}/pages/{n}", later(0.01 * (n % 6), page(body)), whole(body)))
    return pages


def _items(home: str, far: str) -> list[Page]:
    """An API's answers, on both hosts."""
    pages = []
    for n in range(1, ITEMS + 1):
        body = f'{{"id": {n}, "name": "item {n}", "square": {n * n}, "even": {"false" if n % 2 else "true"}}}'
        # 0.15 to 0.75 s, in no order that one sees.
        answer = later(0.15 + 0.06 * (n * 7 % 11), page(body, content_type="application/json"))
        pages.append(Page(f"{home if n % 4 else far}/api/items/{n}", answer, whole(body)))
    return pages


def _slow(home: str) -> list[Page]:
    pages = []
    for n in range(SLOW):
        wait = 100 * (1 + n % 9)
        body = _html(f"{wait} ms late")
        pages.append(Page(f"{home}/slow/{wait}?n={n}", later(wait / 1000, page(body)), whole(body)))
    return pages


def _moved(home: str, far: str) -> list[Page]:
    here = _html("Here", "Where the redirects lead.")
    there = whole(here)
    return [
        Page(f"{home}/here", page(here), there),
        *(Page(f"{home}/moved/{code}", redirect(f"{home}/here", code), there) for code in (301, 302, 303, 307, 308)),
        Page(f"{home}/moved/relative/", redirect("../../here"), there),
        Page(f"{home}/moved/absolute-path", redirect("/here", 301), there),
        Page(f"{home}/moved/fragment", redirect("/here#middle", 301), there),
        Page(f"{home}/moved/from-afar", redirect(f"{far}/moved/back", 307), there),
        Page(f"{far}/moved/back", redirect(f"{home}/here", 307), there),
        Page(f"{home}/chain/5", redirect("4"), there),
        *(Page(f"{home}/chain/{n}", redirect(f"{n - 1}", 302)) for n in (4, 3, 2)),
        Page(f"{home}/chain/1", redirect("/here")),
        Page(f"{home}/loop/a", redirect("b"), Promise(302, "redirects", attempts=1)),
        Page(f"{home}/loop/b", redirect("a")),
        Page(f"{home}/moved/to-mail", redirect("mailto:nobody@example.com"), Promise(302, "redirects", attempts=1)),
        Page(f"{home}/moved/to-missing", redirect("/missing/1"), Promise(404, attempts=1)),
    ]


def _missing(home: str, far: str) -> list[Page]:
    gone, secret = _html("Gone"), _html("Not for you")
    return [
        *(Page(f"{home}/missing/{n}", page(_html("Not here"), 404), Promise(404, attempts=1)) for n in range(1, 5)),
        Page(f"{home}/gone", page(gone, 410), Promise(410, attempts=1, size=len(gone))),
        Page(f"{home}/secret", page(secret, 403), Promise(403, attempts=1, size=len(secret))),
        Page(f"{far}/api/items/0", json_page({"error": "no such item"}, 404), Promise(404, attempts=1)),
        Page(f"{home}/nothing", page(status=204), Promise(204, ok=True, attempts=1, size=0)),
    ]


def _addresses(home: str) -> list[Page]:
    """Addresses that break where a client quotes anew, or does not quote at all."""
    return [
        _plain(f"{home}/a%2Fb%20c?signature=x%2By%3D", "Already encoded"),
        _plain(f"{home}/straße/grüße", "Not yet encoded"),
        _plain(f"{home}/search?q=a+b&q=%E2%9C%93", "A query"),
        _plain(f"{home}/handbook#chapter-2", "A fragment stays at home"),
    ]


def _codings(home: str) -> list[Page]:
    text = _html("Packed", "The same words over and over. " * 400).encode()
    raw = zlib.compressobj(wbits=-15)
    packed: list[tuple[str, str, bytes]] = [
        ("gzip", "gzip", gzip.compress(text)),
        ("deflate", "deflate", zlib.compress(text)),
        # Deflate without its zlib wrapper: wrong by RFC 9110 8.4.1.2, and met often.
        ("deflate-bare", "deflate", raw.compress(text) + raw.flush()),
        ("stacked", "deflate, gzip", gzip.compress(zlib.compress(text))),
    ]
    packed += [(name, name, compress(text)) for name, compress in _optional_codings()]
    return [Page(f"{home}/packed/{name}", encoded(text, coding, body), whole(text)) for name, coding, body in packed]


def _optional_codings() -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Codings whose modules are there, by name. Without its module the client does not ask for one either."""
    for name, homes in (("br", ("brotli", "brotlicffi")), ("zstd", ("compression.zstd", "backports.zstd"))):
        module = _first_module(homes)
        if module is not None:
            yield name, module.compress


def _first_module(names: Iterable[str]) -> Any | None:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def _framings(home: str) -> list[Page]:
    """Replies that end, begin or are labelled in other ways than most."""
    title = _html("Framed")
    body = title.encode()
    pieces = [body[:20], body[20:]]
    drops = [b"drop %d\n" % n for n in range(8)]
    every = bytes(range(256))
    latin = _html("Café", "naïve, Übergröße, señor").encode("latin-1")
    size = 64 * LINES
    digest = hashlib.sha256()
    for block in _large():
        digest.update(block)
    hints = head(103, [("Link", "</style.css>; rel=preload")])
    late = head(200, [("Content-Type", HTML), ("Content-Length", str(len(body)))]) + body
    return [
        Page(f"{home}/chunked", chunked(pieces), whole(body)),
        Page(f"{home}/chunked/trailers", chunked(pieces, trailers=[("X-Checksum", "none")]), whole(body)),
        Page(f"{home}/chunked/drops", chunked(drops, pause=0.1), whole(b"".join(drops))),
        Page(f"{home}/until-close/1.0", until_close(body), whole(body)),
        Page(f"{home}/until-close/1.1", until_close(body, "1.1"), whole(body)),
        Page(f"{home}/early-hints", verbatim(hints + late, last=False), whole(body)),
        Page(f"{home}/empty", page(), whole(b"")),
        Page(f"{home}/latin-1", page(latin, content_type="text/html; charset=iso-8859-1"), whole(latin)),
        Page(f"{home}/latin-1/header", page(title, headers=[("X-Town", "Düsseldorf")]), whole(body)),
        Page(f"{home}/long-header", page(title, headers=[("X-Long", "long " * 4000)]), whole(body)),
        Page(f"{home}/bytes", page(every, content_type="application/octet-stream"), whole(every)),
        Page(f"{home}/large", stream(_large, size), Promise(200, None, True, None, size, digest.hexdigest())),
    ]


def _large() -> Iterator[bytes]:
    for start in range(0, LINES, 1000):
        yield b"".join(b"%07d %-55s\n" % (n, b"a line of the large page") for n in range(start, start + 1000))


def _broken(far: str) -> list[Page]:
    half = _html("Half", "The rest of this page never").encode()
    return [
        Page(f"{far}/cut", cut(half), Promise(200, "incomplete", attempts=TRIES, size=len(half))),
        Page(f"{far}/reset", reset(), Promise(None, "disconnected", attempts=TRIES)),
        Page(f"{far}/closed", verbatim(b""), Promise(None, "disconnected", attempts=TRIES)),
        Page(f"{far}/no-status", verbatim(b"HTTP/1.1 two hundred\r\n\r\n"), Promise(None, "protocol", attempts=1)),
        Page(f"{far}/no-http", verbatim(b"220 mail.example ESMTP\r\n"), Promise(None, "protocol", attempts=1)),
        Page(
            f"{far}/not-gzip",
            page("Not packed at all.", headers=[("Content-Encoding", "gzip")]),
            Promise(200, "decode", attempts=1),
        ),
    ]


def _spread(*groups: list[Page]) -> list[Page]:
    """All pages, each group's evenly over the whole."""
    placed = [((place + 0.5) / len(group), page) for group in groups for place, page in enumerate(group)]
    return [page for _, page in sorted(placed, key=lambda item: item[0])]
