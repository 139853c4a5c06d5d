"""
The command as its users have it: a real process, real servers, and what comes out of both.

What an option becomes is `test_cli_options`'s matter, and how a run ends when somebody ends it is another file's. Here
every option is used for what it is there for.
"""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fetcher import __version__
from fetcher.demo import answers
from fetcher.demo.server import Received, Wire
from tests.conftest import Afetch, Completed, MakeRawServer, MakeSite, MakeTlsSite
from tests.ordinary import ORDINARY_COMMAND
from tests.servers import Certificate, Hang, Site, reply
from tests.test_endings import end

FORMATS = ("text", "jsonl", "json")


def listed(*entries: str) -> str:
    """A list of lines."""
    return "".join(f"{entry}\n" for entry in entries)


def rows(text: str) -> list[list[str]]:
    """The columns of text output."""
    return [line.split("\t") for line in text.splitlines()]


def by_index(done: Completed) -> list[dict[str, Any]]:
    """The records on standard output in the order of the list."""
    return sorted(done.records, key=lambda record: int(record["index"]))


def count(text: str, format_: str) -> int:
    """How many records an output has."""
    return len(json.loads(text)) if format_ == "json" else len(text.splitlines())


# --- Lists, pipes and several of them ---


def test_a_list_is_fetched_as_the_first_line_of_the_help_says(afetch: Afetch, site: Site) -> None:
    """`afetch urls.txt --concurrency 20 --timeout 10` prints a line a URL, the summary beside it, and exits 0."""
    urls = [site.page(f"page {number}") for number in range(30)]
    (afetch.folder / "urls.txt").write_text(listed(*urls))

    done = afetch("urls.txt", "--concurrency", "20", "--timeout", "10")

    assert done.returncode == 0
    assert sorted(row[3] for row in rows(done.stdout)) == sorted(urls)
    assert all(row[0] == "200" and row[4] == "" for row in rows(done.stdout))
    assert "30 ok" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("-",), ("/dev/stdin",)])
def test_a_pipe_is_a_list(afetch: Afetch, site: Site, arguments: tuple[str, ...]) -> None:
    """`cat urls.txt | afetch`, with or without a dash."""
    urls = [site.page("one"), site.page("two")]

    done = afetch(*arguments, "--json", stdin=listed(*urls))

    assert done.returncode == 0
    assert [record["url"] for record in by_index(done)] == urls


def test_a_url_is_a_source(afetch: Afetch, site: Site) -> None:
    """`afetch https://...` needs no list."""
    done = afetch(site.page("here"), "--json")

    [record] = done.records
    assert (done.returncode, record["body"]) == (0, "here")


