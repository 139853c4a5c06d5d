"""What servers set, where it is sent, what is in files: pure, from the command line, against curl and httpbin."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
from http.cookiejar import MozillaCookieJar
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.client.config import ClientConfig
from fetcher.client.cookies.config import CookiesConfig
from fetcher.client.cookies.header import LONGEST, CookieHeaders
from fetcher.client.cookies.jar import Jar
from fetcher.client.cookies.netscape import HEAD, load, save
from fetcher.client.cookies.rules import covers, is_suffix, read_cookie, read_date
from fetcher.client.cookies.store import IN_ALL, IN_CHAIN, PER_DOMAIN, CookieStore, after_hop
from fetcher.client.request_heads import RequestHeads
from fetcher.demo import answers
from fetcher.demo.server import Answer
from fetcher.errors import SinkError, UsageError
from fetcher.library import fetch_all
from fetcher.model import ChainCookies, Cookie, Hop, Job, Request, Url
from fetcher.policy import Again, Policy, PolicyConfig, first_job
from fetcher.settings import Settings
from fetcher.urls import parse_url
from tests.conftest import Afetch, Completed, MakeSite, MakeTlsSite, clean_environment, missing
from tests.servers import Httpbin, Site

NOON = 1_700_000_000.0


def url(text: str) -> Url:
    return parse_url(text)[0]


def read(header: str, at: str = "http://www.example.com/a/b?c/d") -> Cookie | None:
    return read_cookie(header.encode(), url(at), NOON)


def cookie(name: str = "a", value: str = "1", domain: str = "example.com", **more: Any) -> Cookie:
    given: dict[str, Any] = {"host_only": True, "path": "/", **more}
    return Cookie(name, value, domain, **given)


def store(*headers: str, at: str = "http://www.example.com/", remember: bool = False) -> CookieStore:
    made = CookieStore(remember=remember)
    made.take(url(at), [(b"Set-Cookie", header.encode()) for header in headers], NOON)
    return made


def names(made: CookieStore, at: str, now: float = NOON) -> list[str]:
    return [found.name for found in made.find(url(at), now)]


# --- What a server says ---


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a=1", Cookie("a", "1", "www.example.com", True, "/a")),
        (" a = b c ; Path=/x", Cookie("a", "b c", "www.example.com", True, "/x")),
        ('a="q=r"; path=', Cookie("a", '"q=r"', "www.example.com", True, "/a")),
        ("a=; Path=relative", Cookie("a", "", "www.example.com", True, "/a")),
        (
            "a=1; Domain=.Example.COM; HttpOnly; SameSite=Lax",
            Cookie("a", "1", "example.com", False, "/a", http_only=True),
        ),
        ("a=1; Domain=", Cookie("a", "1", "www.example.com", True, "/a")),
        ("a=1; Max-Age=60", Cookie("a", "1", "www.example.com", True, "/a", expires=NOON + 60)),
        ("a=1; Max-Age=x; max-age=5", Cookie("a", "1", "www.example.com", True, "/a", expires=NOON + 5)),
        ("a=1; Max-Age=0", Cookie("a", "1", "www.example.com", True, "/a", expires=0.0)),
        ("a=1; Max-Age=-9", Cookie("a", "1", "www.example.com", True, "/a", expires=0.0)),
        ("a=1; Max-Age=" + "9" * 99, Cookie("a", "1", "www.example.com", True, "/a", expires=NOON + 99_999_999_999)),
        (
            "a=1; Max-Age=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT",
            Cookie("a", "1", "www.example.com", True, "/a", expires=NOON + 1),
        ),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT", Cookie("a", "1", "www.example.com", True, "/a", expires=1.0)),
        ("a=1; Expires=tomorrow", Cookie("a", "1", "www.example.com", True, "/a")),
        ("a=caf\xe9", Cookie("a", "caf\xe9", "www.example.com", True, "/a")),
    ],
)
def test_a_cookie_is_read_as_the_standard_has_it(header: str, expected: Cookie) -> None:
    """RFC 6265 5.2 and 5.3: attributes in any case, Max-Age over Expires, and what is not understood is left out."""
    assert read(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "a",
        "=1",
        " ;Path=/",
        "a=b\x01",
        "a=1; Domain=com",
        "a=1; Domain=ample.com",
        "a=1; Domain=other.example",
        "a=1; Domain=below.www.example.com",
        "a=1; Secure",
        "__Secure-a=1",
        "__Host-a=1; Path=/",
        "a=" + "x" * 4_096,
    ],
)
def test_a_cookie_that_may_not_be_is_not_kept(header: str) -> None:
    """No name, a control character, another's domain, a secure one in the clear, a broken promise, too long."""
    assert read(header) is None


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("__Secure-a=1; Secure", True),
        ("__secure-a=1", False),
        ("__Host-a=1; Secure; Path=/", True),
        ("__Host-a=1; Secure", False),
        ("__Host-a=1; Secure; Path=/; Domain=www.example.com", False),
        ("__Host-a=1; Path=/", False),
    ],
)
def test_the_prefixes_mean_what_they_promise(header: str, *, kept: bool) -> None:
    """`__Secure-` is secure, `__Host-` is its host's alone."""
    assert (read(header, "https://www.example.com/a") is not None) is kept


