"""Owns the options that say what to fetch."""

from __future__ import annotations

from functools import partial

import rich_click

from fetcher.cli.options.option import group, setting
from fetcher.cli.values import Source, Text, Whole
from fetcher.sources.config import SourceConfig

input_options = group(
    "Input",
    partial(
        rich_click.argument,
        "source",
        nargs=-1,
        type=Source(),
        help="A file with a URL a line, standard input, or an http(s) URL itself. Several are read in order.",
    ),
    setting(
        "--base-url",
        room=SourceConfig,
        type=Text(),
        metavar="URL",
        help="What entries without a scheme are appended to, with exactly one slash between.",
    ),
    setting("--limit", room=SourceConfig, type=Whole(), metavar="N", help="Read no more than N entries."),
)
