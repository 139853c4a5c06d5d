"""Owns what can be told of cookies. Imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fetcher.errors import UsageError

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class CookiesConfig:
    """
    Which cookies are sent and kept. What a redirect sets goes with the rest of its chain in any case.

    Attributes:
        cookies: Each `NAME=VALUE`, also several parted by `; `, sent with every entry to its own origin; or, without a
            `=`, the name of a file of cookies to begin with.
        cookie_jar: A file of cookies to begin with, if it is there, into which all are written at the end. With this
            or another file, cookies are kept for the whole run.
    """

    cookies: tuple[str, ...] = field(default=(), repr=False)
    cookie_jar: str | None = None

    def __post_init__(self) -> None:
        for text in self.cookies:
            # It may be a secret, so it is not repeated.
            if not text:
                raise UsageError("cookie: an empty text; write NAME=VALUE, or name a file of cookies")
            if _CONTROLS.search(text):
                raise UsageError("cookie: a control character or a line break; write NAME=VALUE, or name a file")
        if self.cookie_jar in {"", "-"}:
            raise UsageError("cookie_jar is a file that is read and written; name one")

    @property
    def sent_cookies(self) -> tuple[str, ...]:
        """Those that were given themselves."""
        return tuple(text for text in self.cookies if "=" in text)

    @property
    def cookie_files(self) -> tuple[str, ...]:
        """Files of cookies that are read only."""
        return tuple(text for text in self.cookies if "=" not in text)
