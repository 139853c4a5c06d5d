"""
Owns what goes between the processes of a run: frames, and how requests and results are put into them.

A frame is its length and a value as `marshal` writes it: both ends are the same Python, and what it costs is a fraction
of what a pickle does. Nearly every entry is a plain URL and nearly every result one reply, so these go as plain tuples;
whatever has more to tell is a pickle within. A large body has a frame of its own, so that nobody copies it to pack it.

A request goes out without the columns of its row: whoever sent it has them still, and joins it to its result again.
"""

from __future__ import annotations

import marshal
import pickle
from asyncio import BaseTransport, Protocol, Transport
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, cast

from msgspec.structs import astuple, replace

from fetcher.model import Attempt, Hop, Job, Origin, Request, Result, Timings, Url

BUFFER = 1024 * 1024
"""Bytes that the system is asked to hold of each direction, so that few wake-ups do."""

LARGE = 256 * 1024
"""Bytes of a body that has a frame of its own."""

ORIGINS = 10_000
"""Origins that are remembered, so that their requests share one."""

_HEAD = Struct("=QB")
_VALUE, _BODY = 0, 1

_ONLY_A_URL = (("GET", None, (), None), None, (None, None, None))
"""What a request has that is nothing but a URL: method, body, headers and error; timeout; fallback and what follows."""

Message = tuple[Any, ...]
"""A word that says what it is, and what belongs to it."""

Arrived = tuple[int, Hop | None, Any, tuple[Hop, ...], tuple[Attempt, ...]]
"""A result without its request: index, hop, error, redirects, attempts."""


