"""The thread that writes: order, batches, readers that stop reading, disks that fill, endings."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.model import Result
from fetcher.record import LARGE, LargeRecord, Record, RecordConfig, encode, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.files import Descriptor, Function
from fetcher.sinks.json import Json
from fetcher.sinks.jsonl import JsonLines
from fetcher.sinks.outputs import ByteOutput
from fetcher.sinks.protocol import Output, Said, Sink
from fetcher.sinks.writer import BUFFER, Writer
from tests.opening import open_output, sink_of
from tests.samples import BODY, reply, sample_result, unsent_result

PATIENCE = 10.0
CONFIG = RecordConfig()


class Ear:
    """Hears what a writer tells, in its thread, and lets a test wait for it."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []
        self.errors: list[Exception] = []
        self._told = threading.Condition()

    def written(self, count: int, size: int) -> None:
        with self._told:
            self.batches.append((count, size))
            self._told.notify_all()

    def failed(self, error: Exception) -> None:
        with self._told:
            self.errors.append(error)
            self._told.notify_all()

    def until(self, true: Callable[[], bool]) -> None:
        with self._told:
            assert self._told.wait_for(true, PATIENCE)

    @property
    def count(self) -> int:
        return sum(count for count, _ in self.batches)

    @property
    def size(self) -> int:
        return sum(size for _, size in self.batches)


@pytest.fixture
def ear() -> Ear:
    """Who is told."""
    return Ear()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a thread or a descriptor behind."""
    before = set(Path("/dev/fd").iterdir())
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "afetch-writer"] == []
    assert set(Path("/dev/fd").iterdir()) <= before


def writer(ear: Ear, *outputs: Output) -> Writer:
    return Writer(outputs, CONFIG, ear.written, ear.failed)


def numbered(index: int, result: Result | None = None) -> Result:
    result = result or unsent_result()
    return replace(result, request=replace(result.request, index=index))


def pipe(sink: Sink) -> tuple[int, ByteOutput]:
    """The reading end of a pipe, and the output that writes to it."""
    reader, end = os.pipe()
    return reader, ByteOutput(sink, Descriptor(end, "pipe", owned=True))


def read_some(descriptor: int) -> bytes:
    """What there is, which may not take for ever to come."""
    ready, _, _ = select.select([descriptor], [], [], PATIENCE)
    assert ready
    return os.read(descriptor, 1 << 16)


class Gate:
    """A place that takes a write only when the test opens it."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, data: bytes) -> None:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        self.calls.append(data)


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "json"])
def test_writes_every_result_once_and_in_order(tmp_path: Path, ear: Ear, suffix: str) -> None:
    """What is put is written, in its order, and closed well-formed; the bytes of the bodies are told."""
    path = tmp_path / f"out.{suffix}"
    config = OutputConfig(output=(str(path),))
    results = [numbered(index, sample_result()) for index in range(1_000)]
    writing = writer(ear, open_output(config))

    for result in results:
        writing.put(result)
    closed = writing.close()

    sink = sink_of(config.places[0].format)
    said = [sink.begin(), *(bytes(sink.one(make_record(result, CONFIG))) for result in results), sink.end()]
    assert closed
    assert path.read_bytes() == b"".join(said)
    assert (ear.count, ear.size) == (1_000, 1_000 * len(BODY))
    assert (writing.queued, writing.queued_bytes, writing.unwritten, ear.errors) == (0, 0, 0, [])


def test_writes_at_once_what_comes_alone(ear: Ear) -> None:
    """A single result is on the pipe while the writer is still open: `afetch | reader` sees it."""
    reader, output = pipe(JsonLines())
    writing = writer(ear, output)

    for index in range(3):
        writing.put(numbered(index))
        assert json.loads(read_some(reader))["index"] == index

    assert writing.close(PATIENCE)
    assert read_some(reader) == b""
    os.close(reader)


def test_writes_what_gathered_in_one_go(ear: Ear) -> None:
    """What comes while an output is busy is written together, not record by record."""
    gate = Gate()
    writing = writer(ear, ByteOutput(JsonLines(), Function(gate)))
    writing.put(numbered(0))
    assert gate.entered.wait(PATIENCE)

    for index in range(1, 501):
        writing.put(numbered(index))
    gate.opened.set()

    assert writing.close(PATIENCE)
    assert [call.count(b"\n") for call in gate.calls] == [1, 500]
    assert ear.batches == [(1, 0), (500, 0)]


