"""Where requests come from: lines of text, files, pipes, and a program's own lists."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st

from fetcher.errors import ErrorKind, SourceError, UsageError
from fetcher.model import Request
from fetcher.sources.config import SourceConfig
from fetcher.sources.iterable import Entries, from_iterable
from fetcher.sources.lines import LONGEST, LineParser, LineSplitter
from fetcher.sources.protocol import BATCH, Source
from fetcher.sources.reader import AHEAD, BLOCK, Feed
from tests.ordinary import ordinary

PATIENCE = 10.0

ONLY_A_PATH = "entries are appended to its path, so it can have no query and no fragment; give a query with --param"


def read(data: bytes, config: SourceConfig | None = None, blocks: list[int] | None = None) -> list[Request]:
    """The requests of a list that arrives in blocks which end at these places."""
    splitter, parser = LineSplitter(), LineParser(config or SourceConfig())
    requests: list[Request] = []
    ends = sorted({min(end, len(data)) for end in blocks or []} | {len(data)})
    for start, end in zip([0, *ends], ends, strict=False):
        requests += parser.requests(splitter.feed(data[start:end]))
    return requests + parser.requests(splitter.finish())


def sent(requests: list[Request]) -> list[str]:
    return [str(request.url) for request in requests]


async def drain(source: Source) -> list[Request]:
    """All requests of a source, which may not take for ever."""

    async def collect() -> list[Request]:
        return [request async for batch in source.batches() for request in batch]

    return await asyncio.wait_for(collect(), PATIENCE)


async def first(source: Source) -> AsyncGenerator[list[Request], None]:
    """The batches of a source, none of which may take for ever."""
    batches = source.batches()
    while True:
        try:
            yield await asyncio.wait_for(anext(batches), PATIENCE)
        except StopAsyncIteration:
            return


# Lines


def test_reads_a_list_as_people_write_it() -> None:
    """Blanks, CRLF, a byte order mark, empty lines and comments are dropped; the rest is numbered."""
    data = (
        b"\xef\xbb\xbf# a comment\r\n\r\n  http://example.com/a \t\r\n\t\n"
        b"http://example.com/#not-a-comment\n   # one more\nhttp://example.com/b c"
    )

    requests = read(data)

    assert [(request.index, request.given, str(request.url)) for request in requests] == [
        (0, "http://example.com/a", "http://example.com/a"),
        (1, "http://example.com/#not-a-comment", "http://example.com/"),
        (2, "http://example.com/b c", "http://example.com/b%20c"),
    ]


def test_gives_a_malformed_entry_its_request() -> None:
    """An entry that is no URL is numbered like any other and says what is wrong with it."""
    requests = read(b"http://example.com/\nftp://u:secret@example.com/\nhttp://example.com/a\tb\nexample.com/x\n")

    assert [(request.index, request.url is None, request.given) for request in requests] == [
        (0, False, "http://example.com/"),
        (1, True, "ftp://u:***@example.com/"),
        (2, True, "http://example.com/a\tb"),
        (3, True, "example.com/x"),
    ]
    errors = [request.error for request in requests[1:] if request.error is not None]
    assert {error.kind for error in errors} == {ErrorKind.INVALID_URL}
    assert [error.message for error in errors] == [
        "scheme 'ftp' is neither http nor https",
        "a control character in the URL",
        "no scheme: write http:// or https:// before it, or give --base-url",
    ]


def test_sends_undecodable_bytes_as_they_are() -> None:
    """A list in Latin-1 is read: the byte is percent-encoded on the wire and `\\xNN` where it is shown."""
    [request] = read(b"http://example.com/caf\xe9\n")

    assert request.given == "http://example.com/caf\\xe9"
    assert str(request.url) == "http://example.com/caf%E9"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_reads_utf_16_with_its_mark(codec: str) -> None:
    """A list as PowerShell writes it is the same list."""
    data = "\ufeffhttp://example.com/é\r\nhttp://example.com/b\r\n".encode(codec)

    assert sent(read(data)) == ["http://example.com/%C3%A9", "http://example.com/b"]


@pytest.mark.parametrize(
    ("base", "entry", "target"),
    [
        ("https://api.example.com/items", "7", "https://api.example.com/items/7"),
        ("https://api.example.com/items/", "/7", "https://api.example.com/items/7"),
        ("https://api.example.com/items//", "//7", "https://api.example.com/items/7"),
        ("https://api.example.com", "a/b?c=1", "https://api.example.com/a/b?c=1"),
        ("https://api.example.com/v1", "?c=1", "https://api.example.com/v1/?c=1"),
        ("https://api.example.com/v1", "a b#c", "https://api.example.com/v1/a%20b"),
        ("https://api.example.com/wiki", "Special:Random", "https://api.example.com/wiki/Special:Random"),
        ("https://api.example.com/v1", "HTTP://other.example/", "http://other.example/"),
        ("https://api.example.com/v1", "ftp://other.example/", "None"),
        ("https://api.example.com/v1", "http:/other.example/", "None"),
        ("https://api.example.com/v1", "mailto:a@other.example", "None"),
    ],
)
def test_appends_entries_to_the_base(base: str, entry: str, target: str) -> None:
    """Exactly one slash stands between a base and an entry without a scheme; an entry with one stands alone."""
    [request] = read(entry.encode(), SourceConfig(base_url=base))

    assert str(request.url) == target
    assert request.given == entry


@pytest.mark.parametrize("base", [None, "https://api.example.com/v1"])
def test_a_url_that_lacks_its_scheme_takes_its_password_nowhere(base: str | None) -> None:
    """It is not joined to the base, whose host it is not for, and is not shown; the way out is."""
    [request] = read(b"user:secret@other.example/path", SourceConfig(base_url=base))

    assert request.url is None
    assert request.given == "user:***@other.example/path"
    assert request.error is not None
    assert request.error.kind == ErrorKind.INVALID_URL
    assert "http" in request.error.message


@pytest.mark.parametrize("entry", ["item:3@2.5", "nginx:1.25@sha256:5f0a", "/user:name@place", "a:b/c@d"])
def test_a_path_with_a_colon_and_an_at_sign_is_joined_to_the_base_and_shown(entry: str) -> None:
    """It is no user info, so nothing of it is hidden: whoever joins the records to the list finds it."""
    [request] = read(entry.encode(), SourceConfig(base_url="https://api.example.com/v1"))

    assert request.given == entry
    assert str(request.url) == "https://api.example.com/v1/" + entry.lstrip("/")


@pytest.mark.usefixtures("folder")
def test_a_source_that_is_no_file_does_not_show_its_password() -> None:
    """A URL without its scheme is looked for as a file, and the message names it."""
    with pytest.raises(SourceError, match=r"^user:\*\*\*@other\.example: no such file"):
        Feed(["user:secret@other.example"], SourceConfig())


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("example.com", "base-url 'example.com': no scheme: write http:// or https:// before it"),
        ("http://u:secret@example.com/?q", f"base-url 'http://u:***@example.com/?q': {ONLY_A_PATH}"),
        ("http://example.com/#top", f"base-url 'http://example.com/#top': {ONLY_A_PATH}"),
    ],
)
def test_refuses_a_base_that_cannot_be_one(base: str, why: str) -> None:
    """A base that is no URL, or has something behind its path, is a usage error, without its password."""
    with pytest.raises(UsageError) as refusal:
        SourceConfig(base_url=base)

    assert str(refusal.value) == why


def test_moves_user_info_into_a_header() -> None:
    """User and password are decoded and sent as RFC 7617 has it; a user alone has an empty password."""
    requests = read(b"http://us%C3%A9r:p%3Aw@example.com/\nhttp://caf\xc3\xa9@example.com/\n")

    assert sent(requests) == ["http://example.com/"] * 2
    assert [request.given for request in requests] == ["http://us%C3%A9r:***@example.com/", "http://café@example.com/"]
    assert [request.headers for request in requests] == [
        (("Authorization", "Basic dXPDqXI6cDp3"),),
        (("Authorization", "Basic Y2Fmw6k6"),),
    ]


def test_adds_params_to_every_url() -> None:
    """Params are percent-encoded, a blank as %20, and stand behind the query that is there."""
    config = SourceConfig(params=(("q", "a b&c"), ("é", "")))

    requests = read(b"http://example.com/\nhttp://example.com/?x\n", config)

    assert sent(requests) == [
        "http://example.com/?q=a%20b%26c&%C3%A9=",
        "http://example.com/?x&q=a%20b%26c&%C3%A9=",
    ]


@pytest.mark.parametrize(
    ("config", "headers", "expected"),
    [
        (SourceConfig(), (), ("GET", None, ())),
        (SourceConfig(method="HEAD"), (), ("HEAD", None, ())),
        (SourceConfig(data=b"a=1"), (), ("POST", b"a=1", (("Content-Type", "application/x-www-form-urlencoded"),))),
        (SourceConfig(data=b""), (), ("POST", b"", (("Content-Type", "application/x-www-form-urlencoded"),))),
        (SourceConfig(data=b"{}", method="PUT"), (("content-type", "application/json"),), ("PUT", b"{}", ())),
    ],
)
def test_sends_a_body_as_curl_does(
    config: SourceConfig, headers: tuple[tuple[str, str], ...], expected: tuple[object, ...]
) -> None:
    """A body makes it POST and a form, unless method or type are given."""
    [request] = LineParser(config, headers).requests(["http://example.com/"])

    assert (request.method, request.body, request.headers) == expected


def test_stops_at_the_limit() -> None:
    """The limit counts entries, malformed ones too, and neither comments nor blank lines."""
    requests = read(b"# one\n\nhttp://a.example/\nnonsense\nhttp://b.example/\n", SourceConfig(limit=2))

    assert [request.given for request in requests] == ["http://a.example/", "nonsense"]


@pytest.mark.parametrize("size", [LONGEST + 1, 3 * LONGEST])
def test_cuts_an_endless_line(size: int) -> None:
    """A line beyond the limit is one malformed entry, shown by its beginning; those round it are read."""
    start = b"http://u:secret@example.com/"
    data = b"http://example.com/\n" + start + b"x" * (size - len(start)) + b"\nhttp://example.com/b\n"

    before, long, after = read(data)

    assert str(before.url) == "http://example.com/"
    assert (long.index, long.url) == (1, None)
    assert long.given == "http://u:***@example.com/" + "x" * (200 - len("http://u:***@example.com/")) + "..."
    assert long.error is not None
    assert long.error.message == "longer than 65536 bytes, which is no URL"
    assert (after.index, str(after.url)) == (2, "http://example.com/b")


def test_reads_the_longest_line() -> None:
    """The limit is of bytes, and a line that has just as many is read."""
    path = "é" * ((LONGEST - len("http://example.com/")) // 2)
    longest = f"http://example.com/{path}x"
    assert len(longest.encode()) == LONGEST

    stray = b"http://example.com/".ljust(LONGEST, b"\xe9")

    fits, exceeds, in_latin_1 = read(f"{longest}\n{longest}x\n".encode() + stray)

    assert fits.error is None
    assert exceeds.error is not None
    assert in_latin_1.error is None


def test_holds_no_more_of_an_endless_line_than_the_longest() -> None:
    """An input without a line end costs bounded memory, however long it is."""
    splitter = LineSplitter()

    for _ in range(64):
        assert splitter.feed(b"x" * BLOCK) == []

    [line] = splitter.finish()
    assert len(line) == LONGEST + 1


PIECES = st.sampled_from(
    [
        b"http://example.com/a",
        b"http://u:p@h.example/",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"#",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xc3\xa9",
        b"\xe9",
        b"\x00",
        b"\x85",
        b"x" * LONGEST,
        b" " * LONGEST,
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 3 * LONGEST), max_size=6))
@example(b"\xff\xfe" + "http://example.com/é\n".encode("utf-16-le"), [1, 2, 3, 4, 5, 44])
@example(b"\xef\xbb\xbf#\nhttp://example.com/\xc3\xa9", [1, 2, 3, 27])
@example(b"x" * LONGEST + b" @\nhttp://example.com/", [LONGEST, LONGEST + 1, LONGEST + 2])
@example(b" " * LONGEST + b"#\n", [LONGEST])
@example(b" " * (LONGEST + 1) + b"#x\n", [LONGEST + 2])
@example(b"http://u:" + b"x" * LONGEST + b"@h.example/\n", [LONGEST + 15])
def test_gives_the_same_requests_wherever_the_blocks_end(data: bytes, blocks: list[int]) -> None:
    """How an input arrives does not change what is in it."""
    assert read(data, blocks=blocks) == read(data)


@given(st.binary(max_size=200))
def test_every_line_is_one_entry_unless_blank_or_a_comment(data: bytes) -> None:
    """Whatever the bytes, each line has exactly one request, with a URL or with the reason why not."""
    text = data.decode("utf-8", "surrogateescape")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    lines = [line.strip(" \t\r\v\f\u00a0\u3000\ufeff") for line in text.split("\n")]

    requests = read(data)

    assert len(requests) == sum(bool(line) and not line.startswith("#") for line in lines)
    assert [request.index for request in requests] == list(range(len(requests)))
    assert all((request.url is None) == (request.error is not None) for request in requests)
    assert all(request.given.encode() for request in requests)


# Files and pipes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that names are relative to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pipe() -> Iterator[tuple[str, int]]:
    """A pipe: the name that its reading end has, and its writing end, which the test closes."""
    reader, writer = os.pipe()
    yield f"/dev/fd/{reader}", writer
    os.close(reader)
    try:
        os.close(writer)
    except OSError as error:
        # The test has closed it.
        assert error.errno == errno.EBADF  # noqa: PT017 - nothing is under test here


@pytest.fixture
def open_descriptors() -> Iterator[None]:
    """The test leaves no descriptor open."""
    before = set(Path("/dev/fd").iterdir())
    yield
    assert set(Path("/dev/fd").iterdir()) <= before


async def test_reads_several_sources_in_order(folder: Path) -> None:
    """Files and URLs of the command line follow each other, numbered throughout; their texts do not run together."""
    Path("a").write_bytes(b"\xef\xbb\xbfhttp://a.example/1\nhttp://a.example/2")
    Path("b").write_bytes(b"\xef\xbb\xbfhttp://b.example/\n")
    feed = Feed(["a", "HTTPS://c.example/#x", "b", "http://d.example/\n"], SourceConfig())

    requests = await drain(feed)

    assert [request.index for request in requests] == [0, 1, 2, 3, 4]
    assert sent(requests) == [
        "http://a.example/1",
        "http://a.example/2",
        "https://c.example/",
        "http://b.example/",
        "None",
    ]
    assert feed.total == 5


@pytest.mark.usefixtures("open_descriptors")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere",
            "nowhere: no such file; check the name (a URL needs http:// or https:// before it, standard input is -)",
        ),
        (".", ".: is a directory; name the files in it"),
        ("list/x", "list/x: no such file, for a part of its path is no directory; check the name"),
        ("socket", "socket: is a socket, or a device that is not there; pipe its text in"),
        ("/dev/fd/987654321", "/dev/fd/987654321: is not open; give a file, or pipe a list in"),
        ("a\0b", "'a\\x00b': embedded null byte; check the name"),
    ],
)
def test_says_what_cannot_be_opened_before_anything_is_read(folder: Path, name: str, message: str) -> None:
    """One source that cannot be read ends it all, with its name and the way out, and leaves nothing open."""
    import socket

    Path("list").write_text("http://example.com/\n")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind("socket")

        with pytest.raises(SourceError) as refusal:
            Feed(["list", name], SourceConfig())

    assert str(refusal.value) == message


def test_says_that_a_file_may_not_be_read(folder: Path) -> None:
    """A file without permission is named before the first request."""
    Path("list").write_text("http://example.com/\n")
    Path("list").chmod(0)

    with ordinary(), pytest.raises(SourceError, match="list: permission denied; make it readable"):
        Feed(["list"], SourceConfig())


@pytest.mark.parametrize("names", [["-", "-"], ["-", "/dev/stdin"]])
def test_refuses_standard_input_twice(names: list[str]) -> None:
    """It can be read only once, so naming it twice is a mistake."""
    with pytest.raises(UsageError, match="standard input"):
        Feed(names, SourceConfig())


async def test_gives_each_url_of_a_slow_producer_at_once(pipe: tuple[str, int]) -> None:
    """`tail -f list | afetch`: what is there is given, while the pipe stays open."""
    name, writer = pipe
    feed = Feed([name], SourceConfig())
    batches = first(feed)

    os.write(writer, b"http://a.example/\nhttp://b.exam")
    one = await anext(batches)
    os.write(writer, b"ple/\n")
    two = await anext(batches)
    os.write(writer, b"http://c.example/")
    os.close(writer)
    three = await anext(batches)

    assert [sent(batch) for batch in (one, two, three)] == [
        ["http://a.example/"],
        ["http://b.example/"],
        ["http://c.example/"],
    ]
    assert feed.total is None
    assert [batch async for batch in batches] == []
    assert feed.total == 3


@pytest.mark.usefixtures("open_descriptors")
async def test_waits_for_the_writer_of_a_fifo_without_standing_still(folder: Path) -> None:
    """A FIFO whose writer comes late is opened at once and read to its end."""
    os.mkfifo("fifo")
    feed = Feed(["fifo"], SourceConfig())
    reading = asyncio.ensure_future(drain(feed))
    await asyncio.sleep(0)

    # Would raise ENXIO if nobody had it open.
    with closing(os.fdopen(os.open("fifo", os.O_WRONLY | os.O_NONBLOCK), "wb", buffering=0)) as fifo:
        fifo.write(b"http://a.example/\n")

    assert sent(await reading) == ["http://a.example/"]


async def test_reads_a_non_blocking_pipe(pipe: tuple[str, int]) -> None:
    """A pipe that somebody else made non-blocking is read as any other."""
    name, writer = pipe
    os.set_blocking(int(name.rpartition("/")[2]), False)
    batches = first(Feed([name], SourceConfig()))
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)

    os.write(writer, b"http://a.example/\n")

    assert sent(await waiting) == ["http://a.example/"]
    os.close(writer)
    assert [batch async for batch in batches] == []


async def test_reads_again_where_somebody_else_was_quicker(
    pipe: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input that is shared may be empty by the time it is read: that is no error and no end."""
    name, writer = pipe
    os.write(writer, b"http://a.example/\n")
    os.close(writer)
    read, refusals = os.read, [BlockingIOError(), BlockingIOError()]

    def shared(descriptor: int, size: int) -> bytes:
        if refusals:
            raise refusals.pop()
        return read(descriptor, size)

    feed = Feed([name], SourceConfig())
    monkeypatch.setattr("fetcher.sources.reader.os.read", shared)

    assert sent(await drain(feed)) == ["http://a.example/"]
    assert refusals == []


