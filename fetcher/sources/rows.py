"""
Owns what a row means: its URL, what is its own beside the run's, and what is kept in `extra`. Pure.

How a row is written in its file is left to `jsonl` and `tabular`. A row that cannot be sent becomes a request whose
`error` says the place and why, and no value of the row's: there may be secrets among them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from fetcher.client.config import TOKEN, check_header
from fetcher.errors import ErrorKind, SourceError, UsageError
from fetcher.model import Error, Request
from fetcher.sources.config import SourceConfig
from fetcher.sources.lines import BLANKS, SHOWN, LineParser, basic
from fetcher.sources.payload import JSON, URLENCODED, methods
from fetcher.sources.template import Cell, RowError, Template, for_body, for_header, for_query, for_url, plain
from fetcher.urls import masked

URL = "url"
LINE = "line"
"""The one column of a list of lines."""

LONGEST_WAIT = 1_000_000_000
"""Seconds, some 30 years: no timer holds more."""

LISTED = 20
"""Columns that a message names."""

FRAMING = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a body ends, which we see to."""

_WEB = re.compile(r"https?://", re.IGNORECASE)
_COOKIE = re.compile(r"[^\x00-\x20\x7f;,\"\\=]+")
_COOKIE_VALUE = re.compile(r"[^\x00-\x1f\x7f;]*")
_MASKED = re.compile(r"\A[^/?#]*//[^/?#]*:\*\*\*@")

_PAIRS = msgspec.json.Decoder(list[tuple[Raw, Raw]])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


class Own(Struct, frozen=True):
    """What a row says beside its URL; None and empty leave it to the run."""

    method: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    body: bytes | None = None
    content_type: str | None = None
    timeout: float | None = None
    save: str | None = None


NOTHING = Own()


