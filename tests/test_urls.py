"""What a URL is, and what it is sent as."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fetcher.urls import UrlError, _parse_any, begins_with_credentials, join_url, masked, parse_url, with_params

ANYTHING = st.text(st.characters(codec=None))
"""Texts with surrogates too, as stray bytes and careless programs bring them."""

NEARLY_URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "HTTPS://", "http:/", "https:", "ftp://", "//", ""]),
    st.sampled_from(["", "user@", "user:pass@", "a@b:c@", "%41:%00@"]),
    st.one_of(
        st.sampled_from(
            ["[::1]", "[fe80::1%25eth0]", "[fe80::1%ab]", "1.2.3.4", "0x7f.1", "-1.1", "1_0.1", "bücher.de"]
        ),
        st.from_regex(r"[a-zA-Z0-9.\-_%:\[\]]{0,12}", fullmatch=True),
        ANYTHING,
    ),
    st.sampled_from(["", ":80", ":0", ":99999", ":", ":٣", ":" + "9" * 5000]),
    st.one_of(st.sampled_from(["", "/", "/a/../b", "/..//.", "?q=/../", "\\x", "#f"]), ANYTHING),
)


@pytest.mark.parametrize(
    ("given_url", "sent"),
    [
        ("http://example.com", "http://example.com/"),
        ("http://example.com?q", "http://example.com/?q"),
        ("HTTP://EXAMPLE.com/A", "http://example.com/A"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:0443/", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com/#top", "http://example.com/"),
        ("http://example.com#top", "http://example.com/"),
        ("http://example.com/a%2Fb%zz?c=%20+d", "http://example.com/a%2Fb%zz?c=%20+d"),
        ("http://example.com/a b", "http://example.com/a%20b"),
        ("http://example.com/café?ü", "http://example.com/caf%C3%A9?%C3%BC"),
        ("http://example.com/caf\udce9", "http://example.com/caf%E9"),
        ("http://example.com/a/../b/./c/..", "http://example.com/b/"),
        ("http://example.com/?q=a/../b", "http://example.com/?q=a/../b"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
        ("http://my_host.example.:8080/", "http://my_host.example.:8080/"),
        ("http://127.1/", "http://127.0.0.1/"),
        ("http://0x7f000001/", "http://127.0.0.1/"),
        ("http://017700000001/", "http://127.0.0.1/"),
        ("http://[::0:1]:81/", "http://[::1]:81/"),
        ("http://[FE80::1%25eth0]/", "http://[fe80::1%25eth0]/"),
        ("http://[fe80::1%eth0]/", "http://[fe80::1%25eth0]/"),
        ("http://[fe80::1%ab]/", "http://[fe80::1%25ab]/"),
        ("http://user:pass@example.com/@", "http://example.com/@"),
    ],
)
def test_sends(given_url: str, sent: str) -> None:
    """What is encoded stays, what cannot stand on a request line is encoded, and a host has one spelling."""
    assert str(parse_url(given_url)[0]) == sent


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty URL"),
        ("example.com/x", "no scheme: write http:// or https:// before it, or give --base-url"),
        ("/x", "no scheme: write http:// or https:// before it, or give --base-url"),
        ("localhost:8080/x", "no scheme: write http:// or https:// before it, or give --base-url"),
        ("ftp://example.com/", "scheme 'ftp' is neither http nor https"),
        ("mailto:a@example.com", "scheme 'mailto' is neither http nor https"),
        ("http:/example.com", "no host: two slashes belong behind http:"),
        ("http:///x", "no host"),
        ("https:///x/y", "no host"),
        ("http://:80/", "no host"),
        ("http://a b/", "host 'a b' has a character that no host name has"),
        ("http://a%2fb/", "host 'a/b' has a character that no host name has"),
        ("http://example..com/", "host 'example..com' is not a host name"),
        ("http://1.2.3.256/", "host '1.2.3.256' is not an IPv4 address"),
        ("http://-1.1/", "host '-1.1' is not an IPv4 address"),
        ("http://1_0.0.0.1/", "host '1_0.0.0.1' is not an IPv4 address"),
        ("http://[::1/", "an IPv6 address needs its brackets: [::1]"),
        ("http://[::g]/", "not an IPv6 address: [::g]"),
        ("http://example.com:0/", "port '0' is not a number from 1 to 65535"),
        ("http://example.com:65536/", "port '65536' is not a number from 1 to 65535"),
        ("http://example.com/a\tb", "a control character in the URL"),
        ("http://example.com/\x7f", "a control character in the URL"),
        ("http://example.com/\ud800", "half a character (a lone surrogate) in the URL"),
    ],
)
def test_says_why_not(text: str, why: str) -> None:
    """A text that is no URL is refused with what is wrong and, where there is one, the way out."""
    with pytest.raises(UrlError) as refusal:
        parse_url(text)

    assert str(refusal.value) == why


@given(st.one_of(NEARLY_URLS, ANYTHING))
@example("http://-1.1")
@example("http://h:" + "9" * 5000)
@example("http://h:" + "0" * 5000 + "1")
@example("http://[fe80::1%25ab]/")
@example("http://\ud800.example/")
def test_gives_a_sendable_url_or_says_why_not(text: str) -> None:
    """Nothing but UrlError is raised; a URL is ASCII without blanks and controls, and is itself when parsed again."""
    try:
        url, _ = parse_url(text)
    except UrlError as refusal:
        assert str(refusal)  # noqa: PT017 - most texts are no URLs, and must not raise
        return

    shown = str(url)
    assert shown.isascii()
    assert shown.isprintable()
    assert " " not in shown
    assert "#" not in shown
    assert parse_url(shown) == (url, None)


@given(
    st.from_regex(
        r"(?i)https?://([a-z0-9.:_\-]{1,10}|[ -~]{0,8})(/[ -~]{0,12})?",
        fullmatch=True,
    )
)
def test_the_quick_way_leads_where_the_long_one_does(text: str) -> None:
    """A plain URL is parsed without the full grammar, to the same end."""

    def outcome(parse: object) -> object:
        try:
            return parse(text)  # type: ignore[operator]  # either of two functions with one signature
        except UrlError as refusal:
            return str(refusal)

    assert outcome(parse_url) == outcome(_parse_any)


@pytest.mark.parametrize(
    ("text", "userinfo"),
    [
        ("http://example.com/a@b", None),
        ("http://@example.com/", ""),
        ("http://user@example.com/", "user"),
        ("http://us%40er:p%3Aw@example.com/", "us%40er:p%3Aw"),
        ("http://user:p@ss@example.com/", "user:p@ss"),
    ],
)
def test_hands_over_the_user_info(text: str, userinfo: str | None) -> None:
    """User info is given beside the URL as it was written, and is not in the URL."""
    url, found = parse_url(text)

    assert found == userinfo
    assert url.origin.text == "http://example.com"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:secret@example.com/", "http://user:***@example.com/"),
        ("http://user:s:e@cret@example.com/", "http://user:***@example.com/"),
        ("ftp://user:secret@example.com/", "ftp://user:***@example.com/"),
        ("http://me@home.example:secret@example.com/", "http://me@home.example:***@example.com/"),
        ("http://a.example/http://user:secret@b.example/", "http://a.example/http://user:***@b.example/"),
        ("user:secret@example.com/", "user:***@example.com/"),
        ("user:s:e@cret@example.com", "user:***@example.com"),
        (":secret@example.com", ":***@example.com"),
        ("//user:secret@example.com/", "//user:***@example.com/"),
        ("http:/user:secret@example.com/", "http:/user:***@example.com/"),
        ("http:///user:secret@example.com/", "http:///user:***@example.com/"),
        ("http:\\\\user:secret@example.com\\", "http:\\\\user:***@example.com\\"),
        ("http:user:secret@example.com/", "http:***@example.com/"),
        ("http://user@example.com/a:b@c", "http://user@example.com/a:b@c"),
        ("http://user@example.com:80/@c", "http://user@example.com:80/@c"),
        ("maps/@52.5,13.4:17", "maps/@52.5,13.4:17"),
        ("item:3/x@y", "item:3/x@y"),
        ("/item:3@y", "/item:3@y"),
        ("search?q=a:b@c", "search?q=a:b@c"),
        ("user@example.com:80/", "user@example.com:80/"),
        ("mailto:user@example.com", "mailto:user@example.com"),
        ("http://example.com/caf\udce9", "http://example.com/caf\\xe9"),
        ("http://example.com/café", "http://example.com/café"),
        ("http://example.com/\ud800", "http://example.com/\\ud800"),
    ],
)
def test_masks_what_must_not_be_shown(text: str, shown: str) -> None:
    """A password is `***`, a stray byte `\\xNN`, and the rest is as it was."""
    assert masked(text) == shown


@given(
    st.sampled_from(["", "//", "http:", "http:/", "http://", "HTTPS:///", "ftp://", "http:\\\\", "go to http://"]),
    st.text(st.characters(exclude_characters="/?#\\:")),
    st.text(st.characters(exclude_characters="/?#\\")),
    st.text(st.characters(exclude_characters="/?#\\")),
    st.text(st.characters(exclude_characters="/?#\\@")),
    st.sampled_from(["", "/", "/a:b@c", "?q=@", "#@", "\\"]),
)
def test_no_password_is_shown(scheme: str, user: str, before: str, after: str, host: str, rest: str) -> None:
    """Whatever stands round it, with a scheme, half a one or none."""
    assume(scheme or user.lower() != "mailto")

    text = f"{scheme}{user}:{before}S3cr3t{after}@{host}{rest}"

    assert "S3cr3t" not in masked(text)


@given(
    st.text(st.characters(exclude_characters="/?#\\:")),
    st.text(st.characters(exclude_characters="/?#\\")),
    st.sampled_from(["/", "?", "#"]),
    st.text(st.characters(codec="utf-8")).filter(lambda text: "://" not in text),
)
def test_what_is_no_user_info_is_shown_as_it_is(user: str, rest: str, end: str, path: str) -> None:
    """Behind the first slash, question mark or hash there is none, whatever it looks like."""
    text = f"item:{user}{rest}".replace("@", "") + end + path

    assert masked(text) == masked(text, joined=True) == masked(text.replace("@", "{}")).replace("{}", "@")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("user:secret@example.com/path", True),
        ("user:secret@host", True),
        ("user:s@cret@localhost:8080?q", True),
        ("user:secret@10.0.0.1/", True),
        ("user:secret@[::1]:80/", True),
        ("user:secret@bücher.example/", True),
        ("/user:secret@example.com/path", False),
        ("user@example.com/path", False),
        ("item:3/x@example.com", False),
        ("item:3@2.5", False),
        ("item:3@7", False),
        ("nginx:1.25@sha256:5f0a", False),
        ("maps:@52.5,13.4", False),
        ("a:b@", False),
    ],
)
def test_knows_a_url_that_lacks_its_scheme_by_its_credentials(text: str, verdict: bool) -> None:
    """What stands behind the `@` must be a host; a version or a digest is none."""
    assert begins_with_credentials(text) is verdict


@given(ANYTHING)
def test_what_is_masked_can_be_written(text: str) -> None:
    """Whatever was given, what is shown of it is UTF-8."""
    masked(text).encode()


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/c", "http://example.com/c"),
        ("c", "http://example.com/a/c"),
        ("../c", "http://example.com/c"),
        ("?q=1", "http://example.com/a/b?q=1"),
        ("//other.example/c", "http://other.example/c"),
        ("https://other.example/c#top", "https://other.example/c"),
        ("  /c\t", "http://example.com/c"),
        ("/c d", "http://example.com/c%20d"),
        ("#top", "http://example.com/a/b?x"),
    ],
)
def test_joins(location: str, target: str) -> None:
    """A Location is resolved against the URL that sent it (RFC 3986 5.2)."""
    base, _ = parse_url("http://example.com/a/b?x")

    assert str(join_url(base, location)) == target


@given(ANYTHING)
def test_joins_or_says_why_not(location: str) -> None:
    """Whatever a server puts into Location, nothing but UrlError is raised."""
    base, _ = parse_url("http://example.com/a/b?x")

    try:
        url = join_url(base, location)
    except UrlError:
        return

    assert str(url).isascii()


@pytest.mark.parametrize(
    ("text", "query", "sent"),
    [
        ("http://example.com/", "", "http://example.com/"),
        ("http://example.com/", "a=1", "http://example.com/?a=1"),
        ("http://example.com/?b", "a=1", "http://example.com/?b&a=1"),
        ("http://example.com/?", "a=1", "http://example.com/?a=1"),
        ("http://example.com/?b&", "a=1", "http://example.com/?b&a=1"),
    ],
)
def test_adds_params_behind_the_query(text: str, query: str, sent: str) -> None:
    """More of a query stands behind what there is, glued as it needs."""
    assert str(with_params(parse_url(text)[0], query)) == sent
