"""Standard input, output and error of the real command: slow, endless, closed, and one terminal for all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import Afetch
from tests.servers import PATIENCE, Site
from tests.test_endings import SOON, end, read_until, stderr_of, stdout_of, wait_for

ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")

COLOURS = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:[349][0-9]|10[0-7])[0-9;]*m")

SMALL_PIPE = 4096
"""What a pipe may hold at least, so that it is soon full."""

Terminal = Callable[[], tuple[int, int]]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Makes terminals: who looks at one, and what a process has of it."""
    opened: list[int] = []

    def make() -> tuple[int, int]:
        master, slave = pty.openpty()
        opened.extend((master, slave))
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        return master, slave

    yield make
    for descriptor in opened:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def shown(master: int, process: subprocess.Popen[bytes], timeout: float = 2 * PATIENCE) -> bytes:
    """All that a process shows on a terminal until it ends."""
    deadline = time.monotonic() + timeout
    data = b""
    while True:
        over = process.poll() is not None
        assert time.monotonic() < deadline, f"it has not ended; it shows {data[-500:]!r}"
        if select.select([master], [], [], 0 if over else 0.05)[0]:
            data += os.read(master, 65536)
        elif over:
            return data


def stdin_of(process: subprocess.Popen[bytes]) -> int:
    """The descriptor that its standard input reads from."""
    assert process.stdin is not None
    return process.stdin.fileno()


def many(site: Site, count: int) -> list[str]:
    """URLs of one page, told apart."""
    url = site.page("x" * 100)
    return [f"{url}?{number}" for number in range(count)]


def test_each_url_of_a_pipe_that_stays_open_is_fetched_at_once(afetch: Afetch, site: Site) -> None:
    """As in `tail -f list | afetch`: nobody waits for more, and half a line waits for its other half."""
    url = site.page("x")
    process = afetch.start("--json", stdin=subprocess.PIPE)

    for name in ("first", "second"):
        os.write(stdin_of(process), f"{url}?{name}\n".encode())
        [record] = read_until(stdout_of(process), b"\n").splitlines()
        assert json.loads(record)["url"] == f"{url}?{name}"
    os.write(stdin_of(process), f"{url}?in-".encode())
    os.write(stdin_of(process), b"two-halves\n")
    [record] = read_until(stdout_of(process), b"\n").splitlines()
    status, rest, _ = end(process)

    assert json.loads(record)["url"] == f"{url}?in-two-halves"
    assert (status, rest) == (0, "")


def test_ctrl_c_ends_a_run_that_waits_for_its_input(afetch: Afetch, site: Site) -> None:
    """Nothing is under way: it ends at once, though the pipe stays open."""
    process = afetch.start(stdin=subprocess.PIPE)
    os.write(stdin_of(process), f"{site.page('x')}\n".encode())
    read_until(stdout_of(process), b"\n")

    process.send_signal(signal.SIGINT)
    status = process.wait(SOON)

    assert status == 130


def test_a_fifo_is_read_as_its_writer_writes(afetch: Afetch, site: Site, tmp_path: Path) -> None:
    """It may come before its writer does."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    first = site.page("x")
    process = afetch.start(first, fifo)
    read_until(stdout_of(process), b"\n")

    with fifo.open("wb", buffering=0) as writer:
        writer.write(f"{first}?later\n".encode())
        line = read_until(stdout_of(process), b"\n")
    status, _, _ = end(process)

    assert b"?later" in line
    assert status == 0


def test_a_producer_that_never_ends_is_read_as_far_as_the_limit(afetch: Afetch, site: Site) -> None:
    """`yes URL | afetch --limit 100` has a hundred records and ends."""
    process = afetch.start("-", "--limit", "100", "--json", shell=f"""yes {site.page("x")} | exec "$@" """)

    status, out, _ = end(process)

    assert status == 0
    assert sorted(json.loads(line)["index"] for line in out.splitlines()) == list(range(100))


def test_a_producer_that_never_ends_costs_no_memory_and_ctrl_c_ends_it(afetch: Afetch, site: Site) -> None:
    """The window bounds what is read ahead, however fast the producer is."""
    producer = subprocess.Popen(["yes", site.page("x")], stdout=subprocess.PIPE)
    assert producer.stdout is not None
    process = afetch.start("--json", "-o", "/dev/null", stdin=producer.stdout.fileno())
    producer.stdout.close()
    site.wait(500, 2 * PATIENCE)
    early = resident(process.pid)

    site.wait(3000, 2 * PATIENCE)
    late = resident(process.pid)
    process.send_signal(signal.SIGINT)
    status, _, err = end(process)
    producer.wait(PATIENCE)

    assert status == 130
    assert late < early + 30_000
    assert "stopped  interrupted; at least " in err


def resident(pid: int) -> int:
    """Kilobytes of memory that a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def start_full(
    afetch: Afetch, site: Site, count: int, command: Sequence[str] | None = None
) -> tuple[subprocess.Popen[bytes], int]:
    """A run whose standard output is a full pipe, and the pipe's other end."""
    (afetch.folder / "list.txt").write_text("\n".join(many(site, count)))
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    process = afetch.start("list.txt", "--json", stdout=writer, command=command)
    wait_for(lambda: not select.select([], [writer], [], 0)[1])
    os.close(writer)
    return process, reader


