"""
Owns the script that anybody would write: one ClientSession, one gather, one line of JSON a URL, or one file.

`python plain_aiohttp.py LIST OUT SLOTS AUTHORITY FOLDER PATIENCE`, empty words for what there is none of.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import sys
from pathlib import Path
from typing import TextIO

import aiohttp

CHUNK = 64 * 1024


async def fetch(session: aiohttp.ClientSession, url: str, out: TextIO) -> None:
    """One URL, and its line."""
    record = {"url": url, "status": None, "bytes": 0, "sha256": None}
    try:
        async with session.get(url) as reply:
            body = await reply.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        record["error"] = str(error)
    else:
        record |= {
            "status": reply.status,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "body": body.decode(),
        }
    out.write(json.dumps(record) + "\n")


async def save(session: aiohttp.ClientSession, url: str, folder: Path) -> None:
    """One URL, and its file."""
    async with session.get(url) as reply:
        with (folder / url.rsplit("/", 1)[1]).open("wb") as file:
            async for chunk in reply.content.iter_chunked(CHUNK):
                file.write(chunk)


async def main(source: str, target: str, slots: str, authority: str, folder: str, patience: str) -> None:
    """The list."""
    urls = Path(source).read_text().split()
    trusted = ssl.create_default_context(cafile=authority) if authority else True
    connector = aiohttp.TCPConnector(limit=int(slots), ssl=trusted)
    # A total would begin with the wait for a slot.
    seconds = float(patience) if patience else None
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        if folder:
            await asyncio.gather(*(save(session, url, Path(folder)) for url in urls))
            return
        with Path(target).open("w") as out:
            await asyncio.gather(*(fetch(session, url, out) for url in urls))


asyncio.run(main(*sys.argv[1:]))
