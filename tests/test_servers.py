"""Holds that the servers which other tests rely on do what they say; asked with sockets and the standard library."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import socket
import ssl
import struct
import threading
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fetcher.demo.server import Listener, Wire
from tests import conftest
from tests.conftest import Afetch, MakeNginx, MakeRawServer, MakeSite, MakeTlsSite
from tests.servers import PATIENCE, Authority, Certificate, Close, Hang, Httpbin, Pause, Request, Reset, Site, reply

ASK = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A connection that fails rather than hangs."""
    return socket.create_connection((host, port), PATIENCE)


def hear(connection: socket.socket) -> bytes:
    """All that comes until the end."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def get(url: str, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """Status and body of a page, without following."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = (
        http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        if context is None
        else http.client.HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE, context=context)
    )
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_site_answers_with_the_page_that_was_put_there(site: Site) -> None:
    """Status, headers and body are the test's own; a stray path is 404."""
    url = site.page("grüße", 418, {"X-Mark": "1", "content-type": "text/plain"}, path="/tea")

    with connect(site.port) as connection:
        connection.sendall(b"GET /tea?milk=no HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        heard = hear(connection)

    assert url == f"http://127.0.0.1:{site.port}/tea"
    assert heard == (
        b"HTTP/1.1 418 I'm a Teapot\r\nContent-Length: 7\r\nX-Mark: 1\r\ncontent-type: text/plain\r\n\r\n"
        b"gr\xc3\xbc\xc3\x9fe"
    )
    assert get(site.url("/nowhere"))[0] == 404


def test_site_gives_each_request_the_next_of_a_sequence(site: Site) -> None:
    """The last answer stays."""
    url = site.sequence(503, 429, 200)

    statuses = [get(url)[0] for _ in range(4)]

    assert statuses == [503, 429, 200, 200]


def test_site_logs_requests_byte_for_byte(site: Site) -> None:
    """Target and headers are as they were on the wire, body without its framing, connections told apart."""
    url = site.echo(path="/echo")
    port = urlsplit(url).port
    assert port is not None

    with connect(port) as connection:
        connection.sendall(b"POST /echo?%C3%bc=\xff HTTP/1.1\r\nhOst: test\r\nContent-Length: 3\r\n\r\nabc")
        site.wait(1)
        connection.sendall(
            b"PUT /echo HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n"
        )
        heard = hear(connection)
    get(url)

    first, second, third = site.log
    assert (first.method, first.target, first.body) == ("POST", "/echo?%C3%bc=\xff", b"abc")
    assert first.headers == (("hOst", "test"), ("Content-Length", "3"))
    assert (second.method, second.body) == ("PUT", b"hi!")
    assert [request.connection for request in (first, second, third)] == [0, 0, 1]
    assert json.loads(heard.split(b"\r\n\r\n")[1].split(b"HTTP/1.1")[0])["target"] == "/echo?%C3%bc=\xff"


def test_site_sends_no_body_where_a_reply_has_none(site: Site) -> None:
    """HEAD and 204 leave the connection at the next reply's first byte."""
    site.page("body", path="/page")
    site.page(status=204, path="/none")

    with connect(site.port) as connection:
        connection.sendall(
            b"HEAD /page HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\nGET /page HTTP/1.1\r\nConnection: close\r\n\r\n"
        )
        heard = hear(connection)

    assert [part.partition(b"\r\n")[0] for part in heard.split(b"HTTP/1.1 ")[1:]] == [
        b"200 OK",
        b"204 No Content",
        b"200 OK",
    ]
    assert heard.count(b"body") == 1


def test_site_answers_a_gate_when_it_is_opened(site: Site) -> None:
    """Until then the request waits, and is counted among those under way."""
    gate = site.gate()
    statuses: list[int] = []
    clients = [threading.Thread(target=lambda: statuses.append(get(gate.url)[0])) for _ in range(3)]

    for client in clients:
        client.start()
    site.wait(3)
    waiting = list(statuses)
    gate.open()
    for client in clients:
        client.join(PATIENCE)

    assert waiting == []
    assert statuses == [200, 200, 200]
    assert site.peak == 3


def test_site_says_so_when_requests_do_not_come(site: Site) -> None:
    """Waiting for a request has an end."""
    with pytest.raises(TimeoutError, match="0 requests after"):
        site.wait(1, timeout=0.01)


def test_site_redirects_where_it_was_told(site: Site) -> None:
    """urllib follows to the page behind."""
    url = site.redirect("/there", 307)
    site.page("arrived", path="/there")

    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        body = response.read()

    assert body == b"arrived"


def test_site_hangs_until_the_client_has_gone(site: Site) -> None:
    """Nothing comes, and nothing is left of it afterwards: the stage looks, when it is taken down."""
    url = site.hang(path="/hang")

    with connect(site.port) as connection:
        connection.sendall(b"GET /hang HTTP/1.1\r\n\r\n")
        site.wait(1)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    assert site.log[0].target == urlsplit(url).path


def test_site_plays_a_script_at_a_path(site: Site) -> None:
    """A page may be any bytes."""
    site.raw(b"HTTP/9.9 banana\r\n", b"\r\n", path="/odd")

    with connect(site.port) as connection:
        connection.sendall(b"GET /odd HTTP/1.1\r\n\r\n")
        heard = hear(connection)

    assert heard == b"HTTP/9.9 banana\r\n\r\n"


def test_site_refuses_once_it_is_closed(site: Site) -> None:
    """A closed site is a server that is down."""
    site.close()

    with pytest.raises(ConnectionRefusedError):
        connect(site.port)


def test_sites_stand_on_ipv6_too(make_site: MakeSite) -> None:
    """The URL has its brackets."""
    try:
        site = make_site(host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback here")

    status, body = get(site.page("six"))

    assert (status, body) == (200, b"six")
    assert site.origin == f"http://[::1]:{site.port}"


def test_raw_server_waits_for_the_request_and_sends_exactly_its_bytes(raw_server: MakeRawServer) -> None:
    """Each connection has its script, the last one's is for all that follow; requests and connections are counted."""
    server = raw_server(b"one", [b"two", Pause(0.01), b"three"])
    heard = []

    for body in (b"", b"12345", b""):
        with connect(server.port) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            heard.append(hear(connection))

    assert heard == [b"one", b"twothree", b"twothree"]
    assert server.connections == 3
    assert server.requests[1] == b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345"


def test_raw_server_holds_a_conversation(raw_server: MakeRawServer) -> None:
    """Several requests come by one connection where the script awaits them."""
    server = raw_server([Request(), reply(b"first"), Request(), reply(b"second", 404), Close()])

    with connect(server.port) as connection:
        connection.sendall(ASK + ASK)
        heard = hear(connection)

    assert heard == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecond"
    )
    assert server.requests == [ASK, ASK]


def test_raw_server_may_speak_first(raw_server: MakeRawServer) -> None:
    """A reply can be there, and at its end, before its request, which is then still taken."""
    server = raw_server(b"220 hello\r\n", greet=True)

    with connect(server.port) as connection:
        greeting = hear(connection)
        # To speak to a socket that was closed brings RST, and to speak again fails.
        connection.sendall(ASK)
        connection.sendall(ASK)

    assert greeting == b"220 hello\r\n"


def test_raw_server_resets(raw_server: MakeRawServer) -> None:
    """The client sees RST, not an end."""
    server = raw_server([Reset()])

    with connect(server.port) as connection:
        connection.sendall(ASK)
        with pytest.raises(ConnectionResetError):
            hear(connection)


def test_raw_server_hangs(raw_server: MakeRawServer) -> None:
    """What was sent is there, and then nothing, not even an end."""
    server = raw_server([b"HTTP/1.1 200", Hang()])

    with connect(server.port) as connection:
        connection.sendall(ASK)
        begun = connection.recv(100)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    assert begun == b"HTTP/1.1 200"


def test_servers_survive_a_client_that_leaves_in_the_middle(site: Site) -> None:
    """Cut requests, resets and nonsense on one connection leave the others alone."""
    url = site.page("still here")

    for part in (b"", b"GET /", b"nonsense\r\n\r\n", b"POST /0 HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):
        connection = connect(site.port)
        connection.sendall(part)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    assert get(url) == (200, b"still here")


def test_tls_site_is_trusted_by_whom_trusts_its_authority(tls_site: Site, ca_file: Path) -> None:
    """The right certificate passes a client's checks."""
    url = tls_site.page("safe")

    status, body = get(url, ssl.create_default_context(cafile=str(ca_file)))

    assert url.startswith("https://127.0.0.1:")
    assert (status, body) == (200, b"safe")


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (Certificate.WRONG_HOST, "IP address mismatch"),
        (Certificate.EXPIRED, "certificate has expired"),
        (Certificate.UNKNOWN_ISSUER, "unable to get local issuer certificate"),
        (Certificate.SELF_SIGNED, "self-signed certificate"),
    ],
)
def test_tls_sites_fail_for_their_own_reason(
    make_tls_site: MakeTlsSite, ca_file: Path, certificate: Certificate, reason: str
) -> None:
    """Each wrong certificate is wrong in the one way it names."""
    url = make_tls_site(certificate).page("unsafe")

    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        get(url, ssl.create_default_context(cafile=str(ca_file)))


