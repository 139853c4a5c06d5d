"""
Owns whom we trust.

One context for the run, made when the first https URL comes: loading certifi's list takes 10 to 20 ms.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import certifi

from fetcher.client.config import ClientConfig
from fetcher.client.phases import note
from fetcher.errors import UsageError


class Context(ssl.SSLContext):
    """An SSLContext that notes when a handshake begins, which neither aiohttp nor asyncio tells."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """The TLS side of a connection, as the standard library makes it."""
        note("tls_started")
        return super().wrap_bio(*args, **options)


def make_context(config: ClientConfig) -> Context:
    """
    A client's context as the settings say.

    Raises:
        UsageError: The file of certificates cannot be read, or has none.
    """
    context = Context(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if config.cacert is None:
        context.load_verify_locations(cafile=certifi.where())
        return context
    path = Path(config.cacert)
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        else:
            context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise UsageError(f"{path}: no certificates in it (PEM is expected); give another file with --cacert") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give another file with --cacert") from error
    return context
