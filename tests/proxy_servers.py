"""
Owns the proxies of the tests: Debian's tinyproxy, squid, microsocks and dante, and a SOCKS server of our own that knows
names which nobody else does.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fetcher.demo.server import LOOPBACK
from tests.conftest import missing
from tests.servers import PATIENCE, Authority

USER, PASSWORD = "ann", "s3cret/@:é"
"""Credentials that some proxies want; all but the letters must be encoded in a URL."""

USERINFO = "ann:s3cret%2F%40%3A%C3%A9"

PLAIN_PASSWORD = "s3cret"
"""For those whose configuration cannot write the other one."""

OTHERS_NAME = "only.there.invalid"
"""A name that squid's own hosts file has, and our own SOCKS server; no resolver may ever know it (RFC 6761)."""

READY_STEP = 0.01


def free_port() -> int:
    """A port of the system's choice, for servers that must be told one."""
    with socket.create_server((LOOPBACK, 0)) as chosen:
        port: int = chosen.getsockname()[1]
    return port


class ProxyServer:
    """
    A proxy in a process of its own.

    Attributes:
        port: Where it listens.
        tls_port: Where it listens for TLS, if it does.
    """

    tls_port = 0

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str | os.PathLike[str]], user: str | None = None) -> None:
        """Run it, and wait until it takes connections."""
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=user, cwd=self.folder
            )
        until = time.monotonic() + PATIENCE
        for port in (self.port, self.tls_port or self.port):
            while True:
                with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), PATIENCE):
                    break
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[0]} does not listen: {log.read_text(errors='replace')}")
                time.sleep(READY_STEP)

    def stop(self) -> None:
        """End the process, and wait until it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def url(self, scheme: str = "http", userinfo: str = "") -> str:
        """It as `--proxy` takes it."""
        port = self.tls_port if scheme == "https" else self.port
        return f"{scheme}://{userinfo}{'@' if userinfo else ''}{LOOPBACK}:{port}"


def program(name: str) -> str:
    """Where a program is; the test is skipped without it."""
    # Debian has servers where ordinary users do not look.
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    if found is None:
        missing(name)
    return found


@contextlib.contextmanager
def running(server: ProxyServer) -> Iterator[ProxyServer]:
    """A proxy that is stopped in the end."""
    try:
        yield server
    finally:
        server.stop()


def tinyproxy(folder: Path, extra: str = "") -> ProxyServer:
    """Debian's tinyproxy; `extra` is more of its configuration."""
    server = ProxyServer(folder, free_port())
    configuration = folder / "tinyproxy.conf"
    configuration.write_text(f"Port {server.port}\nListen {LOOPBACK}\nTimeout 60\nMaxClients 100\n{extra}\n")
    server.start([program("tinyproxy"), "-d", "-c", configuration])
    return server