def test_tls_fixtures_show_the_certificates_they_are_named_for(
    wrong_host_site: Site, expired_site: Site, unknown_issuer_site: Site, self_signed_site: Site, ca_file: Path
) -> None:
    """The fixtures and the certificates are not mixed up."""
    reasons = []

    for site in (wrong_host_site, expired_site, unknown_issuer_site, self_signed_site):
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            get(site.page(), ssl.create_default_context(cafile=str(ca_file)))
        reasons.append(caught.value.verify_message)

    assert [reason.split(",")[0] for reason in reasons] == [
        "IP address mismatch",
        "certificate has expired",
        "unable to get local issuer certificate",
        "self-signed certificate",
    ]


def test_raw_server_speaks_tls(raw_server: MakeRawServer, authority: Authority) -> None:
    """The same script under TLS."""
    server = raw_server(b"HTTP/1.1 nonsense", tls=authority.context())
    context = ssl.create_default_context(cafile=str(authority.ca_file))

    with connect(server.port) as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(ASK)
        heard = connection.recv(100)

    assert heard == b"HTTP/1.1 nonsense"
    assert server.requests == [ASK]


def test_nginx_serves_files(nginx: MakeNginx) -> None:
    """A file on disk is a page, and the server block is the test's own."""
    server = nginx("location = /teapot { return 418 short; }")
    (server.root / "page.html").write_bytes(b"<p>from disk</p>")

    page, teapot = get(server.url("/page.html")), get(server.url("/teapot"))

    assert page == (200, b"<p>from disk</p>")
    assert teapot == (418, b"short")


