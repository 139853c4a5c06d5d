"""
Owns the script that anybody would write: one ClientSession, one gather, one line of JSON a URL.

`python plain_aiohttp.py LIST OUT SLOTS`
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from typing import TextIO

import aiohttp


async def fetch(session: aiohttp.ClientSession, url: str, out: TextIO) -> None:
    """One URL, and its line."""
    async with session.get(url) as reply:
        body = await reply.read()
    record = {
        "url": url,
        "status": reply.status,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body.decode(),
    }
    out.write(json.dumps(record) + "\n")


async def main(source: str, target: str, slots: str) -> None:
    """The list."""
    urls = Path(source).read_text().split()
    connector = aiohttp.TCPConnector(limit=int(slots))
    with Path(target).open("w") as out:
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(fetch(session, url, out) for url in urls))


asyncio.run(main(*sys.argv[1:]))