@pytest.mark.parametrize(
    ("domain", "host", "kept"),
    [
        ("com", "a.com", False),
        ("co.uk", "a.co.uk", False),
        ("com.au", "a.com.au", False),
        ("a.co.uk", "b.a.co.uk", True),
        ("example.com", "a.example.com", True),
        ("local", "a.local", False),
        ("1", "127.0.0.1", False),
        ("0.0.1", "127.0.0.1", False),
    ],
)
def test_nobody_sets_a_cookie_for_the_neighbours(domain: str, host: str, *, kept: bool) -> None:
    """Neither for a top level, nor for what a country has below it, nor for a part of an address."""
    assert (read(f"a=1; Domain={domain}", f"http://{host}/") is not None) is kept


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "co.uk"])
def test_a_host_that_names_itself_has_a_cookie_of_its_own(host: str) -> None:
    """Where it could not set one for those below it, it means itself (RFC 6265 5.3)."""
    made = read(f"a=1; Domain={host.strip('[]')}", f"http://{host}/")

    assert made is not None
    assert made.host_only


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Wed, 09 Jun 2021 10:18:14 GMT", 1_623_233_894),
        ("Wednesday, 09-Jun-21 10:18:14 GMT", 1_623_233_894),
        ("Wed Jun  9 10:18:14 2021", 1_623_233_894),
        ("10:18:14 2021 jUNe 9", 1_623_233_894),
        ("Wed, 9 Jun 2021 10:18:14", 1_623_233_894),
        ("09-Jun-2021 10:18:14.123 +0200", 1_623_233_894),
        ("01 Jan 70 00:00:00", 0),
        ("01 Jan 1601 00:00:00", 0),
        ("31 Dec 9999 23:59:59", 253_402_300_799),
        ("", None),
        ("09 Jun 2021", None),
        ("10:18:14", None),
        ("31 Feb 2021 10:18:14", None),
        ("09 Jun 2021 25:00:00", None),
        ("09 Jun 1600 10:18:14", None),
        ("00 Jun 2021 10:18:14", None),
    ],
)
def test_odd_dates_are_read(text: str, seconds: float | None) -> None:
    """The parts of a date in any order (RFC 6265 5.1.1)."""
    assert read_date(text) == seconds


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: b"a=1; " + text.encode("utf-8", "replace")))
def test_nothing_that_a_server_sets_raises(header: bytes) -> None:
    """Any bytes: a cookie whose line in a file is that cookie again, or none."""
    made = read_cookie(header, url("https://www.example.com/a"), NOON)

    assert made is None or made.name


@given(st.text(max_size=30))
def test_no_date_raises(text: str) -> None:
    """Any text is a date or none."""
    assert (read_date(text) or 0.0) >= 0.0


def test_a_domain_covers_what_is_below_it_only() -> None:
    """Not what merely ends like it, nor an address."""
    assert covers("example.com", "example.com")
    assert covers("example.com", "a.b.example.com")
    assert not covers("example.com", "badexample.com")
    assert not covers("0.0.1", "127.0.0.1")
    assert not is_suffix("example.com")


# --- Several ---


