"""Methods and bodies: what is sent, how links are checked with HEAD, and parts of bodies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from fetcher.cli.main import main
from fetcher.demo import answers
from fetcher.demo.server import Received, Wire
from fetcher.model import Attempt
from fetcher.stats import Stats
from tests.conftest import Afetch, MakeNginx, MakeRawServer
from tests.samples import sample_result
from tests.servers import Close, Hang, Httpbin, Site, reply


def one(afetch: Afetch, url: str, *options: str) -> dict[str, Any]:
    """The record of a URL."""
    done = afetch("--json", *options, url)
    assert done.records, done.stderr
    return done.records[0]


class Refused(Protocol):
    """What the command says to what cannot be, which it must say in one line, and with status 2."""

    def __call__(self, *args: str) -> str: ...


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs the command in this process: there are many things that cannot be."""

    def refuse(*args: str) -> str:
        status = main(args)
        out, err = capsys.readouterr()
        assert (status, out, err.count("\n")) == (2, "", 1)
        return err

    return refuse


def sent(site: Site) -> list[tuple[str, str | None, bytes]]:
    """Method, content type and body of each request so far."""
    return [(seen.method, dict(seen.headers).get("Content-Type"), seen.body) for seen in site.log]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "OPTIONS", "x-Odd!"])
def test_any_method_is_sent_as_given(afetch: Afetch, site: Site, method: str) -> None:
    """A method is a token, and its case matters."""
    record = one(afetch, site.echo(), "-X", method)

    assert record["ok"]
    assert record["method"] == method
    assert site.log[0].method == method


def test_httpbin_hears_methods_and_bodies(afetch: Afetch, httpbin: Httpbin) -> None:
    """httpbin understands a form of -d, JSON of --data-json, and DELETE."""
    form = one(afetch, httpbin.url("/post"), "-d", "a=1", "-d", "b=two words&c=3")
    data = one(afetch, httpbin.url("/put"), "-X", "PUT", "--data-json", '{"n": [1, null]}')
    deleted = one(afetch, httpbin.url("/delete"), "-X", "DELETE")
    patched = one(afetch, httpbin.url("/patch"), "-X", "PATCH", "-d", "x", "-H", "Content-Type: text/plain")

    assert form["body"]["form"] == {"a": "1", "b": "two words", "c": "3"}
    assert data["body"]["json"] == {"n": [1, None]}
    assert data["body"]["headers"]["Accept"] == "application/json"
    assert deleted["status"] == 200
    assert patched["body"]["data"] == "x"


def test_data_is_joined_as_curl_does(afetch: Afetch, site: Site, tmp_path: Path) -> None:
    """Several -d are one body with & between, files byte for byte, and a POST with a form's type; -X says otherwise."""
    (tmp_path / "part").write_bytes(b"b=\xff\r\n")
    url = site.echo()

    one(afetch, url, "-d", "a=1", "-d", f"@{tmp_path}/part", "-d", "")
    one(afetch, url, "-X", "GET", "-d", "a", "-H", "Content-Type: text/x-odd")

    assert sent(site) == [
        ("POST", "application/x-www-form-urlencoded", b"a=1&b=\xff\r\n&"),
        ("GET", "text/x-odd", b"a"),
    ]


def test_json_is_sent_as_it_is_spelled(afetch: Afetch, site: Site, tmp_path: Path) -> None:
    """Numbers, blanks and keys stay as they are; the type and what is accepted are JSON unless a header says more."""
    text = '{ "n": 1.50, "big": 123456789012345678901234567890, "n": 2 }\n'
    (tmp_path / "body.json").write_text(text)
    url = site.echo()

    one(afetch, url, "--data-json", f"@{tmp_path}/body.json")
    one(afetch, url, "--data-json", "7", "-H", "Content-Type: application/vnd.odd+json", "-H", "Accept: text/csv")

    assert sent(site) == [
        ("POST", "application/json", text.encode()),
        ("POST", "application/vnd.odd+json", b"7"),
    ]
    assert [dict(seen.headers)["Accept"] for seen in site.log] == ["application/json", "text/csv"]


