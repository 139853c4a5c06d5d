"""
Proxies as their users have them: Debian's own, from the command line, for http and for https.

Which proxy a URL goes through is `test_proxy_choice`'s matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fetcher.demo.server import LOOPBACK
from fetcher.errors import ErrorKind
from fetcher.model import Error
from tests.conftest import Afetch, Completed, MakeRawServer
from tests.exchanges import Loop, fetch_at_once, on_each_loop
from tests.proxy_servers import (
    OTHERS_NAME,
    PLAIN_PASSWORD,
    USER,
    USERINFO,
    ProxyServer,
    Socks,
    dante,
    free_port,
    microsocks,
    open_folder,
    running,
    squid,
    tinyproxy,
)
from tests.servers import Authority, Close, Hang, Pause, Request, Site, reply

QUICK = ("--json", "--retry-wait", "0")

TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


def by_index(done: Completed) -> list[dict[str, Any]]:
    """The records in the order of the list."""
    return sorted(done.records, key=lambda record: int(record["index"]))


def error(done: Completed) -> tuple[str, str]:
    """Kind and message of the only record."""
    [record] = done.records
    return record["error"]["kind"], record["error"]["message"]


@pytest.fixture(scope="module")
def open_squid(authority: Authority) -> Iterator[ProxyServer]:
    """A squid for everybody, also over TLS."""
    with open_folder() as folder, running(squid(folder, authority)) as server:
        yield server


@pytest.fixture(scope="module")
def closed_squid(authority: Authority) -> Iterator[ProxyServer]:
    """A squid that wants credentials, also over TLS."""
    with open_folder() as folder, running(squid(folder, authority, credentials=True)) as server:
        yield server


@pytest.fixture(scope="module")
def open_tinyproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A tinyproxy for everybody."""
    with running(tinyproxy(tmp_path_factory.mktemp("tinyproxy"))) as server:
        yield server


@pytest.fixture(scope="module")
def closed_tinyproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A tinyproxy that wants credentials."""
    folder = tmp_path_factory.mktemp("tinyproxy")
    with running(tinyproxy(folder, f"BasicAuth {USER} {PLAIN_PASSWORD}")) as server:
        yield server


@pytest.fixture(scope="module")
def open_microsocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A microsocks for everybody."""
    with running(microsocks(tmp_path_factory.mktemp("microsocks"))) as server:
        yield server


@pytest.fixture(scope="module")
def closed_microsocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A microsocks that wants credentials."""
    folder = tmp_path_factory.mktemp("microsocks")
    with running(microsocks(folder, "-u", USER, "-P", PLAIN_PASSWORD)) as server:
        yield server


@pytest.fixture(scope="module")
def open_dante(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyServer]:
    """A dante for everybody."""
    with running(dante(tmp_path_factory.mktemp("dante"))) as server:
        yield server


# --- Every kind of proxy, for http and https ---


@pytest.mark.parametrize(
    ("proxy", "scheme"),
    [
        ("open_tinyproxy", "http"),
        ("open_squid", "http"),
        ("open_squid", "https"),
        ("open_microsocks", "socks5"),
        ("open_dante", "socks4"),
        ("open_dante", "socks5"),
    ],
)
def test_http_and_https_go_through_a_proxy(
    request: pytest.FixtureRequest,
    afetch: Afetch,
    site: Site,
    tls_site: Site,
    authority: Authority,
    proxy: str,
    scheme: str,
) -> None:
    """`-x`: the reply is the site's, the peer is the proxy, the phases add up; a POST keeps its body."""
    server: ProxyServer = request.getfixturevalue(proxy)
    echoes = [site.echo(), tls_site.echo()]

    done = afetch(*echoes, "-x", server.url(scheme), "--cacert", authority.ca_file, "-d", "abc", *QUICK)

    assert (done.returncode, done.stderr.count("proxy")) == (0, 0)
    port = server.tls_port if scheme == "https" else server.port
    for record in by_index(done):
        assert record["status"] == 200
        assert record["body"]["body"] == "abc"
        assert record["remote"] == f"{LOOPBACK}:{port}"
        timings = record["timings"]
        assert timings["dns"] is None
        assert timings["connect"] > 0
        assert (timings["tls"] is not None) == (scheme == "https" or record["url"].startswith("https"))
        assert sum(timings[phase] or 0 for phase in ("connect", "tls", "first_byte", "download")) <= record["elapsed"]