def test_several_sources_are_read_in_order(afetch: Afetch, site: Site) -> None:
    """A file, a URL, standard input and another file make one list; one that lacks its last line end joins no other."""
    one, two, three, four, five = (site.page(str(number)) for number in range(5))
    (afetch.folder / "first.txt").write_text(f"{one}\n{two}")
    (afetch.folder / "last.txt").write_text(five)

    done = afetch("first.txt", three, "-", "last.txt", "--json", stdin=four)

    assert done.returncode == 0
    assert [record["url"] for record in by_index(done)] == [one, two, three, four, five]
    assert [record["index"] for record in by_index(done)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("bad", ["missing.txt", ".", "good.txt/inside"])
def test_a_bad_source_ends_the_run_before_its_first_request(afetch: Afetch, site: Site, bad: str) -> None:
    """A file that is missing, or a directory, is status 2 and one line that names it, wherever it stands."""
    (afetch.folder / "good.txt").write_text(listed(site.page()))

    done = afetch("good.txt", bad, "-o", "out.jsonl")

    assert done.returncode == 2
    assert re.fullmatch(rf"afetch: {re.escape(bad)}: [^\n]+\n", done.stderr)
    assert site.log == []
    assert not (afetch.folder / "out.jsonl").exists()


def test_an_unreadable_file_ends_the_run_before_its_first_request(afetch: Afetch, site: Site) -> None:
    """Status 2, and the way out."""
    (afetch.folder / "good.txt").write_text(listed(site.page()))
    (afetch.folder / "bad.txt").touch(mode=0)

    status, _, err = end(afetch.start("good.txt", "bad.txt", command=ORDINARY_COMMAND))

    assert (status, site.log) == (2, [])
    assert "bad.txt: permission denied" in err


def test_an_output_that_may_not_be_written_ends_the_run_before_its_first_request(afetch: Afetch, site: Site) -> None:
    """A file, or the folder that a new one would be in: status 2, and the way out."""
    (afetch.folder / "out.jsonl").touch(mode=0o400)
    (afetch.folder / "locked").mkdir(mode=0o500)

    for place in ("out.jsonl", "locked/out.jsonl"):
        status, _, err = end(afetch.start(site.page(), "-o", place, command=ORDINARY_COMMAND))

        assert status == 2
        assert err == f"afetch: {place}: permission denied; choose a place that this user may write to\n"
    assert site.log == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that opens and cannot be read")
def test_an_input_that_breaks_off_is_status_2_with_the_records_so_far(afetch: Afetch, site: Site) -> None:
    """A disk error in the second file does not lose what the first had."""
    done = afetch(site.page("kept"), "/proc/self/mem", "--json")

    assert done.returncode == 2
    assert [record["body"] for record in done.records] == ["kept"]
    assert "/proc/self/mem" in done.stderr


@pytest.mark.parametrize(("format_", "expected"), [("text", ""), ("jsonl", ""), ("json", "[]\n")])
@pytest.mark.parametrize("text", ["", "\n  \n# only this\n", "\ufeff"])
def test_an_empty_list_is_a_warning(afetch: Afetch, text: str, format_: str, expected: str) -> None:
    """No entry is no failure: status 0, a warning, and an output that is well formed."""
    done = afetch("-f", format_, stdin=text)

    assert (done.returncode, "".join(done.stdout.split())) == (0, expected.strip())
    assert re.search(r"no (entries|URLs|entry)|empty", done.stderr), done.stderr


def test_no_source_at_all_is_an_empty_list_where_input_is_no_terminal(afetch: Afetch) -> None:
    """Standard input is the list where it is no terminal, /dev/null too."""
    done = afetch()

    assert (done.returncode, done.stdout) == (0, "")


def test_lines_are_read_as_windows_and_editors_write_them(afetch: Afetch, site: Site) -> None:
    """A byte order mark, CRLF, blanks round a line, comments and empty lines are no part of an entry."""
    for path in ("/a", "/b", "/c#d", "/e%20f"):
        site.page(path=path.partition("#")[0])
    text = (
        f"\ufeff{site.url('/a')}\r\n\r\n  \t\r\n# a comment\r\n   # another\r\n"
        f"\t {site.url('/b')} \t\r\n{site.url('/c#d')}\r\n{site.url('/e f')}"
    )

    done = afetch("--json", stdin=text)

    assert done.returncode == 0
    assert [record["url"] for record in by_index(done)] == [site.url(path) for path in ("/a", "/b", "/c#d", "/e f")]
    assert sorted(request.target for request in site.log) == ["/a", "/b", "/c", "/e%20f"]


@pytest.mark.parametrize("base", ["/v1", "/v1/", "/v1//"])
def test_paths_are_appended_to_the_base(afetch: Afetch, site: Site, base: str) -> None:
    """Exactly one slash stands between; what has a scheme stands alone, and a colon makes none."""
    other = site.page(path="/elsewhere")
    paths = ("items/1", "/items/2", "items?q=a%2Fb", "item:42", "a b")

    done = afetch("--base-url", site.url(base), "--json", "-c", "1", stdin=listed(*paths, other, "ftp://host/x"))

    assert [request.target for request in site.log] == [
        "/v1/items/1",
        "/v1/items/2",
        "/v1/items?q=a%2Fb",
        "/v1/item:42",
        "/v1/a%20b",
        "/elsewhere",
    ]
    assert [record["url"] for record in by_index(done)] == [*paths, other, "ftp://host/x"]
    assert by_index(done)[-1]["error"]["kind"] == "invalid-url"


def test_limit_counts_entries(afetch: Afetch, site: Site) -> None:
    """Comments and blanks do not count, malformed entries do; what is behind the limit is not asked for."""
    urls = [site.page() for _ in range(5)]

    done = afetch("--limit", "3", "--json", stdin=listed("# one", urls[0], "", "no url", *urls[1:]))

    assert [record["url"] for record in by_index(done)] == [urls[0], "no url", urls[1]]
    assert len(site.log) == 2


# --- URLs ---


def test_a_line_that_is_no_url_is_a_record(afetch: Afetch, site: Site) -> None:
    """Its kind is invalid-url, nothing is sent for it, and the run goes on."""
    bad = ["example.com", "http://", "ftp://host/", "http://host:0/", "http://a..b/", "javascript:alert(1)", "/path"]

    done = afetch("--json", stdin=listed(*bad, site.page()))

    assert done.returncode == 1
    records = by_index(done)
    assert [record["url"] for record in records[:-1]] == bad
    assert {record["error"]["kind"] for record in records[:-1]} == {"invalid-url"}
    assert {record["attempts"] for record in records[:-1]} == {0}
    assert records[-1]["ok"]


@pytest.mark.parametrize("format_", FORMATS)
def test_every_entry_has_a_record_in_every_format(
    afetch: Afetch, site: Site, raw_server: MakeRawServer, format_: str
) -> None:
    """Good, missing, twice, malformed, broken, redirected: as many records as entries."""
    good = site.page("good")
    entries = [
        good,
        good,
        site.url("/missing"),
        "no url",
        "http://[::1",
        raw_server(b"garbage\r\n\r\n").url(),
        raw_server(b"").url(),
        site.redirect(good),
        "\udcff\udcfe",
        "a\tb",
        "\x1b[31m",
    ]

    done = afetch("-f", format_, "-r", "0", stdin=listed(*entries).encode("utf-8", "surrogateescape"))

    assert (done.returncode, count(done.stdout, format_)) == (1, len(entries))


@pytest.mark.parametrize(
    "target",
    [
        "/%7e%7E%2F%2f%5B/x",
        "/broken%/%zz/%1",
        "/sig?X-Amz-Signature=a%2Bb%2F%3D&plus=a+b&pipe=a|b&brackets=[1]",
        "/a//b///c",
        "/semi;colon,comma!star*'quote'(x)@:$&",
        "/?",
        "/??a=?b",
        '/"<>\\^`{}',
    ],
)
def test_what_is_encoded_goes_out_byte_for_byte(afetch: Afetch, site: Site, target: str) -> None:
    """Signed URLs break when somebody quotes them anew."""
    done = afetch("--json", stdin=listed(site.url(target)))

    assert [request.target for request in site.log] == [target]
    assert done.records[0]["final_url"] == site.url(target)


def test_non_ascii_hosts_and_paths_are_sent_as_they_must(afetch: Afetch, site: Site) -> None:
    """A host is mapped to ASCII (UTS 46), a path is percent-encoded UTF-8; stray bytes are encoded as they are."""
    entries = [
        f"http://ＬｏｃａｌＨｏｓｔ:{site.port}/straße/日本?q=ü".encode(),
        f"http://LOCALHOST:{site.port}/caf\udce9".encode("utf-8", "surrogateescape"),
    ]

    done = afetch("--json", "-c", "1", stdin=b"\n".join(entries))

    assert [request.target for request in site.log] == [
        "/stra%C3%9Fe/%E6%97%A5%E6%9C%AC?q=%C3%BC",
        "/caf%E9",
    ]
    assert [request.header("host") for request in site.log] == [f"localhost:{site.port}"] * 2
    assert [record["url"] for record in by_index(done)] == [
        f"http://ＬｏｃａｌＨｏｓｔ:{site.port}/straße/日本?q=ü",
        f"http://LOCALHOST:{site.port}/caf\\xe9",
    ]


def test_an_ipv6_literal_is_a_host(afetch: Afetch, make_site: MakeSite) -> None:
    """Its brackets stand in the URL, the Host header and `remote`; its long spelling is the same host."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    site = make_site(host="::1")
    site.page("six", path="/x")

    done = afetch("--json", site.url("/x"), f"http://[0:0::0:1]:{site.port}/x")

    assert done.returncode == 0
    assert {request.header("host") for request in site.log} == {f"[::1]:{site.port}"}
    assert {record["remote"] for record in done.records} == {f"[::1]:{site.port}"}


def test_user_info_becomes_a_header_and_nobody_reads_it(afetch: Afetch, site: Site) -> None:
    """It is decoded, sent as Basic, and stands in no output."""
    site.page(path="/private")
    url = site.url("/private").replace("http://", "http://me:p%40ss@")

    done = afetch("-v", "--json", url)

    [request] = site.log
    assert request.header("authorization") == "Basic bWU6cEBzcw=="
    [record] = done.records
    assert record["url"] == site.url("/private").replace("http://", "http://me:***@")
    assert record["final_url"] == site.url("/private")
    assert "p%40ss" not in done.stdout + done.stderr
    assert "bWU6" not in done.stdout + done.stderr


def test_a_fragment_is_not_sent(afetch: Afetch, site: Site) -> None:
    """It stays in `url`, which is as the input gave it."""
    url = site.page(path="/page")

    done = afetch("--json", f"{url}?q=1#part?no=query")

    assert [request.target for request in site.log] == ["/page?q=1"]
    assert done.records[0]["url"] == f"{url}?q=1#part?no=query"


# --- Outputs ---


def test_text_has_five_columns_whatever_happens(afetch: Afetch, site: Site) -> None:
    """STATUS BYTES SECONDS URL NOTE, with a dash where there is none, and controls escaped."""
    good = site.page("12345")
    moved = site.redirect(good)
    missing = site.url("/missing")
    cut = site.answer(answers.cut(b"abc", 7))

    done = afetch("-r", "0", stdin=listed(good, moved, missing, cut, "no\x1burl"))

    told = {row[3]: (*row[:2], row[4]) for row in rows(done.stdout)}
    assert told[good] == ("200", "5", "")
    assert told[moved] == ("200", "5", f"-> {good}")
    assert told[missing][0] == "404"
    assert told[missing][2] == ""
    assert told[cut][:2] == ("200", "3")
    assert told[cut][2].startswith("incomplete: ")
    assert told["no\\x1burl"][:2] == ("-", "-")
    assert told["no\\x1burl"][2].startswith("invalid-url: ")
    assert all(re.fullmatch(r"-|\d+\.\d{3}", row[2]) for row in rows(done.stdout))
    assert "\x1b" not in done.stdout


def test_json_is_the_same_as_the_format_jsonl(afetch: Afetch, site: Site) -> None:
    """Both write one object a line, with the same fields."""
    url = site.json({"a": 1})

    [short] = afetch("--json", url).records
    [long] = afetch("-f", "jsonl", url).records

    assert short["body"] == long["body"] == {"a": 1}
    assert list(short) == list(long)


def test_json_is_one_array(afetch: Afetch, site: Site) -> None:
    """Of the same objects."""
    urls = [site.page(str(number)) for number in range(5)]

    done = afetch("-f", "json", stdin=listed(*urls))

    assert sorted(record["body"] for record in json.loads(done.stdout)) == list("01234")


@pytest.mark.parametrize(
    ("name", "options", "format_"),
    [
        ("out.jsonl", (), "jsonl"),
        ("out.ndjson", (), "jsonl"),
        ("out.json", (), "json"),
        ("out.txt", (), "text"),
        ("OUT.JSON", (), "json"),
        ("out", (), "text"),
        ("out.json", ("-f", "jsonl"), "jsonl"),
        ("out.dat", ("-f", "json"), "json"),
        ("out.txt", ("--json",), "jsonl"),
    ],
)
def test_the_suffix_says_the_format(
    afetch: Afetch, site: Site, name: str, options: tuple[str, ...], format_: str
) -> None:
    """Unless the format is said; the file has all, standard output nothing."""
    urls = [site.page("x"), site.page("y")]

    done = afetch("-o", name, *options, stdin=listed(*urls))

    written = (afetch.folder / name).read_text()
    first = {"jsonl": '{"url"', "json": "[", "text": "200\t"}[format_]
    assert (done.returncode, done.stdout) == (0, "")
    assert written.startswith(first)
    assert count(written, format_) == 2


def test_a_dash_is_standard_output(afetch: Afetch, site: Site) -> None:
    """And no file of that name."""
    done = afetch("-o", "-", "--json", site.page("x"))

    assert [record["body"] for record in done.records] == ["x"]
    assert not (afetch.folder / "-").exists()


def test_a_file_that_has_something_in_it_is_refused(afetch: Afetch, site: Site) -> None:
    """Before the first request, with the way out; what is in it stays."""
    out = afetch.folder / "out.jsonl"
    out.write_text("precious\n")

    done = afetch("-o", "out.jsonl", site.page())

    assert (done.returncode, site.log, out.read_text()) == (2, [], "precious\n")
    assert re.fullmatch(r"afetch: [^\n]*out\.jsonl[^\n]*--overwrite[^\n]*\n", done.stderr)


def test_overwrite_replaces_it(afetch: Afetch, site: Site) -> None:
    """Whole: nothing of the old file is left behind a shorter new one."""
    out = afetch.folder / "out.jsonl"
    out.write_text("old\n" * 10_000)

    done = afetch("-o", "out.jsonl", "--overwrite", site.page("new"))

    assert done.returncode == 0
    assert [json.loads(line)["body"] for line in out.read_text().splitlines()] == ["new"]


def test_an_empty_file_and_a_device_are_no_refusal(afetch: Afetch, site: Site) -> None:
    """`-o /dev/null` and a file that `mktemp` made."""
    (afetch.folder / "empty.jsonl").touch()
    url = site.page()

    assert afetch("-o", "empty.jsonl", url).returncode == 0
    assert afetch("-o", "/dev/null", url).returncode == 0
    assert (afetch.folder / "empty.jsonl").read_text()


@pytest.mark.parametrize("out", ["no/such/folder/out.jsonl", ".", "urls.txt"])
def test_an_output_that_cannot_be_is_status_2(afetch: Afetch, site: Site, out: str) -> None:
    """A folder that is not there, a directory, the list itself: one line, no request, and the list is whole."""
    text = listed(site.page())
    (afetch.folder / "urls.txt").write_text(text)

    done = afetch("urls.txt", "-f", "jsonl", "--overwrite", "-o", out)

    assert (done.returncode, site.log) == (2, [])
    assert re.fullmatch(r"afetch: [^\n]+\n", done.stderr)
    assert (afetch.folder / "urls.txt").read_text() == text


def test_a_suffix_without_a_format_is_status_2(afetch: Afetch, site: Site) -> None:
    """With the ways to say one."""
    done = afetch("-o", "out.pdf", site.page())

    assert (done.returncode, site.log) == (2, [])
    assert "--format" in done.stderr


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("auto", [({"a": 1.10, "a ": [None]}, "json"), ("<p>ü", "text"), ("AP8=", "base64"), ("[1]", "text")]),
        ("json", [({"a": 1.10, "a ": [None]}, "json"), ("<p>ü", "text"), ("\x00\ufffd", "text"), ([1], "json")]),
        (
            "text",
            [('{"a": 1.10,\n "a ": [null]}', "text"), ("<p>ü", "text"), ("\x00\ufffd", "text"), ("[1]", "text")],
        ),
        (
            "base64",
            [
                ("eyJhIjogMS4xMCwKICJhICI6IFtudWxsXX0=", "base64"),
                ("PHA+w7w=", "base64"),
                ("AP8=", "base64"),
                ("WzFd", "base64"),
            ],
        ),
        ("none", [(None, None)] * 4),
    ],
)
def test_the_body_is_in_the_record_as_asked(afetch: Afetch, site: Site, mode: str, expected: list[Any]) -> None:
    """JSON, text, bytes, and JSON under another name; size and hash are there in every mode."""
    urls = [
        site.page('{"a": 1.10,\n "a ": [null]}', content_type="application/json"),
        site.page("<p>ü", content_type="text/html; charset=utf-8"),
        site.page(b"\x00\xff", content_type="application/octet-stream"),
        site.page("[1]", content_type="text/plain"),
    ]

    done = afetch("--body", mode, "--json", stdin=listed(*urls))

    records = by_index(done)
    assert [(record["body"], record["body_encoding"]) for record in records] == expected
    assert [record["bytes"] for record in records] == [26, 5, 2, 3]
    assert all(re.fullmatch("[0-9a-f]{64}", record["sha256"]) for record in records)


@pytest.mark.parametrize(("limit", "whole"), [("999", False), ("1000", True), ("1k", True), ("0", True)])
def test_a_larger_body_is_an_error(afetch: Afetch, site: Site, limit: str, whole: bool) -> None:
    """Told beforehand or not, compressed or not; at the limit it is whole."""
    body = b"x" * 1000
    urls = [site.page(body), site.answer(answers.chunked([body[:600], body[600:]]))]

    done = afetch("--max-size", limit, "--json", stdin=listed(*urls))

    records = by_index(done)
    assert [record["ok"] for record in records] == [whole, whole]
    if not whole:
        assert {record["error"]["kind"] for record in records} == {"too-large"}
        assert {record["truncated"] for record in records} == {True}
        assert {(record["body"], record["sha256"]) for record in records} == {(None, None)}


def test_the_schema_describes_every_record(afetch: Afetch, site: Site, raw_server: MakeRawServer) -> None:
    """What `--schema` prints validates a good record, a failed, a redirected, a retried and a malformed one."""
    good = site.json([1])
    urls = [
        good,
        site.redirect(good),
        site.sequence(503, 200),
        site.url("/missing"),
        site.page(status=204),
        site.page(b"\xff\x00"),
        site.answer(answers.cut(b"abc")),
        raw_server(b"\r\nno http").url(),
        "no url",
        "http://127.0.0.1:1/",
    ]
    schema = json.loads(afetch("--schema").stdout)

    done = afetch("--json", "-r", "1", stdin=listed(*urls))

    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    assert len(done.records) == len(urls)
    assert [error.message for record in done.records for error in validator.iter_errors(record)] == []
    assert {*done.records[0]} == {*schema["required"]}
    assert re.search(r"\d$", schema["$id"])
    assert not validator.is_valid({**done.records[0], "status": "200"})


# --- Requests ---


def test_the_user_agent_is_honest(afetch: Afetch, site: Site) -> None:
    """It says who we are and which version, unless -A says otherwise."""
    url = site.page()

    afetch(url)
    afetch(url, "-A", "Tester/1.0 (+http://example.com)")

    assert [request.header("user-agent") for request in site.log] == [
        f"afetch/{__version__}",
        "Tester/1.0 (+http://example.com)",
    ]


def test_headers_are_sent_in_curls_three_ways(afetch: Afetch, site: Site) -> None:
    """`A: b` is sent, in place of our own too; `A;` is sent empty; `A:` leaves ours out; the same name twice is two."""
    options = ["-H", "X-One: 1", "-H", "X-One:  2 ", "-H", "X-Empty;", "-H", "Accept: text/x", "-H", "User-Agent:"]

    done = afetch(*options, "-H", "X-Ünicode: no", site.page())
    good = afetch(*options, "-H", "X-Text: ü", site.page())

    assert done.returncode == 2
    assert good.returncode == 0
    [request] = site.log
    assert [value for name, value in request.headers if name == "X-One"] == ["1", "2"]
    assert request.header("x-empty") == ""
    assert request.header("accept") == "text/x"
    assert request.header("user-agent") is None
    assert (request.header("x-text") or "").encode("latin-1").decode() == "ü"
    assert len([name for name, _ in request.headers if name.lower() == "host"]) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "get"])
def test_a_method_is_sent_as_given(afetch: Afetch, site: Site, method: str) -> None:
    """Letter for letter; a reply to HEAD has no body."""
    done = afetch("-X", method, "--json", site.page("body"))

    [request], [record] = site.log, done.records
    assert (request.method, record["method"], done.returncode) == (method, method, 0)
    assert record["bytes"] == (0 if method == "HEAD" else 4)


def test_data_is_a_post_of_a_form(afetch: Afetch, site: Site) -> None:
    """As curl's -d: POST, and the form's media type, unless something else is said; a file byte for byte."""
    (afetch.folder / "data.bin").write_bytes(b"\x00\xff\r\n")
    url = site.page()

    afetch("-d", "a=ü&b", url)
    afetch("-d", "@data.bin", "-X", "PUT", "-H", "content-type: application/x", url)
    afetch("-d", "", url)
    afetch("-d", "@-", url, stdin=b"piped\n")

    text, file, empty, piped = site.log
    assert (text.method, text.body) == ("POST", "a=ü&b".encode())
    assert text.header("content-type") == "application/x-www-form-urlencoded"
    assert (file.method, file.body) == ("PUT", b"\x00\xff\r\n")
    assert [value for name, value in file.headers if name.lower() == "content-type"] == ["application/x"]
    assert (empty.method, empty.body, empty.header("content-length")) == ("POST", b"", "0")
    assert piped.body == b"piped\n"


def test_parameters_are_added_to_every_url(afetch: Afetch, site: Site) -> None:
    """Encoded, behind the query that is there, which is not touched."""
    urls = [site.url("/a"), site.url("/b?x=%7e#part"), site.url("/c?")]

    afetch("--param", "q=a b&c=d/ü", "--param", "empty=", "-c", "1", stdin=listed(*urls))

    added = "q=a%20b%26c%3Dd%2F%C3%BC&empty="
    assert [request.target for request in site.log] == [f"/a?{added}", f"/b?x=%7e&{added}", f"/c?{added}"]


# --- Patience ---


def test_the_total_timeout_means_what_it_says(afetch: Afetch, site: Site) -> None:
    """A fraction of a second is one, and a page that drips for ever is ended."""
    drip = site.answer(answers.chunked([b"x"] * 200, pause=0.05))

    done = afetch("-t", "0.4", "-r", "0", "--json", stdin=listed(site.hang(), drip))

    for record in done.records:
        assert record["error"]["kind"] == "timeout"
        assert 0.39 <= record["elapsed"] < 5.0
    assert done.returncode == 1


def test_silence_is_a_read_timeout(afetch: Afetch, site: Site) -> None:
    """A page that is silent is ended, one that drips is not."""
    drip = site.answer(answers.chunked([b"x"] * 8, pause=0.1))

    done = afetch("--read-timeout", "0.5", "-r", "0", "--json", stdin=listed(site.hang(), drip))

    silent, dripping = by_index(done)
    assert silent["error"]["kind"] == "read-timeout"
    assert 0.49 <= silent["elapsed"] < 5.0
    assert (dripping["ok"], dripping["body"]) == (True, "x" * 8)


def test_a_handshake_that_never_comes_is_a_connect_timeout(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """TCP and TLS together have their own patience."""
    mute = raw_server([Hang()], greet=True)

    done = afetch("--connect-timeout", "300ms", "-r", "0", "--json", f"https://127.0.0.1:{mute.port}/")

    [record] = done.records
    assert record["error"]["kind"] == "connect-timeout"
    assert 0.29 <= record["elapsed"] < 5.0


def test_what_can_get_better_is_tried_again(afetch: Afetch, site: Site) -> None:
    """Every status that may be passing, and a cut body, up to -r times; the history tells of each."""
    urls = [site.sequence(status, 200) for status in (408, 429, 500, 502, 503, 504)]
    urls.append(site.sequence(answers.cut(b"abc"), answers.page("whole")))
    urls.append(site.sequence(answers.reset(), answers.page("whole")))

    done = afetch("-r", "1", "--json", stdin=listed(*urls))

    assert done.returncode == 0
    assert [record["attempts"] for record in by_index(done)] == [2] * 8
    assert [record["history"][0]["status"] for record in by_index(done)] == [408, 429, 500, 502, 503, 504, 200, None]
    assert [record["history"][1]["waited_for"] for record in by_index(done)] == ["retry", "refused", *["retry"] * 6]


def test_what_stays_as_it_is_is_not_tried_again(afetch: Afetch, site: Site) -> None:
    """Not 400, 404, 501 or 505, not a broken coding; not a POST; nothing with -r 0."""
    urls = [site.page(status=status) for status in (400, 401, 403, 404, 410, 501, 505)]
    urls.append(site.page("not gzip", headers={"Content-Encoding": "gzip"}))
    flaky = site.sequence(503, 200)

    done = afetch("-r", "3", "--json", stdin=listed(*urls))
    post = afetch("-r", "3", "--json", "-d", "x", flaky)
    none = afetch("-r", "0", "--json", site.sequence(503, 200))

    assert [record["attempts"] for record in done.records] == [1] * 8
    assert [(record["status"], record["attempts"]) for record in (*post.records, *none.records)] == [(503, 1)] * 2


def test_retry_on_says_what_is_tried_again_instead(afetch: Afetch, site: Site) -> None:
    """For every method, and nothing beside it."""
    [missing] = afetch("--retry-on", "404", "--json", "-d", "x", site.sequence(404, 200)).records
    [unnamed] = afetch("--retry-on", "404,timeout", "--json", site.sequence(503, 200)).records
    [classed] = afetch("--retry-on", "5xx", "--json", site.sequence(501, 200)).records

    assert [(r["status"], r["attempts"]) for r in (missing, unnamed, classed)] == [(200, 2), (503, 1), (200, 2)]


def test_retry_after_is_honoured_as_seconds_and_as_a_date(afetch: Afetch, site: Site) -> None:
    """The server's wish wins over our own wait; an odd one is none."""

    async def dated(request: Received, wire: Wire) -> None:
        # Of the moment of its reply: nobody knows how long a run takes to start.
        then = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        await answers.page(status=503, headers=[("Retry-After", then)])(request, wire)

    past_date = "Wed, 21 Oct 2015 07:28:00 GMT"
    by_number, by_past, by_odd = (
        answers.page(status=503, headers=[("Retry-After", value)]) for value in ("1", past_date, "soon")
    )
    urls = [site.sequence(refusal, answers.page("ok")) for refusal in (by_number, dated, by_past, by_odd)]

    # A run each: a wait is the host's, for every URL of it.
    runs = [afetch("-r", "1", "--json", url) for url in urls]

    seconds, date, past, odd = (done.records[0]["history"][1] for done in runs)
    assert [done.returncode for done in runs] == [0] * 4
    assert (seconds["waited_for"], date["waited_for"], past["waited_for"]) == ("retry-after",) * 3
    assert seconds["waited"] >= 1.0
    assert date["waited"] >= 0.5
    assert past["waited"] < 5.0
    assert odd["waited_for"] == "retry"


def test_who_waits_holds_no_slot(afetch: Afetch, site: Site) -> None:
    """With one slot, the rest of the list is fetched while the first entry waits."""
    flaky = site.sequence(answers.page(status=429, headers=[("Retry-After", "1")]), answers.page("ok"), path="/flaky")
    rest = [site.page() for _ in range(20)]

    done = afetch("-c", "1", "--json", stdin=listed(flaky, *rest))

    assert done.returncode == 0
    assert [request.target for request in site.log].count("/flaky") == 2
    assert site.log[-1].target == "/flaky"


# --- Redirects ---


@pytest.mark.parametrize(
    ("status", "sent", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "GET", "GET"),
    ],
)
def test_a_redirect_keeps_or_changes_the_method(afetch: Afetch, site: Site, status: int, sent: str, then: str) -> None:
    """RFC 9110 15.4: a POST becomes a GET at 301, 302 and 303, and stays itself, with its body, at 307 and 308."""
    url = site.redirect("/there", status)
    site.page(path="/there")
    data = ("-d", "body") if sent in {"POST", "PUT"} else ()

    done = afetch("-X", sent, *data, "--json", url)

    first, second = site.log
    kept = first.body if then == sent else b""
    [record] = done.records
    assert (first.method, second.method, second.body) == (sent, then, kept)
    assert (second.header("content-type") is None) == (not kept)
    assert (record["method"], record["final_url"]) == (then, site.url("/there"))
    assert record["redirects"] == [{"url": url, "status": status}]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("sub/x", "/dir/sub/x"),
        ("../x", "/x"),
        ("/x?a=%7e", "/x?a=%7e"),
        ("?q", "/dir/page?q"),
        ("{origin}/x#part", "/x"),
        ("//{authority}/x", "/x"),
        ("/straße", "/stra%C3%9Fe"),
        ("/a b", "/a%20b"),
    ],
)
def test_a_location_is_relative_absolute_or_sloppy(afetch: Afetch, site: Site, location: str, target: str) -> None:
    """Each leads where a browser would go."""
    to = location.format(origin=site.origin, authority=site.origin.removeprefix("http://"))
    url = site.answer(
        answers.verbatim(
            answers.head(302, [("Content-Length", "0")]).replace(
                b"\r\n\r\n", b"\r\nLocation: " + to.encode() + b"\r\n\r\n"
            )
        ),
        path="/dir/page",
    )

    afetch(url)

    assert [request.target for request in site.log][:2] == ["/dir/page", target]


