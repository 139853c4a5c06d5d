"""Owns what outputs can be told. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from fetcher.errors import UsageError
from fetcher.sinks.formats import SINKS

FORMATS = tuple(SINKS)


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """
    Where records go, and how.

    Attributes:
        output: A file's path; `-` or None is standard output.
        format: One of `FORMATS`; None goes by the path's suffix, and is text where that has none.
        overwrite: Replace a file that is not empty.
        cache: A folder that remembers what replies were, so that the next run can tell which have changed.
        changed_only: Write the records of those only: new, changed, gone.
    """

    output: str | None = None
    format: str | None = None
    overwrite: bool = False
    cache: str | None = None
    changed_only: bool = False

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in SINKS:
            raise UsageError(f"format {self.format!r}: choose one of {', '.join(FORMATS)}")
        if self.output == "":
            raise UsageError("output is empty; give a file's path, or - for standard output")
        if self.cache == "":
            raise UsageError("cache is empty; give a folder's path")
        if self.changed_only and self.cache is None:
            raise UsageError("changed_only without a cache: nothing is known to have changed; give --cache DIR")
        # It raises for a suffix that stands for no format.
        _ = self.chosen

    @property
    def path(self) -> str | None:
        """The file's path; None for standard output."""
        return None if self.output in {None, "-", "/dev/stdout"} else self.output

    @property
    def chosen(self) -> str:
        """The format that is written: one of `FORMATS`."""
        if self.format is not None:
            return self.format
        suffix = PurePath(self.path or "").suffix.lower()
        if not suffix:
            return "text"
        for name, format_ in SINKS.items():
            if suffix in format_.suffixes:
                return name
        known = ", ".join(f"{name} ({', '.join(format_.suffixes)})" for name, format_ in SINKS.items())
        raise UsageError(
            f"output {self.output!r}: no format has the suffix {suffix}; choose one with --format: {known}"
        )