async def test_reads_only_a_few_blocks_ahead(pipe: tuple[str, int]) -> None:
    """A producer that never ends, and a consumer that takes nothing more, cost a few blocks."""
    name, writer = pipe
    os.set_blocking(writer, False)
    feed = Feed([name], SourceConfig())
    batches = first(feed)
    os.write(writer, b"http://a.example/\n")
    await anext(batches)

    written = 0
    # That nothing more is taken shows only in time: the pipe must be full twenty times running.
    full = 0
    while full < 20:
        try:
            written += os.write(writer, b"http://a.example/\n" * 200)
            full = 0
        except BlockingIOError:
            full += 1
            threading.Event().wait(0.005)

    # What the pipe itself holds comes on top, and a read may fill less than its block.
    assert written <= (AHEAD + 2) * BLOCK
    await batches.aclose()
    feed.close()


@pytest.mark.parametrize("data", [b"#\n" * 200_000, b"\n" * 200_000])
async def test_an_endless_list_without_entries_leaves_the_loop_free(folder: Path, data: bytes) -> None:
    """Comments and blank lines give nothing away, and the loop has its turns between them."""
    Path("list").write_bytes(data)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    requests = await drain(Feed(["list"], SourceConfig()))
    counting.cancel()

    assert requests == []
    assert turns >= 200_000 // BATCH


