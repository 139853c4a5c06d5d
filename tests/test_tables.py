"""Tables, and the names of what is in a record, held against the readers that their users have."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from fetcher.errors import ErrorKind, UsageError
from fetcher.record import LARGE, Failure, LargeRecord, Record, RecordConfig, encode, make_record
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.fields import FLAT, Field, Picked, read_fields
from fetcher.sinks.formats import Shape
from tests.opening import sink_of
from tests.samples import failed_result, reply, sample_record, unsent_result

TEXTS = st.text(st.characters(codec="utf-8"))


def record_of(result: Any) -> Record:
    return make_record(result, RecordConfig())


def said(format_: str, fields: tuple[str, ...], *records: Record, terminal: bool = False) -> str:
    """All that a format says of these fields of records."""
    sink = sink_of(format_, Shape(terminal=terminal, fields=fields))
    return b"".join([sink.begin(), *(bytes(sink.one(record)) for record in records), sink.end()]).decode()


def read_tsv(text: str) -> list[list[str]]:
    """The rows of TSV, its escapes undone: what jq's @tsv documents, read back."""
    plain = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}

    def undone(cell: str) -> str:
        parts = cell.split("\\\\")
        for escape in ("\\t", "\\n", "\\r"):
            parts = [part.replace(escape, plain[escape]) for part in parts]
        return "\\".join(parts)

    assert text.endswith("\n")
    return [[undone(cell) for cell in line.split("\t")] for line in text[:-1].split("\n")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("url", "http://user:***@example.com/item#top"),
        ("index", "7"),
        ("ok", "true"),
        ("error", ""),
        ("error.kind", ""),
        ("timings.first_byte", "0.0625"),
        ("headers.Content-Type", "application/json; charset=utf-8"),
        ("headers.set-cookie", "a=1\nb=2"),
        ("headers.x-none", ""),
        ("redirects", '[{"url":"http://example.com/item","status":301}]'),
        ("redirects.0.status", "301"),
        ("redirects.1.status", ""),
        ("history.1.waited_for", "retry-after"),
        ("history.0.error.kind", ""),
        ("extra", '{"id":"7","note":"naïve"}'),
        ("extra.id", "7"),
        ("extra.none", ""),
        ("body", '{"name":"café","price":1.50}'),
        ("body.name", "café"),
        ("body.price", "1.50"),
        ("body.name.more", ""),
    ],
)
def test_a_name_says_what_stands_in_a_cell(name: str, text: str) -> None:
    """Dots lead inside; what is nested is JSON, what is missing is empty, and numbers keep their spelling."""
    assert Field(name).text(sample_record()) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("extra.a.b", "dotted"),
        ("extra.a.c", "inside"),
        ("extra.number", "1.50e3"),
        ("extra.text", 'say "x"'),
        ("extra.none", ""),
        ("extra.list", '[1,{"x":2.0}]'),
        ("extra.list.1.x", "2.0"),
        ("extra.list.2", ""),
        ("extra.list.x", ""),
    ],
)
def test_a_name_leads_into_the_rows_own_columns(name: str, text: str) -> None:
    """Whatever their names: a dot may be part of one."""
    extra = {
        "a.b": "dotted",
        "a": Raw(b'{"c":"inside"}'),
        "number": Raw(b"1.50e3"),
        "text": Raw(b'"say \\"x\\""'),
        "none": Raw(b"null"),
        "list": Raw(b'[1,{"x":2.0}]'),
    }

    assert Field(name).text(replace(sample_record(), extra=extra)) == text


def test_names_of_what_is_not_there_are_empty() -> None:
    """A record without a reply, and one whose body is no JSON, have nothing there."""
    unsent, page = record_of(unsent_result()), record_of(reply(b"<p>", b"text/html"))

    assert [Field(name).text(unsent) for name in ("status", "timings.dns", "headers.etag", "body", "extra.id")] == [
        ""
    ] * 5
    assert Field("error.kind").text(unsent) == "invalid-url"
    assert (Field("body").text(page), Field("body.name").text(page)) == ("<p>", "")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "uri",
        "status.code",
        "error.why",
        "error.kind.x",
        "timings.",
        "headers.",
        "redirects.url",
        "history.0.error.x",
    ],
)
def test_refuses_a_name_that_no_record_has(name: str) -> None:
    """A usage error that says what there is."""
    with pytest.raises(
        UsageError, match=r"no record has it; a record has url, index, .*, and inside of them names such"
    ):
        OutputConfig(format="csv", fields=(name,))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"format": "csv", "fields": ("url", "url")}, "field 'url' is there twice; leave one out"),
        (
            {"fields": ("url",)},
            "fields: no output is in a format that takes them; choose one with --format: jsonl, json, csv, tsv",
        ),
    ],
)
def test_refuses_fields_that_cannot_be(config: dict[str, Any], message: str) -> None:
    """Twice the same, or for a format that has columns of its own."""
    with pytest.raises(UsageError) as refusal:
        OutputConfig(**config)

    assert str(refusal.value).startswith(message[:60])


