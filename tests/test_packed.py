"""Compressed files, as the tools see them that read them: ended, killed, and on a full disk."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.record import LARGE, Record, RecordConfig, encode_line, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.files import Descriptor, Function
from fetcher.sinks.outputs import ByteOutput
from fetcher.sinks.packed import MEMBER, PACKINGS, Packed, gzip_members
from fetcher.sinks.writer import Writer
from tests.conftest import Afetch
from tests.disks import full_disk
from tests.opening import open_output
from tests.samples import reply, unsent_result
from tests.servers import Site

NEVER = threading.Event()
CONFIG = RecordConfig()
PATIENCE = 10.0
TOOLS = {".gz": "gzip", ".zst": "zstd"}


def numbered(index: int, size: int = 10) -> Record:
    return replace(make_record(unsent_result(), CONFIG), index=index, url="x" * size)


@pytest.fixture(params=TOOLS)
def suffix(request: pytest.FixtureRequest) -> str:
    """Each way to compress, whose tool is installed."""
    if shutil.which(TOOLS[request.param]) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{TOOLS[request.param]} is not installed")
        pytest.skip(f"{TOOLS[request.param]} is not installed")
    return str(request.param)


def unpacked(path: Path) -> bytes:
    """What the tool gives back; it must find nothing wrong with the file."""
    tool = TOOLS[path.suffix]
    subprocess.run([tool, "-t", "-q", path], check=True, timeout=PATIENCE)
    return subprocess.run([tool, "-dc", path], check=True, timeout=PATIENCE, stdout=subprocess.PIPE).stdout


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("path", "format_"),
    [("a.jsonl.gz", "jsonl"), ("a.csv.zst", "csv"), ("A.TXT.GZ", "text"), ("a.gz", "text"), ("a.b.json.zst", "json")],
)
def test_the_suffix_before_is_the_formats(path: str, format_: str) -> None:
    """`.jsonl.gz` is JSON Lines, compressed."""
    [place] = OutputConfig(output=(path,)).places

    assert (place.format, place.packing) == (format_, Path(path).suffix.lower())


def test_a_file_is_read_by_its_tool(tmp_path: Path, suffix: str) -> None:
    """gzip and zstd find it whole, and give back every byte, those of a large record too."""
    large = make_record(reply(b"y" * LARGE, b"text/plain"), CONFIG, whole=False)
    path = tmp_path / f"out.jsonl{suffix}"
    output = open_output(OutputConfig(output=(str(path),)))

    output.begin()
    for record in (numbered(0), large, numbered(1)):
        output.add(record)
    output.end(NEVER)
    output.close()

    whole = make_record(reply(b"y" * LARGE, b"text/plain"), CONFIG)
    assert unpacked(path) == b"".join(map(encode_line, (numbered(0), whole, numbered(1))))
    assert output.written == 3
    assert path.stat().st_size < 10_000


def test_a_file_of_no_records_is_no_empty_file(tmp_path: Path, suffix: str) -> None:
    """An empty file is none that gzip reads."""
    path = tmp_path / f"out.csv{suffix}"
    lines = tmp_path / f"out.jsonl{suffix}"

    for place in (path, lines):
        output = open_output(OutputConfig(output=(str(place),)))
        output.begin()
        output.end(NEVER)
        output.close()

    assert unpacked(path).startswith(b"url,index,")
    assert unpacked(lines) == b""


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=50), max_size=4), max_size=6), st.sampled_from(sorted(PACKINGS))
)
def test_nothing_is_lost_however_it_is_flushed(batches: list[list[bytes]], packing: str) -> None:
    """The members together are what went in, in order, and all of it is counted."""
    seen: list[bytes] = []
    place = Packed(Function(seen.append), PACKINGS[packing](), Clock())

    for batch in batches:
        place.write([*batch], NEVER)
    place.end(NEVER)

    data = b"".join(seen)
    if packing == ".gz":
        assert gzip.decompress(data) == b"".join(map(b"".join, batches))
    assert place.written == sum(map(len, batches))


def test_small_records_share_a_member(tmp_path: Path) -> None:
    """They are held until they are many, or have been held for long enough, and are not counted before."""
    seen: list[bytes] = []
    clock = Clock()
    place = Packed(Function(seen.append), gzip_members(), clock)

    place.write([b"a"], NEVER)
    place.write([b"b"], NEVER)
    early = place.written, len(seen)
    clock.now += 1.0
    place.write([], NEVER)
    late = place.written, [*map(gzip.decompress, seen)]
    place.write([b"c" * MEMBER], NEVER)

    assert early == (0, 0)
    assert late == (2, [b"ab"])
    assert (place.written, len(seen)) == (3, 2)


def test_what_is_held_is_written_though_no_record_comes(tmp_path: Path) -> None:
    """The writer looks again by itself: the last record of a slow list does not wait for the next one."""
    path = tmp_path / "out.jsonl.gz"
    output = open_output(OutputConfig(output=(str(path),)))
    seen = threading.Event()

    class Watched(Packed):
        def _flush(self, stop: threading.Event) -> None:
            super()._flush(stop)
            if self.written:
                seen.set()

    assert isinstance(output, ByteOutput)
    packed = output._destination
    assert isinstance(packed, Packed)
    packed.__class__ = Watched
    writing = Writer([output], CONFIG, lambda *_: None, lambda _error: None)

    writing.put(unsent_result())
    written = seen.wait(PATIENCE)

    assert written
    assert len(unpacked(path).splitlines()) == 1
    assert writing.close(PATIENCE)


@pytest.mark.parametrize("format_", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("size", range(600, 760, 12))
def test_a_full_disk_keeps_whole_members_only(tmp_path: Path, format_: str, size: int) -> None:
    """The file is well-formed, the format's end included, and the count is that of the records in it."""
    path = tmp_path / f"out.{format_}.gz"
    clock = Clock()
    file = Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True)
    sink = open_output(OutputConfig(output=(str(tmp_path / f"other.{format_}"),)))
    assert isinstance(sink, ByteOutput)
    sink.close()
    output = ByteOutput(sink._sink, Packed(file, gzip_members(), clock))
    output.begin()

    def work() -> None:
        for index in range(50):
            output.add(numbered(index))
            output.flush(NEVER)
            clock.now += 1.0
        output.end(NEVER)

    with pytest.raises(SinkError), full_disk(size):
        work()
    output.close()

    text = unpacked(path).decode()
    kept = len(json.loads(text)) if format_ == "json" else len(text.splitlines()) - (format_ == "csv")
    assert kept == output.written > 0
    assert path.stat().st_size <= size