def test_holds_no_more_than_a_buffer_before_it_writes(ear: Ear) -> None:
    """Large bodies are written as soon as they fill the buffer, however many are queued."""
    gate = Gate()
    writing = writer(ear, ByteOutput(JsonLines(), Function(gate)))
    writing.put(numbered(0))
    assert gate.entered.wait(PATIENCE)
    large = reply(b"x" * 700_000, b"text/plain")

    for index in range(1, 7):
        writing.put(numbered(index, large))
    queued = writing.queued, writing.queued_bytes
    gate.opened.set()

    assert writing.close(PATIENCE)
    assert queued == (7, 6 * 700_000)
    assert [call.count(b"\n") for call in gate.calls] == [1, 2, 2, 2]
    assert max(map(len, gate.calls)) < BUFFER + 800_000
    assert ear.batches == [(1, 0), *[(2, 1_400_000)] * 3]


def test_writes_to_every_output(tmp_path: Path, ear: Ear) -> None:
    """Two outputs have the same records, each in its format."""
    lines, array = tmp_path / "out.jsonl", tmp_path / "out.json"
    writing = writer(
        ear, open_output(OutputConfig(output=(str(lines),))), open_output(OutputConfig(output=(str(array),)))
    )

    for index in range(10):
        writing.put(numbered(index))

    assert writing.close(PATIENCE)
    assert [json.loads(line) for line in lines.read_bytes().splitlines()] == json.loads(array.read_bytes())


@pytest.mark.parametrize("suffix", ["txt", "jsonl", "json"])
def test_writes_large_bodies_as_it_writes_small_ones(tmp_path: Path, ear: Ear, suffix: str) -> None:
    """In their place, byte for byte what the record is when it is made whole, to every output."""
    paths = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    configs = [OutputConfig(output=(str(path),)) for path in paths]
    results = [
        numbered(0),
        numbered(1, reply("\U0001f600".encode() + b"x" * LARGE, b"text/plain")),
        numbered(2, reply(bytes(LARGE), b"image/png")),
        numbered(3, reply(b'"' + b"x" * LARGE + b'"', b"application/json")),
        numbered(4),
    ]
    writing = writer(ear, *map(open_output, configs))

    for result in results:
        writing.put(result)

    assert writing.close(PATIENCE)
    sink = sink_of(suffix.replace("txt", "text"))
    said = [sink.begin(), *(bytes(sink.one(make_record(result, CONFIG))) for result in results), sink.end()]
    assert [path.read_bytes() for path in paths] == [b"".join(said)] * 2
    assert (writing.unwritten, ear.errors) == (0, [])


class Curious(JsonLines):
    """A sink that remembers what kind of record it was given."""

    def __init__(self) -> None:
        self.kinds: list[type[Record]] = []

    def one(self, record: Record) -> Said:
        self.kinds.append(type(record))
        return super().one(record)


def test_formats_are_given_large_bodies_unmade(ear: Ear) -> None:
    """What the writer's thread makes is made for all outputs at once: there, large bodies would be held whole."""
    sink = Curious()
    writing = writer(ear, ByteOutput(sink, Function(lambda _data: None)))

    writing.put(numbered(0, reply(b"x" * (LARGE - 1), b"text/plain")))
    writing.put(numbered(1, reply(b"x" * LARGE, b"text/plain")))

    assert writing.close(PATIENCE)
    assert sink.kinds == [Record, LargeRecord]


def test_closing_without_results_is_well_formed(tmp_path: Path, ear: Ear) -> None:
    """A run without entries leaves an empty array."""
    path = tmp_path / "out.json"

    assert writer(ear, open_output(OutputConfig(output=(str(path),)))).close(PATIENCE)

    assert path.read_bytes() == b"[]\n"
    assert ear.batches == []


def test_a_reader_that_does_not_read_holds_nobody(tmp_path: Path, ear: Ear) -> None:
    """`afetch | less`: putting goes on, what waits is told, closing with a time returns; then all of it is read."""
    reader, output = pipe(JsonLines())
    writing = writer(ear, output)
    body = reply(b"x" * 1_000, b"text/plain")

    for index in range(500):
        writing.put(numbered(index, body))
    waiting = writing.close(0.0)
    queued = writing.queued, writing.queued_bytes
    with os.fdopen(reader, "rb") as file:
        read = [json.loads(line)["index"] for line in file]

    assert not waiting
    assert queued == (500, 500_000)
    assert read == list(range(500))
    assert writing.close(PATIENCE)
    assert writing.queued == 0


def test_abandons_a_reader_that_does_not_read(tmp_path: Path, ear: Ear) -> None:
    """The second interrupt ends the thread although a pipe is full, and closes the array in the file."""
    path = tmp_path / "out.json"
    reader, stalled = pipe(JsonLines())
    writing = writer(ear, open_output(OutputConfig(output=(str(path),))), stalled)
    body = reply(b"x" * 200_000, b"text/plain")
    for index in range(50):
        writing.put(numbered(index, body))
    assert not writing.close(0.0)

    assert writing.abandon(PATIENCE)

    os.close(reader)
    written = json.loads(path.read_bytes())
    assert [record["index"] for record in written] == list(range(len(written)))
    assert len(written) < 50
    assert writing.unwritten == 50
    assert ear.errors == []


