"""Owns the options that say what a person sees."""

from __future__ import annotations

import click

from fetcher.cli.options.option import alias, flag, group, option
from fetcher.screen import ScreenConfig


def _print_schema(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    import json

    from fetcher.record import schema

    click.echo(json.dumps(schema(), indent=2))
    context.exit()


screen_options = group(
    "Screen",
    flag("--progress", room=ScreenConfig, help="Show progress even where standard error is no terminal."),
    alias("--no-progress", of="progress", means=False, help="Show no progress."),
    flag("-q", "--quiet", room=ScreenConfig, help="Neither progress nor summary."),
    flag("-v", "--verbose", room=ScreenConfig, help="Say more; the traceback too, should afetch itself fail."),
    option(
        "--explain",
        is_flag=True,
        allow_from_autoenv=False,
        help="Fetch nothing: say what would be sent, to whom, how often, and who said so.",
    ),
    option(
        "--schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        allow_from_autoenv=False,
        callback=_print_schema,
        help="Print the JSON Schema of a record, and leave.",
    ),
)
