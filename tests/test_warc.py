"""WARC files, read with warcio and fastwarc: what went over the wire, of real runs and of invented ones."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import random
import re
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.client.capture import Tape
from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.client.keeping import SMALL
from fetcher.errors import ErrorKind, SinkError, UsageError
from fetcher.model import FOLLOWED, Capture, Error, File, Form, Hop, Part, Request, Result
from fetcher.policy import first_job
from fetcher.record import LARGE, Record, RecordConfig, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.files import Descriptor
from fetcher.sinks.outputs import ByteOutput
from fetcher.sinks.past import Entry
from fetcher.sinks.warc import About, Warc
from fetcher.sinks.warc_past import WarcPast
from fetcher.urls import parse_url
from tests.archives import Archived, assert_sound, fastwarc, payloads, read_archive
from tests.conftest import Afetch, MakeRawServer, MakeSite
from tests.disks import full_disk
from tests.exchanges import exchange
from tests.opening import open_output
from tests.samples import failed_result, reply, unsent_result
from tests.servers import Hang, Site
from tests.servers import reply as whole_reply

NEVER = threading.Event()
PATIENCE = 20.0
HEAD = b"HTTP/1.1 200 OK\r\nX-Place: caf\xe9\r\nset-COOKIE:  a=1 \r\n"
SENT = b"GET /x HTTP/1.1\r\nHost: example.com\r\n\r\n"

both = pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])


def of(records: list[Archived], url: str, kind: str = "response") -> Archived:
    """The one record of that kind of a URL."""
    [found] = [record for record in records if record.kind == kind and record.all("WARC-Target-URI") == [url]]
    return found


def captured(
    result: Result,
    *,
    request: bytes = SENT,
    sent: bytes = b"",
    form: bool = False,
    head: bytes = b"HTTP/1.1 200 OK\r\n\r\n",
    payload: bytes | None = None,
    chunked: bool = False,
    truncated: str = "",
) -> Result:
    """The result, of whose last hop this went over the wire."""
    assert result.hop is not None
    capture = Capture(request, form, head, payload, chunked, truncated, sent=sent)
    return replace(result, hop=replace(result.hop, capture=capture, remote="[fe80::1%eth0]:443"))


def record_of(result: Result, index: int = 0) -> Record:
    """Its record, as the writer makes it."""
    return make_record(replace(result, request=replace(result.request, index=index)), RecordConfig(), whole=False)


def written(*records: Record, packed: bool = False, about: About | None = None) -> bytes:
    """A whole file."""
    sink = Warc(about or About(), packed=packed)
    return b"".join([sink.begin(), *(bytes(sink.one(record)) for record in records), sink.end()])


def read_bytes(path: Path, data: bytes) -> list[Archived]:
    path.write_bytes(data)
    return read_archive(path)


def members(data: bytes) -> list[bytes]:
    """What is in each gzip member."""
    found = []
    while data:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        found.append(member.decompress(data))
        assert member.eof
        data = member.unused_data
    return found


def indexes(path: Path) -> list[int]:
    """Of the entries that are whole in a file, in its order."""
    return [entry.index for entry in WarcPast(str(path), packed=path.suffix == ".gz").entries()]


def until(what: Callable[[], bool]) -> None:
    """Wait for something that happens in another process."""
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


# --- Of real runs ---


def test_files_have_what_went_over_the_wire(afetch: Afetch, site: Site, make_site: MakeSite) -> None:
    """Requests and replies of a run are byte for byte in both files, but for chunks, and for what is secret."""
    coded = gzip.compress(b"coded " * 100, mtime=0)
    large = bytes(range(256)) * (LARGE // 128)
    other = make_site(host="::1")
    chunks = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\nVia: x\r\n\r\n"
    replies = {
        "plain": (HEAD + b"Content-Length: 5\r\n\r\n", b"plain"),
        "coded": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded), coded),
        "close": (b"HTTP/1.0 200 OK\nX: bare\n\n", b"until closed"),
        "none": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        "large": (HEAD + b"Content-Length: %d\r\n\r\n" % len(large), large),
        "cut": (HEAD + b"Content-Length: 500\r\n\r\n", b"not all"),
    }
    urls = {name: site.raw(head + payload) for name, (head, payload) in replies.items()}
    there = other.page("over IPv6", path="/there")
    urls |= {
        "chunked": site.raw(chunked + chunks),
        "moved": site.redirect(there, path="/moved"),
        "head": site.page("unseen", path="/head"),
        "post": site.page("taken", path="/post"),
        "refused": "http://127.0.0.1:1/refused",
        "stray": "ftp://x/\\y",
    }
    rows = [{"url": url, "id": name} for name, url in urls.items()]
    methods = {"head": {"method": "HEAD"}, "post": {"data": "b\u00f6dy=s"}}
    lines = [json.dumps(row | methods.get(row["id"], {})) + "\n" for row in rows]
    (afetch.folder / "list.jsonl").write_text("".join(lines))
    secrets = ("-u", "user:s3cret", "-b", "sid=s3cret", "-H", "X-Api-Key: s3cret")

    done = afetch("list.jsonl", "-o", "a.warc", "-o", "b.warc.gz", "-o", "c.jsonl", "-r", "0", *secrets)

    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    records = read_archive(afetch.folder / "a.warc")
    packed = read_archive(afetch.folder / "b.warc.gz")
    assert [(one.kind, one.block) for one in packed] == [(one.kind, one.block) for one in records]
    assert len(members((afetch.folder / "b.warc.gz").read_bytes())) == len(records)
    for name, (head, payload) in replies.items():
        assert of(records, urls[name]).block == head + payload
    undone = chunked.replace(b"Transfer-Encoding: chunked", b"Content-Length: 7")
    assert of(records, urls["chunked"]).block == undone + b"abcdefg"
    assert of(records, urls["moved"]).block.startswith(b"HTTP/1.1 302 ")
    assert of(records, there)["WARC-IP-Address"] == "::1"
    assert of(records, urls["head"]).block.endswith(b"\r\n\r\n")
    assert of(records, urls["post"], "request").block.endswith(b"\r\n\r\nb\xc3\xb6dy=s")
    cut = [one for one in records if one.all("WARC-Truncated")]
    assert [(one["WARC-Target-URI"], one["WARC-Truncated"]) for one in cut] == [(urls["cut"], "disconnect")]

    # What warcio takes for payloads, and of which of them there are digests.
    read = {(kind, url): payload for kind, url, payload in payloads(afetch.folder / "b.warc.gz")}
    assert read["response", urls["chunked"]] == b"abcdefg"
    assert all(read["response", urls[name]] == payload for name, (_, payload) in replies.items())
    digested = {(one.kind, one["WARC-Target-URI"]) for one in records if one.all("WARC-Payload-Digest")}
    bodiless = {urls["none"], urls["head"]}
    responses = {("response", one["WARC-Target-URI"]) for one in records if one.kind == "response"}
    assert digested == {("request", urls["post"]), *(key for key in responses if key[1] not in bodiless)}

    # Secrets were sent, and are nowhere; what is no secret is as it was sent.
    basic = b64encode(b"user:s3cret").decode()
    sent = [name for name, value in site.log[0].headers if "s3cret" in value or basic in value]
    assert sorted(sent) == ["Authorization", "Cookie", "X-Api-Key"]
    blocks = b"".join(one.block for one in records)
    assert b"s3cret" not in blocks
    assert basic.encode() not in blocks
    shown = dict(site.log[0].headers) | dict.fromkeys(sent, "***")
    fields = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
    target = site.log[0].target
    assert of(records, site.url(target), "request").block.decode() == f"GET {target} HTTP/1.1\r\n{fields}\r\n"

    # What came of each entry closes it.
    closing = {int(one.values["index"]): one for one in records if one.kind == "metadata"}
    table = {row["index"]: row for row in map(json.loads, (afetch.folder / "c.jsonl").read_text().splitlines())}
    assert closing.keys() == table.keys() == set(range(len(rows)))
    for index, row in table.items():
        values = closing[index].values
        assert values["url"].replace("\\\\", "\\") == row["url"]
        assert values["ok"] == json.dumps(row["ok"])
        assert values.get("status") == (None if row["status"] is None else str(row["status"]))
        failure = row["error"] or {"kind": None, "message": None}
        assert (values.get("error"), values.get("message")) == (failure["kind"], failure["message"])
        assert json.loads(values["extra"]) == row["extra"]
    refused, stray = (closing[list(urls).index(name)] for name in ("refused", "stray"))
    assert (refused["WARC-Target-URI"], stray.all("WARC-Target-URI")) == (urls["refused"], [])


def test_records_of_a_hop_name_each_other(tmp_path: Path) -> None:
    """Request, reply and outcome are one capture: of one time, with each other's names."""
    result = captured(reply(b"body"))
    assert result.hop is not None
    moved = replace(result.hop, url=replace(result.hop.url, target="/moved"), body=None, started=1767225500.0)

    records = read_bytes(tmp_path / "a.warc", written(record_of(replace(result, redirects=(moved,)))))

    assert [record.kind for record in records] == ["warcinfo", "request", "response", "request", "response", "metadata"]
    _, *before, request, response, end = records
    assert request["WARC-Concurrent-To"] == response["WARC-Record-ID"]
    assert response["WARC-Concurrent-To"] == request["WARC-Record-ID"]
    assert end.all("WARC-Concurrent-To") == [request["WARC-Record-ID"], response["WARC-Record-ID"]]
    assert {one["WARC-Date"] for one in before} == {"2025-12-31T23:58:20.000000Z"}
    assert {one["WARC-Date"] for one in (request, response, end)} == {"2026-01-01T00:00:00.000000Z"}
    assert {one["WARC-IP-Address"] for one in records[1:]} == {"fe80::1"}
    targets = [one["WARC-Target-URI"] for one in records[1:]]
    assert targets == ["http://example.com/moved"] * 2 + ["http://example.com/"] * 3
    names = {one["WARC-Record-ID"] for one in records}
    assert len(names) == len(records)
    assert {UUID(name[len("<urn:uuid:") : -1]).version for name in names} == {4}


