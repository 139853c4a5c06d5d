"""Which proxy a URL goes through: what a proxy's URL may look like, and what the environment says."""

from __future__ import annotations

import pytest

from fetcher.client.config import ClientConfig
from fetcher.client.proxies import Proxies, Proxy, parse_proxy, proxy_variables
from fetcher.errors import UsageError
from fetcher.model import Origin
from fetcher.urls import parse_url

FIRST, SECOND = "http://first.example:1", "http://second.example:2"


def origin(text: str) -> Origin:
    """The origin of a URL."""
    return parse_url(text)[0].origin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.example:3128", Proxy("http", "proxy.example", 3128)),
        ("http://proxy.example:80/", Proxy("http", "proxy.example", 80)),
        ("proxy.example:3128", Proxy("http", "proxy.example", 3128)),
        ("proxy.example", Proxy("http", "proxy.example", 1080)),
        ("HTTPS://Proxy.Example", Proxy("https", "proxy.example", 443)),
        ("socks4://10.0.0.1", Proxy("socks4", "10.0.0.1", 1080)),
        ("socks4a://10.0.0.1:9", Proxy("socks4", "10.0.0.1", 9)),
        ("socks5://[::1]:9", Proxy("socks5", "::1", 9)),
        ("socks5h://[::1]", Proxy("socks5", "::1", 1080)),
        ("socks://bücher.example", Proxy("socks5", "xn--bcher-kva.example", 1080)),
        ("http://ann:a%2Fb%40%3Ac@p:8", Proxy("http", "p", 8, b"ann", b"a/b@:c")),
        ("ann:a@b@p:8", Proxy("http", "p", 8, b"ann", b"a@b")),
        ("socks4://ann@p", Proxy("socks4", "p", 1080, b"ann")),
        ("socks5://ann:@p", Proxy("socks5", "p", 1080, b"ann", b"")),
        ("http://@p:8", Proxy("http", "p", 8)),
        ("  http://p:8 ", Proxy("http", "p", 8)),
        ("", None),
        (" ", None),
    ],
)
def test_a_proxy_is_read_from_its_url(text: str, expected: Proxy | None) -> None:
    """Scheme and port may be left out, as in curl; credentials are decoded."""
    assert parse_proxy(text, "--proxy") == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ftp://p:1", "unknown scheme 'ftp'; a proxy's is http, https, socks, socks4, socks4a, socks5 or socks5h"),
        ("http://:3128", "not a proxy (no host); write [SCHEME://][USER:PASSWORD@]HOST[:PORT]"),
        ("http://", "not a proxy (no host); write [SCHEME://][USER:PASSWORD@]HOST[:PORT]"),
        ("http://ann:s3cret@", "not a proxy (no host); write [SCHEME://][USER:PASSWORD@]HOST[:PORT]"),
        ("http://p:99999", None),
        ("http://p:x", None),
        ("http://p:1/path", None),
        ("http://ann:s3/cret@p:1", None),
        (f"socks5://{'a' * 256}:s3cret@p", None),
        (f"socks5://ann:{'s3cret' * 50}@p", None),
        ("socks4://ann:s3cret@p", None),
    ],
)
def test_what_is_no_proxy_is_a_usage_error_that_tells_no_password(text: str, complaint: str | None) -> None:
    """Who said it stands first, and the way out last; the text is not repeated, since it may have a password."""
    with pytest.raises(UsageError) as caught:
        Proxies(None, (("https_proxy", text),))

    message = str(caught.value)
    assert message.startswith("https_proxy: ")
    assert "s3cret" not in message
    assert complaint is None or message == f"https_proxy: {complaint}"


def test_a_proxy_is_shown_without_its_credentials() -> None:
    """In errors, in `--explain`, and in what a program prints of its settings."""
    settings = ClientConfig(proxy="http://ann:s3cret@[::1]:8", proxy_variables=(("all_proxy", "http://b:s3cret@p"),))

    proxy = settings.proxies.find(origin("http://a.example"))

    assert str(proxy) == "http://[::1]:8"
    assert "s3cret" not in repr(settings) + repr(proxy)
    assert proxy is not None
    assert proxy.authorization == "Basic YW5uOnMzY3JldA=="


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ()),
        ({"http_proxy": "a", "https_proxy": "b"}, (("http_proxy", "a"), ("https_proxy", "b"))),
        ({"HTTPS_PROXY": "a", "ALL_PROXY": "b"}, (("HTTPS_PROXY", "a"), ("ALL_PROXY", "b"))),
        ({"https_proxy": "a", "HTTPS_PROXY": "b"}, (("https_proxy", "a"),)),
        ({"https_proxy": "", "HTTPS_PROXY": "b"}, (("HTTPS_PROXY", "b"),)),
        ({"NO_PROXY": "x", "no_proxy": "y"}, (("no_proxy", "y"),)),
        ({"HTTP_PROXY": "a"}, (("HTTP_PROXY", "a"),)),
        ({"HTTP_PROXY": "a", "REQUEST_METHOD": "GET"}, ()),
        ({"http_proxy": "a", "REQUEST_METHOD": "GET"}, (("http_proxy", "a"),)),
        ({"Http_Proxy": "a", "ftp_proxy": "b"}, ()),
    ],
)
def test_variables_count_in_both_cases(environ: dict[str, str], expected: tuple[tuple[str, str], ...]) -> None:
    """Lower case first; HTTP_PROXY in capitals never in a CGI script, where it is a header of the request's."""
    assert proxy_variables(environ) == expected


