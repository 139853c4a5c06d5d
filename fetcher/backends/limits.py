"""Owns what the system allows: open files, which is what connections are."""

from __future__ import annotations

from fetcher.errors import UsageError

SPARE = 64
"""Descriptors for everything that is not a slot: standard streams, outputs, lookups, the loop's own."""

PER_SLOT = 2
"""A slot's own connection, and an idle one that is kept, or the second address that is tried beside the first."""

LEAST = 32
"""Descriptors below which not even the loop, the files and one slot surely have theirs."""

ENOUGH = 65_536
"""Where the hard limit is none at all; macOS refuses an unlimited soft one."""


def fit_descriptors(wanted: int, *, saving: bool = False) -> int:
    """
    How many slots there are descriptors for, at most `wanted`; the soft limit is raised to the hard one.

    Windows has no such limit.

    Args:
        saving: Each slot may have a file, too.

    Raises:
        UsageError: There are not even enough for one.
    """
    try:
        import resource
    except ImportError:
        return wanted
    per_slot, spare = (PER_SLOT + 1, 2 * SPARE) if saving else (PER_SLOT, SPARE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = max(ENOUGH, per_slot * wanted + spare) if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < goal:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
            soft = goal
        except (ValueError, OSError):
            # macOS has a limit below the hard one that it tells nobody; what we have is what there is.
            goal = soft
    if goal < LEAST:
        raise UsageError(f"the system allows {goal} open files, too few to begin; allow more (ulimit -n {LEAST})")
    return max(1, min(wanted, (goal - spare) // per_slot))
