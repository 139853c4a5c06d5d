"""
Owns the starting and weighing of one command; a script of its own, for `processes`.

Linux counts into a process's peak what its parent held when it was forked. So the parent must be smaller than anything
that is measured: a bare interpreter, some 9 MB.
"""

from __future__ import annotations

import os
import sys
import time

PAUSE = 0.25
"""Seconds between two looks at what processes there are; each costs a millisecond of the machine that is measured."""


def main() -> None:
    """Run the command behind the descriptor's number, and write there: status, seconds, CPU seconds, peak in KiB."""
    report = int(sys.argv[1])
    command = sys.argv[2:]
    os.set_inheritable(report, False)
    begun = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    peaks = _watch(process) if sys.platform == "linux" else {}
    _, status, usage = os.wait4(process, 0)
    elapsed = time.perf_counter() - begun
    cpu = usage.ru_utime + usage.ru_stime
    # macOS counts bytes, everybody else KiB.
    peak = usage.ru_maxrss // 1024 if sys.platform == "darwin" else usage.ru_maxrss
    # One process alone is known to the kernel better than to who looks at it now and then.
    peak = max(peak, sum(peaks.values()))
    os.write(report, f"{os.waitstatus_to_exitcode(status)} {elapsed} {cpu} {peak}".encode())


def _watch(process: int) -> dict[int, int]:
    """
    The peaks of a process and of all that it starts, in KiB, once it has ended.

    They need not have been at the same time: their sum is no less than what all held together.
    """
    # What is imported before the start is in the peak of what is started.
    import select

    peaks: dict[int, int] = {}
    ended = os.pidfd_open(process)
    while not select.select([ended], [], [], PAUSE)[0]:
        family = [process]
        for each in family:
            family += children(each)
            peaks[each] = peak_of(each) or peaks.get(each, 0)
    os.close(ended)
    return peaks


def children(process: int) -> list[int]:
    """The processes that it has started and that are there."""
    from pathlib import Path

    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        # It has ended, or this kernel does not tell.
        return []


def peak_of(process: int) -> int:
    """The KiB that it has held at most so far; 0 if it has ended."""
    from pathlib import Path

    try:
        told = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = told.partition("VmHWM:")[2].split()
    return int(found[0]) if found else 0


if __name__ == "__main__":
    main()
