"""Owns the short way to open the one output that a test is about."""

from __future__ import annotations

from collections.abc import Callable

from fetcher.sinks.config import OutputConfig
from fetcher.sinks.outputs import open_outputs
from fetcher.sinks.protocol import Output


def open_output(
    config: OutputConfig,
    *,
    inputs: frozenset[tuple[int, int]] = frozenset(),
    write: Callable[[bytes], None] | None = None,
    colour: bool = False,
    terminal: bool = False,
) -> Output:
    """The one output of a configuration, opened."""
    [output] = open_outputs(config, inputs=inputs, write=write, colour=colour, terminal=terminal)
    return output