def squid(folder: Path, authority: Authority, *, credentials: bool = False) -> ProxyServer:
    """Debian's squid, also over TLS, with a name of its own in its hosts file."""
    found = program("squid")
    server = ProxyServer(folder, free_port())
    server.tls_port = free_port()
    certificate = folder / "squid.pem"
    certificate.write_bytes(authority.cert_file.read_bytes() + authority.key_file.read_bytes())
    (folder / "hosts").write_text(f"{LOOPBACK} {OTHERS_NAME}\n")
    helper = folder / "credentials.sh"
    # squid hands them over with some bytes percent-encoded.
    helper.write_text(
        f'#!/bin/sh\nwhile read -r user password; do\n[ "$user $password" = "{USER} s3cret/@:%C3%A9" ] '
        "&& echo OK || echo ERR\ndone\n"
    )
    helper.chmod(0o755)
    access = (
        f"auth_param basic program {helper}\nauth_param basic children 1 startup=0\nacl known proxy_auth REQUIRED\n"
        "http_access allow known\nhttp_access deny all"
        if credentials
        else "http_access allow all"
    )
    (folder / "squid.conf").write_text(
        f"""
acl hidden url_regex -i forbidden
http_access deny hidden
acl closed port 1
http_access deny closed
{access}
http_port {LOOPBACK}:{server.port}
https_port {LOOPBACK}:{server.tls_port} tls-cert={certificate}
hosts_file {folder}/hosts
visible_hostname proxy.example
pid_filename none
access_log stdio:{folder}/access.log
cache_log {folder}/cache.log
cache deny all
coredump_dir {folder}
shutdown_lifetime 0 seconds
"""
    )
    user = None
    if os.geteuid() == 0:
        # It does not run as root, and gives its rights up to a user who may not read a test's folders.
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next(name for name in ("proxy", "squid", "nobody") if name in known)
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)
    server.start([found, "-N", "-f", folder / "squid.conf"], user)
    return server


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users may read, which pytest's are not."""
    with tempfile.TemporaryDirectory(prefix="afetch-proxy-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def microsocks(folder: Path, *options: str) -> ProxyServer:
    """Debian's microsocks, which speaks SOCKS5."""
    server = ProxyServer(folder, free_port())
    server.start([program("microsocks"), "-i", LOOPBACK, "-p", str(server.port), *options])
    return server


def dante(folder: Path) -> ProxyServer:
    """Debian's dante-server, which speaks SOCKS4 and SOCKS5."""
    found = program("danted")
    server = ProxyServer(folder, free_port())
    privileged = "user.privileged: root\nuser.unprivileged: nobody\n" if os.geteuid() == 0 else ""
    (folder / "danted.conf").write_text(
        f"logoutput: stderr\n{privileged}internal: {LOOPBACK} port = {server.port}\nexternal: {LOOPBACK}\n"
        "clientmethod: none\nsocksmethod: none\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    server.start([found, "-f", folder / "danted.conf", "-p", folder / "danted.pid"])
    return server


@dataclass(frozen=True)
class Asked:
    """What a client wanted of our SOCKS server."""

    version: int
    host: str
    port: int


class Socks:
    """
    A SOCKS server of our own: 4, 4A and 5, with names that only it knows.

    Attributes:
        asked: What it was asked for so far.

    Args:
        names: Where names lead; others are refused with `refusal`.
        refusal: The code of SOCKS5 for those.
    """

    def __init__(self, names: Mapping[str, str], refusal: int = 4) -> None:
        self.asked: list[Asked] = []
        self._names = names
        self._refusal = refusal
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, IndexError):
                    server.serve(self)

        socketserver.ThreadingTCPServer.daemon_threads = True
        self._server = socketserver.ThreadingTCPServer((LOOPBACK, 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, scheme: str) -> str:
        """It as `--proxy` takes it."""
        return f"{scheme}://{LOOPBACK}:{self.port}"

    def serve(self, client: socketserver.StreamRequestHandler) -> None:
        """One connection from its first byte to its last."""
        version = client.rfile.read(1)[0]
        asked = self._four(client) if version == 4 else self._five(client)
        self.asked.append(asked)
        address = self._names.get(asked.host)
        if version == 4:
            client.wfile.write(bytes([0, 90 if address else 91]) + bytes(6))
        else:
            client.wfile.write(bytes([5, 0 if address else self._refusal, 0, 1]) + bytes(6))
        if address is None:
            return
        with socket.create_connection((address, asked.port), PATIENCE) as upstream:
            other = threading.Thread(target=_pump, args=(client.connection, upstream), daemon=True)
            other.start()
            _pump(upstream, client.connection)
            other.join()

    def _four(self, client: socketserver.StreamRequestHandler) -> Asked:
        _, *rest = client.rfile.read(7)
        host = ".".join(map(str, rest[2:]))
        _until_nul(client)
        if rest[2:5] == [0, 0, 0]:
            host = _until_nul(client).decode()
        return Asked(4, host, rest[0] * 256 + rest[1])

    def _five(self, client: socketserver.StreamRequestHandler) -> Asked:
        client.rfile.read(client.rfile.read(1)[0])
        client.wfile.write(b"\x05\x00")
        kind = client.rfile.read(4)[3]
        if kind == 3:
            host = client.rfile.read(client.rfile.read(1)[0]).decode()
        else:
            host = socket.inet_ntop(
                *((socket.AF_INET, client.rfile.read(4)) if kind == 1 else (socket.AF_INET6, client.rfile.read(16)))
            )
        return Asked(5, host, int.from_bytes(client.rfile.read(2), "big"))


def _until_nul(client: socketserver.StreamRequestHandler) -> bytes:
    text = b""
    while (byte := client.rfile.read(1)) not in (b"", b"\0"):
        text += byte
    return text


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """All that arrives from one side to the other."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
