"""
Owns Parquet files joined end to end: their row groups are copied as they are, and one footer is made of all of theirs.

Decoding rows to encode them again takes as long as writing them did. All that has to change are the offsets in the
footer, which is a struct of Thrift's compact protocol (parquet-format's `parquet.thrift`, thrift's
`thrift-compact-protocol.md`). It is read without knowing what its other fields mean, and written as it was.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MAGIC = b"PAR1"

COPIED = 1024 * 1024
"""Bytes that are copied at once."""

# Fields of a file, a row group, a column's chunk and its metadata, in parquet.thrift.
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
_CHUNK_OFFSET, _CHUNK = 2, 3
_INDEXES = (4, 5, 6, 7)
_METADATA_OFFSETS = (9, 10, 11, 14)

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_MOST_ORDINALS = 1 << 15
_LONG = 15

_Fields = dict[int, tuple[int, Any]]


class Span(NamedTuple):
    """
    Row groups of a file, from the first on.

    Attributes:
        groups: How many; None is all.
    """

    path: Path
    groups: int | None = None


class FooterError(ValueError):
    """A file is not what Parquet files are."""


def schema_of(path: Path) -> bytes:
    """The file's schema, to be compared: only files with the same one can be joined."""
    said = bytearray()
    _write(said, *_read_footer(path)[0][_SCHEMA])
    return bytes(said)


def group_rows(path: Path) -> list[int]:
    """How many rows each row group has."""
    return [group[_GROUP_ROWS][1] for group in _read_footer(path)[0][_GROUPS][1][1]]


def join(spans: Sequence[Span], new: Path, go_on: Callable[[], object]) -> None:
    """
    Write a file of all these row groups.

    Args:
        spans: Of files with the same schema; at least one.
        go_on: Called now and then; what it raises ends this.

    Raises:
        FooterError: A file is no Parquet file.
        OSError: One cannot be read or written.
    """
    whole: _Fields = {}
    groups: list[_Fields] = []
    with new.open("wb") as file:
        file.write(MAGIC)
        for path, count in spans:
            fields, end = _read_footer(path)
            found = fields[_GROUPS][1][1]
            if count is not None and count < len(found):
                end = found[count][_GROUP_OFFSET][1]
                found = found[:count]
            delta = file.tell() - len(MAGIC)
            _copy(path, file, end, go_on)
            for group in found:
                groups.append(_moved(group, delta, len(groups)))
            whole = whole or fields
        whole[_GROUPS] = (_LIST, (_STRUCT, groups))
        whole[_ROWS] = (_I64, sum(group[_GROUP_ROWS][1] for group in groups))
        footer = bytearray()
        _write(footer, _STRUCT, whole)
        file.write(footer + struct.pack("<I", len(footer)) + MAGIC)


def _copy(path: Path, onto: BinaryIO, end: int, go_on: Callable[[], object]) -> None:
    """Copy a file's bytes behind its magic number."""
    with path.open("rb") as file:
        at = file.seek(len(MAGIC))
        while at < end:
            go_on()
            data = file.read(min(COPIED, end - at))
            if not data:
                raise FooterError(f"{path.name} ends too early")
            onto.write(data)
            at += len(data)


def _moved(group: _Fields, delta: int, ordinal: int) -> _Fields:
    """The row group, that many bytes further on."""
    _shift(group, (_GROUP_OFFSET,), delta)
    if group.pop(_ORDINAL, None) is not None and ordinal < _MOST_ORDINALS:
        group[_ORDINAL] = (_I16, ordinal)
    for chunk in group[_COLUMNS][1][1]:
        if delta:
            # An index of pages has offsets of its own. It may be left out, and ours have none.
            for number in _INDEXES:
                chunk.pop(number, None)
        _shift(chunk, (_CHUNK_OFFSET,), delta)
        _shift(chunk[_CHUNK][1], _METADATA_OFFSETS, delta)
    return group


def _shift(fields: _Fields, numbers: tuple[int, ...], delta: int) -> None:
    for number in numbers:
        # 0 is said of what is nowhere.
        if number in fields and fields[number][1]:
            kind, value = fields[number]
            fields[number] = kind, value + delta


def _read_footer(path: Path) -> tuple[_Fields, int]:
    """The footer of a file, and where it begins."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 8))
        tail = file.read()
        if len(tail) < 8 or tail[4:] != MAGIC:
            raise FooterError(f"{path.name} is no Parquet file")
        start = size - 8 - struct.unpack("<I", tail[:4])[0]
        if start < len(MAGIC):
            raise FooterError(f"{path.name} is no Parquet file")
        file.seek(start)
        fields: _Fields = _Reader(file.read(size - 8 - start)).value(_STRUCT)
    return fields, start


class _Reader:
    """Values of Thrift's compact protocol, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self, kind: int) -> Any:
        """The next one, of this type."""
        if kind == _STRUCT:
            return self._struct()
        if kind in {_LIST, _SET}:
            return self._list()
        if kind in {_I16, _I32, _I64}:
            number = self._varint()
            return number >> 1 ^ -(number & 1)
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind in {_BYTE, _TRUE, _FALSE}:
            return self._bytes(1)
        if kind == _DOUBLE:
            return self._bytes(8)
        raise FooterError("the footer has a type that Parquet has not")

    def _struct(self) -> _Fields:
        fields: _Fields = {}
        number = 0
        while head := self._bytes(1)[0]:
            kind, step = head & 15, head >> 4
            if step:
                number += step
            else:
                number = self.value(_I16)
            # A field that is true or false has no more than its type.
            fields[number] = kind, (None if kind in {_TRUE, _FALSE} else self.value(kind))
        return fields

    def _list(self) -> tuple[int, list[Any]]:
        head = self._bytes(1)[0]
        kind, count = head & 15, head >> 4
        if count == _LONG:
            count = self._varint()
        return kind, [self.value(kind) for _ in range(count)]

    def _varint(self) -> int:
        number = shift = 0
        while True:
            byte = self._bytes(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7

    def _bytes(self, size: int) -> bytes:
        data = self._data[self._at : self._at + size]
        if len(data) < size:
            raise FooterError("the footer ends too early")
        self._at += size
        return data


def _write(said: bytearray, kind: int, value: Any) -> None:
    """A value of a type, behind what was said."""
    if kind == _STRUCT:
        last = 0
        for number, (inner, content) in sorted(value.items()):
            if 0 < number - last <= _LONG:
                said.append((number - last) << 4 | inner)
            else:
                said.append(inner)
                _write(said, _I16, number)
            last = number
            if content is not None:
                _write(said, inner, content)
        said.append(0)
    elif kind in {_LIST, _SET}:
        inner, items = value
        if len(items) < _LONG:
            said.append(len(items) << 4 | inner)
        else:
            said.append(_LONG << 4 | inner)
            _write_varint(said, len(items))
        for item in items:
            _write(said, inner, item)
    elif kind in {_I16, _I32, _I64}:
        _write_varint(said, value << 1 if value >= 0 else (~value << 1) | 1)
    elif kind == _BINARY:
        _write_varint(said, len(value))
        said += value
    else:
        said += value


def _write_varint(said: bytearray, number: int) -> None:
    while number >= 128:
        said.append(number & 127 | 128)
        number >>= 7
    said.append(number)