@on_each_loop
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_tls_within_tls_works_on_each_loop(
    loop: Loop, scheme: str, open_squid: ProxyServer, site: Site, tls_site: Site, authority: Authority
) -> None:
    """An https URL through an https proxy, several at once, large bodies too, beside an http one."""
    large = "x" * 3_000_000
    urls = [tls_site.page(large), tls_site.page("small"), site.page(large), tls_site.page(large)]

    hops = fetch_at_once(loop, urls, proxy=open_squid.url(scheme), cacert=str(authority.ca_file))

    assert [(hop.status, hop.error, hop.size) for hop in hops] == [
        (200, None, len(large)),
        (200, None, 5),
        (200, None, len(large)),
        (200, None, len(large)),
    ]


def test_a_proxy_is_told_the_whole_url_and_serves_many_origins(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """For http its connections are nobody's own: what one origin used the next one uses."""
    server = raw_server([Request(), reply(b"a"), Request(), reply(b"b")])

    done = afetch(
        "http://a.invalid/x?y=%2F",
        "http://b.invalid:81/",
        "-c",
        "1",
        "-x",
        f"http://ann:pw@{LOOPBACK}:{server.port}",
        *QUICK,
    )

    assert [record["body"] for record in by_index(done)] == ["a", "b"]
    assert server.connections == 1
    first, second = (request.decode().split("\r\n") for request in server.requests)
    assert first[:2] == ["GET http://a.invalid/x?y=%2F HTTP/1.1", "Host: a.invalid"]
    assert second[:2] == ["GET http://b.invalid:81/ HTTP/1.1", "Host: b.invalid:81"]
    assert "Proxy-Authorization: Basic YW5uOnB3" in first
    assert "Proxy-Authorization: Basic YW5uOnB3" in second


def test_a_tunnel_is_one_origins_own(afetch: Afetch, site: Site) -> None:
    """Through SOCKS each origin has its connections, and keeps them."""
    urls = [site.page("a"), site.page("b")]

    with Socks({LOOPBACK: LOOPBACK, "localhost": LOOPBACK}) as server:
        done = afetch(
            *urls, *(url.replace(LOOPBACK, "localhost") for url in urls), "-c", "1", "-x", server.url("socks5"), *QUICK
        )

    assert [record["body"] for record in by_index(done)] == ["a", "b", "a", "b"]
    assert sorted(asked.host for asked in server.asked) == [LOOPBACK, "localhost"]


def test_only_the_proxy_is_given_its_credentials(
    afetch: Afetch, raw_server: MakeRawServer, site: Site, closed_squid: ProxyServer
) -> None:
    """CONNECT has them and nothing of the request's; no site, record or word on the screen has."""
    server = raw_server([Request(), b"HTTP/1.1 403 no\r\n\r\n", Close()])
    proxy = f"http://ann:pw@{LOOPBACK}:{server.port}"

    refused = afetch("https://a.invalid/secret", "-x", proxy, "-H", "X-Own: 1", "-A", "me", "-v", "-r", "0", *QUICK)
    through = afetch(site.echo(), "-x", closed_squid.url(userinfo=USERINFO), "-v", *QUICK)

    [connect] = server.requests
    assert connect.decode().split("\r\n") == [
        "CONNECT a.invalid:443 HTTP/1.1",
        "Host: a.invalid:443",
        "User-Agent: me",
        "Proxy-Authorization: Basic YW5uOnB3",
        "",
        "",
    ]
    [record] = through.records
    assert record["status"] == 200
    assert not any(name.lower() == "proxy-authorization" for name, _ in record["body"]["headers"])
    for done in (refused, through):
        assert "pw@" not in done.stdout + done.stderr
        assert "s3cret" not in done.stdout + done.stderr


# --- Credentials ---


@pytest.mark.parametrize(
    ("proxy", "scheme", "right"),
    [
        ("closed_tinyproxy", "http", f"{USER}:{PLAIN_PASSWORD}"),
        ("closed_squid", "http", USERINFO),
        ("closed_squid", "https", USERINFO),
        ("closed_microsocks", "socks5", f"{USER}:{PLAIN_PASSWORD}"),
    ],
)
def test_credentials_open_a_proxy_and_wrong_ones_are_its_own_trouble(
    request: pytest.FixtureRequest,
    afetch: Afetch,
    site: Site,
    tls_site: Site,
    authority: Authority,
    proxy: str,
    scheme: str,
    right: str,
) -> None:
    """Right ones fetch; wrong ones and none are `proxy`, told apart and without a retry, for http and https."""
    server: ProxyServer = request.getfixturevalue(proxy)
    urls = (site.page("in"), tls_site.page("in"))
    options = ("--cacert", authority.ca_file, *QUICK)

    opened = afetch(*urls, "-x", server.url(scheme, right), *options)
    wrong = afetch(*urls, "-x", server.url(scheme, f"{USER}:wr0ng"), *options)
    without = afetch(*urls, "-x", server.url(scheme), *options)

    assert [record["body"] for record in opened.records] == ["in", "in"]
    for done, words in ((wrong, "does not take the user and password"), (without, "asks for a user and a password")):
        assert done.returncode == 1
        for record in done.records:
            if record["status"] == 401:
                # Of wrong ones tinyproxy says in the site's own words that it does not take them.
                assert (proxy, record["url"]) == ("closed_tinyproxy", urls[0])
                continue
            assert (record["status"], record["error"]["kind"], record["attempts"]) == (None, "proxy", 1)
            assert words in record["error"]["message"]
        assert "wr0ng" not in done.stdout + done.stderr


# --- Trouble, the proxy's and the target's ---


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5"])
def test_a_dead_proxy_is_proxy_trouble_and_tried_again(afetch: Afetch, scheme: str) -> None:
    """For http and https, and for a POST too: the host was sent nothing. No host is blamed for it."""
    proxy = f"{scheme}://ann@{LOOPBACK}:{free_port()}"
    urls = [f"{way}://a.invalid/{number}" for way in ("http", "https") for number in range(6)]

    done = afetch(*urls, "-x", proxy, "-d", "x", "-r", "1", "--breaker", "2", *QUICK)

    assert done.returncode == 1
    assert {record["error"]["kind"] for record in done.records} == {"proxy"}
    assert {record["attempts"] for record in done.records} == {2}
    assert {record["error"]["message"] for record in done.records} == {
        f"{proxy.replace('ann@', '')}: nothing listens there (connection refused)"
    }


def test_a_proxy_whose_name_does_not_exist_is_proxy_trouble(afetch: Afetch) -> None:
    """And is not tried again, as no name is that does not exist."""
    done = afetch("http://a.invalid/", "-x", "http://proxy.invalid:1", "--resolver", "system", *QUICK)

    assert error(done)[0] == "proxy"
    assert error(done)[1].startswith("http://proxy.invalid:1: ")


def test_a_proxy_with_a_wrong_certificate_is_proxy_trouble(afetch: Afetch, open_squid: ProxyServer, site: Site) -> None:
    """Told apart from the target's, which is `tls`."""
    done = afetch(site.page("x"), "-x", open_squid.url("https"), *QUICK)

    [record] = done.records
    assert (record["error"]["kind"], record["attempts"]) == ("proxy", 1)
    assert "certificate" in record["error"]["message"]


def test_a_target_with_a_wrong_certificate_is_the_targets(
    afetch: Afetch, open_squid: ProxyServer, expired_site: Site, authority: Authority
) -> None:
    """TLS within a tunnel is between us and it."""
    for scheme in ("http", "https"):
        done = afetch(expired_site.url(), "-x", open_squid.url(scheme), "--cacert", authority.ca_file, *QUICK)

        assert error(done) == ("tls", "the certificate has expired")


def test_a_refused_connect_is_proxy_trouble_with_its_status(afetch: Afetch, open_squid: ProxyServer) -> None:
    """What its rules forbid is not tried again; the same target over http gets squid's own page, which is a reply."""
    tunnel = afetch(f"https://{LOOPBACK}:1/", "-x", open_squid.url(), *QUICK)
    plain = afetch(f"http://{LOOPBACK}:1/", "-x", open_squid.url(), *QUICK)

    [record] = tunnel.records
    assert error(tunnel) == ("proxy", f"{open_squid.url()} refused CONNECT {LOOPBACK}:1: 403 Forbidden")
    assert (record["status"], record["attempts"]) == (None, 1)
    [record] = plain.records
    assert (record["status"], record["error"]) == (403, None)


def test_a_gateways_error_is_a_reply(afetch: Afetch, open_squid: ProxyServer) -> None:
    """A proxy's 503 for an http URL is what came back; for https no reply came, and it is tried again."""
    dead = free_port()

    plain = afetch(f"http://{LOOPBACK}:{dead}/", "-x", open_squid.url(), "-r", "1", *QUICK)
    tunnel = afetch(f"https://{LOOPBACK}:{dead}/", "-x", open_squid.url(), "-r", "1", *QUICK)

    [record] = plain.records
    assert (record["status"], record["error"], record["attempts"]) == (503, None, 2)
    [record] = tunnel.records
    assert error(tunnel) == ("proxy", f"{open_squid.url()} refused CONNECT {LOOPBACK}:{dead}: 503 Service Unavailable")
    assert record["attempts"] == 2


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ([b"SSH-2.0-x\r\n"], "proxy", "{} answered CONNECT with not an HTTP reply: 'SSH-2.0-x'"),
        ([b"garbage"], "proxy", "{} answered CONNECT with not an HTTP reply: 'garbage'"),
        ([b"HTTP/1.1 2x0 ok\r\n\r\n"], "proxy", "{} answered CONNECT with not an HTTP reply: 'HTTP/1.1 2x0 ok'"),
        ([b"HTTP/1.1 200"], "proxy", "{} closed the connection before it had opened a way"),
        ([], "proxy", "{} closed the connection before it had opened a way"),
        ([b"HTTP/1.1 299 odd\r\n\r\n"], "disconnected", None),
        ([b"HTTP/1.1 100 wait\r\n\r\n", b"HTTP/1.0 418 Pot\r\n\r\n"], "proxy", "{} refused CONNECT a.invalid:443: 418"),
        ([b"HTTP/1.1 799 \x1b[31m\r\n\r\n"], "proxy", "{} refused CONNECT a.invalid:443: 799"),
        ([TUNNEL], "disconnected", None),
        ([TUNNEL, b"220 hello\r\n", Hang()], "tls", None),
        ([b"x: y\r\n" * 20_000, Hang()], "proxy", None),
        ([b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 20_000, Hang()], "proxy", "{} says no end of things"),
    ],
)
def test_odd_answers_to_connect(raw_server: MakeRawServer, script: list[Any], kind: str, message: str | None) -> None:
    """Whatever a proxy says, and wherever it ends, is one error of one line; nothing waits for more in vain."""
    server = raw_server(
        [Request(), *script] if script and isinstance(script[-1], Hang) else [Request(), *script, Close()]
    )
    proxy = f"http://{LOOPBACK}:{server.port}"

    [hop] = fetch_at_once(asyncio.new_event_loop, ["https://a.invalid/"], proxy=proxy)

    assert hop.error is not None
    assert hop.error.kind == kind
    assert hop.error.message.isprintable()
    if message is not None:
        assert hop.error.message.startswith(message.format(proxy))


