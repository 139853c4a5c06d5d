"""
Owns how a mistake is told: one line on standard error that says what is wrong and what to do.

click's own messages come with a usage block and in another voice; what a user needs of them is put into ours.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from fetcher.cli.labels import label
from fetcher.terminal import escaped

_HELP = "see afetch --help"

LIKE = 0.7
"""How like another a name must be to be offered in its place (difflib's ratio)."""

ELSEWHERE = {
    "-L": "redirects are followed unless --no-follow is given",
    "--location": "redirects are followed unless --no-follow is given",
    "-s": "-q is quiet",
    "--silent": "-q is quiet",
    "-m": "-t is the time limit",
    "--parallel": "-c says how many at once",
    "--parallel-max": "-c says how many at once",
    "--retry": "-r says how many attempts may follow the first",
    "--retry-delay": "--retry-wait is the longest first wait",
    "--speed-limit": "--min-speed SIZE:TIME has both",
    "--speed-time": "--min-speed SIZE:TIME has both",
    "-Z": "-c says how many at once",
    "--compressed": "replies are asked for compressed anyway",
    "--url": "write the URL itself",
}
"""Options of curl that go by another name here."""


def complain(message: str) -> None:
    """Print the one line. Nothing in it moves a terminal's cursor."""
    click.echo(f"afetch: {escaped(' '.join(message.split()))}", err=True)


def complaint(error: click.ClickException, command: click.Command) -> str:
    """What a mistake that click found is called here."""
    for kind, tell in _TELLERS.items():
        if isinstance(error, kind):
            return tell(error, command)
    return _plain(error.format_message())


def _no_such_option(error: click.NoSuchOption, command: click.Command) -> str:
    name = error.option_name
    told = f"no such option: {name}"
    if name in ELSEWHERE:
        return f"{told}; {ELSEWHERE[name]}"
    from difflib import get_close_matches

    names = [opt for param in command.params for opt in param.opts if opt.startswith("--")]
    begun = [option for option in names if option.startswith(name)] if name.startswith("--") else []
    nearest = begun or get_close_matches(name, names, n=1, cutoff=LIKE)
    return f"{told}; did you mean {' or '.join(nearest)}?" if nearest else f"{told}; {_HELP}"


def _bad_value(error: click.BadParameter, _command: click.Command) -> str:
    if error.param is None or error.ctx is None:
        return _plain(error.message)
    # click's own sentence goes on about every spelling.
    why = "write 1 or 0" if isinstance(error.param.type, click.types.BoolParamType) else _plain(error.message)
    return f"{label(error.ctx, error.param)}: {why}"


def _bad_use(error: click.BadOptionUsage, command: click.Command) -> str:
    name = error.option_name
    for param in command.params:
        if name in param.opts and isinstance(param, click.Option):
            if param.is_flag:
                return f"{name} takes no value; write it alone"
            return f"{name} needs a value; write {name} {param.metavar}"
    return f"{_plain(error.message)}; {_HELP}"


def _plain(message: str) -> str:
    """A sentence of click's in our voice: lower case, no full stop."""
    message = message.strip().removesuffix(".")
    return message[:1].lower() + message[1:]


_TELLERS: dict[type[click.ClickException], Callable[..., str]] = {
    click.NoSuchOption: _no_such_option,
    click.BadParameter: _bad_value,
    click.BadOptionUsage: _bad_use,
}