def test_a_file_begins_with_what_it_is() -> None:
    """Software, standard, User-Agent and whether robots.txt was obeyed; nothing about the machine."""
    text = written(about=About("crawler/1 (+http://x)", robots=True)).decode()

    head, _, block = text.partition("\r\n\r\n")
    assert head.startswith("WARC/1.1\r\nWARC-Type: warcinfo\r\nWARC-Record-ID: <urn:uuid:")
    names = [line.partition(":")[0] for line in block.split("\r\n") if line]
    assert names == ["software", "format", "conformsTo", "http-header-user-agent", "robots"]
    assert "\r\nhttp-header-user-agent: crawler/1 (+http://x)\r\nrobots: classic\r\n" in block
    assert "http-header-user-agent" not in written(about=About()).decode()


# --- What the client keeps ---


async def fetch(
    url: str, *, request: Request | None = None, folder: Folder | None = None, **options: Any
) -> tuple[Hop, int]:
    """The hop of a URL of which everything is kept, and the bytes that the budget counts for it then."""
    parsed = parse_url(url)[0]
    client = Client(ClientConfig(capture=True, **options), folder=folder)
    try:
        request = request or Request(0, url, parsed)
        hop = await client.exchange(first_job(request, parsed))
        return hop, client.budget.used
    finally:
        await client.close()


