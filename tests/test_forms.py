"""Forms of several parts: what goes onto the wire, from files of any size, more than once, and when it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fetcher.client import uploads
from fetcher.errors import SourceError, UsageError
from fetcher.model import File, Form
from fetcher.sources.payload import form_payload
from tests.conftest import Afetch, MakeNginx, MakeRawServer, missing
from tests.peaks import peak_of
from tests.servers import Hang, Httpbin, Site, Talk, reply

MIB = 1024 * 1024


def one(afetch: Afetch, url: str, *options: str | os.PathLike[str]) -> dict[str, Any]:
    """The record of a URL."""
    done = afetch("--json", *options, url)
    assert done.records, done.stderr
    return done.records[0]


def unbounded(request: bytes) -> bytes:
    """A request's head lines of the body and its body, with `BOUNDARY` in the place of the boundary."""
    [boundary] = re.findall(rb"boundary=(\S+)", request)
    head, _, body = request.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if line.lower().startswith((b"content-", b"post"))]
    return b"\n".join(sorted(kept)).replace(boundary, b"BOUNDARY") + b"\n\n" + body.replace(boundary, b"BOUNDARY")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with some files to send."""
    (tmp_path / "note.txt").write_bytes(b"a note\n")
    (tmp_path / "table.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "odd; name.bin").write_bytes(b"\x00\xff\r\n--")
    (tmp_path / "empty").write_bytes(b"")
    return tmp_path


def test_a_form_is_byte_for_byte_this(afetch: Afetch, raw_server: MakeRawServer, files: Path) -> None:
    """RFC 7578, with the file's name and the type that its suffix says."""
    server = raw_server(reply(b"thanks"))

    record = one(
        afetch, server.url("/in"), "--form", "name=J. Doe", "--form", f"file=@{files}/note.txt", "--form", "last=é"
    )

    assert record["ok"]
    [request] = server.requests
    length = len(request.partition(b"\r\n\r\n")[2])
    assert unbounded(request) == (
        b"Content-Length: %d\n"
        b"Content-Type: multipart/form-data; boundary=BOUNDARY\n"
        b"POST /in HTTP/1.1\n"
        b"\n"
        b"--BOUNDARY\r\n"
        b'Content-Disposition: form-data; name="name"\r\n'
        b"\r\n"
        b"J. Doe\r\n"
        b"--BOUNDARY\r\n"
        b'Content-Disposition: form-data; name="file"; filename="note.txt"\r\n'
        b"Content-Type: text/plain\r\n"
        b"\r\n"
        b"a note\n\r\n"
        b"--BOUNDARY\r\n"
        b'Content-Disposition: form-data; name="last"\r\n'
        b"\r\n"
        b"\xc3\xa9\r\n"
        b"--BOUNDARY--\r\n" % length
    )


@pytest.mark.parametrize(
    "fields",
    [
        ["a=b"],
        ["a=", "a=again"],
        ["f=@note.txt"],
        ["f=@empty"],
        ["f=@table.csv;type=text/x-odd;filename=other.dat"],
        ["f=@note.txt;filename=two words.txt"],
        ['f=@note.txt;filename="semi;colon \\"quoted\\".txt"'],
        ['f=@"odd; name.bin"'],
        ["t=text;type=text/html;charset=utf-8"],
        ['we"ird\r\n=x'],
        ["f=@note.txt", "g=@table.csv;type=text/csv", "h=plain"],
    ],
    ids=lambda fields: " ".join(fields),
)
def test_a_form_is_curls(afetch: Afetch, raw_server: MakeRawServer, files: Path, fields: list[str]) -> None:
    """What curl sends for the same words, boundary aside."""
    curl = shutil.which("curl")
    if curl is None:
        missing("curl")
    server = raw_server(reply())
    for file in files.iterdir():
        if file.is_file():
            shutil.copy(file, afetch.folder)
    command = [curl, "--disable", "-sS", server.url(), *(word for field in fields for word in ("-F", field))]

    subprocess.run(command, check=True, cwd=files)
    one(afetch, server.url(), *(word for field in fields for word in ("--form", field)))

    theirs, ours = (re.sub(rb"Content-Length: \d+", b"", unbounded(request)) for request in server.requests)
    assert ours == theirs


def test_httpbin_takes_a_form(afetch: Afetch, httpbin: Httpbin, files: Path) -> None:
    """What a real framework makes of it."""
    record = one(
        afetch,
        httpbin.url("/anything"),
        "-X",
        "PUT",
        "--form",
        "a=1",
        "--form",
        f"f=@{files}/table.csv",
        "--form",
        "a=2",
    )

    assert record["body"]["method"] == "PUT"
    assert record["body"]["form"] == {"a": ["1", "2"]}
    assert record["body"]["files"] == {"f": "a,b\n1,2\n"}


