"""Owns the options that say what every request looks like."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from fetcher.cli.options.option import alias, flag, group, setting
from fetcher.cli.values import Cookie, FilePath, Header, Pair, Secret, Text
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
        help="Sent as given; GET unless said, POST where there is a body. head,get checks links: it asks with HEAD, "
        "and with GET where a server refuses that, and keeps no body.",
    ),
    alias("-I", "--head", of="method", means="HEAD", help="The same as -X HEAD: no bodies."),
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
        multiple=True,
        metavar="TEXT|@FILE",
        help="The body of every request, sent byte for byte; @- reads it from standard input. Several are joined by &.",
    ),
    setting(
        "--data-json",
        room=SourceConfig,
        type=Text(),
        metavar="TEXT|@FILE",
        help="The same as JSON, which is checked; sent as application/json, and asks for that.",
    ),
    setting(
        "--form",
        room=SourceConfig,
        type=Pair("a part of the form: write KEY=VALUE or KEY=@FILE"),
        multiple=True,
        metavar="KEY=VALUE|@FILE",
        help="A part of a multipart/form-data body; ;type=text/csv and ;filename=NAME may follow. Repeatable.",
    ),
    setting(
        "--range",
        room=SourceConfig,
        type=Text(),
        metavar="RANGE",
        help="Ask for a part of each body: 0-499, 9500-, or -500 for the last 500 bytes.",
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
    setting(
        "-b",
        "--cookie",
        room=ClientConfig,
        field="cookies",
        type=Cookie(),
        multiple=True,
        metavar="KEY=VALUE|FILE",
        help="A cookie for every entry's own origin, or, without =, a file of cookies to begin with. Repeatable.",
    ),
    setting(
        "--cookie-jar",
        room=ClientConfig,
        type=FilePath(),
        metavar="FILE",
        help="Begin with the cookies in this file, keep those that servers set, and write all into it at the end.",
    ),
    setting(
        "-u",
        "--user",
        room=ClientConfig,
        type=Secret(),
        metavar="USER:PASSWORD",
        help="Told every entry's own origin (Basic); a password that is left out is asked for on the terminal. @FILE "
        "and AFETCH_USER keep it out of the list of processes.",
    ),
    setting(
        "--bearer",
        room=ClientConfig,
        type=Secret(),
        metavar="TOKEN|@FILE",
        help="The same with a token (Bearer), and AFETCH_BEARER.",
    ),
    flag(
        "--netrc", room=ClientConfig, help="Tell each host the user and password that $NETRC, or ~/.netrc, has for it."
    ),
    setting(
        "--netrc-file",
        room=ClientConfig,
        type=FilePath(),
        metavar="FILE",
        help="The same with this file.",
    ),
    flag(
        "--no-compress",
        room=ClientConfig,
        field="compress",
        negates=True,
        help="Ask for bodies that are not compressed; those that come compressed are decoded all the same.",
    ),
)


STDIN = frozenset({"-", "/dev/stdin"})


def read_bodies(values: dict[str, Any], sources: tuple[str, ...]) -> None:
    """
    Put what the options of bodies name in the place of their texts.

    Args:
        values: The parameters' values by name, which are changed.
        sources: Where the list comes from; standard input cannot be both.

    Raises:
        UsageError: Standard input is the list, or is to be two bodies.
        SourceError: A file cannot be read.
    """
    texts = [("--data", text) for text in values["data"]]
    texts += [("--data-json", values["data_json"])] if values["data_json"] is not None else []
    texts += [("--form", value) for _, value in values["form"]]
    piped = [name for name, text in texts if text.startswith("@") and text[1:].partition(";")[0] in STDIN]
    if piped and not STDIN.isdisjoint(sources):
        raise UsageError(
            f"{piped[0]} @-: standard input is the list already; name a file as SOURCE, or as {piped[0]} @FILE"
        )
    if len(piped) > 1:
        raise UsageError(f"{piped[0]} @- and {piped[1]} @-: standard input can be read once; name a file")
    values["data"] = b"&".join(read_data(text) for text in values["data"]) if values["data"] else None
    if values["data_json"] is not None:
        values["data_json"] = read_data(values["data_json"], "--data-json")


def read_data(text: str, option: str = "--data") -> bytes:
    """
    The body that an option names: its own text, or what is in @FILE.

    Raises:
        SourceError: The file cannot be read.
    """
    if not text.startswith("@"):
        # What the shell gave that is no UTF-8 goes out as it came in.
        return text.encode("utf-8", "surrogateescape")
    name = text[1:]
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{option} @{name}: {reason}; name a file that can be read") from error
