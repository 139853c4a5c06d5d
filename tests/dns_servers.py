"""
Owns a DNS server that says what a test says: odd answers, late ones, none.

`python -m tests.dns_servers ZONE` serves a zone from a JSON file on port 53, for a network of a test's own.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

A, CNAME, AAAA = 1, 5, 28


class Code(IntEnum):
    """What a server says where it has no answer (RFC 1035 4.1.1)."""

    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@dataclass(frozen=True)
class Name:
    """
    What there is to say of a name.

    Attributes:
        addresses: Of both families; those of the other family than was asked for are left out.
        code: Said instead.
        ttl: Seconds.
        delay: Seconds before anything is said.
        silent: Types of questions that nobody hears.
        alias: Another name, which has these addresses; the alias is good for `alias_ttl` seconds.
    """

    addresses: Sequence[str] = ()
    code: int = 0
    ttl: int = 60
    delay: float = 0.0
    silent: Sequence[int] = ()
    alias: str | None = None
    alias_ttl: int = 60


SILENT = Name(silent=(A, AAAA))


class DnsServer:
    """
    Answers on UDP, as a zone says; what is not in it does not exist.

    Attributes:
        asked: Names and types of the questions, oldest first.
    """

    def __init__(self, zone: Mapping[str, Name], host: str = "127.0.0.1", port: int = 0) -> None:
        self.zone = dict(zone)
        self.asked: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._host = f"[{host}]" if ":" in host else host
        self._thread = threading.Thread(target=self._serve, name="dns", daemon=True)

    @property
    def address(self) -> str:
        """`127.0.0.1:5353`, as c-ares takes it."""
        return f"{self._host}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It wakes who reads from it, which closing alone does not.
        self._socket.setblocking(False)
        with socket.socket(self._socket.family, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def count(self, name: str) -> int:
        """How often a name was asked for."""
        return sum(asked == name for asked, _ in self.asked)

    def _serve(self) -> None:
        while True:
            try:
                query, peer = self._socket.recvfrom(4096)
            except BlockingIOError:
                return
            if not query:
                return
            name, kind, end = _question(query)
            self.asked.append((name, kind))
            known = self.zone.get(name, Name(code=Code.NXDOMAIN))
            if kind in known.silent:
                continue
            reply = _reply(query, end, kind, known)
            if known.delay:
                threading.Timer(known.delay, self._socket.sendto, (reply, peer)).start()
            else:
                self._socket.sendto(reply, peer)


def _question(query: bytes) -> tuple[str, int, int]:
    """Name, type, and where the question ends."""
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode("ascii").lower())
        place += query[place] + 1
    [kind] = struct.unpack_from(">H", query, place + 1)
    return ".".join(labels), kind, place + 5


def _reply(query: bytes, end: int, kind: int, known: Name) -> bytes:
    records = []
    owner = b"\xc0\x0c"
    if known.alias is not None:
        target = b"".join(bytes([len(label)]) + label.encode("ascii") for label in known.alias.split(".")) + b"\0"
        records.append(_record(owner, CNAME, known.alias_ttl, target))
        owner = target
    addresses = map(ip_address, known.addresses)
    wanted = 6 if kind == AAAA else 4
    records += [_record(owner, kind, known.ttl, each.packed) for each in addresses if each.version == wanted]
    flags = 0x8180 | known.code
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + query[12:end] + b"".join(records)


def _record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def main(path: str) -> None:
    """Serve for ever."""
    zone = {name: Name(**told) for name, told in json.loads(Path(path).read_text()).items()}
    with DnsServer(zone, port=53) as server:
        print("up", flush=True)
        server._thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
