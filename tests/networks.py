"""
Owns networks of a test's own: with their own loopback, their own resolver, and every address of the world in them.

Nothing in such a network reaches anybody outside it. It takes Linux and, unless the tests run as root, a system that
lets its users have one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

SETUP = """
mount --bind "$1" /etc/resolv.conf &&
ip link set lo up &&
ip route add local "$2" dev lo &&
{ [ "$2" != default ] || ip -6 route add local default dev lo 2>/dev/null || true; } &&
echo up &&
exec cat
"""
"""Some addresses, or all, are this machine's; it lives as long as its standard input is open."""

ENVIRONMENT = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"}
"""Ordinary users do not have `ip` on their path, and may well have a network of their own."""

EVERYWHERE = """
import asyncio, sys

async def answer(reader, writer):
    here, port, *_ = writer.get_extra_info("sockname")
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        target = head.split()[1].decode()
        host = head.lower().split(b"\\r\\nhost: ")[1].split(b"\\r\\n")[0].decode()
        print(here, host, target, flush=True)
        place = f"Location: {target.removeprefix('/to/')}\\r\\n" if target.startswith("/to/") else ""
        status = "302 Found" if place else "200 OK"
        writer.write(f"HTTP/1.1 {status}\\r\\n{place}Content-Length: {len(here)}\\r\\n\\r\\n{here}".encode())

async def quietly(reader, writer):
    try:
        await answer(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def serve():
    await asyncio.start_server(quietly, "0.0.0.0", 80)
    try:
        await asyncio.start_server(quietly, "::", 80)
    except OSError:
        pass
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""
"""A site on every address: it says which, and prints where it was asked for what; `/to/URL` is a redirect."""


class Network:
    """
    A network that is not there for anybody else.

    Args:
        addresses: Those of IPv4 that are this machine's, beside its loopback; `default` is every one, of IPv6 too.

    Attributes:
        inside: What stands before a command that is to run in it.
    """

    def __init__(self, folder: Path, addresses: str = "default") -> None:
        nameserver = folder / "resolv.conf"
        nameserver.write_text("nameserver 127.0.0.1\n")
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *user, "--net", "--mount", "sh", "-c", SETUP, "sh", str(nameserver), addresses]
        try:
            self._keeper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
            )
        except FileNotFoundError as error:
            pytest.skip(f"no network of our own can be had here: {error}")
        self._running = [self._keeper]
        assert self._keeper.stdout is not None
        if not self._keeper.stdout.readline():
            _, err = self._keeper.communicate()
            pytest.skip(f"no network of our own can be had here: {err.decode().strip()}")
        kept = ["--user", "--preserve-credentials"] if user else []
        self.inside = ["nsenter", f"--target={self._keeper.pid}", *kept, "--net", "--mount", "--"]

    def run(self, *command: str, until: str = "up") -> subprocess.Popen[bytes]:
        """A program in it, once it has said so much in its output."""
        process = subprocess.Popen(
            [*self.inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
        )
        self._running.append(process)
        assert process.stdout is not None
        said = b""
        while until.encode() not in said:
            line = process.stdout.readline()
            assert line, f"{command[0]} has ended: {said.decode()}"
            said += line
        return process

    def run_site(self) -> subprocess.Popen[bytes]:
        """A site on port 80 of every address."""
        return self.run(sys.executable, "-c", EVERYWHERE)

    def run_dnsmasq(self, program: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
        """dnsmasq, which knows what its options say, and asks nobody."""
        alone = ("--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts")
        # As a daemon it would want to become another user.
        return self.run(program, "--no-daemon", *alone, *options, until="started")

    def ip(self, *words: str) -> bool:
        """Whether the network could be changed so, as `ip` does."""
        done = subprocess.run([*self.inside, "ip", *words], check=False, capture_output=True, env=ENVIRONMENT)
        return done.returncode == 0

    def heard(self, process: subprocess.Popen[bytes]) -> list[str]:
        """All lines that a program has printed, which is ended by that."""
        self._running.remove(process)
        process.kill()
        out, _ = process.communicate()
        return out.decode().splitlines()

    def close(self) -> None:
        """End all that runs in it, and it."""
        for process in reversed(self._running):
            process.kill()
            process.communicate()