def test_a_killed_run_leaves_a_file_that_is_read(afetch: Afetch, site: Site, suffix: str) -> None:
    """After SIGKILL all that had been written is there, and the tool finds nothing wrong."""
    name = f"out.jsonl{suffix}"
    urls = [site.page(f"page {number}") for number in range(200)]
    process = afetch.start("-", site.hang(), "-o", name, "-c", "10", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("".join(f"{url}\n" for url in urls).encode())
    process.stdin.close()
    path = afetch.folder / name
    until = time.monotonic() + PATIENCE
    while not (path.exists() and path.stat().st_size and len(unpacked(path).splitlines()) == 200):
        assert time.monotonic() < until
        threading.Event().wait(0.05)

    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)

    assert sorted(json.loads(line)["url"] for line in unpacked(path).splitlines()) == sorted(urls)


def test_an_interrupted_run_leaves_a_whole_file(afetch: Afetch, site: Site, suffix: str) -> None:
    """The second Ctrl-C ends at once: an array is closed, and the compression with it."""
    name = f"out.json{suffix}"
    process = afetch.start(site.page("x"), site.hang(), "-o", name)
    site.wait(2)
    path = afetch.folder / name
    until = time.monotonic() + PATIENCE
    while not path.stat().st_size:
        assert time.monotonic() < until
        threading.Event().wait(0.05)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)

    assert [record["body"] for record in json.loads(unpacked(path))][:1] == ["x"]


def test_pandas_reads_a_compressed_table(afetch: Afetch, site: Site) -> None:
    """`read_csv("out.csv.gz")` and `read_json("out.jsonl.gz", lines=True)`."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (it is in the extra dev)")

    afetch(site.page("x"), "-o", "out.csv.gz", "-o", "out.jsonl.gz")

    table = pandas.read_csv(afetch.folder / "out.csv.gz")
    lines = pandas.read_json(afetch.folder / "out.jsonl.gz", lines=True)
    assert list(table["status"]) == list(lines["status"]) == [200]


def test_holding_records_is_worth_it() -> None:
    """A hundred records a second make a member of some dozens, and a file a third of what it would be one by one."""
    seen: list[bytes] = []
    clock = Clock()
    place = Packed(Function(seen.append), gzip_members(), clock)
    lines = [encode_line(numbered(index, size=index % 50)) for index in range(1_000)]

    for line in lines:
        place.write([line], NEVER)
        clock.now += 0.01
    place.end(NEVER)

    assert 20 < len(seen) < 30
    assert len(b"".join(seen)) * 3 < sum(len(gzip.compress(line)) for line in lines)
