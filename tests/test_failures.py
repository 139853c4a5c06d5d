"""What exceptions mean: those that aiohttp and the system could raise, and real ones from servers that misbehave."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import aiohttp.http_exceptions
import pytest
import uvloop
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from fetcher.client.codings import CodingError
from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.client.failures import CERTIFICATES, ERRNOS, KINDS, error_of
from fetcher.client.framing import FramingError
from fetcher.client.heads import HeadError
from fetcher.client.names.askers import LookupFailedError
from fetcher.errors import ErrorKind
from fetcher.model import Error, Request
from fetcher.policy import first_job
from fetcher.urls import parse_url
from tests.conftest import MakeRawServer
from tests.servers import Close, Hang, Reset, Site

KEY = ConnectionKey("example.com", 443, True, True, None, None, None)
INFO = aiohttp.RequestInfo(
    URL("https://example.com/"), "GET", CIMultiDictProxy(CIMultiDict()), URL("https://example.com/")
)

Fail = Callable[..., Error]

ARGUMENTS: tuple[tuple[Any, ...], ...] = (
    (),
    (INFO, ()),
    ("/socket", KEY, OSError(errno.ECONNREFUSED, "refused")),
    (KEY, OSError(errno.ECONNREFUSED, "refused")),
    (b"expected", b"got", "example.com", 443),
    (1002, "words"),
    ("https://example.com/",),
)
"""What the constructors of aiohttp's exceptions take."""


def exported() -> list[type[BaseException]]:
    """Every exception that aiohttp exports, or defines for its client and parsers."""
    rooms = (aiohttp, aiohttp.client_exceptions, aiohttp.http_exceptions)
    found = {thing for room in rooms for thing in vars(room).values() if isinstance(thing, type)}
    ours = [thing for thing in found if issubclass(thing, BaseException) and thing.__module__.startswith("aiohttp")]
    return sorted(ours, key=lambda thing: thing.__name__)


def made(kind: type[BaseException]) -> BaseException:
    """An instance that can be told in words."""
    for arguments in ARGUMENTS:
        try:
            exc = kind(*arguments)
            str(exc)
        except (TypeError, AttributeError):
            continue
        return exc
    pytest.fail(f"{kind} takes other arguments")


def test_aiohttp_has_exceptions() -> None:
    """The walk finds what it looks for."""
    assert {aiohttp.ClientError, aiohttp.ServerTimeoutError, aiohttp.http_exceptions.LineTooLong} <= set(exported())
    assert len(exported()) > 40


@pytest.mark.parametrize("kind", exported(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_has_a_kind(kind: type[BaseException]) -> None:
    """None of them is called a bug of ours, and each says something."""
    error = error_of(made(kind))

    assert error.kind is not ErrorKind.INTERNAL
    assert error.message


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (LookupFailedError("no such name", lasting=True), ErrorKind.DNS),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")), ErrorKind.DNS),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), ErrorKind.DNS),
        (socket.herror(1, "Unknown host"), ErrorKind.DNS),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), ErrorKind.REFUSED),
        (ConnectionRefusedError(), ErrorKind.REFUSED),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "refused")), ErrorKind.REFUSED),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.ENETUNREACH, "unreachable")), ErrorKind.UNREACHABLE),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "unreachable")), ErrorKind.UNREACHABLE),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.ETIMEDOUT, "timed out")), ErrorKind.CONNECT_TIMEOUT),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EMFILE, "too many")), ErrorKind.LOCAL),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.EADDRNOTAVAIL, "no port")), ErrorKind.LOCAL),
        (aiohttp.ClientConnectorError(KEY, OSError("several went wrong")), ErrorKind.DISCONNECTED),
        (aiohttp.ClientProxyConnectionError(KEY, OSError(errno.ECONNREFUSED, "refused")), ErrorKind.PROXY),
        (aiohttp.ConnectionTimeoutError("slow"), ErrorKind.CONNECT_TIMEOUT),
        (TimeoutError(), ErrorKind.CONNECT_TIMEOUT),
        (TimeoutError(errno.ETIMEDOUT, "timed out"), ErrorKind.CONNECT_TIMEOUT),
        (ConnectionResetError(errno.ECONNRESET, "reset"), ErrorKind.DISCONNECTED),
        (BrokenPipeError(errno.EPIPE, "broken"), ErrorKind.DISCONNECTED),
        (ConnectionAbortedError(), ErrorKind.DISCONNECTED),
        (ssl.SSLError(1, "[SSL: NO_SHARED_CIPHER] no shared cipher"), ErrorKind.TLS),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), ErrorKind.TLS),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), ErrorKind.DISCONNECTED),
        (ssl.SSLZeroReturnError(6, "closed"), ErrorKind.DISCONNECTED),
        (ssl.SSLSyscallError(5, "some I/O error"), ErrorKind.DISCONNECTED),
        (ssl.SSLWantReadError(2, "want"), ErrorKind.TLS),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLEOFError(8, "EOF occurred")), ErrorKind.DISCONNECTED),
        (HeadError("no head"), ErrorKind.PROTOCOL),
        (FramingError("no frame"), ErrorKind.PROTOCOL),
        (CodingError("no code"), ErrorKind.DECODE),
        (OSError(errno.EIO, "I/O error"), ErrorKind.UNREACHABLE),
        (MemoryError(), ErrorKind.LOCAL),
        (OSError(errno.EBADF, "Bad file descriptor"), ErrorKind.LOCAL),
        (RuntimeError("never foreseen"), ErrorKind.INTERNAL),
        (KeyError("never foreseen"), ErrorKind.INTERNAL),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, BaseException) else str(value),
)
def test_the_most_particular_cause_decides(exc: BaseException, kind: ErrorKind) -> None:
    """An exception's own class, then the errno of what it was made from."""
    error = error_of(exc)

    assert kind == error.kind
    assert error.message


