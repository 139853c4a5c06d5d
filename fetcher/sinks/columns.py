"""
Owns what records are in columns of Arrow: their types, and batches made of them.

A field of the record has a type of its own; what is inside of one has that of its place. What a server or a list has
named (`headers.etag`, `extra.id`, `body.name`) is text, since nobody knows what the next record has there; and so is a
body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from msgspec import Raw

from fetcher.record import SCHEMA_ID, LargeRecord, Record
from fetcher.sinks.fields import Field, read_fields

TEXT = pa.string()
MOMENT = pa.timestamp("us", "UTC")
SECONDS = pa.float64()
COUNT = pa.int64()
STATUS = pa.int32()

FAILURE = pa.struct([("kind", TEXT), ("message", TEXT)])
REDIRECT = pa.struct([("url", TEXT), ("status", STATUS)])
TRY = pa.struct(
    [
        ("url", TEXT),
        ("started", MOMENT),
        ("elapsed", SECONDS),
        ("status", STATUS),
        ("error", FAILURE),
        ("waited", SECONDS),
        ("waited_for", TEXT),
    ]
)
PHASES = pa.struct([(name, SECONDS) for name in ("queue", "dns", "connect", "tls", "first_byte", "download")])

TYPES = {
    "url": TEXT,
    "index": COUNT,
    "ok": pa.bool_(),
    "status": STATUS,
    "error": FAILURE,
    "method": TEXT,
    "final_url": TEXT,
    "redirects": pa.list_(REDIRECT),
    "attempts": COUNT,
    "history": pa.list_(TRY),
    "started": MOMENT,
    "elapsed": SECONDS,
    "timings": PHASES,
    "remote": TEXT,
    "http_version": TEXT,
    "headers": pa.map_(TEXT, pa.list_(TEXT)),
    "content_type": TEXT,
    "charset": TEXT,
    "bytes": COUNT,
    "wire_bytes": COUNT,
    "sha256": TEXT,
    "truncated": pa.bool_(),
    "body": TEXT,
    "body_encoding": TEXT,
    "saved": TEXT,
    "change": TEXT,
    "extra": TEXT,
}

# Names that somebody else chose stand behind them.
_OPEN = frozenset({"headers", "body", "extra"})

# Values, and members of what is nested, that are rarely the same twice.
_ONCE = frozenset(
    {
        "url",
        "final_url",
        "index",
        "started",
        "elapsed",
        "bytes",
        "wire_bytes",
        "sha256",
        "body",
        "extra",
        "saved",
        "timings",
        "message",
        "waited",
    }
)

# Roughly what a record without its long texts takes.
_ROW = 600

_ENCODER = msgspec.json.Encoder()


class Columns:
    """
    Takes records, gives batches.

    Args:
        names: The columns, which are fields; every field of a record where there are none.

    Attributes:
        schema: Of each batch.
    """

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        fields = read_fields(names or Record.__struct_fields__)
        types = [type_of(field.name) for field in fields]
        self.schema = pa.schema(
            [pa.field(field.name, type_) for field, type_ in zip(fields, types, strict=True)],
            metadata={"afetch.record": SCHEMA_ID},
        )
        self._readers = tuple(map(_reader, fields))
        self._types = types
        self._columns = tuple(map(_column, types))
        self._texts = [place for place, type_ in enumerate(types) if type_ == TEXT]

    def add(self, record: Record) -> int:
        """Take a record in; roughly how many bytes it takes. A large body is held whole."""
        size = _ROW
        for read, column in zip(self._readers, self._columns, strict=True):
            value = read(record)
            column.add(value)
            if isinstance(value, (str, bytes)):
                size += len(value)
        return size + sum(len(value) for values in record.headers.values() for value in values)

    def take(self) -> pa.RecordBatch:
        """All records since the last batch. Texts of one column have to be shorter than 2 GiB together."""
        return pa.RecordBatch.from_arrays([column.take() for column in self._columns], schema=self.schema)


def type_of(name: str) -> pa.DataType:
    """The type of a field's column."""
    first, *rest = name.split(".")
    found = TYPES[first]
    if not rest:
        return found
    if first in _OPEN:
        return TEXT
    for inner in rest:
        found = found.value_type if inner.isdecimal() else found.field(inner).type
    return found


def repeating(schema: pa.Schema) -> list[str]:
    """The leaves of what repeats itself so often that a dictionary of it is smaller, by their paths in Parquet."""
    return [path for path in _leaves(schema) if not _ONCE.intersection(path.split("."))]


def compared(schema: pa.Schema) -> list[str]:
    """The leaves whose smallest and largest values let a reader pass over a row group."""
    return [path for path in _leaves(schema) if path.partition(".")[0] not in _OPEN]