def the_capture(hop: Hop) -> Capture:
    assert hop.capture is not None
    return hop.capture


async def test_nothing_is_kept_unless_it_is_archived(site: Site) -> None:
    """Without an archive a hop has nothing of the wire."""
    url = site.page("x")
    client = Client(ClientConfig())

    hop = await exchange(client, url)

    await client.close()
    assert (hop.body, hop.capture, hop.held) == (b"x", None, 1)


async def test_a_request_is_kept_as_it_was_sent(raw_server: MakeRawServer) -> None:
    """Byte for byte, the body included."""
    server = raw_server(whole_reply(b"ok"))
    url = parse_url(server.url("/a?b=%7e"))[0]
    headers = (("X-Odd", " two  blanks"), ("X-Byte", "\udce9"), ("Content-Type", "text/plain"))

    hop, held = await fetch(str(url), request=Request(0, "", url, "POST", b"body\r\n\r\n", headers))

    assert [the_capture(hop).request + the_capture(hop).sent] == server.requests
    assert (hop.body, the_capture(hop).payload, held) == (b"ok", None, 2)


async def test_a_form_is_not_kept(site: Site, tmp_path: Path) -> None:
    """What is sent from files is not in memory, and not archived; the record says so."""
    (tmp_path / "file").write_bytes(b"from a file")
    url = parse_url(site.page("taken"))[0]
    form = Form((b"begin ", File(str(tmp_path / "file"), 11)), 17)

    hop, _ = await fetch(str(url), request=Request(0, "", url, "POST", form))

    assert site.log[0].body == b"begin from a file"
    assert the_capture(hop).request.endswith(b"Content-Length: 17\r\n\r\n")
    [_, request, *_] = read_bytes(tmp_path / "a.warc", written(record_of(captured(reply(b""), form=True))))
    assert (request.kind, request["WARC-Truncated"]) == ("request", "unspecified")


