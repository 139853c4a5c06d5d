"""
Owns what the benchmarks fetch from: one quick server on loopback in a process of its own, and a folder for their files.

nginx where it is installed, else a small asyncio server (`quick_server`), which is slower; what is kept says which. On
Linux every address of 127.0.0.0/8 answers, so a list can have as many hosts as it wants; in a network of our own
(`network`) they have names, which dnsmasq knows.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.benchmarks import network

PATIENCE = 10.0
"""Seconds until whoever answers lookups has started."""

LOOPBACK = "127.0.0.1"
FIRST_HOST = int(ipaddress.ip_address("127.1.0.0"))

PADDING = "x" * 990
"""Makes the body under /json/ some 1 KB."""


class Lab:
    """
    A server and a folder, both gone at the end.

    Attributes:
        folder: For lists, outputs and whatever else a benchmark writes.
        server: What serves.
        port: Where.
        authority: The file of the certificate that vouches for what is `secure`.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="afetch-benchmark-"))
        self.server = "nginx"
        self.port = 0
        self.authority = self.folder / "authority.pem"
        self._tls_port = 0
        self._root = self.folder / "root"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._root.mkdir()
        self.port = self._start()
        dnsmasq = network.dnsmasq()
        if network.is_own() and dnsmasq is not None:
            self._spawn(network.names_command(dnsmasq))
            _await_name(network.host_name(0))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder)

    def url(self, target: str, host: str = LOOPBACK, *, secure: bool = False) -> str:
        """The URL of `/tiny/…` (two bytes), of `/json/…` (1 KB that differs with the URL), or of what is served."""
        return f"https://{host}:{self._tls_port}{target}" if secure else f"http://{host}:{self.port}{target}"

    def hosts(self, count: int) -> list[str]:
        """Hosts that are this machine: by name where there are names, else addresses. Beyond the first, Linux only."""
        return [*map(network.host_name, range(count))] if network.is_own() else [*many_hosts(count)]

    def secure(self, hosts: Sequence[str]) -> None:
        """Serve all of it by TLS, too, as these hosts; once."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.authority))
        certificate = self.folder / "certificate.pem"
        # A certificate that lists thousands of hosts is dearer than all else in a handshake.
        names = [f"*.{network.DOMAIN}"] if network.is_own() else hosts
        authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(str(certificate))
        self._tls_port = self._start(certificate)

    def late(self, seconds: float) -> str:
        """The beginning of URLs that are answered so many seconds after they were asked for, by a server of its own."""
        with socket.create_server((LOOPBACK, 0), backlog=4096) as listener:
            command = [sys.executable, "-m", "tests.benchmarks.slow_server", str(listener.fileno()), str(seconds)]
            self._spawn(command, listener)
            return f"http://{LOOPBACK}:{listener.getsockname()[1]}"

    def refused(self) -> int:
        """A port where nobody listens."""
        with socket.create_server((LOOPBACK, 0)) as listener:
            port: int = listener.getsockname()[1]
            return port

    def serve(self, name: str, content: bytes) -> str:
        """
        The target of a file with this content, served from now on; a query makes no difference.

        One whose name ends in `.gz` is said to be text in gzip, one in `.html` a page in gzip.
        """
        (self._root / name).write_bytes(content)
        return f"/{name}"

    def drop(self, name: str) -> None:
        """Serve a file no more."""
        (self._root / name).unlink()

    def list_of(self, urls: Iterable[str], name: str = "urls.txt") -> Path:
        """A file of URLs, one a line."""
        path = self.folder / name
        with path.open("w") as file:
            file.writelines(f"{url}\n" for url in urls)
        return path

    def _start(self, certificate: Path | None = None) -> int:
        """The port of a server that has been started; by TLS if there is a certificate."""
        program = shutil.which("nginx", path=network.ENVIRONMENT["PATH"])
        environment = dict(os.environ)
        # It must hear all of 127.0.0.0/8 and nothing from outside.
        wide = hasattr(socket, "SO_BINDTODEVICE")
        with socket.socket() as listener:
            if wide:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("0.0.0.0" if wide else LOOPBACK, 0))
            listener.listen(4096)
            address, port = listener.getsockname()
            if program is not None:
                configuration = self.folder / f"nginx-{port}.conf"
                configuration.write_text(self._configuration(f"{address}:{port}", certificate))
                command = [program, "-p", str(self.folder), "-e", "stderr", "-c", str(configuration)]
                # The listening sockets that it inherits, as it does when it replaces its own binary.
                environment["NGINX"] = f"{listener.fileno()};"
            else:
                self.server = "asyncio"
                server = [sys.executable, "-m", "tests.benchmarks.quick_server"]
                command = [*server, str(listener.fileno()), str(self._root), str(certificate or "")]
            self._spawn(command, listener, environment)
        return int(port)

    def _spawn(
        self,
        command: Sequence[str],
        listener: socket.socket | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[] if listener is None else [listener.fileno()],
                    env=environment,
                )
            )

    def _configuration(self, address: str, certificate: Path | None) -> str:
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};" if certificate is not None else ""
        return f"""
            {"user root;" if os.geteuid() == 0 else ""}
            daemon off;
            pid {self.folder}/nginx-{address}.pid;
            worker_processes 1;
            error_log stderr error;
            events {{ worker_connections 16384; }}
            http {{
                access_log off;
                default_type application/octet-stream;
                types {{ text/plain txt; application/json json; }}
                {temporary}
                sendfile on;
                tcp_nopush on;
                keepalive_requests 1000000000;
                keepalive_timeout 60;
                server {{
                    listen {address}{" ssl" if tls else ""};
                    {tls}
                    root {self._root};
                    location ~ \\.gz$ {{ default_type text/plain; add_header Content-Encoding gzip; }}
                    location ~ \\.html$ {{ default_type text/html; add_header Content-Encoding gzip; }}
                    location /tiny/ {{ default_type text/plain; return 200 "ok"; }}
                    location /json/ {{
                        default_type application/json;
                        return 200 '{json_body("$request_uri")}';
                    }}
                }}
            }}
            """


def _await_name(name: str) -> None:
    """Wait until somebody knows it."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.getaddrinfo(name, None)
        except socket.gaierror:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def many_hosts(count: int) -> Iterable[str]:
    """Addresses of loopback, each of which is a host of its own. Linux only."""
    return (str(ipaddress.ip_address(FIRST_HOST + number)) for number in range(count))


def json_body(target: str) -> str:
    """What is served under /json/."""
    return f'{{"target":"{target}","padding":"{PADDING}"}}'


def digest(body: str | bytes) -> str:
    """The sha256 that a record of this body must have."""
    return hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()