async def test_gives_batches_of_bounded_size(folder: Path) -> None:
    """A long file comes in batches, none of them empty and none larger than promised."""
    Path("list").write_bytes(b"http://a.example/\n" * 10_000)

    sizes = [len(batch) async for batch in Feed(["list"], SourceConfig()).batches()]

    assert sum(sizes) == 10_000
    assert min(sizes) > 0
    assert max(sizes) == BATCH


@pytest.mark.usefixtures("open_descriptors")
async def test_stops_reading_at_the_limit(pipe: tuple[str, int]) -> None:
    """With a limit the producer need not end, and what was taken is the total."""
    name, writer = pipe
    os.write(writer, b"http://a.example/\n" * 5)
    feed = Feed([name], SourceConfig(limit=3))

    requests = await drain(feed)

    assert len(requests) == 3
    assert feed.total == feed.estimate() == 3


async def test_a_limit_of_none_at_all_reads_nothing(pipe: tuple[str, int]) -> None:
    """`--limit 0` does not wait for the first line."""
    feed = Feed([pipe[0]], SourceConfig(limit=0))

    assert await drain(feed) == []
    assert feed.total == 0


async def test_estimates_from_the_sizes_of_files(folder: Path) -> None:
    """While a file is read, its size and its lines so far tell about how many entries it has."""
    Path("list").write_bytes(b"http://a.example/12345\n" * 50_000)
    Path("empty").write_bytes(b"")
    feed = Feed(["list", "empty", "http://b.example/"], SourceConfig())
    before = feed.estimate()
    batches = feed.batches()

    await anext(batches)
    early = feed.estimate()
    await batches.aclose()

    assert before is None
    assert early is not None
    assert 49_000 < early < 51_000
    assert feed.total is None


