"""
Owns what help looks like: rich-click's rendering of the command, by its groups.

Apart from the command, because rich-click takes longer to load than all options together, and only help needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich_click import RichCommand, RichContext, RichHelpConfiguration, RichHelpFormatter, RichOptionPanel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

_LOOK = RichHelpConfiguration(
    theme="default-slim",
    enable_theme_env_var=False,
    max_width=120,
    # rich decides by the terminal; rich-click's own rule would colour a pipe wherever CI is.
    force_terminal=None,
    append_metavars_help_string="{}",
    text_markup=None,
    padding_helptext_first_line=(0, 0, 1, 0),
    text_paragraph_linebreaks="\n\n",
    show_arguments=True,
)


class Panel(RichOptionPanel):
    """A group in the help, its columns in line with those of the other groups."""

    NAMES_WIDTH = 24
    """Holds the longest name with its metavar."""

    SHORT_WIDTH = 4

    def get_table(self, command: RichCommand, ctx: RichContext, formatter: RichHelpFormatter) -> Table:
        table = super().get_table(command, ctx, formatter)
        *short, names, _help = table.columns
        names.min_width = self.NAMES_WIDTH
        if not short:
            self.panel_styles = {"padding": (0, 0, 0, 1 + self.SHORT_WIDTH)}
        return table


def rendered(context: click.Context, headings: Sequence[tuple[str, str | None]]) -> str:
    """
    The help of a context's command, whose lines do not end in blanks: it is pasted and compared.

    Args:
        headings: The groups in order: their names, and a sentence about them.
    """
    command = context.command
    twin = RichCommand(
        name=command.name,
        help=command.help,
        params=command.params,
        panels=[Panel(name, help=about, inline_help_in_title=False) for name, about in headings],
        add_help_option=False,
    )
    twin_context = RichContext(
        twin,
        info_name=context.info_name,
        auto_envvar_prefix=context.auto_envvar_prefix,
        default_map=context.default_map,
        show_default=context.show_default,
        rich_help_config=_LOOK,
    )
    return "\n".join(line.rstrip() for line in twin.get_help(twin_context).splitlines())
