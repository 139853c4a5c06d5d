"""Owns what the user may say about the screen. Imports nothing heavy: what is drawn there is others' matter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ScreenConfig:
    """
    What is shown on standard error.

    Attributes:
        progress: Show the progress bar; None is only where standard error is a terminal.
        quiet: Neither progress nor summary.
        verbose: Say more: what the run decided, and the traceback of an error of our own.
    """

    progress: bool | None = None
    quiet: bool = False
    verbose: bool = False
