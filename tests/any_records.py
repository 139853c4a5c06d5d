"""Owns any record that there can be, for what has to give back whatever it is given, and what is in it, to compare."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw, Struct
from msgspec.structs import replace

from fetcher.errors import ErrorKind
from fetcher.record import Failure, Phases, Record, Redirect, Try

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SECONDS = st.integers(0, 10**12).map(lambda micros: micros / 1e6)
WHOLE = st.integers(0, 2**63 - 1)
STATUSES = st.none() | st.integers(100, 999)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - hypothesis wants it naive
    lambda moment: moment.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
)
FAILURES = st.none() | st.builds(Failure, st.sampled_from(ErrorKind), TEXTS)
NAMES = st.text("abc.-é\0", max_size=3)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
RAW = JSON.map(lambda value: Raw(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()))

BODIES = st.one_of(
    st.just((None, None)),
    st.tuples(TEXTS, st.just("text")),
    st.tuples(st.binary(max_size=12).map(lambda data: base64.b64encode(data).decode()), st.just("base64")),
    st.tuples(RAW, st.just("json")),
)

_RECORDS: st.SearchStrategy[Record] = st.builds(
    Record,
    url=TEXTS,
    index=WHOLE,
    ok=st.booleans(),
    status=STATUSES,
    error=FAILURES,
    method=st.sampled_from(["GET", "HEAD", "x-1"]),
    final_url=st.none() | TEXTS,
    redirects=st.lists(st.builds(Redirect, TEXTS, STATUSES), max_size=2),
    attempts=st.integers(0, 9),
    history=st.lists(
        st.builds(Try, TEXTS, MOMENTS, SECONDS, STATUSES, FAILURES, SECONDS, st.sampled_from([None, "retry"])),
        max_size=2,
    ),
    started=st.none() | MOMENTS,
    elapsed=st.none() | SECONDS,
    timings=st.builds(Phases, *[st.none() | SECONDS] * 6),
    remote=st.none() | TEXTS,
    http_version=st.sampled_from([None, "1.0", "1.1"]),
    headers=st.dictionaries(NAMES, st.lists(TEXTS, min_size=1, max_size=2), max_size=3),
    content_type=st.none() | TEXTS,
    charset=st.none() | TEXTS,
    bytes=WHOLE,
    wire_bytes=WHOLE,
    sha256=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
    truncated=st.booleans(),
    body=st.none(),
    body_encoding=st.none(),
    saved=st.none() | TEXTS,
    change=st.sampled_from([None, "new", "changed", "unchanged", "gone"]),
    extra=st.none() | st.dictionaries(TEXTS, TEXTS | RAW, max_size=3),
)


def any_record() -> st.SearchStrategy[Record]:
    """A record with whatever its types allow, and more than goes together."""
    return st.builds(lambda record, body: replace(record, body=body[0], body_encoding=body[1]), _RECORDS, BODIES)


def any_records() -> st.SearchStrategy[list[Record]]:
    """Some of these, numbered."""
    return st.lists(any_record(), max_size=4).map(
        lambda records: [replace(record, index=index) for index, record in enumerate(records)]
    )


def values(record: Record) -> dict[str, Any]:
    """What is in the record, as JSON has it; found without any encoder of ours."""
    found = _plain(record)
    assert isinstance(found, dict)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Raw):
        return json.loads(bytes(value))
    return str(value) if isinstance(value, str) else value
