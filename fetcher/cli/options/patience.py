"""Owns the options that say how long to wait and what to try again."""

from __future__ import annotations

from fetcher.cli.options.option import flag, group, setting
from fetcher.cli.values import Listing, MinSpeed, Seconds, Whole
from fetcher.client.config import ClientConfig
from fetcher.frontier.config import FrontierConfig
from fetcher.policy import PolicyConfig
from fetcher.verdict import VerdictConfig

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
        "--min-speed",
        room=ClientConfig,
        type=MinSpeed(),
        metavar="SIZE:TIME",
        help="A reply that brings less a second, over any such time, is too-slow: 1k:30. No such demand unless said.",
    ),
    setting(
        "--max-time",
        room=VerdictConfig,
        type=Seconds(),
        metavar="TIME",
        help="End the run after so long, in good order; it has failed then.",
    ),
    setting(
        "-r", "--retries", room=PolicyConfig, type=Whole(), metavar="N", help="How many attempts may follow the first."
    ),
    setting(
        "--retry-on",
        room=PolicyConfig,
        type=Listing(),
        metavar="LIST",
        help="What is tried again, whatever the method: error kinds, statuses, classes such as 5xx, or none. Unless "
        "said: what can get better by itself, for methods that may be repeated.",
    ),
    setting(
        "--retry-wait",
        room=PolicyConfig,
        type=Seconds(),
        metavar="TIME",
        help="The longest first wait; it doubles from there. Each is chosen at random up to that.",
    ),
    setting("--retry-wait-max", room=PolicyConfig, type=Seconds(), metavar="TIME", help="Where that doubling ends."),
    setting(
        "--retry-max-time",
        room=PolicyConfig,
        type=Seconds(),
        metavar="TIME",
        help="No attempt begins so long after the entry's first.",
    ),
    setting(
        "--retry-after-max",
        room=PolicyConfig,
        type=Seconds(),
        metavar="TIME",
        help="A server that asks for a longer wait (Retry-After) has its reply taken as final.",
    ),
    flag(
        "--no-adapt",
        room=FrontierConfig,
        field="adapt",
        negates=True,
        help="Do not send less at once to a host that answers 429, or 503 with Retry-After.",
    ),
    setting(
        "--breaker",
        room=FrontierConfig,
        type=Whole(),
        metavar="N",
        help="So many failures to connect in a row take an origin out: the rest of its URLs are host-down. 0 is never.",
    ),
    setting(
        "--outage-wait",
        room=FrontierConfig,
        type=Seconds(),
        metavar="TIME",
        help="How long the run waits for a network that is gone. 0 is not at all.",
    ),
    about="TIME is seconds (10, 0.5) or has a unit: 500ms, 90s, 2m, 1h. A time limit of 0 is none.",
)
