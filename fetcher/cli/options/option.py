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
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click

from fetcher.cli.values import Value

if TYPE_CHECKING:
    from rich.table import Table

F = TypeVar("F", bound=Callable[..., Any])

Maker = Callable[..., Callable[[Any], Any]]
"""An option that waits for its panel, and then for the command."""


class Setting(rich_click.RichOption):
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


class Alias(rich_click.RichOption):
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


class Panel(rich_click.RichOptionPanel):
    """A group in the help, its columns in line with those of the other groups."""

    NAMES_WIDTH = 24
    """Holds the longest name with its metavar."""

    SHORT_WIDTH = 4

    def get_table(
        self, command: rich_click.RichCommand, ctx: rich_click.RichContext, formatter: rich_click.RichHelpFormatter
    ) -> Table:
        table = super().get_table(command, ctx, formatter)
        *short, names, _help = table.columns
        names.min_width = self.NAMES_WIDTH
        if not short:
            self.panel_styles = {"padding": (0, 0, 0, 1 + self.SHORT_WIDTH)}
        return table


def setting(*names: str, room: type, **attributes: Any) -> Maker:
    """An option that is a field of `room`."""
    return partial(rich_click.option, *names, cls=Setting, room=room, **attributes)


def flag(*names: str, room: type, **attributes: Any) -> Maker:
    """An option without a value that is a field of `room`."""
    return setting(*names, room=room, is_flag=True, **attributes)


def alias(*names: str, of: str, means: Any, **attributes: Any) -> Maker:
    """A flag that stands for a value of the setting `of`."""
    return partial(rich_click.option, *names, cls=Alias, of=of, means=means, **attributes)


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
        return rich_click.option_panel(heading, cls=Panel, help=about, inline_help_in_title=False)(function)

    return decorate


def _default(room: type, name: str) -> Any:
    """The default of a configuration's field."""
    [field] = [field for field in fields(room) if field.name == name]
    return field.default