def test_cookies_go_where_domain_path_and_scheme_say() -> None:
    """Longer paths first, then what was set first; a host's own not to those below it."""
    made = store("a=1; Path=/", "b=1; Path=/x", "c=1; Path=/; Domain=example.com", "d=1; Path=/xy")
    made.take(url("https://www.example.com/"), [(b"set-cookie", b"s=1; Secure")], NOON)

    assert names(made, "http://www.example.com/x/y?/xy") == ["b", "a", "c"]
    assert names(made, "http://www.example.com/x") == ["b", "a", "c"]
    assert names(made, "http://www.example.com/xyz") == ["a", "c"]
    assert names(made, "https://www.example.com:444/") == ["a", "s", "c"]
    assert names(made, "http://below.www.example.com/") == ["c"]
    assert names(made, "http://example.com/") == ["c"]
    assert names(made, "http://example.org/") == []


def test_a_cookie_is_over_when_it_says() -> None:
    """It is not sent from that second on, and one set anew stands where the old one stood."""
    made = store("a=1; Max-Age=10", "b=1", "a=2; Max-Age=20")

    assert [(found.name, found.value) for found in made.find(url("http://www.example.com/"), NOON + 19)] == [
        ("a", "2"),
        ("b", "1"),
    ]
    assert names(made, "http://www.example.com/", NOON + 20) == ["b"]


def test_a_dropped_cookie_is_gone() -> None:
    """An expiry in the past drops it; whoever must remember that, does."""
    headers = ("a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")

    assert list(store(*headers)) == []
    assert store(*headers, remember=True).dropped(url("http://www.example.com/"), NOON) == {"a"}


def test_nobody_on_the_way_replaces_a_secure_cookie() -> None:
    """A reply in the clear leaves it alone, under its own name and domain, and any above or below."""
    made = CookieStore([cookie("s", "good", "www.example.com", secure=True)])

    for header in (b"s=bad; Path=/", b"s=bad; Domain=example.com; Path=/", b"s=; Max-Age=0; Path=/"):
        made.take(url("http://www.example.com/"), [(b"Set-Cookie", header)], NOON)
    made.take(url("http://example.com/"), [(b"Set-Cookie", b"s=bad; Domain=example.com; Path=/")], NOON)

    assert [found.value for found in made.find(url("https://www.example.com/"), NOON)] == ["good"]
    assert names(made, "http://www.example.com/") == []


def test_a_domain_has_so_many_cookies_and_no_more() -> None:
    """What is over goes first, then the oldest."""
    made = store("old=1", "short=1; Max-Age=5", *(f"c{n}=1" for n in range(PER_DOMAIN - 2)))

    made.take(url("http://www.example.com/"), [(b"Set-Cookie", b"x=1")], NOON + 6)
    made.take(url("http://www.example.com/"), [(b"Set-Cookie", b"y=1")], NOON + 6)

    found = names(made, "http://www.example.com/", NOON + 6)
    assert (len(found), "old" in found, "short" in found, found[-2:]) == (PER_DOMAIN, False, False, ["x", "y"])


def test_a_reply_sets_so_many_cookies_and_no_more() -> None:
    """Thousands would hold up everybody else; the chain carries no more than what several such replies set."""
    headers = tuple((b"Set-Cookie", f"c{n}=1".encode()) for n in range(5_000))
    chain = None
    for number in range(3):
        at = url(f"http://w{number}.example.com/x{number}/")
        chain = after_hop(chain, Hop(at, "GET", 302, None, NOON, 0.1, headers), number + 1, NOON)

    assert names(store(*(value.decode() for _, value in headers)), "http://www.example.com/")[-1] == "c49"
    assert chain is not None
    assert len(chain.cookies) == IN_CHAIN


def test_strange_sites_push_out_each_other_and_never_what_was_loaded() -> None:
    """Beyond so many in all the domain goes that was not asked for longest; the user's own file stays."""
    made = CookieStore([cookie("mine")])

    for number in range(IN_ALL + 1):
        made.take(url(f"http://h{number}.test/"), [(b"Set-Cookie", b"a=1")], NOON)
        assert names(made, "http://h0.test/") == ["a"]

    assert len(list(made)) == IN_ALL + 1
    assert names(made, "http://example.com/") == ["mine"]
    assert names(made, "http://h1.test/") == []
    assert names(made, f"http://h{IN_ALL}.test/") == ["a"]


# --- A redirect chain ---


