"""The last word on standard error, whole."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.client.names.tally import Lookups
from fetcher.errors import ErrorKind
from fetcher.model import Attempt, Error, Hop, Request, Result
from fetcher.stats import Stats
from fetcher.summary import Already, Facts, render, show
from fetcher.terminal import Pen
from fetcher.tuner import Found
from fetcher.urls import parse_url

EARLY: dict[str, Any] = {"reason": "interrupted", "unrecorded": 1_234}


def result(host: str, outcome: int | ErrorKind, *, elapsed: float = 0.1, tries: int = 1, redirects: int = 0) -> Result:
    """A result of a page of 2,000 bytes, of which 500 were sent."""
    url = parse_url(f"http://{host}/")[0]
    status = outcome if isinstance(outcome, int) else None
    error = Error(outcome, "") if isinstance(outcome, ErrorKind) else None
    hop = Hop(url, "GET", status, error, 0.0, elapsed, size=2_000 if status else 0, wire_size=500 if status else 0)
    first = Attempt(url, 0.0, elapsed, status, error)
    attempts = (first, *(replace(first, waited_for="retry") for _ in range(tries - 1)))
    return Result(Request(0, str(url), url), hop, error, (hop,) * redirects, attempts)


def fold(*results: Result) -> Stats:
    stats = Stats()
    for one in results:
        stats.add(one)
    return stats


@pytest.fixture
def mixed() -> Stats:
    """1,020 results of all kinds."""
    return fold(
        *[result("good.example", 200)] * 979,
        *[result("good.example", 204, redirects=1)] * 20,
        *[result("bad.example", 404)] * 12,
        *[result("bad.example", 503, elapsed=2.0, tries=3)] * 2,
        *[result("gone.example", ErrorKind.DNS, tries=3)] * 5,
        result("slow.shop.example", ErrorKind.TIMEOUT, elapsed=30.0),
        result("slow.shop.example", 500),
    )


def test_a_long_run_in_full(mixed: Stats) -> None:
    """Every status and kind, how long, how much, what was tried again, and who is to blame."""
    summary = render(mixed, Facts(elapsed=83.4, counted=21, excessive=True))

    assert (
        summary
        == """\
afetch: 999 ok, 21 failed in 1m 23s, 12.2/s
  status   200: 979   204: 20   404: 12   500: 1   503: 2
  errors   dns: 5   timeout: 1
  latency  p50 98 ms   p90 98 ms   p99 98 ms   max 30.0 s
  bodies   2.0 MB decoded   507 kB on the wire at 6.1 kB/s
  again    14 retries   20 redirects
  worst    bad.example        14 failed, most often 404
           gone.example        5 failed, most often dns
           slow.shop.example   2 failed, most often timeout
"""
    )


def test_lookups_have_a_line(mixed: Stats) -> None:
    """Where there were any; how many were spared and failed only where some were."""
    lookups = Lookups()
    quiet = render(mixed, Facts(elapsed=83.4, lookups=lookups))
    for _ in range(9):
        lookups.add(0.01)
    plain = render(mixed, Facts(elapsed=83.4, lookups=lookups))
    lookups.add(0.5, failed=True, answered=False)
    lookups.spared = 1_010
    full = render(mixed, Facts(elapsed=83.4, lookups=lookups))

    assert "\n  dns" not in quiet
    assert "\n  dns      9 lookups   p50 9.8 ms   p90 9.8 ms\n" in plain
    assert "\n  dns      10 lookups   1,010 from memory   1 failed   p50 9.8 ms   p90 9.8 ms\n" in full


def test_colours_change_no_word(mixed: Stats, monkeypatch: pytest.MonkeyPatch) -> None:
    """With colours it is the same text, whatever the environment says; the caller has looked at that."""
    monkeypatch.setenv("NO_COLOR", "1")
    facts = Facts(elapsed=83.4, counted=20, excessive=True, **EARLY)

    coloured = render(mixed, facts, colour=True)

    assert "\x1b[31m21 failed\x1b[0m" in coloured
    assert render(mixed, facts) == re.sub(r"\x1b\[[\d;]*m", "", coloured)


def test_lists_are_folded_between_their_items(mixed: Stats) -> None:
    """On a narrow terminal they go on below their beginning."""
    summary = render(mixed, Facts(elapsed=83.4, counted=21, excessive=True), width=40)

    assert (
        """\
  status   200: 979   204: 20   404: 12
           500: 1   503: 2
  errors   dns: 5   timeout: 1
  latency  p50 98 ms   p90 98 ms
           p99 98 ms   max 30.0 s
