"""What records are written as, and the places they are written to."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import ErrorKind, SinkError, UsageError
from fetcher.model import Result
from fetcher.record import LARGE, Failure, Record, RecordConfig, encode, make_record
from fetcher.sinks.config import FORMATS, OutputConfig, Place
from fetcher.sinks.files import AbandonedError, Descriptor, Function
from fetcher.sinks.formats import SINKS, Shape
from fetcher.sinks.json import Json
from fetcher.sinks.jsonl import JsonLines
from fetcher.sinks.outputs import ByteOutput, open_outputs
from fetcher.sinks.protocol import Sink
from fetcher.sinks.text import Text
from tests.disks import full_disk
from tests.opening import open_output, sink_of
from tests.ordinary import ordinary
from tests.samples import failed_result, reply, sample_record, unsent_result

NEVER = threading.Event()
PATIENCE = 10.0

WITH_SUFFIXES = (
    "text (.txt), jsonl (.jsonl, .ndjson), json (.json), csv (.csv), tsv (.tsv), sqlite (.sqlite, .sqlite3, .db), "
    "parquet (.parquet), warc (.warc)"
)


STREAMS = [name for name, format_ in SINKS.items() if format_.make is not None and not format_.captures]
"""What is made of the wire has a name and a time of its own in each record, and tests of its own."""

AMBIGUOUS = (
    "format jsonl with {} outputs is that of the one without a suffix that says it, and {}; "
    f"leave --format out, and name files by their formats: {WITH_SUFFIXES}"
)


def record_of(result: Result) -> Record:
    return make_record(result, RecordConfig())


def whole(sink: Sink, *records: Record) -> bytes:
    """All that a sink says of these records."""
    return b"".join([sink.begin(), *(bytes(sink.one(record)) for record in records), sink.end()])


@pytest.fixture
def records() -> list[Record]:
    """One that has everything, one without a reply, one that was never sent, and a plain failure."""
    return [
        sample_record(),
        record_of(failed_result()),
        record_of(unsent_result()),
        record_of(reply(b"gone", b"text/plain", status=404)),
    ]


# Formats


def test_text_is_five_columns(records: list[Record]) -> None:
    """A line a URL: status, bytes, seconds, URL and note, parted by tabs; `-` where there is none."""
    assert whole(Text(), *records).decode() == (
        "200\t39\t0.500\thttp://user:***@example.com/item#top\t-> https://example.com/item?id=7\n"
        "-\t-\t0.250\thttp://nowhere.example\tdns: no such name: nowhere.example\n"
        "-\t-\t-\tftp://example.com/\tinvalid-url: scheme 'ftp' is neither http nor https\n"
        "404\t4\t0.100\thttp://example.com/\t\n"
    )


def test_text_joins_where_it_led_to_what_went_wrong() -> None:
    """A redirect that ended in an error has both in its note."""
    record = replace(sample_record(), ok=False, error=Failure(ErrorKind.INCOMPLETE, "cut off"))

    assert whole(Text(), record).decode().split("\t")[4] == "-> https://example.com/item?id=7; incomplete: cut off\n"


def test_text_in_colour_keeps_its_columns(records: list[Record]) -> None:
    """On a terminal the status is painted and numbers stand under each other; the tabs are the same."""
    not_modified = record_of(reply(None, status=304))

    assert whole(Text(colour=True), *records, not_modified).decode() == (
        "\x1b[32m200\x1b[0m\t     39\t  0.500\thttp://user:***@example.com/item#top\t-> https://example.com/item?id=7\n"
        "\x1b[31m  -\x1b[0m\t      -\t  0.250\thttp://nowhere.example\t"
        "\x1b[31mdns: no such name: nowhere.example\x1b[0m\n"
        "\x1b[31m  -\x1b[0m\t      -\t      -\tftp://example.com/\t"
        "\x1b[31minvalid-url: scheme 'ftp' is neither http nor https\x1b[0m\n"
        "\x1b[31m404\x1b[0m\t      4\t  0.100\thttp://example.com/\t\n"
        "\x1b[33m304\x1b[0m\t      0\t  0.100\thttp://example.com/\t\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\x1b[31m\x7f", "a\\x09b\\x0ac\\x1b[31m\\x7f"),
        ("\x85\x9b", "\\x85\\x9b"),
        ("\u202egpj.exe\u2066\u2028\u061c", "\\u202egpj.exe\\u2066\\u2028\\u061c"),
        ("café \u00a0日本 \\x41", "café \u00a0日本 \\x41"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_escapes_what_moves_a_terminal(text: str, shown: str) -> None:
    """Controls, directions and line ends of Unicode are spelled out; whatever else there is stays."""
    record = replace(record_of(unsent_result()), url=text, error=Failure(ErrorKind.TLS, text))

    assert whole(Text(), record).decode() == f"-\t-\t-\t{shown}\ttls: {shown}\n"


@given(st.text(st.characters(codec=None)))
def test_text_is_always_one_line_of_five_columns(text: str) -> None:
    """Whatever is in a URL or a message, a line has five columns and nothing but its tabs below a blank."""
    record = replace(record_of(unsent_result()), url=text, error=Failure(ErrorKind.TLS, text))

    line = whole(Text(), record).decode()

    assert line.endswith("\n")
    assert len(line[:-1].split("\t")) == 5
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in line[:-1].replace("\t", ""))


def test_json_lines_is_a_record_a_line(records: list[Record]) -> None:
    """Every line is a record as it is published, whatever is in its body."""
    lines = whole(JsonLines(), *records).split(b"\n")

    assert lines == [*(encode(record) for record in records), b""]


def test_json_is_one_array(records: list[Record]) -> None:
    """All records are one array, a record a line."""
    said = whole(Json(), *records)

    assert json.loads(said) == [msgspec.to_builtins(json.loads(encode(record))) for record in records]
    assert said == b"[\n" + b",\n".join(encode(record) for record in records) + b"\n]\n"


def test_json_of_nothing_is_an_empty_array() -> None:
    """A list without entries is `[]`."""
    assert whole(Json()) == b"[]\n"


# Which format


@pytest.mark.parametrize(
    ("output", "given_format", "chosen"),
    [
        ("-", None, "text"),
        ("-", "json", "json"),
        ("results", None, "text"),
        ("results.txt", None, "text"),
        ("results.jsonl", None, "jsonl"),
        ("results.NDJSON", None, "jsonl"),
        ("results.json", None, "json"),
        ("a.csv/results", None, "text"),
        ("results.dat", "jsonl", "jsonl"),
        ("/dev/fd/7", None, "text"),
    ],
)
def test_chooses_the_format(output: str, given_format: str | None, chosen: str) -> None:
    """The user's word counts, then the file's suffix, then it is text."""
    [place] = OutputConfig(output=(output,), format=given_format).places

    assert place.format == chosen


def test_standard_output_is_the_place_where_none_is_named() -> None:
    """Without an output there is one all the same, and `-` is another name for it."""
    assert OutputConfig().places == OutputConfig(output=("-",)).places == (Place(path=None, format="text"),)


@pytest.mark.parametrize(
    ("outputs", "given_format", "chosen"),
    [
        (("a.jsonl", "b.txt", "-"), None, ["jsonl", "text", "text"]),
        (("a.jsonl", "-"), "json", ["jsonl", "json"]),
        (("a.dat", "b.json"), "jsonl", ["jsonl", "json"]),
    ],
)
def test_chooses_the_format_of_each(outputs: tuple[str, ...], given_format: str | None, chosen: list[str]) -> None:
    """Several go by their suffixes; what is said for all is for the one whose suffix says nothing."""
    config = OutputConfig(output=outputs, format=given_format)

    assert [place.format for place in config.places] == chosen


@pytest.mark.parametrize(
    ("outputs", "given_format", "message"),
    [
        (
            ("results.dat",),
            None,
            f"output 'results.dat': no format has the suffix .dat; choose one with --format: {WITH_SUFFIXES}",
        ),
        ((), "xml", f"format 'xml': choose one of {', '.join(FORMATS)}"),
        (("",), None, "output is empty; give a file's path, or - for standard output"),
        (("a.txt", "-", "b", "/dev/stdout"), None, "output to standard output: is there twice; leave one out"),
        (("a.txt", "a.txt"), None, "output a.txt: is there twice; leave one out"),
        (
            ("a.txt", "b.json"),
            "jsonl",
            AMBIGUOUS.format(2, "there is none such"),
        ),
        (
            ("a", "b.json", "-"),
            "jsonl",
            AMBIGUOUS.format(3, "there are 2 such"),
        ),
    ],
)
def test_refuses_a_format_that_is_none(outputs: tuple[str, ...], given_format: str | None, message: str) -> None:
    """A suffix or a name that stands for no format, or for nobody knows which output, is a usage error."""
    with pytest.raises(UsageError) as refusal:
        OutputConfig(output=outputs, format=given_format)

    assert str(refusal.value) == message


def test_every_format_has_a_sink() -> None:
    """Whatever can be chosen can be made, and no two formats claim one suffix."""
    suffixes = [suffix for format_ in SINKS.values() for suffix in format_.suffixes]

    assert tuple(SINKS) == FORMATS
    assert len(suffixes) == len(set(suffixes))
    for format_ in SINKS.values():
        assert (format_.make is None) != (format_.own is None)
    for name in STREAMS:
        assert whole(sink_of(name)) == whole(sink_of(name, Shape(colour=True)))


# Opening


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that names are relative to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def open_descriptors() -> Iterator[None]:
    """No test leaves a descriptor open."""
    before = set(Path("/dev/fd").iterdir())
    yield
    assert set(Path("/dev/fd").iterdir()) <= before


def write_all(config: OutputConfig, *records: Record) -> None:
    output = open_output(config)
    output.begin()
    for record in records:
        output.add(record)
    output.end(NEVER)
    output.close()


@pytest.mark.usefixtures("folder")
def test_writes_a_file(records: list[Record]) -> None:
    """A new file has the records in the format of its suffix, never in colour."""
    write_all(OutputConfig(output=("out.txt",)), *records)

    assert Path("out.txt").read_bytes() == whole(Text(), *records)


@pytest.mark.usefixtures("folder")
def test_keeps_a_file_that_is_not_empty(records: list[Record]) -> None:
    """What somebody has is not overwritten unless they say so."""
    Path("out.jsonl").write_text("precious")

    with pytest.raises(SinkError) as refusal:
        open_output(OutputConfig(output=("out.jsonl",)))

    assert str(refusal.value) == (
        "out.jsonl: is not empty; go on with it with --resume, replace it with --overwrite, or choose another name"
    )
    assert Path("out.jsonl").read_text() == "precious"


@pytest.mark.usefixtures("folder")
def test_replaces_a_file_only_when_the_run_begins(records: list[Record]) -> None:
    """With `overwrite` the old file is whole until the run begins, and gone then."""
    Path("out.json").write_bytes(b"x" * 1_000_000)
    config = OutputConfig(output=("out.json",), overwrite=True)

    open_output(config).close()
    untouched = Path("out.json").stat().st_size
    write_all(config, *records)

    assert untouched == 1_000_000
    assert Path("out.json").read_bytes() == whole(Json(), *records)


@pytest.mark.usefixtures("folder")
def test_leaves_no_file_of_a_run_that_never_began() -> None:
    """A run that is refused after its output was opened leaves no empty file; one that was there stays."""
    Path("there.txt").touch()

    open_output(OutputConfig(output=("new.txt",))).close()
    open_output(OutputConfig(output=("there.txt",))).close()

    assert [path.name for path in Path().iterdir()] == ["there.txt"]


@pytest.mark.usefixtures("folder")
def test_follows_a_link_to_a_file_that_is_not_there_yet(records: list[Record]) -> None:
    """An output may be a link."""
    Path("out.json").symlink_to("target")

    write_all(OutputConfig(output=("out.json",)))

    assert Path("target").read_bytes() == b"[]\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", ".: is a directory; name a file in it"),
        ("nowhere/out.txt", "nowhere/out.txt: its folder does not exist; make it, or choose another place"),
        ("file/out.txt", "file/out.txt: a part of its path is no directory; choose another place"),
        ("a\0b", "'a\\x00b': embedded null byte"),
    ],
)
def test_says_what_cannot_be_opened(path: str, message: str) -> None:
    """A place that cannot be written to is named, with the way out."""
    Path("file").touch()

    with pytest.raises(SinkError) as refusal:
        open_output(OutputConfig(output=(path,), format="text"))

    assert str(refusal.value) == message


@pytest.mark.usefixtures("folder")
def test_says_that_a_file_may_not_be_written() -> None:
    """A file without permission is named before the run."""
    Path("out.txt").touch(mode=0o400)

    with ordinary(), pytest.raises(SinkError, match=r"out\.txt: permission denied; choose a place"):
        open_output(OutputConfig(output=("out.txt",)))


@pytest.mark.usefixtures("folder")
def test_never_writes_to_its_input() -> None:
    """An output that is also read would eat the list: it is refused, `overwrite` or not."""
    Path("list").write_text("http://example.com/\n")
    Path("link.txt").hardlink_to("list")
    status = Path("list").stat()

    with pytest.raises(SinkError) as refusal:
        open_output(
            OutputConfig(output=("link.txt",), overwrite=True), inputs=frozenset({(status.st_dev, status.st_ino)})
        )

    assert str(refusal.value) == "link.txt: is also an input; choose another file with --output"
    assert Path("list").read_text() == "http://example.com/\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("other", ["./one.txt", "link.json", "hard.jsonl"])
def test_never_writes_two_outputs_into_one_file(other: str) -> None:
    """Whatever its names: it is refused, and no file is left that was not there."""
    Path("link.json").symlink_to("one.txt")
    Path("there.txt").touch()
    Path("hard.jsonl").hardlink_to("there.txt")
    first = "there.txt" if other == "hard.jsonl" else "one.txt"

    with pytest.raises(SinkError) as refusal:
        open_outputs(OutputConfig(output=(first, other)))

    assert str(refusal.value) == f"{other}: is the same file as another output; choose another one"
    assert not Path("one.txt").exists()


def test_two_outputs_may_be_no_file(records: list[Record]) -> None:
    """Nothing spoils /dev/null."""
    outputs = open_outputs(OutputConfig(output=("/dev/null", "/dev/../dev/null"), format=None)).outputs

    for output in outputs:
        output.close()
    assert len(outputs) == 2


def test_writes_to_an_inherited_descriptor(records: list[Record]) -> None:
    """`-o >(gzip)` names a descriptor that is open already, which is ours to copy and not to close."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        write_all(OutputConfig(output=(f"/dev/fd/{theirs.fileno()}",), format="jsonl"), records[1])

        assert ours.recv(1 << 16) == whole(JsonLines(), records[1])
        assert os.fstat(theirs.fileno())


