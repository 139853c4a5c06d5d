"""Owns the opening of outputs, and the output that joins a format to a place."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.record import Record
from fetcher.sinks.chosen import CHANGES, Chosen, choosing
from fetcher.sinks.config import OutputConfig, Place
from fetcher.sinks.failed import FailedEntries
from fetcher.sinks.files import Descriptor, Destination, Function, sentence
from fetcher.sinks.formats import SINKS, Opened, Shape
from fetcher.sinks.packed import PACKINGS, Packed
from fetcher.sinks.protocol import Output, Said, Sink
from fetcher.sources.ledger import Ledger

STANDARD_OUTPUT = "standard output"

_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")
_MODE = 0o666


def open_outputs(
    config: OutputConfig,
    *,
    inputs: frozenset[tuple[int, int]] = frozenset(),
    write: Callable[[bytes], None] | None = None,
    colour: bool = False,
    terminal: bool = False,
    ledger: Ledger | None = None,
) -> list[Output]:
    """
    The outputs that `config` names, opened; nothing in them is touched before they are begun.

    Args:
        inputs: Device and inode of what is read (`Feed.files`): no output may be one of them.
        write: Takes the bytes in place of standard output: the screen that prints above its bar.
        colour: Standard output is a terminal that shows colours.
        terminal: Standard output is a terminal.
        ledger: What entries were made of, for the list of those that failed.

    Raises:
        SinkError: One cannot be written, is not empty, or is an input or another output; the text names it and the
            way out.
    """
    taken = Taken(inputs)
    shape = Shape(colour, terminal, config.fields or (), config.template)
    outputs: list[Output] = []
    try:
        for place in config.places:
            # Not all at once: those before one that fails are to be closed.
            outputs.append(_chosen(_open(place, config, taken, write, shape), config))  # noqa: PERF401
        if config.failed is not None and ledger is not None:
            outputs.append(FailedEntries(ledger, _open_file(config.failed, config.overwrite, taken)))
    except BaseException:
        for output in outputs:
            output.close()
        raise
    return outputs


class Taken:
    """
    Files that no further output may be: one that reads what it writes never ends, two in one file spoil it.

    Args:
        inputs: Device and inode of what is read.
    """

    def __init__(self, inputs: frozenset[tuple[int, int]]) -> None:
        self._inputs = inputs
        self._outputs: set[tuple[int, int]] = set()

    def take(self, descriptor: int, name: str) -> None:
        """
        Take one more.

        Raises:
            SinkError: It is taken.
        """
        status = os.fstat(descriptor)
        file = status.st_dev, status.st_ino
        if file in self._inputs:
            raise SinkError(f"{name}: is also an input; choose another file with --output")
        if file in self._outputs:
            raise SinkError(f"{name}: is the same file as another output; choose another one")
        if stat.S_ISREG(status.st_mode):
            self._outputs.add(file)


def _chosen(output: Output, config: OutputConfig) -> Output:
    """The output, for those of the records that are to be written."""
    if config.only is not None:
        output = Chosen(output, choosing(config.only))
    if config.changed_only:
        output = Chosen(output, lambda record: record.change in CHANGES)
    return output


def _open(
    place: Place, config: OutputConfig, taken: Taken, write: Callable[[bytes], None] | None, shape: Shape
) -> Output:
    """
    One output.

    Args:
        shape: Of what is written to standard output.
    """
    format_ = SINKS[place.format]
    if format_.own is not None and place.path is not None:
        return format_.own(_own_file(place.path, config.overwrite, taken), shape)
    if format_.make is None:
        raise SinkError(f"{STANDARD_OUTPUT}: {place.format} needs a file; name one with --output")
    if place.path is not None:
        shape = replace(shape, colour=False, terminal=False)
        # First, for its complaint.
        packing = PACKINGS[place.packing]() if place.packing is not None else None
        file: Destination = _open_file(place.path, config.overwrite, taken)
        return ByteOutput(format_.make(shape), file if packing is None else Packed(file, packing))
    destination = Function(write) if write is not None else _standard_output(taken)
    return ByteOutput(format_.make(shape), destination)


class ByteOutput:
    """An `Output` of a format that is a stream of bytes."""

    def __init__(self, sink: Sink, destination: Destination) -> None:
        self._sink = sink
        self._destination = destination
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
        self._keep(self._sink.begin())
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


def _open_file(path: str, overwrite: bool, taken: Taken) -> Descriptor:
    descriptor, made = _opened(path)
    try:
        taken.take(descriptor, path)
        filled = _filled(descriptor, path, overwrite)
        return Descriptor(descriptor, path, owned=True, empty=filled, made=path if made else None)
    except BaseException:
        os.close(descriptor)
        raise


def _own_file(path: str, overwrite: bool, taken: Taken) -> Opened:
    """A file for somebody who opens it anew, by its name."""
    descriptor, made = _opened(path)
    try:
        taken.take(descriptor, path)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or _DESCRIPTOR.fullmatch(path):
            raise SinkError(f"{path}: is no regular file, which this format needs; name one with --output")
        if not os.access(Path(path).resolve().parent, os.W_OK):
            raise SinkError(f"{path}: its folder cannot be written to, where a log is kept; choose another place")
        return Opened(path, made, _filled(descriptor, path, overwrite), overwrite=overwrite)
    finally:
        # Before anybody locks the file: closing it would undo that (fcntl's locks are the process's).
        os.close(descriptor)


def _opened(path: str) -> tuple[int, bool]:
    """
    A descriptor, and whether the file was made for it.

    Raises:
        SinkError: It cannot be opened.
    """
    try:
        return _descriptor(path)
    except (OSError, ValueError) as error:
        raise SinkError(sentence(path, error) if isinstance(error, OSError) else f"{path!r}: {error}") from error


def _descriptor(path: str) -> tuple[int, bool]:
    inherited = _DESCRIPTOR.fullmatch(path)
    if inherited is not None:
        # `-o >(gzip)`; opening it anew fails where it is a socket.
        return os.dup(int(inherited[1])), False
    flags = os.O_WRONLY | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE), True
    except FileExistsError:
        # Without O_EXCL, for a link to a file that is not there yet.
        return os.open(path, flags | os.O_CREAT, _MODE), False


def _filled(descriptor: int, path: str, overwrite: bool) -> bool:
    """Whether it is a file with something in it, which may then be replaced."""
    status = os.fstat(descriptor)
    filled = stat.S_ISREG(status.st_mode) and status.st_size > 0
    if filled and not overwrite:
        raise SinkError(f"{path}: is not empty; replace it with --overwrite, or choose another name")
    return filled