class RowMaker:
    """
    Makes requests of rows.

    Args:
        parser: Numbers the entries of all inputs, and reads URLs.
        headers: The run's own: where they have a Content-Type, a body gets no other.

    Attributes:
        column: The column with the URL.
    """

    def __init__(
        self, parser: LineParser, config: SourceConfig, headers: Sequence[tuple[str, str | None]] = ()
    ) -> None:
        self.parser = parser
        self.column = config.url_column or URL
        self._method = config.method
        self._asks = config.method is not None and methods(config.method)[1] is not None
        types = [value for name, value in headers if name.lower() == "content-type"]
        self._typed = bool(types)
        self._base = for_url("--base-url", (config.base_url or "").strip()) if config.base_columns else None
        self._query = _QueryMaker(config.params)
        self._headers = _HeaderMaker(headers)
        text = "" if config.data is None else config.data.decode("utf-8", "surrogateescape")
        self._body = for_body("--data", text, types[-1] if types else None)
        self._bare: Template | None = None
        if config.data_json is not None:
            text = config.data_json.decode("utf-8", "surrogateescape")
            self._body = for_body("--data-json", text, JSON)
            # Where a value stands for itself, what is left as it is would be no JSON.
            self._bare = self._body if not _is_json(config.data_json) else None
        self._templates = tuple(
            template
            for template in (self._base, self._body, *self._query.templates, *self._headers.templates)
            if template is not None
        )
        self._changes = any(template is not self._base for template in self._templates)

    @property
    def fills(self) -> bool:
        """Whether there are templates, for which a row must have all its columns."""
        return bool(self._templates)

    @property
    def makes_urls(self) -> bool:
        """Whether the base says each row's URL, so that no column need have one."""
        return self._base is not None

    def asks_for(self, name: str) -> bool:
        """Whether some template has this column."""
        return any(name in template.names for template in self._templates)

    def check(self, columns: Iterable[str], source: str) -> None:
        """
        Nothing, if a table with these columns has all that is asked for.

        Raises:
            SourceError: It lacks a column.
        """
        columns = tuple(columns)
        found = f"columns: {_listed(columns)}"
        for template in self._templates:
            for name in template.names:
                if name not in columns:
                    raise SourceError(
                        f"{source}: no column {name!r}, which {template.where} asks for ({found}); "
                        f"write {{{{{name}}}}} where it is no column"
                    )
        if self._base is None and self.column not in columns:
            if any(_WEB.match(column) for column in columns):
                raise SourceError(
                    f"{source}: the first row must name the columns, and has a URL; is it --input-format lines?"
                )
            raise SourceError(
                f"{source}: no column {self.column!r} ({found}); name the one with the URL with --url-column, or make "
                "it of others with --base-url 'https://...{COLUMN}'"
            )

    def check_lines(self, source: str) -> None:
        """
        Nothing, if no column is asked for that lines lack. Where none asks for the line, braces are what they are, but
        for places where they cannot be.

        Raises:
            SourceError: One is.
        """
        asking = self._templates if self.asks_for(LINE) else (self._base, self._bare)
        for template in asking:
            if template is None:
                continue
            for name in template.names:
                if name != LINE:
                    raise SourceError(
                        f"{source}: no column {name!r}, which {template.where} asks for: it is a list of lines; "
                        f"write {{{LINE}}} for the line, or say what it is with --input-format"
                    )

    def line(self, text: str) -> Request:
        """The next request, of a line for which some template asks."""
        return self.make({LINE: text}, text, None, "")

    def make(
        self, row: Mapping[str, Cell], given: str, extra: Mapping[str, Any] | None, place: str, own: Own = NOTHING
    ) -> Request:
        """
        The next request.

        Args:
            row: All columns, for templates; looked at only if there are some.
            given: The URL's column; empty if there is none, which is right where the base makes URLs.
            place: Where messages say that it stands.
        """
        base = self._base
        try:
            target = self._given(given) if base is None else base.fill(row)
            if own is NOTHING and not self._changes:
                return _with_extra(self.parser.entry(target), extra)
            query = self._query.fill(row, own.query)
            templated = self._headers.fill(row)
            body = self._own_body(own)
            if body is None and self._body is not None:
                body = self._body.fill(row).encode("utf-8", "surrogateescape")
        except RowError as error:
            return self.invalid(place, str(error), given, extra)
        request = self.parser.entry(target, query)
        if request.error is not None:
            return _with_extra(request, extra)
        content_type = own.content_type if own.body is not None and not self._typed else None
        headers = _over(request.headers, templated)
        headers = _over(headers, () if content_type is None else (("Content-Type", content_type),))
        method, fallback = request.method, request.fallback
        if own.method is not None:
            method, fallback = methods(own.method)
        elif self._method is None and own.body is not None:
            method = "POST"
        return replace(
            request,
            method=method,
            body=request.body if body is None else body,
            headers=_over(headers, own.headers),
            extra=extra,
            timeout=own.timeout,
            save=own.save,
            fallback=fallback,
        )

    def invalid(self, place: str, why: str, given: str = "", extra: Mapping[str, Any] | None = None) -> Request:
        """The next request, for a row that cannot be sent."""
        shown = masked(given[:SHOWN].strip(BLANKS)) + ("..." if len(given) > SHOWN else "")
        message = f"{place}: {why}" if place else why
        error = Error(ErrorKind.INVALID_REQUEST, message)
        return Request(self.parser.skip(), shown, None, self.parser.method, None, (), error, extra)

    def _own_body(self, own: Own) -> bytes | None:
        if own.body is not None and own.method is None and self._asks:
            raise RowError("a body, which -X head,get does not send; give the row a 'method'")
        return own.body

    def _given(self, given: str) -> str:
        if not given:
            raise RowError(f"no {self.column!r}")
        return given

    def shown(self, cell: str) -> str:
        """A cell of a row that is not understood: itself if it is a URL, else nothing; it may be any other column."""
        return cell if _WEB.match(cell) else ""


