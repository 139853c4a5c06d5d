"""
Owns Ctrl-C where there is no run to end in good order: before it and after it, quietly, with the status of one.

Imports next to nothing, because it must be at work while everything else is imported.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn

STATUS = 130
"""`ExitStatus.INTERRUPTED`, whose module is not worth its import here."""


def leave_quietly() -> None:
    """From here on Ctrl-C ends the process at once, unless whoever started us has it ignored."""
    # An import that is interrupted by an exception may swallow it, or print a traceback from its own clean-up.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
        sys.excepthook = _report


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, Ctrl-C is a KeyboardInterrupt: there is something to clean up."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    # Not Python's own handler: asyncio would put one in its place that waits for an `await`, and an `open` has none.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(STATUS)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For the instant in which one handler takes the other's place."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(STATUS)
    sys.__excepthook__(kind, error, trace)
