"""Holds the published shape of a result."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import pickle
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from fetcher.bodies import SLICE, BodyMode, decode, read_label
from fetcher.errors import ErrorKind, UsageError
from fetcher.model import Error, Request, Result
from fetcher.record import (
    LARGE,
    FetchError,
    LargeLine,
    LargeRecord,
    Record,
    RecordConfig,
    encode,
    encode_line,
    make_record,
    schema,
)
from tests.samples import BODY, HTTP, failed_result, reply, sample_record, sample_result, unsent_result

FIELDS = [
    "url",
    "index",
    "ok",
    "status",
    "error",
    "method",
    "final_url",
    "redirects",
    "attempts",
    "history",
    "started",
    "elapsed",
    "timings",
    "remote",
    "http_version",
    "headers",
    "content_type",
    "charset",
    "bytes",
    "wire_bytes",
    "sha256",
    "truncated",
    "body",
    "body_encoding",
    "saved",
    "change",
    "extra",
]


def record_of(result: Result, body: BodyMode = "auto") -> Record:
    return make_record(result, RecordConfig(body=body))


def line_of(result: Result, body: BodyMode = "auto") -> dict[str, Any]:
    """The record as a stranger reads it."""
    line = encode(record_of(result, body))
    assert b"\n" not in line
    read: dict[str, Any] = json.loads(line.decode(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return read


def test_a_line_is_the_record_and_its_end() -> None:
    """JSON Lines: what `encode` gives, and a newline that costs no copy."""
    record = sample_record()

    line = encode_line(record)

    assert line == encode(record) + b"\n"


def test_a_reply_becomes_one_line_of_json() -> None:
    """The canonical sample, whole: numbers keep their spelling, blanks go, times are UTC."""
    line = encode(sample_record()).decode()

    assert line == (
        '{"url":"http://user:***@example.com/item#top","index":7,"ok":true,"status":200,"error":null,"method":"GET",'
        '"final_url":"https://example.com/item?id=7","redirects":[{"url":"http://example.com/item","status":301}],'
        '"attempts":2,"history":['
        '{"url":"http://example.com/item","started":"2026-01-01T00:00:00.000000Z","elapsed":0.125,"status":503,'
        '"error":null,"waited":0.0,"waited_for":null},'
        '{"url":"https://example.com/item?id=7","started":"2026-01-01T00:00:02.000000Z","elapsed":0.5,"status":200,'
        '"error":null,"waited":1.5,"waited_for":"retry-after"}],'
        '"started":"2026-01-01T00:00:02.000000Z","elapsed":0.5,'
        '"timings":{"queue":0.001,"dns":0.0125,"connect":0.02,"tls":0.04,"first_byte":0.0625,"download":0.0525},'
        '"remote":"192.0.2.7:443","http_version":"1.1",'
        '"headers":{"content-type":["application/json; charset=utf-8"],"set-cookie":["a=1","b=2"],"x-place":["café"]},'
        '"content_type":"application/json","charset":"utf-8","bytes":39,"wire_bytes":30,'
        '"sha256":"adec74691f3965f3ce681af1641d577ff9939d1aa654859b7369d9435eb1d728","truncated":false,'
        '"body":{"name":"café","price":1.50},"body_encoding":"json","saved":null,"change":null,'
        '"extra":{"id":"7","note":"naïve"}}'
    )


def test_a_failure_without_a_reply_has_all_fields() -> None:
    """What would come from a reply is null or nothing; what was tried is told."""
    line = encode(record_of(failed_result())).decode()

    assert line == (
        '{"url":"http://nowhere.example","index":8,"ok":false,"status":null,'
        '"error":{"kind":"dns","message":"no such name: nowhere.example"},"method":"GET",'
        '"final_url":"http://nowhere.example/","redirects":[],"attempts":1,"history":[],'
        '"started":"2026-01-01T00:00:00.000000Z","elapsed":0.25,'
        '"timings":{"queue":0.0,"dns":0.25,"connect":null,"tls":null,"first_byte":null,"download":null},'
        '"remote":null,"http_version":null,"headers":{},"content_type":null,"charset":null,"bytes":0,"wire_bytes":0,'
        '"sha256":null,"truncated":false,"body":null,"body_encoding":null,"saved":null,"change":null,"extra":null}'
    )


def test_an_entry_that_was_never_sent_has_all_fields() -> None:
    """No attempts, no times, no last hop; the input's own fields are there."""
    line = encode(record_of(unsent_result())).decode()

    assert line == (
        '{"url":"ftp://example.com/","index":9,"ok":false,"status":null,'
        '"error":{"kind":"invalid-url","message":"scheme \'ftp\' is neither http nor https"},"method":"GET",'
        '"final_url":null,"redirects":[],"attempts":0,"history":[],"started":null,"elapsed":null,'
        '"timings":{"queue":null,"dns":null,"connect":null,"tls":null,"first_byte":null,"download":null},'
        '"remote":null,"http_version":null,"headers":{},"content_type":null,"charset":null,"bytes":0,"wire_bytes":0,'
        '"sha256":null,"truncated":false,"body":null,"body_encoding":null,"saved":null,"change":null,"extra":null}'
    )


