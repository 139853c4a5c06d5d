"""Owns how entries of the input become requests: what can be told, and what cannot be. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from fetcher.client.config import TOKEN
from fetcher.errors import UsageError
from fetcher.urls import UrlError, masked, parse_url


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """
    What every request of a run has in common, and how much of the input is read.

    Attributes:
        method: Sent as given; `None` is GET, or POST where there is a body.
        data: The body of every request.
        params: Query parameters added to every URL, in order; encoded here, a blank as `%20`.
        base_url: What entries without a scheme are appended to, with one slash between; it can have neither query
            nor fragment.
        limit: How many entries to read; None is all.
    """

    method: str | None = None
    data: bytes | None = None
    params: tuple[tuple[str, str], ...] = ()
    base_url: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.method is not None and not TOKEN.fullmatch(self.method):
            raise UsageError(f"method {self.method!r}: not an HTTP method, which is one word such as GET or POST")
        if self.limit is not None and self.limit < 0:
            raise UsageError(f"limit must not be negative, and is {self.limit}")
        if self.base_url is not None:
            _check_base(self.base_url)


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