def job(text: str = "http://a.test/start", **headers: str) -> Job:
    target = url(text)
    return first_job(Request(0, text, target, headers=tuple(headers.items())), target)


def redirect(of: Job, to: str, *cookies: str) -> Hop:
    pairs = ((b"Location", to.encode()), *((b"Set-Cookie", one.encode()) for one in cookies))
    return Hop(of.url, of.method, 302, None, NOON, 0.1, pairs)


def follow(of: Job, to: str, *cookies: str) -> Job:
    outcome = Policy(PolicyConfig(), wall=lambda: NOON).decide(of, redirect(of, to, *cookies))
    assert isinstance(outcome, Again)
    return outcome.job


def sent(of: Job, **config: Any) -> str | None:
    """The Cookie header of a job's next hop."""
    made = ClientConfig(**config)
    lines = RequestHeads(made, jar=Jar.of(made)).request(of).decode().split("\r\n")
    found = [line.partition(": ")[2] for line in lines if line.lower().startswith("cookie:")]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_chain_takes_its_cookies_along() -> None:
    """To the same host and where their domain reaches, not to another; nothing is there before."""
    first = job("http://a.test/x/1")
    second = follow(first, "/x/2", "a=1", "b=2; Path=/; Domain=a.test")

    assert sent(first) is None
    assert sent(second) == "a=1; b=2"
    assert sent(follow(second, "/y")) == "b=2"
    assert sent(follow(second, "http://b.a.test/")) == "b=2"
    assert sent(follow(second, "http://other.test/")) is None
    assert sent(follow(follow(second, "http://other.test/"), "http://a.test/x/3")) == "a=1; b=2"


def test_the_same_url_with_other_cookies_is_no_loop() -> None:
    """A page that sets a cookie and leads to itself is asked again; when it says the same once more, that is a loop."""
    first = job()
    second = follow(first, "/start", "seen=1")

    outcome = Policy(PolicyConfig(), wall=lambda: NOON).decide(second, redirect(second, "/start", "seen=1; Max-Age=5"))

    assert not isinstance(outcome, Again)
    assert outcome.error is not None
    assert "a redirect loop" in outcome.error.message


def test_a_cookie_that_is_dropped_is_a_change_too() -> None:
    """Whoever's it was: the user's own of that name is not sent on in this chain."""
    first = job(Cookie="sid=old; x=1")
    second = follow(first, "/start", "sid=; Max-Age=0; Path=/")

    assert sent(first, cookies=("sid=older",)) == "sid=old; x=1; sid=older"
    assert sent(second, cookies=("sid=older; y=2",)) == "x=1; y=2"


def test_cookies_that_change_for_ever_end_at_the_limit() -> None:
    """A site with a new cookie at each turn is asked as often as redirects are followed."""
    deciding = Policy(PolicyConfig(max_redirects=4), wall=lambda: NOON)
    current = job()
    for number in range(4):
        outcome = deciding.decide(current, redirect(current, "/start", f"n={number}"))
        assert isinstance(outcome, Again)
        current = outcome.job

    last = deciding.decide(current, redirect(current, "/start", "n=9"))

    assert not isinstance(last, Again)
    assert last.error is not None
    assert "more than 4 redirects" in last.error.message


def test_a_chain_without_cookies_has_none_to_carry() -> None:
    """Neither where nothing was set, nor where what was set may not be."""
    assert follow(job(), "/2").cookies is None
    assert follow(job(), "/2", "a=1; Domain=other.test").cookies is None
    assert after_hop(None, Hop(url("http://a.test/"), "GET", 302, None, NOON, 0.1), 1, NOON) is None


def test_a_header_of_cookies_is_one_and_not_too_long() -> None:
    """The user's come first and whole; of those that servers set, as many as servers read."""
    kept = tuple(cookie(f"c{n}", "x" * 4_000, "a.test") for n in range(5))
    made = CookieHeaders(["b=2"], None, wall=lambda: NOON)
    first = job()

    line = made.line(Job(first.request, first.url, "GET", None, cookies=ChainCookies(kept, 1)), ["a=1"])

    assert line.startswith("a=1; b=2; c0=x")
    assert line.count("c") == 2
    assert len(line) <= LONGEST