@dataclass(frozen=True)
class Head:
    """Wait for a request's head, and leave the body where it is."""

    async def perform(self, talk: Talk) -> bool:
        await talk.wire.reader.readuntil(b"\r\n\r\n")
        return True


class Sink:
    """A server that reads requests without keeping them, and says how many bytes they had and what they hash to."""

    def __init__(self) -> None:
        self.bodies: list[tuple[int, str]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += stream.readline()
                [length] = re.findall(rb"Content-Length: (\d+)", head)
                left, digest = int(length), hashlib.sha256()
                while left:
                    data = stream.read(min(left, MIB))
                    digest.update(data)
                    left -= len(data)
                self.bodies.append((int(length), digest.hexdigest()))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server for large uploads."""
    made = Sink()
    yield made
    made.close()


def test_a_large_file_is_never_whole_in_memory(afetch: Afetch, sink: Sink, tmp_path: Path) -> None:
    """A file of 400 MB is sent whole, and costs less than a quarter of that."""
    large = tmp_path / "large.bin"
    with large.open("wb") as stream:
        stream.truncate(400 * MIB)

    record, peak = peak_of(afetch, "-t", "0", "--form", f"f=@{large}", sink.url)

    assert record["ok"]
    [(size, digest)] = sink.bodies
    assert size > 400 * MIB
    assert len(digest) == 64
    assert peak < 150 * MIB


def test_a_server_that_takes_nothing_is_sent_no_more(afetch: Afetch, tmp_path: Path) -> None:
    """Nothing piles up for it, and its silence ends the request as any other."""
    large = tmp_path / "large.bin"
    with large.open("wb") as stream:
        stream.truncate(400 * MIB)

    with socket.create_server(("127.0.0.1", 0)) as unheard:
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        record, peak = peak_of(afetch, "--read-timeout", "2", "-r", "0", "--form", f"f=@{large}", url)

    assert record["error"]["kind"] == "read-timeout"
    assert peak < 150 * MIB


def test_a_form_is_sent_again(afetch: Afetch, site: Site, files: Path) -> None:
    """A 307 and a retry get the same bytes anew; a 303 becomes a GET without them."""
    large = files / "large.bin"
    large.write_bytes(os.urandom(MIB))
    site.echo(path="/end")
    site.redirect("/end", 307, path="/again")
    site.redirect("/end", 303, path="/over")
    site.sequence(503, 200, path="/flaky")
    form = ("--form", f"f=@{large}", "-X", "PUT", "--retry-wait", "0")

    for path in ("/again", "/flaky", "/over"):
        assert one(afetch, site.url(path), *form)["ok"]

    sent = [(seen.method, seen.target, len(seen.body) > MIB, large.read_bytes() in seen.body) for seen in site.log]
    assert sent == [
        ("PUT", "/again", True, True),
        ("PUT", "/end", True, True),
        ("PUT", "/flaky", True, True),
        ("PUT", "/flaky", True, True),
        ("PUT", "/over", True, True),
        ("GET", "/end", False, False),
    ]
    assert "Content-Type" not in dict(site.log[-1].headers)


def test_a_form_goes_over_tls_and_kept_connections(afetch: Afetch, tls_site: Site, ca_file: Path, files: Path) -> None:
    """Many uploads at once, one connection after the other kept: every body is whole."""
    content = os.urandom(700_000)
    (files / "blob.bin").write_bytes(content)
    url = tls_site.echo(path="/in")

    done = afetch(
        "--json", "--body", "none", "--cacert", ca_file, "-c", "3", "--form", f"f=@{files}/blob.bin", *[url] * 12
    )

    assert done.returncode == 0
    assert [content in seen.body for seen in tls_site.log] == [True] * 12
    assert len({seen.connection for seen in tls_site.log}) <= 3


def test_nginx_refuses_what_is_too_large(afetch: Afetch, nginx: MakeNginx, files: Path) -> None:
    """A 413 that comes before the upload is over is the reply, and the next request has a connection of its own."""
    server = nginx("client_max_body_size 10k; location /in { return 200 thanks; }")
    large = files / "large.bin"
    large.write_bytes(bytes(20 * MIB))

    done = afetch("--json", "-c", "1", "--form", f"f=@{large}", server.url("/in"), server.url("/in"))

    assert [(record["status"], record["error"]) for record in done.records] == [(413, None)] * 2


def test_a_refusal_ends_the_upload(afetch: Afetch, raw_server: MakeRawServer, files: Path) -> None:
    """A server that answers after the head and hangs up has answered, whatever it left unread."""
    large = files / "large.bin"
    large.write_bytes(bytes(20 * MIB))

    # With a step of its own before it the script begins with the connection.
    server = raw_server([Head(), reply(b"no", 413)], greet=True)

    done = afetch("--json", "-r", "0", "--form", f"f=@{large}", server.url())

    assert [(record["status"], record["error"], record["body"]) for record in done.records] == [(413, None, "no")]


def test_what_was_left_of_a_body_is_no_request(afetch: Afetch, raw_server: MakeRawServer, files: Path) -> None:
    """A connection whose server answered early is not used again, though the server would keep it."""
    large = files / "large.bin"
    large.write_bytes(bytes(20 * MIB))
    server = raw_server([Head(), reply(b"no", 413), Hang()], greet=True)

    done = afetch("--json", "-c", "1", "-t", "5", "--form", f"f=@{large}", server.url(), server.url())

    assert [record["status"] for record in done.records] == [413, 413]
    assert server.connections == 2


def test_a_file_that_changed_is_not_sent(afetch: Afetch, site: Site, files: Path) -> None:
    """It is read when its turn comes; one that is another by then fails the URL alone, and nobody is asked."""
    url = site.echo()
    gate = site.gate()
    note = files / "note.txt"

    process = afetch.start("--json", "-c", "1", "--form", f"f=@{note}", gate.url, url)
    site.wait(1)
    note.write_bytes(b"longer than it was\n")
    gate.open()
    out, _ = process.communicate()
    first, second = [json.loads(line) for line in out.splitlines()]

    assert first["ok"]
    assert second["error"]["kind"] == "local"
    assert "has 19 bytes now, and had 7" in second["error"]["message"]
    assert len(site.log) == 1


def test_a_file_that_changes_meanwhile_ends_the_request(tmp_path: Path) -> None:
    """What was begun with one file is not ended with another: neither a shorter one nor one of the same size."""
    path = tmp_path / "large"
    content = os.urandom(uploads.PIECE + 10)
    path.write_bytes(content)
    whole, shrunk, replaced = (uploads._Source(File(str(path), len(content))) for _ in range(3))

    assert whole.read() + whole.read() == content
    assert whole.read() == b""
    assert replaced.read() == content[: uploads.PIECE]
    other = tmp_path / "other"
    other.write_bytes(content)
    other.replace(path)
    with pytest.raises(uploads.UploadError, match="changed while it was sent"):
        replaced.read()
    os.truncate(path, 4)
    with pytest.raises(uploads.UploadError, match="has 4 bytes now"):
        shrunk.read()


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("f=@missing.txt", "--form f=@missing.txt: No such file or directory; name a file that can be read"),
        ("f=@.", "--form f=@.: Is a directory"),
        ("no value", "write KEY=VALUE or KEY=@FILE"),
        ("=x", "write KEY=VALUE or KEY=@FILE"),
    ],
)
def test_a_form_that_cannot_be_is_refused(afetch: Afetch, site: Site, field: str, words: str) -> None:
    """One line, status 2, before any request."""
    done = afetch("--form", field, site.echo())

    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not site.log


def test_a_type_without_its_boundary_is_completed() -> None:
    """Copied commands say -H 'Content-Type: multipart/form-data'; any other type is no form's."""
    mixed = form_payload([("a", "b")], [("content-type", "multipart/mixed")])

    assert dict(mixed.headers)["Content-Type"].startswith("multipart/mixed; boundary=")
    for other in ("application/json", "multipart/form-data; boundary=x"):
        with pytest.raises(UsageError, match="contradict"):
            form_payload([("a", "b")], [("Content-Type", other)])


def test_the_type_of_the_run_is_not_sent_twice(afetch: Afetch, site: Site) -> None:
    """The header with the boundary stands in its place."""
    one(afetch, site.echo(), "--form", "a=b", "-H", "Content-Type: multipart/form-data")

    [seen] = site.log
    types = [value for name, value in seen.headers if name == "Content-Type"]
    assert len(types) == 1
    assert "boundary=" in types[0]


def test_a_form_is_plain_data(files: Path) -> None:
    """It travels between processes, and its files stay files."""
    payload = form_payload([("a", "b"), ("f", f"@{files}/note.txt")])

    assert isinstance(payload.body, Form)
    assert pickle.loads(pickle.dumps(payload)) == payload
    assert File(f"{files}/note.txt", 7) in payload.body.pieces
    assert len(payload.body) == sum(p.size if isinstance(p, File) else len(p) for p in payload.body.pieces)


def test_a_pipe_is_read_once(afetch: Afetch, site: Site) -> None:
    """Standard input as a file: its bytes go to every URL."""
    url = site.echo()

    done = afetch("--json", "--form", "f=@-;filename=piped.txt", url, url, stdin="from a pipe")
    twice = afetch("--form", "f=@-", "-", stdin=url)

    assert done.returncode == 0
    assert [b'filename="piped.txt"' in seen.body and b"from a pipe" in seen.body for seen in site.log] == [True, True]
    assert twice.returncode == 2
    assert "standard input is the list already" in twice.stderr


def test_a_missing_file_is_an_input_that_cannot_be_read() -> None:
    """For programs: the same exception as for a missing list."""
    with pytest.raises(SourceError, match="missing"):
        form_payload([("f", "@missing")])
