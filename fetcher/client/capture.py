"""Owns what is kept of a hop as it goes over the wire, where that is to be archived. Most runs keep nothing of it."""

from __future__ import annotations

from io import BytesIO

from fetcher.client.request_heads import hidden
from fetcher.errors import ErrorKind
from fetcher.model import Capture, Error, Form

LARGEST = 50 * 1024 * 1024
"""Bytes of a payload that are kept where nothing else bounds it."""

_REASONS = {
    ErrorKind.TOO_LARGE: "length",
    ErrorKind.TIMEOUT: "time",
    ErrorKind.READ_TIMEOUT: "time",
    ErrorKind.TOO_SLOW: "time",
    ErrorKind.INCOMPLETE: "disconnect",
    ErrorKind.DISCONNECTED: "disconnect",
}
"""What WARC 1.1 (5.13) calls the reasons for which a reply is cut; others are `unspecified`."""


class Tape:
    """
    What was said and heard for one hop.

    Args:
        request: As it is sent, its body included unless that is a form.
        body: The request's.
        limit: Bytes that are kept of a payload in a content coding; 0 stands for `LARGEST`.

    Attributes:
        head: The reply's, or what there is of it.
        chunked: The payload comes in chunks.
        skipped: There is one that nobody wants.
        cut: There is more of it than may be kept.
        held: Bytes of the payload, where that is not the reply's body.
    """

    def __init__(self, request: bytes, body: bytes | Form | None, limit: int) -> None:
        # Of a form only the head is kept: it may be in files, of any size.
        self._form = isinstance(body, Form)
        self._sent = body if isinstance(body, bytes) else b""
        self._request = request[: len(request) - len(self._sent)]
        self._limit = limit or LARGEST
        self._payload: BytesIO | None = None
        self.head = b""
        self.chunked = False
        self.skipped = False
        self.cut = False
        self.held = 0

    def take(self, data: bytes) -> int:
        """Keep some of a payload that is not the reply's body; how many bytes of it are kept."""
        piece = data[: self._limit - self.held]
        self.cut = self.cut or len(piece) < len(data)
        if self._payload is None:
            self._payload = BytesIO()
        self._payload.write(piece)
        self.held += len(piece)
        return len(piece)

    def clip(self, beginning: bytes) -> None:
        """Keep what there is of a body that is too large."""
        self._payload = BytesIO(beginning)
        self.held = len(beginning)

    def capture(self, error: Error | None, *, whole: bool) -> Capture:
        """
        All of it.

        Args:
            whole: The payload came to its end.
        """
        reason = "length" if self.cut else "unspecified" if self.skipped else ""
        if error is not None and not whole:
            reason = reason or _REASONS.get(error.kind, "unspecified")
        head, empty, _ = self._request.partition(b"\r\n\r\n")
        payload = self._payload.getvalue() if self._payload is not None else None
        return Capture(hidden(head) + empty, self._form, self.head, payload, self.chunked, reason, sent=self._sent)