def test_hands_standard_output_to_a_function(records: list[Record]) -> None:
    """The screen takes the bytes in place of standard output, in colour; a file is none of its business."""
    seen: list[bytes] = []
    output = open_output(OutputConfig(), write=seen.append, colour=True)

    output.begin()
    output.add(records[0])
    output.add(records[1])
    output.end(NEVER)
    output.close()

    assert seen == [whole(Text(colour=True), *records[:2])]


WRITE_STDOUT = """
import sys, threading
from fetcher.errors import SinkError
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.outputs import open_outputs

try:
    inputs = {tuple(map(int, pair.split(":"))) for pair in sys.argv[1:]}
    [output] = open_outputs(OutputConfig(format="json"), inputs=frozenset(inputs)).outputs
    output.begin()
    output.end(threading.Event())
    output.close()
except SinkError as error:
    print(error, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        ("> out", b""),
        (">> out", b""),
        (">&-", b"standard output: is closed; give a file with --output\n"),
        ("> /dev/full", b"standard output: no space is left; make room or choose another place with --output\n"),
    ],
)
def test_writes_to_standard_output(folder: Path, redirection: str, said: bytes) -> None:
    """Standard output is the descriptor, wherever it leads; one that cannot be written to is a clear message."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -c "$1" {redirection}', sys.executable, WRITE_STDOUT],
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
    )

    assert done.stderr == said
    if (folder / "out").exists():
        assert (folder / "out").read_bytes() == b"[]\n"


