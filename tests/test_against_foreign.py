"""
Servers that nobody here wrote, fetched with the real command: nginx and httpbin, and curl as the judge.

Our own site sends what we think of. These send what the world does.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Afetch, MakeNginx, clean_environment, missing
from tests.servers import Authority, Httpbin, Nginx

LARGE = 32 * 1024 * 1024
"""Bytes of a large file: more than any buffer on the way."""

ZONE = "limit_conn_zone $binary_remote_addr zone=addr:1m;"
"""Where nginx counts the connections of a client."""


def one(afetch: Afetch, url: str, *options: str | os.PathLike[str]) -> dict[str, Any]:
    """The record of a URL."""
    [record] = afetch("--json", *options, url).records
    return record


def body(record: dict[str, Any]) -> bytes:
    """The bytes of a record's body, fetched with `--body base64`."""
    return base64.b64decode(record["body"] or "")


class Curl:
    """Fetches with curl."""

    def __init__(self, program: str, out: Path) -> None:
        self._program = program
        self._out = out

    def __call__(self, url: str, *options: str | os.PathLike[str]) -> tuple[int, str, bytes]:
        """Status, last URL and body."""
        self._out.write_bytes(b"")
        command = [self._program, "--disable", "-sS", "-L", "--compressed", "--max-time", "20"]
        done = subprocess.run(
            [*command, "-o", self._out, "-w", "%{http_code} %{url_effective}", *options, url],
            stdout=subprocess.PIPE,
            env=clean_environment(),
            check=False,
        )
        status, _, last = done.stdout.decode().partition(" ")
        return int(status), last, self._out.read_bytes()


@pytest.fixture
def curl(tmp_path: Path) -> Curl:
    """The real curl."""
    program = shutil.which("curl")
    if program is None:
        missing("curl")
    return Curl(program, tmp_path / "curl.out")


# --- nginx ---


def test_nginx_static_files_are_curls(afetch: Afetch, nginx: MakeNginx, curl: Curl) -> None:
    """An empty file, names with blanks and letters of elsewhere, an index, a folder, a file that is not there."""
    server = nginx("index index.html;")
    files = {
        "index.html": b"<p>home",
        "a.json": b'{"a": 1}',
        "b.bin": bytes(range(256)),
        "empty.txt": b"",
        "c d.txt": b"blank",
        "straße.txt": "ü".encode(),
        "100%.txt": b"percent",
    }
    for name, content in files.items():
        (server.root / name).write_bytes(content)
    (server.root / "sub").mkdir()
    paths = ["/", "/a.json", "/b.bin", "/empty.txt", "/c d.txt", "/c%20d.txt", "/straße.txt", "/100%25.txt"]
    paths += ["/sub", "/sub/", "/missing", "/%2e%2e/etc/passwd", "/%", "//", "/./a.json", "/x/../a.json"]

    done = afetch("--json", "--body", "base64", stdin="".join(f"{server.url(path)}\n" for path in paths))

    ours = {record["url"]: (record["status"], body(record)) for record in done.records}
    for path in paths:
        # curl refuses to send a blank, and sends other letters as they are.
        status, _, content = curl(server.url(path.replace(" ", "%20")))
        assert ours[server.url(path)] == (status, content), path
    assert ours[server.url("/b.bin")] == (200, files["b.bin"])
    assert ours[server.url("/sub/")][0] == 403


@pytest.mark.parametrize("chunked", [False, True])
def test_nginx_gzip_is_undone(afetch: Afetch, nginx: MakeNginx, chunked: bool) -> None:
    """On the fly in chunks, or from a file made beforehand; the hash is of what was packed, the wire is smaller."""
    page = b"<p>" + b"all work and no play " * 5000
    server = nginx("gzip on; gzip_types *; gzip_proxied any;" if chunked else "gzip_static always;")
    (server.root / "page.html").write_bytes(page)
    (server.root / "page.html.gz").write_bytes(gzip.compress(page))

    record = one(afetch, server.url("/page.html"))

    assert (record["ok"], record["bytes"], record["sha256"]) == (True, len(page), hashlib.sha256(page).hexdigest())
    assert record["wire_bytes"] < len(page) / 10
    assert record["headers"].get("transfer-encoding") == (["chunked"] if chunked else None)