def test_a_proxy_that_says_nothing_is_given_up(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """It may be waiting for the target, so nobody is accused."""
    server = raw_server([Hang()], greet=True)

    done = afetch(
        "https://a.invalid/", "-x", f"http://{LOOPBACK}:{server.port}", "--connect-timeout", "0.2", "-r", "0", *QUICK
    )

    assert error(done) == (
        "connect-timeout",
        f"http://{LOOPBACK}:{server.port} opened no way to a.invalid within 0.2 s (--connect-timeout)",
    )


def test_a_proxy_that_cannot_be_spoken_to_in_time_is_proxy_trouble(raw_server: MakeRawServer) -> None:
    """It takes the connection, and then says nothing in a TLS handshake."""
    server = raw_server([Hang()], greet=True)
    proxy = f"https://{LOOPBACK}:{server.port}"

    for url in ("http://a.invalid/", "https://a.invalid/"):
        [hop] = fetch_at_once(asyncio.new_event_loop, [url], proxy=proxy, connect_timeout=0.2)

        assert hop.error == Error(ErrorKind.PROXY, f"{proxy}: no connection within 0.2 s (--connect-timeout)")


def test_a_target_that_hangs_in_a_tunnel_is_the_targets(raw_server: MakeRawServer, open_squid: ProxyServer) -> None:
    """The way is open, so what is awaited is its TLS handshake."""
    server = raw_server([Hang()], greet=True)

    [hop] = fetch_at_once(
        asyncio.new_event_loop, [f"https://{LOOPBACK}:{server.port}/"], proxy=open_squid.url(), connect_timeout=0.5
    )

    assert hop.error == Error(ErrorKind.CONNECT_TIMEOUT, "no TLS handshake within 0.5 s (--connect-timeout)")


def test_the_lookup_is_that_of_the_proxys_name(open_squid: ProxyServer, site: Site) -> None:
    """The target's is the proxy's own matter."""
    proxy = f"http://localhost:{open_squid.port}"

    [hop] = fetch_at_once(asyncio.new_event_loop, [site.page("x")], proxy=proxy)

    assert (hop.status, hop.remote) == (200, f"{LOOPBACK}:{open_squid.port}")
    assert hop.timings is not None
    assert hop.timings.dns is not None


@on_each_loop
@pytest.mark.parametrize("pieces", [1, 7])
def test_what_a_server_says_first_comes_through_a_tunnel(loop: Loop, raw_server: MakeRawServer, pieces: int) -> None:
    """A reply that arrives with the end of SOCKS's own is not lost, and one in pieces is put together."""
    said = b"\x05\x00" + b"\x05\x00\x00\x03\x01x" + bytes(2) + reply(b"early")
    size = -(-len(said) // pieces)
    script: list[Any] = []
    for start in range(0, len(said), size):
        script += [said[start : start + size], Pause(0.002)]
    server = raw_server([*script, Hang()], greet=True)

    [hop] = fetch_at_once(loop, ["http://a.invalid/"], proxy=f"socks5://{LOOPBACK}:{server.port}")

    assert (hop.status, hop.error, hop.body) == (200, None, b"early")


def test_a_proxy_that_dies_in_the_middle_keeps_what_arrived(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """As any server's: `disconnected` before the reply, `incomplete` within it."""
    silent = raw_server([Request(), Close()])
    cut = raw_server([Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Close()])

    before = afetch("http://a.invalid/", "-x", f"http://{LOOPBACK}:{silent.port}", "-r", "0", *QUICK)
    within = afetch("http://a.invalid/", "-x", f"http://{LOOPBACK}:{cut.port}", "-r", "0", *QUICK)

    assert error(before)[0] == "disconnected"
    assert error(within)[0] == "incomplete"
    [record] = within.records
    assert (record["body"], record["truncated"]) == ("half", True)


# --- SOCKS ---


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "socks5h"])
def test_names_are_the_socks_servers_to_look_up(afetch: Afetch, site: Site, tls_site: Site, scheme: str) -> None:
    """A name that only it knows is fetched over http and https; nobody here was asked for it."""
    urls = [url.page("there").replace(LOOPBACK, OTHERS_NAME) for url in (site, tls_site)]

    with Socks({OTHERS_NAME: LOOPBACK}) as server:
        done = afetch(*urls, "-k", "-x", server.url(scheme), *QUICK)

    assert [record["body"] for record in done.records] == ["there", "there"]
    assert {asked.host for asked in server.asked} == {OTHERS_NAME}
    assert {asked.version for asked in server.asked} == {4 if "4" in scheme else 5}
    assert all(record["timings"]["dns"] is None for record in done.records)


def test_names_are_an_http_proxys_to_look_up(
    afetch: Afetch, site: Site, tls_site: Site, open_squid: ProxyServer
) -> None:
    """Squid knows one that nobody else does."""
    urls = [url.page("there").replace(LOOPBACK, OTHERS_NAME) for url in (site, tls_site)]

    done = afetch(*urls, "-k", "-x", open_squid.url(), *QUICK)

    assert [record["body"] for record in done.records] == ["there", "there"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, "proxy"),
        (2, "proxy"),
        (3, "unreachable"),
        (4, "unreachable"),
        (5, "refused"),
        (6, "unreachable"),
        (7, "proxy"),
        (8, "proxy"),
        (99, "proxy"),
    ],
)
def test_what_a_socks_server_says_of_the_target_is_the_targets(code: int, kind: str) -> None:
    """SOCKS5 tells whose trouble it is; the code is in the message."""
    with Socks({}, refusal=code) as server:
        [hop] = fetch_at_once(asyncio.new_event_loop, ["http://a.invalid:81/"], proxy=server.url("socks5"))

    assert hop.error is not None
    assert hop.error.kind == kind
    assert hop.error.message.startswith(f"{server.url('socks5')} has no way to a.invalid:81: ")
    assert hop.error.message.endswith(f"(SOCKS5 reply {code})")


