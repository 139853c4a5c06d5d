"""Owns how entries of the input become requests: what can be told, and what cannot be. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from fetcher.client.config import TOKEN
from fetcher.errors import UsageError
from fetcher.sources.payload import is_range, methods
from fetcher.sources.template import for_url
from fetcher.urls import UrlError, masked, parse_url

InputFormat = Literal["auto", "lines", "jsonl", "csv", "tsv"]


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """
    What every request of a run has in common, and how much of the input is read.

    Attributes:
        method: Sent as given; `None` is GET, or POST where there is a body. `head,get` asks with HEAD, and with GET
            where a server refuses that or is not to be believed; no body is kept then.
        data: The body of every request.
        data_json: The same, as JSON. One of the three at most.
        form: The same, as a form's parts: names, and values as `fetcher.sources.payload` reads them (`@FILE`).
        range: The part of each body to ask for, as curl has it: `0-499`, `-500`, `9500-`, or several with commas.
        params: Query parameters added to every URL, in order; encoded here, a blank as `%20`.
        base_url: What entries without a scheme are appended to, with one slash between; it can have neither query
            nor fragment. With columns in it (`https://example.com/items/{id}`) it is each row's URL.
        limit: How many entries to read; None is all.
        unique: Drop the entries whose request (method, URL, body) repeats an earlier one; they have no record.
        input_format: What lists are; `auto` goes by a file's suffix, then by the first entry.
        url_column: The column, or key, with the URL; None is `url`.
    """

    method: str | None = None
    data: bytes | None = None
    data_json: bytes | None = None
    form: tuple[tuple[str, str], ...] = ()
    range: str | None = None
    params: tuple[tuple[str, str], ...] = ()
    base_url: str | None = None
    limit: int | None = None
    unique: bool = False
    input_format: InputFormat = "auto"
    url_column: str | None = None

    def __post_init__(self) -> None:
        bodies = [name for name in ("data", "data_json", "form") if getattr(self, name) not in {None, ()}]
        if len(bodies) > 1:
            raise UsageError(f"{' and '.join(bodies)} contradict each other: a request has one body")
        if self.method is not None:
            method, fallback = methods(self.method)
            if not TOKEN.fullmatch(method):
                raise UsageError(f"method {self.method!r}: not an HTTP method, which is one word such as GET or POST")
            if fallback is not None and bodies:
                raise UsageError(
                    f"method {self.method} and {bodies[0]} contradict each other: it asks, and sends nothing"
                )
        if self.range is not None and not is_range(self.range):
            raise UsageError(
                f"range {self.range!r}: write 0-499, 9500- for the rest, -500 for the last, or several with commas"
            )
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"limit must not be negative, and is {self.limit}")
        if self.input_format not in get_args(InputFormat):
            raise UsageError(f"input_format {self.input_format!r} is none of {', '.join(get_args(InputFormat))}")
        if self.base_url is not None:
            (_check_columns if self.base_columns else _check_base)(self.base_url)

    @property
    def base_columns(self) -> bool:
        """Whether the base has columns in it."""
        template = None if self.base_url is None else for_url("", self.base_url)
        return template is not None and bool(template.names)


def _check_columns(base: str) -> None:
    """A base with columns is a URL if it is one for values that fit everywhere."""
    template = for_url("--base-url", base.strip())
    if template is None:
        return
    if not base.strip().lower().startswith(("http://", "https://")):
        raise UsageError(f"base-url {masked(base)!r}: it must begin with http:// or https://; --url-column names a URL")
    why: UrlError | None = None
    for sample in ("x", "1"):
        try:
            parse_url(template.fill(dict.fromkeys(template.names, sample)))
        except UrlError as error:
            why = error
        else:
            return
    raise UsageError(f"base-url {masked(base)!r}: {why}") from why


def _check_base(base: str) -> None:
    try:
        parse_url(base.strip())
    except UrlError as error:
        # A base is no way out of a base without a scheme.
        why = str(error).removesuffix(", or give --base-url")
        raise UsageError(f"base-url {masked(base)!r}: {why}") from error
    if "?" in base or "#" in base:
        raise UsageError(
            f"base-url {masked(base)!r}: entries are appended to its path, so it can have no query and no fragment; "
            "give a query with --param"
        )
