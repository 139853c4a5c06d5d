"""Owns the options that say how much happens at once."""

from __future__ import annotations

from fetcher.cli.options.option import group, setting
from fetcher.cli.values import Whole
from fetcher.client.config import ClientConfig

concurrency_options = group(
    "Concurrency",
    setting(
        "-c",
        "--concurrency",
        room=ClientConfig,
        type=Whole(),
        metavar="N",
        help="How many requests are under way at once.",
    ),
)