# -- bodies


def test_a_reply_without_a_body_has_no_hash() -> None:
    """HEAD, 204 and 304: the label stays, the rest is null."""
    line = line_of(reply(None, b"text/html; charset=utf-8", status=204))

    assert line["ok"]
    assert (line["bytes"], line["content_type"]) == (0, "text/html")
    assert (line["sha256"], line["body"], line["body_encoding"], line["charset"]) == (None, None, None, None)


def test_an_empty_body_is_a_body() -> None:
    """Nothing, sent as a body, is empty text with the hash of nothing."""
    line = line_of(reply(b"", b"application/json"))

    assert (line["body"], line["body_encoding"]) == ("", "text")
    assert line["sha256"] == hashlib.sha256(b"").hexdigest()


def test_what_was_too_large_leaves_no_body_and_no_hash() -> None:
    """`bytes` is what had arrived, whatever of it is still in hand."""
    result = reply(b"much", error=Error(ErrorKind.TOO_LARGE, "more than 3 bytes"))
    hop = result.hop
    assert hop is not None
    result = replace(result, hop=replace(hop, truncated=True, sha256="0" * 64))

    line = line_of(result)

    assert (line["bytes"], line["truncated"]) == (4, True)
    assert (line["sha256"], line["body"], line["body_encoding"]) == (None, None, None)


def test_a_cut_body_is_kept_and_hashed() -> None:
    """What arrived is in the record, with the error beside the status."""
    line = line_of(reply(b"half", b"text/plain", error=Error(ErrorKind.INCOMPLETE, "4 of 8 bytes")))

    assert (line["ok"], line["status"], line["error"]["kind"]) == (False, 200, "incomplete")
    assert (line["body"], line["sha256"]) == ("half", hashlib.sha256(b"half").hexdigest())


def test_no_body_is_hashed_all_the_same() -> None:
    """`--body none` reads and hashes."""
    line = line_of(reply(b"hidden", b"text/plain"), "none")

    assert (line["body"], line["body_encoding"], line["charset"]) == (None, None, None)
    assert (line["bytes"], line["sha256"]) == (6, hashlib.sha256(b"hidden").hexdigest())


def test_a_hash_made_on_the_way_is_not_made_again() -> None:
    """A body that went to a file was hashed as it went."""
    result = reply(None)
    hop = result.hop
    assert hop is not None

    line = line_of(replace(result, hop=replace(hop, size=9, sha256="ab" * 32)))

    assert (line["bytes"], line["sha256"]) == (9, "ab" * 32)


def test_the_last_content_type_counts() -> None:
    """Of two, the last, as curl and browsers do; both are shown."""
    line = line_of(reply(b"{}", b"Application/JSON", headers=((b"content-type", b"text/plain"),)))

    assert (line["content_type"], line["body"]) == ("application/json", {})
    assert line["headers"] == {"content-type": ["text/plain", "Application/JSON"]}


