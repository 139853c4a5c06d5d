"""
Owns the reading of one reply, from the first byte on the connection to the last of the body.

Fed by the protocol as bytes arrive; whoever awaits `done` is woken once, when the reply is whole or has failed. It
keeps what arrived in either case. What is in a content coding is decoded as far as there is room: a few bytes may be a
large body.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from time import perf_counter
from typing import Any, cast

from fetcher.client.budget import Budget
from fetcher.client.capture import Tape
from fetcher.client.codings import BombError, CodingError, Decoder, decoder_for
from fetcher.client.foundation import ResponseHandler, head_parser
from fetcher.client.framing import (
    BODILESS,
    Chunked,
    Framing,
    FramingError,
    Length,
    NoBody,
    Skipped,
    framing_for,
    transfer_codings,
)
from fetcher.client.heads import Head, HeadError, complaint, head_end, might_be_head, read_head, read_partial
from fetcher.client.keeping import Body, ForeignPartError, Keeping
from fetcher.client.pouring import LEAST, Pouring
from fetcher.client.throttle import Throttle
from fetcher.errors import ErrorKind
from fetcher.model import Capture, Error

log = logging.getLogger(__name__)

MAX_HEAD = 1024 * 1024
"""Bytes of one head; curl stops at 300 KB."""

MAX_INTERIM = 1_000
"""Interim replies (1xx) before the real one; curl reads them as long as they come."""

WHOLE = Length(0)
"""The framing of a body that came with its head: it is whole, and keeps the connection."""

NO_ROOM, TOO_FAST, STALLED = 1, 2, 4
"""Reasons for not reading: the budget's, the throttle's, a disk's. We read when there is none."""

FULL = NO_ROOM | STALLED
"""Reasons for not decoding, either."""


class Wire(ResponseHandler):
    """
    A connection's protocol: hands what arrives to the reply that is being read.

    Without a reply it is aiohttp's own protocol, which speaks to proxies; once it has carried one, bytes that nobody
    asked for close it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.parser: Any = None
        self.remote: str | None = None
        self.used = False
        self.on_idle_lost: Callable[[Wire], None] | None = None
        self._reply: Reply | None = None
        self._early = b""

    def attend(self, reply: Reply) -> None:
        """Give a reply what arrives from now on, and what a server said unasked on a new connection."""
        self._reply = reply
        if self.parser is None:
            self.parser = head_parser(self, self._loop)
        if self._early:
            early, self._early = self._early, b""
            reply.feed(early)

    def unasked(self) -> bytes:
        """What was said on a new connection before anybody was asked; whoever takes it has it alone."""
        early, self._early = self._early, b""
        return early

    def forget(self) -> None:
        """The reply is over."""
        self._reply = None
        self.used = True

    def stop(self) -> None:
        """Read nothing from the socket."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if transport.get_extra_info("ssl_object") is not None:
            # Once TLS holds something for us it may not read further: uvloop drops it when it meets the end.
            cast("Any", transport).set_read_buffer_limits(1)
        transport.pause_reading()

    def go(self) -> None:
        """Read on."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    @property
    def pours(self) -> bool:
        """Whether what arrives can be read into somebody's memory."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        # Where memory is full with more to read, TLS comes back for it later; uvloop's not if the end came first.
        return transport.get_extra_info("ssl_object") is None

    def leave(self, reader: asyncio.BaseProtocol, *, go: bool) -> None:
        """
        Leave the connection to another reader, which may be this one again.

        Args:
            go: It is being read, and goes on to be.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        # How a protocol reads is looked at when reading begins.
        transport.pause_reading()
        transport.set_protocol(reader)
        if go:
            transport.resume_reading()

    async def drain(self) -> None:
        """Return when most of what was written has gone, or the connection has."""
        with contextlib.suppress(ConnectionError):
            await self._drain_helper()

    @property
    def waits(self) -> bool:
        """Whether there is something to read: bytes, or the connection's end. True where the system does not tell."""
        transport = self.transport
        if transport is None or transport.is_closing() or not hasattr(select, "poll"):
            return True
        if transport.get_extra_info("ssl_object") is not None and cast("Any", transport).get_read_buffer_size():
            return True
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def data_received(self, data: bytes) -> None:
        if self._reply is not None:
            self._reply.feed(data)
        elif self._parser is not None:
            super().data_received(data)
        elif self.used:
            self.close()
        else:
            self._early += data
            if len(self._early) > MAX_HEAD:
                self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        reply, self._reply = self._reply, None
        if self.on_idle_lost is not None:
            self.on_idle_lost(self)
        super().connection_lost(exc)
        if reply is not None:
            reply.lost(exc)
        # It knows us, and two that know each other wait for the garbage collector: hundreds, where all hosts are new.
        self.parser = None


