"""What a robots.txt allows, without a wire: replies are made up, the clock is in the test's hand."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher import robots as room
from fetcher.errors import ErrorKind
from fetcher.model import Error, Hop, Origin, Request, Result, Url
from fetcher.robots import MAX_AGE, MAX_BYTES, MAX_DELAY, MAX_LINE, MAX_PATTERNS, Robots, RobotsConfig, product_token
from fetcher.urls import parse_url

AGENT = "afetch/1.2 (+https://a.test/bot)"
SITE = "http://a.test"


def url(text: str) -> Url:
    return parse_url(SITE + text if text.startswith("/") else text)[0]


def origin(text: str = SITE) -> Origin:
    return url(f"{text}/").origin


def reply(body: bytes | str | None, status: int | None = 200, error: ErrorKind | None = None, of: str = SITE) -> Result:
    """What the engine made of the request for a robots.txt."""
    target = url(f"{of}/robots.txt")
    trouble = Error(error, "so it is") if error is not None else None
    raw = body.encode() if isinstance(body, str) else body
    return Result(Request(-1, str(target), target), Hop(target, "GET", status, trouble, 0.0, 0.1, body=raw), trouble)


def rules(body: bytes | str, agent: str = AGENT) -> Robots:
    """The rules of one origin."""
    known = Robots(agent)
    known.learn(origin(), reply(body))
    return known


def allows(known: Robots, path: str) -> bool:
    return known.refusal(url(path)) is None


def everybody(*lines: str) -> Robots:
    return rules("\n".join(("User-agent: *", *lines)))


def message(error: Error | None) -> str:
    assert error is not None
    assert error.kind is ErrorKind.ROBOTS
    return error.message


SIMPLE = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot

EOF
"""
"""RFC 9309 5.1."""


@pytest.mark.parametrize(
    ("agent", "allowed", "refused"),
    [
        ("anybot", ["/", "/publications/", "/publications/a", "/a.gif?b"], ["/example/", "/example/a", "/a.gif"]),
        ("foobot", ["/example/page.html", "/example/allowed.gif"], ["/", "/publications/", "/example/"]),
        ("barbot", ["/", "/a.gif", "/example/"], ["/example/page.html"]),
        ("bazbot", ["/", "/a.gif", "/example/"], ["/example/page.html"]),
        ("quxbot", ["/", "/a.gif", "/example/", "/example/page.html"], []),
    ],
)
def test_the_simple_example_of_the_standard(agent: str, allowed: list[str], refused: list[str]) -> None:
    """RFC 9309 5.1: a group of one's own replaces everybody's, an empty one allows everything."""
    known = rules(SIMPLE, agent)

    assert [path for path in allowed if not allows(known, path)] == []
    assert [path for path in refused if allows(known, path)] == []


def test_the_longest_match_of_the_standard() -> None:
    """RFC 9309 5.2: the most specific rule wins, wherever it stands."""
    known = rules("User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n", "foobot")

    assert allows(known, "/example/page/a.gif")
    assert not allows(known, "/example/page/disallowed.gif")


def test_of_two_rules_of_one_length_the_one_that_allows_wins() -> None:
    """RFC 9309 2.2.2, in either order."""
    assert allows(everybody("Disallow: /a", "Allow: /a"), "/a/b")
    assert allows(everybody("Allow: /a", "Disallow: /a"), "/a/b")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
        ("/foo/bar?baz=http://foo.bar", "/foo/bar?baz=http%3A%2F%2Ffoo.bar"),
        ("/foo/bar?baz=http%3a%2f%2ffoo.bar", "/foo/bar?baz=http://foo.bar"),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%E3%83%84", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%e3%83%84", "/foo/bar/ツ"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
        ("/foo/bar/baz", "/foo/bar/%62%61%7A"),
        ("/a b", "/a%20b"),
    ],
)
def test_one_path_in_two_spellings_is_one_path(pattern: str, path: str) -> None:
    """RFC 9309 2.2.2, its own table first."""
    known = everybody(f"Disallow: {pattern}")

    assert not allows(known, path)
    assert allows(known, "/foo/ba")