def test_a_target_that_refuses_a_socks_server_is_refused(afetch: Afetch, open_microsocks: ProxyServer) -> None:
    """The real one says so, and it is tried again like any other."""
    done = afetch(f"http://{LOOPBACK}:{free_port()}/", "-x", open_microsocks.url("socks5"), "-r", "1", *QUICK)

    [record] = done.records
    assert (record["error"]["kind"], record["attempts"]) == ("refused", 2)


def test_socks4_has_no_words_but_no(afetch: Afetch) -> None:
    """It cannot tell whose trouble it is, and knows no IPv6."""
    with Socks({}) as server:
        named = afetch("http://a.invalid:81/", "-x", server.url("socks4"), "-r", "0", *QUICK)
        six = afetch("http://[::1]:81/", "-x", server.url("socks4"), *QUICK)

    proxy = server.url("socks4")
    assert error(named) == ("proxy", f"{proxy} has no way to a.invalid:81: refused or failed (SOCKS4 reply 91)")
    assert error(six) == ("proxy", f"{proxy}: SOCKS4 knows no IPv6 addresses; use socks5://")


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_what_is_no_socks_server_is_proxy_trouble(raw_server: MakeRawServer, scheme: str) -> None:
    """An HTTP server in its place, one that closes at once, one that says half of it."""
    http = raw_server([b"HTTP/1.1 400 Bad Request\r\n\r\n", Close()], greet=True)
    gone = raw_server([Close()], greet=True)
    half = raw_server([b"\x00" if scheme == "socks4" else b"\x05", Close()], greet=True)

    for server, words in (
        (http, f"does not speak {scheme.upper()}"),
        (gone, "closed the connection before it had opened a way"),
        (half, "closed the connection before it had opened a way"),
    ):
        proxy = f"{scheme}://{LOOPBACK}:{server.port}"
        [hop] = fetch_at_once(asyncio.new_event_loop, ["http://a.invalid/"], proxy=proxy)

        assert hop.error == Error(ErrorKind.PROXY, f"{proxy} {words}", lasting=server is http)