def test_a_header_without_a_value_sends_no_cookies_at_all() -> None:
    """`-H Cookie:` is the word for that, also within a chain."""
    second = follow(job(), "/2", "a=1")

    assert sent(second) == "a=1"
    assert sent(second, headers=(("Cookie", None),), cookies=("b=2",)) is None


# --- Files ---


SAMPLE = (
    "# Netscape HTTP Cookie File\n"
    "\n"
    "#HttpOnly_.example.com\tTRUE\t/\tTRUE\t4102444800\tsid\ta=b c\n"
    "www.example.com\tFALSE\t/x\tFALSE\t0\tsession\t\n"
    "::1\tFALSE\t/\tFALSE\t0\tsix\t6\n"
)


def test_a_file_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    """Loaded and saved it is the same, line for line, but for the words above them."""
    path = tmp_path / "cookies.txt"
    path.write_text(SAMPLE)

    cookies = load(str(path), "here")
    save(str(path), cookies, "here")

    assert cookies == [
        Cookie("sid", "a=b c", "example.com", False, "/", True, 4102444800.0, True),
        Cookie("session", "", "www.example.com", True, "/x"),
        Cookie("six", "6", "::1", True, "/"),
    ]
    assert path.read_text() == HEAD + SAMPLE.partition("\n\n")[2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\ufeffa.test\tFALSE\t/\tFALSE\t0\tn\tv", Cookie("n", "v", "a.test", True, "/")),
        ("A.Test\ttrue\t/\tfalse\t1999999999.5\tn\tv\r", Cookie("n", "v", "a.test", False, "/", False, 1999999999.5)),
        (".a.test\tTRUE\t/\tTRUE\t-1\tn\tv", Cookie("n", "v", "a.test", False, "/", True)),
        ("a.test\tFALSE\t/\tFALSE\t0\tn", Cookie("n", "", "a.test", True, "/")),
        ("::1\tFALSE\t/\tFALSE\t0\tn\tv", Cookie("n", "v", "::1", True, "/")),
    ],
)
def test_what_exporters_write_is_read(tmp_path: Path, line: str, expected: Cookie) -> None:
    """A byte order mark, CRLF, small letters, fractions of seconds, -1 for a session, a value's tab left out."""
    (tmp_path / "jar").write_bytes(line.encode())

    assert load(str(tmp_path / "jar"), "here") == [expected]


@pytest.mark.parametrize(
    "line",
    [
        "garbage-s3cret",
        "a.test FALSE / FALSE 0 n s3cret",
        "a.test\tmaybe\t/\tFALSE\t0\tn\ts3cret",
        "a.test\tFALSE\t/\tFALSE\tnever\tn\ts3cret",
        "a.test\tFALSE\t/\tFALSE\tnan\tn\ts3cret",
        "a.test\tFALSE\tx\tFALSE\t0\tn\ts3cret",
        "a.test\tFALSE\t/\tFALSE\t0\t\ts3cret",
        "a.test\tFALSE\t/\tFALSE\t0\tn\ts3cret\x1b",
        "a.test\tFALSE\t/\tFALSE\t0\tn\ts3cret; b",
        "\tFALSE\t/\tFALSE\t0\tn\ts3cret",
        "a.test\tFALSE\t/\tFALSE\t0\tn\ts3cret\tmore",
        '{"cookies": "s3cret"}',
    ],
)
def test_a_line_of_garbage_is_told_of_without_a_word_of_it(tmp_path: Path, line: str) -> None:
    """The file and the line's number are named; what stands there may be a secret."""
    path = tmp_path / "jar.txt"
    path.write_text(f"{SAMPLE}{line}\n")

    with pytest.raises(UsageError, match=r"--cookie: .*/jar\.txt, line 6: not a cookie") as told:
        load(str(path), "--cookie")

    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(("option", "name"), [("-b", "--cookie"), ("--cookie-jar", "--cookie-jar")])
