"""
Owns whether there is a network at all. Pure: the clock's reading comes in by the door.

A failure to connect is in doubt until something gets through: then it was the host's. When failures come from several
hosts and nothing gets through, it is an outage: what was in doubt goes back as if it had never been sent, the run
pauses, and one job at a time tries.

Who fails while others get through says nothing of the network, and neither does who failed before: the last URLs of a
list are its dead ones, and they end long after all the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from fetcher.errors import ErrorKind
from fetcher.frontier.config import FrontierConfig
from fetcher.model import UNCONNECTED, Hop, Job, News

WITNESSES = 20
"""Failures to connect, with none getting through, that are an outage."""

HOSTS = 3
"""How many hosts they must be of."""

BLIND = frozenset({ErrorKind.DNS, ErrorKind.UNREACHABLE})
"""Kinds that are an outage as soon as `HOSTS` hosts have them: nobody looks up names, or no way leads out."""

QUIET = 0.25
"""Seconds for which nothing may have got through, for those: a run under way hears from somebody all the time."""

SUSPECTS = 10_000
"""Hosts that are remembered not to be witnesses."""

PAUSE = 1.0
"""Seconds between two tries."""


LATE = 0.25
"""Seconds for which a failure stays in doubt though something gets through that had begun before it."""


class Ended(NamedTuple):
    """
    A hop that is over, and the job that it was for.

    Attributes:
        elapsed: Seconds for which the job was under way.
    """

    job: Job
    hop: Hop
    news: News
    elapsed: float


class Ruling(NamedTuple):
    """
    What is known now of hops that are over.

    Attributes:
        settled: These count, oldest first.
        returned: These go back as if they had never been sent.
        note: What a person should hear of it.
    """

    settled: Sequence[Ended] = ()
    returned: Sequence[Ended] = ()
    note: str | None = None


NO_RULING = Ruling()


class Outage:
    """
    Watches what gets through.

    Args:
        slots: The most jobs under way at once.

    Attributes:
        since: The clock's time when the run was paused; None while it is not.
        reason: Why it was, for people.
        lasted: Seconds of all pauses that are over.
        count: How many pauses there were in which a try failed.
    """

    def __init__(self, config: FrontierConfig, slots: int, now: float) -> None:
        self._wait = config.outage_wait
        self._armed = config.outage_wait > 0
        self._most = slots + WITNESSES
        # Whether it is a witness, beside each, and the clock's time when it failed.
        self._doubts: deque[tuple[Ended, bool, float]] = deque()
        self._through_at = now
        # Hosts whose failures began a pause that something else ended, oldest first; the values mean nothing.
        self._suspects: dict[str, None] = {}
        self._pausing: set[str] = set()
        self._trying: Job | None = None
        self._try_at = 0.0
        self._failed_tries = 0
        self.since: float | None = None
        self.reason = ""
        self.lasted = 0.0
        self.count = 0

    @property
    def doubts(self) -> bool:
        """Whether there are hops of which nobody knows yet what they mean."""
        return bool(self._doubts)

    def next_try(self) -> float | None:
        """During a pause, the clock's time of the next try; None while one is under way."""
        return self._try_at if self._trying is None else None

    def tries(self, job: Job) -> None:
        """During a pause, a job goes."""
        self._trying = job

    def through(self, host: str, now: float, elapsed: float = 0.0) -> Ruling:
        """
        A host got through with what was under way for `elapsed` seconds: a pause is over, and what was in doubt was the
        hosts', except what failed just before. Connections that were there before an outage still bring their replies.
        """
        self._through_at = now
        self._armed = self._wait > 0
        if self._suspects:
            self._suspects.pop(host, None)
        if self.since is not None:
            self._suspect(host)
            seconds = self._resume(now)
            return Ruling(note=f"the network is back after {seconds:.0f} s" if self._failed_tries else None)
        return self._settle(max(now - elapsed, now - LATE)) if self._doubts else NO_RULING

    def aside(self, job: Job) -> Ruling:
        """A job ended without a word about the network."""
        if self._trying is job:
            self._trying = None
        return NO_RULING

    def failed(self, ended: Ended, now: float) -> Ruling:
        """A job could not connect."""
        if self.since is not None:
            return self._still(ended, now, self.since)
        if not self._armed:
            return Ruling((ended,))
        self._doubts.append((ended, self._is_witness(ended, now), now))
        if self._is_out(now):
            return self._pause(now)
        if len(self._doubts) > self._most:
            return Ruling((self._doubts.popleft()[0],))
        return NO_RULING

    def idle(self, now: float) -> Ruling:
        """Nothing is under way, so nothing more will be heard of what is in doubt."""
        return self._pause(now) if self._blind_hosts() >= HOSTS else self._settle()

    def _still(self, ended: Ended, now: float, since: float) -> Ruling:
        """During a pause, another failure: it goes back, too. The pause ends when it lasted long enough."""
        self._pausing.add(ended.job.host)
        if self._trying is not ended.job:
            return Ruling((), (ended,))
        self._trying = None
        self._try_at = now + PAUSE
        self._failed_tries += 1
        self.count += self._failed_tries == 1
        note = None
        if now - since >= self._wait:
            # From here failures are failures, until something gets through.
            self._armed = False
            self._resume(now)
            note = f"still no network after {self._wait:g} s (--outage-wait): from here failures count"
        elif self._failed_tries == 1:
            note = (
                f"no network ({self.reason}): paused, one URL at a time tries, for up to {self._wait:g} s "
                "(--outage-wait); no retries are used up"
            )
        return Ruling((), (ended,), note)

    def _is_witness(self, ended: Ended, now: float) -> bool:
        if now - ended.elapsed < self._through_at or ended.job.host in self._suspects:
            return False
        return not any(
            attempt.error is not None and attempt.error.kind in UNCONNECTED for attempt in ended.job.attempts
        )

    def _is_out(self, now: float) -> bool:
        witnesses = [ended for ended, witness, _ in self._doubts if witness]
        if len(witnesses) >= WITNESSES and len({ended.job.host for ended in witnesses}) >= HOSTS:
            return True
        return now - self._through_at >= QUIET and self._blind_hosts() >= HOSTS

    def _blind_hosts(self) -> int:
        return len(
            {
                ended.job.host
                for ended, witness, _ in self._doubts
                if witness and ended.hop.error is not None and ended.hop.error.kind in BLIND
            }
        )

    def _pause(self, now: float) -> Ruling:
        self.since = now
        self._pausing = {ended.job.host for ended, _, _ in self._doubts}
        self._failed_tries = 0
        self._try_at = now + PAUSE
        self._trying = None
        last = self._doubts[-1][0].hop.error
        self.reason = "" if last is None else f"{last.kind}: {last.message}"
        returned = [ended for ended, _, _ in self._doubts]
        self._doubts.clear()
        return Ruling((), returned)

    def _suspect(self, host: str) -> None:
        """
        A host ended the pause that others began. Until these get through, too, they are no witnesses any more: or the
        few dead hosts of a list would stop it again and again.
        """
        self._suspects |= dict.fromkeys(self._pausing - {host})
        while len(self._suspects) > SUSPECTS:
            del self._suspects[next(iter(self._suspects))]

    def _resume(self, now: float) -> float:
        """The pause is over. Returns the seconds that it lasted."""
        seconds = now - (now if self.since is None else self.since)
        self.lasted += seconds
        self.since = None
        self._trying = None
        return seconds

    def _settle(self, until: float = inf) -> Ruling:
        """What failed until then counts."""
        doubts = self._doubts
        settled = []
        while doubts and doubts[0][2] <= until:
            settled.append(doubts.popleft()[0])
        return Ruling(settled)
