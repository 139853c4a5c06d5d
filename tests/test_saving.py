"""Bodies as files: what is written, what is never left behind, and how a body that broke off goes on."""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fetcher import Record, Settings, SinkError, UsageError, fetch, fetch_all
from fetcher.client.config import MAX_SIZE
from fetcher.client.keeping import SMALL
from fetcher.demo.answers import head, page, sequence
from fetcher.demo.server import Received, Wire
from fetcher.model import Request
from fetcher.saving.config import SavingConfig
from fetcher.saving.files import FEWEST_UNWRITTEN, MOST_UNWRITTEN, Saving
from fetcher.saving.names import NamingError
from fetcher.saving.naming import checksum
from fetcher.urls import parse_url
from tests.conftest import Afetch, MakeNginx
from tests.disks import full_disk, small_disk
from tests.peaks import peak_of
from tests.servers import PATIENCE, Site

LARGE = random.Random(7).randbytes(3 * SMALL + 1_000)
"""A body that leaves memory before it is whole."""

CUT = SMALL + 70_000
"""Bytes after which it breaks off: it is in a file by then."""

ETAG = '"v1"'
STAMP = "Mon, 01 Jan 2024 10:00:00 GMT"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def save(folder: Path, *urls: str | Request, **given: Any) -> list[Record]:
    """The records of a run that saves into a folder by the last part of the URL, in the order of the list."""
    settings: dict[str, Any] = {"save_name": "{name}", "retry_wait": 0.0, "read_timeout": PATIENCE, **given}
    return fetch_all(urls, Settings(save=str(folder), **settings))


