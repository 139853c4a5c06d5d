"""Owns the cookies of a run: loaded before it, shared by all its requests, saved after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fetcher.client.cookies.config import CookiesConfig
from fetcher.client.cookies.netscape import check_place, load, save
from fetcher.client.cookies.rules import is_over
from fetcher.client.cookies.store import CookieStore
from fetcher.errors import UsageError
from fetcher.model import Cookie, Hop, Url

COOKIE, COOKIE_JAR = "--cookie", "--cookie-jar"


class Jar:
    """
    What is kept for the run.

    Args:
        wall: Seconds since the epoch.

    Raises:
        UsageError: A file of cookies cannot be read, or could not be written at the end.
    """

    def __init__(self, config: CookiesConfig, *, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._path = config.cookie_jar
        cookies: list[Cookie] = []
        if self._path is not None:
            check_place(self._path, COOKIE_JAR)
            if Path(self._path).is_file():
                cookies = load(self._path, COOKIE_JAR)
        for path in config.cookie_files:
            if not Path(path).exists():
                # Whoever meant a cookie is told how that is written. The text may be one, and is not repeated.
                raise UsageError(f"{COOKIE}: there is no such file; write NAME=VALUE where a cookie is meant")
            cookies += load(path, COOKIE)
        now = wall()
        self._store = CookieStore(cookie for cookie in cookies if not is_over(cookie, now))

    @classmethod
    def of(cls, config: CookiesConfig) -> Jar | None:
        """The jar of a run; None if nothing is kept in it."""
        return cls(config) if config.cookie_jar is not None or config.cookie_files else None

    def find(self, url: Url) -> list[Cookie]:
        """What is sent to a URL."""
        return self._store.find(url, self._wall())

    def take(self, hop: Hop) -> None:
        """Keep what a reply sets."""
        if hop.headers:
            self._store.take(hop.url, hop.headers, self._wall())

    def save(self) -> None:
        """
        Write them into the file, if there is one.

        Raises:
            SinkError: It cannot be written.
        """
        if self._path is not None:
            now = self._wall()
            save(self._path, [cookie for cookie in self._store if not is_over(cookie, now)], COOKIE_JAR)
