"""Owns what outputs can be told. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath

from fetcher.errors import UsageError
from fetcher.sinks.chosen import WORDS
from fetcher.sinks.fields import read_fields
from fetcher.sinks.formats import SINKS
from fetcher.sinks.packed import PACKINGS
from fetcher.sinks.template import Template
from fetcher.terms import check_terms

FORMATS = tuple(SINKS)

STANDARD_OUTPUT = frozenset({"-", "/dev/stdout"})
"""Names that are no file's."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """
    One place that records go to.

    Attributes:
        path: The file's; None for standard output.
        format: One of `FORMATS`.
        packing: The suffix that says how it is compressed, if it is.
    """

    path: str | None
    format: str
    packing: str | None = None


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """
    Where records go, and how.

    Attributes:
        output: Paths of files, all of which get every record; `-` is standard output, and so is none at all.
        format: One of `FORMATS`; None goes by each path's suffix, and is text where that has none. With several
            outputs it is that of the one whose suffix says nothing.
        fields: What is written of each record, in this order (`fields.Field`); None is what the format has of itself.
        template: What text is made of, in place of its own line (`template.Template`).
        only: Which records are written: all, `ok` or `failed` ones, or those of error kinds, statuses and classes.
        failed: A file for the entries that failed, as they were given, in the input's own format.
        overwrite: Replace files that are not empty.
        cache: A folder that remembers what replies were, so that the next run can tell which have changed.
        changed_only: Write the records of those only: new, changed, gone.
        ordered: Write the records in the order of the input.
    """

    output: tuple[str, ...] = ()
    format: str | None = None
    fields: tuple[str, ...] | None = None
    template: str | None = None
    only: tuple[str, ...] | None = None
    failed: str | None = None
    overwrite: bool = False
    cache: str | None = None
    changed_only: bool = False
    ordered: bool = False

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in SINKS:
            raise UsageError(f"format {self.format!r}: choose one of {', '.join(FORMATS)}")
        if "" in self.output:
            raise UsageError("output is empty; give a file's path, or - for standard output")
        if self.failed in {"", *STANDARD_OUTPUT}:
            raise UsageError("failed: give a file's path; standard output is for records")
        if self.failed is not None and PurePath(self.failed).suffix.lower() in PACKINGS:
            raise UsageError(f"failed {self.failed!r}: is not compressed; leave {PurePath(self.failed).suffix} out")
        if self.cache == "":
            raise UsageError("cache is empty; give a folder's path")
        if self.changed_only and self.cache is None:
            raise UsageError("changed_only without a cache: nothing is known to have changed; give --cache DIR")
        self._check_fields()
        if self.template is not None:
            Template(self.template)
            if not any(place.format == "text" for place in self.places):
                raise UsageError("template: no output is text; leave it out, or name one with --format text")
        if self.only is not None:
            check_terms("only", self.only, WORDS)
        paths = [place.path for place in self.places]
        for place in self.places:
            if SINKS[place.format].make is None and place.path is None:
                raise UsageError(f"format {place.format} needs a file of its own: name one with --output")
            needs = SINKS[place.format].needs
            if needs is not None and find_spec(needs[0]) is None:
                raise UsageError(
                    f"format {place.format} needs {needs[0]}, which is not installed: pip install {needs[0]}, "
                    f"or pip install '.[{needs[1]}]' in a checkout of afetch"
                )
            if SINKS[place.format].make is None and place.packing is not None:
                raise UsageError(
                    f"output {place.path!r}: {place.format} cannot be compressed; leave {place.packing} out"
                )
        for path in paths:
            if paths.count(path) > 1:
                raise UsageError(f"output {path or 'to standard output'}: is there twice; leave one out")

    def _check_fields(self) -> None:
        if self.fields is None:
            return
        read_fields(self.fields)
        if not any(SINKS[place.format].fields for place in self.places):
            takers = ", ".join(name for name, format_ in SINKS.items() if format_.fields)
            raise UsageError(f"fields: no output is in a format that takes them; choose one with --format: {takers}")

    @property
    def wants_bytes(self) -> bool:
        """Whether bodies are written as they are and in no other form, so that they had best be left as they are."""
        if self.template is None or any(place.format != "text" for place in self.places):
            return False
        return Template(self.template).wants_bytes

    @property
    def places(self) -> tuple[Place, ...]:
        """
        Where records go, at least one.

        Raises:
            UsageError: A suffix stands for no format, or nobody can tell which output `format` is for.
        """
        paths = [None if path in STANDARD_OUTPUT else path for path in self.output] or [None]
        said = self.format
        if said is None:
            return tuple(_place(path, _by_suffix(path)) for path in paths)
        if len(paths) == 1:
            return (_place(paths[0], said),)
        silent = [path for path in paths if _suffixed(path) is None]
        if len(silent) != 1:
            found = f"there are {len(silent)} such" if silent else "there is none such"
            raise UsageError(
                f"format {said} with {len(paths)} outputs is that of the one without a suffix that says it, and "
                f"{found}; leave --format out, and name files by their formats: {_known()}"
            )
        return tuple(_place(path, _suffixed(path) or said) for path in paths)


def _place(path: str | None, format_: str) -> Place:
    last = PurePath(path or "").suffix.lower()
    return Place(path=path, format=format_, packing=last if last in PACKINGS else None)


def _by_suffix(path: str | None) -> str:
    suffix = _suffix(path)
    if not suffix:
        return "text"
    found = _suffixed(path)
    if found is None:
        raise UsageError(f"output {path!r}: no format has the suffix {suffix}; choose one with --format: {_known()}")
    return found


def _suffixed(path: str | None) -> str | None:
    """The format that a path's suffix stands for."""
    suffix = _suffix(path)
    return next((name for name, format_ in SINKS.items() if suffix in format_.suffixes), None)


def _suffix(path: str | None) -> str:
    """The suffix that is the format's: what says how it is compressed stands behind it."""
    name = PurePath(path or "")
    return (PurePath(name.stem) if name.suffix.lower() in PACKINGS else name).suffix.lower()


def _known() -> str:
    return ", ".join(f"{name} ({', '.join(format_.suffixes)})" for name, format_ in SINKS.items())
