"""Owns what outputs can be told. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import PurePath

from fetcher.errors import UsageError
from fetcher.sinks.chosen import ALL, WORDS
from fetcher.sinks.fields import read_fields
from fetcher.sinks.formats import SINKS
from fetcher.sinks.packed import PACKINGS
from fetcher.sinks.template import Template
from fetcher.terms import check_terms

FORMATS = tuple(SINKS)

KEYS = ("index", "url")
"""Fields without which nobody can tell which entry a record is of."""

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
        resume: Go on with what an earlier run left in the outputs: fetch what has no record there.
        retry_failed: That, and fetch again what failed there: `all`, or error kinds, statuses and classes.
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
    resume: bool = False
    retry_failed: tuple[str, ...] | None = None

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
            packs = SINKS[place.format].packs
            if packs is not None and place.packing not in {None, packs}:
                raise UsageError(f"output {place.path!r}: {place.format} is compressed as {packs}, and not otherwise")
        for path in paths:
            if paths.count(path) > 1:
                raise UsageError(f"output {path or 'to standard output'}: is there twice; leave one out")
        if self.retry_failed is not None:
            check_terms("retry-failed", self.retry_failed, frozenset({ALL}))
            object.__setattr__(self, "resume", True)
        if self.resume:
            self._check_resume()

    def _check_resume(self) -> None:
        if self.overwrite:
            raise UsageError("resume and overwrite contradict each other: go on with what is there, or begin anew")
        files = [place for place in self.places if place.path is not None]
        able = ", ".join(name for name, format_ in SINKS.items() if format_.past is not None)
        for place in files:
            if SINKS[place.format].past is None:
                raise UsageError(
                    f"output {place.path!r}: no run can go on with {place.format}; leave --resume out, or write {able}"
                )
        lacking = [name for name in KEYS if self.fields is not None and name not in self.fields]
        if lacking:
            raise UsageError(
                f"resume needs the fields {' and '.join(KEYS)}, to tell which entries are done; add "
                f"{','.join(lacking)} to --fields"
            )
        if self.retry_failed is not None:
            self._check_retry(files)

    def _check_retry(self, files: list[Place]) -> None:
        for place in files:
            format_ = SINKS[place.format]
            if not format_.journal:
                raise UsageError(
                    f"output {place.path!r}: nothing can be taken out of {place.format}, so what failed cannot be "
                    "fetched again into it; leave --retry-failed out"
                )
        if self.changed_only or self.only not in {None, ("ok",)}:
            raise UsageError(
                "retry_failed: what failed cannot be replaced where not all records are written; leave --only and "
                "--changed-only out"
            )
        known = {"error": {"error", "error.kind"}, "status": {"status"}} if self.retry_failed != (ALL,) else {}
        for name, names in {"ok": {"ok"}, **known}.items():
            if self.fields is not None and not names.intersection(self.fields):
                raise UsageError(f"retry_failed needs the field {name}, to tell what failed; add it to --fields")

    def _check_fields(self) -> None:
        if self.fields is None:
            return
        read_fields(self.fields)
        if not any(SINKS[place.format].fields for place in self.places):
            takers = ", ".join(name for name, format_ in SINKS.items() if format_.fields)
            raise UsageError(f"fields: no output is in a format that takes them; choose one with --format: {takers}")

    @property
    def captures(self) -> bool:
        """Whether something is written of what goes over the wire."""
        return any(SINKS[place.format].captures for place in self.places)

    @property
    def wants_bytes(self) -> bool:
        """Whether bodies are written as they are and in no other form, so that they had best be left as they are."""
        if self.template is None or any(place.format != "text" for place in self.places):
            return False
        return Template(self.template).wants_bytes

    @property
    def journal(self) -> Place | None:
        """The output that says what is done, if one gets every record and says whose it is."""
        if self.only is not None or self.changed_only or not set(KEYS) <= set(self.fields or KEYS):
            return None
        able = [place for place in self.places if place.path is not None and SINKS[place.format].journal]
        # Nothing is ever dropped from what has no order, so nothing else should have more than it.
        return min(able, key=lambda place: not SINKS[place.format].replaces, default=None)

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
