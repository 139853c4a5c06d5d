"""
Owns how many bytes of bodies there are between the sockets and the sinks.

Above a limit sockets are not read. One body may always go on while nothing waits to be written, so that fifty half-read
bodies cannot block each other; the overshoot is then at most one body.
"""

from __future__ import annotations

from typing import Protocol


class Reader(Protocol):
    """Something that can be told to stop reading and to go on."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Budget:
    """
    Counts on the loop's thread only; costs nothing while there is room.

    Args:
        size: Bytes that all bodies may cost. Half of them are counted; the other half is for what is not: the one body
            that goes on, what each socket still brings when it is told to pause, and the copy that becomes JSON.
    """

    def __init__(self, size: int) -> None:
        self._limit = size // 2
        self._arriving = 0
        self._waiting = 0
        # Readers that were paused, oldest first; the values mean nothing.
        self._paused: dict[Reader, None] = {}
        self._privileged: Reader | None = None

    @property
    def used(self) -> int:
        """Bytes of bodies arriving, and of those whole and not yet written."""
        return self._arriving + self._waiting

    def take(self, size: int, reader: Reader) -> None:
        """A body grew by `size` bytes; its reader is paused if there is no room for more."""
        self._arriving += size
        if self.used > self._limit and reader is not self._privileged:
            self._paused[reader] = None
            reader.pause()
            self._admit()

    def arrived(self, size: int, reader: Reader, *, kept: bool) -> None:
        """A body of `size` bytes is over. `kept` means that it now waits to be written, until `give`."""
        self._arriving -= size
        if kept:
            self._waiting += size
        self._paused.pop(reader, None)
        if reader is self._privileged:
            self._privileged = None
        if self._paused:
            self._admit()

    def moved(self, size: int) -> None:
        """`size` bytes of a body that still arrives have left memory."""
        self._arriving -= size
        if self._paused:
            self._admit()

    def give(self, size: int) -> None:
        """Bodies of `size` bytes in all were written, or dropped."""
        self._waiting -= size
        if self._paused:
            self._admit()

    def _admit(self) -> None:
        while self._paused and self.used <= self._limit:
            self._resume()
        if self._paused and self._privileged is None and self._waiting <= 0:
            self._privileged = self._resume()

    def _resume(self) -> Reader:
        reader = next(iter(self._paused))
        del self._paused[reader]
        reader.resume()
        return reader