def test_redirects_are_a_result_where_nobody_follows(afetch: Afetch, site: Site) -> None:
    """`--no-follow`: the 3xx is a success, and where it leads stands in its headers."""
    done = afetch("--no-follow", "--json", site.redirect("/there", 301))

    [record] = done.records
    assert (done.returncode, record["ok"], record["status"], len(site.log)) == (0, True, 301, 1)
    assert record["headers"]["location"] == ["/there"]
    assert record["redirects"] == []


def test_loops_and_limits_are_told_apart(afetch: Afetch, site: Site) -> None:
    """Both are `redirects`, with the last 3xx as status; the messages differ; exactly the limit is allowed."""
    loop = site.redirect("/loop", path="/loop")
    for step in range(4):
        site.redirect(f"/step{step + 1}", path=f"/step{step}")
    site.page("end", path="/step4")
    chain = site.url("/step0")

    done = afetch("--max-redirects", "3", "--json", stdin=listed(loop, chain))
    enough = afetch("--max-redirects", "4", chain)

    looped, long = by_index(done)
    assert {record["error"]["kind"] for record in (looped, long)} == {"redirects"}
    assert (looped["status"], long["status"]) == (302, 302)
    assert "loop" in looped["error"]["message"]
    assert "3" in long["error"]["message"]
    assert "loop" not in long["error"]["message"]
    assert enough.returncode == 0