@pytest.mark.parametrize("text", ["{", "{'a': 1}", "NaN", "[1,]", "", "\ufeff{}"])
def test_what_is_no_json_is_refused(refused: Refused, site: Site, text: str) -> None:
    """Before any request: one line, status 2, and the way out."""
    said = refused("--data-json", text, site.echo())

    assert "it is no JSON" in said
    assert "--data" in said
    assert not site.log


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-d", "a", "--data-json", "1"), "--data and --data-json contradict each other"),
        (("-d", "a", "--form", "a=b"), "--data and --form contradict each other"),
        (("--data-json", "1", "--form", "a=b"), "--data-json and --form contradict each other"),
        (("-I", "-d", "a"), "--head and --data contradict each other"),
        (("-I", "--form", "a=b"), "--head and --form contradict each other"),
        (("-I", "-X", "GET"), "--head and --method contradict each other"),
        (("-X", "head,get", "-d", "a"), "contradict each other"),
        (("-X", "GET POST"), "not an HTTP method"),
        (("-X", ""), "not an HTTP method"),
        (("-X", "get,head"), "not an HTTP method"),
        (("-d", "@missing"), "missing"),
        (("--data-json", "@missing"), "--data-json @missing"),
        (("--range", "100"), "write 0-499"),
        (("--range", "9-5"), "write 0-499"),
        (("--range", "0-1,x"), "write 0-499"),
        (("--range", "0-1", "-H", "Range: bytes=0-5"), "Range"),
    ],
)
def test_what_cannot_be_is_refused(refused: Refused, site: Site, options: tuple[str, ...], words: str) -> None:
    """One line on standard error, status 2, and nothing is sent."""
    said = refused(*options, site.echo())

    assert words in said
    assert not site.log


def test_standard_input_is_one_thing(afetch: Afetch, site: Site) -> None:
    """It is the list, or one body, and never two."""
    url = site.echo()

    as_list = afetch("--data-json", "@-", "-", stdin=url)
    twice = afetch("-d", "@-", "-d", "@-", url, stdin="x")
    once = afetch("--json", "-d", "@-", url, stdin="piped")

    assert "--data-json @-: standard input is the list already" in as_list.stderr
    assert "read once" in twice.stderr
    assert as_list.returncode == twice.returncode == 2
    assert [seen.body for seen in site.log] == [b"piped"]
    assert once.returncode == 0


def test_a_row_of_settings_gives_way_to_the_command_line(afetch: Afetch, site: Site, tmp_path: Path) -> None:
    """A body in the configuration file is overruled by another on the command line, and -I by a body."""
    (tmp_path / "afetch.toml").write_text('head = true\ndata = ["a", "b"]\n')
    (tmp_path / "head.toml").write_text("head = true\n")
    url = site.echo()

    one(afetch, url, "--config", f"{tmp_path}/head.toml", "-d", "x")
    one(afetch, url, "--config", f"{tmp_path}/head.toml")

    assert [(seen.method, seen.body) for seen in site.log] == [("POST", b"x"), ("HEAD", b"")]


def test_head_asks_for_no_body(afetch: Afetch, site: Site) -> None:
    """-I is HEAD, whose reply has a length and no body."""
    record = one(afetch, site.page("0123456789"), "-I")

    assert record["ok"]
    assert record["method"] == "HEAD"
    assert record["headers"]["content-length"] == ["10"]
    assert (record["bytes"], record["body"], record["sha256"]) == (0, None, None)


def test_nginx_sends_ranges(afetch: Afetch, nginx: MakeNginx) -> None:
    """206 is a success, the first and the last bytes are what is asked for, and a range beyond the end is 416."""
    server = nginx("gzip on; gzip_types *; gzip_min_length 1;")
    (server.root / "digits.txt").write_bytes(b"0123456789")
    url = server.url("/digits.txt")

    first = one(afetch, url, "--range", "0-3")
    last = one(afetch, url, "--range", "-2")
    rest = one(afetch, url, "--range", "7-")
    several = one(afetch, url, "--range", "0-0,-1")
    beyond = one(afetch, url, "--range", "20-30")

    assert [(got["status"], got["ok"], got["body"]) for got in (first, last, rest)] == [
        (206, True, "0123"),
        (206, True, "89"),
        (206, True, "789"),
    ]
    assert first["headers"]["content-range"] == ["bytes 0-3/10"]
    assert several["status"] == 206
    assert several["content_type"] == "multipart/byteranges"
    assert (beyond["status"], beyond["ok"]) == (416, False)