def test_standard_output_is_never_an_input(folder: Path) -> None:
    """`afetch list >> list` would never end."""
    with Path("list").open("wb") as file:
        status = os.fstat(file.fileno())
        done = subprocess.run(
            [sys.executable, "-c", WRITE_STDOUT, f"{status.st_dev}:{status.st_ino}"],
            stdout=file,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )

    assert done.stderr == b"standard output: is also an input; choose another file with --output\n"
    assert (folder / "list").read_bytes() == b""


# Places that fail


FULL = 1_000
"""Bytes beyond which no file grows on a disk that is full."""


def fail(output: ByteOutput, records: list[Record]) -> SinkError:
    """The error of writing these records together to a full disk."""
    output.begin()
    for record in records:
        output.add(record)
    with full_disk(FULL):
        with pytest.raises(SinkError) as failure:
            output.flush(NEVER)
        output.close()
    return failure.value


@pytest.mark.parametrize("format_", STREAMS)
def test_a_full_disk_keeps_whole_records_only(tmp_path: Path, format_: str) -> None:
    """What a file could not take of a record is taken back, and an array is closed all the same."""
    path = tmp_path / "out"
    records = [replace(record_of(unsent_result()), index=index) for index in range(50)]
    output = open_output(OutputConfig(output=(str(path),), format=format_))
    assert isinstance(output, ByteOutput)

    error = fail(output, records)

    written = path.read_bytes()
    assert str(error) == (
        f"{path}: the file may grow no larger; raise the limit (ulimit -f) or choose another place with --output"
    )
    assert 0 < len(written) <= FULL
    kept = next(count for count in range(50) if len(whole(sink_of(format_), *records[:count])) >= len(written))
    assert kept > 0
    assert written == whole(sink_of(format_), *records[:kept])