class _QueryMaker:
    """The run's params, where some have columns in them."""

    def __init__(self, params: Iterable[tuple[str, str]]) -> None:
        pairs = [(quoted(name), for_query(f"--param {name}", value), quoted(value)) for name, value in params]
        self.templates = tuple(template for _, template, _ in pairs if template is not None)
        self._pairs = pairs

    def fill(self, row: Mapping[str, Cell], own: str) -> str | None:
        """The whole query that is added; None where it is the run's."""
        if not self.templates and not own:
            return None
        parts = [f"{name}={value if template is None else template.fill(row)}" for name, template, value in self._pairs]
        return "&".join([*parts, own] if own else parts)


class _HeaderMaker:
    """Those of the run's headers whose names have a column in some value."""

    def __init__(self, headers: Iterable[tuple[str, str | None]]) -> None:
        made = [(name, value, for_header(f"--header {name}", value)) for name, value in headers if value is not None]
        self.templates = tuple(template for _, _, template in made if template is not None)
        names = {name.lower() for name, _, template in made if template is not None}
        # A request's own headers replace all of the run's of that name.
        self._made = [(name, value, template) for name, value, template in made if name.lower() in names]

    def fill(self, row: Mapping[str, Cell]) -> tuple[tuple[str, str], ...]:
        return tuple((name, value if template is None else template.fill(row)) for name, value, template in self._made)


def quoted(text: str) -> str:
    """The text as part of a query."""
    return quote(text, safe="", errors="surrogateescape")


def own_of(row: Mapping[str, Raw]) -> Own:
    """
    What a row of JSON says, from the keys that it has of `KEYS`. Null is nothing said.

    Raises:
        RowError: A value is not what it must be.
    """
    if row.keys().isdisjoint(KEYS):
        return NOTHING
    said: dict[str, Any] = {}
    for key, read in KEYS.items():
        raw = row.get(key)
        if raw is not None and bytes(raw) != b"null":
            said[key] = read(raw)
    if not said:
        return NOTHING
    if "data" in said and "json" in said:
        raise RowError("'data' and 'json' are two bodies; leave one of them out")
    if methods(said.get("method", ""))[1] is not None and ("data" in said or "json" in said):
        raise RowError("'method' is head,get, which asks and sends nothing, and there is a body; leave one of them out")
    headers = list(said.get("headers", ()))
    names = {name.lower() for name, _ in headers}
    for key, name in (("cookies", "Cookie"), ("auth", "Authorization")):
        if key in said:
            if name.lower() in names:
                raise RowError(f"{key!r} and a header {name!r} say the same thing; leave one of them out")
            headers.append((name, said[key]))
    return Own(
        said.get("method"),
        tuple(headers),
        said.get("params", ""),
        said.get("data", said.get("json")),
        URLENCODED if "data" in said else JSON,
        said.get("timeout"),
        said.get("save"),
    )


def text_of(name: str, raw: Raw, what: str = "a text") -> str:
    """
    A JSON string's value.

    Raises:
        RowError: It is something else.
    """
    if bytes(raw)[:1] != b'"':
        raise RowError(f"{name!r} must be {what}")
    return str(msgspec.json.decode(raw, type=str))


def _method(raw: Raw) -> str:
    method = text_of("method", raw)
    if not TOKEN.fullmatch(methods(method)[0]):
        raise RowError("'method' is no HTTP method, which is one word such as GET or POST")
    return method


def _headers(raw: Raw) -> tuple[tuple[str, str], ...]:
    headers = _pairs("headers", raw)
    for name, value in headers:
        if name.lower() in FRAMING:
            raise RowError(f"'headers': {name} follows from the body; leave it out")
        try:
            check_header(name, value)
        except UsageError:
            # Its own words have the name, which may be anything.
            known = TOKEN.fullmatch(name)
            why = f"{name} has a control character or a line break" if known else "a name is no header's name"
            raise RowError(f"'headers': {why}") from None
    return tuple(headers)


