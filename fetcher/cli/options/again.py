"""Owns the options of a run that is not the first of its list."""

from __future__ import annotations

from fetcher.cli.options.option import flag, group, setting
from fetcher.cli.values import FilePath, Listing
from fetcher.sinks.config import OutputConfig

again_options = group(
    "Again",
    flag(
        "--resume",
        room=OutputConfig,
        help="Go on with what an earlier run left in the --output files: fetch only what has no record there.",
    ),
    setting(
        "--retry-failed",
        room=OutputConfig,
        type=Listing(),
        metavar="LIST",
        help="Resume, and fetch again what failed, in place of its records: all, or error kinds, statuses and classes "
        "such as 5xx.",
    ),
    setting(
        "--cache",
        room=OutputConfig,
        type=FilePath(),
        metavar="DIR",
        help="Remember in this folder what each reply was, ask the next time only for what has changed, and say in "
        "each record whether it did. No bodies are kept.",
    ),
    flag("--changed-only", room=OutputConfig, help="Write only the records of what is new, changed or gone."),
)