@pytest.mark.parametrize("size", [256_000, 1_001])
async def test_a_reply_that_is_too_large_is_cut_where_it_is(site: Site, size: int) -> None:
    """What is archived of it has just the bytes that are allowed, and no other is held, also if all had arrived."""
    url = site.page((bytes(range(256)) * 1_000)[:size])

    hop, held = await fetch(url, max_size=1_000)

    assert (hop.body, the_capture(hop).truncated) == (None, "length")
    assert the_capture(hop).payload == (bytes(range(256)) * 4)[:1_000]
    assert held == hop.held == 1_000


async def test_of_a_coded_reply_that_is_too_large_what_arrived_is_kept(site: Site) -> None:
    """It is whole on the wire, where it is small; what was decoded of it is let go."""
    coded = gzip.compress(bytes(3_000_000))
    url = site.page(coded, headers=[("Content-Encoding", "gzip")])

    hop, held = await fetch(url, max_size=2_000_000)

    assert hop.error is not None
    assert (hop.error.kind, hop.body) == (ErrorKind.TOO_LARGE, None)
    assert (the_capture(hop).payload, the_capture(hop).truncated) == (coded, "")
    assert held == hop.held == len(coded)


async def test_a_coded_reply_is_held_twice_and_counted_so(site: Site) -> None:
    """As it came, and decoded; both count until the record is written."""
    coded = gzip.compress(b"a" * 5_000)

    hop, held = await fetch(site.page(coded, headers=[("Content-Encoding", "gzip")]))

    assert (hop.body, the_capture(hop).payload) == (b"a" * 5_000, coded)
    assert held == hop.held == 5_000 + len(coded)


async def test_of_a_broken_coding_all_bytes_are_kept(site: Site) -> None:
    """What nobody can decode is archived whole, for somebody else to try."""
    broken = b"this is no gzip"

    hop, _ = await fetch(site.page(broken, headers=[("Content-Encoding", "gzip")]))

    assert hop.error is not None
    assert (hop.error.kind, the_capture(hop).payload, the_capture(hop).truncated) == (ErrorKind.DECODE, broken, "")


class Folder:
    """Where bodies go that leave memory."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.dropped = False

    def begin(self, _part: Part | None, *, kept: bool) -> Folder:
        assert kept
        return self

    def discard(self, part: Part) -> None:
        pytest.fail(f"nothing goes on with {part}")

    def write(self, piece: bytes, _reply: object) -> None:
        self.pieces.append(piece)

    def room(self) -> memoryview:
        pytest.fail("what is archived is looked at on the way")

    def filled(self, size: int, _reply: object) -> None:
        pytest.fail(f"{size} bytes passed the archive by")

    async def finish(self) -> tuple[str, str]:
        return "name", "sha256"

    def drop(self) -> None:
        self.dropped = True


@pytest.mark.parametrize(
    ("size", "options", "kept"),
    [(700_000, {}, 700_000), (700_000, {"max_size": 600_000}, 600_000), (SMALL, {}, 0)],
    ids=["large", "too large", "small"],
)
async def test_a_body_that_goes_to_a_file_is_archived_as_well(
    site: Site, size: int, options: dict[str, int], kept: int
) -> None:
    """The archive has it beside the file, and what is held for it is counted; a small body is held once."""
    body = random.Random(size).randbytes(size)
    url = parse_url(site.page(body))[0]
    folder = Folder()
    request = Request(0, "", url, save="x")

    hop, held = await fetch(str(url), request=request, folder=folder, **({"max_size": 0} | options))

    payload = hop.body if the_capture(hop).payload is None else the_capture(hop).payload
    assert payload == body[: kept or size]
    assert b"".join(folder.pieces) == body[:kept]
    assert the_capture(hop).truncated == ("length" if options else "")
    assert held == hop.held == (kept or size)


async def test_a_coded_body_that_goes_to_a_file_is_archived_as_it_came(site: Site) -> None:
    """The file has what it is decoded to."""
    body = random.Random(0).randbytes(700_000)
    coded = gzip.compress(body, 1)
    url = parse_url(site.page(coded, headers=[("Content-Encoding", "gzip")]))[0]
    folder = Folder()

    hop, held = await fetch(str(url), request=Request(0, "", url, save="x"), folder=folder)

    assert (hop.body, the_capture(hop).payload, b"".join(folder.pieces)) == (None, coded, body)
    assert held == hop.held == len(coded)


async def test_a_body_that_nobody_waits_for_any_more_is_let_go(raw_server: MakeRawServer) -> None:
    """When a run is aborted, nothing is counted and the file is dropped."""
    url = parse_url(raw_server([b"HTTP/1.1 200 OK\r\n\r\n" + bytes(SMALL + 1), Hang()]).url())[0]
    folder = Folder()
    client = Client(ClientConfig(capture=True), folder=folder)
    task = asyncio.ensure_future(client.exchange(first_job(Request(0, "", url, save="x"), url)))
    while not folder.pieces:
        await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (folder.dropped, client.budget.used) == (True, 0)
    await client.close()


async def test_a_head_that_is_cut_is_kept_as_far_as_it_came(raw_server: MakeRawServer) -> None:
    """A status and half a header are a reply that the connection's end has cut."""
    server = raw_server(b"HTTP/1.1 200 OK\r\nServer: x\r\nX-Ha")

    hop, _ = await fetch(server.url())

    assert (the_capture(hop).head, the_capture(hop).truncated) == (
        b"HTTP/1.1 200 OK\r\nServer: x\r\nX-Ha",
        "disconnect",
    )