def test_credentials_do_not_leave_their_origin(afetch: Afetch, site: Site, make_site: MakeSite) -> None:
    """Neither user info nor a cookie nor an Authorization header follows to another port; on the same one they do."""
    other = make_site()
    other.page(path="/there")
    site.page(path="/here")
    away = site.redirect(other.url("/there"))
    near = site.redirect("/here")
    options = ("-H", "Cookie: a=b", "-H", "X-Api-Key: secret", "-H", "X-Plain: kept")

    afetch(*options, away.replace("http://", "http://me:pw@"))
    afetch(*options, near.replace("http://", "http://me:pw@"))

    [stranger], friend = other.log, site.log[-1]
    names = ("authorization", "cookie", "x-api-key")
    assert [stranger.header(name) for name in names] == [None, None, None]
    assert None not in [friend.header(name) for name in names]
    assert (stranger.header("x-plain"), friend.header("x-plain")) == ("kept", "kept")


# --- Connections ---


def test_tls_is_verified_unless_told_otherwise(afetch: Afetch, make_tls_site: MakeTlsSite, ca_file: Path) -> None:
    """The right certificate passes with --cacert, every wrong one is `tls`, -k takes them all and says so."""
    sites = {certificate: make_tls_site(certificate) for certificate in Certificate}
    urls = {certificate: site.page("secret") for certificate, site in sites.items()}

    unknown = afetch("-r", "0", "--json", urls[Certificate.RIGHT])
    known = afetch("-r", "0", "--json", "--cacert", ca_file, stdin=listed(*urls.values()))
    careless = afetch("-k", "--json", stdin=listed(*urls.values()))

    assert unknown.records[0]["error"]["kind"] == "tls"
    kinds = {
        url: (error or {}).get("kind") for record in known.records for url, error in [(record["url"], record["error"])]
    }
    assert kinds == {url: None if name is Certificate.RIGHT else "tls" for name, url in urls.items()}
    assert (careless.returncode, len(careless.records)) == (0, len(urls))
    assert "certificates are not verified" in careless.stderr
    assert "certificates" not in known.stderr


