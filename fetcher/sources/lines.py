"""
Owns how a line of text becomes a request. Pure: bytes and texts in, requests out.

A list is one entry a line. Blanks round it, CRLF and a byte order mark are dropped, `#` begins a comment only at the
start of a line, inner blanks become `%20`. Every line that is neither blank nor a comment gives exactly one request;
one that cannot be sent says why in its `error`.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, unquote_to_bytes

from fetcher.errors import ErrorKind
from fetcher.model import Error, Request
from fetcher.sources.config import SourceConfig
from fetcher.sources.payload import methods, payload_of
from fetcher.sources.protocol import Known
from fetcher.urls import UrlError, begins_with_credentials, masked, parse_url, with_params

LONGEST = 64 * 1024
"""Bytes of the longest line: no server reads a longer URL, and an input without line ends must not fill the memory."""

SUSPECT = LONGEST // 4
"""Characters up to which a line needs no measuring: a character is four bytes at most."""

SHOWN = 200
"""Characters that are shown of a line beyond `LONGEST`."""

BLANKS = " \t\r\v\f\u00a0\u3000\ufeff"
"""
Dropped at both ends of a line. The last is the byte order mark, which also stands at the start of a line where lists
were joined with `cat`.
"""

CREDENTIALS = "user info without a scheme: write http:// or https:// before it, or / if it is a path"
"""Why an entry is not joined to the base."""

# `Special:Random` and `item:42` are paths to put behind a base; these are not.
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.\-]*://|(?:https?|data|javascript|mailto|tel):", re.IGNORECASE)

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class LineSplitter:
    """
    Cuts the bytes of one input into lines, wherever the blocks end.

    Bytes that are no UTF-8 become surrogates (`surrogateescape`). A list that begins with the byte order mark of UTF-16
    is read as that: some editors and shells of Windows write it.

    Args:
        longest: Bytes of a line; of a longer one at least a byte more is kept, for the parser to see that it is.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        # The beginning of a line, in the pieces in which it came: a long one is put together once.
        self._tail: list[bytes] = []
        self._held = 0
        self._begun = False
        self._utf16: codecs.IncrementalDecoder | None = None

    def feed(self, block: bytes) -> list[str]:
        """The lines that the block completes, without their line ends."""
        block = self._utf8(block)
        head, newline, tail = block.rpartition(b"\n")
        if not newline:
            self._keep(block)
            return []
        lines = _decoded(self._taken() + head).split("\n")
        self._keep(tail)
        return lines

    def finish(self) -> list[str]:
        """The last line, if it has no line end."""
        tail = self._taken()
        if self._utf16 is not None:
            tail += self._utf16.decode(b"", final=True).encode("utf-8", "replace")
        # An input of one byte was kept for the mark it could begin, and the byte may be a line end.
        tail = tail.removesuffix(b"\n")
        return [_decoded(tail)] if tail else []

    def _keep(self, piece: bytes) -> None:
        room = self._longest + 1 - self._held
        if piece and room > 0:
            self._tail.append(piece[:room])
            self._held += min(len(piece), room)

    def _taken(self) -> bytes:
        tail = b"".join(self._tail)
        self._tail.clear()
        self._held = 0
        return tail

    def _utf8(self, block: bytes) -> bytes:
        if not self._begun:
            block = self._taken() + block
            if len(block) < len(codecs.BOM_UTF16_LE):
                self._keep(block)
                return b""
            self._begun = True
            if block.startswith(_UTF16):
                self._utf16 = codecs.getincrementaldecoder("utf-16")("replace")
        return self._utf16.decode(block).encode("utf-8", "replace") if self._utf16 is not None else block


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class LineParser:
    """
    Turns lines and entries into requests and numbers them.

    Args:
        headers: Sent with every request of the run: where they have a Content-Type, a body gets no other.

    Attributes:
        method: Of requests that do not say another.
        known: Which lines are passed over: they are numbered, and no requests are made of them.
    """

    def __init__(self, config: SourceConfig, headers: Iterable[tuple[str, str | None]] = ()) -> None:
        self._query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in config.params)
        headers = tuple(headers)
        payload = payload_of(headers, data=config.data, data_json=config.data_json, form=config.form, part=config.range)
        self._body = payload.body
        self._headers = payload.headers
        self.method, self._fallback = methods(config.method or ("GET" if self._body is None else "POST"))
        self._base = (
            None if config.base_url is None or config.base_columns else config.base_url.strip().rstrip("/") + "/"
        )
        self._limit = config.limit
        # Most requests of most runs have nothing but a URL: they are made from three fields.
        self._plain = self.method == "GET" and not self._headers and self._body is None and not self._query
        self.index = 0
        self.known: Known | None = None

    @property
    def full(self) -> bool:
        """Whether as many entries were seen as may be."""
        return self._limit is not None and self.index >= self._limit

    def skip(self) -> int:
        """The next index, for an entry that somebody else made a request of."""
        self.index += 1
        return self.index - 1

    def requests(self, lines: Iterable[str], make: Callable[[str], Request] | None = None) -> list[Request]:
        """
        One request for every line that is neither blank nor a comment, up to the limit.

        Args:
            make: What makes a request of an entry, where that is not `entry`.
        """
        known = self.known if make is None else None
        make = make or self.entry
        requests: list[Request] = []
        for line in lines:
            if len(line) > SUSPECT and _size(line) > LONGEST:
                text = line
                if line[:SUSPECT].lstrip(BLANKS).startswith("#"):
                    continue
            else:
                text = line.strip(BLANKS)
                if not text or text[0] == "#":
                    continue
            if self.full:
                break
            if known is not None and known(self.index, text):
                self.index += 1
                continue
            requests.append(make(text))
        return requests

    def entry(self, text: str, query: str | None = None) -> Request:
        """
        The next request, from a text that is an entry whatever it looks like.

        The URL's user info goes into an Authorization header (RFC 7617), which is the request's own and so stands above
        one that the whole run has.

        Args:
            query: What is added to the URL's query in place of the run's params, already encoded.
        """
        index = self.index
        self.index = index + 1
        if len(text) > SUSPECT and _size(text) > LONGEST:
            given = masked(text[:SUSPECT].lstrip(BLANKS))[:SHOWN] + "..."
            return self._malformed(index, given, f"longer than {LONGEST} bytes, which is no URL")
        target = text
        joined = self._base is not None and _ABSOLUTE.match(text) is None
        if joined:
            if not text:
                return self._malformed(index, "", "an empty entry")
            if begins_with_credentials(text):
                # As a path it would take the password to the base's host, and show it in `final_url`.
                return self._malformed(index, masked(text), CREDENTIALS)
            target = f"{self._base}{text.lstrip('/')}"
        try:
            url, userinfo = parse_url(target)
        except UrlError as error:
            return self._malformed(index, masked(text, joined=joined), str(error))
        given = text if text.isascii() and "@" not in text else masked(text, joined=joined)
        if self._plain and userinfo is None and not query:
            return Request(index, given, url)
        headers = self._headers if userinfo is None else (*self._headers, ("Authorization", basic(*_user(userinfo))))
        url = with_params(url, self._query if query is None else query)
        if self._fallback is None:
            return Request(index, given, url, self.method, self._body, headers)
        return Request(index, given, url, self.method, self._body, headers, fallback=self._fallback)

    def _malformed(self, index: int, given: str, why: str) -> Request:
        return Request(index, given, None, self.method, None, (), Error(ErrorKind.INVALID_URL, why))


def _size(line: str) -> int:
    """Bytes of the line as it was read: each surrogate stands for one."""
    return len(line.encode("utf-8", "replace"))


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogateescape")


def _user(userinfo: str) -> tuple[bytes, bytes]:
    """User and password from `user:password` as a URL has it; a user alone has an empty password (RFC 7617 2)."""
    user, _, password = userinfo.partition(":")
    return _unquoted(user), _unquoted(password)


def _unquoted(text: str) -> bytes:
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))


def basic(user: bytes, password: bytes) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(user + b":" + password).decode("ascii")