def test_times_are_rounded_to_microseconds() -> None:
    """More digits mean nothing and cost bytes; the moment is UTC."""
    result = reply(b"")
    [attempt] = result.attempts

    record = record_of(replace(result, attempts=(replace(attempt, started=1767225600.9999999, elapsed=0.12345678),)))

    assert record.started == "2026-01-01T00:00:01.000000Z"
    assert record.elapsed == 0.123457


def test_a_mode_that_is_none_is_a_usage_error() -> None:
    """The message names the choices."""
    with pytest.raises(UsageError, match="choose one of auto, text, json, base64, none"):
        RecordConfig(body="raw")  # type: ignore[arg-type] # a user's mistake


# -- for Python


def test_the_body_comes_back_in_the_form_that_is_needed() -> None:
    """JSON as a value, as text and as bytes; text as it was; base64 as its bytes."""
    parsed, text, binary, nothing = (
        record_of(reply(body, label))
        for body, label in [
            (BODY, b"application/json"),
            (b"caf\xe9", b"text/plain; charset=latin1"),
            (b"\xff\x00", b"image/png"),
            (None, None),
        ]
    )

    assert parsed.json() == {"name": "café", "price": 1.5}
    assert parsed.text == '{"name":"café","price":1.50}'
    assert parsed.content == '{"name":"café","price":1.50}'.encode()
    assert (text.text, text.content) == ("café", "café".encode())
    assert (binary.text, binary.content) == ("\ufffd\0", b"\xff\x00")
    assert (nothing.text, nothing.content) == (None, None)
    with pytest.raises(ValueError, match="no body"):
        nothing.json()
    with pytest.raises(ValueError, match="Expecting value"):
        text.json()


def test_a_record_that_is_not_ok_can_be_raised() -> None:
    """An HTTP status and an error alike; one that is ok gives itself."""
    fine, missing, failed = (record_of(result) for result in (reply(b""), reply(b"", status=404), failed_result()))

    assert fine.raise_for_status() is fine
    with pytest.raises(FetchError, match=r"^http://example.com/: 404$") as raised:
        missing.raise_for_status()
    assert raised.value.record is missing
    with pytest.raises(FetchError, match=r"^http://nowhere.example: dns: no such name: nowhere.example$"):
        failed.raise_for_status()


def test_a_record_travels_between_processes() -> None:
    """It pickles, JSON body and all."""
    record = sample_record()

    assert pickle.loads(pickle.dumps(record)) == record


# -- large bodies

SIZE = 8 * LARGE


def large_of(result: Result, body: BodyMode = "auto") -> LargeRecord:
    record = make_record(result, RecordConfig(body=body), whole=False)
    assert isinstance(record, LargeRecord)
    return record


def test_only_large_bodies_are_made_piece_by_piece() -> None:
    """Below the threshold, where a body is `none`, and for the library, a record is simply a record."""
    small, large = reply(b"x" * (LARGE - 1), b"text/plain"), reply(b"x" * LARGE, b"text/plain")

    kinds = [
        type(make_record(small, RecordConfig(), whole=False)),
        type(make_record(large, RecordConfig(), whole=False)),
        type(make_record(large, RecordConfig(body="none"), whole=False)),
        type(make_record(large, RecordConfig())),
    ]

    assert kinds == [Record, LargeRecord, Record, Record]


def test_a_large_record_has_its_body_for_whoever_asks() -> None:
    """A format that knows nothing of pieces finds what it finds in any record."""
    result = reply(b"x" * LARGE, b"text/plain")

    record = large_of(result)

    assert record.body == record_of(result).body
    assert record.text == "x" * LARGE


def test_the_encoder_does_not_take_a_large_record() -> None:
    """It must not be left out in silence, nor held whole by mistake."""
    with pytest.raises(TypeError, match="BodyForm"):
        encode(large_of(reply(b"x" * LARGE, b"text/plain")))


