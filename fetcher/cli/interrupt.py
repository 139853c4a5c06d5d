"""
Owns Ctrl-C where there is no run to end in good order: before it and after it, quietly, with the status of one.

Imports nothing that Python has not loaded itself, because it must be at work while everything else is imported.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import NoReturn

STATUS = 130
"""`ExitStatus.INTERRUPTED`, whose module is not worth its import here."""


def leave_quietly() -> None:
    """From here on Ctrl-C ends the process at once, unless whoever started us has it ignored."""
    # For the instants before there is a handler, and in which one takes another's place.
    sys.excepthook = _report
    import signal

    # An import that is interrupted by an exception may swallow it, or print a traceback from its own clean-up.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


class Interruptible:
    """A context in which Ctrl-C is a KeyboardInterrupt, because there is something to clean up."""

    def __enter__(self) -> None:
        import signal

        self._quiet = signal.getsignal(signal.SIGINT) is _leave
        if self._quiet:
            # Not Python's own: asyncio would put one in its place that waits for an `await`, and an `open` has none.
            signal.signal(signal.SIGINT, _interrupt)

    def __exit__(self, *_: object) -> None:
        import signal

        if self._quiet:
            signal.signal(signal.SIGINT, _leave)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(STATUS)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        os._exit(STATUS)
    sys.__excepthook__(kind, error, trace)