async def test_without_a_reply_there_is_the_request_alone(raw_server: MakeRawServer, tmp_path: Path) -> None:
    """What was sent is archived, with what came of it."""
    hop, _ = await fetch(raw_server(b"SSH-2.0-OpenSSH\r\n").url("/ssh"))

    result = Result(Request(3, "given", hop.url), hop, hop.error)
    records = read_bytes(tmp_path / "a.warc", written(record_of(result, 3)))

    assert [record.kind for record in records] == ["warcinfo", "request", "metadata"]
    assert records[1].block.startswith(b"GET /ssh HTTP/1.1\r\n")
    assert records[2].values["error"] == "protocol"


async def test_a_body_that_nobody_wanted_is_said_to_be_left_out(site: Site) -> None:
    """Where links are checked, GET is asked for its head only."""
    url = parse_url(site.page("x" * 100))[0]

    hop, _ = await fetch(str(url), request=Request(0, "", url, "GET", fallback="GET"))

    assert (the_capture(hop).payload, hop.body, the_capture(hop).truncated) == (None, None, "unspecified")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ErrorKind.TIMEOUT, "time"),
        (ErrorKind.READ_TIMEOUT, "time"),
        (ErrorKind.TOO_SLOW, "time"),
        (ErrorKind.INCOMPLETE, "disconnect"),
        (ErrorKind.TOO_LARGE, "length"),
        (ErrorKind.PROTOCOL, "unspecified"),
        (ErrorKind.LOCAL, "unspecified"),
    ],
)
def test_why_a_reply_is_cut_is_said_as_the_standard_has_it(kind: ErrorKind, reason: str) -> None:
    """Of what is whole on the wire it is not said, whatever else is wrong with it."""
    tape = Tape(SENT, None, 0)

    assert tape.capture(Error(kind, ""), whole=False).truncated == reason
    assert tape.capture(Error(kind, ""), whole=True).truncated == ""
    assert tape.capture(None, whole=False).truncated == ""


def test_a_tape_is_as_long_as_it_may_be() -> None:
    """A payload in a coding is kept up to a bound, whatever it is decoded to."""
    tape = Tape(SENT, None, 10)

    kept = [tape.take(b"12345678"), tape.take(b"abcdef"), tape.take(b"more")]

    assert (kept, tape.held) == ([8, 2, 0], 10)
    capture = tape.capture(None, whole=True)
    assert (capture.payload, capture.truncated) == (b"12345678ab", "length")


def test_little_is_kept_of_a_redirects_body() -> None:
    """Redirects wait for the rest of their chain outside of the budget, so no server may make them large."""
    short = Capture(SENT, False, b"", None, False, "").followed(b"Moved")
    long = Capture(SENT, False, b"", b"x" * (FOLLOWED + 1), False, "").followed(b"decoded")

    assert (short.payload, short.truncated) == (b"Moved", "")
    assert long.payload is not None
    assert (len(long.payload), long.truncated) == (FOLLOWED, "length")
    hop = captured(reply(None)).hop
    assert hop is not None
    assert [replace(hop, capture=one).held for one in (short, long)] == [0, 0]