def test_abandoning_writes_nothing_of_the_queue(tmp_path: Path, ear: Ear) -> None:
    """What was not begun is dropped, and counted as never written."""
    gate = Gate()
    writing = writer(ear, ByteOutput(Json(), Function(gate)))
    writing.put(numbered(0))
    # The bracket and the first record.
    assert gate.entered.wait(PATIENCE)
    for index in range(1, 100):
        writing.put(numbered(index))

    assert not writing.abandon(0.0)
    gate.opened.set()

    assert writing.close(PATIENCE)
    assert [record["index"] for record in json.loads(b"".join(gate.calls))] == [0]
    assert (writing.queued, writing.unwritten) == (99, 99)


class Slow(JsonLines):
    """A sink that takes its time over a record, until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.opened = threading.Event()

    def one(self, record: Record) -> Said:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return super().one(record)


def test_abandoning_ends_after_the_record_at_hand(ear: Ear) -> None:
    """The record that is being made is written whole, and none after it."""
    sink, seen = Slow(), list[bytes]()
    writing = writer(ear, ByteOutput(sink, Function(seen.append)))
    for index in range(100):
        writing.put(numbered(index))
    assert sink.entered.wait(PATIENCE)

    assert not writing.abandon(0.0)
    sink.opened.set()

    assert writing.close(PATIENCE)
    assert [json.loads(line)["index"] for line in b"".join(seen).splitlines()] == [0]
    assert writing.queued == 99


class Broken:
    """An output of its own kind, which fails whenever it is written to."""

    written = 0

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self) -> None:
        self.calls.append("begin")

    def add(self, record: Record) -> int:
        self.calls.append(f"add {record.index}")
        return 0

    def flush(self, stop: threading.Event) -> None:
        del stop
        self.calls.append("flush")
        raise SinkError("broken")

    def end(self, stop: threading.Event) -> None:
        del stop
        self.calls.append("end")

    def close(self) -> None:
        self.calls.append("close")


def test_an_output_that_failed_is_only_closed(ear: Ear) -> None:
    """Whatever kind of output it is: after its error it gets no record and no end, and is told of once."""
    output = Broken()
    writing = writer(ear, output)

    writing.put(numbered(0))
    ear.until(lambda: bool(ear.batches))
    writing.put(numbered(1))

    assert writing.close(PATIENCE)
    assert output.calls == ["begin", "add 0", "flush", "close"]
    assert [str(error) for error in ear.errors] == ["broken"]
    assert (writing.queued, writing.unwritten) == (0, 2)


def test_a_reader_that_left_is_reported_once(ear: Ear) -> None:
    """`afetch | head -1`: the broken pipe is told, nothing more is written, and results are still taken in."""
    reader, output = pipe(JsonLines())
    writing = writer(ear, output)
    writing.put(numbered(0))
    read_some(reader)
    os.close(reader)

    writing.put(numbered(1, reply(b"abc")))
    ear.until(lambda: bool(ear.errors))
    for index in range(2, 10):
        writing.put(numbered(index, reply(b"abc")))

    assert writing.close(PATIENCE)
    assert [type(error) for error in ear.errors] == [BrokenPipeError]
    assert (ear.count, ear.size, writing.queued) == (10, 9 * 3, 0)


def test_a_full_disk_is_reported_once_and_the_others_go_on(tmp_path: Path, ear: Ear) -> None:
    """One output that fails is named, and takes nothing more; the other has every record."""
    path = tmp_path / "out.jsonl"
    full = ByteOutput(JsonLines(), Descriptor(os.open("/dev/full", os.O_WRONLY), "/dev/full", owned=True))
    writing = writer(ear, full, open_output(OutputConfig(output=(str(path),))))

    writing.put(numbered(0))
    ear.until(lambda: bool(ear.errors))
    for index in range(1, 10):
        writing.put(numbered(index))

    assert writing.close(PATIENCE)
    [error] = ear.errors
    assert isinstance(error, SinkError)
    assert str(error) == "/dev/full: no space is left; make room or choose another place with --output"
    assert len(path.read_bytes().splitlines()) == 10
    assert (writing.queued, writing.unwritten) == (0, 10)


def test_an_end_that_cannot_be_written_is_reported(ear: Ear) -> None:
    """The closing bracket can fail, too, and that is not kept quiet."""
    full = ByteOutput(Json(), Descriptor(os.open("/dev/full", os.O_WRONLY), "/dev/full", owned=True))

    assert writer(ear, full).close(PATIENCE)

    assert [type(error) for error in ear.errors] == [SinkError]


def test_our_bug_in_a_record_costs_no_other_record(tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that no record can be made of is told as a bug, and its entry has a record that says so."""

    def make(result: Result, config: RecordConfig, *, whole: bool = True) -> Record:
        if result.hop is not None:
            raise ZeroDivisionError("a bug")
        return make_record(result, config, whole=whole)

    monkeypatch.setattr("fetcher.sinks.writer.make_record", make)
    path = tmp_path / "out.jsonl"
    writing = writer(ear, open_output(OutputConfig(output=(str(path),))))

    writing.put(numbered(0))
    writing.put(numbered(1, reply(b"abc")))
    writing.put(numbered(2))

    assert writing.close(PATIENCE)
    assert [type(error) for error in ear.errors] == [ZeroDivisionError]
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [record["index"] for record in records] == [0, 1, 2]
    assert records[1]["error"] == {"kind": "internal", "message": "a bug of ours: ZeroDivisionError: a bug"}
    assert (ear.count, ear.size) == (3, 3)


