"""Owns the event loop: uvloop where it exists, asyncio's own elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


def run(main: Coroutine[Any, Any, T]) -> T:
    """What `main` returns, run on a loop of its own."""
    try:
        with asyncio.Runner(loop_factory=_factory()) as runner:
            runner.get_loop().set_exception_handler(_unhandled)
            return runner.run(main)
    finally:
        # Where Ctrl-C came before the loop did: a coroutine that never began would be warned of.
        main.close()


def _factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What goes wrong in a connection that nobody awaits any more is not the user's matter."""
    log.debug("%s", context.get("message"), exc_info=context.get("exception"))
