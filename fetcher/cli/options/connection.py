"""Owns the options that say whom to trust and how long to stay connected."""

from __future__ import annotations

from fetcher.cli.options.option import alias, flag, group, setting
from fetcher.cli.values import FilePath, Seconds
from fetcher.client.config import ClientConfig
from fetcher.robots import RobotsConfig

connection_options = group(
    "Connection",
    setting(
        "--cacert",
        room=ClientConfig,
        type=FilePath(),
        metavar="FILE",
        help="Trust the certificate authorities in this PEM file instead of certifi's.",
    ),
    flag(
        "-k",
        "--insecure",
        room=ClientConfig,
        help="Trust every certificate: anyone on the way can read and change all.",
    ),
    setting(
        "--keepalive", room=ClientConfig, type=Seconds(), metavar="TIME", help="How long an idle connection is kept."
    ),
    alias("--no-keepalive", of="keepalive", means=0.0, help="Close each connection after its reply."),
    flag(
        "--robots",
        room=RobotsConfig,
        help="Fetch only what each origin's robots.txt allows, no faster than its Crawl-delay says.",
    ),
)