def files(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, temporary files included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def until(true: Callable[[], object]) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Shelf:
    """
    A page that breaks off, and knows ranges.

    Args:
        cuts: After how many bytes of what is sent each request's reply breaks off; those after them do not.
        ranges: What is done where a part is asked for.
    """

    def __init__(
        self,
        body: bytes = LARGE,
        cuts: Sequence[int] = (CUT,),
        *,
        headers: Sequence[tuple[str, str]] = (("ETag", ETAG),),
        ranges: Callable[[Shelf, int, Wire], Any] | None = None,
    ) -> None:
        self.body = body
        self.cuts = list(cuts)
        self.headers = list(headers)
        self.ranges = ranges or Shelf.go_on
        self.asked: list[tuple[str | None, str | None]] = []

    async def __call__(self, request: Received, wire: Wire) -> None:
        wanted = request.header("range")
        self.asked.append((wanted, request.header("if-range")))
        if wanted is None:
            await self.send(wire, 200, self.body)
        else:
            await self.ranges(self, int(wanted.removeprefix("bytes=").rstrip("-")), wire)

    async def send(self, wire: Wire, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        cut = self.cuts.pop(0) if self.cuts else len(body)
        wire.open = cut >= len(body)
        await wire.send(head(status, [("Content-Length", str(len(body))), *self.headers, *headers]) + body[:cut])

    async def go_on(self, start: int, wire: Wire) -> None:
        last = len(self.body) - 1
        await self.send(wire, 206, self.body[start:], ("Content-Range", f"bytes {start}-{last}/{last + 1}"))


def test_bodies_are_files_and_not_in_the_records(either_site: Site, tmp_path: Path) -> None:
    """Small, large and empty ones, with TLS and without; everything else of the record is as without files."""
    urls = [
        either_site.page("small", path="/small"),
        either_site.page(LARGE, path="/large", content_type="x/y"),
        either_site.page(path="/empty"),
    ]

    records = save(tmp_path, *urls, insecure=True)

    assert files(tmp_path) == {"small": b"small", "large": LARGE, "empty": b""}
    assert [record.saved for record in records] == ["small", "large", "empty"]
    assert [record.ok for record in records] == [True] * 3
    assert [(record.body, record.body_encoding) for record in records] == [(None, None)] * 3
    assert [record.bytes for record in records] == [5, len(LARGE), 0]
    assert [record.sha256 for record in records] == [sha256(b"small"), sha256(LARGE), sha256(b"")]
    assert records[1].content_type == "x/y"


def test_nothing_is_left_of_what_fails(site: Site, tmp_path: Path) -> None:
    """Neither of error pages, small and large, nor of what leads on, nor of what breaks off or is too large."""
    done = site.page("done", path="/done")
    urls = [
        site.page("no", 404, path="/small"),
        site.page(LARGE, 500, path="/large"),
        site.answer(page(LARGE, 302, [("Location", done)]), path="/moved"),
        site.answer(Shelf(cuts=(CUT,) * 9), path="/cut"),
        site.page(LARGE + LARGE, path="/huge"),
    ]

    records = save(tmp_path, *urls, retries=1, retry_on=("incomplete",), max_size=len(LARGE))

    assert files(tmp_path) == {"moved": b"done"}
    assert [record.saved for record in records] == [None, None, "moved", None, None]
    assert [record.error and record.error.kind for record in records] == [None, None, None, "incomplete", "too-large"]
    assert [record.bytes for record in records[:2]] == [2, len(LARGE)]
    assert records[1].sha256 == sha256(LARGE)
    assert records[3].bytes == 2 * CUT


def test_what_has_no_body_has_no_file(site: Site, tmp_path: Path) -> None:
    """HEAD and 204; there is nothing to save of either."""
    head_only = Request(0, "", parse_url(site.page("x", path="/head"))[0], "HEAD")

    records = save(tmp_path, head_only, site.page(status=204, path="/204"))

    assert [(record.ok, record.saved, record.sha256) for record in records] == [(True, None, None)] * 2
    assert not files(tmp_path)


def test_content_codings_are_undone_on_the_way(site: Site, tmp_path: Path) -> None:
    """Also where what was coded is larger than memory should hold."""
    text = b"".join(b"%d\n" % number for number in range(200_000))
    url = site.page(gzip.compress(text, 1), path="/coded", headers=[("Content-Encoding", "gzip")])

    [record] = save(tmp_path, url)

    assert files(tmp_path) == {"coded": text}
    assert (record.bytes, record.sha256) == (len(text), sha256(text))
    assert record.wire_bytes < record.bytes


def test_large_files_have_neither_a_size_nor_a_time(tmp_path: Path) -> None:
    """The defaults give way to files; what is said does not. What is to be archived is held in memory."""
    settings = Settings(save=str(tmp_path))

    assert (settings.timeout, settings.max_size, settings.body) == (0.0, 0, "none")
    assert Settings(save="x", timeout=30.0, max_size=50 * 1024 * 1024).timeout == 30.0
    assert Settings(save="x", max_size=50 * 1024 * 1024).max_size == MAX_SIZE
    assert Settings(save="x", capture=True).max_size == MAX_SIZE
    with pytest.raises(UsageError, match="save and body text contradict each other"):
        Settings(save="x", body="text")


async def test_names_go_by_the_list_whichever_reply_comes_first(site: Site, tmp_path: Path) -> None:
    """The first of two that are alike has no number, though it is there last."""
    gate = site.gate(page("first"), path="/1/page")
    urls = [gate.url, site.page("second", path="/2/page")]
    settings = Settings(save=str(tmp_path), save_name="{name}")

    async with fetch(urls, settings) as records:
        second = await anext(records)
        gate.open()
        first = await anext(records)

    assert (first.saved, second.saved) == ("page", "page-2")
    assert files(tmp_path) == {"page": b"first", "page-2": b"second"}


def test_entries_with_the_same_content_share_a_file(site: Site, tmp_path: Path) -> None:
    """Where files are called by what is in them; large and small ones."""
    urls = [site.page(body, path=f"/{name}") for name, body in zip("abcd", [b"x", b"x", LARGE, LARGE], strict=True)]

    records = save(tmp_path, *urls, save_name="{sha256:2}/{sha256}{ext}")

    small, large = (f"{sha256(body)[:2]}/{sha256(body)}.html" for body in (b"x", LARGE))
    assert [record.saved for record in records] == [small, small, large, large]
    assert files(tmp_path) == {small: b"x", large: LARGE}


def test_files_have_the_time_of_their_last_modified(site: Site, tmp_path: Path) -> None:
    """On request, where there is one that is a time, also of a body that came in two parts."""
    stamped, shelf = [("Last-Modified", STAMP)], Shelf()
    shelf.headers = [("ETag", ETAG), ("Last-Modified", STAMP)]

    async def go_on(shelf: Shelf, start: int, wire: Wire) -> None:
        # What comes behind If-Range need not say again what was said (RFC 9110 15.3.7).
        shelf.headers = []
        await shelf.go_on(start, wire)

    shelf.ranges = go_on
    urls = [
        site.page("a", path="/a", headers=stamped),
        site.page("b", path="/b", headers=[("Last-Modified", "?")]),
        site.answer(shelf, path="/c"),
    ]
    began = time.time()

    save(tmp_path, *urls, remote_time=True)

    times = {path.name: path.stat().st_mtime for path in tmp_path.iterdir()}
    assert times["a"] == times["c"] == 1704103200
    assert times["b"] > began - 60


def test_a_place_that_keeps_no_times_keeps_the_bodies(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shares and mounts refuse to set a time: that is no reason to end a run."""

    def refuse(*_args: object, **_keywords: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    url = site.page("a", path="/a", headers=[("Last-Modified", STAMP)])

    [record] = save(tmp_path, url, remote_time=True)

    assert record.ok
    assert files(tmp_path) == {"a": b"a"}


def test_a_body_that_broke_off_goes_on_where_it_did(site: Site, tmp_path: Path) -> None:
    """As often as it takes; in the record it is one file."""
    shelf = Shelf(cuts=(CUT, 1_000, 0))
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url, retries=3)

    assert shelf.asked == [
        (None, None),
        (f"bytes={CUT}-", ETAG),
        (f"bytes={CUT + 1_000}-", ETAG),
        (f"bytes={CUT + 1_000}-", ETAG),
    ]
    assert files(tmp_path) == {"cut": LARGE}
    assert (record.ok, record.status, record.attempts, record.saved) == (True, 206, 4, "cut")
    assert (record.bytes, record.sha256) == (len(LARGE), sha256(LARGE))


def test_a_part_outlives_attempts_that_bring_nothing(site: Site, tmp_path: Path) -> None:
    """A 503 in between, and a server that says nothing at all."""

    async def busy(shelf: Shelf, start: int, wire: Wire) -> None:
        if len(shelf.asked) == 2:
            await page("busy", 503)(Received("GET", "/", "1.1", (), b"", 0.0, 0, 0), wire)
        elif len(shelf.asked) == 3:
            wire.reset()
        else:
            await shelf.go_on(start, wire)

    shelf = Shelf(ranges=busy)
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url, retries=4)

    assert {asked for asked, _ in shelf.asked[1:]} == {f"bytes={CUT}-"}
    assert files(tmp_path) == {"cut": LARGE}
    assert (record.ok, record.sha256) == (True, sha256(LARGE))


async def _whole(shelf: Shelf, _start: int, wire: Wire) -> None:
    shelf.body = LARGE[::-1]
    await shelf.send(wire, 200, shelf.body)


async def _behind_the_end(shelf: Shelf, _start: int, wire: Wire) -> None:
    await shelf.send(wire, 416, b"", ("Content-Range", "bytes */10"))


async def _elsewhere(shelf: Shelf, start: int, wire: Wire) -> None:
    last = len(shelf.body) - 1
    await shelf.send(wire, 206, shelf.body[start + 1 :], ("Content-Range", f"bytes {start + 1}-{last}/{last + 1}"))


async def _of_another_size(shelf: Shelf, start: int, wire: Wire) -> None:
    last = len(shelf.body)
    await shelf.send(wire, 206, shelf.body[start:] + b"x", ("Content-Range", f"bytes {start}-{last}/{last + 1}"))


async def _not_to_the_end(shelf: Shelf, start: int, wire: Wire) -> None:
    size = len(shelf.body)
    await shelf.send(wire, 206, shelf.body[start:-9], ("Content-Range", f"bytes {start}-{size - 10}/{size}"))


async def _of_another_version(shelf: Shelf, start: int, wire: Wire) -> None:
    shelf.headers = [("ETag", '"v2"')]
    await shelf.go_on(start, wire)


async def _without_saying_which(shelf: Shelf, start: int, wire: Wire) -> None:
    await shelf.send(wire, 206, shelf.body[start:])


async def _coded(shelf: Shelf, start: int, wire: Wire) -> None:
    last = len(shelf.body) - 1
    coding = ("Content-Encoding", "gzip")
    await shelf.send(wire, 206, shelf.body[start:], ("Content-Range", f"bytes {start}-{last}/{last + 1}"), coding)


@pytest.mark.parametrize(
    ("ranges", "requests"),
    [
        (_whole, 2),
        (_behind_the_end, 3),
        (_elsewhere, 3),
        (_of_another_size, 3),
        (_not_to_the_end, 3),
        (_of_another_version, 3),
        (_without_saying_which, 3),
        (_coded, 3),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_a_body_that_does_not_go_on_begins_anew(
    site: Site, tmp_path: Path, ranges: Callable[[Shelf, int, Wire], Any], requests: int
) -> None:
    """What came of another body never meets what was there; to ask again for all of it is no attempt of its own."""
    shelf = Shelf(ranges=ranges)
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url, retries=1)

    assert [asked for asked, _ in shelf.asked] == [None, f"bytes={CUT}-", None][:requests]
    assert files(tmp_path) == {"cut": shelf.body}
    assert (record.ok, record.status, record.attempts) == (True, 200, 2)
    assert (record.bytes, record.sha256) == (len(LARGE), sha256(shelf.body))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("ETag", 'W/"v1"')],
        [("ETag", ETAG), ("Accept-Ranges", "none")],
        [("ETag", ETAG), ("Content-Encoding", "identity, gzip")],
    ],
    ids=str,
)
def test_parts_are_not_asked_for_where_nobody_can_tell(
    site: Site, tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    """Whether they are of the same: without a strong validator, without ranges, and of what was decoded."""
    body = gzip.compress(LARGE, 1) if len(headers) == 2 and headers[1][0] == "Content-Encoding" else LARGE
    shelf = Shelf(body, cuts=(len(body) - 10_000,), headers=headers)
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url)

    assert shelf.asked == [(None, None)] * 2
    assert files(tmp_path) == {"cut": LARGE}
    assert (record.ok, record.attempts) == (True, 2)


def test_a_date_tells_as_well_and_a_small_part_is_not_kept(site: Site, tmp_path: Path) -> None:
    """Below 256 KiB a body is in memory, and begins anew."""
    dated, small = Shelf(headers=[("Last-Modified", STAMP)]), Shelf(cuts=(SMALL,))
    urls = [site.answer(dated, path="/dated"), site.answer(small, path="/small")]

    records = save(tmp_path, *urls)

    assert dated.asked == [(None, None), (f"bytes={CUT}-", STAMP)]
    assert small.asked == [(None, None)] * 2
    assert files(tmp_path) == {"dated": LARGE, "small": LARGE}
    assert [record.ok for record in records] == [True, True]


def test_a_part_that_the_user_asked_for_is_not_gone_on_with(site: Site, tmp_path: Path) -> None:
    """The range is the user's; it is asked for again as it was."""
    shelf = Shelf(cuts=(CUT,))
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url, range="5-")

    assert [asked for asked, _ in shelf.asked] == ["bytes=5-"] * 2
    assert files(tmp_path) == {"cut": LARGE[5:]}
    assert record.bytes == len(LARGE) - 5


def test_a_part_that_is_shorter_than_it_says_is_not_the_whole(site: Site, tmp_path: Path) -> None:
    """Whatever its own length says; the rest is asked for as of any other that broke off."""

    async def short(shelf: Shelf, start: int, wire: Wire) -> None:
        last = len(shelf.body) - 1
        said = ("Content-Range", f"bytes {start}-{last}/{last + 1}")
        await shelf.send(wire, 206, shelf.body[start : -9 if len(shelf.asked) == 2 else None], said)

    shelf = Shelf(ranges=short)
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url)

    assert [asked for asked, _ in shelf.asked] == [None, f"bytes={CUT}-", f"bytes={len(LARGE) - 9}-"]
    assert [attempt.error and attempt.error.message for attempt in record.history][1:] == [
        f"{len(LARGE) - 9:,} bytes of {len(LARGE):,}",
        None,
    ]
    assert files(tmp_path) == {"cut": LARGE}


def test_a_part_that_is_longer_than_it_says_is_not_gone_on_with(site: Site, tmp_path: Path) -> None:
    """Nothing that comes behind more than the whole makes it whole again, so all of it is asked for anew."""

    async def long(shelf: Shelf, start: int, wire: Wire) -> None:
        last = len(shelf.body) - 1
        await shelf.send(wire, 206, shelf.body[start:] + b"more", ("Content-Range", f"bytes {start}-{last}/{last + 1}"))

    shelf = Shelf(ranges=long)
    url = site.answer(shelf, path="/cut")

    [record] = save(tmp_path, url)

    assert [asked for asked, _ in shelf.asked] == [None, f"bytes={CUT}-", None]
    assert record.ok
    assert files(tmp_path) == {"cut": LARGE}


def test_a_large_file_is_gone_on_with_however_long_it_took(site: Site, tmp_path: Path) -> None:
    """The time for retries is for those that begin anew; and one that is too large is so at once."""
    slow, huge = Shelf(), Shelf(LARGE + LARGE, headers=[("ETag", ETAG)])
    urls = [site.answer(slow, path="/slow"), site.answer(huge, path="/huge")]

    records = save(tmp_path, *urls, retry_max_time=1e-9, max_size=len(LARGE))

    assert [record.ok for record in records] == [True, False]
    assert [record.attempts for record in records] == [2, 2]
    assert len(huge.asked) == 2
    assert files(tmp_path) == {"slow": LARGE}


def test_a_redirect_in_between_begins_anew(site: Site, tmp_path: Path) -> None:
    """A part of one place is none of another."""

    async def away(shelf: Shelf, _start: int, wire: Wire) -> None:
        await shelf.send(wire, 302, b"", ("Location", "/other"))

    other = Shelf(LARGE[::-1], cuts=())
    site.answer(other, path="/other")
    url = site.answer(Shelf(ranges=away), path="/cut")

    [record] = save(tmp_path, url)

    assert other.asked == [(None, None)]
    assert files(tmp_path) == {"cut": LARGE[::-1]}
    assert record.ok


def test_parts_go_on_against_nginx(site: Site, nginx: MakeNginx, tmp_path: Path) -> None:
    """Its ETag, its ranges; what stands between breaks the first reply off."""
    server = nginx()
    (server.root / "large.bin").write_bytes(LARGE)
    heads: list[bytes] = []

    async def relay(request: Received, wire: Wire) -> None:
        wire.open = False
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        lines = [f"{name}: {value}\r\n" for name, value in request.headers]
        writer.write(f"GET {request.target} HTTP/1.0\r\n{''.join(lines)}\r\n".encode())
        start = await reader.readuntil(b"\r\n\r\n")
        heads.append(start)
        body = await reader.read(-1)
        writer.close()
        await wire.send(start + (body if len(heads) > 1 else body[:CUT]))

    url = site.answer(relay, path="/large.bin")

    [record] = save(tmp_path / "out", url)

    assert [int(start.split()[1]) for start in heads] == [200, 206]
    assert f"Content-Range: bytes {CUT}-{len(LARGE) - 1}/{len(LARGE)}".encode() in heads[1]
    assert files(tmp_path / "out") == {"large.bin": LARGE}
    assert (record.ok, record.sha256) == (True, sha256(LARGE))


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["small", "large"])
def test_a_body_must_have_the_checksum_of_its_row(site: Site, tmp_path: Path, body: bytes) -> None:
    """Another one is an error and no file, and final; no checksum at all is a row that cannot be sent."""
    url = parse_url(site.page(body, path="/file"))[0]
    cells = [f"sha256:{sha256(body).upper()}", sha256(b"other"), "md5:00", "", None]
    requests = [Request(index, "", url, extra={"checksum": cell}) for index, cell in enumerate(cells)]

    right, wrong, none, *rest = save(tmp_path, *requests, save_name="{index}")

    assert (right.ok, right.saved) == (True, "0")
    assert (wrong.ok, wrong.saved, wrong.attempts, wrong.sha256) == (False, None, 1, sha256(body))
    assert wrong.error is not None
    assert (wrong.error.kind, wrong.error.message) == (
        "checksum",
        f"its SHA-256 is {sha256(body)}, and should be {sha256(b'other')}",
    )
    assert none.error is not None
    assert (none.error.kind, none.attempts) == ("invalid-request", 0)
    assert [record.saved for record in rest] == ["3", "4"]
    assert files(tmp_path) == {"0": body, "3": body, "4": body}