@given(
    st.binary(max_size=200),
    st.binary(max_size=40) | st.sampled_from([b"application/json", b"text/html", b"text/plain; charset=utf-16"]),
    st.sampled_from(["auto", "text", "json", "base64"]),
)
def test_a_large_line_is_the_record_as_it_is_encoded(body: bytes, content_type: bytes, mode: BodyMode) -> None:
    """Byte for byte, as often as it is asked for, between what the format puts around it."""
    result = reply(body, content_type)
    extra = {"n": msgspec.Raw(b"1.50"), "\0": "\0"}
    result = replace(result, request=replace(result.request, given="\0", extra=extra))

    with patch("fetcher.record.LARGE", 0):
        line = LargeLine(large_of(result, mode), b"<", b">")

    assert bytes(line) == bytes(line) == b"<" + encode(record_of(result, mode)) + b">"


@pytest.mark.parametrize(
    ("body", "content_type", "copies"),
    [
        pytest.param(b"x" * SIZE, b"text/plain", 0, id="ascii"),
        pytest.param("\U0001f600".encode() + b"x" * SIZE, b"text/plain", 0, id="wide"),
        pytest.param(b"\xef\xbb\xbf" + b"x" * SIZE, b"text/html", 0, id="mark"),
        pytest.param(b"\x01" * SIZE, b"text/plain", 0, id="escapes"),
        pytest.param(b"\xe9" * SIZE, b"text/plain; charset=iso-8859-1", 0, id="latin"),
        pytest.param(b"\x82\xa0" * (SIZE // 2), b"a/b; charset=shift_jis", 0, id="japanese"),
        pytest.param("\u20ac".encode() * (SIZE // 3) + b"\xff", b"text/html", 0, id="guessed"),
        pytest.param(b"\0" * SIZE, b"image/png", 0, id="binary"),
        pytest.param("\u20ac".encode() * (SIZE // 3) + b"\xff", b"image/png", 0, id="nearly-text"),
        pytest.param(
            b'["\\"{[\xc3\xbc\\\\' + (b"x" * 1000 + b'",[],"') * (SIZE // 1006) + b'"]',
            b"application/json",
            1,
            id="json",
        ),
    ],
)
def test_writing_a_large_body_holds_no_copy_of_it(body: bytes, content_type: bytes, copies: int) -> None:
    """But for JSON, which becomes one without blanks: beside the body there is only the slice at hand."""
    result = reply(body, content_type)
    record_of(reply(body[:100], content_type))
    tracemalloc.start()

    for _ in LargeLine(large_of(result)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < copies * 1.25 * len(body) + 24 * SLICE


# -- whatever comes


def test_text_that_utf8_cannot_hold_is_escaped() -> None:
    """A stray byte as `\\xNN`, a lone surrogate as `\\uNNNN`: in URLs, messages and columns, names too."""
    request = Request(
        0,
        "http://a/\udcff\ud800é",
        None,
        extra={"\udc80": ["\ud800", {"\udcff": 1}], "n": msgspec.Raw(b"1.50"), "é": None},
    )

    line = encode(record_of(Result(request, None, Error(ErrorKind.INVALID_URL, "no \ud8ff"))))

    assert json.loads(line)["url"] == "http://a/\\xff\\ud800é"
    assert json.loads(line)["error"]["message"] == "no \\ud8ff"
    assert line.endswith('"extra":{"\\\\x80":["\\\\ud800",{"\\\\xff":1}],"n":1.50,"é":null}}'.encode())


@given(
    st.binary(max_size=200),
    st.binary(max_size=40) | st.sampled_from([b"application/json", b"text/html", b"text/plain; charset=utf-16"]),
    st.sampled_from(["auto", "text", "json", "base64", "none"]),
)
def test_any_body_under_any_label_is_a_line_of_json(body: bytes, content_type: bytes, mode: BodyMode) -> None:
    """The body is the bytes' JSON value, their text or their base64, and the hash is of the bytes."""
    line = line_of(reply(body, content_type), mode)

    expected: dict[str | None, Callable[[], Any]] = {
        "json": lambda: json.loads(body),
        "text": lambda: decode(body, read_label(line["headers"]["content-type"][0]))[0],
        "base64": lambda: base64.b64encode(body).decode(),
        None: lambda: None,
    }
    assert line["body"] == expected[line["body_encoding"]]()
    assert line["sha256"] == hashlib.sha256(body).hexdigest()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_body_is_the_same_value_in_the_record(value: object) -> None:
    """What the server meant is what the record says."""
    line = line_of(reply(json.dumps(value, indent=2).encode(), b"application/json"))

    assert line["body"] == value


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=8))
def test_any_header_is_text_under_a_lower_case_name(headers: list[tuple[bytes, bytes]]) -> None:
    """UTF-8, else Latin-1; all values of a name in order."""
    line = line_of(reply(None, headers=tuple(headers)))

    expected: dict[str, list[str]] = {}
    for name, value in headers:
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        expected.setdefault(name.decode("latin-1").lower(), []).append(text)
    assert line["headers"] == expected


surrogates_too = st.text(st.characters(), max_size=30) | st.text(st.characters(categories=["Cs", "Ll"]), max_size=30)


@given(surrogates_too, surrogates_too, st.dictionaries(surrogates_too, surrogates_too | st.integers(), max_size=4))
def test_any_text_of_the_input_is_a_line_of_json(given_url: str, message: str, extra: Mapping[str, Any]) -> None:
    """Whatever a list holds, its record is strict JSON; what UTF-8 can hold is unchanged."""
    line = line_of(Result(Request(0, given_url, None, extra=extra), None, Error(ErrorKind.INVALID_URL, message)))

    json.dumps(line, ensure_ascii=False).encode()
    for before, after in ((given_url, line["url"]), (message, line["error"]["message"])):
        if not any("\ud800" <= character <= "\udfff" for character in before):
            assert after == before


# -- the schema


def test_the_schema_is_one_and_describes_every_field() -> None:
    """Draft 2020-12, versioned, all fields required and described, the error kinds listed."""
    published = schema()

    Draft202012Validator.check_schema(published)
    assert published["$id"] == "urn:afetch:record:1"
    assert list(published["properties"]) == published["required"] == FIELDS
    parts = [published, *(part for part in published["$defs"].values() if "properties" in part)]
    assert [name for part in parts for name, field in part["properties"].items() if not field.get("description")] == []
    assert set(published["$defs"]["ErrorKind"]["enum"]) == set(ErrorKind)


@pytest.mark.parametrize(
    "result",
    [
        sample_result(),
        failed_result(),
        unsent_result(),
        reply(b"[1]", b"application/json"),
        reply(b"\xff\x00"),
        reply(b"hi", b"text/plain", status=404),
        reply(None, status=304),
    ],
)
def test_records_are_valid_by_the_schema(result: Result) -> None:
    """Every encoded record passes, and one with a field less does not."""
    validator = Draft202012Validator(schema())

    line = line_of(result)

    assert list(line) == FIELDS
    validator.validate(line)
    for field in FIELDS:
        assert not validator.is_valid({name: value for name, value in line.items() if name != field})


def test_a_wrong_record_is_not_valid_by_the_schema() -> None:
    """The schema says something: kinds, hashes and types are held."""
    validator = Draft202012Validator(schema())
    line = line_of(failed_result())

    assert not validator.is_valid({**line, "error": {"kind": "odd", "message": ""}})
    assert not validator.is_valid({**line, "sha256": "short"})
    assert not validator.is_valid({**line, "status": "200"})


def test_redirects_and_the_last_hop_are_told_apart() -> None:
    """The hops before the last are `redirects`; `final_url` is the last's, answered or not."""
    result = sample_result()
    hop = result.hop
    assert hop is not None

    record = record_of(replace(result, hop=replace(hop, status=None, url=replace(hop.url, origin=HTTP)), error=None))

    assert record.final_url == "http://example.com/item?id=7"
    assert [(redirect.url, redirect.status) for redirect in record.redirects] == [("http://example.com/item", 301)]
    assert not record.ok


@pytest.mark.parametrize("write", [encode, encode_line])
def test_a_line_leaves_nothing_behind(write: Callable[[Record], bytes]) -> None:
    """Ten million records are ten million of whatever is kept of one."""
    record = make_record(sample_result(), RecordConfig())
    write(record)
    gc.collect()
    before = sys.getallocatedblocks()

    for _ in range(10_000):
        write(record)

    assert sys.getallocatedblocks() - before < 1_000
