"""Owns which of the workers may work while the limit on their number moves; where it does not move, none waits."""

from __future__ import annotations

import asyncio


class Seats:
    """
    Places for workers that are numbered from 0: those below the limit work, the others wait.

    A semaphore would hand its permits round among all workers, a wake-up for each job. Here who works goes on working.

    Attributes:
        limit: How many may work. More do for a while after it went down: nobody is interrupted.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def move(self, limit: int) -> None:
        """Let so many work."""
        self.limit = limit
        for number in [number for number in self._waiting if number < limit]:
            waiter = self._waiting.pop(number)
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, number: int) -> None:
        """Return when this worker may work."""
        while number >= self.limit:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting[number] = waiter
            await waiter
