"""
Owns how a run is divided among its processes: how many there are, what is each one's share, and where an entry goes.

Pure, but for the question how many processors there are.
"""

from __future__ import annotations

import os
from dataclasses import replace
from math import ceil
from pathlib import Path
from zlib import crc32

from fetcher.errors import UsageError
from fetcher.hosts import Hosts
from fetcher.settings import Settings

FEWEST, ENOUGH = 8, 64
"""Entries of one host that are not divided, and that are, however many its home can have under way at once."""

MOST_SPLIT = 10_000
"""Hosts that are divided at most: what is divided is remembered until the end."""

_CGROUPS = Path("/sys/fs/cgroup")


def processors(groups: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """
    How many processors this process may use: by its affinity, and by what its control group and those above allow.

    Args:
        groups: Where the control groups' files are.
        membership: Says which one is ours.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota in _quotas(groups, membership):
        allowed = min(allowed, max(1, ceil(quota)))
    return allowed


def processes_of(settings: Settings) -> int:
    """
    How many processes are to fetch; never more than there are slots or places in the window.

    Raises:
        UsageError: A setting does not go with several.
    """
    wanted = processors() if settings.processes == "auto" else settings.processes
    count = min(wanted, settings.slots, settings.window)
    if count > 1 and (settings.cookie_jar is not None or settings.cookie_files):
        if settings.processes == "auto":
            return 1
        what = "cookie" if settings.cookie_jar is None else "cookie-jar"
        raise UsageError(
            f"--processes and --{what} FILE contradict each other (cookies that are kept for a whole run are kept in "
            "one process); leave one of them out"
        )
    return count


def divided(settings: Settings, number: int, count: int) -> Settings:
    """
    What process `number` of `count` is told: its share of what is the run's.

    But for what moves among them while they run (see `allotment`): of that it is told the whole. With `auto` each
    finds out how many of its own slots do best, and they stay its own.
    """
    auto = settings.concurrency == "auto"
    return replace(
        settings,
        processes=1,
        max_concurrency=_part(settings.slots, number, count) if auto else settings.max_concurrency,
        window=max(_part(settings.window, number, count), min(settings.window, settings.slots)),
        body_budget=settings.body_budget // count,
    )


class Router:
    """
    Says which process an entry goes to: by its host's name, so that a host's limits and connections are in one place.

    A host that most of what is known is of is divided among all, or among as many as it may have requests at once.
    """

    def __init__(self, settings: Settings, count: int) -> None:
        self._count = count
        self._per_host = settings.per_host
        self._robots = settings.robots
        self._hosts = Hosts(settings)
        self._from = max(FEWEST, min(ENOUGH, settings.slots // count))
        self._known: dict[str, int] = {}
        self._total = 0
        self._homes: dict[str, int] = {}
        self._ways: dict[str, int] = {}
        self._places: dict[str, list[int]] = {}
        # One that would not be divided is not asked again.
        self._asked: set[str] = set()

    def home(self, host: str) -> int:
        """The process that a host belongs to."""
        return home(host, self._count)

    def took(self, host: str) -> bool:
        """An entry of a host is known from now on. Whether that host is to be divided now."""
        known = self._known.get(host, 0) + 1
        self._known[host] = known
        self._total += 1
        if known < self._from or 2 * known <= self._total or host in self._ways or host in self._asked:
            return False
        return len(self._ways) < MOST_SPLIT and self.most_ways(host) > 1

    def gave(self, host: str) -> None:
        """One of its entries has its result."""
        self._total -= 1
        known = self._known[host] - 1
        if known:
            self._known[host] = known
        else:
            del self._known[host]

    def most_ways(self, host: str) -> int:
        """Among how many a host may be divided. Not one whose robots.txt each of them would ask for."""
        if self._robots:
            return 1
        said = self._hosts.find(host)
        limit = self._per_host if said is None or said.concurrency is None else said.concurrency
        return self._count if limit is None else min(self._count, limit)

    def asked(self, host: str) -> None:
        """Its home has been asked to let others have a part of it."""
        self._asked.add(host)

    def unasked(self, number: int) -> None:
        """A process has ended, which may have been asked and has not answered."""
        self._asked = {host for host in self._asked if self.home(host) != number}

    def divide(self, host: str) -> None:
        """From now on a host's entries may go to several."""
        self._ways[host] = self.most_ways(host)
        self._places[host] = self.may_be_asked_by(host)

    def may_be_asked_by(self, host: str) -> list[int]:
        """The processes that a host would be divided among, its home first."""
        first = self.home(host)
        return [(first + place) % self._count for place in range(self.most_ways(host))]

    @property
    def divided(self) -> dict[str, int]:
        """The hosts that are divided, and among how many."""
        return self._ways

    def may_go_to(self, host: str) -> list[int]:
        """The processes that a host's entries may go to, its home first."""
        return self._places.get(host) or [self.home(host)]


def home(host: str, count: int) -> int:
    """The process that a host belongs to; the same in each of them."""
    # The checksums of `a1` and `a2` differ in the same bits wherever the names are from, and a few hosts of one kind
    # may all be even. Knuth's multiplier mixes them ("The Art of Computer Programming", 6.4).
    mixed = crc32(host.encode("utf-8", "surrogatepass")) * 2654435761 & 0xFFFFFFFF
    return (mixed >> 16) % count


def _part(whole: int, place: int, count: int) -> int:
    return whole // count + (place < whole % count)


def _quotas(groups: Path, membership: Path) -> list[float]:
    """Processors' worth of time that our control group and those above it may use."""
    quotas = []
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 2 has one tree for all, version 1 one for each controller.
        root = groups if not controllers else groups / controllers
        folder = root / path.lstrip("/")
        for place in (folder, *folder.parents):
            quotas += _quota(place)
            if place == root:
                break
    return quotas


def _quota(folder: Path) -> list[float]:
    for read in (_quota_v2, _quota_v1):
        try:
            quota = read(folder)
        except (OSError, ValueError):
            continue
        return [] if quota is None else [quota]
    return []


def _quota_v2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return None if quota < 0 else quota / int((folder / "cpu.cfs_period_us").read_text())
