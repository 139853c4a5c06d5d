"""
Owns the fixtures: servers that stand for a test, and the real command in a real process.

A server that is not installed skips its tests with a reason; where the variable CI is set it fails them, so that no
check goes missing unseen.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import hypothesis
import pytest

from tests.nursery import Nursery
from tests.servers import Authority, Certificate, Httpbin, Nginx, RawServer, Script, Site, Stage
from tests.several import WITH_BOTH, reason_against

COMMAND = (sys.executable, "-m", "fetcher")

if not os.environ.get("CI"):
    # Examples are late now and then on a machine that has other things to do. Where CI is set hypothesis has its own
    # profile, which knows that.
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")

SEVERAL = {"AFETCH_PROCESSES": count} if (count := os.environ.get("AFETCH_TEST_PROCESSES")) else {}
"""`AFETCH_TEST_PROCESSES=2 pytest` runs the command's tests with so many processes; see `tests.several`."""

FOREIGN_VARIABLES = frozenset(
    {
        "CURL_CA_BUNDLE",
        "COLUMNS",
        "FORCE_COLOR",
        "NETRC",
        "NO_COLOR",
        "PYTHONASYNCIODEBUG",
        "PYTHONDEVMODE",
        "SSLKEYLOGFILE",
    }
    | {"REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
"""Variables of whoever runs the tests that would change what the command does."""


class MakeRawServer(Protocol):
    """Starts a raw server that follows these scripts."""

    def __call__(
        self, script: Script, *more: Script, greet: bool = False, tls: ssl.SSLContext | None = None
    ) -> RawServer: ...


class MakeSite(Protocol):
    """Starts one more site."""

    def __call__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Site: ...


class MakeTlsSite(Protocol):
    """Starts a site that shows such a certificate."""

    def __call__(self, certificate: Certificate = Certificate.RIGHT) -> Site: ...


class MakeNginx(Protocol):
    """Starts nginx with this in its `server` block; see `tests.servers.Nginx`."""

    def __call__(self, server: str = "", *, http: str = "", root: Path | None = None, tls: bool = False) -> Nginx: ...


@dataclass(frozen=True)
class Completed:
    """A run of the command that has ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records on standard output, which must be JSON Lines."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Afetch:
    """Runs the command in a process of its own, in an empty folder, without the tester's own settings but `more`."""

    def __init__(self, folder: Path, more: Mapping[str, str]) -> None:
        self.folder = folder
        self._more = more
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(
        self,
        *args: str | os.PathLike[str],
        stdin: str | bytes | None = None,
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """
        How the command ended.

        Args:
            stdin: What it reads from a pipe; with None its standard input is empty.
            timeout: Seconds after which the test fails.
            env: Variables on top of the clean environment.
        """
        process = self.start(*args, env=env, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        try:
            out, err = process.communicate(given, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"afetch {args} has not ended in {timeout} s; standard error:\n{_text(err)}")
        return Completed(process.returncode, _text(out), _text(err))

    def start(
        self,
        *args: str | os.PathLike[str],
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
        shell: str = "",
        command: Sequence[str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """
        The command as a process that runs, for tests that interrupt it; it is killed at the test's end.

        Args:
            shell: What sh does with it, as `"$@"`: `ulimit -n 40; exec "$@"`.
            command: Another way to begin it than `COMMAND`.
        """
        process = subprocess.Popen(
            [*(("sh", "-c", shell, "sh") if shell else ()), *(command or COMMAND), *args],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=self.folder,
            env={**clean_environment(), **self._more, **(env or {})},
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what still runs."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    # What a killed process had not read yet is nobody's loss.
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def clean_environment() -> dict[str, str]:
    """Our environment without what would change the command's ways."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in FOREIGN_VARIABLES and not name.startswith("AFETCH_") and not name.lower().endswith("_proxy")
    }


def missing(what: str) -> NoReturn:
    """Skip the test for want of a server, or fail it where all of them must be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed, and CI is set")
    pytest.skip(f"{what} is not installed")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What runs with both is run with one process and with two."""
    if f"{metafunc.definition.path.name}::{metafunc.function.__name__}" in WITH_BOTH and not SEVERAL:
        metafunc.parametrize("afetch", [{}, {"AFETCH_PROCESSES": "2"}], ids=["one", "two"], indirect=True)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What cannot hold with several processes is skipped, and says why."""
    for item in items if SEVERAL else ():
        reason = reason_against(f"{item.path.name}::{item.name}")
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"with several processes: {reason}"))


@pytest.fixture(scope="session", autouse=True)
def _no_proxies() -> Iterator[None]:
    """Settings made in a test go through no proxy of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The thread on which our servers run."""
    with Stage() as stage:
        yield stage


@pytest.fixture
def make_site(stage: Stage) -> Iterator[MakeSite]:
    """Makes sites, for tests that need several or odd ones."""
    with contextlib.ExitStack() as open_sites:

        def make(*, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Site:
            return open_sites.enter_context(Site(stage, tls=tls, host=host, port=port))

        yield make


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """An empty site on 127.0.0.1."""
    return make_site()


@pytest.fixture
def raw_server(stage: Stage) -> Iterator[MakeRawServer]:
    """Makes servers that send exactly what a test says."""
    with contextlib.ExitStack() as open_servers:

        def make(script: Script, *more: Script, greet: bool = False, tls: ssl.SSLContext | None = None) -> RawServer:
            return open_servers.enter_context(RawServer(stage, script, *more, greet=greet, tls=tls))

        yield make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues our certificates; its `ca_file` is what a client must trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def ca_file(authority: Authority) -> Path:
    """The certificate of the issuer of `tls_site`."""
    return authority.ca_file


@pytest.fixture
def make_tls_site(make_site: MakeSite, authority: Authority) -> MakeTlsSite:
    """Makes sites over TLS whose certificate is right, or wrong in one way."""

    def make(certificate: Certificate = Certificate.RIGHT) -> Site:
        return make_site(tls=authority.context(certificate))

    return make


@pytest.fixture
def tls_site(make_tls_site: MakeTlsSite) -> Site:
    """A site over TLS with a right certificate."""
    return make_tls_site()


@pytest.fixture(params=["http", "https"])
def either_site(request: pytest.FixtureRequest) -> Site:
    """A site without TLS, and one with it."""
    site: Site = request.getfixturevalue("tls_site" if request.param == "https" else "site")
    return site


@pytest.fixture
def wrong_host_site(make_tls_site: MakeTlsSite) -> Site:
    """A site whose certificate is another host's."""
    return make_tls_site(Certificate.WRONG_HOST)


@pytest.fixture
def expired_site(make_tls_site: MakeTlsSite) -> Site:
    """A site whose certificate ended yesterday."""
    return make_tls_site(Certificate.EXPIRED)


@pytest.fixture
def unknown_issuer_site(make_tls_site: MakeTlsSite) -> Site:
    """A site whose certificate comes from an authority that nobody knows."""
    return make_tls_site(Certificate.UNKNOWN_ISSUER)


@pytest.fixture
def self_signed_site(make_tls_site: MakeTlsSite) -> Site:
    """A site whose certificate vouches for itself."""
    return make_tls_site(Certificate.SELF_SIGNED)


@pytest.fixture
def afetch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Afetch]:
    """The command, run for real; with two processes where the test runs with both."""
    folder = tmp_path / "work"
    folder.mkdir()
    command = Afetch(folder, getattr(request, "param", SEVERAL))
    try:
        yield command
    finally:
        command.close()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where processes of the command begin at once."""
    with Nursery({**clean_environment(), **SEVERAL}) as nursery:
        yield nursery


@pytest.fixture
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeNginx]:
    """Makes nginx servers."""
    # Debian has it where ordinary users do not look.
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        missing("nginx")
    with contextlib.ExitStack() as running:

        def make(server: str = "", *, http: str = "", root: Path | None = None, tls: bool = False) -> Nginx:
            started = Nginx(tmp_path_factory.mktemp("nginx"), program, server, http=http, root=root, tls=tls)
            running.callback(started.stop)
            return started

        yield make


@pytest.fixture(scope="session")
def httpbin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Httpbin]:
    """httpbin, one for all tests."""
    if importlib.util.find_spec("httpbin") is None:
        missing("httpbin")
    started = Httpbin(tmp_path_factory.mktemp("httpbin"))
    try:
        yield started
    finally:
        started.stop()
