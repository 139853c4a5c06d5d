"""Owns the reading of a reply without a network: what `Reply` makes of bytes, segment by segment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fetcher.client.budget import Budget
from fetcher.client.foundation import head_parser
from fetcher.client.reply import Reply, Wire
from fetcher.errors import ErrorKind
from tests.odd_replies import ODD_REPLIES, Ending, Odd


@dataclass(frozen=True)
class Outcome:
    """
    What came of a reply.

    Attributes:
        keeps: The connection may carry another.
    """

    status: int | None
    version: str | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    kind: ErrorKind | None
    keeps: bool
    wire_size: int
    message: str

    @property
    def essence(self) -> tuple[object, ...]:
        """What must not depend on how the network cut the reply into segments; behind an error nothing is counted."""
        wire_size = self.wire_size if self.kind is None else None
        return self.status, self.version, self.headers, self.body, self.kind, self.keeps, wire_size


def read(
    segments: Iterable[bytes],
    ending: Ending = Ending.CLOSE,
    method: str = "GET",
    *,
    limit: int = 0,
) -> Outcome:
    """What `Reply` makes of these segments. `limit` is `max_size`."""
    loop = asyncio.new_event_loop()
    try:
        wire = Wire(loop)
        wire.parser = head_parser(wire, loop)
        budget = Budget(2**40)
        reply = Reply(wire, method, limit, budget, loop)
        surplus = False
        for segment in segments:
            surplus = surplus or reply.done.done()
            if not surplus:
                reply.feed(segment)
        if ending is Ending.HANG:
            reply.fail(ErrorKind.READ_TIMEOUT, "silence")
        else:
            reply.lost(ConnectionResetError(104, "reset") if ending is Ending.RESET else None)
        assert reply.done.done(), "the reply has not ended"
        # A connection that says more when its reply is over is closed by `Wire`.
        keeps = reply.keeps and not surplus
        budget.arrived(reply.settle(kept=True), reply, kept=False)
        assert budget.used == 0, "bytes were not given back"
        head, error = reply.head, reply.error
        return Outcome(
            head.status if head else None,
            head.version if head else None,
            head.headers if head else (),
            reply.body or b"",
            error.kind if error else None,
            keeps,
            reply.wire_size,
            error.message if error else "",
        )
    finally:
        loop.close()


def read_odd(odd: Odd, segments: Sequence[bytes] | None = None) -> Outcome:
    """What we make of an odd reply, in its own segments or in others."""
    return read(odd.segments if segments is None else segments, odd.ending, odd.answers)


def print_differences() -> None:
    """Say which odd replies are not read as the list says, for a test in a process of its own."""
    for odd in ODD_REPLIES:
        outcome = read_odd(odd)
        if (odd.status, odd.body, odd.kind) != (outcome.status, outcome.body, outcome.kind):
            print(odd.name, outcome)


def in_pieces(raw: bytes, size: int) -> list[bytes]:
    """The bytes in segments of `size`."""
    return [raw[start : start + size] for start in range(0, len(raw), size)]


def cut_at(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """The bytes in segments that end at these places."""
    edges = sorted({0, len(raw), *(place for place in places if 0 < place < len(raw))})
    return [raw[start:end] for start, end in pairwise(edges)]