# --- What is written of it ---


@pytest.mark.parametrize(
    ("head", "undone"),
    [
        (
            b"A 200\r\nX: 1\r\nTransfer-Encoding: chunked\r\nY: 2\r\n\r\n",
            b"A 200\r\nX: 1\r\nContent-Length: 4\r\nY: 2\r\n\r\n",
        ),
        (b"A 200\ntransfer-encoding:chunked\nContent-Length: 9\n\n", b"A 200\nContent-Length: 4\n\n"),
        (
            b"A 200\r\nTransfer-Encoding: x-gzip,\r\n chunked\r\n  \r\n\r\n",
            b"A 200\r\nTransfer-Encoding: x-gzip\r\n\r\n",
        ),
        (
            b"A 200\r\nTransfer-Encoding: deflate\r\nV: \xff\r\n f\r\nTRANSFER-ENCODING: Chunked\r\n\r\n",
            b"A 200\r\nTransfer-Encoding: deflate\r\nV: \xff\r\n f\r\n\r\n",
        ),
        (
            b"A: 200\r\nTransfer-Encoding : gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"A: 200\r\nTransfer-Encoding : gzip\r\nContent-Length: 4\r\n\r\n",
        ),
    ],
)
def test_a_head_whose_chunks_were_undone_has_a_length(tmp_path: Path, head: bytes, undone: bytes) -> None:
    """In place of the chunks, or none beside another transfer coding; all else is as it came."""
    result = captured(reply(b"body"), head=head, chunked=True)

    records = read_bytes(tmp_path / "a.warc", written(record_of(result)))

    assert records[2].block == undone + b"body"


def test_a_large_entry_is_not_joined(tmp_path: Path) -> None:
    """Its pieces go to the file one after the other, and what is held for it is known."""
    record = record_of(captured(reply(random.Random(0).randbytes(LARGE))))
    for packed in (False, True):
        said = Warc(About(), packed=packed).one(record)

        assert not isinstance(said, bytes)
        assert said.held == len(bytes(said)) == sum(map(len, said))
        read_bytes(tmp_path / "a.warc", bytes(said))


def test_what_has_no_reply_is_a_record_of_its_own(tmp_path: Path) -> None:
    """Kind and message, and the row that the entry was made of; controls are escaped, so that a line stays one."""
    failed = replace(
        failed_result(), request=replace(failed_result().request, given="a\r\n\x7f\\u000d", extra={"id": 7})
    )

    [_, record, unsent] = read_bytes(tmp_path / "a.warc", written(record_of(failed, 4), record_of(unsent_result(), 5)))

    assert (record.kind, record["WARC-Target-URI"]) == ("metadata", "http://nowhere.example/")
    assert record.values == {
        "index": "4",
        "url": "a\\u000d\\u000a\\u007f\\\\u000d",
        "ok": "false",
        "error": "dns",
        "message": "no such name: nowhere.example",
        "attempts": "1",
        "fetchTimeMs": "250",
        "extra": '{"id":7}',
    }
    assert (unsent.kind, unsent.values["error"], unsent.values["attempts"]) == ("metadata", "invalid-url", "0")


@given(
    st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=60)), max_size=4),
    st.binary(max_size=400),
    st.one_of(st.none(), st.binary(max_size=4_000)),
    st.booleans(),
)
def test_blocks_come_back_byte_for_byte(
    headers: list[tuple[bytes, bytes]], body: bytes, payload: bytes | None, packed: bool
) -> None:
    """Whatever is in heads and payloads, readers find the records' ends and the same bytes between them."""
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"
    result = captured(reply(None if payload is None else b"decoded"), sent=body, head=head, payload=payload)

    data = written(record_of(result), record_of(result, 1), packed=packed)

    found = [
        (str(dict(record.headers)["WARC-Type"]), record.reader.read())
        for record in fastwarc.warc.ArchiveIterator(io.BytesIO(data), parse_http=False)
    ]
    blocks = [("request", SENT + body), ("response", head + (payload or b""))]
    assert [one for one in found if one[0].startswith("re")] == blocks * 2
    assert len(found) == 7


# --- What an earlier run left ---


@contextmanager
def file_of(tmp_path: Path, data: bytes) -> Iterator[Path]:
    path = tmp_path / "left"
    path.write_bytes(data)
    yield path
    path.unlink()