async def test_estimates_nothing_of_a_pipe(folder: Path, pipe: tuple[str, int]) -> None:
    """How much a pipe will bring nobody can tell, even where there is a file beside it."""
    name, writer = pipe
    Path("list").write_bytes(b"http://a.example/\n" * 100)
    os.write(writer, b"http://b.example/\n")
    feed = Feed(["list", name], SourceConfig())
    batches = first(feed)

    await anext(batches)

    assert feed.estimate() is None
    await batches.aclose()
    feed.close()


def test_counts_the_urls_of_a_command_line() -> None:
    """URLs named as sources are known before anything is read, as far as the limit goes."""
    urls = ["http://a.example/", "http://b.example/"]

    assert Feed(urls, SourceConfig()).estimate() == 2
    assert Feed(urls, SourceConfig(limit=1)).estimate() == 1


async def test_an_error_in_the_middle_names_its_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before a disk fails has been given; then the error says which source it was."""
    Path("list").write_bytes(b"http://a.example/\n" * 10)
    blocks: list[bytes | OSError] = [b"http://a.example/\nhttp://a.exa", OSError(errno.EIO, os.strerror(errno.EIO))]

    def read_once(_descriptor: int, _size: int) -> bytes:
        block = blocks.pop(0)
        if isinstance(block, OSError):
            raise block
        return block

    feed = Feed(["list"], SourceConfig())
    monkeypatch.setattr("fetcher.sources.reader.os.read", read_once)
    batches = first(feed)

    assert sent(await anext(batches)) == ["http://a.example/"]
    with pytest.raises(SourceError) as failure:
        await anext(batches)
    assert str(failure.value) == "list: Input/output error"
    assert isinstance(failure.value.__cause__, OSError)
    assert feed.total is None


@pytest.mark.usefixtures("open_descriptors")
async def test_closing_ends_whoever_waits(pipe: tuple[str, int]) -> None:
    """A feed that is closed while its pipe is silent ends its batches and its thread, and closes its descriptors."""
    feed = Feed([pipe[0]], SourceConfig())
    waiting = asyncio.ensure_future(drain(feed))
    while not any(thread.name == "afetch-reader" for thread in threading.enumerate()):
        await asyncio.sleep(0)

    feed.close()
    feed.close()

    assert await waiting == []
    assert feed.total is None
    assert not any(thread.name == "afetch-reader" for thread in threading.enumerate())


@pytest.mark.usefixtures("open_descriptors")
def test_closing_unread_leaves_nothing_open(folder: Path) -> None:
    """A feed whose run never began closes what it had opened."""
    Path("list").write_bytes(b"http://a.example/\n")

    Feed(["list"], SourceConfig()).close()


async def test_closing_ends_a_batch_that_is_under_way(folder: Path) -> None:
    """After `close` nothing more is given of what was read already."""
    Path("list").write_bytes(b"http://a.example/\n" * 2_000)
    feed = Feed(["list"], SourceConfig())
    batches = feed.batches()
    await anext(batches)

    feed.close()

    assert [batch async for batch in batches] == []


def test_works_on_uvloop(folder: Path) -> None:
    """The feed asks nothing of a loop that uvloop does not have."""
    Path("list").write_bytes(b"http://a.example/\n" * 1_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        requests = runner.run(drain(Feed(["list"], SourceConfig())))

    assert len(requests) == 1_000


def test_a_loop_that_is_gone_ends_the_thread(pipe: tuple[str, int]) -> None:
    """A thread that reads for a loop which was closed under it ends quietly when something comes."""
    name, writer = pipe
    feed = Feed([name], SourceConfig())
    batches = feed.batches()
    loop = asyncio.new_event_loop()
    os.write(writer, b"http://a.example/\n")
    loop.run_until_complete(anext(batches))
    [thread] = [thread for thread in threading.enumerate() if thread.name == "afetch-reader"]
    loop.close()

    os.write(writer, b"http://a.example/\n")
    thread.join(PATIENCE)

    assert not thread.is_alive()
    feed.close()


def test_knows_which_files_it_reads(folder: Path) -> None:
    """Device and inode of what is read, so that no output overwrites it."""
    Path("list").write_bytes(b"")
    status = Path("list").stat()

    feed = Feed(["list", "http://a.example/"], SourceConfig())

    assert feed.files == {(status.st_dev, status.st_ino)}
    feed.close()


READ_STDIN = """
import asyncio, sys
from fetcher.errors import SourceError
from fetcher.sources.config import SourceConfig
from fetcher.sources.reader import Feed