def test_a_wrong_body_is_tried_again_where_that_is_asked_for(site: Site, tmp_path: Path) -> None:
    """The whole of it: a part of the wrong one is none of the right one."""
    wrong = page(LARGE[::-1], headers=[("ETag", ETAG)])
    url = parse_url(site.answer(sequence(wrong, page(LARGE)), path="/file"))[0]

    [record] = save(tmp_path, Request(0, "", url, extra={"checksum": sha256(LARGE)}), retry_on=("checksum",))

    assert (record.ok, record.attempts) == (True, 2)
    assert files(tmp_path) == {"file": LARGE}
    assert [request.header("range") for request in site.log] == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        sha256(b""),
        f"sha256:{sha256(b'')}",
        f" SHA-256={sha256(b'').upper()} ",
        "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
    ],
)
def test_checksums_are_written_in_several_ways(text: str) -> None:
    """As tools print them, and as web pages have them."""
    assert checksum(text) == sha256(b"")


@pytest.mark.parametrize("text", ["x", sha256(b"")[1:], "sha256:", "sha1:00", "sha256-AAAA", "sha512-" + "A" * 86])
def test_what_is_no_checksum_is_said_to_be_none(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(NamingError, match="must be a SHA-256"):
        checksum(text)


def test_no_link_leads_out_of_the_folder(site: Site, tmp_path: Path) -> None:
    """Whoever put it there; a link in the place of a file is replaced, and not followed."""
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "victim").write_text("mine")
    (folder / "away").symlink_to(outside, target_is_directory=True)
    (folder / "page").symlink_to(outside / "victim")

    [record] = save(folder, site.page("new", path="/page"))
    with pytest.raises(SinkError, match="folder/away/file: a link, file or folder that is not"):
        save(folder, site.page("new", path="/away/file"), save_name="{path}")

    assert record.saved == "page"
    assert files(outside) == {"victim": b"mine"}
    assert not (folder / "page").is_symlink()