class Fixed:
    """A sink of records of a fixed size, with a bracket behind them."""

    def __init__(self, size: int) -> None:
        self._size = size

    def begin(self) -> bytes:
        return b"["

    def one(self, record: Record) -> bytes:
        del record
        return b"x" * self._size

    def end(self) -> bytes:
        return b"\n]\n"


def test_the_end_has_room_for_the_price_of_a_record(tmp_path: Path) -> None:
    """Where whole records fill the disk to its last byte, one of them makes way for the closing bracket."""
    path = tmp_path / "out"
    size = (FULL - 1) // 9
    assert 1 + 9 * size == FULL
    output = ByteOutput(Fixed(size), Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True))

    fail(output, [record_of(unsent_result())] * 12)

    assert path.read_bytes() == b"[" + b"x" * size * 8 + b"\n]\n"


def test_the_end_alone_may_fail(tmp_path: Path) -> None:
    """The disk that is full just when the array is closed still leaves a closed array, and says so."""
    path = tmp_path / "out"
    size = (FULL - 1) // 9
    output = ByteOutput(Fixed(size), Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True))
    output.begin()
    for _ in range(9):
        output.add(record_of(unsent_result()))
    output.flush(NEVER)

    with full_disk(FULL):
        with pytest.raises(SinkError):
            output.end(NEVER)
        output.close()

    assert path.read_bytes() == b"[" + b"x" * size * 8 + b"\n]\n"


