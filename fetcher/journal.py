"""
Owns what of a list is done already: told by the records that an earlier run has left, asked as the list is read again.

It goes by a record's `index`, and checks its `url`. Knows no format: what is in a file is told as entries. Ten million
of them are held in arrays, not as objects.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, Callable

from msgspec import Struct

from fetcher.errors import ChangedListError
from fetcher.model import Request
from fetcher.record import shown_url
from fetcher.sinks.past import Entry, Past, Thinned
from fetcher.sources.protocol import Passing, Source
from fetcher.sources.through import Through

_SHIFT = 12
_CHUNK = 1 << _SHIFT
_PLACE = _CHUNK - 1
"""Indexes go into chunks of so many: records that are few and far between take little, too."""

# What is known of an index, in one byte.
_DONE, _FAILED, _AGAIN, _COUNTED, _WANTED, _VAGUE, _MET = 1, 2, 4, 8, 16, 32, 64
_UNMET = bytes(flags & ~_MET for flags in range(256))

Judge = Callable[[Entry], bool]

Skipped = Callable[[int, bool], object]
"""Told the index of an entry that is done, and whether it failed."""


class Judges(Struct, frozen=True):
    """
    What is to be known of each entry.

    Attributes:
        again: It is fetched again, so it is not done; None is never.
        counts: It counts as a failure of the run; None is never.
        wanted: Other outputs have its record, too; None is always.
    """

    again: Judge | None = None
    counts: Judge | None = None
    wanted: Judge | None = None

    def flags(self, entry: Entry) -> int:
        """The byte of an entry."""
        flags = _DONE
        if not entry.ok:
            flags |= _VAGUE if entry.ok is None else _FAILED
        if self.again is not None and self.again(entry):
            flags |= _AGAIN
        if self.counts is not None and self.counts(entry):
            flags |= _COUNTED
        if self.wanted is None or self.wanted(entry):
            flags |= _WANTED
        return flags


class Cut(Struct, frozen=True):
    """
    How another output stands to the journal.

    Attributes:
        keep: How many of its first records stay; the journal lacks those behind them.
        surplus: How many of these are replaced by others, or will be.
        lacking: The first index that the journal has and it lacks; None where it has all.
    """

    keep: int
    surplus: int
    lacking: int | None


class Journal:
    """
    What is done, as the records of one output say. Of several records of an index the last one counts.

    Args:
        name: What messages call that output.

    Attributes:
        there: Entries that are done.
        failed: Those of them that failed.
        again: Entries that have a record and are fetched again.
        counted: Those of `there` that count as failures.
        doubled: Records that a later one replaces.
        met: How many of `there` the list has had so far.

    Raises:
        SinkError: The output cannot be read, or is none of ours.
    """

    def __init__(self, past: Past, name: str, judges: Judges | None = None) -> None:
        self._past = past
        self._name = name
        self._chunks: dict[int, tuple[array[int], bytearray]] = {}
        self._wanted = 0
        self.there = self.failed = self.again = self.counted = self.doubled = self.met = 0
        self._read(judges or Judges())

    @property
    def records(self) -> int:
        """How many there are, the replaced ones counted."""
        return self.there + self.again + self.doubled

    def cut(self, past: Past, *, replaces: bool = False) -> Cut:
        """
        How another output stands to this one. What both have, both have in the same order, and it is written first.

        Args:
            replaces: A later record takes the place of an earlier one, in no order.
        """
        keep = met = count = 0
        for _, states in self._chunks.values():
            states[:] = states.translate(_UNMET)
        for entry in past.entries():
            count += 1
            chunk = self._chunks.get(entry.index >> _SHIFT)
            if chunk is None:
                continue
            urls, states = chunk
            place = entry.index & _PLACE
            state = states[place]
            if not state or state & _MET or urls[place] != hash(entry.url):
                continue
            # Of two of one index, it is the one that the journal has, too.
            known = not replaces and entry.ok is not None and not state & _VAGUE
            if known and entry.ok is bool(state & _FAILED):
                continue
            states[place] = state | _MET
            met += bool(state & _WANTED)
            keep = count
        lacking = self._first_unmet() if met < self._wanted else None
        return Cut(count, 0, lacking) if replaces else Cut(keep, keep - met, lacking)

    def remaining(self, source: Source, skipped: Skipped | None = None) -> Source:
        """
        The source, without what is done.

        Args:
            skipped: Told the index of each entry that is done, and whether it failed.
        """
        if isinstance(source, Passing):
            # Without a call in between, where nobody wants to be told: of ten million lines it is a second.
            told = skipped is not None
            source.pass_over((lambda index, text: self.passes(index, text, skipped)) if told else self.passes)
        return _Remaining(source, self, skipped)

    def passes(self, index: int, text: str, skipped: Skipped | None = None) -> bool:
        """Whether the entry is done, told by its text; where that is not its record's `url`, `left` has to say it."""
        chunk = self._chunks.get(index >> _SHIFT)
        if chunk is None:
            return False
        urls, states = chunk
        place = index & _PLACE
        state = states[place]
        if not state or state & _AGAIN or urls[place] != hash(text):
            return False
        self.met += 1
        if skipped is not None:
            skipped(index, bool(state & _FAILED))
        return True

    def left(self, batch: list[Request], skipped: Skipped | None = None) -> list[Request]:
        """
        Those of the requests that are not done.

        Raises:
            ChangedListError: The journal has another URL in an entry's place.
        """
        left = []
        for request in batch:
            chunk = self._chunks.get(request.index >> _SHIFT)
            place = request.index & _PLACE
            state = chunk[1][place] if chunk is not None else 0
            if chunk is not None and state and chunk[0][place] != hash(shown_url(request)):
                raise ChangedListError(self._changed(request))
            if not state or state & _AGAIN:
                left.append(request)
                continue
            self.met += 1
            if skipped is not None:
                skipped(request.index, bool(state & _FAILED))
        return left

    def _read(self, judges: Judges) -> None:
        chunks = self._chunks
        tally = [0] * 256
        # Outcomes are few, and most are that of the record before, as most indexes are near that one's.
        judged: dict[tuple[bool | None, int | None, str | None, str | None], int] = {}
        ok, status, kind, change, flags = None, None, None, None, 0
        near = -1
        urls, states = array("q"), bytearray()
        for entry in self._past.entries():
            same = entry.status == status and entry.ok is ok and entry.kind == kind and entry.change == change
            if not (same and flags):
                ok, status, kind, change = outcome = entry.ok, entry.status, entry.kind, entry.change
                flags = judged.get(outcome, 0) or judged.setdefault(outcome, judges.flags(entry))
            index = entry.index
            if index >> _SHIFT != near:
                near = index >> _SHIFT
                if near not in chunks:
                    chunks[near] = array("q", bytes(8 * _CHUNK)), bytearray(_CHUNK)
                urls, states = chunks[near]
            place = index & _PLACE
            before = states[place]
            if before:
                self.doubled += 1
                tally[before] -= 1
            tally[flags] += 1
            urls[place] = hash(entry.url)
            states[place] = flags
        self.again = _sum(tally, _AGAIN)
        self.there = sum(tally) - self.again
        self.failed = _sum(tally, _FAILED, but=_AGAIN)
        self.counted = _sum(tally, _COUNTED, but=_AGAIN)
        self._wanted = _sum(tally, _WANTED)

    def _first_unmet(self) -> int | None:
        for number, (_, states) in sorted(self._chunks.items()):
            for place, state in enumerate(states):
                if state & _WANTED and not state & _MET:
                    return (number << _SHIFT) + place
        return None

    def _changed(self, request: Request) -> str:
        """The complaint about a list that is another one."""
        # Only now is the journal's URL wanted, so nobody has kept it.
        was = [entry.url for entry in self._past.entries() if entry.index == request.index]
        before = f", where {self._name} has {was[-1]}" if was else f", and {self._name} has another URL there"
        return (
            f"the list has changed: its entry of index {request.index} is {shown_url(request)}{before}; go on with the "
            "list as it was (what is new goes behind its end), or give another --output"
        )