def test_an_encoded_slash_in_a_path_is_no_slash() -> None:
    """It names another resource."""
    assert allows(everybody("Disallow: /a/b"), "/a%2Fb")


@pytest.mark.parametrize("end", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85"])
def test_what_only_python_takes_for_the_end_of_a_line_is_part_of_a_path(end: str) -> None:
    """RFC 9309 2.2 knows CR and LF."""
    known = everybody(f"Disallow: /a{end}Disallow: /b")

    assert [allows(known, path) for path in ("/a", "/b")] == [True, True]


def test_bytes_that_are_no_utf_8_are_compared_as_bytes() -> None:
    """A file in Latin-1 means its own URLs."""
    assert not allows(rules(b"User-agent: *\nDisallow: /caf\xe9\n"), "/caf%E9")


@pytest.mark.parametrize(
    ("pattern", "refused", "allowed"),
    [
        ("/a$", ["/a"], ["/a/", "/a?b", "/ab"]),
        ("/*.php", ["/x.php", "/y/x.php?z"], ["/x.ph", "/php"]),
        ("/*.php$", ["/x.php", "/.php.php"], ["/x.php?z", "/x.php5"]),
        ("/a/*/c", ["/a/b/c", "/a//c/d"], ["/a/c", "/b/a/b/c"]),
        ("*/a", ["/a", "/b/a"], ["/b"]),
        ("/a%24", ["/a$", "/a$b"], ["/a"]),
        ("/a%2A", ["/a*"], ["/ab"]),
        ("/A", ["/A"], ["/a"]),
        ("/", ["/", "/a"], []),
        ("", [], ["/", "/a"]),
    ],
)
def test_stars_and_dollars_in_a_pattern(pattern: str, refused: list[str], allowed: list[str]) -> None:
    """RFC 9309 2.2.3; encoded, they are themselves."""
    known = everybody(f"Disallow: {pattern}")

    assert [path for path in refused if allows(known, path)] == []
    assert [path for path in allowed if not allows(known, path)] == []


@pytest.mark.parametrize("name", ["afetch", "AFETCH", "aFetch/1.0", "afetch*", "afetch other", "afetch # ours"])
def test_a_group_is_ours_in_any_case_and_of_any_version(name: str) -> None:
    """What people write behind the name is not part of it."""
    assert not allows(rules(f"User-agent: {name}\nDisallow: /\n"), "/a")


@pytest.mark.parametrize("name", ["a", "afe", "fetch", "afetch-images", "curl afetch", "", "**"])
def test_a_group_whose_name_is_only_like_ours_is_not_ours(name: str) -> None:
    """RFC 9309 2.2.1: the whole token, or it is somebody else's."""
    assert allows(rules(f"User-agent: {name}\nDisallow: /\n"), "/a")


def test_groups_of_one_name_are_one_group() -> None:
    """RFC 9309 2.2.1, also when others stand between, or beside in one heading."""
    known = rules(
        "User-agent: afetch\nDisallow: /a\n\nUser-agent: *\nDisallow: /\n\n"
        "User-agent: x\nUser-agent: Afetch\nDisallow: /b\n"
    )

    assert [allows(known, path) for path in ("/a", "/b", "/c")] == [False, False, True]


def test_other_lines_do_not_end_a_heading() -> None:
    """RFC 9309 2.2.4 names Sitemap; and nothing that we do not know can mean more."""
    known = rules(
        "User-agent: afetch\nSitemap: http://a.test/map\nContent-Signal: search=yes\nUser-agent: x\nDisallow: /\n"
    )

    assert not allows(known, "/")


def test_rules_before_any_name_are_nobodys() -> None:
    """RFC 9309 2.2.1: a group begins with a name."""
    assert allows(rules("Disallow: /\nUser-agent: x\nDisallow: /\n"), "/")


def test_blank_lines_do_not_end_a_group() -> None:
    """They are for people."""
    assert not allows(rules("User-agent: *\n\n\nAllow: /b\n\n# and\n\nDisallow: /a\n"), "/a")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_line_is_one(end: str) -> None:
    """RFC 9309 2.2 has all three."""
    known = rules(end.join(["User-agent: *", "Disallow: /a", "Disallow: /b"]))

    assert [allows(known, path) for path in ("/a", "/b", "/c")] == [False, False, True]


@pytest.mark.parametrize(
    "body",
    [
        "\ufeffUser-agent: *\nDisallow: /a\n",
        "user-AGENT : *\n\tDISALLOW\t:\t/a\t# not here\n",
        "useragent: *\ndisalow: /a\n",
        "User-agent *\nDisallow /a\n",
        "User-agent: *\nDisallow:/a#b\n",
        "User-agent: * other\nDisallow: /a\n",
    ],
)
def test_small_faults_are_forgiven(body: str) -> None:
    """A BOM, odd case, blanks, misspellings, no colon: what was meant is plain to see."""
    known = rules(body)

    assert not allows(known, "/a")
    assert allows(known, "/b")


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("afetch/1.2 (+x)", "afetch"),
        ("afetch", "afetch"),
        ("My-Bot_2/1.0", "my-bot_2"),
        ("bot;v=1", "bot"),
        ("Mozilla/5.0 (compatible; mybot/1.0)", "mybot"),
        ("Mozilla/5.0 (compatible; Mybot; +https://a.test)", "mybot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Mybot/2.1; +x) Chrome/1", "mybot"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "mozilla"),
        ("mybot/1.0 (compatible; other)", "mybot"),
        ("(nothing)", ""),
        ("*", ""),
        ("", ""),
    ],
)
def test_our_name_is_the_product_that_is_meant(agent: str, token: str) -> None:
    """The first one, or what calls itself compatible to Mozilla."""
    assert product_token(agent) == token


