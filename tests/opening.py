"""Owns the short ways to open the one output, or to make the one sink, that a test is about."""

from __future__ import annotations

from collections.abc import Callable

from fetcher.sinks.config import OutputConfig
from fetcher.sinks.formats import SINKS, Shape
from fetcher.sinks.outputs import open_outputs
from fetcher.sinks.protocol import Output, Sink


def open_output(
    config: OutputConfig,
    *,
    inputs: frozenset[tuple[int, int]] = frozenset(),
    write: Callable[[bytes], None] | None = None,
    colour: bool = False,
    terminal: bool = False,
) -> Output:
    """The one output of a configuration, opened; the journal that a format may need beside it is left out."""
    output, *journal = open_outputs(config, inputs=inputs, write=write, colour=colour, terminal=terminal).outputs
    for other in journal:
        other.close()
    return output


def sink_of(format_: str, shape: Shape | None = None) -> Sink:
    """A new sink of a format that is a stream of bytes."""
    make = SINKS[format_].make
    assert make is not None
    return make(shape or Shape())