class _Remaining(Through):
    """A source without what is done."""

    def __init__(self, source: Source, journal: Journal, skipped: Skipped | None) -> None:
        super().__init__(source)
        self._journal = journal
        self._skipped = skipped

    @property
    def total(self) -> int | None:
        total = self._source.total
        return None if total is None else total - self._journal.met

    def estimate(self) -> int | None:
        estimate = self._source.estimate()
        return None if estimate is None else max(0, estimate - self._journal.there)

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        async for batch in self._source.batches():
            left = self._journal.left(batch, self._skipped)
            if left:
                yield left


def thin(past: Thinned) -> int:
    """
    How many records were taken out, because a later one has their index.

    Raises:
        SinkError: The output cannot be read or written anew; it is as it was.
    """
    chunks: dict[int, array[int]] = {}
    replaced = bytearray()
    for count, entry in enumerate(past.entries(), 1):
        chunk = chunks.get(entry.index >> _SHIFT)
        if chunk is None:
            chunk = chunks[entry.index >> _SHIFT] = array("q", bytes(8 * _CHUNK))
        place = entry.index & _PLACE
        replaced.append(0)
        if chunk[place]:
            replaced[chunk[place] - 1] = 1
        chunk[place] = count
    doubled = replaced.count(1)
    if doubled:
        past.thin(lambda place: not replaced[place])
    return doubled


def _sum(tally: list[int], flag: int, but: int = 0) -> int:
    return sum(count for flags, count in enumerate(tally) if flags & flag and not flags & but)
