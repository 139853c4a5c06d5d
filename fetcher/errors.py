"""
Owns the words for what can go wrong: the kinds of a failed fetch, and the user's mistakes as exceptions.

A failed fetch is a value (`fetcher.model.Error`), never an exception. Exceptions are for what ends a run:

    AfetchError
     ├─ UsageError    an option or a setting that cannot be            exit status 2
     ├─ SourceError   an input that cannot be read                     exit status 2
     ├─ SinkError     an output that cannot be written                 exit status 2
     ├─ ProcessError  the processes of a run end one after the other   exit status 2
     └─ FetchError    a record's failure, when the library's user asks for it as an exception (`fetcher.record`)
"""

from __future__ import annotations

from enum import StrEnum


class ErrorKind(StrEnum):
    """Why there is no whole reply. A stable, published list: scripts branch on it."""

    INVALID_URL = "invalid-url"
    INVALID_REQUEST = "invalid-request"
    BLOCKED = "blocked"
    ROBOTS = "robots"
    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS = "tls"
    PROXY = "proxy"
    DISCONNECTED = "disconnected"
    PROTOCOL = "protocol"
    READ_TIMEOUT = "read-timeout"
    TIMEOUT = "timeout"
    TOO_SLOW = "too-slow"
    INCOMPLETE = "incomplete"
    DECODE = "decode"
    TOO_LARGE = "too-large"
    CHECKSUM = "checksum"
    REDIRECTS = "redirects"
    HOST_DOWN = "host-down"
    LOCAL = "local"
    INTERNAL = "internal"


class AfetchError(Exception):
    """What afetch raises on purpose. Its text says where, what is wrong, and the way out."""


class UsageError(AfetchError):
    """An option or a setting that cannot be, alone or beside another."""


class SourceError(AfetchError):
    """An input that cannot be read."""


class ChangedListError(SourceError):
    """A list that is not the one that an earlier run has begun."""


class SinkError(AfetchError):
    """An output that cannot be written."""


class ProcessError(AfetchError):
    """The processes of a run end one after the other."""