@pytest.mark.parametrize("agent", ["", "*", "(nothing)"])
def test_who_has_no_name_is_everybody(agent: str) -> None:
    """Nobody's group is ours then, nor are those whose name is missing."""
    known = rules("User-agent: *\nDisallow: /a\n\nUser-agent:\nDisallow: /b\n\nUser-agent: x\nDisallow: /c\n", agent)

    assert [allows(known, path) for path in ("/a", "/b", "/c")] == [False, True, True]


@pytest.mark.parametrize("status", [300, 301, 304, 400, 401, 403, 404, 410, 451])
def test_where_there_is_no_robots_txt_everything_is_allowed(status: int) -> None:
    """RFC 9309 2.3.1.3, whatever the error page says or lacks; a redirect that is final led nowhere."""
    known = Robots(AGENT)

    known.learn(origin(), reply("User-agent: *\nDisallow: /\n", status, ErrorKind.INCOMPLETE))

    assert known.knows(origin())
    assert allows(known, "/a")


def test_too_many_redirects_allow_everything() -> None:
    """RFC 9309 2.3.1.2: no robots.txt, as it were."""
    known = Robots(AGENT)

    known.learn(origin(), reply(None, 302, ErrorKind.REDIRECTS))

    assert allows(known, "/a")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_where_the_server_fails_nothing_is_allowed(status: int) -> None:
    """RFC 9309 2.3.1.4; a server that says "too many" has not said that we may go on."""
    known = Robots(AGENT)

    known.learn(origin(), reply("", status))

    assert message(known.refusal(url("/a"))) == (
        f"robots.txt could not be had (status {status}), and then nothing may be fetched (RFC 9309)"
    )


@pytest.mark.parametrize(
    "result",
    [
        reply(None, None, ErrorKind.DNS),
        Result(Request(-1, SITE, None), None, Error(ErrorKind.DNS, "so it is")),
        reply("User-agent: *\nAllow: /\n", 200, ErrorKind.DNS),
    ],
)
def test_where_nobody_answers_whole_nothing_is_allowed(result: Result) -> None:
    """And the record says what the trouble was."""
    known = Robots(AGENT)

    known.learn(origin(), result)

    assert message(known.refusal(url("/a"))) == (
        "robots.txt could not be had (dns: so it is), and then nothing may be fetched (RFC 9309)"
    )


def test_a_reply_without_a_body_has_no_rules() -> None:
    """204 is a success."""
    known = Robots(AGENT)

    known.learn(origin(), reply(None, 204))

    assert allows(known, "/a")


