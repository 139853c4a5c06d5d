"""Owns the options that say how much happens at once, and how fast."""

from __future__ import annotations

from fetcher.backends.config import ProcessesConfig
from fetcher.cli.options.option import group, setting
from fetcher.cli.values import Rate, Slots, Speed, Whole
from fetcher.client.config import ClientConfig
from fetcher.frontier.config import FrontierConfig

concurrency_options = group(
    "Concurrency",
    setting(
        "-c",
        "--concurrency",
        room=ClientConfig,
        type=Slots(),
        metavar="N|auto",
        help="How many requests are under way at once; auto finds out how many do best.",
    ),
    setting(
        "--per-host",
        room=FrontierConfig,
        type=Whole(),
        metavar="N",
        help="How many of them may go to one host.",
    ),
    setting(
        "--rate",
        room=FrontierConfig,
        type=Rate(),
        metavar="RATE",
        help="How many requests the whole run may begin in a time.",
    ),
    setting(
        "--per-host-rate",
        room=FrontierConfig,
        type=Rate(),
        metavar="RATE",
        help="The same to one host.",
    ),
    setting(
        "--limit-rate",
        room=ClientConfig,
        type=Speed(),
        metavar="SIZE",
        help="Bytes a second of all replies together, as they are received: 500k, 2M or 2M/s.",
    ),
    setting(
        "--window",
        room=FrontierConfig,
        type=Whole(),
        metavar="N",
        help="How many entries are looked ahead at, so that no slot waits for one host.",
    ),
    setting(
        "--processes",
        room=ProcessesConfig,
        type=Slots(),
        metavar="N|auto",
        help="How many processes fetch; auto is one for each processor that may be used.",
    ),
    about="RATE is a number a second (50, 0.5) or has a unit: 50/s, 100/m, 1000/h. A limit that is not said\n"
    "is none. What is different for single hosts stands in tables of the --config file.",
)