class Link(Protocol):
    """
    One end of the line between two processes.

    Args:
        on_message: Told each message that arrives.
        on_end: Told once that the other end is gone.
    """

    def __init__(self, on_message: Callable[[Message], object], on_end: Callable[[], object]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._transport: Transport | None = None
        # What was sent before there was a line.
        self._early: list[bytes] = []
        self._kept: list[bytes] = []
        self._size = 0
        self._need = _HEAD.size
        self._bodies: list[bytes] = []
        self.blocked = False
        self.on_flow: Callable[[], object] = bool

    def connection_made(self, transport: BaseTransport) -> None:
        """The line is there."""
        self._transport = cast("Transport", transport)
        self._transport.writelines(self._early)
        self._early.clear()

    def pause_writing(self) -> None:
        """The other end is slow."""
        self.blocked = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self.blocked = False
        self.on_flow()

    def send(self, *message: Any) -> None:
        """Send a message; never blocks."""
        data = marshal.dumps(message)
        self._write(_HEAD.pack(len(data), _VALUE), data)

    def send_body(self, body: bytes) -> None:
        """Send a body that belongs to the next message."""
        self._write(_HEAD.pack(len(body), _BODY), body)

    def bodies(self) -> list[bytes]:
        """Those that have arrived since this was asked for last."""
        bodies, self._bodies = self._bodies, []
        return bodies

    def close(self) -> None:
        """Send what waits to be sent, and hang up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes from the other end."""
        self._kept.append(data)
        self._size += len(data)
        if self._size < self._need:
            # Not before the whole of a large frame is there: else its beginning would be copied again and again.
            return
        whole = data if len(self._kept) == 1 else b"".join(self._kept)
        self._kept.clear()
        at, end, head = 0, len(whole), _HEAD.size
        self._need = head
        while end - at >= head:
            size, kind = _HEAD.unpack_from(whole, at)
            if end - at - head < size:
                self._need = head + size
                break
            at += head
            if kind == _BODY:
                self._bodies.append(whole[at : at + size])
            else:
                with memoryview(whole) as view, view[at : at + size] as piece:
                    message = marshal.loads(piece)  # noqa: S302 - the other end is a process of ours
                self._on_message(message)
            at += size
        if at < end:
            self._kept.append(whole[at:])
        self._size = end - at

    def connection_lost(self, _exc: Exception | None) -> None:
        """The other end is gone."""
        self._on_end()

    def _write(self, head: bytes, data: bytes) -> None:
        if self._transport is None:
            self._early += (head, data)
        elif not self._transport.is_closing():
            if len(data) < LARGE:
                self._transport.write(head + data)
            else:
                self._transport.write(head)
                self._transport.write(data)


def pack_requests(requests: Sequence[Request]) -> Message:
    """Requests as they travel: their origins once, and each with the number of its own."""
    origins: dict[str, int] = {}
    known: list[Any] = []
    packed: list[Any] = []
    for request in requests:
        url = request.url
        parts = astuple(request)
        if url is None or (parts[3:7], parts[8], parts[10:]) != _ONLY_A_URL:
            packed.append(pickle.dumps(request if request.extra is None else replace(request, extra=None)))
            continue
        origin = url.origin
        number = origins.get(origin.text)
        if number is None:
            number = origins[origin.text] = len(known)
            known.append(astuple(origin))
        packed.append((request.index, request.given, number, url.target, request.save))
    return known, packed


class Unpacking:
    """Makes requests again of what `pack_requests` made."""

    def __init__(self) -> None:
        self._origins: dict[str, Origin] = {}

    def requests(self, known: list[Any], packed: list[Any]) -> list[Request]:
        """The requests, in their order."""
        origins = [self._origin(each) for each in known]
        requests = []
        for each in packed:
            if isinstance(each, bytes):
                requests.append(pickle.loads(each))  # noqa: S301 - a process of our own has made it
                continue
            index, given, number, target, save = each
            url = Url(origins[number], target)
            if save is None:
                requests.append(Request(index, given, url))
            else:
                requests.append(Request(index, given, url, save=save))
        return requests

    def _origin(self, parts: tuple[str, str, int, str]) -> Origin:
        origin = self._origins.get(parts[3])
        if origin is None:
            if len(self._origins) >= ORIGINS:
                self._origins.clear()
            origin = self._origins[parts[3]] = Origin(*parts)
        return origin


def pack_result(result: Result, link: Link) -> Any:
    """A result as it travels, without its request; its body goes ahead where it is large."""
    request, hop, attempts = result.request, result.hop, result.attempts
    if hop is not None and hop.body is not None and len(hop.body) >= LARGE:
        link.send_body(hop.body)
        hop, ahead = replace(hop, body=None), True
    else:
        ahead = False
    if (
        hop is None
        or result.error is not None
        or result.redirects
        or len(attempts) != 1
        or hop.error is not None
        or hop.capture is not None
        or hop.part is not None
        or attempts[0].waited_for is not None
    ):
        whole = pickle.dumps((hop, result.error, result.redirects, attempts), pickle.HIGHEST_PROTOCOL)
        return request.index, ahead, whole
    return (
        request.index,
        ahead,
        hop.method,
        hop.status,
        hop.started,
        hop.elapsed,
        hop.headers,
        hop.body,
        hop.size,
        hop.wire_size,
        hop.truncated,
        astuple(hop.timings),
        hop.remote,
        hop.http_version,
        hop.sha256,
        hop.paused,
        attempts[0].started,
        attempts[0].elapsed,
        attempts[0].waited,
    )


def unpack_result(request: Request, packed: Any, bodies: list[bytes]) -> Result:
    """
    The result of a request.

    Args:
        bodies: Those that came ahead, in their order; what belongs to this one is taken out.
    """
    body = bodies.pop(0) if packed[1] else None
    if isinstance(packed[2], bytes):
        hop, error, redirects, attempts = pickle.loads(packed[2])  # noqa: S301 - as above
        if body is not None:
            hop = replace(hop, body=body)
        return Result(request, hop, error, redirects, attempts)
    method, status, started, elapsed, headers, kept, size, wire_size, truncated, timings, *rest = packed[2:]
    remote, version, sha256, paused, began, spent, waited = rest
    url = cast("Url", request.url)
    hop = Hop(
        url,
        method,
        status,
        None,
        started,
        elapsed,
        headers,
        kept if body is None else body,
        size,
        wire_size,
        truncated,
        Timings(*timings),
        remote,
        version,
        sha256,
        paused,
    )
    return Result(request, hop, None, (), (Attempt(url, began, spent, status, None, waited),))


def pack_job(job: Job) -> tuple[int, bytes]:
    """The index of a job's request, and the rest of it."""
    bare = Request(job.request.index, "", None)
    return job.request.index, pickle.dumps(replace(job, request=bare), pickle.HIGHEST_PROTOCOL)


def pack_moved(request: Request, job: bytes) -> tuple[bytes, bytes]:
    """A job that another process is to go on with, and its request."""
    return pickle.dumps(request if request.extra is None else replace(request, extra=None)), job


def unpack_moved(request: bytes, job: bytes) -> Job:
    """What `pack_moved` packed."""
    moved: Job = pickle.loads(job)  # noqa: S301 - as above
    return replace(moved, request=pickle.loads(request))  # noqa: S301 - as above