def test_nginx_serves_files_over_tls(nginx: MakeNginx, authority: Authority) -> None:
    """With our authority's certificate."""
    server = nginx(f"ssl_certificate {authority.cert_file}; ssl_certificate_key {authority.key_file};", tls=True)
    (server.root / "page.html").write_bytes(b"<p>from disk</p>")

    page = get(server.url("/page.html"), ssl.create_default_context(cafile=str(authority.ca_file)))

    assert page == (200, b"<p>from disk</p>")


def test_httpbin_answers(httpbin: Httpbin) -> None:
    """It is the real thing."""
    status, body = get(httpbin.url("/anything?a=1"))

    assert status == 200
    assert json.loads(body)["args"] == {"a": "1"}


def test_missing_servers_fail_in_ci_and_skip_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check goes missing unseen."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="nginx is not installed, and CI is set"):
        conftest.missing("nginx")

    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="nginx is not installed"):
        conftest.missing("nginx")


def test_afetch_runs_without_the_testers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings and proxies of whoever runs the tests do not reach the command."""
    for name in ("AFETCH_RETRIES", "HTTP_PROXY", "no_proxy", "NO_COLOR", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("KEPT", "1")

    environment = conftest.clean_environment()

    assert not {"AFETCH_RETRIES", "HTTP_PROXY", "no_proxy", "NO_COLOR", "SSL_CERT_FILE"} & environment.keys()
    assert environment["KEPT"] == "1"


def test_afetch_fixture_gives_back_what_the_process_said(afetch: Afetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams, the status, and JSON Lines as records; any program would do."""
    program = "import sys; print(sys.stdin.read()); print(sys.argv[1], file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(conftest, "COMMAND", (conftest.COMMAND[0], "-c", program))

    done = afetch("argument", stdin='{"url": "ü"}')

    assert (done.returncode, done.stderr) == (3, "argument\n")
    assert done.records == [{"url": "ü"}]


@pytest.mark.parametrize("turns", range(5))
async def test_a_listener_that_closes_loses_no_connection_that_just_came(turns: int) -> None:
    """However far the loop has come with it: one that is lost is a warning of some later test, and so its failure."""

    async def serve(wire: Wire) -> None:
        await wire.until_gone()

    listener = Listener(serve)
    await listener.__aenter__()
    client = socket.create_connection((listener.host, listener.port))
    for _ in range(turns):
        await asyncio.sleep(0)

    await listener.__aexit__(None, None, None)

    with client:
        client.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    gc.collect()
