"""
Owns how several outputs are brought to where a run can go on with them.

One of them, the journal, says what is done; what the others have more than it has is dropped. All are looked at before
anything is touched.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from fetcher.errors import SinkError
from fetcher.journal import Journal, Judges
from fetcher.sinks.past import Past, Thinned

_ANEW = "or begin anew with --overwrite"


class Part(Struct, frozen=True):
    """
    An output that a run goes on with.

    Attributes:
        path: What messages call it.
        format: Its format's name.
        past: What is in it.
        replaces: A later record takes the place of an earlier one.
        made: It was not there.
    """

    path: str
    format: str
    past: Past
    replaces: bool = False
    made: bool = False


def go_on(journal: Part, others: Sequence[Part], judges: Judges) -> tuple[Journal, list[Thinned]]:
    """
    What is done, and of which outputs records are to be taken out in the end.

    Args:
        others: They are cut back to the journal.

    Raises:
        SinkError: One cannot be gone on with; then none was touched. Or one cannot be cut back.
    """
    if journal.made:
        for other in others:
            _check_empty(other, journal)
    done = Journal(journal.past, journal.path, judges)
    cuts = [(journal, done.records)]
    doubled = [journal] if done.doubled or done.again else []
    for other in others:
        cut = done.cut(other.past, replaces=other.replaces)
        if cut.lacking is not None:
            raise SinkError(
                f"{other.path}: lacks the record of index {cut.lacking:,}, which {journal.path} has; put it back as it "
                f"was, {_ANEW}"
            )
        cuts.append((other, cut.keep))
        if cut.surplus or done.again:
            doubled.append(other)
    thinned = [_thinned(part, journal) for part in doubled if not part.replaces]
    for part, keep in cuts:
        part.past.keep(keep)
    return done, thinned


def _check_empty(other: Part, journal: Part) -> None:
    for _ in other.past.entries():
        raise SinkError(
            f"{other.path}: has records, and {journal.path}, which should say what is done, is not there; put it back, "
            f"{_ANEW}"
        )


def _thinned(part: Part, journal: Part) -> Thinned:
    """What records can be taken out of."""
    if not isinstance(part.past, Thinned):
        raise SinkError(
            f"{part.path}: has records that {journal.path} lacks, and none can be taken out of {part.format}; put both "
            f"back as they were, {_ANEW}"
        )
    effective = os.access in os.supports_effective_ids
    if not os.access(Path(part.path).resolve().parent, os.W_OK, effective_ids=effective):
        raise SinkError(
            f"{part.path}: has records that are to be replaced, and its folder, in which it is written anew for that, "
            "cannot be written to; make it writable (chmod u+w)"
        )
    return part.past
