"""
Owns the configuration file: TOML whose keys are the long names of options, and a table for each host that is special.

Its values become the texts that the command line would have had, so both have one reader and one set of messages.
"""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from fetcher.cli.complaints import LIKE
from fetcher.cli.labels import CONFIG
from fetcher.cli.values import Header, Rate, Seconds, Value, Whole
from fetcher.errors import UsageError
from fetcher.hosts import HostConfig, HostsConfig

HOSTS = "hosts"
"""The key of the hosts' tables: `[hosts."api.example.com"]`."""

SOME = '"api.example.com"'
"""A host, for messages."""

HEADERS = "headers"

HOST_VALUES: dict[str, Value[Any]] = {
    "concurrency": Whole(),
    "rate": Rate(),
    "retries": Whole(),
    "timeout": Seconds(),
    HEADERS: Header(),
}
"""What a host's table may have, and who reads it."""

_META = "fetcher.cli.hosts"


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
    context.meta[_META] = _hosts(path, table.pop(HOSTS, {}))
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


def hosts_of(context: click.Context) -> dict[str, HostConfig]:
    """What the file says of single hosts, by their names as it has them."""
    found: dict[str, HostConfig] = context.meta.get(_META, {})
    return found


def _hosts(path: str, tables: Any) -> dict[str, HostConfig]:
    if not isinstance(tables, dict):
        raise UsageError(f"{path}: {HOSTS}: write a table for each host: [{HOSTS}.{SOME}]")
    configs: dict[str, HostConfig] = {}
    for name, table in tables.items():
        where = f"{path}: {HOSTS}.{json.dumps(name, ensure_ascii=False)}"
        if not isinstance(table, dict):
            raise UsageError(f"{where}: a key outside a host's table; write it below [{HOSTS}.{SOME}]")
        fields = {key: _host_field(f"{where}: {key}", name, key, value) for key, value in table.items()}
        try:
            configs[name] = HostConfig(**fields)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    try:
        HostsConfig(hosts=configs)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return configs


def _host_field(where: str, host: str, key: str, value: Any) -> Any:
    """The value of a key of a host's table."""
    reader = HOST_VALUES.get(key)
    if reader is None:
        raise UsageError(f"{where}: {_no_host_key(host, key, value)}")
    try:
        if key != HEADERS:
            return reader.convert(_word(value), None, None)
        if isinstance(value, dict):
            # A header without a value is left out, as the option's 'Name:' is.
            return tuple((name, _word(text).strip(" \t") or None) for name, text in value.items())
        return tuple(reader.convert(line, None, None) for line in _many(value))
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from None
    except click.BadParameter as error:
        raise UsageError(f"{where}: {error.message}") from None


def _no_host_key(host: str, key: str, value: Any) -> str:
    if isinstance(value, dict):
        # TOML takes the dots of [hosts.api.example.com] apart.
        name = f"{host}.{key}"
        while len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
            name, value = f"{name}.{next(iter(value))}", inner
        return f'no such key; if a host is meant, its name needs quotes: [{HOSTS}."{name}"]'
    nearest = get_close_matches(key, HOST_VALUES, n=1, cutoff=LIKE)
    hint = f"did you mean {nearest[0]}?" if nearest else f"a host's table may have {', '.join(HOST_VALUES)}"
    return f"no such key; {hint}"


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
    if key in {"config", "demo", "explain", "help", "schema", "version"}:
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
