"""
Owns the configuration file: TOML whose keys are the long names of options.

Its values become the texts that the command line would have had, so both have one reader and one set of messages.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from fetcher.cli.complaints import LIKE
from fetcher.cli.labels import CONFIG
from fetcher.errors import UsageError


def read_config(context: click.Context, path: str) -> None:
    """
    Take a file's options as the defaults of those that neither command line nor environment give.

    Raises:
        UsageError: The file cannot be read, is no TOML, or has a key or a value that no option takes.
    """
    try:
        table = tomllib.loads(Path(path).read_bytes().decode())
    except OSError as error:
        raise UsageError(f"{path}: no configuration: {error.strerror}; name a TOML file that can be read") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; TOML is UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    known = _options(context.command)
    texts: dict[str, Any] = {}
    for key, value in table.items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"{path}: {_unknown(key, known)}")
        name = str(option.name)
        if name in texts:
            raise UsageError(f"{path}: {key} is there twice, with a dash and an underscore; leave one out")
        try:
            texts[name] = _many(value) if option.multiple else _flag(value) if option.is_flag else _text(value)
        except TypeError as error:
            raise UsageError(f"{path}: {key}: {error}") from None
    context.default_map = texts
    context.meta[CONFIG] = path


def _options(command: click.Command) -> dict[str, click.Option]:
    """The options that a file may set, by their long names."""
    return {
        name.removeprefix("--"): param
        for param in command.params
        if isinstance(param, click.Option) and param.allow_from_autoenv and not param.is_eager
        for name in param.opts
        if name.startswith("--")
    }


def _unknown(key: str, known: dict[str, click.Option]) -> str:
    if key == "hosts":
        return "this version has no tables for single hosts; remove [hosts]"
    if key in {"config", "demo", "help", "schema", "version"}:
        return f"{key} belongs on the command line; remove it"
    nearest = get_close_matches(key.replace("_", "-"), known, n=1, cutoff=LIKE)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; keys are the long options, afetch --help lists them"
    return f"no option {key!r}{hint}"


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("an option without a value; write true or false")
    return value


def _many(value: Any) -> list[str]:
    """A repeatable option's values: a list of them, or one alone."""
    return [_word(item) for item in value] if isinstance(value, list) else [_word(value)]


def _text(value: Any) -> str:
    """An option's value; a list is what the command line separates by commas."""
    return ",".join(map(_word, value)) if isinstance(value, list) else _word(value)


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("write a text or a number")
    return str(value)
