"""Owns the options about the command itself."""

from __future__ import annotations

from functools import partial

import click

from fetcher import __version__
from fetcher.cli.options.option import group, option
from fetcher.cli.values import FilePath


def _read_config(context: click.Context, _option: click.Parameter, path: str | None) -> None:
    if path is not None and not context.resilient_parsing:
        from fetcher.cli.configfile import read_config

        read_config(context, path)


def _print_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    click.echo(f"afetch {__version__}")
    context.exit()


def _print_help(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    # Not click's echo, which takes colours out where rich was told to put them in.
    print(context.get_help())  # noqa: T201 - see above
    context.exit()


# What is done at once is asked for on the command line only: a variable AFETCH_VERSION means another thing.
_at_once = partial(option, is_eager=True, expose_value=False, allow_from_autoenv=False)

setup_options = group(
    "Setup",
    option(
        "--config",
        is_eager=True,
        expose_value=False,
        type=FilePath(),
        callback=_read_config,
        metavar="FILE",
        help="Read options from a TOML file: concurrency = 20, header = ['A: b'].",
    ),
    option(
        "--demo",
        is_flag=True,
        allow_from_autoenv=False,
        help="Fetch a small site that afetch serves to itself: see it work without a network.",
    ),
    _at_once("--version", is_flag=True, callback=_print_version, help="Print the version, and leave."),
    _at_once("-h", "--help", is_flag=True, callback=_print_help, help="Print this, and leave."),
    about=(
        "Each option is also read from the environment, as AFETCH_MAX_SIZE=1G is\n"
        "(repeatable ones: a value a line); options win over it, it wins over --config.\n"
        'Completion: eval "$(_AFETCH_COMPLETE=bash_source afetch)", or zsh_, fish_source.'
    ),
)