def test_nginx_knows_what_is_asked_for(afetch: Afetch, nginx: MakeNginx) -> None:
    """A range, a condition and a HEAD get 206, 304 and no body; a range that cannot be is 416; an ignored one 200."""
    server = nginx("location /whole/ { max_ranges 0; }")
    (server.root / "whole").mkdir()
    for name in ("file.txt", "whole/file.txt"):
        (server.root / name).write_bytes(b"0123456789")
    url = server.url("/file.txt")
    first = one(afetch, url)

    part = one(afetch, url, "-H", "Range: bytes=2-4")
    none = one(afetch, url, "-H", f"If-None-Match: {first['headers']['etag'][0]}")
    head = one(afetch, url, "-X", "HEAD")
    beyond = one(afetch, url, "-H", "Range: bytes=20-")
    ignored = one(afetch, server.url("/whole/file.txt"), "-H", "Range: bytes=2-4")

    assert (part["status"], part["ok"], part["body"]) == (206, True, "234")
    assert (none["status"], none["ok"], none["bytes"], none["sha256"]) == (304, True, 0, None)
    assert (head["status"], head["bytes"], head["headers"]["content-length"]) == (200, 0, ["10"])
    assert (beyond["status"], beyond["ok"]) == (416, False)
    assert (ignored["status"], ignored["body"]) == (200, "0123456789")


def test_nginx_redirects_lead_where_curl_goes(afetch: Afetch, nginx: MakeNginx, curl: Curl) -> None:
    """Absolute, relative, with a query, to a folder's slash; a loop is no record of success."""
    server = nginx(
        """
        location = /absolute { return 301 $scheme://$http_host/end?x=1#part; }
        location = /relative { absolute_redirect off; return 302 /end; }
        location = /see { return 303 /end; }
        location = /temporary { return 307 /end; }
        location = /permanent { return 308 /end; }
        location = /chain { return 302 /relative; }
        location = /loop { return 302 /loop; }
        absolute_redirect off;
        """
    )
    (server.root / "end").write_bytes(b"the end")
    (server.root / "folder").mkdir()
    (server.root / "folder" / "index.html").write_bytes(b"inside")
    paths = ["/absolute", "/relative", "/see", "/temporary", "/permanent", "/chain", "/folder"]

    for path in paths:
        record = one(afetch, server.url(path), "--body", "base64")
        status, last, content = curl(server.url(path))
        assert (record["status"], record["final_url"], body(record)) == (status, last.partition("#")[0], content)
        assert len(record["redirects"]) == (2 if path == "/chain" else 1)
    loop = one(afetch, server.url("/loop"))
    assert (loop["status"], loop["error"]["kind"]) == (302, "redirects")


def test_nginx_failures_are_statuses(afetch: Afetch, nginx: MakeNginx) -> None:
    """None of them is an error; what may pass is tried again, and Retry-After is waited for; 444 is no reply at all."""
    codes = (400, 401, 403, 404, 405, 410, 418, 429, 500, 501, 502, 503, 504)
    locations = [f"location = /{code} {{ return {code}; }}" for code in codes]
    server = nginx(
        "\n".join(locations)
        + """
        location = /busy { add_header Retry-After 1 always; return 503; }
        location = /gone { return 444; }
        location = /upstream { proxy_pass http://127.0.0.1:1; }
        """
    )
    entries = [*(server.url(f"/{code}") for code in codes), server.url("/gone"), server.url("/upstream")]

    done = afetch("--json", "-r", "0", stdin="".join(f"{url}\n" for url in entries))
    busy = one(afetch, server.url("/busy"), "--retry-max-time", "2s")

    records = sorted(done.records, key=lambda record: int(record["index"]))
    assert [record["status"] for record in records] == [*codes, None, 502]
    assert [(record["error"] or {}).get("kind") for record in records] == [None] * len(codes) + ["disconnected", None]
    assert not any(record["ok"] for record in records)
    assert (busy["status"], busy["attempts"], busy["history"][1]["waited_for"]) == (503, 2, "retry-after")
    assert busy["history"][1]["waited"] >= 1.0