def test_a_tls_record_tells_of_its_handshake(afetch: Afetch, tls_site: Site, ca_file: Path) -> None:
    """Timings of every phase, and who answered."""
    done = afetch("--cacert", ca_file, "--json", tls_site.page())

    [record] = done.records
    assert record["timings"]["tls"] > 0
    assert record["remote"] == f"127.0.0.1:{tls_site.port}"
    assert record["http_version"] == "1.1"


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_a_bad_file_of_authorities_is_status_2(afetch: Afetch, tls_site: Site, content: str | None) -> None:
    """Missing, or without a certificate: said before the first request."""
    if content is not None:
        (afetch.folder / "ca.pem").write_text(content)

    done = afetch("--cacert", "ca.pem", tls_site.page())

    assert (done.returncode, tls_site.connections) == (2, 0)
    assert re.fullmatch(r"afetch: [^\n]*ca\.pem[^\n]*\n", done.stderr)


@pytest.mark.parametrize(
    ("options", "connections"),
    [((), 1), (("--keepalive", "30"), 1), (("--no-keepalive",), 10), (("--keepalive", "0"), 10)],
)
def test_connections_are_kept_or_not(afetch: Afetch, site: Site, options: tuple[str, ...], connections: int) -> None:
    """The server counts them; where none is kept, each request says so."""
    urls = [site.page() for _ in range(10)]

    done = afetch("-c", "1", *options, stdin=listed(*urls))

    assert (done.returncode, site.connections) == (0, connections)
    said = {request.header("connection") for request in site.log}
    assert said == ({"close"} if connections == 10 else {None})