def test_a_folder_is_of_one_run_at_a_time_and_swept_before(tmp_path: Path) -> None:
    """What a kill has left goes; what else is there is the user's, unless the run goes on with it."""
    config = SavingConfig(save=str(tmp_path / "deep" / "folder"))
    left = tmp_path / "deep" / "folder" / ".afetch-0123456789abcdef.part"

    first = Saving(config)
    with pytest.raises(SinkError, match="another run is writing to it"):
        Saving(config)
    first.close()
    emptied = not left.parent.exists()
    left.parent.mkdir()
    left.write_text("half")
    Saving(config).close()
    swept = not left.exists()
    (left.parent / "mine").write_text("mine")
    with pytest.raises(SinkError, match="is not empty; go on with --resume"):
        Saving(config)
    Saving(config, goes_on=True).close()

    assert emptied
    assert swept
    assert files(tmp_path) == {"deep/folder/mine": b"mine"}


def test_a_folder_that_cannot_be_is_said_to_be_none(tmp_path: Path) -> None:
    """It is a file, or may not be made there."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SinkError, match="file: a part of its path is no directory"):
        Saving(SavingConfig(save=str(tmp_path / "file")))
    with pytest.raises(SinkError, match="/proc/none: "):
        Saving(SavingConfig(save="/proc/none"))


@pytest.mark.parametrize("body", [b"x" * 200_000, LARGE], ids=["small", "large"])
def test_a_full_disk_ends_the_run_with_no_half_of_a_file(site: Site, tmp_path: Path, body: bytes) -> None:
    """It is told where there is no room, and how to go on."""
    urls = [site.page("fits", path="/fits"), site.page(body, path="/large")]

    with full_disk(100_000), pytest.raises(SinkError, match=re.escape(str(tmp_path))) as caught:
        save(tmp_path, *urls, concurrency=1)

    assert "or choose another place with --save" in str(caught.value)
    assert files(tmp_path) == {"fits": b"fits"}


def test_a_small_disk_that_is_full_is_no_different(site: Site, tmp_path: Path) -> None:
    """A real one, where the machine lets us have it."""
    with small_disk(tmp_path, 512 * 1024):
        with pytest.raises(SinkError, match="no space is left"):
            save(tmp_path, site.page("fits", path="/fits"), site.page(LARGE, path="/large"), concurrency=1)

        assert files(tmp_path) == {"fits": b"fits"}


@pytest.mark.parametrize("coded", [False, True])
def test_nothing_is_lost_where_a_disk_is_slow(
    either_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coded: bool
) -> None:
    """Replies stop and go on many times, with TLS and without, also where there is more to decode than was read."""
    monkeypatch.setattr("fetcher.saving.files.MOST_UNWRITTEN", SMALL)
    monkeypatch.setattr("fetcher.saving.files.FEWEST_UNWRITTEN", SMALL // 2)
    body = (LARGE + bytes(len(LARGE))) * 5
    sent = gzip.compress(body, 1) if coded else body
    headers = [("Content-Encoding", "gzip")] if coded else []
    urls = [either_site.page(sent, path=f"/{name}", headers=headers) for name in "abc"]

    records = save(tmp_path, *urls, insecure=True)

    assert files(tmp_path) == {"a": body, "b": body, "c": body}
    assert [record.sha256 for record in records] == [sha256(body)] * 3


class Slow:
    """A reply whose body a disk does not take."""

    def __init__(self) -> None:
        self.stalled = False
        self.stalls = 0

    def stall(self) -> None:
        self.stalled = True
        self.stalls += 1

    def flow(self) -> None:
        self.stalled = False


async def test_replies_wait_for_a_disk_that_is_slow(tmp_path: Path) -> None:
    """Some megabytes of all of them together are held, and no more is read until half of that is written."""
    saving = Saving(SavingConfig(save=str(tmp_path)))
    ready, piece = asyncio.Semaphore(0), bytes(1024 * 1024)
    loop = asyncio.get_running_loop()
    replies = [Slow(), Slow()]
    bodies = [saving.begin(None, kept=True) for _ in replies]
    gate, writer = os.pipe()
    for body in bodies:
        body.lane.do(lambda: os.read(gate, 1))

    for _ in range(MOST_UNWRITTEN // len(piece) // 2):
        for body, reply in zip(bodies, replies, strict=True):
            body.write(piece, reply)
    before = [reply.stalls for reply in replies]
    for body, reply in zip(bodies, replies, strict=True):
        body.write(piece, reply)
    stalled = [reply.stalled for reply in replies]
    os.write(writer, b"xx")
    for body in bodies:
        body.lane.do(lambda: loop.call_soon_threadsafe(ready.release))
        await ready.acquire()
    flowing = [reply.stalled for reply in replies]
    sums = [(await body.finish())[1] for body in bodies]
    saving.close()
    for descriptor in (gate, writer):
        os.close(descriptor)

    assert before == [0, 0]
    assert stalled == [True, True]
    assert flowing == [False, False]
    assert FEWEST_UNWRITTEN < MOST_UNWRITTEN
    assert sums == [sha256(piece * (MOST_UNWRITTEN // len(piece) // 2 + 1))] * 2


async def test_what_was_read_in_place_is_written_when_too_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its memory is not full: a reply that waits until less is unwritten would wait for itself."""
    monkeypatch.setattr("fetcher.saving.files.MOST_UNWRITTEN", 50)
    monkeypatch.setattr("fetcher.saving.files.FEWEST_UNWRITTEN", 25)
    saving, reply = Saving(SavingConfig(save=str(tmp_path))), Slow()
    body = saving.begin(None, kept=True)

    body.room()[:100] = bytes(100)
    body.filled(100, reply)
    async with asyncio.timeout(PATIENCE):
        while reply.stalled:
            await asyncio.sleep(0)
    _, digest = await body.finish()
    saving.close()

    assert reply.stalls == 1
    assert digest == sha256(bytes(100))