def test_robots_txt_itself_is_always_allowed() -> None:
    """RFC 9309 2.2.2: also when everything is refused, by rule or for want of rules."""
    closed = Robots(AGENT)

    closed.learn(origin(), reply(None, 503))

    assert allows(everybody("Disallow: /"), "/robots.txt")
    assert allows(closed, "/robots.txt?now")
    assert not allows(closed, "/robots.txt.bak")


def test_a_refusal_says_to_whom() -> None:
    """So that who reads the record finds the group."""
    assert message(everybody("Disallow: /").refusal(url("/a"))) == "robots.txt disallows it"
    assert message(rules("User-agent: AFETCH\nDisallow: /").refusal(url("/a"))) == "robots.txt disallows it to afetch"


def test_the_request_is_an_entry_that_is_none() -> None:
    """A GET without a body; -1 is no place in the input."""
    wanted = Robots(AGENT).request(origin("https://[::1]:8443"))

    assert (wanted.index, wanted.method, wanted.body, wanted.error) == (-1, "GET", None, None)
    assert wanted.given == str(wanted.url) == "https://[::1]:8443/robots.txt"


def test_rules_are_an_origins_own() -> None:
    """Another scheme, host or port has its own file (RFC 9309 2.3)."""
    known = everybody("Disallow: /")

    for other in ("https://a.test", "http://www.a.test", "http://a.test:8080"):
        assert not known.knows(origin(other))
        assert known.refusal(url(f"{other}/a")) is None
        assert known.delay(origin(other)) == 0.0


def test_an_odd_host_and_an_odd_path_are_judged_like_any() -> None:
    """A zone, an empty segment, a second question mark."""
    place = "http://[fe80::1%25eth0]"
    known = Robots(AGENT)

    known.learn(origin(place), reply("User-agent: *\nDisallow: //a?b?c\n", of=place))

    assert not allows(known, f"{place}//a?b?c=[")
    assert allows(known, f"{place}/a?b?c")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("10", 10.0),
        ("10 # or so", 10.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("0", 0.0),
        ("86400", MAX_DELAY),
        ("-1", 0.0),
        ("inf", 0.0),
        ("nan", 0.0),
        ("1e9", 0.0),
        ("1_0", 0.0),
        ("10s", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("٣", 0.0),
        ("9" * 400, 0.0),
    ],
)
def test_a_crawl_delay_is_a_plain_number_of_seconds_up_to_a_bound(value: str, seconds: float) -> None:
    """What is no such number is ignored, and the rules beside it are not."""
    known = everybody(f"Crawl-delay: {value}", "Disallow: /a")

    assert known.delay(origin()) == seconds
    assert not allows(known, "/a")


def test_a_crawl_delay_is_our_groups_and_the_longest_of_it() -> None:
    """As with rules: a group of our own replaces everybody's."""
    text = "User-agent: *\nCrawl-delay: 9\n\nUser-agent: afetch\nCrawl-delay: 3\nCrawl-delay: 2\n"

    assert rules(text).delay(origin()) == 3.0
    assert rules(text, "other").delay(origin()) == 9.0
    assert rules("User-agent: *\nCrawl-delay: 9\n\nUser-agent: afetch\n").delay(origin()) == 0.0


def test_a_page_in_place_of_a_robots_txt_allows_everything() -> None:
    """Many sites answer any path with 200 and HTML."""
    known = rules(
        "<!doctype html>\n<title>User-agent: *</title>\n<p>Disallow: /</p>\n<style>a { color: red }</style>\n"
    )

    assert allows(known, "/a")


def test_what_stands_beyond_500_kib_is_ignored() -> None:
    """And so is the line that the bound cuts, which as a beginning could forbid everything."""
    head = b"User-agent: *\nDisallow: /a\n"
    cut = b"Disallow: /private\nDisallow: /b\n"
    # The bound falls behind the slash of /private.
    filling = b"#" * (MAX_BYTES - len(head) - 1 - len(b"Disallow: /")) + b"\n"

    known = rules(head + filling + cut)

    assert len(head + filling) + len(b"Disallow: /") == MAX_BYTES
    assert [allows(known, path) for path in ("/a", "/private", "/b", "/c")] == [False, True, True, True]


