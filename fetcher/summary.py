"""
Owns the last word on standard error: what a run came to, in a few lines. Counts nothing itself.

The same words with colours and without; rich only colours them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import TypeVar

from msgspec import Struct

from fetcher.client.names.tally import Lookups
from fetcher.frontier.frontier import Waits
from fetcher.stats import Stats
from fetcher.terminal import WIDTH, Pen, columns, counted, escaped, is_terminal, lasted, paced, sized
from fetcher.tuner import Found

T = TypeVar("T", int, str)

Span = tuple[str, str]
"""A piece of text and its style."""

FEW = 10
"""Results below which one line says it all."""

WORST = 5
"""Hosts that are named."""

KINDS = 12
"""Statuses, or error kinds, that are named; the rest are added up."""

LEAST_OUTAGE = 1.0
"""Seconds below which a pause of the whole run is not worth a word."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

CLASSES = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}
"""Colours of the classes of statuses."""

SUCCESS, FAILURE, QUIET = "green", "red", "dim"

NAME: Span = ("afetch: ", QUIET)

LABEL = 11
"""Columns of what stands at the left."""

GAP = "   "

LONGEST_HOST = 40
"""Columns of a host's name, beyond which its middle is left out."""

CUT = "..."


class Already(Struct, frozen=True):
    """
    What an earlier run has left.

    Attributes:
        there: Entries that have their record, and are not asked for.
        failed: Those of them that failed.
        again: Entries that are fetched again.
        strays: Entries that have their record, and are not in the list any more.
    """

    there: int
    failed: int = 0
    again: int = 0
    strays: int = 0


class Facts(Struct, frozen=True, kw_only=True):
    """
    What a run knows of itself beside its results.

    Attributes:
        elapsed: Seconds from start to end.
        sources: The inputs, as a person names them: `urls.txt`, `standard input`.
        reason: Why it ended early, as a phrase (`interrupted`, `a closed pipe`); None if it did not.
        unrecorded: Entries without a record.
        unrecorded_exact: Those are all; false if nobody knows how many the input still had.
        resume: How to fetch them; None if that cannot be.
        counted: Results that count as failures (`--fail-on`).
        excessive: Those are more than may be.
        changes: How many records there were of each `change`, where that is known.
        waits: What was waited for.
        outage: Seconds for which there was no network.
        tuned: How many requests at once `-c auto` found to do best.
        lookups: What the lookups of names came to.
        held_back: Seconds for which nothing new was begun because results waited for an earlier one (`--ordered`).
        repeats: Entries that were dropped because they repeat others (`--unique`).
        already: What was there before (`--resume`); its failures are among the `counted`.
    """

    elapsed: float
    sources: tuple[str, ...] = ()
    reason: str | None = None
    unrecorded: int = 0
    unrecorded_exact: bool = True
    resume: str | None = "--resume"
    counted: int = 0
    excessive: bool = False
    changes: Mapping[str, int] | None = None
    waits: Waits | None = None
    outage: float = 0.0
    tuned: Found | None = None
    lookups: Lookups | None = None
    held_back: float = 0.0
    repeats: int = 0
    already: Already | None = None


def render(stats: Stats, facts: Facts, *, width: int = WIDTH, colour: bool = False) -> str:
    """The summary, each line ended; lists are folded at `width` columns, and only `colour` has escapes in it."""
    lines = list(_lines(stats, facts, width))
    if colour:
        return _coloured(lines)
    return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines)


def show(stats: Stats, facts: Facts, *, pen: Pen | None = None) -> None:
    """Write the summary to standard error, if there is still somebody to read it."""
    pen = pen or Pen()
    terminal = is_terminal(pen.fd)
    width = columns(pen.fd) if terminal else WIDTH
    pen.tell(render(stats, facts, width=width, colour=terminal and not os.environ.get("NO_COLOR")))


def _lines(stats: Stats, facts: Facts, width: int) -> Iterator[list[Span]]:
    there = facts.already.there if facts.already is not None else 0
    if not stats.results and facts.reason is None:
        if not there:
            where = f" in {', '.join(facts.sources)}" if facts.sources else ""
            yield [NAME, (escaped(f"no entries{where}, nothing to do"), "")]
            return
        yield [NAME, ("nothing to do, every entry has its record", "")]
    else:
        yield _head(stats, facts)
    if stats.results >= FEW:
        yield from _row("status", _statuses(stats), width)
        yield from _row("errors", _errors(stats), width)
        yield from _row("latency", _latency(stats), width)
        yield from _row("bodies", _bodies(stats, facts), width)
        yield from _row("dns", _dns(facts.lookups), width)
        yield from _row("again", _again(stats), width)
        yield from _row("slots", _slots(facts.tuned), width)
        yield from _worst(stats)
    yield from _row("already", _already(facts.already), width)
    yield from _row("repeats", _repeats(facts), width)
    yield from _row("changes", _changes(facts), width)
    yield from _row("waited", _waited(facts), width)
    failed = stats.failed + (facts.already.failed if facts.already is not None else 0)
    if facts.counted != failed or (failed and not facts.excessive):
        yield _verdict(facts)
    if facts.reason is not None:
        yield _early(facts)


