"""
Owns the one Cookie header of a request, made of all that is to be sent. Pure.

Of one name what was said last counts: what a server set in this redirect chain, then what the user gives, then what was
kept from others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from fetcher.client.cookies.jar import Jar
from fetcher.client.cookies.store import CookieStore
from fetcher.model import Cookie, Job

LONGEST = 8_190
"""Bytes of the whole header, as in curl: many servers refuse more."""


class CookieHeaders:
    """
    The Cookie headers of a run.

    Args:
        given: What is sent with every entry to its own origin.
        jar: What is kept for the run, if anything is.
        wall: Seconds since the epoch.
    """

    def __init__(self, given: Sequence[str], jar: Jar | None, *, wall: Callable[[], float] = time.time) -> None:
        self._given = tuple(given)
        self._jar = jar
        self._wall = wall

    def line(self, job: Job, said: Iterable[str]) -> str:
        """
        The header's value for a job's next hop; empty if there is nothing to send.

        Args:
            said: The values of Cookie headers that are sent to this origin.
        """
        given = [*said, *(self._given if job.trusted else ())]
        if job.cookies is None and self._jar is None:
            return "; ".join(given)
        now = self._wall()
        chain: list[Cookie] = []
        dropped: frozenset[str] = frozenset()
        if job.cookies is not None:
            store = CookieStore(job.cookies.cookies, remember=True)
            chain, dropped = store.find(job.url, now), store.dropped(job.url, now)
        names = {cookie.name for cookie in chain} | dropped
        # Left as they were written: a name may be given twice, and a value have any blanks.
        parts = [part for text in given for part in _parts(text) if _name(part) not in names]
        names.update(map(_name, parts))
        kept = [] if self._jar is None else [cookie for cookie in self._jar.find(job.url) if cookie.name not in names]
        size = len("; ".join(parts))
        for cookie in (*chain, *kept):
            pair = f"{cookie.name}={cookie.value}"
            if size + len(pair) <= LONGEST:
                parts.append(pair)
                size += len(pair) + 2
        return "; ".join(parts)


def _parts(text: str) -> list[str]:
    return [part.strip(" \t") for part in text.split(";") if part.strip(" \t")]


def _name(part: str) -> str:
    return part.partition("=")[0].rstrip(" \t")