def test_httpbin_sends_ranges(afetch: Afetch, httpbin: Httpbin) -> None:
    """So does httpbin; and a server that knows no ranges sends all, which is a success, too."""
    part = one(afetch, httpbin.url("/range/26"), "--range", "2-4")
    whole = one(afetch, httpbin.url("/robots.txt"), "--range", "2-4")

    assert (part["status"], part["body"]) == (206, "cde")
    assert (whole["status"], whole["ok"]) == (200, True)


def test_a_range_is_of_the_bytes_as_they_are(afetch: Afetch, site: Site) -> None:
    """A part of a compressed body could not be decoded: none is asked for, unless a header does."""
    url = site.echo()

    one(afetch, url, "--range", "0-1")
    one(afetch, url, "--range", "0-1", "-H", "Accept-Encoding: gzip", "--robots")

    asked = [(seen.target, dict(seen.headers)) for seen in site.log]
    assert [(target, headers.get("Range"), headers["Accept-Encoding"]) for target, headers in asked] == [
        ("/0", "bytes=0-1", "identity"),
        ("/robots.txt", None, "gzip"),
        ("/0", "bytes=0-1", "gzip"),
    ]


def no_head(status: int) -> Any:
    """A page that is there for GET only."""

    async def answer(request: Received, wire: Wire) -> None:
        page = answers.page("here\n") if request.method == "GET" else answers.page("", status)
        await page(request, wire)

    return answer


def test_a_refused_head_is_asked_again_with_get(afetch: Afetch, site: Site) -> None:
    """The record is the GET's, at once and without a retry, and the history tells of the HEAD."""
    statuses = [400, 403, 404, 405, 410, 500, 501, 502]
    urls = [site.answer(no_head(status)) for status in statuses]

    done = afetch("--json", "-c", "1", "-X", "head,get", "-r", "0", *urls)

    for status, record in zip(statuses, sorted(done.records, key=lambda record: record["index"]), strict=True):
        assert (record["ok"], record["status"], record["method"]) == (True, 200, "GET")
        assert [attempt["status"] for attempt in record["history"]] == [status, 200]
        assert record["history"][1]["waited_for"] == "fallback"
    assert sorted(seen.method for seen in site.log) == ["GET"] * 8 + ["HEAD"] * 8
    assert len({seen.connection for seen in site.log}) == 1


def test_a_link_that_is_there_is_asked_for_once(afetch: Afetch, site: Site) -> None:
    """HEAD is believed when it says yes, and when it says what it would say to everybody."""
    urls = [site.page("x"), site.page("x", 401), site.redirect("/0"), site.page("x", 204)]

    done = afetch("--json", "-X", "HEAD,GET", *urls)

    assert [record["method"] for record in done.records] == ["HEAD"] * 4
    assert {seen.method for seen in site.log} == {"HEAD"}


def test_a_link_that_is_not_there_fails_both_ways(afetch: Afetch, site: Site) -> None:
    """A 404 is a 404 when GET says it, too; retries are what they were."""
    missing = one(afetch, site.page("", 404), "-X", "head,get")
    broken = one(afetch, site.page("", 500), "-X", "head,get", "-r", "1", "--retry-wait", "0")

    assert (missing["ok"], missing["status"], missing["attempts"]) == (False, 404, 2)
    assert [attempt["waited_for"] for attempt in broken["history"]] == [None, "fallback", "retry"]
    assert [seen.method for seen in site.log] == ["HEAD", "GET", "HEAD", "GET", "GET"]


