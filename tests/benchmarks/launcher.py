"""
Owns the starting and weighing of one process; a script of its own, for `processes`.

Linux counts into a process's peak what its parent held when it was forked. So the parent must be smaller than anything
that is measured: a bare interpreter, some 9 MB.
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    """Run the command behind the descriptor's number, and write there: status, seconds, CPU seconds, peak in KiB."""
    report = int(sys.argv[1])
    command = sys.argv[2:]
    os.set_inheritable(report, False)
    begun = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    elapsed = time.perf_counter() - begun
    cpu = usage.ru_utime + usage.ru_stime
    # macOS counts bytes, everybody else KiB.
    peak = usage.ru_maxrss // 1024 if sys.platform == "darwin" else usage.ru_maxrss
    os.write(report, f"{os.waitstatus_to_exitcode(status)} {elapsed} {cpu} {peak}".encode())


main()
