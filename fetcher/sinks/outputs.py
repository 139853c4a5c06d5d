"""
Owns the opening of outputs, and the output that joins a format to a place.

One of several is the journal, which is written behind the others; how a run goes on with them is in `going_on.py`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.record import Record
from fetcher.sinks.chosen import CHANGES, Chosen, choosing, choosing_again, choosing_entries
from fetcher.sinks.config import KEYS, OutputConfig, Place
from fetcher.sinks.failed import FailedEntries
from fetcher.sinks.files import Descriptor, Destination, Function, sentence
from fetcher.sinks.formats import SINKS, Opened, Shape
from fetcher.sinks.packed import PACKINGS, Packed
from fetcher.sinks.past import Left, Past, Thinned
from fetcher.sinks.places import OpenFile, Taken
from fetcher.sinks.protocol import Output, Said, Sink
from fetcher.sources.ledger import Ledger

if TYPE_CHECKING:
    from fetcher.journal import Journal, Judge

STANDARD_OUTPUT = "standard output"

SIDE = ".afetch.jsonl"
"""Ends the name of a journal that stands beside an output."""

_TELLING = tuple(name for name in Record.__struct_fields__ if name != "body")
"""What is in such a journal."""


class Outputs(NamedTuple):
    """
    Where the records of a run go.

    Attributes:
        outputs: In the order in which they are to be written.
        journal: What is done already; None where a run does not go on with anything.
        resumes: Another run can go on with them.
        skipped: To be told of each entry that is done, as `Journal.remaining` tells it.
    """

    outputs: list[Output]
    journal: Journal | None = None
    resumes: bool = False
    skipped: Callable[[int, bool], None] | None = None


def open_outputs(
    config: OutputConfig,
    *,
    inputs: frozenset[tuple[int, int]] = frozenset(),
    write: Callable[[bytes], None] | None = None,
    colour: bool = False,
    terminal: bool = False,
    ledger: Ledger | None = None,
    user_agent: str = "",
    robots: bool = False,
    folder: str | None = None,
    counts: Judge | None = None,
) -> Outputs:
    """
    The outputs that `config` names, opened; nothing in them is touched before they are begun, or gone on with.

    Args:
        inputs: Device and inode of what is read (`Feed.files`): no output may be one of them.
        write: Takes the bytes in place of standard output: the screen that prints above its bar.
        colour: Standard output is a terminal that shows colours.
        terminal: Standard output is a terminal.
        ledger: What entries were made of, for the list of those that failed.
        user_agent, robots: How the run asks, for formats that write that down.
        folder: Of what is not in the records, and goes with the journal.
        counts: Which entries count as failures, where a run goes on.

    Raises:
        SinkError: One cannot be written, is not empty, or is an input or another output, or cannot be gone on with; the
            text names it and the way out.
    """
    taken = Taken(inputs)
    shape = Shape(
        colour,
        terminal,
        config.fields or (),
        config.template,
        changes=config.changed_only,
        user_agent=user_agent,
        robots=robots,
    )
    with ExitStack() as closing:
        targets = [_target(place, config, shape, write, taken, closing) for place in config.places]
        journal = next((target for target in targets if target.place == config.journal and target.regular), None)
        if journal is None and (beside := _beside(config, targets, folder)) is not None:
            side = replace(shape, fields=_TELLING, colour=False, terminal=False)
            journal = _target(Place(path=beside, format="jsonl"), config, side, None, taken, closing)
            targets.append(journal)
        if journal is None and config.resume:
            raise SinkError(
                f"{STANDARD_OUTPUT}: no run can go on with it; leave --resume out, or name a file with --output, such "
                "as out.jsonl"
            )
        listed = _failed(config, ledger, taken, closing)
        done, pasts = (None, []) if journal is None or not config.resume else _go_on(config, journal, targets, counts)
        # From here on whoever opened a file closes it.
        outputs = {id(target): target.output(config, whole=target is journal) for target in targets}
        others = [outputs[id(target)] for target in targets if target is not journal]
        before = [outputs[id(target)] for target in targets if target is not journal and target.resumes]
        if journal is not None:
            others.append(_behind(outputs[id(journal)], before))
        if listed is not None:
            others.append(listed)
        if pasts:
            others.append(_thinning(pasts))
        closing.pop_all()
    files = [target for target in targets if target.file is not None]
    resumes = journal is not None and all(target.resumes for target in files)
    return Outputs(others, done, resumes, None if listed is None or done is None else listed.skip)


class _Target:
    """
    A place on its way to be an output.

    Attributes:
        file: None is standard output.
        past: What is in it, where that can be gone on with.
    """

    def __init__(self, place: Place, shape: Shape, file: OpenFile | None, destination: Destination | None) -> None:
        self.place = place
        self.format = SINKS[place.format]
        self.file = file
        self.past: Past | None = None
        self._shape = shape
        self._destination = destination
        tells = not shape.fields or set(KEYS) <= set(shape.fields)
        if tells and self.regular and self.format.past is not None and place.path is not None:
            self.past = self.format.past(Left(place.path, place.packing), shape)

    @property
    def regular(self) -> bool:
        """Whether it is a regular file."""
        return self.file is not None and self.file.regular

    @property
    def resumes(self) -> bool:
        """Whether it can be gone on with."""
        return self.past is not None

    def output(self, config: OutputConfig, *, whole: bool) -> Output:
        """
        The output, which closes the file.

        Args:
            whole: It gets every record, whatever others get.
        """
        output = self._made(config)
        if whole:
            return output
        if config.only is not None:
            output = Chosen(output, choosing(config.only))
        if config.changed_only:
            output = Chosen(output, lambda record: record.change in CHANGES)
        return output

    def _made(self, config: OutputConfig) -> Output:
        format_, file, shape = self.format, self.file, self._shape
        kept = config.resume and file is not None and file.go_on()
        if format_.own is not None and file is not None:
            opened = Opened(file.path, file.made, file.filled and not config.resume, config.resume, config.overwrite)
            output = format_.own(opened, shape)
            file.made = False
            if format_.replaces and sys.platform != "linux":
                # Elsewhere our lock and SQLite's own are in each other's way.
                file.close()
                return output
            return Held(output, file)
        if format_.make is None:
            raise SinkError(f"{STANDARD_OUTPUT}: {self.place.format} needs a file; name one with --output")
        if file is None:
            if self._destination is None:
                raise SinkError(f"{STANDARD_OUTPUT}: is no place for {self.place.format}")
            return ByteOutput(format_.make(shape), self._destination)
        destination: Destination = file.destination(empty=not config.resume)
        if self.place.packing is not None:
            shape = replace(shape, packed=self.place.packing == format_.packs)
            if not shape.packed:
                destination = Packed(destination, PACKINGS[self.place.packing](), kept=kept)
        return ByteOutput(format_.make(shape), destination, kept=kept and not format_.anew)


def _target(
    place: Place,
    config: OutputConfig,
    shape: Shape,
    write: Callable[[bytes], None] | None,
    taken: Taken,
    closing: ExitStack,
) -> _Target:
    """
    A place, opened.

    Args:
        shape: Of what is written to standard output.
    """
    format_ = SINKS[place.format]
    if place.path is None:
        return _Target(place, shape, None, Function(write) if write is not None else _standard_output(taken))
    if place.packing is not None and place.packing != format_.packs:
        # First, for its complaint.
        PACKINGS[place.packing]()
    pastless = SinkError(f"{place.path}: is no regular file, so no run can go on with it; leave --resume out")
    # Before it is opened: that waits for the reader of a FIFO.
    if config.resume and Path(place.path).is_fifo():
        raise pastless
    file = OpenFile(place.path, taken)
    closing.callback(file.close)
    if format_.own is not None:
        file.check_own()
    if config.resume and not file.regular:
        raise pastless
    if not config.overwrite and not config.resume:
        file.check_empty(resumes=format_.past is not None)
    if file.regular:
        file.clear()
    return _Target(place, replace(shape, colour=False, terminal=False), file, None)


def _beside(config: OutputConfig, targets: list[_Target], folder: str | None) -> str | None:
    """Where a journal is to be beside outputs that say nothing of what is done; None where there is none."""
    if any(target.file is not None and not target.resumes for target in targets):
        return None
    if folder is not None:
        return f"{folder.rstrip('/') or folder}{SIDE}"
    for target in targets:
        if target.place.path is not None and (config.resume or not target.format.journal):
            return f"{target.place.path}{SIDE}"
    return None


def _failed(config: OutputConfig, ledger: Ledger | None, taken: Taken, closing: ExitStack) -> FailedEntries | None:
    """The list of what failed, which is told anew where a run goes on."""
    if config.failed is None or ledger is None:
        return None
    file = OpenFile(config.failed, taken)
    closing.callback(file.close)
    if not config.overwrite and not config.resume:
        file.check_empty()
    return FailedEntries(ledger, file.destination(empty=True))


def _go_on(
    config: OutputConfig, journal: _Target, targets: list[_Target], counts: Judge | None
) -> tuple[Journal, list[Thinned]]:
    """What is done, and of which outputs records are to be taken out in the end. Raises SinkError, as `go_on` does."""
    # Imported here, so that only who asks for it pays for it.
    from fetcher.journal import Judges
    from fetcher.sinks.going_on import Part, go_on

    again = None if config.retry_failed is None else choosing_again(config.retry_failed)
    judges = Judges(again, counts, choosing_entries(config.only, changed=config.changed_only))
    [first, *others] = [
        Part(target.file.path, target.place.format, target.past, target.format.replaces, target.file.made)
        for target in (journal, *(target for target in targets if target is not journal))
        if target.file is not None and target.past is not None
    ]
    return go_on(first, others, judges)


def _behind(journal: Output, others: list[Output]) -> Output:
    """The journal, which waits for the others if there are any."""
    if not others:
        return journal
    from fetcher.sinks.behind import Behind

    return Behind(journal, others)


def _thinning(pasts: list[Thinned]) -> Output:
    from fetcher.sinks.behind import Thinning

    return Thinning(pasts)


class Held:
    """An output of a file that it opened by its name, and that is held against other runs until it is closed."""

    def __init__(self, output: Output, file: OpenFile) -> None:
        self._output = output
        self._file = file
        self.begin = output.begin
        self.add = output.add
        self.flush = output.flush
        self.end = output.end

    @property
    def written(self) -> int:
        """Records that are in the place, whole."""
        return self._output.written

    def close(self) -> None:
        """Let go of the place."""
        try:
            self._output.close()
        finally:
            self._file.close()


class ByteOutput:
    """
    An `Output` of a format that is a stream of bytes.

    Args:
        kept: There are records in the place already.
    """

    def __init__(self, sink: Sink, destination: Destination, *, kept: bool = False) -> None:
        self._sink = sink
        self._destination = destination
        self._kept = kept
        self._pieces: list[Said] = []
        self._waiting = 0
        self._records = 0
        self._begun = 0
        self._failed = False

    @property
    def written(self) -> int:
        """Records that are in the place, whole."""
        # What makes the format well-formed is written like a record, before all of them and behind.
        return min(self._records, max(0, self._destination.written - self._begun))

    def begin(self) -> None:
        """Make the place ready, and begin the format."""
        self._destination.begin()
        head = self._sink.begin()
        if not self._kept:
            self._keep(head)
        self._begun = len(self._pieces)

    def add(self, record: Record) -> int:
        """Take a record in; how many bytes wait for `flush` now."""
        self._keep(self._sink.one(record))
        self._records += 1
        return self._waiting

    def flush(self, stop: Event) -> None:
        """Write what waits, unless writing has failed before."""
        self._write(stop, ended=False)

    def end(self, stop: Event) -> None:
        """Write what waits and the format's end."""
        self._keep(self._sink.end())
        self._write(stop, ended=True)

    def close(self) -> None:
        """Let go of the place."""
        self._destination.close()

    def _write(self, stop: Event, *, ended: bool) -> None:
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        if self._failed:
            return
        try:
            # Also nothing: what the place holds back may be due.
            self._destination.write(pieces, stop)
            if ended:
                self._destination.end(stop)
        except Exception:
            self._failed = True
            self._destination.mend(self._sink.end())
            raise

    def _keep(self, piece: Said) -> None:
        if piece:
            self._pieces.append(piece)
            self._waiting += len(piece) if isinstance(piece, bytes) else piece.held


def _standard_output(taken: Taken) -> Descriptor:
    if sys.__stdout__ is None:
        # It was closed when we were started: 1 is something else by now.
        raise SinkError(sentence(STANDARD_OUTPUT, OSError(errno.EBADF, os.strerror(errno.EBADF))))
    try:
        taken.take(1, STANDARD_OUTPUT)
        return Descriptor(1, STANDARD_OUTPUT)
    except OSError as error:
        raise SinkError(sentence(STANDARD_OUTPUT, error)) from error