def left_by(*urls: str) -> list[Record]:
    """A record for each URL: every third is a failure without a reply, every second one large enough to be skipped."""
    records = []
    for index, url in enumerate(urls):
        body = bytes(range(256)) * (40 if index % 2 else 1)
        result = failed_result() if index % 3 == 2 else captured(reply(body, status=200 + index))
        request = replace(result.request, given=url)
        records.append(record_of(replace(result, request=request), index))
    return records


@both
@given(urls=st.lists(st.text(max_size=30), max_size=5))
def test_entries_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, packed: bool, urls: list[str]
) -> None:
    """In their order, by index and by what the record has for a URL, whatever that is."""
    records = left_by(*urls)
    with file_of(tmp_path_factory.getbasetemp(), written(*records, packed=packed)) as path:
        entries = list(WarcPast(str(path), packed=packed).entries())

    assert entries == [
        Entry(record.index, record.url, record.ok, record.status, record.error.kind if record.error else None)
        for record in records
    ]


@both
def test_a_torn_end_is_no_entry(tmp_path: Path, packed: bool) -> None:
    """Wherever a kill has cut the file, the entries before are there, it is cut behind them, and is sound."""
    records = left_by("a", "b", "c")
    sink = Warc(About(), packed=packed)
    ends = [len(sink.begin())]
    data = sink.begin()
    for record in records:
        data += bytes(sink.one(record))
        ends.append(len(data))
    path = tmp_path / "a.warc"
    places = sorted({*range(0, len(data), 97), *ends, *(end - 1 for end in ends), *range(30)})

    for place in places:
        path.write_bytes(data[:place])
        past = WarcPast(str(path), packed=packed)
        count = sum(end <= place for end in ends[1:])

        assert len(list(past.entries())) == count
        past.keep(count)

        assert path.read_bytes() == data[: ends[count] if count else 0]
    assert path.read_bytes() == data
    assert_sound(path)


@both
def test_a_file_goes_on_behind_what_is_kept(tmp_path: Path, packed: bool) -> None:
    """A second run says anew who it is, and all entries of both are found; what is dropped is gone."""
    path = tmp_path / "a.warc"
    first, second = left_by("a", "b", "c"), left_by("x", "y", "z")[2:]
    path.write_bytes(written(*first, packed=packed) + b"torn")
    past = WarcPast(str(path), packed=packed)

    past.keep(2)
    with path.open("ab") as file:
        file.write(written(*second, packed=packed))

    assert [entry.url for entry in past.entries()] == ["a", "b", "z"]
    assert [one.kind for one in read_archive(path)].count("warcinfo") == 2
    with pytest.raises(SinkError, match="has become shorter meanwhile"):
        past.keep(4)


@both
@pytest.mark.parametrize(
    "data",
    [
        b"WARC/1.1\r\nWARC-Type: warcinfo\r\nContent-Length: 15\r\n\r\nsoftware: other\r\n\r\n",
        b"something else altogether" * 1_000,
        b"\x1f\x8b\x08\x05" + bytes(9_000),
    ],
)
def test_nothing_is_cut_off_somebody_elses_file(tmp_path: Path, packed: bool, data: bytes) -> None:
    """A file that does not begin as ours do is refused, and stays as it is."""
    data = gzip.compress(data) if packed and data[:4] == b"WARC" else data
    path = tmp_path / "a.warc"
    path.write_bytes(data)
    past = WarcPast(str(path), packed=packed)

    with pytest.raises(SinkError, match="is no WARC file of afetch's; choose another one, or replace it"):
        list(past.entries())
    with pytest.raises(SinkError):
        past.keep(1)

    assert path.read_bytes() == data
    assert list(WarcPast(str(tmp_path / "none"), packed=packed).entries()) == []


def test_members_that_do_not_tell_their_size_are_read_through(tmp_path: Path) -> None:
    """A payload of 4 GiB has no place for that: its member is unpacked to find its end."""
    records = left_by("a", "b")
    head, *rest = members(written(*records, packed=True))
    info = written(packed=True)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(info + b"".join(map(gzip.compress, rest)))
    past = WarcPast(str(path), packed=True)

    assert head == gzip.decompress(info).replace(gzip.decompress(info), head)
    assert [entry.url for entry in past.entries()] == ["a", "b"]
    path.write_bytes(path.read_bytes()[:-1])
    assert [entry.url for entry in past.entries()] == ["a"]


# --- Places ---


