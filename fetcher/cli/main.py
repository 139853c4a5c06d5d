"""
Owns the command: options -> configurations -> the run, and what its end is called to the shell.

The option groups are in `fetcher.cli.options`, one file each; the run itself is `fetcher.cli.launch`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

import click

from fetcher.cli.complaints import complain, complaint
from fetcher.cli.contradictions import RANKS, settle
from fetcher.cli.interrupt import Interruptible, leave_quietly
from fetcher.cli.labels import CONFIG, PREFIX
from fetcher.cli.options.again import again_options
from fetcher.cli.options.concurrency import concurrency_options
from fetcher.cli.options.connection import connection_options
from fetcher.cli.options.input import input_options
from fetcher.cli.options.option import Command, Setting
from fetcher.cli.options.output import output_options
from fetcher.cli.options.patience import patience_options
from fetcher.cli.options.redirects import redirect_options
from fetcher.cli.options.request import read_bodies, request_options
from fetcher.cli.options.screen import screen_options
from fetcher.cli.options.setup import setup_options
from fetcher.cli.options.verdict import verdict_options
from fetcher.cli.passwords import with_password
from fetcher.cli.status import ExitStatus
from fetcher.client.config import YIELDING
from fetcher.errors import AfetchError, UsageError
from fetcher.hosts import HostConfig
from fetcher.screen import ScreenConfig
from fetcher.settings import ROOMS, Settings
from fetcher.sinks.config import OutputConfig

C = TypeVar("C")

_STANDARD_ERROR = 2


@click.command(
    "afetch",
    cls=Command,
    add_help_option=False,
    context_settings={"auto_envvar_prefix": PREFIX, "show_default": True},
)
@input_options
@request_options
@concurrency_options
@patience_options
@redirect_options
@connection_options
@output_options
@again_options
@screen_options
@verdict_options
@setup_options
@click.pass_context
def command(context: click.Context, /, **_options: Any) -> int:
    """
    Fetch a list of URLs, ten or ten million: one record for every one of them.

    For example:
        afetch urls.txt --concurrency 20 --timeout 10
        cat urls.txt | afetch --json | jq -r 'select(.ok | not) | .url'

    Results go to standard output or to --output, everything else to standard error. The exit status is 0 where no
    failure counts, 1 where more count than may, 2 where the run could not be done.
    """
    given = settle(context)
    values = dict(given)
    demo = values["demo"]
    sources = () if demo else _sources(values["source"])
    read_bodies(values, sources)
    values["user"] = with_password(context, values["user"], sources, ask=not values["explain"])
    settings = _configuration(context, values, Settings, ROOMS, hosts=_hosts(context))
    output = _configuration(context, values, OutputConfig, (OutputConfig,))
    screen = _configuration(context, values, ScreenConfig, (ScreenConfig,))
    if values["explain"]:
        from fetcher.cli.explain import Said, explain

        return explain(sources, settings, output, Said.by(context, given))
    _default_pipes(default=False)
    if context.obj:
        from fetcher.client.lean import import_aiohttp

        import_aiohttp()
    if demo:
        from fetcher.cli.demo import demo as show

        run_it = partial(show, settings, output, screen)
    else:
        from fetcher.cli.launch import launch

        run_it = partial(launch, sources, settings, output, screen)
    if context.obj:
        # What is there by now stays to the end, and what comes may be garbage.
        gc.freeze()
        gc.enable()
    with Interruptible():
        return run_it()


def main(args: Sequence[str] | None = None, *, alone: bool = False) -> int:
    """
    The exit status of the command with these arguments, or with the process's own.

    Args:
        alone: Nobody else uses this process.
    """
    try:
        return int(command.main(args, prog_name="afetch", standalone_mode=False, obj=alone))
    except click.ClickException as error:
        complain(complaint(error, command))
    except AfetchError as error:
        complain(str(error))
    except (click.Abort, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    return ExitStatus.UNUSABLE


def run() -> None:
    """The command in a process of its own, which ends here."""
    leave_quietly()
    _fill_standard_descriptors()
    # `afetch --help | head -1` ends as other commands do, without a word about it.
    _default_pipes(default=True)
    _leave(main(alone=True))


def _leave(status: int) -> NoReturn:
    """End the process now: a lookup or a disk that hangs in some thread does not keep it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)


def _fill_standard_descriptors() -> None:
    """
    Put /dev/null where a standard stream was closed (`2>&-`), or a socket of ours would get its number.

    libuv aborts the process when it is to close such a one. `sys.stdin` and its like stay None, which says what was
    closed.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)


def _hosts(context: click.Context) -> dict[str, HostConfig]:
    """What a configuration file says of single hosts; none is read without one."""
    if CONFIG not in context.meta:
        return {}
    from fetcher.cli.configfile import hosts_of

    return hosts_of(context)


def _sources(given: tuple[str, ...]) -> tuple[str, ...]:
    """Where the list comes from: what was named, else what is piped in."""
    if given:
        return given
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise UsageError("no SOURCE: name a file, a URL or -, or pipe a list in; afetch --demo shows how it works")
    return ("-",)


def _configuration(
    context: click.Context, values: dict[str, Any], kind: type[C], rooms: Sequence[type], **more: Any
) -> C:
    """A configuration from the options that are fields of its rooms, and from what is no option."""
    chosen = {
        param.field: param.to_field(values[str(param.name)])
        for param in context.command.params
        if isinstance(param, Setting) and param.room in rooms and _counts(context, param)
    }
    return kind(**chosen, **more)


def _counts(context: click.Context, param: Setting) -> bool:
    """Whether an option is to be handed on: a limit that nobody has asked for may give way to another option."""
    return param.field not in YIELDING or context.get_parameter_source(str(param.name)) in RANKS


def _default_pipes(*, default: bool) -> None:
    """Whether a closed pipe ends the process at once; a run must not, since its sockets would too."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL if default else signal.SIG_IGN)