def test_trouble_beyond_500_kib_does_not_matter() -> None:
    """What is read of the file had arrived."""
    known = Robots(AGENT)

    known.learn(origin(), reply(b"User-agent: *\nDisallow: /a\n".ljust(MAX_BYTES, b"\n"), 200, ErrorKind.INCOMPLETE))

    assert [allows(known, path) for path in ("/a", "/b")] == [False, True]


def test_rules_get_old_and_are_asked_for_again() -> None:
    """RFC 9309 2.4: a day is enough. Until the new ones come the old ones hold."""
    known = Robots(AGENT)
    known.learn(origin(), reply("User-agent: *\nDisallow: /a\n"), 100.0)

    assert known.knows(origin(), 100.0 + MAX_AGE)
    assert not known.knows(origin(), 101.0 + MAX_AGE)
    assert not allows(known, "/a")


def test_old_rules_stay_when_new_ones_cannot_be_had() -> None:
    """RFC 9309 2.4 allows it, and a day's work is not thrown away for one bad minute."""
    known = Robots(AGENT)
    known.learn(origin(), reply("User-agent: *\nDisallow: /a\n"), 0.0)

    known.learn(origin(), reply(None, 503), MAX_AGE + 1)

    assert [allows(known, path) for path in ("/a", "/b")] == [False, True]
    assert known.knows(origin(), MAX_AGE + 2)


def test_the_last_reason_is_the_one_that_is_given() -> None:
    """Where nothing could be had twice, the second trouble is the one to look into."""
    known = Robots(AGENT)
    known.learn(origin(), reply(None, 500))

    known.learn(origin(), reply(None, 503))

    assert "status 503" in message(known.refusal(url("/a")))


def test_what_is_learned_later_replaces_what_was_known() -> None:
    """Also where nothing could be had before."""
    known = Robots(AGENT)
    known.learn(origin(), reply(None, 503))

    known.learn(origin(), reply("User-agent: *\nDisallow: /a\n"))

    assert [allows(known, path) for path in ("/a", "/b")] == [False, True]


def test_the_origin_not_asked_about_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; who is forgotten is asked again."""
    monkeypatch.setattr(room, "ORIGINS", 2)
    known = Robots(AGENT)
    places = [f"http://{name}.test" for name in "abc"]

    for place in places[:2]:
        known.learn(origin(place), reply("User-agent: *\nDisallow: /\n", of=place))
    known.refusal(url(f"{places[0]}/"))
    known.learn(origin(places[2]), reply("", of=places[2]))

    assert [known.knows(origin(place)) for place in places] == [True, False, True]


def test_large_files_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on bytes, too, and the newest stays even where it alone is beyond."""
    monkeypatch.setattr(room, "MEMORY", 20_000)
    known = Robots(AGENT)
    small, large, last = (f"http://{name}.test" for name in "abc")
    body = "User-agent: *\n" + "".join(f"Disallow: /{number:020}\n" for number in range(800))

    known.learn(origin(small), reply("", of=small))
    known.learn(origin(large), reply(body, of=large))
    then = [known.knows(origin(place)) for place in (small, large)]
    known.learn(origin(last), reply("", of=last))

    assert then == [False, True]
    assert [known.knows(origin(place)) for place in (large, last)] == [False, True]


