"""
Owns what cannot be asked for at once, and which word counts when two places say different things.

Two options that were given in the same place contradict each other: that is an error. Given in two places, the more
explicit one counts: an option over the environment over the configuration file.
"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from fetcher.cli.labels import label
from fetcher.cli.options.option import Alias
from fetcher.errors import UsageError

_DEMO = "the demo brings its own list and requests"

_BODIES = "a request has one body"
_NO_BODY = "ask for the head, or send a body"

RIVALS: tuple[tuple[str, str, str], ...] = (
    ("quiet", "verbose", "say less, or say more"),
    ("quiet", "progress", "show nothing, or show progress"),
    ("no_follow", "max_redirects", "follow none, or that many"),
    ("data", "data_json", _BODIES),
    ("data", "form", _BODIES),
    ("data_json", "form", _BODIES),
    ("head", "data", _NO_BODY),
    ("head", "data_json", _NO_BODY),
    ("head", "form", _NO_BODY),
    ("user", "bearer", "a request says once who it is from"),
    ("insecure", "cacert", "trust everyone, or that file"),
    ("insecure", "system_certs", "trust everyone, or the system"),
    ("insecure", "insecure_host", "trust everyone, or one more"),
    ("system_certs", "cacert", "trust the system, or that file"),
    ("ipv4", "ipv6", "each wants its addresses only"),
    ("resume", "overwrite", "go on with what is there, or begin anew"),
    ("retry_failed", "overwrite", "go on with what is there, or begin anew"),
    ("demo", "source", _DEMO),
    ("demo", "base_url", _DEMO),
    ("demo", "limit", _DEMO),
    ("demo", "unique", _DEMO),
    ("demo", "input_format", _DEMO),
    ("demo", "url_column", _DEMO),
    ("demo", "method", _DEMO),
    ("demo", "data", _DEMO),
    ("demo", "data_json", _DEMO),
    ("demo", "form", _DEMO),
    ("demo", "range", _DEMO),
    ("demo", "param", _DEMO),
    ("demo", "robots", _DEMO),
    ("demo", "proxy", "the demo's site is on this machine"),
    ("demo", "block_private", "the demo's site is on this machine"),
    ("demo", "ipv6", "the demo's site is on 127.0.0.1"),
    ("demo", "output", "the demo is for looking at"),
    ("demo", "failed", "the demo is for looking at"),
    ("demo", "save", "the demo is for looking at"),
    ("demo", "explain", "see it work, or read what would happen"),
)
"""Parameters that exclude each other, and why."""

RANKS = {ParameterSource.COMMANDLINE: 0, ParameterSource.ENVIRONMENT: 1, ParameterSource.DEFAULT_MAP: 2}
"""Where a parameter may be given, the most explicit first."""


def settle(context: click.Context) -> dict[str, Any]:
    """
    The parameters' values, by name: aliases spelled out, and without what a more explicit word overrules.

    Raises:
        UsageError: Two options of the same place contradict each other.
    """
    params = {str(param.name): param for param in context.command.params}
    values = dict(context.params)
    # A flag that is off and a list of none are no word against another; a limit of 0 is one.
    ranks = {
        name: None if value is False or value == () else _given(context, params[name]) for name, value in values.items()
    }
    for name, param in params.items():
        if isinstance(param, Alias):
            _spell_out(context, param, values, ranks)
            del values[name]
    for one, other, why in RIVALS:
        first, second = ranks.get(one), ranks.get(other)
        if first is None or second is None:
            continue
        if first == second:
            raise _contradiction(context, params[one], params[other], why)
        loser = one if first > second else other
        if isinstance(alias := params[loser], Alias):
            loser = alias.of
        values[loser] = params[loser].type_cast_value(context, params[loser].default)
        ranks[loser] = None
    return values


def _spell_out(context: click.Context, alias: Alias, values: dict[str, Any], ranks: dict[str, int | None]) -> None:
    """Give the setting that an alias stands for its value, unless a more explicit word did."""
    said = ranks[str(alias.name)]
    if said is None:
        return
    [setting] = [param for param in context.command.params if param.name == alias.of]
    other = _given(context, setting)
    if other == said and values[alias.of] != alias.means:
        raise _contradiction(context, alias, setting, "they are two ways to say one thing")
    if other is None or said < other:
        values[alias.of] = alias.means
        ranks[alias.of] = said if alias.means is not False else None


def _contradiction(context: click.Context, one: click.Parameter, other: click.Parameter, why: str) -> UsageError:
    return UsageError(
        f"{label(context, one)} and {label(context, other)} contradict each other ({why}); leave one of them out"
    )


def _given(context: click.Context, param: click.Parameter) -> int | None:
    """How explicitly a parameter was given; None where it was not."""
    source = context.get_parameter_source(str(param.name))
    return None if source is None else RANKS.get(source)
