"""
Owns the server of the lab where there is no nginx.

`python -m tests.benchmarks.quick_server DESCRIPTOR ROOT CERTIFICATE`; an empty word for a certificate is no TLS.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from pathlib import Path

from tests.benchmarks.lab import json_body

TYPES = {".txt": "text/plain", ".json": "application/json", ".gz": "text/plain", ".html": "text/html"}
PACKED = (".gz", ".html")


async def serve(listener: socket.socket, root: Path, certificate: str) -> None:
    """Answer whoever connects, for ever."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
                await _answer(writer, target, root)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(converse, sock=listener, ssl=context)
    await server.serve_forever()


async def _answer(writer: asyncio.StreamWriter, target: str, root: Path) -> None:
    kind, coding, body, file = "text/plain", "", b"ok", None
    if target.startswith("/json/"):
        kind, body = "application/json", json_body(target).encode()
    elif not target.startswith("/tiny/"):
        file = root / target.partition("?")[0].lstrip("/")
        kind, body = TYPES.get(file.suffix, "application/octet-stream"), b""
        coding = "Content-Encoding: gzip\r\n" if file.suffix in PACKED else ""
    size = file.stat().st_size if file is not None else len(body)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{coding}Content-Length: {size}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    if file is not None:
        with file.open("rb") as content:
            await asyncio.get_running_loop().sendfile(writer.transport, content)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        asyncio.run(serve(inherited, Path(sys.argv[2]), sys.argv[3]))
