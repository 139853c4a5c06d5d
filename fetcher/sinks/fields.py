"""
Owns the names of what is in a record, and what stands there: `timings.dns`, `headers.etag`, `extra.id`, `body.name`.

A name is one of the record's fields, then what is inside of it, parted by dots; a number is a place in a list. Where
there is nothing of that name, as in a record without a reply, the value is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fetcher.errors import UsageError
from fetcher.record import Failure, Phases, Record, Redirect, Try

FLAT = (
    "url",
    "index",
    "ok",
    "status",
    "error.kind",
    "error.message",
    "method",
    "final_url",
    "attempts",
    "started",
    "elapsed",
    "remote",
    "content_type",
    "charset",
    "bytes",
    "wire_bytes",
    "sha256",
    "truncated",
    "saved",
    "change",
    "extra",
)
"""Columns of a table unless others are asked for: all that fits into a cell. Bodies rarely do."""

# What a name may go on with: the fields of this.
_INSIDE: dict[str, type[Struct]] = {"error": Failure, "timings": Phases}
_LISTS: dict[str, type[Struct]] = {"redirects": Redirect, "history": Try}
# Names that somebody else chose.
_OPEN = frozenset({"headers", "body", "extra"})

_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


class Field:
    """
    One name.

    Attributes:
        name: As the user wrote it.

    Raises:
        UsageError: No record has it.
    """

    def __init__(self, name: str) -> None:
        first, *rest = name.split(".")
        if not _known(first, rest):
            raise UsageError(
                f"field {name!r}: no record has it; a record has {', '.join(Record.__struct_fields__)}, and inside of "
                "them names such as error.kind, timings.dns, headers.etag, extra.id, body.name"
            )
        self.name = name
        self.value = _reader(first, rest)

    def text(self, record: Record) -> str:
        """The value as the text of a cell: nothing for None, `true`, numbers as in JSON, what is nested as JSON."""
        value = self.value(record)
        if isinstance(value, Raw):
            raw = bytes(value)
            # Of a body `body_encoding` says that it is JSON, so it stays that; what is inside of one is not quoted.
            if self.name == "body":
                return raw.decode()
            return "" if raw == b"null" else _decoded(raw) if raw[:1] == b'"' else raw.decode()
        if isinstance(value, str):
            return str(value)
        return "" if value is None else _ENCODER.encode(value).decode()


class Picked:
    """Encodes some fields of a record as one JSON object, whose keys are their names; a large body is held whole."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._fields = read_fields(names)

    def __call__(self, record: Record) -> bytes:
        return _ENCODER.encode({field.name: field.value(record) for field in self._fields})


def read_fields(names: tuple[str, ...]) -> tuple[Field, ...]:
    """
    The fields of these names.

    Raises:
        UsageError: One is none, or is there twice.
    """
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"field {name!r} is there twice; leave one out")
    return tuple(map(Field, names))


def _known(first: str, rest: list[str]) -> bool:
    if first not in Record.__struct_fields__ or "" in rest:
        return False
    if not rest or first in _OPEN:
        return True
    if first in _LISTS:
        inside, rest = _LISTS[first], rest[1:] if rest[0].isdecimal() else ["?"]
    elif first in _INSIDE:
        inside = _INSIDE[first]
    else:
        return False
    if not rest or rest[0] not in inside.__struct_fields__:
        return not rest and first in _LISTS
    return len(rest) == 1 or (inside is Try and rest[0] == "error" and _known("error", rest[1:]))


def _reader(first: str, rest: list[str]) -> Callable[[Record], Any]:
    if not rest:
        return lambda record: getattr(record, first)
    if first == "headers":
        return _header(".".join(rest).lower())
    if first == "body":
        return lambda record: _inside(record.body, rest) if record.body_encoding == "json" else None
    return lambda record: _inside(getattr(record, first), rest)


def _header(name: str) -> Callable[[Record], str | None]:
    """A header's values as one (RFC 9110 5.2); those of Set-Cookie, which have commas of their own, a line each."""
    glue = "\n" if name == "set-cookie" else ", "

    def read(record: Record) -> str | None:
        values = record.headers.get(name)
        return None if values is None else glue.join(values)

    return read


def _inside(value: Any, path: list[str]) -> Any:
    """What is at the end of a path."""
    for place, key in enumerate(path):
        if isinstance(value, Raw):
            raw = bytes(value)
            # Only so far as is needed, so that numbers keep their spelling.
            value = _OBJECT.decode(raw) if raw[:1] == b"{" else _LIST.decode(raw) if raw[:1] == b"[" else None
        if isinstance(value, Mapping):
            # A column's own name may have dots.
            rest = ".".join(path[place:])
            if rest in value:
                return value[rest]
            value = value.get(key)
        elif isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        elif isinstance(value, Struct):
            value = getattr(value, key, None)
        else:
            return None
    return value


def _decoded(raw: bytes) -> str:
    return msgspec.json.decode(raw, type=str)