# --- The environment ---


def test_the_environment_names_proxies(afetch: Afetch, site: Site, raw_server: MakeRawServer) -> None:
    """Variables count unless `--no-env` or an option says otherwise; NO_PROXY names what is reached directly."""
    direct = site.page("direct")
    proxy = raw_server([Request(), reply(b"proxied")])
    variables = {"http_proxy": f"http://{LOOPBACK}:{proxy.port}"}

    def body(*options: str, **more: str) -> str:
        [record] = afetch(direct, *options, *QUICK, env={**variables, **more}).records
        return str(record["body"])

    assert body() == "proxied"
    assert body(http_proxy="", ALL_PROXY=variables["http_proxy"]) == "proxied"
    assert body(http_proxy="", HTTP_PROXY=variables["http_proxy"]) == "proxied"
    assert body("--no-env") == "direct"
    assert body("-x", "") == "direct"
    assert body(NO_PROXY=f"{LOOPBACK}:{site.port}") == "direct"
    assert body(no_proxy="127.0.0.0/8") == "direct"
    assert body("-x", variables["http_proxy"], NO_PROXY="*") == "direct"
    assert body("-x", variables["http_proxy"], "--no-env", NO_PROXY="*") == "proxied"


def test_the_demo_needs_no_proxy(afetch: Afetch) -> None:
    """Its site is on this machine, whatever the environment says."""
    done = afetch("--demo", "-q", env={"http_proxy": f"http://{LOOPBACK}:{free_port()}"})

    assert (done.returncode, done.stderr) == (0, "")


