"""
Owns how values are written on the command line: durations, sizes, rates, lists, headers, pairs.

Each kind is a `Value`: it reads a text, says which forms it takes when it cannot, and writes a value back as help shows
it. Environment and configuration file give their texts to the same readers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

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

FASTEST = 1_000_000_000
"""Requests a second: more is a slip of the finger, and no limit to anything."""

_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|h|d)?")
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?([kKmMgGtT]?)")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?: ?/ ?(s|m|h|d))?")
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


class Secret(Value[str]):
    """A credential, or `@` and the file that has it, without the line's end behind it."""

    name = "secret"
    forms = "text, or @FILE with a file of text that can be read"
    secret = True

    def read(self, text: str) -> str:
        if not text.startswith("@"):
            return text
        try:
            return Path(text[1:]).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ValueError from error


class Cookie(Value[str]):
    """A cookie, several parted by semicolons, or a file of them; which of these the `=` says, as in curl."""

    name = "cookie"
    forms = "a cookie: write NAME=VALUE, or name a file of cookies"
    secret = True

    def read(self, text: str) -> str:
        if not text:
            raise ValueError
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


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


class Slots(Value[int | Literal["auto"]]):
    """A whole number, or the word that leaves it to us."""

    name = "number"
    forms = "a whole number or auto"

    def read(self, text: str) -> int | Literal["auto"]:
        return "auto" if text == "auto" else Whole().read(text)


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


class Rate(Value[float]):
    """How often something may happen, a second."""

    name = "rate"
    forms = (
        "a rate above 0: write how many a second (50, 0.5) or with the unit of time (50/s, 100/m, 1000/h, 10/d); "
        "leave it out for no limit"
    )

    def read(self, text: str) -> float:
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError
        rate = float(Decimal(match[1]) / SECONDS[match[2] or "s"])
        if not 0 < rate <= FASTEST:
            raise ValueError
        return rate

    def write(self, value: float) -> str:
        texts = []
        for unit in ("s", "m", "h", "d"):
            count = value * float(SECONDS[unit])
            # Beside it the whole number that it is but for the last bit.
            numbers = {count, float(round(count))} - {0.0}
            texts += [f"{Decimal(repr(number)).normalize():f}/{unit}" for number in sorted(numbers)]
        # Of those that give the same float again the shortest: half a request a second is 30/m.
        return min((text for text in texts if self.read(text) == value), key=len)


class Speed(Value[float]):
    """Bytes a second."""

    name = "speed"
    forms = (
        "a speed above 0: write bytes a second (100k, 2M), with /s or without; units are powers of 1024; leave it out "
        "for no limit"
    )

    def read(self, text: str) -> float:
        speed = float(Size().read(text.removesuffix("/s").rstrip(" ")))
        if not speed:
            raise ValueError
        return speed

    def write(self, value: float) -> str:
        return f"{Size().write(int(value))}/s"


class MinSpeed(Value[tuple[int, float]]):
    """The least speed in bytes a second, and the seconds over which it is looked at."""

    name = "speed:time"
    forms = (
        "a least speed: write SIZE:TIME, as 1k:30 is for at least 1k a second over any 30 seconds, both above 0; leave "
        "it out for none"
    )

    def read(self, text: str) -> tuple[int, float]:
        speed, _, time = text.rpartition(":")
        value = int(Speed().read(speed)), Seconds().read(time)
        if not value[1]:
            raise ValueError
        return value

    def write(self, value: tuple[int, float]) -> str:
        speed, seconds = value
        return f"{Size().write(speed)}:{Seconds().write(seconds)}"


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
    secret = True

    def __init__(self, forms: str = "a parameter: write KEY=VALUE") -> None:
        self.forms = forms

    def read(self, text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError
        return key, value

    def write(self, value: tuple[str, str]) -> str:
        return "=".join(value)
