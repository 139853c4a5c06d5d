"""
Owns what an exception means: every one that aiohttp, asyncio, ssl or the system can raise becomes one of our kinds,
here, by a table. The most particular class decides.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator

import aiohttp

from fetcher.client.codings import CodingError
from fetcher.client.foundation import HttpProcessingError
from fetcher.client.framing import FramingError
from fetcher.client.heads import HeadError
from fetcher.client.names.addresses import BlockedError
from fetcher.client.names.askers import LookupFailedError
from fetcher.errors import ErrorKind
from fetcher.model import Error

KINDS: dict[type[BaseException], ErrorKind] = {
    BlockedError: ErrorKind.BLOCKED,
    LookupFailedError: ErrorKind.DNS,
    socket.gaierror: ErrorKind.DNS,
    socket.herror: ErrorKind.DNS,
    HeadError: ErrorKind.PROTOCOL,
    FramingError: ErrorKind.PROTOCOL,
    CodingError: ErrorKind.DECODE,
    HttpProcessingError: ErrorKind.PROTOCOL,
    aiohttp.ClientConnectorDNSError: ErrorKind.DNS,
    aiohttp.ClientProxyConnectionError: ErrorKind.PROXY,
    aiohttp.ClientHttpProxyError: ErrorKind.PROXY,
    aiohttp.ClientSSLError: ErrorKind.TLS,
    aiohttp.ClientConnectorSSLError: ErrorKind.TLS,
    aiohttp.ClientConnectorCertificateError: ErrorKind.TLS,
    aiohttp.ServerFingerprintMismatch: ErrorKind.TLS,
    ssl.SSLError: ErrorKind.TLS,
    ssl.CertificateError: ErrorKind.TLS,
    aiohttp.ConnectionTimeoutError: ErrorKind.CONNECT_TIMEOUT,
    aiohttp.SocketTimeoutError: ErrorKind.READ_TIMEOUT,
    aiohttp.ServerTimeoutError: ErrorKind.READ_TIMEOUT,
    asyncio.TimeoutError: ErrorKind.CONNECT_TIMEOUT,
    aiohttp.ServerDisconnectedError: ErrorKind.DISCONNECTED,
    aiohttp.ServerConnectionError: ErrorKind.DISCONNECTED,
    aiohttp.ClientConnectionResetError: ErrorKind.DISCONNECTED,
    aiohttp.ClientOSError: ErrorKind.DISCONNECTED,
    aiohttp.ClientConnectionError: ErrorKind.DISCONNECTED,
    ConnectionRefusedError: ErrorKind.REFUSED,
    ConnectionError: ErrorKind.DISCONNECTED,
    aiohttp.ClientPayloadError: ErrorKind.INCOMPLETE,
    aiohttp.UploadAbortedError: ErrorKind.DISCONNECTED,
    aiohttp.ContentTypeError: ErrorKind.DECODE,
    aiohttp.TooManyRedirects: ErrorKind.REDIRECTS,
    aiohttp.RedirectClientError: ErrorKind.REDIRECTS,
    aiohttp.InvalidURL: ErrorKind.INVALID_URL,
    aiohttp.NonHttpUrlClientError: ErrorKind.INVALID_URL,
    aiohttp.WSServerHandshakeError: ErrorKind.PROTOCOL,
    aiohttp.WSMessageTypeError: ErrorKind.PROTOCOL,
    aiohttp.WebSocketError: ErrorKind.PROTOCOL,
    aiohttp.BadContentDispositionHeader: ErrorKind.PROTOCOL,
    aiohttp.BadContentDispositionParam: ErrorKind.PROTOCOL,
    aiohttp.EofStream: ErrorKind.INCOMPLETE,
    aiohttp.ClientResponseError: ErrorKind.PROTOCOL,
    aiohttp.ClientError: ErrorKind.PROTOCOL,
    OSError: ErrorKind.UNREACHABLE,
    MemoryError: ErrorKind.LOCAL,
}

ERRNOS: dict[int, ErrorKind] = {
    errno.ECONNREFUSED: ErrorKind.REFUSED,
    errno.ENETUNREACH: ErrorKind.UNREACHABLE,
    errno.EHOSTUNREACH: ErrorKind.UNREACHABLE,
    errno.ENETDOWN: ErrorKind.UNREACHABLE,
    errno.EHOSTDOWN: ErrorKind.UNREACHABLE,
    errno.EAFNOSUPPORT: ErrorKind.UNREACHABLE,
    errno.EACCES: ErrorKind.UNREACHABLE,
    errno.EPERM: ErrorKind.UNREACHABLE,
    errno.EINVAL: ErrorKind.UNREACHABLE,
    errno.ETIMEDOUT: ErrorKind.CONNECT_TIMEOUT,
    errno.ECONNRESET: ErrorKind.DISCONNECTED,
    errno.ECONNABORTED: ErrorKind.DISCONNECTED,
    errno.EPIPE: ErrorKind.DISCONNECTED,
    errno.ENETRESET: ErrorKind.DISCONNECTED,
    errno.ENOTCONN: ErrorKind.DISCONNECTED,
    errno.ESHUTDOWN: ErrorKind.DISCONNECTED,
    errno.EMFILE: ErrorKind.LOCAL,
    errno.ENFILE: ErrorKind.LOCAL,
    errno.ENOBUFS: ErrorKind.LOCAL,
    errno.ENOMEM: ErrorKind.LOCAL,
    errno.EADDRNOTAVAIL: ErrorKind.LOCAL,
    errno.EADDRINUSE: ErrorKind.LOCAL,
    errno.EAGAIN: ErrorKind.LOCAL,
    errno.EBADF: ErrorKind.LOCAL,
}
"""What an errno says about where the trouble is. It decides before the class does, but for names, TLS and proxies."""

DECIDED = frozenset({ErrorKind.DNS, ErrorKind.TLS, ErrorKind.PROXY})

MESSAGES: dict[ErrorKind, str] = {
    ErrorKind.REFUSED: "nothing listens there",
    ErrorKind.UNREACHABLE: "no way there",
    ErrorKind.CONNECT_TIMEOUT: "no connection in time",
    ErrorKind.READ_TIMEOUT: "silence for too long",
    ErrorKind.DISCONNECTED: "the connection was closed before a reply",
    ErrorKind.INTERNAL: "a bug of ours",
}

CERTIFICATES: dict[int, str] = {
    10: "the certificate has expired",
    9: "the certificate is not valid yet",
    18: "the certificate is self-signed",
    19: "a self-signed certificate in the chain: its issuer is not trusted",
    20: "the certificate's issuer is unknown (or the server leaves out a certificate in between)",
    21: "the certificate's issuer is unknown (or the server leaves out a certificate in between)",
    23: "the certificate was revoked",
    62: "the certificate is for another host",
    64: "the certificate is for another address",
}
"""OpenSSL's X509_V_ERR codes, in words."""


