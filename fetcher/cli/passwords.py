"""Owns asking a person for what the command line did not say, where there is one to ask."""

from __future__ import annotations

import sys

import click

from fetcher.cli.labels import label
from fetcher.errors import UsageError
from fetcher.terminal import escaped

STDIN = frozenset({"-", "/dev/stdin"})


def with_password(
    context: click.Context, user: str | None, sources: tuple[str, ...], *, ask: bool = True
) -> str | None:
    """
    What `--user` says, with a password: asked for on the terminal where there is none.

    Args:
        sources: Where the list comes from; a terminal cannot give both.
        ask: Nothing is sent, and any password will do.

    Raises:
        UsageError: There is nobody to ask.
    """
    if user is None or ":" in user:
        return user
    if not ask:
        return f"{user}:"
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr) and STDIN.isdisjoint(sources)):
        [param] = [param for param in context.command.params if param.name == "user"]
        raise UsageError(
            f"{label(context, param)}: no password, and nobody to ask for it; write USER:PASSWORD (USER: for an empty "
            "one), and to keep it out of the list of processes @FILE, or AFETCH_USER"
        )
    from getpass import getpass

    try:
        return f"{user}:{getpass(f'Password for {escaped(user)}: ', sys.stderr)}"
    except EOFError:
        raise click.Abort from None


def _is_terminal(stream: object) -> bool:
    try:
        return bool(getattr(stream, "isatty", bool)())
    except ValueError:
        return False