"""
        in summary
    )


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ([result("a.example", 200)], "afetch: 1 ok, 2.0 kB in 1.3 s\n"),
        ([result("a.example", 404)], "afetch: 0 ok, 1 failed (404), 2.0 kB in 1.3 s\n"),
        ([result("a.example", ErrorKind.DNS)], "afetch: 0 ok, 1 failed (dns) in 1.3 s\n"),
        (
            [result("a.example", 200), *[result("a.example", 503)] * 2, result("a.example", ErrorKind.DNS)],
            "afetch: 1 ok, 3 failed (503: 2, dns), 6.0 kB in 1.3 s\n",
        ),
    ],
)
def test_a_few_results_take_one_line(results: list[Result], line: str) -> None:
    """A single URL, or some: no table, but what failed and why."""
    stats = fold(*results)

    assert line == render(stats, Facts(elapsed=1.3, counted=stats.failed, excessive=True))


def test_what_did_not_happen_has_no_line() -> None:
    """A run without errors, bodies, retries and redirects says nothing of them."""
    stats = fold(*[Result(Request(0, "x", None), None, Error(ErrorKind.INVALID_URL, ""))] * 10)

    summary = render(stats, Facts(elapsed=0.0, counted=10, excessive=True))

    assert summary == "afetch: 0 ok, 10 failed in 0.0 ms\n  errors   invalid-url: 10\n"


def test_an_empty_list_is_nothing_to_do() -> None:
    """It names the inputs, which cannot steer the terminal."""
    assert (
        render(Stats(), Facts(elapsed=0.1, sources=("urls.txt", "\x1b[2J")))
        == "afetch: no entries in urls.txt, \\x1b[2J, nothing to do\n"
    )


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (EARLY, "  stopped  interrupted; 1,234 entries have no record, --resume fetches them\n"),
        (EARLY | {"unrecorded": 1}, "  stopped  interrupted; 1 entry has no record, --resume fetches it\n"),
        (
            EARLY | {"unrecorded_exact": False, "resume": None},
            "  stopped  interrupted; at least 1,234 entries have no record\n",
        ),
        (EARLY | {"unrecorded": 0}, "  stopped  interrupted\n"),
    ],
)
def test_an_interrupted_run_says_what_is_missing(facts: dict[str, Any], line: str) -> None:
    """How many entries have no record, and how to get them; also before the first result."""
    assert render(Stats(), Facts(elapsed=1.3, **facts)) == "afetch: 0 ok in 1.3 s\n" + line


@pytest.mark.parametrize(
    ("counted", "excessive", "lines"),
    [
        (2, True, ""),
        (2, False, "  verdict  2 results count as failures: not too many\n"),
        (1, True, "  verdict  1 result counts as a failure: too many\n"),
        (0, False, "  verdict  0 results count as failures: not too many\n"),
    ],
)
def test_the_verdict_is_told_where_it_is_not_plain(counted: int, excessive: bool, lines: str) -> None:
    """If every failure counts and one is too many, nobody needs to be told."""
    stats = fold(*[result("a.example", 404)] * 2)

    summary = render(stats, Facts(elapsed=1.3, counted=counted, excessive=excessive))

    assert summary == "afetch: 0 ok, 2 failed (404: 2), 4.0 kB in 1.3 s\n" + lines


def test_rare_statuses_are_added_up() -> None:
    """A site with fifty statuses does not fill the screen."""
    stats = fold(*(result("a.example", 400 + number) for number in range(50) for _ in range(50 - number)))

    [line] = [line for line in render(stats, Facts(elapsed=1.0), width=200).splitlines() if "status" in line]

    assert line.startswith("  status   400: 50   401: 49   ")
    assert line.endswith("   411: 39   others: 741")


def test_long_host_names_lose_their_middle() -> None:
    """Both ends tell a host from others; the figures stay in columns."""
    long = "a" * 30 + "." + "b" * 30 + ".example"
    stats = fold(*[result(long, 404)] * 10, result("short.example", 404))

    summary = render(stats, Facts(elapsed=1.0, counted=11, excessive=True))

    assert summary.splitlines()[-2:] == [
        "  worst    aaaaaaaaaaaaaaaaaa...bbbbbbbbbbb.example  10 failed, most often 404",
        "           short.example                              1 failed, with 404",
    ]


def test_it_is_coloured_on_a_terminal_only(mixed: Stats, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour on a terminal, none with NO_COLOR, none in a pipe; a pipe that nobody reads is no error."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    facts = Facts(elapsed=83.4, counted=21, excessive=True)
    master, slave = pty.openpty()
    reader, writer = os.pipe()

    show(mixed, facts, pen=Pen(slave))
    on_terminal = drained(master)
    monkeypatch.setenv("NO_COLOR", "1")
    show(mixed, facts, pen=Pen(slave))
    uncoloured = drained(master)
    show(mixed, facts, pen=Pen(writer))
    in_pipe = drained(reader)
    os.close(reader)
    show(mixed, facts, pen=Pen(writer))

    assert b"\x1b[" in on_terminal
    assert render(mixed, facts).encode() == in_pipe == uncoloured.replace(b"\r\n", b"\n")
    for fd in (master, slave, writer):
        os.close(fd)


def drained(fd: int) -> bytes:
    """What is there to read now."""
    data = b""
    while select.select([fd], [], [], 0)[0]:
        data += os.read(fd, 65_536)
    return data


def test_a_summary_without_a_terminal_does_not_pay_for_rich() -> None:
    """The plain words need no rich."""
    code = (
        "import sys\n"
        "from fetcher.summary import Facts, Stats, show\n"
        "show(Stats(), Facts(elapsed=1.0))\n"
        "print('rich' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("False\n", "afetch: no entries, nothing to do\n")


@pytest.mark.parametrize(("compared", "words"), [(True, "did best"), (False, "sufficed")])
def test_what_auto_found_is_said(mixed: Stats, compared: bool, words: str) -> None:
    """How many at once, and whether that was compared with others."""
    summary = render(mixed, Facts(elapsed=83.4, counted=21, excessive=True, tuned=Found(1_000, compared)))

    assert f"\n  slots    1,000 at once {words} (-c auto)\n" in summary


def test_what_order_and_uniqueness_cost_is_said(mixed: Stats) -> None:
    """How long a slow entry held the others up, where it did, and how many entries were dropped, where some were."""
    quiet = render(mixed, Facts(elapsed=83.4, counted=21, excessive=True, held_back=0.9))
    full = render(mixed, Facts(elapsed=83.4, counted=21, excessive=True, held_back=12.34, repeats=1_234))

    assert "waited" not in quiet
    assert "repeats" not in quiet
    assert "\n  repeats  1,234 entries dropped (--unique)\n" in full
    assert "\n  waited   12.3 s for a slow entry, with no room for more behind it (--ordered)\n" in full


def test_what_was_there_has_a_row() -> None:
    """Also where there was nothing to do; its failures are no reason to speak of a verdict that counts all of them."""
    there = Already(1_900, 20, 3, 7)

    done = render(Stats(), Facts(elapsed=0.1, counted=20, excessive=True, already=there))
    first = render(Stats(), Facts(elapsed=0.1, already=Already(0)))
    few = render(Stats(), Facts(elapsed=0.1, counted=1, already=Already(1, 1)))

    assert done == (
        "afetch: nothing to do, every entry has its record\n"
        "  already  1,900 records there, 20 of them failed   3 entries to fetch again\n"
        "           7 of entries that are not in the list any more\n"
    )
    assert first == "afetch: no entries, nothing to do\n"
    assert "1 record there, 1 of them failed\n" in few
    assert "verdict  1 result counts as a failure: not too many\n" in few
