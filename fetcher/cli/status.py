"""Owns what the command's exit status says."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """
    How a run ended, as the shell sees it.

    Attributes:
        OK: No failure that counts.
        FAILED: The run ended, and more failures counted than may.
        UNUSABLE: The run could not be done: a bad option, an unreadable input, an unwritable output.
        HUNG_UP, INTERRUPTED, TERMINATED: Ended by a signal: 128 and its number.
    """

    OK = 0
    FAILED = 1
    UNUSABLE = 2
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143