def test_a_server_that_drops_head_is_asked_with_get(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """Some close the connection, some send garbage, some nothing at all."""
    drops = raw_server([Close()], reply(b"here"))
    garbles = raw_server(b"what?\r\n\r\n", reply(b"here"))
    hangs = raw_server([Hang()], reply(b"here"))

    done = afetch("--json", "-X", "head,get", "--read-timeout", "0.3", drops.url(), garbles.url(), hangs.url())

    assert [(record["status"], record["method"]) for record in done.records] == [(200, "GET")] * 3
    assert [server.requests[-1][:4] for server in (drops, garbles, hangs)] == [b"GET "] * 3


def test_a_row_may_ask_with_head_first(afetch: Afetch, site: Site) -> None:
    """Its method is read as the option's; with a body it is no request."""
    url = site.answer(no_head(405))
    rows = [{"url": url, "method": "head,get"}, {"url": url, "method": "head,get", "json": 1}]

    done = afetch("--json", "--input-format", "jsonl", stdin="".join(f"{json.dumps(row)}\n" for row in rows))
    checked, refused = sorted(done.records, key=lambda record: record["index"])

    assert (checked["status"], checked["method"], checked["attempts"]) == (200, "GET", 2)
    assert refused["error"]["kind"] == "invalid-request"
    assert [seen.method for seen in site.log] == ["HEAD", "GET"]


def test_a_fallback_stays_where_the_redirects_led(afetch: Afetch, site: Site) -> None:
    """HEAD is redirected, refused at the end, and asked again there; what follows is GET."""
    site.answer(no_head(405), "/end")
    start = site.redirect("/end", path="/start")

    record = one(afetch, start, "-X", "head,get")

    assert (record["ok"], record["method"], record["final_url"]) == (True, "GET", site.url("/end"))
    assert [(seen.method, seen.target) for seen in site.log] == [
        ("HEAD", "/start"),
        ("HEAD", "/end"),
        ("GET", "/end"),
    ]


def test_a_fallback_reads_no_large_body(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """A link to a gigabyte, or to a stream without end, costs its head: no body is kept, none is waited for."""
    refusal = reply(status=405)
    large = raw_server([refusal], b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx")
    endless = raw_server([refusal], [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", Hang()])

    done = afetch("--json", "-X", "head,get", "-r", "0", large.url(), endless.url())

    assert [(record["ok"], record["status"], record["bytes"]) for record in done.records] == [(True, 200, 0)] * 2
    assert [record["body"] for record in done.records] == [None, None]


def test_a_fallback_is_counted_as_no_retry() -> None:
    """Of three attempts two are asked for by the first method's refusal and by a failure: one is a retry."""
    made = sample_result()
    assert made.hop is not None
    url = made.hop.url
    attempts = tuple(Attempt(url, 0.0, 0.1, 503, None, 0.0, reason) for reason in (None, "fallback", "retry"))
    stats = Stats()

    stats.add(replace(made, request=replace(made.request, fallback="GET"), attempts=attempts))

    assert (stats.attempts, stats.retries) == (3, 1)


def test_explain_says_what_would_be_sent(afetch: Afetch, tmp_path: Path) -> None:
    """The body's size and head are told, and neither the body nor a secret in it."""
    (tmp_path / "up.bin").write_bytes(b"hidden" * 1000)

    told = afetch(
        "--explain", "--form", f"f=@{tmp_path}/up.bin", "--form", "password=hidden", "--range", "0-9", "http://a/"
    )

    assert told.returncode == 0
    assert "Content-Type: multipart/form-data; boundary=" in told.stdout
    assert "Range: bytes=0-9" in told.stdout
    assert "hidden" not in told.stdout


def test_a_program_says_the_same(site: Site) -> None:
    """Settings have the options' fields."""
    from fetcher import Settings, fetch_all

    [posted] = fetch_all([site.echo()], Settings(data_json=b'{"a": 1}'))
    [checked] = fetch_all([site.answer(no_head(405))], Settings(method="head,get"))

    assert posted.ok
    assert sent(site)[0] == ("POST", "application/json", b'{"a": 1}')
    assert (checked.method, checked.status) == ("GET", 200)
