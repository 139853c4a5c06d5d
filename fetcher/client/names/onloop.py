"""
Owns the leaning on aiodns: c-ares in the loop's own thread.

aiodns gives c-ares a thread, which hands each answer to the loop; a new host costs an eighth less CPU without. Where no
thread can be had aiodns watches c-ares's sockets by the loop, and it cannot be asked to do so otherwise. What we take
of it for that is less than public, named here, and held by `tests/test_names.py`:

- `DNSResolver._make_channel(**options)` makes the channel, which has `_timeout` too, and says whether it has a thread;
- `DNSResolver._sock_state_cb(fd, readable, writable)` has the loop watch a socket, or not any more, and c-ares look at
  its clock every `_timeout` seconds while there are any;
- `DNSResolver._channel` is pycares's.

The thread would also notice when the system's list of servers changes; `reread` is for whoever notices it instead.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

import pycares
from aiodns import DNSResolver
from aiodns.error import DNSError

__all__ = ["DNSError", "OnLoop"]

TICK = 0.25
"""Seconds after which c-ares is asked whether it is time to ask again, or another server."""


class OnLoop(DNSResolver):
    """
    aiodns's resolver on the running loop, without a thread where the loop can watch sockets.

    Args:
        timeout: Seconds of the first try with a server.
    """

    def __init__(self, timeout: float, **options: Any) -> None:
        super().__init__(timeout=timeout, **options)
        self._timeout = TICK

    def reread(self) -> None:
        """Take over what the system's settings have become."""
        self._channel.reinit()

    def _make_channel(self, **options: Any) -> tuple[bool, pycares.Channel]:
        if sys.platform == "win32":
            return super()._make_channel(**options)
        # The channel knows it, and two that know each other wait for the garbage collector.
        this = weakref.ref(self)

        def watch(descriptor: int, readable: bool, writable: bool) -> None:
            resolver = this()
            if resolver is not None:
                resolver._sock_state_cb(descriptor, readable, writable)  # noqa: SLF001 - named above

        return False, pycares.Channel(sock_state_cb=watch, timeout=self._timeout, **options)
