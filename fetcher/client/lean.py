"""
Owns the first import of aiohttp in a process that is the command's alone.

aiohttp makes two TLS contexts while it is imported, and reads the system's certificates into each, which is up to a
quarter of its import. We use neither: `fetcher.client.tls` makes our own, with the list that the user trusts, when the
first https URL comes. So here they stay empty; what came to use one of them after all would trust nobody. It also looks
for aiodns, for a resolver of its own; ours imports that when there is a name to look up.

Not for a library's process: there they may be somebody's.
"""

from __future__ import annotations

import sys


def import_aiohttp() -> None:
    """Import aiohttp without the system's certificates and without aiodns, if nobody has imported it yet."""
    if "aiohttp" in sys.modules:
        return
    import ssl

    # The method is that of the C class below; this one hides it, and is gone afterwards.
    ssl.SSLContext.set_default_verify_paths = _read_none  # type: ignore[assignment, method-assign] # for one import
    hidden = "aiodns" not in sys.modules
    if hidden:
        # What is None there cannot be imported.
        sys.modules["aiodns"] = None  # type: ignore[assignment]
    try:
        import aiohttp  # noqa: F401 - for those who import parts of it
    finally:
        del ssl.SSLContext.set_default_verify_paths
        if hidden:
            del sys.modules["aiodns"]


def _read_none(_context: object) -> None:
    """What takes the place of reading the system's certificates."""