def _params(raw: Raw) -> str:
    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in _pairs("params", raw))


def _cookies(raw: Raw) -> str:
    cookies = _pairs("cookies", raw)
    if not all(_COOKIE.fullmatch(name) and _COOKIE_VALUE.fullmatch(value) for name, value in cookies):
        raise RowError("'cookies' has a name or a value that no cookie can have")
    return "; ".join(f"{name}={value}" for name, value in cookies)


def _auth(raw: Raw) -> str:
    what = "'auth' must be 'user:password' or [user, password]"
    first = bytes(raw)[:1]
    if first == b'"':
        user, colon, password = text_of("auth", raw).partition(":")
        if not colon:
            raise RowError(what)
    elif first == b"[":
        parts = _LIST.decode(raw)
        if len(parts) != 2 or any(bytes(part)[:1] != b'"' for part in parts):
            raise RowError(what)
        user, password = (text_of("auth", part) for part in parts)
        if ":" in user:
            raise RowError("'auth': a user's name has no colon (RFC 7617)")
    else:
        raise RowError(what)
    return basic(user.encode(), password.encode())


def _timeout(raw: Raw) -> float:
    first = bytes(raw)[:1]
    seconds = float(bytes(raw)) if first.isdigit() or first == b"-" else -1.0
    if not (isfinite(seconds) and 0 <= seconds <= LONGEST_WAIT):
        raise RowError("'timeout' must be a number of seconds, 0 for none")
    return seconds


def _save(raw: Raw) -> str:
    name = text_of("save", raw, "a file's name")
    if not name or "\0" in name:
        raise RowError("'save' must be a file's name")
    return name


def _pairs(key: str, raw: Raw) -> list[tuple[str, str]]:
    """Names and values from an object, whose values may be lists, or from a list of pairs; null leaves a name out."""
    first = bytes(raw)[:1]
    pairs: Iterable[tuple[str, Raw]]
    if first == b"{":
        pairs = _OBJECT.decode(raw).items()
    elif first == b"[":
        try:
            pairs = [(text_of(key, name), value) for name, value in _PAIRS.decode(raw)]
        except (msgspec.ValidationError, RowError):
            raise RowError(f"{key!r} must be an object, or a list of pairs [name, value]") from None
    else:
        raise RowError(f"{key!r} must be an object")
    found = []
    for name, value in pairs:
        values = _LIST.decode(value) if bytes(value)[:1] == b"[" else [value]
        try:
            found += [(name, plain(name, each)) for each in values if bytes(each) != b"null"]
        except RowError:
            raise RowError(f"{key!r} must have texts, numbers, true or false as values, or lists of those") from None
    return found


KEYS: dict[str, Callable[[Raw], Any]] = {
    "method": _method,
    "headers": _headers,
    "params": _params,
    "data": lambda raw: text_of("data", raw, "a text ('json' takes any value)").encode(),
    "json": bytes,
    "cookies": _cookies,
    "auth": _auth,
    "timeout": _timeout,
    "save": _save,
}
"""What a row of JSON can say beside its URL, and how it is read."""


def is_masked(url: str) -> bool:
    """Whether a record's URL had a password, which the record does not tell."""
    return _MASKED.match(url) is not None


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _with_extra(request: Request, extra: Mapping[str, Any] | None) -> Request:
    return request if extra is None else replace(request, extra=extra)


def _over(headers: tuple[tuple[str, str], ...], stronger: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Both, without what the stronger ones replace."""
    if not stronger:
        return headers
    names = {name.lower() for name, _ in stronger}
    return (*(header for header in headers if header[0].lower() not in names), *stronger)


def _listed(columns: tuple[str, ...]) -> str:
    shown = ", ".join(column[:SHOWN] for column in columns[:LISTED])
    return f"{shown}, and {len(columns) - LISTED} more" if len(columns) > LISTED else shown
