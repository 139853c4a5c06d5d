"""Text of the user's own making, and which records are written at all."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import ErrorKind, SinkError, UsageError
from fetcher.record import Failure, Record, RecordConfig, encode_line, make_record
from fetcher.sinks.chosen import Chosen, choosing
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.files import Function
from fetcher.sinks.jsonl import JsonLines
from fetcher.sinks.outputs import ByteOutput
from fetcher.sinks.template import Filled, Template
from tests.disks import full_disk
from tests.opening import open_output
from tests.samples import failed_result, reply, sample_record, unsent_result

NEVER = threading.Event()


def filled(template: str, record: Record, *, terminal: bool = False) -> bytes:
    return Filled(template, terminal=terminal).one(record)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (r"{status}\t{url}", b"200\thttp://user:***@example.com/item#top\n"),
        (r"{status}\n", b"200\n"),
        (r"{status}\c", b"200"),
        (r"{status}\c ignored", b"200"),
        (r"{status}\\c", b"200\\c\n"),
        (r"{{status}}={status}", b"{status}=200\n"),
        (r'{"status": {status}}', b'{"status": 200}\n'),
        (r"\x41\101\e\q{index}", b"AA\x1b\\q7\n"),
        ("{headers.x-place} é", "café é\n".encode()),
        ("{headers.set-cookie}", b"a=1\\x0ab=2\n"),
        ("{body}", b'{"name":"caf\xc3\xa9","price":1.50}'),
        ("{body}{status}", b'{"name":"caf\xc3\xa9","price":1.50}200\n'),
        ("{body.name} {change}{error.kind}", "café \n".encode()),
        ("plain", b"plain\n"),
    ],
)
def test_a_template_is_filled(template: str, text: bytes) -> None:
    """Names in braces, printf's escapes, and a line's end unless it is the page itself or says otherwise."""
    assert filled(template, sample_record()) == text


@pytest.mark.parametrize("template", [r"a\tb\n", r"\\t\\\\x\\n\n", r"\007\141\42\n", r"\a\b\f\v\r\n"])
def test_escapes_are_printfs(template: str) -> None:
    """What printf of the shell makes of a template without fields, we make of it, too."""
    printed = subprocess.run(["printf", template], capture_output=True, check=True).stdout

    assert filled(template, sample_record()) == printed


def test_a_page_is_written_as_it_is() -> None:
    """A body that is base64 in the record is bytes here, and no body is nothing."""
    page = make_record(reply(b"\xff\x00page\n", b"text/plain"), RecordConfig(body="base64"))

    assert filled("{body}", page) == b"\xff\x00page\n"
    assert filled("{body}", make_record(unsent_result(), RecordConfig())) == b""


def test_a_terminal_is_moved_by_nothing() -> None:
    """On a terminal also a body has its controls spelled out, but for line ends and tabs."""
    odd = make_record(reply(b"\x1b[2J\ta\r\n\xff", b"text/plain"), RecordConfig(body="base64"))

    assert filled("{body}", odd, terminal=True) == "\\x1b[2J\ta\\x0d\n\ufffd".encode()


@given(st.text(st.characters(codec="utf-8")))
def test_no_value_breaks_a_line(text: str) -> None:
    """Whatever is in a field, a template without line ends gives one line."""
    record = replace(make_record(unsent_result(), RecordConfig()), error=Failure(ErrorKind.TLS, text))

    line = filled("{status}|{error.message}", record).decode()

    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("template", "format_", "message"),
    [
        ("{uri}", None, "field 'uri': no record has it"),
        ("", None, "template is empty"),
        ("{url}", "jsonl", "template: no output is text"),
    ],
)
def test_refuses_a_template_that_cannot_be(template: str, format_: str | None, message: str) -> None:
    """A name that no record has, nothing at all, and one for no output."""
    with pytest.raises(UsageError, match=message):
        OutputConfig(template=template, format=format_)


@pytest.mark.parametrize(
    ("outputs", "template", "wanted"),
    [
        ((), "{body}", True),
        ((), "{url} {body}", True),
        ((), "{url}", False),
        ((), "{body} {charset}", False),
        ((), "{body} {body.name}", False),
        (("a.txt", "b.jsonl"), "{body}", False),
    ],
)
def test_bodies_are_left_as_they_are_where_nobody_needs_more(
    outputs: tuple[str, ...], template: str, wanted: bool
) -> None:
    """Bytes are bytes only where no output wants to know what they mean."""
    assert OutputConfig(output=outputs, template=template).wants_bytes == wanted


def test_a_template_knows_its_names() -> None:
    """In their order."""
    assert Template("{url}{error.kind}").names == ("url", "error.kind")


# Which records


RECORDS = [
    sample_record(),
    make_record(failed_result(), RecordConfig()),
    make_record(reply(b"gone", status=404), RecordConfig()),
    make_record(reply(b"busy", status=503), RecordConfig()),
]


@pytest.mark.parametrize(
    ("only", "indexes"),
    [
        (("ok",), [0]),
        (("failed",), [1, 2, 3]),
        (("404", "dns"), [1, 2]),
        (("5xx", "2xx"), [0, 3]),
        (("tls",), []),
    ],
)
def test_only_some_are_written(only: tuple[str, ...], indexes: list[int]) -> None:
    """By the language of `--fail-on`; an output's count is of all that it has dealt with."""
    seen: list[bytes] = []
    output = Chosen(ByteOutput(JsonLines(), Function(seen.append)), choosing(only))

    output.begin()
    for record in RECORDS:
        output.add(record)
    output.end(NEVER)
    output.close()

    assert b"".join(seen) == b"".join(encode_line(RECORDS[index]) for index in indexes)
    assert output.written == len(RECORDS)


def test_a_count_is_of_what_is_there_when_an_output_fails(tmp_path: Path) -> None:
    """Up to the first record that was to be written and is not, also where others after it were not to be."""
    path = tmp_path / "out.jsonl"
    inner = open_output(OutputConfig(output=(str(path),)))
    output = Chosen(inner, choosing(("404",)))
    gone, good = RECORDS[2], RECORDS[0]
    output.begin()
    for record in (good, gone, good, gone, good, good, gone, good):
        output.add(record)

    with full_disk(2 * len(encode_line(gone)) + 10), pytest.raises(SinkError):
        output.flush(NEVER)
    output.close()

    assert len(path.read_bytes().splitlines()) == inner.written == 2
    assert output.written == 6


@pytest.mark.parametrize("only", [("okay",), ("ok", "404"), ("60x",)])
def test_refuses_to_choose_by_what_is_no_outcome(only: tuple[str, ...]) -> None:
    """A usage error that says what there is."""
    with pytest.raises(UsageError, match=r"only"):
        OutputConfig(only=only)