def test_nginx_sends_a_large_file(afetch: Afetch, nginx: MakeNginx) -> None:
    """Every byte of it, hashed; beyond --max-size it is `too-large` and the rest is not waited for."""
    server = nginx()
    content = os.urandom(1024 * 1024) * (LARGE // (1024 * 1024))
    (server.root / "large.bin").write_bytes(content)

    whole = one(afetch, server.url("/large.bin"), "--body", "none")
    capped = one(afetch, server.url("/large.bin"), "--max-size", "1M")

    assert (whole["bytes"], whole["sha256"]) == (LARGE, hashlib.sha256(content).hexdigest())
    assert (capped["error"]["kind"], capped["truncated"]) == ("too-large", True)
    assert capped["bytes"] < LARGE / 2


@pytest.mark.parametrize(
    "setting",
    ["keepalive_requests 1;", "keepalive_requests 3;", "keepalive_timeout 0;", "chunked_transfer_encoding off;"],
)
def test_nginx_may_close_when_it_likes(afetch: Afetch, nginx: MakeNginx, setting: str) -> None:
    """After each reply or after some: no request is lost, none is counted twice."""
    server = nginx(f"{setting} gzip on; gzip_types *; gzip_min_length 1;")
    for number in range(200):
        (server.root / f"{number}.txt").write_text(f"page {number}" * 100)

    done = afetch(
        "--json", "-c", "8", "-r", "0", stdin="".join(f"{server.url(f'/{number}.txt')}\n" for number in range(200))
    )

    assert done.returncode == 0
    assert sorted(record["body"] for record in done.records) == sorted(f"page {n}" * 100 for n in range(200))
    assert {record["attempts"] for record in done.records} == {1}


def test_nginx_limits_are_outlasted(afetch: Afetch, nginx: MakeNginx) -> None:
    """A server that takes one connection at a time and answers 503 to the others gives all pages in the end."""
    server = nginx("limit_rate 20k; location / { limit_conn addr 2; limit_conn_status 429; }", http=ZONE)
    for number in range(12):
        (server.root / f"{number}.txt").write_bytes(b"x" * 4000)

    done = afetch(
        "--json", "-c", "6", "-r", "10", stdin="".join(f"{server.url(f'/{number}.txt')}\n" for number in range(12))
    )

    assert done.returncode == 0
    assert {record["bytes"] for record in done.records} == {4000}


def test_nginx_over_tls(afetch: Afetch, nginx: MakeNginx, authority: Authority, curl: Curl) -> None:
    """With the right authority the page is curl's, without it is `tls`; plain HTTP to the port is nginx's own 400."""
    server = secure(nginx, authority)
    (server.root / "page.txt").write_bytes(b"secret")

    known = one(afetch, server.url("/page.txt"), "--cacert", authority.ca_file)
    unknown = one(afetch, server.url("/page.txt"), "-r", "0")
    careless = one(afetch, server.url("/page.txt"), "-k")
    plain = one(afetch, server.url("/page.txt").replace("https://", "http://"), "-r", "0")

    assert curl(server.url("/page.txt"), "--cacert", authority.ca_file)[::2] == (200, b"secret")
    assert (known["status"], known["body"], careless["body"]) == (200, "secret", "secret")
    assert known["timings"]["tls"] > 0
    assert unknown["error"]["kind"] == "tls"
    assert plain["status"] == 400


@pytest.mark.parametrize("versions", ["TLSv1.2", "TLSv1.3"])
def test_nginx_tls_versions(afetch: Afetch, nginx: MakeNginx, authority: Authority, versions: str) -> None:
    """Both that are in use; connections are kept over each."""
    server = secure(nginx, authority, f"ssl_protocols {versions};")
    for number in range(50):
        (server.root / f"{number}.txt").write_text(str(number))

    done = afetch(
        "--cacert", authority.ca_file, "--json", "-c", "4",
        stdin="".join(f"{server.url(f'/{number}.txt')}\n" for number in range(50)),
    )  # fmt: skip

    assert done.returncode == 0
    assert sum(record["timings"]["tls"] is not None for record in done.records) <= 4


def secure(nginx: MakeNginx, authority: Authority, more: str = "") -> Nginx:
    """nginx over TLS with a right certificate."""
    return nginx(f"ssl_certificate {authority.cert_file}; ssl_certificate_key {authority.key_file}; {more}", tls=True)


# --- httpbin ---


@pytest.mark.parametrize(
    "path",
    [
        "/get?a=1&b=%20c",
        "/html",
        "/xml",
        "/json",
        "/robots.txt",
        "/deny",
        "/encoding/utf8",
        "/image/png",
        "/image/jpeg",
        "/image/webp",
        "/image/svg",
        "/base64/SFRUUEJJTiBpcyBhd2Vzb21l",
        "/bytes/5000?seed=1",
        "/stream-bytes/5000?seed=1&chunk_size=100",
        "/range/2000?chunk_size=100",
        "/links/3/1",
        "/redirect/4",
        "/relative-redirect/3",
        "/absolute-redirect/3",
        "/redirect-to?url=%2Fget&status_code=307",
        "/status/200",
        "/status/204",
        "/status/404",
        "/status/418",
        "/status/500",
        "/cache",
        "/response-headers?X-Test=a&X-Test=b",
        "/drip?duration=0.2&numbytes=5&delay=0",
    ],
)
def test_httpbin_pages_are_curls(afetch: Afetch, httpbin: Httpbin, curl: Curl, path: str) -> None:
    """Status, last URL and body, byte for byte."""
    headers = ("-H", "Accept: */*", "-H", "User-Agent: tester", "-H", "Accept-Encoding:")

    record = one(afetch, httpbin.url(path), *headers, "--body", "base64", "-r", "0")

    status, last, content = curl(httpbin.url(path), *headers)
    assert (record["status"], record["final_url"], body(record)) == (status, last, content)
    assert record["error"] is None


@pytest.mark.parametrize(("path", "coding"), [("/gzip", "gzip"), ("/deflate", "deflate"), ("/brotli", "br")])
def test_httpbin_codings_are_undone(afetch: Afetch, httpbin: Httpbin, path: str, coding: str) -> None:
    """Somebody else's gzip, deflate and Brotli; what comes out is JSON."""
    record = one(afetch, httpbin.url(path))

    assert record["headers"]["content-encoding"] == [coding]
    assert record["body_encoding"] == "json"
    assert record["body"]["method"] == "GET"
    assert record["bytes"] > record["wire_bytes"] > 0


def test_httpbin_hears_what_was_asked_for(afetch: Afetch, httpbin: Httpbin) -> None:
    """Method, query, headers and a form arrive as they were meant."""
    form = one(
        afetch, httpbin.url("/post?q=1"), "-d", "a=1&b=ü", "-H", "X-Test: yes", "-A", "tester/1", "--param", "p=ä ö"
    )["body"]
    put = one(afetch, httpbin.url("/put"), "-X", "PUT", "-d", '{"a": [1]}', "-H", "Content-Type: application/json")

    assert form["form"] == {"a": "1", "b": "ü"}
    assert form["args"] == {"q": "1", "p": "ä ö"}
    assert (form["headers"]["X-Test"], form["headers"]["User-Agent"]) == ("yes", "tester/1")
    assert put["body"]["json"] == {"a": [1]}


def test_httpbin_streams_lines_of_json(afetch: Afetch, httpbin: Httpbin) -> None:
    """Several documents are no document: labelled JSON, kept as text, all of it."""
    record = one(afetch, httpbin.url("/stream/5"))

    assert (record["content_type"], record["body_encoding"]) == ("application/json", "text")
    assert record["body"].count("\n") == 5


def test_httpbin_checks_user_info(afetch: Afetch, httpbin: Httpbin) -> None:
    """The right one is let in, a wrong one is a 401, and neither is tried twice."""
    right = one(afetch, httpbin.url("/basic-auth/me/p%40ss").replace("http://", "http://me:p%40ss@"))
    wrong = one(afetch, httpbin.url("/basic-auth/me/p%40ss").replace("http://", "http://me:nope@"))

    assert (right["status"], right["body"]) == (200, {"authenticated": True, "user": "me"})
    assert (wrong["status"], wrong["ok"], wrong["attempts"]) == (401, False, 1)
    assert "p%40ss@" not in right["url"]


def test_httpbin_sets_cookies_that_last_for_one_url(afetch: Afetch, httpbin: Httpbin) -> None:
    """A redirect's cookie goes with that URL to its end and with no other; the record shows that it was set."""
    done = afetch("--json", "-c", "1", httpbin.url("/cookies/set/name/value"), httpbin.url("/cookies"))
    first = one(afetch, httpbin.url("/cookies/set/name/value"), "--no-follow")

    assert [record["body"] for record in done.records] == [{"cookies": {"name": "value"}}, {"cookies": {}}]
    assert first["headers"]["set-cookie"][0].startswith("name=value")


def test_httpbin_is_slow(afetch: Afetch, httpbin: Httpbin) -> None:
    """A page that takes longer than the patience is a timeout; one within it is not; a drip is no silence."""
    late = one(afetch, httpbin.url("/delay/3"), "-t", "0.5", "-r", "0")
    near = one(afetch, httpbin.url("/delay/1"), "-t", "5", "-r", "0")
    drip = one(afetch, httpbin.url("/drip?duration=1&numbytes=5&delay=0"), "--read-timeout", "0.8", "-r", "0")

    assert (late["error"]["kind"], late["status"]) == ("timeout", None)
    assert 0.49 <= late["elapsed"] < 3.0
    assert near["ok"]
    assert near["elapsed"] >= 1
    assert (drip["ok"], drip["bytes"]) == (True, 5)


def test_httpbin_has_more_redirects_than_we_follow(afetch: Afetch, httpbin: Httpbin) -> None:
    """Ten are followed, the eleventh is one too many."""
    enough = one(afetch, httpbin.url("/redirect/10"))
    many = one(afetch, httpbin.url("/redirect/11"))

    assert (enough["status"], len(enough["redirects"])) == (200, 10)
    assert (many["status"], many["error"]["kind"], len(many["redirects"])) == (302, "redirects", 10)


def test_httpbin_all_at_once(afetch: Afetch, httpbin: Httpbin) -> None:
    """A mixed list over one run: a record for each, with its own status."""
    codes = [200, 201, 301, 304, 400, 404, 410, 500, 503] * 10
    urls = [httpbin.url(f"/status/{code}?n={number}") for number, code in enumerate(codes)]

    done = afetch("--json", "-c", "20", "-r", "0", "--no-follow", stdin="".join(f"{url}\n" for url in urls))

    records = sorted(done.records, key=lambda record: int(record["index"]))
    assert [record["status"] for record in records] == codes
    assert [record["ok"] for record in records] == [code < 400 for code in codes]