def test_a_file_of_garbage_is_told_of_before_any_request(afetch: Afetch, site: Site, option: str, name: str) -> None:
    """One line, status 2, and the file as it was."""
    path = afetch.folder / "jar.txt"
    path.write_bytes(b"garbage-s3cret\xff\x00\n")

    done = afetch(option, "jar.txt", site.page())

    assert (done.returncode, done.stdout, site.log) == (2, "", [])
    assert done.stderr.startswith(f"afetch: {name}: jar.txt, line 1: not a cookie")
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr
    assert path.read_bytes() == b"garbage-s3cret\xff\x00\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-b", "s3cret"], "afetch: --cookie: there is no such file; write NAME=VALUE where a cookie is meant\n"),
        (["-b", ""], "afetch: --cookie: not a cookie: write NAME=VALUE, or name a file of cookies\n"),
        (
            ["-b", "a=s3cret\nb"],
            "afetch: cookie: a control character or a line break; write NAME=VALUE, or name a file\n",
        ),
        (["-b", "."], "afetch: --cookie: .: Is a directory; name a file of cookies that can be read\n"),
        (["--cookie-jar", "."], "afetch: --cookie-jar: . is a directory; name a file in it\n"),
        (["--cookie-jar", "-"], "afetch: cookie_jar is a file that is read and written; name one\n"),
        (
            ["--cookie-jar", "no/jar"],
            "afetch: --cookie-jar: no/jar: there is no directory {folder}/no; make it, or choose another place\n",
        ),
    ],
)
def test_what_cannot_be_is_told_of_before_any_request(
    afetch: Afetch, site: Site, arguments: list[str], complaint: str
) -> None:
    """One line on standard error with the way out, status 2; and the same when it is only explained."""
    done = afetch(*arguments, site.page())
    explained = afetch(*arguments, "--explain", site.page())

    assert (done.returncode, site.log) == (2, [])
    assert done.stderr == explained.stderr == complaint.format(folder=afetch.folder)


def test_a_jar_that_cannot_be_written_at_the_end_fails_the_run(tmp_path: Path) -> None:
    """It says that the cookies are lost, and leaves nothing behind."""
    (tmp_path / "gone").mkdir()
    jar = Jar(CookiesConfig(cookie_jar=str(tmp_path / "gone/jar")))
    (tmp_path / "gone").rmdir()

    with pytest.raises(
        SinkError, match=r"--cookie-jar: .*gone/jar: No such file or directory; the cookies .* are lost"
    ):
        jar.save()


def test_a_jar_that_is_no_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    """`--cookie-jar /dev/null` keeps cookies for the run only; a link stays one."""
    (tmp_path / "jar").write_text("")
    (tmp_path / "link").symlink_to("jar")

    Jar(CookiesConfig(cookie_jar="/dev/null")).save()
    Jar(CookiesConfig(cookie_jar=str(tmp_path / "link"))).save()

    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "jar").read_text() == HEAD


def test_settings_do_not_show_cookies() -> None:
    """Their repr is what ends up in tracebacks and notebooks."""
    assert "s3cret" not in repr(Settings(cookies=("a=s3cret",)))
    with pytest.raises(UsageError, match="cookie: a control character"):
        Settings(cookies=("a=b\r\nX: y",))


# --- From the command line ---


def cookies(site: Site) -> list[str | None]:
    """The Cookie headers that a site got."""
    return [request.header("cookie") for request in site.log]


def setting(*cookies: str, to: str | None = None) -> Answer:
    """A page that sets cookies, and a redirect where it leads somewhere."""
    headers = [*((("Location", to),) if to is not None else ()), *(("Set-Cookie", one) for one in cookies)]
    return answers.page("set", 302 if to is not None else 200, headers)


def test_no_cookie_is_kept_by_default(afetch: Afetch, site: Site) -> None:
    """One URL's are not another's, nor the next attempt's."""
    first = site.answer(setting("a=1; Path=/"))
    again = site.sequence(503, 200)

    done = afetch("-c", "1", "--retry-wait", "10ms", stdin=f"{first}\n{first}\n{again}\n")

    assert done.returncode == 0
    assert cookies(site) == [None] * 4


def test_a_login_that_sets_a_cookie_and_leads_back_comes_to_an_end(afetch: Afetch, site: Site) -> None:
    """A page that wants a cookie sends to one that sets it, which sends back: that is no loop."""

    async def door(request: Any, wire: Any) -> None:
        welcome = "sid=1" in (request.header("cookie") or "")
        await (answers.page("in") if welcome else answers.redirect("/login"))(request, wire)

    start = site.answer(door, "/door")
    site.answer(setting("sid=1; Path=/", to="/door"), "/login")

    [record] = afetch("--json", start).records

    assert (record["ok"], record["body"], len(record["redirects"])) == (True, "in", 2)
    assert cookies(site) == [None, None, "sid=1"]


