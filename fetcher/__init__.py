"""
Fetch a list of URLs, ten or ten million: one record for every one of them.

    from fetcher import Settings, fetch_all

    for record in fetch_all(["https://example.com"], Settings(timeout=10)):
        print(record.status, record.url)

Nothing heavy is imported before it is used: `afetch --help` must be quick.
"""

from __future__ import annotations

# `typing` takes longer to load than all of this, and Ctrl-C in these first milliseconds shows a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fetcher.errors import AfetchError, ErrorKind, SinkError, SourceError, UsageError
    from fetcher.hosts import HostConfig
    from fetcher.library import fetch, fetch_all
    from fetcher.record import FetchError, Record
    from fetcher.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "AfetchError",
    "ErrorKind",
    "FetchError",
    "HostConfig",
    "Record",
    "Settings",
    "SinkError",
    "SourceError",
    "UsageError",
    "__version__",
    "fetch",
    "fetch_all",
]

_HOMES = {
    "AfetchError": "fetcher.errors",
    "ErrorKind": "fetcher.errors",
    "FetchError": "fetcher.record",
    "HostConfig": "fetcher.hosts",
    "Record": "fetcher.record",
    "Settings": "fetcher.settings",
    "SinkError": "fetcher.errors",
    "SourceError": "fetcher.errors",
    "UsageError": "fetcher.errors",
    "fetch": "fetcher.library",
    "fetch_all": "fetcher.library",
}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562)."""
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
