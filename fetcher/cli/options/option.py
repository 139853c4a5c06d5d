"""
Owns how an option is tied to a room's configuration: its default, and the field that it becomes.

A `Setting` is one field of one room's configuration; its default is the field's own, so it is written once. An `Alias`
is another way to write a setting's value (`--json` is `--format jsonl`). A `group` is the decorator that puts several
on a command under one heading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple, TypeVar

import click

from fetcher.cli.values import Value

F = TypeVar("F", bound=Callable[..., Any])

Maker = Callable[..., Callable[[Any], Any]]
"""An option that waits for its panel, and then for the command."""


class Heading(NamedTuple):
    """A group of options: what it is called, and a sentence about it."""

    name: str
    about: str | None


class Command(click.Command):
    """A command whose options stand under headings. Help is loaded when it is asked for."""

    @property
    def headings(self) -> list[Heading]:
        """Its groups, in order."""
        return list(reversed(_headings(self.callback)))

    def get_help(self, ctx: click.Context) -> str:
        """The help, as a terminal of this width shows it."""
        from fetcher.cli.help import rendered

        return rendered(ctx, self.headings)


class Option(click.Option):
    """
    An option under a heading.

    Args:
        panel: The heading.
    """

    def __init__(self, *args: Any, panel: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.panel = panel


class Operand(click.Argument):
    """
    What is given without a name, explained like an option.

    Args:
        panel: The heading.
    """

    def __init__(self, *args: Any, panel: str, help: str, **attributes: Any) -> None:  # noqa: A002 - as click.Option's
        super().__init__(*args, **attributes)
        self.panel = panel
        self.help = help


class Setting(Option):
    """
    An option that is a field of a room's configuration.

    Args:
        room: The configuration, a dataclass.
        field: The field's name where it is not the option's own.
        negates: The flag says the contrary of the field (`--no-follow`, `follow`).
    """

    def __init__(
        self, *args: Any, room: type, field: str | None = None, negates: bool = False, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.room = room
        self.field = field or str(self.name)
        self.negates = negates
        self.default = self._as_written(_default(room, self.field))

    def to_field(self, value: Any) -> Any:
        """The field's value, from the option's."""
        return not value if self.negates else value

    def _as_written(self, default: Any) -> Any:
        """The default as the user would give it, which is also how help shows it."""
        if self.multiple:
            # Repeatable options begin empty, whatever click's own word for that is.
            return ()
        if self.negates:
            return not default
        if isinstance(self.type, Value) and default is not None:
            return self.type.write(default)
        return default


class Alias(Option):
    """
    A flag that stands for a value of a setting.

    Args:
        of: The setting's parameter name.
        means: The value it then has.
    """

    def __init__(self, *args: Any, of: str, means: Any, **attributes: Any) -> None:
        super().__init__(*args, is_flag=True, **attributes)
        self.of = of
        self.means = means


def operand(name: str, **attributes: Any) -> Maker:
    """What is given without a name."""
    return partial(click.argument, name, cls=Operand, **attributes)


def option(*names: str, cls: type[Option] = Option, **attributes: Any) -> Maker:
    """An option that is a matter of the command's own."""
    return partial(click.option, *names, cls=cls, **attributes)


def setting(*names: str, room: type, **attributes: Any) -> Maker:
    """An option that is a field of `room`."""
    return option(*names, cls=Setting, room=room, **attributes)


def flag(*names: str, room: type, **attributes: Any) -> Maker:
    """An option without a value that is a field of `room`."""
    return setting(*names, room=room, is_flag=True, **attributes)


def alias(*names: str, of: str, means: Any, **attributes: Any) -> Maker:
    """A flag that stands for a value of the setting `of`."""
    return option(*names, cls=Alias, of=of, means=means, **attributes)


def group(heading: str, *makers: Maker, about: str | None = None) -> Callable[[F], F]:
    """
    A decorator that puts options on a command under a heading, in the order given.

    Args:
        about: A sentence under the heading.
    """

    def decorate(function: F) -> F:
        # Decorators apply from the inside out.
        for make in reversed(makers):
            function = make(panel=heading)(function)
        _headings(function).append(Heading(heading, about))
        return function

    return decorate


def _headings(function: Any) -> list[Heading]:
    """The headings of what is to be a command, the last one first; click keeps its parameters there in the same way."""
    kept: list[Heading] = function.__dict__.setdefault("__afetch_headings__", [])
    return kept


def _default(room: type, name: str) -> Any:
    """The default of a configuration's field."""
    [field] = [field for field in fields(room) if field.name == name]
    return field.default
