"""Owns what a run that saves adds to its list: each request's file name, and the hash that its body must have."""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import AsyncGenerator

from msgspec import Raw
from msgspec.structs import replace

from fetcher.errors import ErrorKind
from fetcher.model import Error, Request
from fetcher.saving.names import Namer, NamingError
from fetcher.sources.protocol import Source
from fetcher.sources.template import RowError, plain
from fetcher.sources.through import Through

CHECKSUM = "checksum"
"""The column with a body's hash."""

_HEX = re.compile(r"(?:sha-?256[:=])?([0-9a-f]{64})", re.IGNORECASE)
_BASE64 = re.compile(r"sha256-([A-Za-z0-9+/]{43}=?)")


class Named(Through):
    """
    A source whose requests know what their files are called.

    It stands before whatever leaves requests out, so that the same list gives the same names in every run.
    """

    def __init__(self, source: Source, template: str) -> None:
        super().__init__(source)
        self._namer = Namer(template)

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        async for batch in self._source.batches():
            yield [self._named(request) for request in batch]

    def _named(self, request: Request) -> Request:
        if request.url is None:
            return request
        try:
            name = self._namer.name(request, request.url)
            if request.extra is None or CHECKSUM not in request.extra:
                return replace(request, save=name)
            return replace(request, save=name, checksum=checksum(request.extra[CHECKSUM]))
        except NamingError as error:
            return replace(request, url=None, error=Error(ErrorKind.INVALID_REQUEST, str(error)))


def checksum(cell: str | Raw | None) -> str | None:
    """
    The SHA-256 that a cell says, in hexadecimal; None where it is empty.

    `HEX`, `sha256:HEX`, or `sha256-BASE64` as web pages have it (W3C Subresource Integrity).

    Raises:
        NamingError: It says something else.
    """
    try:
        text = "" if cell is None else plain(CHECKSUM, cell).strip()
    except RowError as error:
        raise NamingError(str(error)) from None
    if not text:
        return None
    if found := _HEX.fullmatch(text):
        return found[1].lower()
    if found := _BASE64.fullmatch(text):
        return a2b_base64(f"{found[1].rstrip('=')}=").hex()
    raise NamingError(f"{CHECKSUM!r} must be a SHA-256: sha256:HEX, sha256-BASE64, or 64 hexadecimal digits alone")