class Faulty(JsonLines):
    """A sink that has a bug of its own."""

    def one(self, record: Record) -> Said:
        if record.index == 1:
            raise ZeroDivisionError("a bug")
        return encode(record) + b"\n"


def test_our_bug_in_a_format_does_not_hang_the_run(ear: Ear) -> None:
    """A record that cannot be encoded is told as a bug, and those after it are written."""
    seen: list[bytes] = []
    writing = writer(ear, ByteOutput(Faulty(), Function(seen.append)))

    for index in range(3):
        writing.put(numbered(index))

    assert writing.close(PATIENCE)
    assert [type(error) for error in ear.errors] == [ZeroDivisionError]
    assert [json.loads(line)["index"] for line in b"".join(seen).splitlines()] == [0, 2]
    assert writing.queued == 0


def test_a_loop_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    """Whoever is told may be gone already; what was put is written all the same."""

    def gone(*_args: object) -> None:
        raise RuntimeError("Event loop is closed")

    path = tmp_path / "out.json"
    writing = Writer([open_output(OutputConfig(output=(str(path),)))], CONFIG, gone, gone)

    for index in range(3):
        writing.put(numbered(index))

    assert writing.close(PATIENCE)
    assert [record["index"] for record in json.loads(path.read_bytes())] == [0, 1, 2]


def test_replaces_the_old_file_when_it_begins(tmp_path: Path, ear: Ear) -> None:
    """The file that `overwrite` gave up is emptied by the writer, and not before."""
    path = tmp_path / "out.json"
    path.write_bytes(b"x" * 1_000)
    output = open_output(OutputConfig(output=(str(path),), overwrite=True))
    before = path.stat().st_size

    writing = writer(ear, output)

    assert writing.close(PATIENCE)
    assert before == 1_000
    assert path.read_bytes() == b"[]\n"


def test_keeps_time_under_load(monkeypatch: pytest.MonkeyPatch, ear: Ear) -> None:
    """While records keep coming, none waits longer than half a second for its batch to end."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.2
        return now

    monkeypatch.setattr("fetcher.sinks.writer.time", FakeTime(clock))
    gate = Gate()
    writing = writer(ear, ByteOutput(JsonLines(), Function(gate)))
    writing.put(numbered(0))
    assert gate.entered.wait(PATIENCE)

    for index in range(1, 7):
        writing.put(numbered(index))
    gate.opened.set()

    assert writing.close(PATIENCE)
    assert [count for count, _ in ear.batches] == [1, 3, 3]


class FakeTime:
    """The clock as a test tells it."""

    sleep = staticmethod(time.sleep)

    def __init__(self, clock: Callable[[], float]) -> None:
        self.monotonic = clock


def test_a_terminal_is_written_to_as_it_reads() -> None:
    """A terminal takes the bytes whole; a stopped one does not hold the end."""
    master, slave = os.openpty()
    ear = Ear()
    with closing(os.fdopen(master, "rb", buffering=0)) as screen:
        writing = writer(ear, ByteOutput(JsonLines(), Descriptor(slave, "terminal", owned=True)))
        writing.put(numbered(0))
        read = b""
        while not read.endswith(b"\r\n"):
            read += read_some(screen.fileno())
        for index in range(1, 1_000):
            writing.put(numbered(index, sample_result()))
        ear.until(lambda: bool(ear.batches))

        assert writing.abandon(PATIENCE)

    assert json.loads(read)["index"] == 0