def test_parsed_rules_are_dropped_before_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back from the text; no server is asked twice for that."""
    monkeypatch.setattr(room, "MEMORY", 10_000)
    known = Robots(AGENT)
    places = [f"http://{number}.test" for number in "abcdef"]
    for place in places:
        known.learn(origin(place), reply(f"User-agent: *\nDisallow: /{place[7]}\n", of=place))

    refused = [known.refusal(url(f"{place}/{place[7]}")) for place in places * 2]

    assert all(refused)
    assert 1 <= len(known._parsers) < len(places) == len(known._known)


@pytest.mark.parametrize(
    "body",
    [
        b"User-agent: *\nDisallow: /*a*a*a*a*a*a*a*b\n" * 11_000,
        b"User-agent: *\n" + b"".join(b"Disallow: /*%s*b%d\n" % (b"a*" * 7, number) for number in range(16_000)),
        b"User-agent: *\n" + b"".join(b"Disallow: /%d\n" % number for number in range(30_000)),
        b"User-agent: *\nDisallow: /" + b"*a" * 240_000 + b"b\n",
        b"User-agent: *\nDisallow: /" + b"$" * 480_000 + b"\n",
        b"User-agent: *\nDisallow: /" + b"%41" * 160_000 + b"\n",
        b"".join(b"User-agent: x%d\nDisallow: /%d\n" % (number, number) for number in range(15_000)),
        b"User-agent: x\n" * 36_000 + b"Disallow: /\n",
        b"Disallow " * 56_000,
        b" " * 500_000,
        b"\r" * 500_000,
        b"\0" * 500_000,
        b"\xff" * 500_000,
        bytes(range(256)) * 2_000,
        "User-agent: *\nDisallow: /a\n".encode("utf-16"),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_no_file_can_hold_up_the_run(body: bytes) -> None:
    """CPU time, on whatever machine: what is kept would take minutes if it grew with the square of anything."""
    long = url("/" + "a" * 8_000 + "c")
    began = time.process_time()

    known = rules(body)
    refused = known.refusal(long)

    assert refused is None
    assert time.process_time() - began < 3.0


def test_a_line_beyond_all_measure_is_ignored() -> None:
    """And no other is."""
    name = "a" * MAX_LINE

    known = everybody(f"Disallow: /{name}", "Disallow: /b")

    assert [allows(known, path) for path in (f"/{name}", "/b")] == [True, False]


def test_patterns_beyond_their_number_are_ignored_and_plain_rules_are_not() -> None:
    """Each pattern is tried on each URL."""
    patterns = [f"Disallow: /*p{number:05}" for number in range(MAX_PATTERNS + 1)]

    known = everybody(*patterns, "Disallow: /plain")

    assert not allows(known, f"/p{MAX_PATTERNS - 1:05}")
    assert allows(known, f"/p{MAX_PATTERNS:05}")
    assert not allows(known, "/plain/")


LINES = st.lists(
    st.sampled_from(
        [
            b"User-agent: *",
            b"user-agent:afetch",
            b"Disallow: /",
            b"Allow: /a*",
            b"Crawl-delay: 1",
            b"Disallow: *%",
            b"\xef",
        ]
    )
    | st.binary(max_size=20).map(b"Disallow: ".__add__)
    | st.binary(max_size=20).map(b"User-agent: ".__add__)
    | st.binary(max_size=20)
)


@given(
    body=st.binary() | LINES.map(b"\n".join),
    agent=st.text(max_size=20) | st.just(AGENT),
    target=st.text(max_size=20).map("/".__add__) | st.sampled_from(["/%", "/%zz", "//", "/?", "/a?b=%2f"]),
)
def test_nothing_that_a_server_sends_raises(body: bytes, agent: str, target: str) -> None:
    """Any bytes, any name, any URL: it is judged."""
    path = "/" + "".join(f"%{byte:02X}" if byte < 0x21 or byte > 0x7E else chr(byte) for byte in target[1:].encode())
    known = Robots(agent)

    known.learn(origin(), reply(body))
    refusal = known.refusal(Url(origin(), path))

    assert refusal is None or refusal.kind is ErrorKind.ROBOTS
    assert 0.0 <= known.delay(origin()) <= MAX_DELAY


def test_the_parser_is_loaded_when_there_is_something_to_parse() -> None:
    """Neither for the room nor for a site without rules for us."""
    code = """
import sys
from fetcher.model import Hop, Result
from fetcher.robots import Robots
from fetcher.urls import parse_url

url, _ = parse_url("http://a.test/a")
robots = Robots("afetch")
for rule in (b"Disallow:", b"Disallow: /a"):
    hop = Hop(url, "GET", 200, None, 0, 0, body=b"User-agent: *\\n" + rule)
    robots.learn(url.origin, Result(robots.request(url.origin), hop, None))
    print(bool(robots.refusal(url)), "protego" in sys.modules)
"""

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said == "False False\nTrue True\n"


def test_nobody_is_asked_unless_told_to() -> None:
    """A list of links that somebody wrote down is no crawl."""
    assert RobotsConfig().robots is False