def test_a_failed_file_takes_no_more(tmp_path: Path) -> None:
    """After a failure nothing is written behind the end, even where there would be room."""
    path = tmp_path / "out"
    output = ByteOutput(Fixed(600), Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True))
    output.begin()
    output.add(record_of(unsent_result()))
    output.add(record_of(unsent_result()))
    with full_disk(FULL), pytest.raises(SinkError):
        output.flush(NEVER)

    output.add(record_of(unsent_result()))
    with full_disk(FULL):
        output.end(NEVER)
        output.close()

    assert path.read_bytes() == b"[" + b"x" * 600 + b"\n]\n"


def test_takes_back_only_what_is_its_own(tmp_path: Path) -> None:
    """A file that had something in it, appended to as `>>` does, keeps that."""
    path = tmp_path / "out"
    path.write_bytes(b"before\n")
    output = ByteOutput(Fixed(600), Descriptor(os.open(path, os.O_WRONLY | os.O_APPEND), "out", owned=True))

    fail(output, [record_of(unsent_result())] * 2)

    assert path.read_bytes() == b"before\n[" + b"x" * 600 + b"\n]\n"


def test_a_reader_that_left_is_told_apart() -> None:
    """A closed pipe is a BrokenPipeError, not a SinkError: the command ends quietly of it."""
    reader, writer = os.pipe()
    os.close(reader)
    place = Descriptor(writer, "pipe", owned=True)

    with pytest.raises(BrokenPipeError) as failure:
        place.write([b"x"], NEVER)
    place.close()

    assert failure.value.errno == errno.EPIPE


