"""
Owns what the benchmarks fetch from: one quick server on loopback in a process of its own, and a folder for their files.

nginx where it is installed, else a small asyncio server (`quick_server`), which is slower; what is kept says which. On
Linux every address of 127.0.0.0/8 answers, so a list can have as many hosts as it wants.
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
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

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
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="afetch-benchmark-"))
        self.server = "nginx"
        self.port = 0
        self._root = self.folder / "root"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._root.mkdir()
        listener = socket.socket()
        # It must hear all of 127.0.0.0/8 and nothing from outside.
        wide = hasattr(socket, "SO_BINDTODEVICE")
        if wide:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0" if wide else LOOPBACK, 0))
        listener.listen(4096)
        with listener:
            self.port = listener.getsockname()[1]
            self._start(listener)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder)

    def url(self, target: str, host: str = LOOPBACK) -> str:
        """The URL of `/tiny/…` (two bytes), of `/json/…` (1 KB that differs with the URL), or of what is served."""
        return f"http://{host}:{self.port}{target}"

    def late(self, seconds: float) -> str:
        """The beginning of URLs that are answered so many seconds after they were asked for, by a server of its own."""
        with socket.create_server((LOOPBACK, 0), backlog=4096) as listener:
            command = [sys.executable, "-m", "tests.benchmarks.slow_server", str(listener.fileno()), str(seconds)]
            self._spawn(command, listener)
            return f"http://{LOOPBACK}:{listener.getsockname()[1]}"

    def serve(self, name: str, content: bytes) -> str:
        """
        The target of a file with this content, served from now on; a query makes no difference.

        One whose name ends in `.gz` is said to be text in gzip.
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

    def _start(self, listener: socket.socket) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        environment = dict(os.environ)
        if program is not None:
            configuration = self.folder / "nginx.conf"
            configuration.write_text(self._configuration(listener.getsockname()[0]))
            command = [program, "-p", str(self.folder), "-e", "stderr", "-c", str(configuration)]
            # The listening sockets that it inherits, as it does when it replaces its own binary.
            environment["NGINX"] = f"{listener.fileno()};"
        else:
            self.server = "asyncio"
            command = [sys.executable, "-m", "tests.benchmarks.quick_server", str(listener.fileno()), str(self._root)]
        self._spawn(command, listener, environment)

    def _spawn(self, command: list[str], listener: socket.socket, environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[listener.fileno()],
                    env=environment,
                )
            )

    def _configuration(self, address: str) -> str:
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
            {"user root;" if os.geteuid() == 0 else ""}
            daemon off;
            pid {self.folder}/nginx.pid;
            worker_processes 1;
            error_log stderr error;
            events {{ worker_connections 4096; }}
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
                    listen {address}:{self.port};
                    root {self._root};
                    location ~ \\.gz$ {{ default_type text/plain; add_header Content-Encoding gzip; }}
                    location /tiny/ {{ default_type text/plain; return 200 "ok"; }}
                    location /json/ {{
                        default_type application/json;
                        return 200 '{json_body("$request_uri")}';
                    }}
                }}
            }}
            """


def many_hosts(count: int) -> Iterable[str]:
    """Addresses of loopback, each of which is a host of its own. Linux only."""
    return (str(ipaddress.ip_address(FIRST_HOST + number)) for number in range(count))


def json_body(target: str) -> str:
    """What is served under /json/."""
    return f'{{"target":"{target}","padding":"{PADDING}"}}'


def digest(body: str | bytes) -> str:
    """The sha256 that a record of this body must have."""
    return hashlib.sha256(body.encode() if isinstance(body, str) else body).hexdigest()
