"""Owns how an option is called in a message: by the name that the user gave it, wherever that was."""

from __future__ import annotations

import click
from click.core import ParameterSource

PREFIX = "AFETCH"
"""What the environment's names begin with."""

CONFIG = "fetcher.cli.config"
"""Where a context keeps the configuration file's path."""


def label(context: click.Context, param: click.Parameter) -> str:
    """`--timeout`, `AFETCH_TIMEOUT`, `afetch.toml: timeout` or `SOURCE`."""
    if isinstance(param, click.Argument):
        return "SOURCE"
    source = context.get_parameter_source(str(param.name))
    if source is ParameterSource.ENVIRONMENT:
        return f"{PREFIX}_{str(param.name).upper()}"
    long = max(param.opts, key=len)
    if source is ParameterSource.DEFAULT_MAP:
        return f"{context.meta[CONFIG]}: {long.removeprefix('--')}"
    return long