async def main():
    async for batch in Feed(sys.argv[1:], SourceConfig()).batches():
        for request in batch:
            print(request.index, request.url, flush=True)

try:
    asyncio.run(main())
except SourceError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_reads_standard_input(name: str) -> None:
    """Standard input is read to its end, from a pipe."""
    done = subprocess.run(
        [sys.executable, "-c", READ_STDIN, name],
        input=b"http://a.example/\nhttp://b.example/",
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )

    assert done.stdout == b"0 http://a.example/\n1 http://b.example/\n"
    assert done.stderr == b""


def test_says_that_standard_input_is_closed() -> None:
    """Standard input that was closed is a clear message, and nobody else's descriptor is read."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" -c "$1" - <&-', sys.executable, READ_STDIN],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )

    assert done.stdout == b"standard input: is not open; give a file, or pipe a list in\n"
    assert done.stderr == b""


def test_the_interpreter_ends_while_standard_input_is_silent() -> None:
    """A program that fails while its standard input stays open ends with its own status."""
    program = READ_STDIN.replace("print(request.index, request.url, flush=True)", "raise SystemExit(7)")
    process = subprocess.Popen(
        [sys.executable, "-c", program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdin:
        process.stdin.write(b"http://a.example/\n")
        process.stdin.flush()

        assert process.wait(PATIENCE) == 7
        assert process.stderr.read() == b""


# Iterables


async def test_takes_a_programs_own_entries() -> None:
    """Entry n is request n: `#` begins no comment, an empty text is malformed, a Request keeps all but its index."""
    [made] = LineParser(SourceConfig()).requests(["http://made.example/"])
    source = from_iterable([" http://a.example/ ", "# no comment", "", made], SourceConfig(params=(("p", "1"),)))

    requests = await drain(source)

    assert [(request.index, str(request.url)) for request in requests] == [
        (0, "http://a.example/?p=1"),
        (1, "None"),
        (2, "None"),
        (3, "http://made.example/"),
    ]
    assert [request.error.kind for request in requests[1:3] if request.error] == [ErrorKind.INVALID_URL] * 2
    assert source.total == 4


async def test_an_empty_text_is_malformed_behind_a_base() -> None:
    """An empty entry of a program is not the base itself."""
    [request] = await drain(from_iterable([""], SourceConfig(base_url="http://a.example/")))

    assert request.error is not None
    assert request.error.message == "an empty entry"


async def test_an_endless_generator_leaves_the_loop_free() -> None:
    """The loop has its turn after a few entries, and closing ends it."""

    def endless() -> Iterator[str]:
        while True:
            yield "http://a.example/"

    source = from_iterable(endless(), SourceConfig())
    batches = source.batches()
    taken = len(await anext(batches))
    asyncio.get_running_loop().call_soon(source.close)

    async for batch in batches:
        taken += len(batch)

    assert 0 < taken < 1_000
    assert source.total is None
    assert source.estimate() is None


async def test_takes_an_async_iterable_as_it_comes() -> None:
    """Each entry is given before the next is awaited, and the limit awaits no more than it needs."""
    taken: list[int] = []

    async def slow() -> AsyncIterator[str]:
        for number in range(1_000):
            taken.append(number)
            yield f"http://a.example/{number}"

    source = from_iterable(slow(), SourceConfig(limit=2))
    batches = source.batches()

    assert sent(await anext(batches)) == ["http://a.example/0"]
    assert taken == [0]
    assert [sent(batch) async for batch in batches] == [["http://a.example/1"]]
    assert taken == [0, 1]
    assert source.total == 2


async def test_estimates_a_list_by_its_length() -> None:
    """A list knows its length before it is read, a limit is kept."""
    urls = ["http://a.example/"] * 10

    assert from_iterable(urls, SourceConfig()).estimate() == 10
    assert from_iterable(urls, SourceConfig(limit=3)).estimate() == 3
    assert len(await drain(from_iterable(urls, SourceConfig(limit=3)))) == 3


@pytest.mark.parametrize("entries", ["http://a.example/", b"http://a.example/", 7])
def test_refuses_what_is_no_list(entries: Entries) -> None:
    """One text would be taken apart into characters: it is refused, with the way out."""
    with pytest.raises(UsageError, match=r"no list of URLs; put it into one: \[url\]"):
        from_iterable(entries, SourceConfig())


async def test_refuses_an_entry_of_another_kind() -> None:
    """What is neither a text nor a Request is the caller's mistake, named by its place; what came before is given."""
    batches = from_iterable(["http://a.example/", 7], SourceConfig()).batches()  # type: ignore[list-item]  # the mistake

    assert sent(await anext(batches)) == ["http://a.example/"]
    with pytest.raises(UsageError, match="entry 1: 7 is neither a text nor a Request"):
        await anext(batches)