def test_csv_has_a_header_and_a_row_a_record() -> None:
    """Bodies are left out unless asked for; the columns are what FLAT says."""
    text = said("csv", (), sample_record(), record_of(failed_result()))

    assert text == (
        ",".join(FLAT) + "\n"
        "http://user:***@example.com/item#top,7,true,200,,,GET,https://example.com/item?id=7,2,"
        "2026-01-01T00:00:02.000000Z,0.5,192.0.2.7:443,application/json,utf-8,39,30,"
        f'{sample_record().sha256},false,,,"{{""id"":""7"",""note"":""naïve""}}"\n'
        "http://nowhere.example,8,false,,dns,no such name: nowhere.example,GET,http://nowhere.example/,1,"
        "2026-01-01T00:00:00.000000Z,0.25,,,,0,0,,false,,,\n"
    )


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
@example([("", ""), ("\0", "\r"), ('"', "a,b\r\nc"), ("\U0001f600" * 70_000, "=1+1")])
def test_csv_gives_back_every_text(pairs: list[tuple[str, str]]) -> None:
    """Python's csv module reads what went in, also NUL, line ends, quotes and long ones."""
    records = [
        replace(record_of(unsent_result()), url=url, error=Failure(ErrorKind.TLS, message)) for url, message in pairs
    ]
    csv.field_size_limit(sys.maxsize)

    rows = list(csv.reader(io.StringIO(said("csv", ("url", "error.message"), *records), newline="")))

    assert rows == [["url", "error.message"], *map(list, pairs)]


@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["", "a"])
def test_csv_of_one_column_loses_no_empty_row(texts: list[str]) -> None:
    """A row of one empty cell is written in quotes, since an empty line is no row."""
    records = [replace(record_of(unsent_result()), url=text) for text in texts]

    rows = list(csv.reader(io.StringIO(said("csv", ("url",), *records), newline="")))

    assert rows == [["url"], *([text] for text in texts)]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
@example([("\\t", "\t"), ("\\\\n", "\n\r\\"), ('"', "\0")])
def test_tsv_gives_back_every_text(pairs: list[tuple[str, str]]) -> None:
    """A line a record, whatever is in it, and its four escapes lose nothing."""
    records = [
        replace(record_of(unsent_result()), url=url, error=Failure(ErrorKind.TLS, message)) for url, message in pairs
    ]

    assert read_tsv(said("tsv", ("url", "error.message"), *records)) == [["url", "error.message"], *map(list, pairs)]


def test_pandas_reads_a_table() -> None:
    """`read_csv` finds the columns, numbers as numbers, and texts with line ends and quotes."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (it is in the extra dev)")
    odd = replace(record_of(failed_result()), url='a "b",\r\nc')
    names = ("url", "index", "status", "error.kind", "timings.dns", "extra.id")

    table = pandas.read_csv(io.StringIO(said("csv", names, sample_record(), odd)))
    tabs = pandas.read_csv(io.StringIO(said("tsv", names, sample_record(), odd)), sep="\t", quoting=csv.QUOTE_NONE)

    assert list(table.columns) == list(tabs.columns) == list(names)
    assert list(table["url"]) == [sample_record().url, 'a "b",\r\nc']
    assert list(tabs["url"]) == [sample_record().url, 'a "b",\\r\\nc']
    for read in (table, tabs):
        assert list(read["index"]) == [7, 8]
        assert read["timings.dns"].sum() == 0.0125 + 0.25
        assert list(read["status"].isna()) == [False, True]


def test_a_terminal_is_shown_no_controls() -> None:
    """A table on a terminal cannot move its cursor; in a file nothing is changed."""
    odd = replace(record_of(unsent_result()), url="\x1b[2J\n")

    assert said("csv", ("url",), odd, terminal=True) == "url\n\\x1b[2J\\x0a\n"
    assert said("csv", ("url",), odd) == 'url\n"\x1b[2J\n"\n'


def test_json_has_the_fields_that_were_asked_for() -> None:
    """Keys are the names, in the order given; values are JSON's own."""
    names = ("status", "url", "timings.dns", "headers", "body.price", "error.kind", "redirects.0", "extra.id")
    expected = [
        (
            '{"status":200,"url":"http://user:***@example.com/item#top","timings.dns":0.0125,'
            '"headers":{"content-type":["application/json; charset=utf-8"],'
            '"set-cookie":["a=1","b=2"],"x-place":["café"]},'
            '"body.price":1.50,"error.kind":null,"redirects.0":{"url":"http://example.com/item","status":301},'
            '"extra.id":"7"}'
        ),
        (
            '{"status":null,"url":"ftp://example.com/","timings.dns":null,"headers":{},"body.price":null,'
            '"error.kind":"invalid-url","redirects.0":null,"extra.id":null}'
        ),
    ]
    records = sample_record(), record_of(unsent_result())

    assert said("jsonl", names, *records) == "".join(f"{line}\n" for line in expected)
    assert said("json", names, *records) == "[\n" + ",\n".join(expected) + "\n]\n"


def test_all_fields_are_the_record() -> None:
    """Asked for every field, JSON has what it has when none is asked for."""
    picked = Picked(Record.__struct_fields__)

    for record in (sample_record(), record_of(failed_result()), record_of(unsent_result())):
        assert picked(record) == encode(record)


def test_a_large_body_is_a_cell_like_any_other() -> None:
    """It is made where it is asked for, and not where it is not."""
    large = make_record(reply(b"x" * LARGE, b"text/plain"), RecordConfig(), whole=False)
    assert isinstance(large, LargeRecord)

    assert said("csv", ("status", "body"), large) == f"status,body\n200,{'x' * LARGE}\n"
    assert json.loads(said("jsonl", ("body",), large)) == {"body": "x" * LARGE}
    assert read_fields(("bytes",))[0].text(large) == str(LARGE)