def test_a_function_may_fail_as_a_pipe_does() -> None:
    """What the screen says of its descriptor is said as of any other."""

    def gone(_data: bytes) -> None:
        raise BrokenPipeError

    def broken(_data: bytes) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(BrokenPipeError):
        Function(gone).write([b"x"], NEVER)
    with pytest.raises(SinkError, match="standard output: Input/output error"):
        Function(broken).write([b"x"], NEVER)


@pytest.mark.parametrize("blocking", [True, False])
def test_writes_through_a_pipe_that_is_full(blocking: bool) -> None:
    """More than a pipe holds is written as it is read, whole and in order, whoever made the pipe non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    data = os.urandom(300_000)
    place = Descriptor(writer, "pipe", owned=True)

    def write() -> None:
        place.write([data[:7], data[7:]], NEVER)
        place.close()

    writing = threading.Thread(target=write)
    writing.start()
    with os.fdopen(reader, "rb") as file:
        read = file.read()
    writing.join(PATIENCE)

    assert read == data


def test_tries_again_where_somebody_else_took_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that had room when it was asked and has none when it is written to (it is shared) is asked again."""
    reader, writer = os.pipe()
    place = Descriptor(writer, "pipe", owned=True)
    write, refusals = os.write, [BlockingIOError(), BlockingIOError()]

    def shared(descriptor: int, data: bytes) -> int:
        if refusals:
            raise refusals.pop()
        return write(descriptor, data)

    monkeypatch.setattr("fetcher.sinks.files.os.write", shared)
    place.write([b"whole"], NEVER)
    place.close()

    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"whole"
    assert refusals == []


def test_tears_no_small_record_on_a_pipe_that_is_given_up() -> None:
    """What a stalled pipe has taken when it is given up ends with a whole record, and those are counted."""
    reader, writer = os.pipe()
    place = Descriptor(writer, "pipe", owned=True)
    stop = threading.Event()
    stop.set()
    piece = b"x" * 999 + b"\n"

    with pytest.raises(AbandonedError):
        place.write([piece] * 1_000, stop)

    place.close()
    with os.fdopen(reader, "rb") as file:
        read = file.read()
    assert 0 < len(read) < 1_000_000
    assert read == piece * place.written