@pytest.mark.parametrize("slots", [1, 3, 20])
def test_no_more_than_concurrency_are_under_way(afetch: Afetch, site: Site, slots: int) -> None:
    """And no fewer, while there is work."""
    urls = [site.slow(0.1) for _ in range(40 if slots > 1 else 5)]

    done = afetch("-c", str(slots), stdin=listed(*urls))

    assert (done.returncode, site.peak) == (0, slots)


# --- The screen ---


def test_quiet_says_nothing(afetch: Afetch, site: Site) -> None:
    """Not even of failures: the records and the status tell."""
    done = afetch("-q", stdin=listed(site.page(), site.url("/missing"), "no url"))

    assert (done.returncode, done.stderr) == (1, "")
    assert len(rows(done.stdout)) == 3


def test_quiet_still_says_why_nothing_could_be_done(afetch: Afetch) -> None:
    """A mistake of the user's is no chatter."""
    done = afetch("-q", "missing.txt")

    assert done.returncode == 2
    assert "missing.txt" in done.stderr


def test_the_summary_says_what_it_came_to(afetch: Afetch, site: Site) -> None:
    """How many, and what failed how, on standard error, without a colour in a pipe."""
    urls = [site.page(), site.page(), site.url("/missing"), "no url"]

    done = afetch(stdin=listed(*urls))

    assert "2 ok, 2 failed (404, invalid-url)" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("options", [("--progress",), ("--no-progress",), ("-v",)])