def test_httpbin_sets_cookies_and_gets_them_back(afetch: Afetch, httpbin: Httpbin) -> None:
    """/cookies/set leads to /cookies, which tells what it got; the next entry has none."""
    urls = [httpbin.url("/cookies/set?a=1&b=2"), httpbin.url("/cookies")]

    with_them, without = sorted(
        afetch("--json", "-b", "c=3", stdin="\n".join(urls)).records, key=lambda record: int(record["index"])
    )

    assert with_them["body"] == {"cookies": {"a": "1", "b": "2", "c": "3"}}
    assert without["body"] == {"cookies": {"c": "3"}}


def test_cookies_of_the_command_line_stay_with_the_origin(afetch: Afetch, site: Site, make_site: MakeSite) -> None:
    """-b goes with each entry, to its own origin, beside what a header and a row have; not where a redirect leads."""
    other = make_site()
    away = site.redirect(other.page())
    row = json.dumps({"url": site.page(), "cookies": {"r": "row"}})

    afetch("-b", "a=1; b=2", "-b", "c=3", "-H", "Cookie: h=0", away)
    afetch("-b", "a=1", "--input-format", "jsonl", stdin=row)

    assert cookies(site) == ["h=0; a=1; b=2; c=3", "r=row; a=1"]
    assert cookies(other) == [None]


def test_a_jar_is_shared_by_the_run_and_the_next(afetch: Afetch, site: Site) -> None:
    """What one URL sets the next one gets, in this run and, read from the file, in another; session cookies too."""
    start = site.answer(setting("s=1; Path=/", "long=2; Path=/; Max-Age=1000; HttpOnly"))
    gone = site.answer(setting("s=; Path=/; Max-Age=0"))
    page = site.page()
    path = afetch.folder / "jar"

    first = afetch("-c", "1", "--cookie-jar", "jar", stdin=f"{page}\n{start}\n{page}\n")
    kept = path.read_text()
    afetch("-c", "1", "--cookie-jar", "jar", stdin=f"{page}\n{gone}\n{page}\n")
    afetch("-c", "1", "-b", "jar", stdin=f"{page}\n")

    assert first.returncode == 0
    assert cookies(site) == [None, None, *["s=1; long=2"] * 3, "long=2", "long=2"]
    assert "127.0.0.1\tFALSE\t/\tFALSE\t0\ts\t1\n" in kept
    assert "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t" in kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "\ts\t" not in path.read_text()


def test_a_file_to_begin_with_is_read_only(afetch: Afetch, site: Site) -> None:
    """-b FILE shares cookies in the run, and is as it was at its end."""
    (afetch.folder / "jar").write_text(
        "127.0.0.1\tFALSE\t/\tFALSE\t0\tmine\t1\n127.0.0.1\tFALSE\t/\tFALSE\t1\told\t1\n"
    )
    before = (afetch.folder / "jar").read_bytes()
    start, page = site.answer(setting("new=2; Path=/")), site.page()

    done = afetch("-c", "1", "-b", "jar", stdin=f"{start}\n{page}\n")

    assert done.returncode == 0
    assert cookies(site) == ["mine=1", "mine=1; new=2"]
    assert (afetch.folder / "jar").read_bytes() == before


def test_a_jar_is_scoped_by_name_path_and_scheme(
    afetch: Afetch, site: Site, make_tls_site: MakeTlsSite, ca_file: Path
) -> None:
    """A domain's cookie goes to the hosts below it, a secure one over https only, a path's below it only."""
    secure = make_tls_site()
    lines = (
        ".example.com\tTRUE\t/\tFALSE\t0\tdomain\t1",
        "example.com\tFALSE\t/\tFALSE\t0\thost\t1",
        "localhost\tFALSE\t/\tTRUE\t0\tsecure\t1",
        "localhost\tFALSE\t/deep\tFALSE\t0\tdeep\t1",
    )
    (afetch.folder / "jar").write_text("\n".join(lines))
    port, other = site.url().split(":")[-1].strip("/"), secure.url().split(":")[-1].strip("/")
    resolve = [f"{name}:{port}:127.0.0.1" for name in ("example.com", "www.example.com", "badexample.com")]
    plain = [f"http://{name}:{port}/" for name in ("example.com", "www.example.com", "badexample.com", "localhost")]
    urls = [*plain, f"https://localhost:{other}/deep/x", f"https://localhost:{other}/deeper"]
    options = [word for one in resolve for word in ("--resolve", one)]

    afetch("-c", "1", "-4", "-b", "jar", "--cacert", ca_file, *options, stdin="\n".join(urls))

    assert cookies(site) == ["domain=1; host=1", "domain=1", None, None]
    assert cookies(secure) == ["deep=1; secure=1", "secure=1"]


