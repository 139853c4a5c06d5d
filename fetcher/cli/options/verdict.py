"""Owns the options that say what makes a run a failure."""

from __future__ import annotations

from fetcher.cli.options.option import flag, group, setting
from fetcher.cli.values import Listing, Text
from fetcher.verdict import VerdictConfig

verdict_options = group(
    "Verdict",
    setting(
        "--fail-on",
        room=VerdictConfig,
        type=Listing(),
        metavar="LIST",
        help="Which results count as failures: any, none, or error kinds, statuses and classes such as 5xx.",
    ),
    setting(
        "--max-failures",
        room=VerdictConfig,
        type=Text(),
        metavar="N|P%",
        help="How many may count before the exit status is 1: a number, or a share such as 5%.",
    ),
    flag("--fail-fast", room=VerdictConfig, help="Stop at the first failure that counts."),
)
