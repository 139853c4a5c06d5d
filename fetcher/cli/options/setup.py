"""Owns the options about the command itself."""

from __future__ import annotations

from functools import partial

import click
import rich_click

from fetcher import __version__
from fetcher.cli.configfile import read_config
from fetcher.cli.options.option import group
from fetcher.cli.values import FilePath


def _read_config(context: click.Context, _option: click.Parameter, path: str | None) -> None:
    if path is not None and not context.resilient_parsing:
        read_config(context, path)


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    click.echo(f"afetch {__version__}")
    context.exit()


# What is done at once is asked for on the command line only: a variable AFETCH_VERSION means another thing.
_at_once = partial(rich_click.option, is_eager=True, expose_value=False, allow_from_autoenv=False)

setup_options = group(
    "Setup",
    partial(
        rich_click.option,
        "--config",
        is_eager=True,
        expose_value=False,
        type=FilePath(),
        callback=_read_config,
        metavar="FILE",
        help="Read options from a TOML file: concurrency = 20, header = ['A: b'].",
    ),
    partial(
        rich_click.option,
        "--demo",
        is_flag=True,
        allow_from_autoenv=False,
        help="Fetch a small site that afetch serves to itself: see it work without a network.",
    ),
    partial(_at_once, "--version", is_flag=True, callback=_print_version, help="Print the version, and leave."),
    partial(rich_click.help_option, "-h", "--help", allow_from_autoenv=False, help="Print this, and leave."),
    about=(
        "Each option is also read from the environment, as AFETCH_MAX_SIZE=1G is\n"
        "(repeatable ones: a value a line); options win over it, it wins over --config.\n"
        'Completion: eval "$(_AFETCH_COMPLETE=bash_source afetch)", or zsh_, fish_source.'
    ),
)
