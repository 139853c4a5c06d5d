"""Owns which formats there are. Each is imported where it is chosen, so that a heavy one costs only who wants it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from fetcher.sinks.protocol import Sink


class Format(Struct, frozen=True):
    """
    How a format is chosen.

    Attributes:
        suffixes: Of the files that have it unless the user says otherwise; in lower case.
        make: A new sink, told whether it writes to a terminal in colour.
    """

    suffixes: tuple[str, ...]
    make: Callable[[bool], Sink]


def _text(colour: bool) -> Sink:
    from fetcher.sinks.text import Text

    return Text(colour=colour)


def _jsonl(_colour: bool) -> Sink:
    from fetcher.sinks.jsonl import JsonLines

    return JsonLines()


def _json(_colour: bool) -> Sink:
    from fetcher.sinks.json import Json

    return Json()


SINKS = {
    "text": Format((".txt",), _text),
    "jsonl": Format((".jsonl", ".ndjson"), _jsonl),
    "json": Format((".json",), _json),
}