@pytest.mark.parametrize("number", ERRNOS, ids=lambda number: errno.errorcode[number])
def test_an_errno_means_the_same_in_whatever_it_comes(number: int) -> None:
    """Bare, as aiohttp's, or as the cause of something else."""
    bare = OSError(number, "words")
    chained = aiohttp.ClientOSError("words")
    chained.__cause__ = bare

    kinds = {error_of(exc).kind for exc in (bare, aiohttp.ClientConnectorError(KEY, bare), chained)}

    assert kinds == {ERRNOS[number]}


def test_a_chain_that_bites_its_own_tail_ends() -> None:
    """Causes are followed once each."""
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first

    assert error_of(first).kind is ErrorKind.UNREACHABLE


def test_a_name_that_does_not_exist_is_lasting() -> None:
    """Trying again does not make it exist; a lookup that failed for now may come right."""
    assert error_of(LookupFailedError("no such name", lasting=True)).lasting
    assert not error_of(LookupFailedError("the server did not answer", lasting=False)).lasting


def test_no_kind_of_the_table_is_internal() -> None:
    """That one is for what nobody foresaw."""
    assert ErrorKind.INTERNAL not in {*KINDS.values(), *ERRNOS.values()}


def test_messages_are_one_line_of_words() -> None:
    """A record shows them as they are."""
    for kind in exported():
        message = error_of(made(kind)).message
        assert "\n" not in message
        assert message == message.strip()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def fail(request: pytest.FixtureRequest) -> Fail:
    """The error that a real exchange with a server ends in, on each loop that we run on."""

    async def exchange(text: str, options: dict[str, Any]) -> Error:
        url = parse_url(text)[0]
        client = Client(ClientConfig(**{"connect_timeout": 5.0, "read_timeout": 5.0, **options}))
        try:
            hop = await client.exchange(first_job(Request(0, text, url), url))
        finally:
            await client.close()
        assert hop.error is not None
        return hop.error

    def run(text: str, **options: Any) -> Error:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(exchange(text, options))

    return run


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_where_nothing_listens_is_refused(fail: Fail, scheme: str, host: str) -> None:
    """One address or several, TLS or not."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    error = fail(f"{scheme}://{host}:{port}/")

    assert (error.kind, error.message) == (ErrorKind.REFUSED, "nothing listens there (connection refused)")


def test_a_certificate_of_another_host_is_told(fail: Fail, wrong_host_site: Site, ca_file: Path) -> None:
    """The message says what is wrong with it."""
    url = wrong_host_site.page()

    error = fail(url, cacert=str(ca_file))
    named = fail(url.replace("127.0.0.1", "localhost"), cacert=str(ca_file))

    assert (error.kind, error.message) == (ErrorKind.TLS, "the certificate is for another address")
    assert (named.kind, named.message) == (ErrorKind.TLS, "the certificate is for another host")


def test_a_certificate_that_has_expired_is_told(fail: Fail, expired_site: Site, ca_file: Path) -> None:
    """The message says what is wrong with it."""
    error = fail(expired_site.page(), cacert=str(ca_file))

    assert (error.kind, error.message) == (ErrorKind.TLS, "the certificate has expired")


def test_a_certificate_of_an_unknown_issuer_is_told(
    fail: Fail, unknown_issuer_site: Site, tls_site: Site, ca_file: Path
) -> None:
    """Whether nobody knows the issuer, or only those who were not told of it with --cacert."""
    unknown = fail(unknown_issuer_site.page(), cacert=str(ca_file))
    untold = fail(tls_site.page())

    assert (ErrorKind.TLS, CERTIFICATES[20]) == (unknown.kind, unknown.message)
    assert (ErrorKind.TLS, CERTIFICATES[20]) == (untold.kind, untold.message)


def test_a_certificate_that_vouches_for_itself_is_told(fail: Fail, self_signed_site: Site, ca_file: Path) -> None:
    """The message says what is wrong with it."""
    error = fail(self_signed_site.page(), cacert=str(ca_file))

    assert (error.kind, error.message) == (ErrorKind.TLS, "the certificate is self-signed")


@pytest.mark.parametrize("ending", [Reset(), Close()], ids=["reset", "closed"])
def test_a_handshake_that_is_cut_is_the_connections_fault(fail: Fail, raw_server: MakeRawServer, ending: Any) -> None:
    """It can get better, which bad TLS cannot."""
    server = raw_server([ending], greet=True)

    assert fail(server.url().replace("http", "https")).kind is ErrorKind.DISCONNECTED


def test_a_handshake_without_an_answer_takes_the_connect_timeout(fail: Fail, raw_server: MakeRawServer) -> None:
    """The message names the phase."""
    server = raw_server([Hang()], greet=True)

    error = fail(server.url().replace("http", "https"), connect_timeout=0.1)

    assert error.kind is ErrorKind.CONNECT_TIMEOUT
    assert error.message == "no TLS handshake within 0.1 s (--connect-timeout)"


@pytest.mark.parametrize("banner", [b"HTTP/1.1 400 Bad Request\r\n\r\nno TLS here", b"220 mail.example.com ESMTP\r\n"])
@pytest.mark.parametrize("ending", [Hang(), Close()], ids=["stays", "closes"])
def test_tls_to_a_port_without_it_is_told(fail: Fail, raw_server: MakeRawServer, banner: bytes, ending: Any) -> None:
    """The message says the way out."""
    server = raw_server([banner, ending], greet=True)

    error = fail(server.url().replace("http", "https"))

    assert error.kind is ErrorKind.TLS
    assert error.message == "the server does not speak TLS on this port; try http://"


def test_no_tls_to_a_port_with_it_is_told(fail: Fail, raw_server: MakeRawServer, tls_site: Site) -> None:
    """A server that answers with an alert is told apart; one that only closes is `disconnected`."""
    alerting = raw_server(b"\x15\x03\x01\x00\x02\x02\x0a")

    told = fail(alerting.url())
    closed = fail(tls_site.url().replace("https", "http"))

    assert (told.kind, told.message) == (ErrorKind.PROTOCOL, "the server speaks TLS on this port; try https://")
    assert closed.kind is ErrorKind.DISCONNECTED


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_too_many_open_files_is_our_own_fault(site: Site, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A descriptor that we cannot have is `local`, and the next exchange, when there are some again, goes well."""
    text = site.page("hello")
    url = parse_url(text)[0]
    job = first_job(Request(0, text, url), url)

    async def scenario() -> None:
        client = Client(ClientConfig())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            # Below what is open now, so that not one more can be had.
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                failed = await client.exchange(job)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            went_well = await client.exchange(job)
        finally:
            await client.close()
        assert failed.error is not None
        assert (failed.error.kind, failed.error.message) == (ErrorKind.LOCAL, "Too many open files")
        assert (went_well.error, went_well.body) == (None, b"hello")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())
