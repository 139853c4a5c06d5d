"""Owns the options that say what is written, and where."""

from __future__ import annotations

from typing import get_args

import click

from fetcher.bodies import BodyMode
from fetcher.cli.options.option import alias, flag, group, setting
from fetcher.cli.values import FilePath, Listing, Size, Text, Whole
from fetcher.client.config import ClientConfig
from fetcher.record import RecordConfig
from fetcher.saving.config import SavingConfig
from fetcher.sinks.config import FORMATS, OutputConfig

BODIES: tuple[str, ...] = get_args(BodyMode)

output_options = group(
    "Output",
    setting(
        "-o",
        "--output",
        room=OutputConfig,
        type=FilePath(),
        multiple=True,
        metavar="FILE",
        help="Where the records go, instead of standard output (which - is, too). Repeatable: each gets them all.",
    ),
    setting(
        "-f",
        "--format",
        room=OutputConfig,
        type=click.Choice(FORMATS),
        metavar="FORMAT",
        help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}; by the suffix of --output unless said, else text.",
    ),
    alias("--json", of="format", means="jsonl", help="The same as -f jsonl: one JSON object a line."),
    setting(
        "--fields",
        room=OutputConfig,
        type=Listing(),
        metavar="LIST",
        help="What to write of each record, in this order: names as in the record, also inside of it, such as "
        "timings.dns, headers.etag, extra.id, body.name. For all formats but text.",
    ),
    setting(
        "--template",
        room=OutputConfig,
        type=Text(),
        metavar="TEXT",
        help=r"Text of your own making in place of the five columns: names as in --fields in braces, and printf's "
        r"escapes, as in '{status}\t{url}'. '{body}' is the page as it is.",
    ),
    setting(
        "--only",
        room=OutputConfig,
        type=Listing(),
        metavar="LIST",
        help="Which records to write: ok, failed, or error kinds, statuses and classes such as 5xx.",
    ),
    setting(
        "--failed",
        room=OutputConfig,
        type=FilePath(),
        metavar="FILE",
        help="Write the entries that failed into this file, as they were given and in the list's own format, so that "
        "they can be fetched again.",
    ),
    setting(
        "--body",
        room=RecordConfig,
        type=click.Choice(BODIES),
        metavar="HOW",
        help=f"How the body is put into a record: {', '.join(BODIES[:-1])} or {BODIES[-1]}.",
    ),
    setting(
        "--save",
        room=SavingConfig,
        type=FilePath(),
        metavar="DIR",
        help="Put the bodies of replies that succeed into files in this folder, and their paths into the records. "
        "--timeout and --max-size are none then, unless said; a body that breaks off goes on where it did.",
    ),
    setting(
        "--name",
        room=SavingConfig,
        field="save_name",
        type=Text(),
        metavar="TEMPLATE",
        help="What those files are called: {host}, {path}, {name}, {stem}, {ext}, {query}, {index}, {hash}, {sha256}, "
        "{extra.COLUMN}, cut as in {hash:2}. Names are made safe, and numbered where two would be one.",
    ),
    flag(
        "-R",
        "--remote-time",
        room=SavingConfig,
        help="Give those files the time of their Last-Modified.",
    ),
    setting(
        "--max-size",
        room=ClientConfig,
        type=Size(),
        metavar="SIZE",
        help="A larger body is the error too-large. Bytes, or with a unit: 500k, 64M, 1G "
        "(powers of 1024). 0 is no limit.",
    ),
    setting(
        "--max-ratio",
        room=ClientConfig,
        type=Whole(),
        metavar="N",
        help="A body that decoding makes more than N times as large is too-large as well, above 50M. 0 is no limit.",
    ),
    flag(
        "--ordered",
        room=OutputConfig,
        help="Write the records in the order of the input: what comes early waits. While 10,000 wait, the list is read "
        "no further.",
    ),
    flag("--overwrite", room=OutputConfig, help="Replace an --output file that is not empty."),
)
