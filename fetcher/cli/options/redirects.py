"""Owns the options that say where to follow."""

from __future__ import annotations

from fetcher.cli.options.option import flag, group, setting
from fetcher.cli.values import Whole
from fetcher.policy import PolicyConfig

redirect_options = group(
    "Redirects",
    flag(
        "--no-follow",
        room=PolicyConfig,
        field="follow",
        negates=True,
        help="Do not follow redirects: they are the result.",
    ),
    setting("--max-redirects", room=PolicyConfig, type=Whole(), metavar="N", help="How many one attempt may follow."),
)