def _head(stats: Stats, facts: Facts) -> list[Span]:
    """The one line that says how it went; of a few results, what failed and how much came."""
    few = stats.results < FEW
    line = [NAME, (f"{counted(stats.ok)} ok", SUCCESS if stats.ok else QUIET)]
    if stats.failed:
        why = ", ".join(name if count == 1 else f"{name}: {count}" for name, count in _failures(stats))
        line += [(", ", ""), (f"{counted(stats.failed)} failed{f' ({why})' if few else ''}", FAILURE)]
    if few and stats.size:
        line.append((f", {sized(stats.size)}", ""))
    line.append((f" in {lasted(facts.elapsed)}", ""))
    if not few and facts.elapsed > 0:
        line.append((f", {paced(stats.results / facts.elapsed)}", ""))
    return line


def _failures(stats: Stats) -> list[tuple[str, int]]:
    return [(str(status), count) for status, count in sorted(stats.statuses.items()) if status >= 400] + sorted(
        stats.errors.items()
    )


def _statuses(stats: Stats) -> list[list[Span]]:
    named, others = _commonest(stats.statuses)
    items = [[(f"{status}: ", CLASSES.get(status // 100, "")), (counted(count), "")] for status, count in sorted(named)]
    return items + others


def _errors(stats: Stats) -> list[list[Span]]:
    named, others = _commonest(stats.errors)
    return [[(f"{kind}: ", FAILURE), (counted(count), "")] for kind, count in named] + others


def _commonest(counts: Mapping[T, int]) -> tuple[list[tuple[T, int]], list[list[Span]]]:
    """The commonest, and an item for the rest if there is one."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rest = sum(count for _, count in ordered[KINDS:])
    return ordered[:KINDS], [[("others: ", QUIET), (counted(rest), "")]] if rest else []


def _latency(stats: Stats) -> list[list[Span]]:
    if not stats.latency.count:
        return []
    values = [(name, stats.latency.quantile(share) or 0.0) for name, share in QUANTILES.items()]
    return [[(f"{name} ", QUIET), (lasted(value), "")] for name, value in [*values, ("max", stats.latency.max)]]


def _bodies(stats: Stats, facts: Facts) -> list[list[Span]]:
    if not stats.size and not stats.wire_size:
        return []
    speed = f" at {sized(stats.wire_size / facts.elapsed)}/s" if facts.elapsed > 0 else ""
    return [[(f"{sized(stats.size)} decoded", "")], [(f"{sized(stats.wire_size)} on the wire{speed}", "")]]


def _dns(lookups: Lookups | None) -> list[list[Span]]:
    """How often names were looked up, and how long that took; nothing if they never were."""
    if lookups is None or not lookups.asked:
        return []
    items: list[list[Span]] = [[(counted(lookups.asked, "lookup"), "")]]
    if lookups.spared:
        items.append([(f"{counted(lookups.spared)} from memory", "")])
    if lookups.failed:
        items.append([(f"{counted(lookups.failed)} failed", FAILURE)])
    times = [(name, lookups.times.quantile(QUANTILES[name]) or 0.0) for name in ("p50", "p90")]
    return items + [[(f"{name} ", QUIET), (lasted(value), "")] for name, value in times]


def _again(stats: Stats) -> list[list[Span]]:
    items: list[list[Span]] = []
    if stats.retries:
        items.append([(counted(stats.retries, "retry", "retries"), "")])
    if stats.redirects:
        items.append([(counted(stats.redirects, "redirect"), "")])
    return items


def _repeats(facts: Facts) -> list[list[Span]]:
    return [[(f"{counted(facts.repeats, 'entry', 'entries')} dropped (--unique)", "")]] if facts.repeats else []


def _already(already: Already | None) -> list[list[Span]]:
    if already is None or not already.there + already.again:
        return []
    items: list[list[Span]] = [[(f"{counted(already.there, 'record')} there", "")]]
    if already.failed:
        items[0].append((f", {counted(already.failed)} of them failed", FAILURE))
    if already.again:
        items.append([(f"{counted(already.again, 'entry', 'entries')} to fetch again", "")])
    if already.strays:
        items.append([(f"{counted(already.strays)} of entries that are not in the list any more", FAILURE)])
    return items


def _changes(facts: Facts) -> list[list[Span]]:
    return [[(f"{counted(count)} {change}", "")] for change, count in sorted((facts.changes or {}).items())]


def _waited(facts: Facts) -> list[list[Span]]:
    """Who asked for a pause, and what else held the run up."""
    items: list[list[Span]] = []
    waits = facts.waits
    if waits is not None and waits.refusals:
        held = f", up to {lasted(waits.held)} at a time" if waits.held else ""
        by = counted(waits.refusing, "host")
        items.append([(f"{counted(waits.refusals, 'refusal')} by {by}{held}", "")])
    if waits is not None and waits.down:
        items.append([(f"{counted(waits.down, 'origin')} given up", FAILURE)])
    if facts.held_back >= LEAST_OUTAGE:
        items.append([(f"{lasted(facts.held_back)} for a slow entry, with no room for more behind it (--ordered)", "")])
    if facts.outage >= LEAST_OUTAGE:
        items.append([(f"no network for {lasted(facts.outage)}", FAILURE)])
    if waits is not None and waits.pinched >= LEAST_OUTAGE:
        items.append(
            [(f"{lasted(waits.pinched)} with nothing in view but hosts that wait; --window looks further ahead", "")]
        )
    return items


def _slots(tuned: Found | None) -> list[list[Span]]:
    if tuned is None:
        return []
    verdict = "did best" if tuned.compared else "sufficed"
    return [[(f"{counted(tuned.slots)} at once {verdict} (-c auto)", "")]]


def _worst(stats: Stats) -> Iterator[list[Span]]:
    """A line each for the hosts that failed most, in columns."""
    worst = stats.worst_hosts(WORST)
    names = [_cut(escaped(host.host)) for host in worst]
    counts = [counted(host.failures) for host in worst]
    wide, long = max(map(len, names), default=0), max(map(len, counts), default=0)
    for place, (host, name, count) in enumerate(zip(worst, names, counts, strict=True)):
        commonest = "with" if host.failures == 1 else "most often"
        yield [
            _label("" if place else "worst"),
            (f"{name:<{wide}}  ", ""),
            (f"{count:>{long}} failed", FAILURE),
            (f", {commonest} {escaped(host.verdict)}", ""),
        ]


def _cut(name: str) -> str:
    """A host's name, without its middle where it is too long: both ends tell it from others."""
    if len(name) <= LONGEST_HOST:
        return name
    kept = LONGEST_HOST - len(CUT)
    return name[: kept // 2] + CUT + name[-(kept - kept // 2) :]


def _verdict(facts: Facts) -> list[Span]:
    results = counted(facts.counted, "result counts as a failure", "results count as failures")
    return [
        _label("verdict"),
        (f"{results}: {'too many' if facts.excessive else 'not too many'}", FAILURE if facts.excessive else ""),
    ]


def _early(facts: Facts) -> list[Span]:
    line = [_label("stopped"), (escaped(facts.reason or ""), "bold")]
    if facts.unrecorded:
        less = "" if facts.unrecorded_exact else "at least "
        entries = counted(facts.unrecorded, "entry has", "entries have")
        line.append((f"; {less}{entries} no record", ""))
        if facts.resume is not None:
            line.append((f", {facts.resume} fetches {'it' if facts.unrecorded == 1 else 'them'}", ""))
    return line


def _row(label: str, items: list[list[Span]], width: int) -> Iterator[list[Span]]:
    """A label and its items, folded between them; nothing if there are none."""
    line = [_label(label)]
    used = LABEL
    for item in items:
        length = sum(len(text) for text, _ in item)
        if len(line) > 1 and used + len(GAP) + length > width:
            yield line
            line, used = [_label("")], LABEL
        if len(line) > 1:
            line.append((GAP, ""))
            used += len(GAP)
        line += item
        used += length
    if items:
        yield line


def _label(text: str) -> Span:
    return f"{'  ' + text:<{LABEL}}", QUIET


def _coloured(lines: list[list[Span]]) -> str:
    # rich is for those who have a terminal to look at.
    from rich.console import Console
    from rich.text import Text

    paper = StringIO()
    # Whoever asks for colour has looked at NO_COLOR; eight colours are everywhere.
    console = Console(file=paper, force_terminal=True, color_system="standard", no_color=False, width=WIDTH)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
    return paper.getvalue()
