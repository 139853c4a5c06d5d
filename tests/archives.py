"""Owns the reading of WARC files with the tools that their users read them with, and nothing of ours."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct


def _imported(name: str) -> Any:
    """A module; the tests of whoever asks are skipped without it, and fail where the variable CI is set."""
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


fastwarc = _imported("fastwarc")
checker = _imported("warcio.checker")
archiveiterator = _imported("warcio.archiveiterator")


class Archived(Struct, frozen=True):
    """
    A WARC record.

    Attributes:
        fields: Names and values of its head, in order.
    """

    kind: str
    fields: tuple[tuple[str, str], ...]
    block: bytes

    def __getitem__(self, name: str) -> str:
        [value] = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        """The values of a field, which may be none."""
        return [value for key, value in self.fields if key == name]

    @property
    def values(self) -> dict[str, str]:
        """What a block of `application/warc-fields` says."""
        assert self["Content-Type"] == "application/warc-fields"
        return dict(line.split(": ", 1) for line in self.block.decode().split("\r\n") if line)


def read_archive(path: Path) -> list[Archived]:
    """All records of a file that both tools find nothing wrong with."""
    assert_sound(path)
    with path.open("rb") as file:
        found = []
        for record in fastwarc.warc.ArchiveIterator(file, parse_http=False):
            fields = tuple(record.headers)
            found.append(Archived(str(dict(fields)["WARC-Type"]), fields, record.reader.read()))
        return found


def assert_sound(path: Path) -> None:
    """Every digest is right, for warcio's checker and for fastwarc."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = checker.Checker(SimpleNamespace(inputs=[str(path)], verbose=True)).process_all()
    assert (status, "digest to check" in said.getvalue()) == (0, False), said.getvalue()
    with path.open("rb") as file:
        for record in fastwarc.warc.ArchiveIterator(file, parse_http=False):
            assert record.verify_block_digest()


def payloads(path: Path) -> list[tuple[str, str, bytes]]:
    """Type, target and payload of the requests and responses, where warcio parts heads from payloads."""
    with path.open("rb") as file:
        return [
            (record.rec_type, record.rec_headers.get_header("WARC-Target-URI"), record.raw_stream.read())
            for record in archiveiterator.ArchiveIterator(file)
            if record.rec_type in {"request", "response"}
        ]