@both
def test_a_full_disk_leaves_whole_entries(tmp_path: Path, packed: bool) -> None:
    """What was written is sound, the message names the file, and the entries are those that count as written."""
    path = tmp_path / ("a.warc.gz" if packed else "a.warc")
    place = Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), path.name, owned=True)
    output = ByteOutput(Warc(About(), packed=packed), place)
    output.begin()
    records = [record_of(captured(reply(random.Random(index).randbytes(9_000))), index) for index in range(20)]

    with full_disk(100_000):
        for record in records:
            output.add(record)
        with pytest.raises(SinkError, match=rf"{path.name}: the file may grow no larger; raise the limit"):
            output.flush(NEVER)
        output.close()

    assert 0 < output.written < len(records)
    assert_sound(path)
    assert [entry.index for entry in WarcPast(str(path), packed=packed).entries()] == list(range(output.written))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"output": ("a.warc.zst",)}, "output 'a.warc.zst': warc is compressed as .gz, and not otherwise"),
        ({"output": ("a.warc",), "fields": ("url",)}, "fields: no output is in a format that takes them"),
        ({"output": ("a.warc",), "template": "{url}"}, "template: no output is text"),
    ],
)
def test_what_cannot_be_is_refused(config: dict[str, Any], message: str) -> None:
    """There are no fields to choose from, and one compression that its readers know."""
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        OutputConfig(**config)


def test_a_terminal_is_spared() -> None:
    """Bytes from the network would move it."""
    with pytest.raises(UsageError, match="is nothing for a terminal: name a file with --output"):
        open_output(OutputConfig(format="warc"), terminal=True)


def test_only_some_are_archived(afetch: Afetch, site: Site) -> None:
    """`--only` goes by the record, and standard output may be a pipe."""
    wanted, unwanted = site.page("kept"), site.page("lost", status=404)

    done = afetch(wanted, unwanted, "-f", "warc", "--only", "ok", "-o", "-")

    assert done.returncode == 1
    kinds = re.findall(r"^WARC-Type: (\w+)\r?$", done.stdout, re.MULTILINE)
    assert kinds == ["warcinfo", "request", "response", "metadata"]
    assert f"WARC-Target-URI: {wanted}" in done.stdout


def test_a_killed_run_goes_on_where_it_was(afetch: Afetch, site: Site) -> None:
    """With `--resume` each entry is in both files once, and only what was missing is asked for again."""
    gate = site.gate(path="/last")
    urls = [site.page(f"page {number}", path=f"/{number}") for number in range(5)]
    names = ("a.warc", "b.warc.gz")
    command = (*urls, gate.url, *(word for name in names for word in ("-o", name)), "-c", "2")
    process = afetch.start(*command)
    until(lambda: all(len(indexes(afetch.folder / name)) == 5 for name in names))
    until(lambda: (afetch.folder / "a.warc.afetch.jsonl").read_bytes().count(b"\n") == 5)
    process.kill()
    process.wait()
    gate.open()
    asked = len(site.log)

    done = afetch(*command, "--resume")

    assert (done.returncode, [seen.target for seen in site.log[asked:]]) == (0, ["/last"]), done.stderr
    for name in names:
        assert sorted(indexes(afetch.folder / name)) == list(range(6))
        kinds = [record.kind for record in read_archive(afetch.folder / name)]
        assert kinds == ["warcinfo", *(["request", "response", "metadata"] * 5), "warcinfo", *kinds[-3:]]


def test_a_run_whose_disk_was_full_goes_on(afetch: Afetch, site: Site) -> None:
    """It ends with status 2 and the way on; the file is sound then, and whole after the next run."""
    urls = [site.page(random.Random(number).randbytes(20_000)) for number in range(12)]

    # Blocks of 1,024 bytes in dash, of 512 in others.
    full = afetch.start(*urls, "-o", "a.warc", "-c", "1", shell='ulimit -f 120; exec "$@"')
    _, said = full.communicate(timeout=30)

    assert full.returncode == 2
    assert b"afetch: a.warc: the file may grow no larger" in said
    assert b"--resume" in said
    assert_sound(afetch.folder / "a.warc")
    assert 0 < len(indexes(afetch.folder / "a.warc")) < 12
    done = afetch(*urls, "-o", "a.warc", "--resume")
    assert done.returncode == 0, done.stderr
    assert sorted(indexes(afetch.folder / "a.warc")) == list(range(12))
    assert_sound(afetch.folder / "a.warc")
