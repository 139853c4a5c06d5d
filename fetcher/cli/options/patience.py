"""Owns the options that say how long to wait and what to try again."""

from __future__ import annotations

from fetcher.cli.options.option import group, setting
from fetcher.cli.values import Listing, Seconds, Whole
from fetcher.client.config import ClientConfig
from fetcher.policy import PolicyConfig

patience_options = group(
    "Patience",
    setting(
        "-t",
        "--timeout",
        room=ClientConfig,
        type=Seconds(),
        metavar="TIME",
        help="For an attempt in all, from slot to last byte, its redirects included.",
    ),
    setting(
        "--connect-timeout",
        room=ClientConfig,
        type=Seconds(),
        metavar="TIME",
        help="For the name, TCP and TLS together.",
    ),
    setting(
        "--read-timeout",
        room=ClientConfig,
        type=Seconds(),
        metavar="TIME",
        help="Of silence while a reply is awaited or read.",
    ),
    setting(
        "-r", "--retries", room=PolicyConfig, type=Whole(), metavar="N", help="How many attempts may follow the first."
    ),
    setting(
        "--retry-on",
        room=PolicyConfig,
        type=Listing(),
        metavar="LIST",
        help="What is tried again, whatever the method: error kinds, statuses, classes such as 5xx. Unless said: what "
        "can get better by itself, for methods that may be repeated.",
    ),
    about="TIME is seconds (10, 0.5) or has a unit: 500ms, 90s, 2m, 1h. 0 is no limit.",
)
