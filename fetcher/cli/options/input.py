"""Owns the options that say what to fetch."""

from __future__ import annotations

from typing import get_args

import click

from fetcher.cli.options.option import flag, group, operand, setting
from fetcher.cli.values import Source, Text, Whole
from fetcher.sources.config import InputFormat, SourceConfig

FORMATS: tuple[str, ...] = get_args(InputFormat)

input_options = group(
    "Input",
    operand(
        "source",
        nargs=-1,
        type=Source(),
        help="A list in a file (lines, JSON Lines, CSV or TSV, also compressed), standard input, or an http(s) URL "
        "itself. Several are read in order.",
    ),
    setting(
        "--input-format",
        room=SourceConfig,
        type=click.Choice(FORMATS),
        metavar="FORMAT",
        help=f"What lists are: {', '.join(FORMATS[1:-1])} or {FORMATS[-1]}; by suffix and first entry unless said.",
    ),
    setting(
        "--url-column",
        room=SourceConfig,
        type=Text(),
        metavar="NAME",
        help="The column, or the key of a JSON object, with the URL; url unless said.",
    ),
    setting(
        "--base-url",
        room=SourceConfig,
        type=Text(),
        metavar="URL",
        help="What entries without a scheme are appended to, with exactly one slash between. With columns in it, as in "
        "'https://example.com/items/{id}', each row's URL.",
    ),
    flag(
        "--unique",
        room=SourceConfig,
        help="Drop entries that repeat an earlier one: the same method, URL and body. They have no record.",
    ),
    setting("--limit", room=SourceConfig, type=Whole(), metavar="N", help="Read no more than N entries."),
)
