"""Owns the options that say whom to trust and how long to stay connected."""

from __future__ import annotations

import click

from fetcher.cli.options.option import alias, flag, group, setting
from fetcher.cli.values import FilePath, Seconds, Secret, Text
from fetcher.client.config import ClientConfig
from fetcher.client.names.config import RESOLVERS, NamesConfig
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
    flag("--system-certs", room=ClientConfig, help="Trust whom the system trusts, instead of certifi's list."),
    setting(
        "--cert",
        room=ClientConfig,
        type=FilePath(),
        metavar="FILE",
        help="Our certificate, for servers that ask for one: PEM, with those in between and, without --key, its key.",
    ),
    setting("--key", room=ClientConfig, type=FilePath(), metavar="FILE", help="Its private key, PEM."),
    setting(
        "--key-password",
        room=ClientConfig,
        type=Secret(),
        metavar="TEXT|@FILE",
        help="What opens an encrypted key. @FILE and AFETCH_KEY_PASSWORD keep it out of the list of processes.",
    ),
    flag(
        "-k",
        "--insecure",
        room=ClientConfig,
        help="Trust every certificate: anyone on the way can read and change all.",
    ),
    setting(
        "--insecure-host",
        room=ClientConfig,
        field="insecure_hosts",
        type=Text(),
        multiple=True,
        metavar="HOST",
        help="Trust every certificate of this host only. Repeatable.",
    ),
    setting(
        "-x",
        "--proxy",
        room=ClientConfig,
        type=Text(),
        metavar="URL",
        help="Go through this proxy (http, https, socks4, socks5), as in socks5://user:password@host:1080; '' is none.",
    ),
    flag("--no-env", room=ClientConfig, help="Heed no http_proxy, https_proxy, all_proxy, no_proxy."),
    setting(
        "--keepalive", room=ClientConfig, type=Seconds(), metavar="TIME", help="How long an idle connection is kept."
    ),
    alias("--no-keepalive", of="keepalive", means=0.0, help="Close each connection after its reply."),
    setting(
        "--resolve",
        room=NamesConfig,
        multiple=True,
        type=Text(),
        metavar="HOST:PORT:ADDR",
        help="Connect to this address for that host and port; * is every host. Repeatable.",
    ),
    setting(
        "--resolver",
        room=NamesConfig,
        type=click.Choice(RESOLVERS),
        metavar="NAME",
        help="Who looks up names: aiodns, the system, or auto: aiodns, and the system where that has trouble.",
    ),
    setting("--dns-timeout", room=NamesConfig, type=Seconds(), metavar="TIME", help="How long a lookup may take."),
    flag("-4", "--ipv4", room=NamesConfig, help="Use IPv4 addresses only."),
    flag("-6", "--ipv6", room=NamesConfig, help="Use IPv6 addresses only."),
    flag(
        "--block-private",
        room=NamesConfig,
        help="Connect to no address that is not on the public internet, whatever leads there.",
    ),
    flag(
        "--robots",
        room=RobotsConfig,
        help="Fetch only what each origin's robots.txt allows, no faster than its Crawl-delay says.",
    ),
)