def test_the_screen_never_touches_the_results(afetch: Afetch, site: Site, options: tuple[str, ...]) -> None:
    """Whatever is shown, standard output has the records alone."""
    urls = [site.page(str(number)) for number in range(5)]

    done = afetch(*options, "--json", stdin=listed(*urls))

    assert done.returncode == 0
    assert sorted(record["body"] for record in done.records) == list("01234")


# --- The verdict ---


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ((), 1),
        (("--fail-on", "none"), 0),
        (("--fail-on", "any"), 1),
        (("--fail-on", "5xx"), 0),
        (("--fail-on", "404"), 1),
        (("--fail-on", "4xx"), 1),
        (("--fail-on", "invalid-url,dns"), 1),
        (("--fail-on", "dns"), 0),
        (("--fail-on", "200"), 1),
        (("--max-failures", "1"), 1),
        (("--max-failures", "2"), 0),
        (("--max-failures", "19.9%"), 1),
        (("--max-failures", "20%"), 0),
        (("--fail-on", "4xx", "--max-failures", "1"), 0),
        (("--fail-on", "4xx", "--max-failures", "10%"), 0),
    ],
)
def test_what_counts_decides_the_status(afetch: Afetch, site: Site, options: tuple[str, ...], status: int) -> None:
    """Of ten entries one is missing and one is malformed."""
    urls = [*(site.page() for _ in range(8)), site.url("/missing"), "no url"]

    done = afetch(*options, stdin=listed(*urls))

    assert (done.returncode, len(rows(done.stdout))) == (status, 10)