def test_an_interrupted_run_saves_its_jar(afetch: Afetch, site: Site) -> None:
    """What was set until then is in the file."""
    gate = site.gate()
    process = afetch.start(site.answer(setting("a=1; Path=/")), gate.url, "--cookie-jar", "jar", "-c", "1")
    site.wait(2)

    process.send_signal(signal.SIGINT)
    gate.open()
    process.wait(20)

    assert "\ta\t1\n" in (afetch.folder / "jar").read_text()


def test_a_jar_whose_folder_goes_meanwhile_fails_the_run(afetch: Afetch, site: Site) -> None:
    """The records are there, the cookies are not, and the status says so."""
    (afetch.folder / "sub").mkdir()
    gate = site.gate()
    process = afetch.start(gate.url, "--json", "--cookie-jar", "sub/jar")
    site.wait(1)

    (afetch.folder / "sub").rmdir()
    gate.open()
    out, err = process.communicate(timeout=20)

    assert process.returncode == 2
    assert json.loads(out)["ok"]
    lost = "afetch: --cookie-jar: sub/jar: No such file or directory; the cookies of this run are lost"
    assert err.decode().splitlines()[-1] == lost


def test_the_library_keeps_a_jar_as_well(site: Site, tmp_path: Path) -> None:
    """The same settings, the same file."""
    jar = tmp_path / "jar"

    [record] = fetch_all([site.answer(setting("a=1; Path=/"))], Settings(cookie_jar=str(jar)))

    assert record.ok
    assert "\ta\t1\n" in jar.read_text()


# --- Others' files ---


@pytest.fixture
def curl() -> str:
    """The real curl."""
    program = shutil.which("curl")
    if program is None:
        missing("curl")
    return program


def run_curl(program: str, *arguments: str) -> str:
    command = [program, "--disable", "--silent", "--fail", "--max-time", "20", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment()).stdout


def echoed(done: Completed | str) -> str | None:
    """The Cookie header that an echo page tells of."""
    seen = json.loads(done) if isinstance(done, str) else done.records[0]["body"]
    return {name.lower(): value for name, value in seen["headers"]}.get("cookie")


def test_curl_and_we_read_each_others_jars(afetch: Afetch, site: Site, curl: str) -> None:
    """A jar that curl wrote sends from here what curl sends, and the other way round."""
    start = site.answer(setting("s=1", "p=2; Path=/deep", "h=3; HttpOnly; Max-Age=500; Path=/", "e=; Path=/"), "/set")
    echo = site.echo(path="/deep/echo")
    theirs, ours = str(afetch.folder / "theirs"), str(afetch.folder / "ours")

    run_curl(curl, "-c", theirs, start)
    afetch("--cookie-jar", ours, start)
    sent = {
        echoed(run_curl(curl, "-b", theirs, echo)),
        echoed(run_curl(curl, "-b", ours, echo)),
        echoed(afetch("--json", "-b", theirs, echo)),
        echoed(afetch("--json", "-b", ours, echo)),
    }

    assert {frozenset((line or "").split("; ")) for line in sent} == {frozenset({"s=1", "p=2", "h=3", "e="})}


def test_pythons_own_jar_reads_ours(tmp_path: Path) -> None:
    """The standard library's reader of the format, which wants its first line, sees the same cookies."""
    path = str(tmp_path / "jar")
    save(path, [cookie("a", "1", host_only=False, expires=4102444800.0), cookie("b", "2", secure=True)], "here")

    jar = MozillaCookieJar(path)
    jar.load(ignore_discard=True, ignore_expires=True)

    assert sorted((one.name, one.value, one.domain, one.secure, one.expires) for one in jar) == [
        ("a", "1", ".example.com", False, 4102444800),
        ("b", "2", "example.com", True, 0),
    ]
