"""What the command tells about itself: help, version, schema, completion."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import click
import pytest

from fetcher import __version__
from fetcher.cli.main import command

GROUPS = [
    "Input",
    "Request",
    "Concurrency",
    "Patience",
    "Redirects",
    "Connection",
    "Output",
    "Again",
    "Screen",
    "Verdict",
    "Setup",
]

HEAVY = ("aiohttp", "uvloop", "yarl", "ssl", "asyncio")


def afetch(*arguments: str, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """The real command, piped."""
    unwanted = {"COLUMNS", "TERMINAL_WIDTH", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    return subprocess.run(
        [sys.executable, "-m", "fetcher", *arguments],
        env=environment | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


@pytest.mark.parametrize("width", [80, 120])
def test_help_fits_the_width(width: int) -> None:
    """Every group in its order, every option with its help; no line too long for the terminal, none ends in blanks."""
    ended = afetch("--help", env={"COLUMNS": str(width)})

    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert max(map(len, lines)) <= width
    assert lines == [line.rstrip() for line in lines]
    assert [line.removesuffix(":") for line in lines if re.fullmatch(r"[A-Z]\w+:", line)] == GROUPS
    for param in command.params:
        assert getattr(param, "help", None)
        if isinstance(param, click.Option):
            names = re.compile(rf"(?<![\w-]){re.escape(max(param.opts, key=len))}(?![\w-])")
            assert names.search(ended.stdout), param.name


def test_help_shows_each_default_as_it_is_written() -> None:
    """Defaults are read from the rooms' configurations and shown in the forms that the options take."""
    text = " ".join(afetch("--help", env={"COLUMNS": "120"}).stdout.split())

    for said in ("[default=50]", "[default=30]", "[default=50M]", "[default=any]", f"[default=afetch/{__version__}]"):
        assert said in text


def test_short_help_is_help() -> None:
    """-h is what a newcomer tries first."""
    assert afetch("-h").stdout == afetch("--help").stdout


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "RICH_CLICK_THEME"])
def test_help_is_plain_in_a_pipe(variable: str) -> None:
    """No colour where nobody looks, whatever a build sets: help is compared and pasted."""
    assert afetch("--help", env={variable: "true"}).stdout == afetch("--help").stdout
    assert "\x1b" not in afetch("--help", env={variable: "true"}).stdout


def test_help_has_colour_on_a_terminal() -> None:
    """A terminal gets the option names in colour, unless NO_COLOR says not to."""

    def shown(**env: str) -> bytes:
        master, slave = os.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", **env}
        with subprocess.Popen([sys.executable, "-m", "fetcher", "--help"], stdout=slave, env=environment) as process:
            os.close(slave)
            seen = b""
            # A terminal whose other end is closed is an error to read on Linux, an end elsewhere.
            try:
                while chunk := os.read(master, 65536):
                    seen += chunk
            except OSError:
                pass
            finally:
                os.close(master)
            process.wait(timeout=60)
        return seen

    assert b"\x1b[1;36m--timeout" in shown()
    assert b"\x1b[1;36m" not in shown(NO_COLOR="1")


def test_a_pipe_that_closes_ends_help_quietly() -> None:
    """`afetch --help | true` dies of SIGPIPE, as any command does, without a word."""
    reader, writer = os.pipe()
    os.close(reader)

    with subprocess.Popen(
        [sys.executable, "-m", "fetcher", "--help"], stdout=writer, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writer)
        _, complaint = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGPIPE
    assert complaint == ""


def test_version() -> None:
    """One line, and nothing else is asked for."""
    ended = afetch("--version", "--config", "/no/such")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"afetch {__version__}\n", "")


def test_schema_is_the_records() -> None:
    """The published schema, as JSON."""
    from fetcher.record import schema

    ended = afetch("--schema")

    assert ended.returncode == 0
    assert json.loads(ended.stdout) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize("option", ["--help", "--version", "--schema"])
def test_what_is_printed_at_once_loads_nothing_heavy(option: str) -> None:
    """--help is quick: neither the wire nor the loop is loaded for it."""
    program = f"""
import sys
from fetcher.cli.main import main
status = main([{option!r}])
loaded = [name for name in {HEAVY!r} if name in sys.modules]
print(*loaded, file=sys.stderr)
sys.exit(status)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )

    assert (ended.returncode, ended.stderr) == (0, "\n")


def complete(*words: str) -> list[str]:
    """What a shell is offered behind these words; the last may be a part of one."""
    ended = afetch(
        env={
            "_AFETCH_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["afetch", *words]),
            "COMP_CWORD": str(len(words)),
        }
    )
    return ended.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str) -> None:
    """Each shell gets a script that asks the command."""
    ended = afetch(env={"_AFETCH_COMPLETE": f"{shell}_source"})

    assert ended.returncode == 0
    assert f"_AFETCH_COMPLETE={shell}_complete" in ended.stdout


def test_completion_knows_options_and_their_choices() -> None:
    """The names of options, the words of a choice, and files where a file is meant."""
    assert complete("--max-s") == ["plain,--max-size"]
    assert complete("--format", "js") == ["plain,jsonl", "plain,json"]
    assert complete("--body", "b") == ["plain,base64"]
    assert complete("--cacert", "ca") == ["file,ca"]
    assert complete("ur") == ["file,ur"]