async def test_a_run_that_is_left_early_leaves_no_temporary_file(site: Site, tmp_path: Path) -> None:
    """Of a body that is half there when nobody wants it any more."""

    async def half(_request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Content-Length", str(len(LARGE)))]) + LARGE[:CUT])
        await wire.until_gone()

    urls = [site.answer(half, path="/half"), site.gate(page("small"), path="/small").url]
    records = fetch(urls, Settings(save=str(tmp_path), save_name="{name}"))

    async with asyncio.timeout(PATIENCE), records:
        while not any(name.endswith(".part") for name in files(tmp_path)):
            await asyncio.sleep(0.005)

    assert not files(tmp_path)


def test_memory_does_not_grow_with_a_file(site: Site, afetch: Afetch, tmp_path: Path) -> None:
    """It is streamed: 96 MB take little more than 1 KB."""
    block = LARGE[:SMALL]

    async def large(_request: Received, wire: Wire) -> None:
        await wire.send(head(200, [("Content-Length", str(384 * len(block)))]))
        for _ in range(384):
            await wire.send(block)

    small, huge = site.page("x" * 1024, path="/small"), site.answer(large, path="/huge")

    _, base = peak_of(afetch, small, "--save", str(tmp_path / "small"))
    record, peak = peak_of(afetch, huge, "--save", str(tmp_path / "huge"))

    assert (record["ok"], record["bytes"]) == (True, 384 * len(block))
    assert peak - base < 48 * 1024 * 1024


def test_a_killed_run_goes_on_and_leaves_nothing_half(site: Site, afetch: Afetch, tmp_path: Path) -> None:
    """What is done is not asked for again, what was half there is whole, under the names that it had."""
    folder = tmp_path / "out"
    whole = page(LARGE)

    async def once(request: Received, wire: Wire) -> None:
        if request.visit:
            await whole(request, wire)
            return
        await wire.send(head(200, [("Content-Length", str(len(LARGE)))]) + LARGE[:CUT])
        await wire.until_gone()

    lines = [site.page("a", path="/x/a"), site.answer(once, path="/half"), site.page("b", path="/y/a")]
    (afetch.folder / "list").write_text("\n".join(lines))
    command = ("list", "--save", str(folder), "--name", "{name}", "-q")
    journal = tmp_path / "out.afetch.jsonl"

    process = afetch.start(*command)
    until(lambda: any(name.endswith(".part") for name in files(folder)))
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") == 2)
    process.kill()
    process.wait()
    left = files(folder)
    (folder / "half").write_text("of a run whose record was not written")
    refused = afetch(*command)
    done = afetch(*command, "--resume")

    assert sum(name.endswith(".part") for name in left) == 1
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    assert done.returncode == 0
    assert files(folder) == {"a": b"a", "half": LARGE, "a-2": b"b"}
    assert [request.target for request in site.log].count("/half") == 2
    assert len(site.log) == 4


def test_the_command_saves_rows_with_checksums(site: Site, afetch: Afetch, tmp_path: Path) -> None:
    """A table has the column, each output the path; what is wrong fails the run."""
    right, wrong = site.page("right", path="/right"), site.page("wrong", path="/wrong")
    (afetch.folder / "list.csv").write_text(
        f"url,id,checksum\n{right},one,{sha256(b'right')}\n{wrong},two,{sha256(b'right')}\n"
    )

    ended = afetch(
        "list.csv", "--save", "files", "--name", "{extra.id}.txt", "--json", "-o", "out.csv", "-o", "-", "-q"
    )

    by_id = {record["extra"]["id"]: record for record in ended.records}
    assert ended.returncode == 1
    assert by_id["one"]["saved"] == "one.txt"
    assert by_id["two"]["error"]["kind"] == "checksum"
    assert files(afetch.folder / "files") == {"one.txt": b"right"}
    assert "one.txt" in (afetch.folder / "out.csv").read_text()