def _leaves(schema: pa.Schema) -> Iterator[str]:
    def walk(path: str, type_: pa.DataType) -> Iterator[str]:
        if pa.types.is_struct(type_):
            for inner in type_:
                yield from walk(f"{path}.{inner.name}", inner.type)
        elif pa.types.is_map(type_):
            yield from walk(f"{path}.key_value.key", type_.key_type)
            yield from walk(f"{path}.key_value.value", type_.item_type)
        elif pa.types.is_list(type_):
            yield from walk(f"{path}.list.element", type_.value_type)
        else:
            yield path

    for field in schema:
        yield from walk(field.name, field.type)


class _Column(Protocol):
    """Values of one type, one after the other."""

    def add(self, value: Any) -> None: ...

    def take(self) -> pa.Array:
        """All of them, which are forgotten here."""
        ...


class _Plain:
    """Values as Arrow takes them."""

    def __init__(self, type_: pa.DataType) -> None:
        self._type = type_
        self._values: list[Any] = []
        self.add = self._values.append

    def take(self) -> pa.Array:
        array = pa.array(self._values, self._type)
        self._values.clear()
        return array


class _Moments(_Plain):
    """Moments, as RFC 3339 has them."""

    def __init__(self, type_: pa.DataType) -> None:
        super().__init__(TEXT)
        self._moment = type_

    def take(self) -> pa.Array:
        return super().take().cast(self._moment)


class _Group:
    """Structs, or None."""

    def __init__(self, type_: pa.DataType) -> None:
        self._type = type_
        self._members = [(field.name, _column(field.type)) for field in type_]
        self._missing: list[bool] = []

    def add(self, value: Any) -> None:
        self._missing.append(value is None)
        for name, column in self._members:
            column.add(None if value is None else getattr(value, name))

    def take(self) -> pa.Array:
        arrays = [column.take() for _, column in self._members]
        mask = pa.array(self._missing, pa.bool_())
        self._missing.clear()
        return pa.StructArray.from_arrays(arrays, fields=list(self._type), mask=mask)


class _Several:
    """Lists."""

    def __init__(self, type_: pa.DataType) -> None:
        self._type = type_
        self._items = _column(type_.value_type)
        self._ends = [0]

    def add(self, value: Any) -> None:
        for item in value:
            self._items.add(item)
        self._ends.append(self._ends[-1] + len(value))

    def take(self) -> pa.Array:
        ends = pa.array(self._ends, pa.int32())
        self._ends = [0]
        return pa.ListArray.from_arrays(ends, self._items.take(), type=self._type)


class _Pairs:
    """Mappings."""

    def __init__(self, type_: pa.DataType) -> None:
        self._type = type_
        self._keys = _column(type_.key_type)
        self._items = _column(type_.item_type)
        self._ends = [0]

    def add(self, value: Any) -> None:
        for key, item in value.items():
            self._keys.add(key)
            self._items.add(item)
        self._ends.append(self._ends[-1] + len(value))

    def take(self) -> pa.Array:
        ends = pa.array(self._ends, pa.int32())
        self._ends = [0]
        return pa.MapArray.from_arrays(ends, self._keys.take(), self._items.take(), type=self._type)


def _column(type_: pa.DataType) -> _Column:
    if pa.types.is_struct(type_):
        return _Group(type_)
    if pa.types.is_map(type_):
        return _Pairs(type_)
    if pa.types.is_list(type_):
        return _Several(type_)
    return _Moments(type_) if pa.types.is_timestamp(type_) else _Plain(type_)


def _reader(field: Field) -> Callable[[Record], Any]:
    if field.name == "body":
        return _body
    if field.name.partition(".")[0] not in {"body", "extra"}:
        return field.value
    return lambda record: _text(field, record)


def _text(field: Field, record: Record) -> str | None:
    """What somebody else named, as text; what is not there, or null, is None."""
    value = field.value(record)
    if value is None or (isinstance(value, Raw) and bytes(value) == b"null"):
        return None
    return _ENCODER.encode(value).decode() if isinstance(value, Mapping) else field.text(record)


def _body(record: Record) -> str | bytes | None:
    """The body as the record has it, as text or as that in UTF-8."""
    if isinstance(record, LargeRecord):
        # Its text, which can be four times as large, is held by slices.
        form = record.form
        return b"".join([text.encode() for text in form.texts()]) if form.encoding == "text" else _plain(form.whole())
    return _plain(record.body)


def _plain(body: Raw | str | None) -> str | bytes | None:
    return bytes(body) if isinstance(body, Raw) else body