@pytest.mark.parametrize(
    ("variables", "http", "https"),
    [
        ({"http_proxy": FIRST}, FIRST, None),
        ({"https_proxy": FIRST}, None, FIRST),
        ({"all_proxy": FIRST}, FIRST, FIRST),
        ({"all_proxy": FIRST, "HTTPS_PROXY": SECOND}, FIRST, SECOND),
        ({"no_proxy": "a.example", "all_proxy": FIRST}, None, None),
        ({}, None, None),
    ],
)
def test_each_scheme_has_its_own_variable(variables: dict[str, str], http: str | None, https: str | None) -> None:
    """And ALL_PROXY counts where there is none."""
    proxies = Proxies(None, tuple(variables.items()))

    found = [proxies.find(origin(f"{scheme}://a.example/")) for scheme in ("http", "https")]

    assert [proxy and str(proxy) for proxy in found] == [http, https]


def test_an_option_wins_over_the_environment() -> None:
    """`-x` is for everything; `-x ''` is no proxy at all; `NO_PROXY` counts beside it, as in curl."""
    variables = (("all_proxy", FIRST), ("no_proxy", "b.example"))

    said, none = Proxies(SECOND, variables), Proxies("", variables)

    assert str(said.find(origin("http://a.example"))) == SECOND
    assert said.find(origin("http://b.example")) is None
    assert none.find(origin("http://a.example")) is None
    assert not none


def test_no_env_leaves_the_environment_out() -> None:
    """All of its variables, also those that are wrong."""
    variables = (("all_proxy", "ftp://p"), ("no_proxy", "*"))

    bare = ClientConfig(no_env=True, proxy_variables=variables)
    said = ClientConfig(no_env=True, proxy_variables=variables, proxy=SECOND)

    assert not bare.proxies
    assert str(said.proxies.find(origin("http://a.example"))) == SECOND


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("example.com", "http://example.com/", True),
        ("example.com", "http://EXAMPLE.com./", True),
        ("example.com", "http://www.example.com/", True),
        ("example.com", "http://notexample.com/", False),
        ("example.com", "http://example.com.org/", False),
        (".example.com", "http://example.com/", True),
        (".example.com", "http://a.b.example.com/", True),
        ("*.example.com", "http://a.example.com/", True),
        ("*.example.com", "http://example.com/", False),
        ("EXAMPLE.com.", "http://example.com/", True),
        ("bücher.example", "http://xn--bcher-kva.example/", True),
        ("a.example, b.example c.example", "http://b.example/", True),
        ("a.example, b.example c.example", "http://c.example/", True),
        ("a.example,,", "http://d.example/", False),
        ("*", "http://anything.example/", True),
        ("a.example,*", "https://10.0.0.1/", True),
        ("example.com:8080", "http://example.com:8080/", True),
        ("example.com:8080", "http://www.example.com:8080/", True),
        ("example.com:8080", "http://example.com/", False),
        ("example.com:443", "https://example.com/", True),
        ("example.com:8080,example.com:8081", "http://example.com:8081/", True),
        ("10.0.0.1", "http://10.0.0.1/", True),
        ("10.0.0.1", "http://0xa.1/", True),
        ("10.0.0.1", "http://110.0.0.1/", False),
        ("0.0.1", "http://10.0.0.1/", False),
        ("10.0.0.0/8", "http://10.9.8.7/", True),
        ("10.1.2.3/8", "http://10.9.8.7/", True),
        ("10.0.0.0/8", "http://11.0.0.1/", False),
        ("10.0.0.0/8", "http://10.example/", False),
        ("10.0.0.1:81", "http://10.0.0.1:81/", True),
        ("10.0.0.1:81", "http://10.0.0.1/", False),
        ("::1", "http://[::1]/", True),
        ("[::1]", "http://[::1]:8080/", True),
        ("[::1]:81", "http://[::1]:81/", True),
        ("[::1]:81", "http://[::1]/", False),
        ("fd00::/8", "http://[fd12::1]/", True),
        ("[fd00::]/8", "http://[fd12::1]/", True),
        ("fd00::/8", "http://[fe80::1]/", False),
        ("10.0.0.0/99,exa mple.com:x", "http://example.com/", False),
        ("localhost", "http://127.0.0.1/", False),
    ],
)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, url: str, direct: bool) -> None:
    """Hosts with all below them, ports, addresses, networks, `*`; what makes no sense matches nothing."""
    proxies = Proxies(FIRST, (("NO_PROXY", no_proxy),))

    assert (proxies.find(origin(url)) is None) == direct