def test_stops_waiting_for_a_reader_that_does_not_read() -> None:
    """A blocking pipe that is full does not hold the writer once it was told to stop."""
    reader, writer = os.pipe()
    place = Descriptor(writer, "pipe", owned=True)
    stop = threading.Event()
    stop.set()

    with pytest.raises(AbandonedError):
        place.write([b"x" * 1_000_000], stop)

    place.close()
    with os.fdopen(reader, "rb") as file, closing(file):
        assert set(file.read()) == {ord("x")}


class Growing:
    """A stream that says what is to happen while it is written."""

    held = 0

    def __init__(self, parts: int, then: Callable[[], object] = lambda: None) -> None:
        self._parts = parts
        self._then = then

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._parts):
            yield b"y" * 300
        self._then()
        yield b"z"

    def __bytes__(self) -> bytes:
        return b"".join(self)


def test_a_large_record_is_written_in_its_place(tmp_path: Path) -> None:
    """Between small ones, whole, into a file and through a pipe and to a function."""
    path = tmp_path / "out"
    file = Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True)
    reader, writer = os.pipe()
    pipe = Descriptor(writer, "pipe", owned=True)
    seen: list[bytes] = []
    function = Function(seen.append)

    for place in (file, pipe, function):
        place.write([b"a", b"b", Growing(2), Growing(0), b"c"], NEVER)
        place.close()

    expected = b"ab" + b"y" * 600 + b"zzc"
    assert path.read_bytes() == expected
    with os.fdopen(reader, "rb") as read:
        assert read.read() == expected
    assert seen == [expected]
    assert (file.written, pipe.written, function.written) == (5, 5, 5)


def test_a_full_disk_keeps_nothing_of_a_large_record(tmp_path: Path) -> None:
    """What it had taken of it is cut off again; what was before it stays, and the array is closed."""
    path = tmp_path / "out.json"
    output = open_output(OutputConfig(output=(str(path),)))
    assert isinstance(output, ByteOutput)
    small = replace(record_of(unsent_result()), url="x")
    large = make_record(reply(b"x" * LARGE, b"text/plain"), RecordConfig(), whole=False)

    fail(output, [small, large])

    assert path.read_bytes() == whole(Json(), small)
    assert output.written == 1


def test_the_end_costs_a_large_record_whole(tmp_path: Path) -> None:
    """Where it fills the disk to the last byte, it makes way for the closing bracket, all of it."""
    path = tmp_path / "out"
    place = Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True)
    place.write([b"[" + b"x" * (FULL - 902), Growing(3)], NEVER)
    assert path.stat().st_size == FULL

    with full_disk(FULL):
        place.mend(b"]")
        place.close()

    assert path.read_bytes() == b"[" + b"x" * (FULL - 902) + b"]"
    assert place.written == 1


def test_a_large_record_that_is_given_up_is_cut_off(tmp_path: Path) -> None:
    """Whoever ends at once does not wait for it, and no file is left with half of it."""
    path = tmp_path / "out"
    place = Descriptor(os.open(path, os.O_WRONLY | os.O_CREAT), "out", owned=True)
    stop = threading.Event()

    with pytest.raises(AbandonedError):
        place.write([b"before", Growing(3, stop.set), b"behind"], stop)
    place.close()

    assert path.read_bytes() == b"before"
    assert place.written == 1


def test_writes_a_large_record_from_where_it_is(tmp_path: Path) -> None:
    """A record that is larger than one write is written whole."""
    path = tmp_path / "out.jsonl"
    large = replace(record_of(unsent_result()), url="x" * 5_000_000)

    write_all(OutputConfig(output=(str(path),)), large)

    assert path.read_bytes() == encode(large) + b"\n"
