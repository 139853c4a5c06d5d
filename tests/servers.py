"""
Owns the servers that tests fetch from: a programmable site, a raw one, nginx, httpbin; and the certificates for TLS.

All of them are real and on loopback. Ours run on a thread with a loop of its own (`Stage`), so that they serve tests
with a loop, tests without, and other processes alike. Foreign ones get a socket that already listens: nobody has to
wait until they are up, and no port is lost between finding and taking it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fetcher.demo import answers
from fetcher.demo.answers import HTML, Headers
from fetcher.demo.server import LOOPBACK, Answer, Listener, Received, Server, Wire

PATIENCE = 10.0
"""Seconds after which a test that waits for something has failed."""

LINGER = 2.0
"""Seconds that a raw server which never read the request lets the client speak before it closes."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)

_T = TypeVar("_T")


class Stage:
    """A thread with an event loop, on which servers run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stage", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        left = self.run(self._left(), 2 * PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert not left, f"servers left tasks behind: {left}"

    def run(self, work: Coroutine[Any, Any, _T], timeout: float = PATIENCE) -> _T:
        """What a coroutine returns, run on the stage and awaited from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def call(self, function: Callable[[], object]) -> None:
        """Have a function called on the stage, soon."""
        self._loop.call_soon_threadsafe(function)

    @staticmethod
    async def _left() -> set[asyncio.Task[Any]]:
        """Tasks that do not come to an end by themselves."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        return (await asyncio.wait(others, timeout=PATIENCE))[1] if others else set()


class _Performance:
    """A listener on the stage while entered."""

    def __init__(self, stage: Stage, listener: Listener) -> None:
        self._stage = stage
        self._listener = listener

    def __enter__(self) -> Self:
        self._stage.run(self._listener.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and drop every connection; a later connection is refused."""
        self._stage.run(self._listener.__aexit__(None, None, None))

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:port`."""
        return self._listener.origin

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._listener.connections


class Gate:
    """A page that is not answered before the test opens it."""

    def __init__(self, stage: Stage, then: Answer) -> None:
        self.url = ""
        self._stage = stage
        self._then = then
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Answer whoever waits, and whoever comes."""
        self._stage.call(self._opened.set)

    async def answer(self, request: Received, wire: Wire) -> None:
        """The reply, once the gate is open; a client that gives up is let go."""
        gone = asyncio.ensure_future(wire.until_gone())
        opened = asyncio.ensure_future(self._opened.wait())
        try:
            await asyncio.wait({gone, opened}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in (gone, opened):
                waiter.cancel()
            await asyncio.gather(gone, opened, return_exceptions=True)
        if self._opened.is_set():
            await self._then(request, wire)


class Site(_Performance):
    """
    A site that a test builds page by page; each method adds one and returns its URL.

    Pages are found by their target, with the query or without; anything else is 404.

    Attributes:
        peak: How many requests were being answered at once, at most.
    """

    def __init__(self, stage: Stage, *, tls: ssl.SSLContext | None = None, host: str = LOOPBACK, port: int = 0) -> None:
        super().__init__(stage, Server(self._answer, host=host, port=port, tls=tls))
        self.peak = 0
        self._active = 0
        self._pages: dict[str, Answer] = {}
        self._log: list[Received] = []
        self._arrival = threading.Condition()

    @property
    def log(self) -> list[Received]:
        """The requests so far, as received."""
        with self._arrival:
            return list(self._log)

    def wait(self, count: int, timeout: float = PATIENCE) -> list[Received]:
        """
        The requests, when there are `count` of them.

        Raises:
            TimeoutError: There are not.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._log) >= count, timeout):
                raise TimeoutError(f"{len(self._log)} requests after {timeout} s, not {count}")
            return list(self._log)

    def url(self, path: str = "/") -> str:
        """The URL of a path, whether a page is there or not."""
        return self.origin + path

    def answer(self, answer: Answer, path: str | None = None) -> str:
        """A page that is answered as `answer` says (see `fetcher.demo.answers`), at `path` or at one not used yet."""
        path = f"/{len(self._pages)}" if path is None else path
        self._pages[path] = answer
        return self.url(path)

    def page(
        self,
        body: bytes | str = "",
        status: int = 200,
        headers: Headers | Mapping[str, str] = (),
        *,
        content_type: str = HTML,
        path: str | None = None,
    ) -> str:
        """A plain page."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        return self.answer(answers.page(body, status, pairs, content_type), path)

    def json(self, value: object, status: int = 200, *, path: str | None = None) -> str:
        """A JSON document."""
        return self.answer(answers.json_page(value, status), path)

    def sequence(self, *steps: int | Answer, path: str | None = None) -> str:
        """A page whose requests get one status (or answer) after the other; the last for all that follow."""
        made = [answers.page(f"status {step}\n", step) if isinstance(step, int) else step for step in steps]
        return self.answer(answers.sequence(*made), path)

    def redirect(self, to: str, status: int = 302, *, path: str | None = None) -> str:
        """A redirect; `to` is the Location as sent."""
        return self.answer(answers.redirect(to, status), path)

    def slow(self, seconds: float, *, path: str | None = None) -> str:
        """A page that comes late."""
        return self.answer(answers.later(seconds, answers.page("late\n")), path)

    def hang(self, *, path: str | None = None) -> str:
        """A page that never comes."""
        return self.answer(answers.hang(), path)

    def gate(self, then: Answer | None = None, *, path: str | None = None) -> Gate:
        """A page that comes when the test opens it; its URL is the gate's."""
        gate = Gate(self._stage, then or answers.page("open\n"))
        gate.url = self.answer(gate.answer, path)
        return gate

    def echo(self, *, path: str | None = None) -> str:
        """A page that says what was received: JSON of method, target, version, headers (pairs), body (as Latin-1)."""
        return self.answer(_echo, path)

    def raw(self, *steps: Step | bytes, path: str | None = None) -> str:
        """A page that is answered by a script, byte for byte; the connection ends behind it."""

        async def answer(request: Received, wire: Wire) -> None:
            wire.open = False
            await _perform(steps, Talk(wire, [b""]))

        return self.answer(answer, path)

    async def _answer(self, request: Received, wire: Wire) -> None:
        with self._arrival:
            self._log.append(request)
            self._arrival.notify_all()
        self._active += 1
        self.peak = max(self.peak, self._active)
        try:
            await self._page(request.target)(request, wire)
        finally:
            self._active -= 1

    def _page(self, target: str) -> Answer:
        return self._pages.get(target) or self._pages.get(target.partition("?")[0]) or _STRAY


_STRAY = answers.page("Not a page of this site.\n", 404)


async def _echo(request: Received, wire: Wire) -> None:
    seen = {
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "headers": request.headers,
        "body": request.body.decode("latin-1"),
    }
    await answers.json_page(seen)(request, wire)


@dataclass
class Talk:
    """A connection that follows a script, and the requests heard on it."""

    wire: Wire
    heard: list[bytes]


class Step(Protocol):
    """One thing that a raw server does on a connection."""

    async def perform(self, talk: Talk) -> bool:
        """Whether the script goes on."""


@dataclass(frozen=True)
class Request:
    """Wait for a request: a head, and a body by Content-Length."""

    async def perform(self, talk: Talk) -> bool:
        head = await talk.wire.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        talk.heard.append(head + await talk.wire.reader.readexactly(int(length[1]) if length else 0))
        return True


@dataclass(frozen=True)
class Pause:
    """Be silent for a while."""

    seconds: float

    async def perform(self, talk: Talk) -> bool:
        await asyncio.sleep(self.seconds)
        return True


@dataclass(frozen=True)
class Hang:
    """Be silent until the client has gone."""

    async def perform(self, talk: Talk) -> bool:
        await talk.wire.until_gone()
        return False


@dataclass(frozen=True)
class Close:
    """Close; what a script's end does too."""

    async def perform(self, talk: Talk) -> bool:
        if not talk.heard:
            # To close over a request that nobody read sends RST, and the client might lose the reply.
            talk.wire.end()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(talk.wire.until_gone(), LINGER)
        return False


@dataclass(frozen=True)
class Reset:
    """Drop the connection with RST."""

    async def perform(self, talk: Talk) -> bool:
        talk.wire.reset()
        return False


Script = bytes | Sequence["Step | bytes"]


class RawServer(_Performance):
    """
    A server that knows no HTTP and does on each connection what a script says.

    A script is bytes, or steps. It begins when a request has arrived, unless it has a `Request` step of its own or the
    server is told to `greet`: then it begins with the connection. The first script is for the first connection and so
    on, the last for all that follow.
    """

    def __init__(
        self,
        stage: Stage,
        script: Script,
        *more: Script,
        greet: bool = False,
        tls: ssl.SSLContext | None = None,
        host: str = LOOPBACK,
    ) -> None:
        super().__init__(stage, Listener(self._attend, host=host, tls=tls))
        self._scripts = [self._steps(given, greet) for given in (script, *more)]
        self._heard: list[bytes] = []

    @property
    def requests(self) -> list[bytes]:
        """The requests so far, byte for byte."""
        return list(self._heard)

    def url(self, path: str = "/") -> str:
        """The URL of a path; all paths are alike."""
        return self.origin + path

    async def _attend(self, wire: Wire) -> None:
        talk = Talk(wire, [])
        try:
            await _perform(self._scripts[min(wire.number, len(self._scripts) - 1)], talk, self._heard)
        finally:
            wire.open = False

    @staticmethod
    def _steps(script: Script, greet: bool) -> list[Step | bytes]:
        steps: list[Step | bytes] = [script] if isinstance(script, bytes) else list(script)
        return steps if greet or Request() in steps else [Request(), *steps]


async def _perform(steps: Sequence[Step | bytes], talk: Talk, heard: list[bytes] | None = None) -> None:
    for step in (*steps, Close()):
        if isinstance(step, bytes):
            await talk.wire.send(step)
            continue
        known = len(talk.heard)
        more = await step.perform(talk)
        if heard is not None:
            heard.extend(talk.heard[known:])
        if not more:
            return


def reply(body: bytes = b"", status: int = 200, headers: Headers = ()) -> bytes:
    """A whole, sound reply as bytes, for scripts that go wrong elsewhere."""
    return answers.head(status, [("Content-Length", str(len(body))), *headers]) + body


class Certificate(StrEnum):
    """What may be right or wrong about a server's certificate."""

    RIGHT = "right"
    WRONG_HOST = "wrong host"
    EXPIRED = "expired"
    UNKNOWN_ISSUER = "unknown issuer"
    SELF_SIGNED = "self-signed"


class Authority:
    """
    A certificate authority of our own.

    Attributes:
        ca_file: What `--cacert` takes.
        cert_file, key_file: A right certificate and its key, for servers that are no Python.
    """

    HOSTS = ("127.0.0.1", "127.0.0.2", "localhost", "::1")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self._contexts: dict[Certificate, ssl.SSLContext] = {}
        self.ca_file = folder / "ca.pem"
        self.cert_file = folder / "server.pem"
        self.key_file = folder / "server.key"
        self._authority.cert_pem.write_to_path(self.ca_file)
        right = self._authority.issue_cert(*self.HOSTS)
        for blob in right.cert_chain_pems:
            blob.write_to_path(self.cert_file, append=True)
        right.private_key_pem.write_to_path(self.key_file)

    def context(self, certificate: Certificate = Certificate.RIGHT) -> ssl.SSLContext:
        """For a server that shows such a certificate."""
        if certificate not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if certificate is Certificate.SELF_SIGNED:
                context.load_cert_chain(self._self_signed())
            else:
                self._issue(certificate).configure_cert(context)
            self._contexts[certificate] = context
        return self._contexts[certificate]

    def _issue(self, certificate: Certificate) -> trustme.LeafCert:
        if certificate is Certificate.WRONG_HOST:
            return self._authority.issue_cert("elsewhere.example")
        if certificate is Certificate.EXPIRED:
            return self._authority.issue_cert(*self.HOSTS, not_after=datetime.now(UTC) - timedelta(days=1))
        if certificate is Certificate.UNKNOWN_ISSUER:
            return trustme.CA().issue_cert(*self.HOSTS)
        return self._authority.issue_cert(*self.HOSTS)

    def _self_signed(self) -> Path:
        """A file of a certificate that vouches for itself, and its key; trustme makes none."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        signed = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self._folder / "self-signed.pem"
        path.write_bytes(signed.public_bytes(pem) + secret)
        return path


class Foreign:
    """
    A server that nobody here wrote, in a process of its own, on a socket that we opened for it.

    Attributes:
        log: Where what it says goes.
    """

    SCHEME = "http"

    def __init__(self, folder: Path) -> None:
        self.log = folder / "server.log"
        self.socket = socket.create_server((LOOPBACK, 0), backlog=1024)
        self.port: int = self.socket.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str | os.PathLike[str]], environment: Mapping[str, str] | None = None) -> None:
        """Run it. Nobody need wait: connections are taken by the socket until the process takes them from there."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self.socket.fileno()],
                env={**os.environ, **(environment or {})},
            )
        # Only the process holds it now, so that clients are refused and do not wait for ever if it dies.
        self.socket.close()

    def stop(self) -> None:
        """End the process, and wait until it has ended."""
        self.socket.close()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def url(self, path: str = "/") -> str:
        """The URL of a path."""
        return f"{self.SCHEME}://{LOOPBACK}:{self.port}{path}"


class Nginx(Foreign):
    """
    Debian's nginx as an ordinary process.

    Attributes:
        root: The folder whose files it serves, unless the configuration says otherwise.
    """

    def __init__(
        self,
        folder: Path,
        program: str,
        server: str = "",
        *,
        http: str = "",
        root: Path | None = None,
        tls: bool = False,
    ) -> None:
        """
        Args:
            server: What stands in the `server` block, beside `listen` and `root`.
            http: What stands in the `http` block round it: zones and maps.
            tls: Listen for TLS; `server` names the certificate.
        """
        super().__init__(folder)
        self.SCHEME = "https" if tls else "http"
        self.root = root or folder / "root"
        self.root.mkdir(exist_ok=True)
        types = Path("/etc/nginx/mime.types")
        # Where root starts it, its workers would be another user, who may not read a test's folders.
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"""
            {user}
            daemon off;
            pid {folder}/nginx.pid;
            worker_processes 1;
            error_log stderr warn;
            events {{ worker_connections 2048; }}
            http {{
                access_log off;
                {f"include {types};" if types.exists() else ""}
                default_type application/octet-stream;
                {temporary}
                {http}
                server {{
                    listen {LOOPBACK}:{self.port} {"ssl" if tls else ""};
                    root {self.root};
                    {server}
                }}
            }}
            """
        )
        # NGINX names the listening sockets that it inherits, as it does itself when it replaces its own binary.
        self.start([program, "-p", folder, "-e", "stderr", "-c", configuration], {"NGINX": f"{self.socket.fileno()};"})


class Httpbin(Foreign):
    """The httpbin package, on Flask's own server."""

    PROGRAM = """
import sys, warnings
warnings.simplefilter("ignore")
from werkzeug.serving import make_server
from httpbin import app
make_server("127.0.0.1", 0, app, threaded=True, fd=int(sys.argv[1])).serve_forever()
"""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.start([sys.executable, "-c", self.PROGRAM, str(self.socket.fileno())])
