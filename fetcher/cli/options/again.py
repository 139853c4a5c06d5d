"""Owns the options of a run that is not the first of its list."""

from __future__ import annotations

from fetcher.cli.options.option import flag, group, setting
from fetcher.cli.values import FilePath
from fetcher.sinks.config import OutputConfig

again_options = group(
    "Again",
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