def test_fail_fast_stops_at_the_first_that_counts(afetch: Afetch, site: Site) -> None:
    """What was not begun has no record, and the summary says so; what does not count stops nothing."""
    urls = [site.page(), "no url", site.page(), site.url("/missing"), *(site.page() for _ in range(500))]

    done = afetch("--fail-fast", "--fail-on", "404", "-c", "1", "--json", stdin=listed(*urls))

    assert done.returncode == 1
    assert {404} == {record["status"] for record in done.records} - {200, None}
    assert {"no url"} == {record["url"] for record in done.records if record["status"] is None}
    assert len(done.records) < 10
    assert re.search(r"49\d|50\d", done.stderr), done.stderr


# --- Setup ---


def test_a_file_the_environment_and_the_command_line_in_this_order(afetch: Afetch, site: Site) -> None:
    """The more explicit word wins; what only one says holds; repeatable options take a value a line."""
    (afetch.folder / "afetch.toml").write_text(
        'user-agent = "file"\nformat = "json"\nlimit = 2\nheader = ["X-File: 1", "X-Both: 2"]\nno-follow = true\n'
    )
    url = site.page()

    done = afetch(
        "--config", "afetch.toml", "-A", "option", stdin=listed(url, url, url), env={"AFETCH_FORMAT": "jsonl"}
    )
    lines = afetch(url, env={"AFETCH_HEADER": "X-A: 1\nX-B: 2, 3", "AFETCH_USER_AGENT": "environment"})

    assert (done.returncode, len(done.records), lines.returncode) == (0, 2, 0)
    assert [site.log[0].header(name) for name in ("user-agent", "x-file", "x-both")] == ["option", "1", "2"]
    assert [site.log[-1].header(name) for name in ("user-agent", "x-a", "x-b")] == ["environment", "1", "2, 3"]


def test_a_host_has_a_table_of_its_own(afetch: Afetch, make_site: MakeSite) -> None:
    """Headers, timeout and retries of a table hold for its host, and for no other."""
    special, plain = make_site(host="127.0.0.2"), make_site()
    (afetch.folder / "afetch.toml").write_text(
        """
        retries = 0
        timeout = "800ms"
        header = ["X-Run: run", "X-Both: run"]
        [hosts."127.0.0.2"]
        retries = 1
        timeout = "100ms"
        headers = { X-Both = "host", Authorization = "Bearer x" }
        """
    )

    done = afetch("--config", "afetch.toml", "--json", stdin=listed(special.hang(), plain.hang()))

    of_special, of_plain = by_index(done)
    assert [record["error"]["kind"] for record in (of_special, of_plain)] == ["timeout", "timeout"]
    assert (of_special["attempts"], of_plain["attempts"]) == (2, 1)
    assert of_special["elapsed"] >= 0.09
    assert of_plain["elapsed"] >= 0.79
    assert of_special["error"]["message"] == "not done within 0.1 s in all (--timeout)"
    for site, both, authorization in ((special, "host", "Bearer x"), (plain, "run", None)):
        asked = site.log[0]
        assert [asked.header(name) for name in ("x-run", "x-both", "authorization")] == ["run", both, authorization]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--no-such-option",),
        ("--concurency", "5"),
        ("-c", "0"),
        ("-c", "many"),
        ("-t", "-1"),
        ("-t", "fast"),
        ("-f", "yaml"),
        ("--body", "hex"),
        ("-H", "no header"),
        ("-H", "A: b\nC: d"),
        ("-X", "GE T"),
        ("--max-failures", "x"),
        ("--fail-on", "sometimes"),
        ("--retry-on", "sometimes"),
        ("--param", "no-equals"),
        ("--rate", "0"),
        ("--per-host", "0"),
        ("--per-host-rate", "5/week"),
        ("--limit-rate", "fast"),
        ("--window", "0"),
        ("--min-speed", "1k"),
        ("--retry-wait", "2m"),
        ("--breaker", "-1"),
        ("--robots=no",),
        ("--base-url", "ftp://x/"),
        ("-q", "-v"),
        ("--no-follow", "--max-redirects", "3"),
        ("-d", "@missing.bin"),
        ("--config", "missing.toml"),
        ("--json", "-f", "text"),
        ("--limit", "-1"),
        ("-o", "out.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(afetch: Afetch, site: Site, arguments: tuple[str, ...]) -> None:
    """Nothing is sent, nothing is written, and there is no traceback."""
    done = afetch(site.page(), *arguments)

    assert (done.returncode, done.stdout, site.log) == (2, "", [])
    assert re.fullmatch(r"afetch: [^\n]+\n", done.stderr)


def test_version_help_and_completion_need_no_list(afetch: Afetch) -> None:
    """Each prints to standard output and is status 0."""
    version, help_ = afetch("--version"), afetch("--help")
    completion = afetch(env={"_AFETCH_COMPLETE": "bash_source"})

    assert (version.returncode, version.stdout) == (0, f"afetch {__version__}\n")
    assert (help_.returncode, help_.stderr) == (0, "")
    assert "--concurrency" in help_.stdout
    assert "complete" in completion.stdout


def test_plain_and_tls_taken_for_each_other_are_failures_like_others(
    afetch: Afetch, tls_site: Site, raw_server: MakeRawServer
) -> None:
    """Neither way round hangs or crashes; each has its record."""
    plain = tls_site.page().replace("https://", "http://")
    secret = raw_server(reply(b"This is plain HTTP.", 400), greet=True).url().replace("http://", "https://")

    done = afetch("-r", "0", "--json", stdin=listed(plain, secret))

    asked_in_plain, asked_in_tls = (record["error"]["kind"] for record in by_index(done))
    assert asked_in_plain in {"disconnected", "protocol"}
    assert asked_in_tls == "tls"
