"""
Owns how values are written on the command line: durations, sizes, lists, headers, pairs.

Each kind is a `Value`: it reads a text, says which forms it takes when it cannot, and writes a value back as help shows
it. Environment and configuration file give their texts to the same readers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

T = TypeVar("T")

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    # A generic class in the newest click only.
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
BYTES = {"": 1, "k": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}

LONGEST = 1_000_000_000
"""Seconds, some 30 years: more is a slip of the finger, and no timer holds it."""

LARGEST = 2**63 - 1
"""Bytes, what a file's size can be."""

_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|h|d)?")
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?([kKmMgGtT]?)")
# int() refuses some thousand digits with words of its own.
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


class Value(_ParamType, Generic[T]):
    """
    One kind of value.

    Attributes:
        forms: What may be written, for the message that refuses something else.
        secret: The text may be a credential, and is not repeated in that message.
    """

    forms: str
    secret = False

    def read(self, text: str) -> T:
        """The value, from its text. Raises: ValueError, with nothing to say, if the text is none of `forms`."""
        raise NotImplementedError

    def write(self, value: T) -> str:
        """The text that `read` takes for `value`."""
        return str(value)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """What click asks for: the value of a text."""
        try:
            return self.read(value)
        except ValueError:
            what = "not" if self.secret else f"{value!r} is not"
            self.fail(f"{what} {self.forms}", param, ctx)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """One value a line: every other mark may be part of a header or a parameter."""
        return [line for line in rv.replace("\r\n", "\n").split("\n") if line.strip()]


class Text(Value[str]):
    """Any text."""

    name = "text"

    def read(self, text: str) -> str:
        return text


class FilePath(Value[str]):
    """A file's name; `-` is up to the option. Shells complete it."""

    name = "file"
    forms = "the name of a file"

    def read(self, text: str) -> str:
        if not text or "\0" in text:
            raise ValueError
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


class Source(FilePath):
    """Where a list comes from. What it is decides the room that reads it."""

    name = "file|url|-"
    forms = "a SOURCE: name a file, a URL, or - for standard input"


class Whole(Value[int]):
    """A whole number."""

    name = "number"
    forms = "a whole number"

    def read(self, text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise ValueError
        return int(text)


class Seconds(Value[float]):
    """A duration in seconds."""

    name = "duration"
    forms = "a duration: write seconds (10, 0.5), or a number with its unit (500ms, 90s, 2m, 1h, 1d)"

    def read(self, text: str) -> float:
        match = _SECONDS.fullmatch(text)
        if match is None:
            raise ValueError
        seconds = Decimal(match[1]) * SECONDS[match[2] or "s"]
        if seconds > LONGEST:
            raise ValueError
        return float(seconds)

    def write(self, value: float) -> str:
        # repr is the shortest text that gives the same float again, but may have an exponent.
        seconds = Decimal(repr(value))
        for unit in ("d", "h", "m"):
            if seconds and seconds % SECONDS[unit] == 0:
                return f"{int(seconds / SECONDS[unit])}{unit}"
        return str(int(seconds)) if seconds == int(seconds) else f"{seconds:f}"


class Size(Value[int]):
    """A number of bytes; units are powers of 1024."""

    name = "size"
    forms = "a size: write bytes (1000), or a number with k, M, G or T (500k, 64M, 1.5G), which are powers of 1024"

    def read(self, text: str) -> int:
        match = _BYTES.fullmatch(text)
        if match is None:
            raise ValueError
        unit = match[2].lower()
        size = Decimal(match[1]) * BYTES[unit if unit in BYTES else unit.upper()]
        if size > LARGEST:
            raise ValueError
        return int(size)

    def write(self, value: int) -> str:
        for unit, size in reversed(BYTES.items()):
            if value >= size and value % size == 0:
                return f"{value // size}{unit}"
        return str(value)


class Listing(Value[tuple[str, ...]]):
    """Words separated by commas."""

    name = "list"
    forms = "a list: write words separated by commas"

    def read(self, text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(","))
        if not all(words):
            raise ValueError
        return words

    def write(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


class Header(Value[tuple[str, str | None]]):
    """A header's name and value, None where it is not to be sent; curl's two ways without a value are kept apart."""

    name = "header"
    forms = "a header: write 'Name: value', 'Name;' to send it empty, or 'Name:' to leave our own out"
    secret = True

    def read(self, text: str) -> tuple[str, str | None]:
        name, colon, value = text.partition(":")
        if colon and name:
            return name, value.strip(" \t") or None
        if text.endswith(";") and len(text) > 1:
            return text[:-1], ""
        raise ValueError

    def write(self, value: tuple[str, str | None]) -> str:
        name, content = value
        return f"{name}: {content}" if content else f"{name}:" if content is None else f"{name};"


class Pair(Value[tuple[str, str]]):
    """A key and its value, which may be empty."""

    name = "pair"
    forms = "a parameter: write KEY=VALUE"
    secret = True

    def read(self, text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError
        return key, value

    def write(self, value: tuple[str, str]) -> str:
        return "=".join(value)
