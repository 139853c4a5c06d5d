"""Owns the options that say what every request looks like."""

from __future__ import annotations

import sys
from pathlib import Path

from fetcher.cli.options.option import flag, group, setting
from fetcher.cli.values import Header, Pair, Text
from fetcher.client.config import ClientConfig
from fetcher.errors import SourceError, UsageError
from fetcher.sources.config import SourceConfig

request_options = group(
    "Request",
    setting(
        "-X",
        "--method",
        room=SourceConfig,
        type=Text(),
        metavar="METHOD",
        help="Sent as given; GET unless said, POST where there is --data.",
    ),
    setting(
        "-H",
        "--header",
        room=ClientConfig,
        field="headers",
        type=Header(),
        multiple=True,
        metavar="HEADER",
        help="'Name: value', in place of our own header of that name; 'Name;' sends it empty, 'Name:' leaves it out. "
        "Repeatable.",
    ),
    setting("-A", "--user-agent", room=ClientConfig, type=Text(), metavar="TEXT", help="The User-Agent header."),
    setting(
        "-d",
        "--data",
        room=SourceConfig,
        type=Text(),
        metavar="TEXT|@FILE",
        help="The body of every request, sent byte for byte; @- reads it from standard input.",
    ),
    setting(
        "--param",
        room=SourceConfig,
        field="params",
        type=Pair(),
        multiple=True,
        metavar="KEY=VALUE",
        help="A query parameter added to every URL. Repeatable.",
    ),
    flag(
        "--no-compress",
        room=ClientConfig,
        field="compress",
        negates=True,
        help="Ask for bodies that are not compressed; those that come compressed are decoded all the same.",
    ),
)


def read_data(text: str, sources: tuple[str, ...]) -> bytes:
    """
    The body that `--data` names: its own text, or what is in @FILE.

    Args:
        sources: Where the list comes from; standard input cannot be both.

    Raises:
        UsageError: Standard input is the list.
        SourceError: The file cannot be read.
    """
    if not text.startswith("@"):
        # What the shell gave that is no UTF-8 goes out as it came in.
        return text.encode("utf-8", "surrogateescape")
    name = text[1:]
    if name == "-":
        if "-" in sources:
            raise UsageError("--data @-: standard input is the list already; name a file as SOURCE, or as --data @FILE")
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"--data @{name}: {reason}; name a file that can be read") from error
