"""What people read, and descriptors that are not there."""

from __future__ import annotations

import os
import pty
import sys
import threading

import pytest

from fetcher.terminal import Pen, counted, escaped, is_terminal, lasted, paced, same_terminal, sized


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (99_949_999, "99.9 MB"),
        (99_950_000, "100 MB"),
        (999_499_999, "999 MB"),
        (999_500_000, "1.0 GB"),
        (5e18, "5000 PB"),
    ],
)
def test_sizes_are_decimal_and_never_a_thousand_of_a_unit(size: float, text: str) -> None:
    """1 MB is a million bytes; what rounds up to a thousand is one of the next unit."""
    assert text == sized(size)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 ms"),
        (0.0008, "0.8 ms"),
        (0.12, "120 ms"),
        (0.9999, "1.0 s"),
        (3.21, "3.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1m 00s"),
        (125, "2m 05s"),
        (3599.6, "1h 00m"),
        (3_720, "1h 02m"),
        (86_400 * 3 + 3_600 * 4, "3d 04h"),
    ],
)
def test_durations_have_two_units_at_most_and_no_sixty_of_one(seconds: float, text: str) -> None:
    """Seconds read as people say them, whatever way they round."""
    assert text == lasted(seconds)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (9.7, "10 s"), (59.7, "1m 00s"), (61, "1m 01s")])
def test_whole_durations_have_no_parts_of_a_second(seconds: float, text: str) -> None:
    """A countdown that flickers by tenths cannot be read."""
    assert text == lasted(seconds, whole=True)


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0.0/s"), (0.25, "0.25/s"), (12.34, "12.3/s"), (99.97, "100/s"), (12_345.6, "12,346/s")]
)
def test_rates_show_what_can_be_told_apart(rate: float, text: str) -> None:
    """A slow run's rate has decimals, a fast one's has none."""
    assert text == paced(rate)


def test_one_of_a_thing_is_singular() -> None:
    """Numbers have thousands separators and their nouns agree with them."""
    texts = [counted(12_345), counted(1, "redirect"), counted(0, "redirect"), counted(2, "retry", "retries")]

    assert texts == ["12,345", "1 redirect", "0 redirects", "2 retries"]


def test_foreign_text_cannot_steer_the_terminal() -> None:
    """Controls, C1 controls, stray bytes and what turns a line round are written out; other scripts are not."""
    text = escaped("a\x1b[31m\r\n\x07\x9b2J\udcff\u202egnp.\u2028 münchen [red]日本")

    assert text == "a\\x1b[31m\\x0d\\x0a\\x07\\x9b2J\\xff\\u202egnp.\\u2028 münchen [red]日本"


def test_both_ends_of_one_terminal_are_the_same_terminal() -> None:
    """Two descriptors of one pty are one terminal; another pty and a pipe are not."""
    first, second, other, (reader, writer) = *pty.openpty(), pty.openpty(), os.pipe()
    slave, again = second, os.dup(second)

    same = same_terminal(slave, again), same_terminal(slave, other[1]), same_terminal(slave, writer)

    assert same == (True, False, False)
    for fd in (first, slave, again, *other, reader, writer):
        os.close(fd)
    assert not same_terminal(slave, again)


@pytest.mark.parametrize(("term", "answer"), [("xterm-256color", True), ("dumb", False), ("", False)])
def test_a_dumb_terminal_is_none(monkeypatch: pytest.MonkeyPatch, term: str, answer: bool) -> None:
    """Where the cursor cannot be moved there is nothing to draw on."""
    monkeypatch.setenv("TERM", term)
    master, slave = pty.openpty()

    assert answer == is_terminal(slave)
    os.close(master)
    os.close(slave)


def test_a_pen_waits_for_a_reader_of_a_descriptor_that_does_not_block() -> None:
    """All of it arrives, though the descriptor was made non-blocking and the pipe is full meanwhile."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = b"0123456789" * 50_000

    def write() -> None:
        Pen(writer).write(data)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as stream:
        arrived = stream.read()
    thread.join()

    assert data == arrived


def test_a_pen_does_not_care_that_nobody_reads() -> None:
    """A closed pipe and a closed descriptor are no errors for what is only told; for results they are."""
    reader, writer = os.pipe()
    os.close(reader)

    Pen(writer).tell("unheard")
    with pytest.raises(BrokenPipeError):
        Pen(writer).write(b"lost")
    os.close(writer)
    Pen(writer).tell("unheard")


def test_a_pen_leaves_a_reused_descriptor_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With standard error closed from the start, descriptor 2 may be somebody's output file."""
    monkeypatch.setattr(sys, "stderr", None)
    written = []

    def write(fd: int, data: bytes) -> int:
        written.append((fd, bytes(data)))
        return len(data)

    monkeypatch.setattr(os, "write", write)

    Pen().tell("not for a file")

    assert written == []