# --- Bad input, and what is told beforehand ---


@pytest.mark.parametrize(
    ("proxy", "complaint"),
    [
        (
            "ftp://p:1",
            "--proxy: unknown scheme 'ftp'; a proxy's is http, https, socks, socks4, socks4a, socks5 or socks5h",
        ),
        ("http://:81", "--proxy: not a proxy (no host); write [SCHEME://][USER:PASSWORD@]HOST[:PORT]"),
        ("socks4://a:s3cret@p", "--proxy: SOCKS4 knows no password, and no NUL in a user; use socks5://"),
    ],
)
def test_a_wrong_proxy_is_a_usage_error(afetch: Afetch, site: Site, proxy: str, complaint: str) -> None:
    """One line, status 2, and nothing was sent; the same in the environment, which is named."""
    said = afetch(site.page("x"), "-x", proxy)
    meant = afetch(site.page("x"), env={"http_proxy": proxy})

    assert (said.returncode, said.stdout, said.stderr) == (2, "", f"afetch: {complaint}\n")
    assert (meant.returncode, meant.stderr) == (2, f"afetch: {complaint.replace('--proxy', 'http_proxy')}\n")
    assert site.log == []


def test_explain_tells_the_proxy_and_no_password(afetch: Afetch) -> None:
    """Which one, by whose word, and what it would be sent."""
    variables = {"https_proxy": "socks5://ann:s3cret@p:9", "NO_PROXY": "c.example"}

    done = afetch(
        "http://a.example/b",
        "https://b.example/",
        "https://c.example/",
        "--explain",
        env={**variables, "http_proxy": "x:s3cret@p"},
    )
    said = afetch("http://a.example/b", "-x", "http://ann:s3cret@p:8", "--explain")

    assert "  request        GET http://a.example/b HTTP/1.1\n" in done.stdout
    assert "                 Proxy-Authorization: ***\n" in done.stdout
    assert "  proxy          http://p:1080 (http_proxy)\n" in done.stdout
    assert "  proxy          socks5://p:9 (https_proxy)\n" in done.stdout
    assert "  proxy          none (NO_PROXY has c.example)\n" in done.stdout
    assert "  proxy          http://p:8 (--proxy)\n" in said.stdout
    assert "--proxy http://ann:***@p:8\n" in said.stdout
    assert "s3cret" not in done.stdout + said.stdout