def test_a_reader_that_stops_and_goes_on_has_lost_nothing(afetch: Afetch, site: Site) -> None:
    """Back-pressure waits; every record comes, whole and once."""
    process, reader = start_full(afetch, site, 400)
    site.wait(400)

    with os.fdopen(reader, "rb") as pipe:
        records = [json.loads(line) for line in pipe]
    status, _, _ = end(process)

    assert status == 0
    assert sorted(record["index"] for record in records) == list(range(400))


def test_ctrl_c_twice_ends_us_at_once_though_nobody_reads(afetch: Afetch, site: Site) -> None:
    """A pager that stands still does not hold us; what it has got are whole lines."""
    process, reader = start_full(afetch, site, 400)
    site.wait(400)

    process.send_signal(signal.SIGINT)
    said = read_until(stderr_of(process), b"stopping")
    process.send_signal(signal.SIGINT)
    status, _, err = end(process, SOON)

    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    assert status == 130
    assert b"records wait to be written" in said
    assert "have no record" in err
    assert [json.loads(line)["ok"] for line in data.splitlines()]
    assert data.endswith(b"\n")


def test_ctrl_c_once_gives_a_reader_that_stands_still_time_and_then_ends(afetch: Afetch, site: Site) -> None:
    """Whoever is there again within ten seconds gets all that was fetched."""
    process, reader = start_full(afetch, site, 200)
    site.wait(200)

    process.send_signal(signal.SIGINT)
    with os.fdopen(reader, "rb") as pipe:
        records = [json.loads(line) for line in pipe]
    status, _, _ = end(process)

    assert status == 130
    assert len({record["index"] for record in records}) == len(records) >= 150


def test_a_reader_that_stands_still_after_ctrl_c_is_given_up_in_the_end(afetch: Afetch, site: Site) -> None:
    """It has the grace of what is under way, and as long again; then the run ends without it, in good order."""
    process, reader = start_full(afetch, site, 400, (sys.executable, "-c", SHORT_GRACE))
    site.wait(400)

    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    status, _, err = end(process, SOON)
    passed = time.monotonic() - begun

    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    assert status == 130
    assert passed > 2 * 0.2
    assert re.search(r"stopped  interrupted; [0-9]+ entries have no record\n", err)
    assert data.endswith(b"\n")
    assert [json.loads(line)["ok"] for line in data.splitlines()]


SHORT_GRACE = """
from fetcher.backends.local import LocalRun
from fetcher.cli import main

LocalRun.stop.__defaults__ = (0.2,)
main.run()
"""
"""The command with a grace of less than five seconds."""


@pytest.mark.parametrize(
    ("closed", "status", "words"),
    [
        ("<&-", 0, "1 ok"),
        (">&-", 2, "afetch: standard output: is closed; give a file with --output\n"),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 2, ""),
    ],
)
def test_standard_streams_that_are_closed_are_no_crash(
    afetch: Afetch, site: Site, closed: str, status: int, words: str
) -> None:
    """No socket of ours gets their numbers, and nobody talks into one."""
    process = afetch.start(site.page("x"), site.page("y"), shell=f"""exec "$@" {closed}""")

    ended, out, err = end(process)

    assert ended == status
    assert words.replace("1 ok", "2 ok") in err
    assert (out.count("200\t") == 2) is (status == 0)


def test_closed_standard_output_is_no_matter_with_an_output_file(afetch: Afetch, site: Site) -> None:
    """Nothing was to go there."""
    process = afetch.start(site.page("x"), "-o", "out.txt", shell="""exec "$@" <&- >&- 2>&-""")

    status, _, _ = end(process)

    assert status == 0
    assert (afetch.folder / "out.txt").read_text().startswith("200\t1\t")


def test_closed_standard_input_named_as_a_source_is_a_mistake(afetch: Afetch) -> None:
    """Nothing else that was opened since is taken for it."""
    process = afetch.start("-", shell="""exec "$@" <&-""")

    status, _, err = end(process)

    assert status == 2
    assert err == "afetch: standard input: is not open; give a file, or pipe a list in\n"