def error_of(exc: BaseException) -> Error:
    """The kind and the sentence for an exception; `internal` for one that nobody foresaw."""
    kind = _kind(exc)
    lasting = any(isinstance(cause, LookupFailedError) and cause.lasting for cause in _chain(exc))
    return Error(kind, _message(kind, exc), lasting)


def _kind(exc: BaseException) -> ErrorKind:
    kind = next((KINDS[ancestor] for ancestor in type(exc).__mro__ if ancestor in KINDS), ErrorKind.INTERNAL)
    if kind in DECIDED:
        return _tls_kind(exc) if kind == ErrorKind.TLS else kind
    for cause in _chain(exc):
        if isinstance(cause, OSError) and cause.errno in ERRNOS:
            return ERRNOS[cause.errno]
    return kind


def _tls_kind(exc: BaseException) -> ErrorKind:
    """TLS trouble that is really the connection's: cut in the middle of the handshake."""
    for cause in _chain(exc):
        if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
            return ErrorKind.DISCONNECTED
    return ErrorKind.TLS


def _message(kind: ErrorKind, exc: BaseException) -> str:
    for cause in _chain(exc):
        # aiohttp's own class is one too, without the code: what it was made from says more.
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_code"):
            known = CERTIFICATES.get(cause.verify_code)
            return known or f"the certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            # Only those that OpenSSL raised itself have it.
            reason = getattr(cause, "reason", None)
            if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
                return "the server does not speak TLS on this port; try http://"
            if kind == ErrorKind.DISCONNECTED:
                return "the connection was closed within the TLS handshake"
            return _in_a_line(reason.lower().replace("_", " ") if reason else str(cause))
    if kind == ErrorKind.DNS:
        told = next((cause.strerror for cause in _chain(exc) if isinstance(cause, LookupFailedError)), None)
        return told or _last_words(exc) or "the name could not be looked up"
    general = MESSAGES.get(kind)
    if general is None or kind == ErrorKind.INTERNAL:
        words = _last_words(exc) or type(exc).__name__
        return f"{general}: {type(exc).__name__}: {words}" if general else words
    number = next((cause.errno for cause in _chain(exc) if isinstance(cause, OSError) and cause.errno), None)
    return f"{general} ({os.strerror(number).lower()})" if number else general


def _last_words(exc: BaseException) -> str:
    """What the innermost exception says."""
    words = ""
    for cause in _chain(exc):
        if isinstance(cause, OSError) and cause.strerror:
            words = cause.strerror
        elif str(cause):
            words = str(cause)
    return _in_a_line(words)


def _in_a_line(words: str) -> str:
    return " ".join(words.split())


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """An exception and what it was made from, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = getattr(current, "os_error", None)
        current = inner if isinstance(inner, BaseException) and id(inner) not in seen else current.__cause__
