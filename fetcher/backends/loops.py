"""Owns the event loop: uvloop where it exists, asyncio's own elsewhere."""

from __future__ import annotations

import asyncio
import logging
import socket
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

    class Loop(uvloop.Loop):
        """
        uvloop's, which connects to an address without asking a thread about it.

        Before it connects a socket it looks the address up, as if it could be a name. For a stream it sees for itself
        that there is nothing to look up, but there it does not say that it is one: 35 to 100 microseconds a connection,
        and four threads.
        """

        async def getaddrinfo(self, *args: Any, type: int = 0, **options: Any) -> Any:  # noqa: A002 - as it is called
            return await super().getaddrinfo(*args, type=type or socket.SOCK_STREAM, **options)

    return Loop


def _unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What goes wrong in a connection that nobody awaits any more is not the user's matter."""
    log.debug("%s", context.get("message"), exc_info=context.get("exception"))