class Reply:
    """
    One reply as it arrives.

    Args:
        limit: Bytes of the decoded body beyond which it is too large; 0 is no limit.
        ratio: How many times what arrived a decoded body may be, as `decoder_for` has it.
        clip: Of one that is too large, keep what came before.
        skip: Nobody wants the body.

    Attributes:
        head: Once it is read.
        error: Why the reply is not whole.
        size: Bytes of the body so far, decoded.
        wire_size: Bytes of the body as received, without chunk framing.
        first_at: `perf_counter` when its first byte arrived.
        last_at: `perf_counter` when anything last arrived, moved on by what `paused_for` has gained since.
        received: Bytes that arrived, heads and framing included.
        paused_at: Since when we ourselves do not read.
        paused_for: Seconds so far for which we did not read what was there.
        body: Decoded, once `settle` was called.
        interim: Heads of 1xx replies before it.
        tape: Keeps what is heard as it is; given before anything is.
        keeping: Sees to a body that goes to a file; given before anything arrives.
    """

    # Most of these stay as they are for most replies, and are not set for each.
    body: bytes | None = None
    error: Error | None = None
    first_at: float | None = None
    head: Head | None = None
    interim = 0
    keeping: Keeping | None = None
    paused_at: float | None = None
    paused_for = 0.0
    received = 0
    size = 0
    tape: Tape | None = None
    wire_size = 0
    _counted = 0
    _decoder: Decoder | None = None
    _distrusted = False
    _first: bytes | None = None
    _framing: Framing | None = None
    _pending = b""
    _pieces: BytesIO | None = None
    _reasons = 0
    # What is to be done behind the last of what is not decoded.
    _then: Callable[[], None] | None = None

    def __init__(
        self,
        wire: Wire,
        method: str,
        limit: int,
        budget: Budget,
        loop: asyncio.AbstractEventLoop,
        throttle: Throttle | None = None,
        *,
        ratio: int = 0,
        clip: bool = False,
        skip: bool = False,
    ) -> None:
        self._wire = wire
        self._ratio = ratio
        self._method = method
        self._limit = limit
        self._clip = clip
        self._skip = skip
        self._budget = budget
        self._loop = loop
        self._throttle = throttle
        # The pieces of what arrived, made when they are asked for.
        self._undecoded: deque[Iterator[bytes]] = deque()
        self.done: asyncio.Future[None] = loop.create_future()
        self.last_at = perf_counter()

    @property
    def keeps(self) -> bool:
        """Whether the connection is fit for another reply."""
        if self._framing is WHOLE and self.head is not None:
            return self.error is None and not self.head.close
        return (
            self.error is None
            and self.head is not None
            and not self.head.close
            and self._framing is not None
            and self._framing.whole
            and self._framing.keeps
        )

    def settle(self, *, kept: bool) -> int:
        """
        Bytes that the budget counted for the body, which is at `body` from now on.

        None there means that the reply has none (HEAD, 204), or that it is not `kept`: nobody waits for it any more, or
        it was too large.
        """
        first, pieces = self._first, self._pieces
        if self._framing is WHOLE:
            self.body, self._first = first if kept else None, None
            return self._counted
        self._first = self._pieces = self._then = None
        self._undecoded.clear()
        if self.head is None and self._pending:
            head = read_partial(self._pending)
            if head is not None and not head.interim:
                self.head = head
                if self.tape is not None:
                    self.tape.head = self._pending
        too_large = self.error is not None and self.error.kind == ErrorKind.TOO_LARGE
        filed = self.keeping is not None and self.keeping.body is not None
        if kept and not filed and self._framing is not None and not isinstance(self._framing, NoBody):
            if self._clip or not too_large:
                self.body = pieces.getvalue() if pieces is not None else first or b""
            elif self.tape is not None and self._decoder is None:
                self.tape.clip(pieces.getvalue() if pieces is not None else first or b"")
        return self._counted

    @property
    def held(self) -> int:
        """Bytes of the body that are in memory, once `settle` was called."""
        size = 0 if self.body is None else len(self.body)
        return size if self.tape is None else size + self.tape.held

    def captured(self) -> Capture | None:
        """What was said and heard, where that was to be kept; once `settle` was called."""
        if self.tape is None:
            return None
        return self.tape.capture(self.error, whole=self._framing is not None and self._framing.whole)

    def feed(self, data: bytes) -> None:
        """Bytes arrived."""
        self.last_at = perf_counter()
        if self.first_at is None:
            self.first_at = self.last_at
        self.received += len(data)
        if self._throttle is not None:
            self._throttle.take(len(data), self)
        if self._then is not None and self.head is not None:
            # What is behind the end is nobody's, and who sends it is not trusted with another request.
            self.head.close = True
            return
        try:
            if self.head is None:
                data = self._read_head(data)
            if self._framing is not None and not self.done.done():
                self._read_body(self._framing, data)
        except Exception as error:  # noqa: BLE001 - asyncio would write it to standard error, and call it the network's
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        """Fail for what was raised while a reply was read."""
        if isinstance(error, (HeadError, FramingError)):
            self._behind(partial(self.fail, ErrorKind.PROTOCOL, str(error)))
        elif isinstance(error, BombError):
            self.fail(ErrorKind.TOO_LARGE, str(error))
        elif isinstance(error, CodingError):
            self.fail(ErrorKind.DECODE, str(error))
        elif isinstance(error, ForeignPartError):
            self.fail(ErrorKind.INCOMPLETE, str(error))
        elif isinstance(error, MemoryError):
            self.fail(ErrorKind.LOCAL, "out of memory")
        else:
            log.debug("while reading a reply", exc_info=error)
            self.fail(ErrorKind.INTERNAL, f"a bug of ours: {type(error).__name__}: {error}")

    def lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        if self.done.done() or self._then is not None:
            return
        if self._framing is None:
            self._lost_early(exc)
            return
        missing = self._framing.closed()
        if missing is None and exc is not None:
            missing = "the connection broke"
        if missing is not None:
            self._behind(partial(self.fail, ErrorKind.INCOMPLETE, _why(exc, missing)))
        else:
            self._behind(self._finish)

    def _lost_early(self, exc: BaseException | None) -> None:
        pending = self._pending
        if not pending.strip():
            self.fail(ErrorKind.DISCONNECTED, _why(exc, "the server closed the connection without a reply"))
            return
        head = read_partial(pending)
        if head is None and (b"\n" in pending or not might_be_head(pending)):
            self.fail(ErrorKind.PROTOCOL, complaint(pending))
        elif head is None or head.interim:
            self.fail(ErrorKind.DISCONNECTED, _why(exc, "the connection closed before the reply's status was known"))
        else:
            self.fail(ErrorKind.INCOMPLETE, _why(exc, "the connection closed within the head"))

    def fail(self, kind: ErrorKind, message: str) -> None:
        """End the reply here; what arrived is kept."""
        if not self.done.done():
            self.error = Error(kind, message)
            self.done.set_result(None)

    def pause(self) -> None:
        """Stop reading from the socket: there is no room for more bodies."""
        self._stop(NO_ROOM)

    def resume(self) -> None:
        """There is room: read on, unless there is another reason not to."""
        self._go(NO_ROOM)
        if self._undecoded:
            # Not at once: whoever says so is still counting.
            self._loop.call_soon(self._decode_on)

    def stall(self) -> None:
        """Stop reading from the socket: too much waits for a disk."""
        self._stop(STALLED)

    def flow(self) -> None:
        """The disk has caught up: read on, unless there is another reason not to."""
        self._go(STALLED)
        if self._undecoded:
            self._loop.call_soon(self._decode_on)

    def unload(self) -> list[bytes]:
        """What there is in memory of the body, which is let go."""
        first, pieces = self._first, self._pieces
        self._first = self._pieces = None
        archived = 0 if self.tape is None else self.tape.held
        self._budget.moved(self._counted - archived)
        self._counted = archived
        unloaded = [pieces.getvalue()] if pieces is not None else [first] if first is not None else []
        if self._decoder is None:
            for piece in unloaded:
                self._archive(piece)
        return unloaded

    def hold(self) -> None:
        """Stop reading from the socket: more would be above `limit_rate`."""
        self._stop(TOO_FAST)

    def go_on(self) -> None:
        """It is our turn: read on, unless there is another reason not to."""
        self._go(TOO_FAST)

    def free(self) -> None:
        """The reply is over, and its connection is read again."""
        self._go(self._reasons)

    def _stop(self, reason: int) -> None:
        if not self._reasons:
            self.paused_at = perf_counter()
            self._wire.stop()
        self._reasons |= reason

    def _go(self, reason: int) -> None:
        if not self._reasons:
            return
        self._reasons &= ~reason
        if self._reasons or self.paused_at is None:
            return
        now = perf_counter()
        # Where nothing came while we did not listen, it was silence all the same: a throttle that is always short of
        # bytes would otherwise never find out that a server is dead.
        if self._undecoded or self._wire.waits:
            paused = now - self.paused_at
            self.paused_for += paused
            self.last_at = min(now, self.last_at + paused)
        self.paused_at = None
        self._wire.go()

    def _read_head(self, data: bytes) -> bytes:
        """What is behind the head, if that is complete now."""
        if self._pending:
            data = self._pending + data
        while True:
            if data[:1] in (b"\r", b"\n"):
                # Empty lines before a status line are passed over (RFC 9112 2.2).
                data = data.lstrip(b"\r\n")
            self._pending = data
            end = head_end(data)
            if end > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
                raise HeadError(f"a head of more than {MAX_HEAD} bytes")
            if end < 0:
                if not might_be_head(data):
                    # No head will come of this, however long we wait.
                    raise HeadError(complaint(data))
                return b""
            # A parser that refused an interim reply is in no state to read the next head.
            raw, data = data[:end], data[end:]
            head = read_head(None if self._distrusted else self._wire.parser, raw)
            if not head.interim:
                break
            # What was odd about an interim reply is a reason to distrust the connection, too.
            self._distrusted = self._distrusted or head.close
            self.interim += 1
            if self.interim > MAX_INTERIM:
                raise HeadError(f"more than {MAX_INTERIM} interim replies")
        self._pending = b""
        self.head = head
        head.close = head.close or self._distrusted
        if self._take_whole(head, data):
            return b""
        framing = framing_for(self._method, head)
        if head.endless and isinstance(framing, NoBody):
            head.close = self._distrusted
            # It waits for the connection's end and takes no other head.
            self._wire.parser = None
        if self.tape is not None:
            self.tape.head = raw
            self.tape.chunked = isinstance(framing, Chunked) and not self._skip
            self.tape.skipped = self._skip and not isinstance(framing, NoBody)
        if self._skip:
            framing = Skipped(framing)
        codings = head.wanted.get(b"content-encoding")
        if codings is not None or b"transfer-encoding" in head.wanted:
            self._decoder = decoder_for([*(codings or ()), *transfer_codings(head)], self._ratio)
        if self.keeping is not None:
            self.size = self.keeping.begin(head, coded=self._decoder is not None)
        self._framing = framing
        return data

    def _take_whole(self, head: Head, data: bytes) -> bool:
        """
        Whether that was all: a body of the length that was named, which came with its head. Most small replies are.

        Whatever is the least bit special is not taken, and read step by step.
        """
        wanted = head.wanted
        if self._method != "GET" or len(wanted) != 1 or head.status in BODILESS or self._skip:
            return False
        size = len(data)
        if wanted.get(b"content-length") != [b"%d" % size] or (self._limit and size > self._limit):
            return False
        if self.keeping is not None or self.tape is not None:
            return False
        self._framing = WHOLE
        self._first = data
        self.size = self.wire_size = self._counted = size
        self._budget.take(size, self)
        if not self.done.done():
            self.done.set_result(None)
        return True

    def _read_body(self, framing: Framing, data: bytes) -> None:
        if data:
            try:
                data = framing.feed(data)
            except FramingError as error:
                self._decode(error.body)
                raise
            if data:
                self._decode(data)
        if framing.whole:
            self._behind(self._finish)
        elif self.keeping is not None and isinstance(framing, Length):
            self._pour(framing, self.keeping)

    def _pour(self, framing: Length, keeping: Keeping) -> None:
        """Have the rest of a body read to where it is written from, if nothing of it has to be looked at on the way."""
        if (
            keeping.body is not None
            and framing.left >= LEAST
            and self._decoder is None
            and self.tape is None
            and self._throttle is None
            and not self._reasons
            and not (self._limit and self.size + framing.left > self._limit)
            and not self.done.done()
            and self._wire.pours
        ):
            self._wire.leave(Pouring(self._wire, self, framing, keeping.body), go=True)

    def poured(self, framing: Length, body: Body, size: int) -> None:
        """Bytes of the body arrived where it is written from."""
        self.last_at = perf_counter()
        self.received += size
        self.size += size
        self.wire_size += size
        framing.took(size)
        try:
            body.filled(size, self)
        except Exception as error:  # noqa: BLE001 - as in `feed`
            self._broken(error)
        if framing.whole:
            # Otherwise what is behind a body comes with the last of it.
            framing.keeps = not self._wire.waits
            self._wire.leave(self._wire, go=not self._reasons)
            self._finish()

    def _decode(self, data: bytes) -> None:
        self.wire_size += len(data)
        if self._decoder is None:
            self._keep(data)
            return
        self._archive(data)
        self._undecoded.append(self._decoder.feed(data))
        self._undo()

    def _undo(self) -> None:
        """Decode what arrived, as far as there is room, and do what comes behind it."""
        while self._undecoded and not self.done.done():
            # Asked before the first piece, too: with no room for it, each of many replies would be a piece beyond.
            if not self._reasons & NO_ROOM:
                self._budget.take(0, self)
            if self._reasons & FULL:
                return
            for piece in self._undecoded[0]:
                self._keep(piece)
                if self.done.done() or self._reasons & FULL:
                    return
            self._undecoded.popleft()
        then, self._then = self._then, None
        if then is not None:
            then()

    def _decode_on(self) -> None:
        try:
            self._undo()
        except Exception as error:  # noqa: BLE001 - as in `feed`
            self._broken(error)

    def _behind(self, act: Callable[[], None]) -> None:
        """Do it once all that arrived is decoded: almost always at once."""
        if self._undecoded and not self.done.done():
            self._then = act
        else:
            act()

    def _keep(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._limit and self.size > self._limit:
            self.fail(ErrorKind.TOO_LARGE, f"more than {self._limit:,} bytes; allow more with --max-size")
            if self.tape is None or self._decoder is not None:
                return
            self.tape.cut = True
            piece = piece[: self._limit - self.size]
        if self.keeping is not None and self.keeping.take(piece, self):
            if self._decoder is None:
                self._archive(piece)
            return
        if self._first is None:
            self._first = piece
        else:
            # Most bodies are one piece. More go into one buffer that becomes the body itself: never both at once.
            if self._pieces is None:
                self._pieces = BytesIO()
                self._pieces.write(self._first)
                self._first = b""
            self._pieces.write(piece)
        self._counted += len(piece)
        self._budget.take(len(piece), self)

    def _archive(self, data: bytes) -> None:
        """Some of the payload, which is not the body that is in memory, for whoever archives it."""
        if self.tape is not None:
            taken = self.tape.take(data)
            self._counted += taken
            self._budget.take(taken, self)

    def _finish(self) -> None:
        if self.done.done():
            return
        try:
            if self._decoder is not None:
                self._decoder.finish()
        except CodingError as error:
            self.fail(ErrorKind.DECODE, str(error))
        else:
            self.done.set_result(None)


def _why(exc: BaseException | None, otherwise: str) -> str:
    if exc is None:
        return otherwise
    return f"{otherwise}: {exc}" if str(exc) else otherwise
