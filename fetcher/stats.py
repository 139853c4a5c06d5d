"""
Owns what a run adds up to: a fold over results, in memory that does not grow with them. Never keeps a result.

Latencies are in a histogram of logarithmic buckets (Masson, Rim and Lee, "DDSketch: A fast and fully-mergeable quantile
sketch with relative-error guarantees", 2019); the worst hosts in Misra and Gries's counters, thinned out in bulk and
merged as in Agarwal et al., "Mergeable summaries", 2012.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fetcher.model import Result

ACCURACY = 0.025
"""How far a quantile may be from the true one, as a share of it."""

SHORTEST, LONGEST = 0.0001, 3600.0
"""Seconds between which that holds; what is beyond is counted at the end next to it."""

HOSTS = 1024
"""Failing hosts that are remembered when they become too many; twice as many before."""

VERDICTS = 16
"""Different verdicts that are told apart for one host."""

_GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
_SCALE = 1 / math.log(_GROWTH)
_FIRST = math.ceil(math.log(SHORTEST) * _SCALE)
_BUCKETS = math.ceil(math.log(LONGEST) * _SCALE) - _FIRST + 1


class Histogram:
    """
    Durations in seconds, from which quantiles can be told.

    Bucket `i` holds those above `_GROWTH ** (i - 1)` and up to `_GROWTH ** i`, and answers with what is at most
    `ACCURACY` away from both ends.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.max = 0.0
        self._buckets = [0] * _BUCKETS

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.count += 1
        self.total += seconds
        if seconds > self.max:
            self.max = seconds
        place = math.ceil(math.log(seconds) * _SCALE) - _FIRST if seconds > SHORTEST else 0
        self._buckets[place if place < _BUCKETS else -1] += 1

    def merge(self, other: Histogram) -> None:
        """Count all of another's."""
        self.count += other.count
        self.total += other.total
        self.max = max(self.max, other.max)
        self._buckets = [mine + theirs for mine, theirs in zip(self._buckets, other._buckets, strict=True)]

    def quantile(self, share: float) -> float | None:
        """
        The duration that `share` of all (above 0, up to 1) do not exceed, by nearest rank; None if there are none.

        Within `ACCURACY` of the true one between `SHORTEST` and `LONGEST`; never above `max`.
        """
        buckets = list(self._buckets)
        rank = math.ceil(share * sum(buckets))
        for place, count in enumerate(buckets):
            rank -= count
            if rank <= 0 < count:
                # Twice the harmonic middle: as far from the one end as from the other, in shares of them.
                return min(2 * _GROWTH ** (place + _FIRST) / (_GROWTH + 1), self.max)
        return None


class HostFailures(NamedTuple):
    """
    A host that failed often.

    Attributes:
        failures: Exactly so many while at most `2 * HOSTS` hosts have failed; then at least so many, and short of the
            truth by less than one in `HOSTS` of all failures.
        verdict: The commonest of them: an error kind, or a status.
    """

    host: str
    failures: int
    verdict: str


class _Tally:
    """How often a host failed, and with which verdicts."""

    __slots__ = ("failures", "verdicts")

    def __init__(self) -> None:
        self.failures = 0
        self.verdicts: dict[str, int] = {}

    def see(self, verdict: str, count: int) -> None:
        if verdict in self.verdicts or len(self.verdicts) < VERDICTS:
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + count

    def commonest(self) -> str:
        verdicts = dict(self.verdicts)
        return max(verdicts, key=verdicts.__getitem__, default="")


class Stats:
    """
    What the results so far add up to.

    One thread adds, others may look at any time: each number is right by itself, if not in step with its neighbours to
    the last result. It pickles.

    Attributes:
        statuses: How many results ended with each HTTP status, those with an error too.
        errors: How many had each error kind.
        size, wire_size: Bytes of all bodies as the records have them: decoded, as received.
        attempts, retries, redirects: Of all results. Refusals are no retries; redirects are of the last attempt.
        latency: Seconds of the last attempt of each result for which something was sent.
    """

    def __init__(self) -> None:
        self.ok = 0
        self.failed = 0
        self.size = 0
        self.wire_size = 0
        self.attempts = 0
        self.retries = 0
        self.redirects = 0
        self.statuses: dict[int, int] = {}
        self.errors: dict[str, int] = {}
        self.latency = Histogram()
        self._hosts: dict[str, _Tally] = {}

    @property
    def results(self) -> int:
        """How many results there were."""
        return self.ok + self.failed

    def add(self, result: Result) -> None:
        """Count a result."""
        hop, error, attempts = result.hop, result.error, result.attempts
        status = None
        if hop is not None:
            status = hop.status
            self.size += hop.size
            self.wire_size += hop.wire_size
            if status is not None:
                self.statuses[status] = self.statuses.get(status, 0) + 1
        if attempts:
            tries = len(attempts)
            self.attempts += tries
            if tries > 1:
                # What a host that wants less refuses is no retry, and neither is another method.
                self.retries += sum((attempt.waited_for or "").partition(";")[0] == "retry" for attempt in attempts)
            if result.redirects:
                self.redirects += len(result.redirects)
            self.latency.add(attempts[-1].elapsed)
        if error is not None:
            self.errors[error.kind.value] = self.errors.get(error.kind.value, 0) + 1
        if error is None and status is not None and status < 400:
            self.ok += 1
        else:
            self.failed += 1
            self._blame(result)

    def merge(self, other: Stats) -> None:
        """Count all that another has counted."""
        self.ok += other.ok
        self.failed += other.failed
        self.size += other.size
        self.wire_size += other.wire_size
        self.attempts += other.attempts
        self.retries += other.retries
        self.redirects += other.redirects
        self.latency.merge(other.latency)
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count
        for kind, count in other.errors.items():
            self.errors[kind] = self.errors.get(kind, 0) + count
        for host, tally in other._hosts.items():
            mine = self._tally(host)
            mine.failures += tally.failures
            for verdict, count in tally.verdicts.items():
                mine.see(verdict, count)

    def worst_hosts(self, most: int = 5) -> list[HostFailures]:
        """The hosts that failed most, the worst first, then by name; at most `most`."""
        tallies = list(self._hosts.items())
        hosts = [HostFailures(host, tally.failures, tally.commonest()) for host, tally in tallies if tally.failures]
        return sorted(hosts, key=lambda host: (-host.failures, host.host))[:most]

    def _blame(self, result: Result) -> None:
        """Count a failure against the host of the last hop, or the one that it did not get to."""
        url = result.hop.url if result.hop is not None else result.request.url
        if url is None:
            return
        error = result.error
        tally = self._tally(url.origin.host)
        # The verdict first: who looks between the two finds no host without one.
        tally.see(str(result.status) if error is None else error.kind.value, 1)
        tally.failures += 1

    def _tally(self, host: str) -> _Tally:
        tally = self._hosts.get(host)
        if tally is None:
            if len(self._hosts) >= 2 * HOSTS:
                self._thin()
            tally = self._hosts[host] = _Tally()
        return tally

    def _thin(self) -> None:
        """Forget half of the hosts, the least bad, and take from the others what the worst of those had."""
        forgotten = sorted((tally.failures for tally in self._hosts.values()), reverse=True)[HOSTS]
        for tally in self._hosts.values():
            tally.failures -= forgotten
        self._hosts = {host: tally for host, tally in self._hosts.items() if tally.failures > 0}