def test_a_reader_of_standard_error_that_goes_away_is_no_reason_to_end(afetch: Afetch, site: Site) -> None:
    """Results matter; who does not want to hear of the rest need not."""
    gate = site.gate()
    process = afetch.start(gate.url)
    site.wait(1)
    assert process.stderr is not None
    process.stderr.close()

    gate.open()
    assert process.stdout is not None
    out = process.stdout.read()
    status = process.wait(PATIENCE)

    assert status == 0
    assert out.startswith(b"200\t")


def test_quiet_says_nothing(afetch: Afetch, site: Site) -> None:
    """Neither lines nor a summary, only the results; the status tells the rest."""
    done = afetch(site.page("x"), site.page(status=404), "-q")

    assert done.returncode == 1
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2


def test_without_a_terminal_the_summary_is_plain(afetch: Afetch, site: Site) -> None:
    """No escapes, no carriage returns: it goes into a log."""
    done = afetch(*many(site, 20))

    assert done.stderr.startswith("afetch: 20 ok in ")
    assert "\x1b" not in done.stderr + done.stdout
    assert "\r" not in done.stderr + done.stdout


def test_without_a_terminal_there_is_a_plain_line_now_and_then(afetch: Afetch, site: Site) -> None:
    """A log shows that the run is alive, and how far it is, again and again."""
    gate = site.gate()
    process = afetch.start(site.page("x"), gate.url, command=(sys.executable, "-c", LINES_OFTEN))

    line = b"afetch: 1 of 2 done, 0.0/s, 1 in flight\n"
    said = read_until(stderr_of(process), line + line)
    gate.open()
    status, _, err = end(process)

    assert status == 0
    assert re.fullmatch(r"(afetch: [012] of 2 done, [0-9.]+/s, [012] in flight\n)+", said.decode())
    assert "afetch: 2 ok" in err


LINES_OFTEN = """
from fetcher.cli import main
from fetcher.progress import Lines

Lines.__init__.__kwdefaults__["interval"] = 0.05
main.run()
"""
"""The command that does not wait ten seconds for its next line."""


def test_results_and_bar_share_a_terminal(afetch: Afetch, site: Site, terminal: Terminal) -> None:
    """Every record's line stands there once and whole, however often the bar is drawn between them."""
    master, slave = terminal()
    urls = many(site, 200)
    gate = site.gate()
    (afetch.folder / "list.txt").write_text("\n".join([gate.url, *urls]))
    process = afetch.start("list.txt", "-c", "10", stdout=slave, stderr=slave)
    bar = read_until(master, b"in flight")

    gate.open()
    data = bar + shown(master, process)

    # What is drawn over ends with a carriage return, or is erased.
    lines = [line.rsplit(b"\r", 1)[-1].decode() for line in ESCAPES.sub(b"", data).split(b"\r\n")]
    records = [line.split("\t")[3] for line in lines if line.count("\t") == 4]
    assert process.returncode == 0
    assert sorted(records) == sorted([gate.url, *urls])
    assert any(line.startswith("afetch: 201 ok in ") for line in lines)
    assert b"\x1b[?25l" not in data


def test_only_standard_error_is_a_terminal(afetch: Afetch, site: Site, terminal: Terminal) -> None:
    """The bar is there, the records are elsewhere and without colour."""
    master, slave = terminal()
    gate = site.gate()
    process = afetch.start(gate.url, stderr=slave)
    bar = read_until(master, b"in flight")

    gate.open()
    data = bar + shown(master, process)
    assert process.stdout is not None
    out = process.stdout.read()

    assert process.returncode == 0
    assert out.startswith(b"200\t")
    assert b"\x1b" not in out
    assert b"200\t" not in data
    assert b"1 ok" in data


def test_no_color_is_kept_on_a_terminal(afetch: Afetch, site: Site, terminal: Terminal) -> None:
    """The bar still moves, but nothing is coloured."""
    master, slave = terminal()
    gate = site.gate()
    process = afetch.start(gate.url, site.page(status=404), stdout=slave, stderr=slave, env={"NO_COLOR": "1"})
    bar = read_until(master, b"in flight")

    gate.open()
    data = bar + shown(master, process)

    assert process.returncode == 1
    assert not COLOURS.search(data)


def test_quiet_is_quiet_on_a_terminal(afetch: Afetch, site: Site, terminal: Terminal) -> None:
    """The terminal shows the results and not one byte more."""
    master, slave = terminal()
    url = site.page("x")
    process = afetch.start(url, "-q", stdout=slave, stderr=slave, env={"NO_COLOR": "1"})

    data = shown(master, process)

    assert re.fullmatch(rb"200\t1\t[0-9.]+\t" + re.escape(url.encode()) + rb"\t\r\n", data)
