"""Every way in which a run ends, in a real process: what is written, what is said, what the shell sees."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import fetcher
from fetcher.cli import interrupt
from fetcher.cli.status import ExitStatus
from tests.conftest import Afetch, MakeRawServer
from tests.ordinary import ORDINARY_COMMAND
from tests.servers import PATIENCE, Hang, Request, Reset, Site

SOON = 4.0
"""Seconds within which what ends at once has ended, on a busy machine too; less than the grace."""

ROOT = Path(fetcher.__file__).parents[1]

HUNG_LOOKUPS = """
import socket, threading
from fetcher.client.names import resolver
from fetcher.cli import main

def hang(*args, **options):
    threading.Event().wait()

def no_ares(*args):
    raise ImportError("not here")

resolver.Resolver.__init__.__kwdefaults__.update(ares=no_ares, system=hang)
main.run()
"""
"""The command on a system whose resolver never answers, and does not hear that nobody asks any more."""


def end(process: subprocess.Popen[bytes], timeout: float = 2 * PATIENCE) -> tuple[int, str, str]:
    """Status, standard output and standard error of a process that ends by itself."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"it has not ended in {timeout} s; standard error:\n{err.decode()}")
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def read_until(stream: int, words: bytes, timeout: float = PATIENCE) -> bytes:
    """What a pipe brings, as far as it has these words in it."""
    deadline = time.monotonic() + timeout
    data = b""
    while words not in data:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        block = os.read(stream, 65536) if ready else b""
        assert block, f"no {words!r} in {data!r}"
        data += block
    return data


def stderr_of(process: subprocess.Popen[bytes]) -> int:
    """The descriptor of its standard error."""
    assert process.stderr is not None
    return process.stderr.fileno()


def stdout_of(process: subprocess.Popen[bytes]) -> int:
    """The descriptor of its standard output."""
    assert process.stdout is not None
    return process.stdout.fileno()


def interrupted(afetch: Afetch, site: Site, *args: str) -> tuple[int, str, str]:
    """
    One page fetched, one under way that comes after the signal, one that never comes.

    Where the records go to standard output, a second signal comes when two are there; then that ends it soon.
    """
    gate = site.gate()
    process = afetch.start(site.page("done\n"), gate.url, site.hang(), *args)
    site.wait(3)
    process.send_signal(signal.SIGINT)
    said = read_until(stderr_of(process), b"stopping")
    gate.open()
    out = b""
    if "-o" not in args:
        out = read_until(stdout_of(process), gate.url.encode())
        process.send_signal(signal.SIGINT)
    # The grace is longer than that.
    status, more, err_text = end(process, SOON if "-o" not in args else 2 * PATIENCE)
    return status, out.decode() + more, said.decode() + err_text


def test_ctrl_c_lets_what_is_under_way_finish_and_gives_up_what_hangs(
    afetch: Afetch, site: Site, tmp_path: Path
) -> None:
    """The grace is five seconds; what came in it has its record, the array is closed, the summary counts the rest."""
    path = tmp_path / "out.json"
    begun = time.monotonic()

    status, _, err = interrupted(afetch, site, "-o", str(path))

    assert status == 130
    assert [record["body"] for record in json.loads(path.read_bytes())] == ["done\n", "open\n"]
    assert "afetch: stopping: 2 under way have up to 5 s; once more to end at once\n" in err
    assert "afetch: 2 ok" in err
    assert "stopped  interrupted; 1 entry has no record\n" in err
    assert 4.5 < time.monotonic() - begun < 2 * PATIENCE


@pytest.mark.parametrize("form", ["text", "jsonl", "json"])
def test_a_second_ctrl_c_ends_at_once_and_well_formed(afetch: Afetch, site: Site, form: str) -> None:
    """It waits for nobody: the records that are there are whole."""
    status, out, err = interrupted(afetch, site, "-f", form)

    assert status == 130
    assert "1 entry has no record" in err
    assert out.endswith("\n")
    if form == "json":
        assert [record["index"] for record in json.loads(out)] == [0, 1]
    elif form == "jsonl":
        assert [json.loads(line)["index"] for line in out.splitlines()] == [0, 1]
    else:
        assert [line.split("\t")[0] for line in out.splitlines()] == ["200", "200"]


def test_when_all_that_is_under_way_has_come_nobody_waits_for_the_grace(afetch: Afetch, site: Site) -> None:
    """And nothing of the rest of the list is begun."""
    gate = site.gate()
    rest = [site.page() for _ in range(20)]
    process = afetch.start(gate.url, *rest, "-c", "1", "--json")
    site.wait(1)

    process.send_signal(signal.SIGINT)
    read_until(stderr_of(process), b"stopping")
    gate.open()
    status, out, err = end(process, SOON)

    assert status == 130
    assert len(out.splitlines()) == 1
    assert "20 entries have no record" in err
    assert len(site.log) == 1


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_each_signal_has_its_status(afetch: Afetch, site: Site, name: str, status: int) -> None:
    """128 and the signal's number, and the summary says which."""
    gate = site.gate()
    process = afetch.start(gate.url)
    site.wait(1)

    process.send_signal(getattr(signal, name))
    read_until(stderr_of(process), b"stopping")
    gate.open()
    ended, out, err = end(process, SOON)

    assert ended == status
    assert out.startswith("200\t5\t")
    assert ("interrupted" if name == "SIGINT" else f"ended by {name}") in err


def test_a_hangup_that_nohup_ignores_stays_ignored(afetch: Afetch, site: Site) -> None:
    """Who started us said so."""
    gate = site.gate()
    process = afetch.start(gate.url, shell="""trap '' HUP; exec "$@" """)
    site.wait(1)

    process.send_signal(signal.SIGHUP)
    gate.open()
    status, out, err = end(process)

    assert status == 0
    assert out.startswith("200\t")
    assert "stopp" not in err


@pytest.mark.parametrize("retry_after", [None, "60"])
def test_ctrl_c_does_not_wait_for_a_retry(afetch: Afetch, site: Site, retry_after: str | None) -> None:
    """What would be tried again later has no record."""
    url = site.page(status=503, headers={"Retry-After": retry_after} if retry_after else {})
    process = afetch.start(url, "-r", "1000", "-v")
    site.wait(1)

    process.send_signal(signal.SIGINT)
    status, out, err = end(process, SOON)

    assert status == 130
    assert out == ""
    assert "1 entry has no record" in err


def test_no_timeout_at_all_is_ended_by_ctrl_c(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """A server that takes the request and never answers holds nobody."""
    server = raw_server([Request(), Hang()])
    process = afetch.start(server.url(), "-t", "0", "--read-timeout", "0", "-v")
    wait_for(lambda: bool(server.requests))

    process.send_signal(signal.SIGINT)
    read_until(stderr_of(process), b"stopping")
    process.send_signal(signal.SIGINT)
    status, _, err = end(process, SOON)

    assert status == 130
    assert "1 entry has no record" in err


def wait_for(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Return when it holds; the test fails if it does not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it has not come to that"
        select.select([], [], [], 0.01)


IMPORTING = """
import os, signal
os.write(2, b"importing\\n")
while True:
    try:
        signal.pause()
    except KeyboardInterrupt:
        {then}
"""
"""A module whose import takes long, and takes an exception for its own matter or not."""


@pytest.mark.parametrize(
    ("module", "then"),
    [
        ("click", "raise"),
        ("click", "pass"),
        ("msgspec", "raise"),
        ("aiohttp", "raise"),
        ("aiohttp", "pass"),
        ("uvloop", "raise"),
    ],
)
def test_ctrl_c_during_the_imports_ends_us_quietly(afetch: Afetch, site: Site, module: str, then: str) -> None:
    """Whoever sees a typing error as soon as Enter is pressed gets no traceback, and it is the same status."""
    (afetch.folder / f"{module}.py").write_text(IMPORTING.format(then=then))
    process = afetch.start(site.page(), env={"PYTHONPATH": f"{afetch.folder}{os.pathsep}{ROOT}"})
    read_until(stderr_of(process), b"importing\n")

    process.send_signal(signal.SIGINT)
    status, out, err = end(process)

    # click ends the line in which the terminal shows ^C.
    assert (status, out, err.strip()) == (130, "", "")


def test_ctrl_c_that_is_ignored_stays_so_during_the_imports(afetch: Afetch) -> None:
    """A shell has it ignored for what it starts with `&`: there it must not end us."""
    command = (sys.executable, "-c", "from fetcher.__main__ import leave_quietly as begin; begin(); " + SIGNAL_US)

    process = afetch.start(command=command, shell="""trap '' INT; exec "$@" """)

    assert end(process) == (0, "still here\n", "")


SIGNAL_US = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('still here')"


def test_ctrl_c_leaves_an_output_that_waits_for_its_reader(afetch: Afetch, site: Site) -> None:
    """A FIFO is opened when somebody reads it; the first Ctrl-C is heard meanwhile, and nothing was requested."""
    os.mkfifo(afetch.folder / "fifo")
    process = afetch.start(site.page(), "-o", "fifo", "-f", "text", command=(sys.executable, "-c", OPENING))
    read_until(stderr_of(process), b"opening\n")

    process.send_signal(signal.SIGINT)
    status, _, err = end(process, SOON)

    assert (status, err.strip()) == (130, "")
    assert site.log == []


OPENING = """
import os
from fetcher.cli import main

def told(path, *args, open=os.open, **options):
    if path == "fifo":
        os.write(2, b"opening\\n")
    return open(path, *args, **options)

os.open = told
main.run()
"""
"""The command, which says when it opens the output."""


def test_nothing_is_imported_before_ctrl_c_is_heard() -> None:
    """What Python loads for itself goes before; of ours there are four small modules, which need nothing else."""
    code = f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules); import fetcher.__main__; "
    code += "print(*sorted(set(sys.modules) - before))"

    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "__future__ fetcher fetcher.__main__ fetcher.cli fetcher.cli.interrupt\n"


def test_the_early_status_is_that_of_an_interrupt() -> None:
    """It is written down twice, because nothing may be imported for it."""
    assert interrupt.STATUS == ExitStatus.INTERRUPTED


def test_a_lookup_that_hangs_does_not_hold_the_exit(afetch: Afetch) -> None:
    """It times out for its record; its thread, stuck for ever, is left behind."""
    process = afetch.start(
        "http://stuck.test/", "-r", "0", "--connect-timeout", "0.3", command=(sys.executable, "-c", HUNG_LOOKUPS)
    )

    status, out, _ = end(process)

    assert status == 1
    assert out.startswith("-\t")
    assert "dns: " in out or "connect-timeout: " in out


def test_a_thread_that_never_ends_does_not_hold_the_exit(afetch: Afetch, site: Site) -> None:
    """A library's thread that is no daemon, stuck in a lookup or on a disk, is left behind like any other."""
    process = afetch.start(site.page("x"), command=(sys.executable, "-c", BESIDE_A_THREAD))

    status, out, err = end(process)

    assert status == 0
    assert out.startswith("200\t1\t")
    assert "afetch: 1 ok" in err


BESIDE_A_THREAD = """
import threading
from fetcher.cli import main

threading.Thread(target=threading.Event().wait).start()
main.run()
"""
"""The command beside a thread that never ends."""


def test_a_lookup_that_hangs_does_not_hold_the_exit_of_a_program_that_uses_us(afetch: Afetch) -> None:
    """A program ends as Python ends it, waiting for each thread that is no daemon."""
    process = afetch.start(command=(sys.executable, "-c", HUNG_LOOKUPS.replace("main.run()", USE)))

    status, out, err = end(process)

    assert (status, err) == (0, "")
    assert out in {"dns\n", "connect-timeout\n"}


USE = """
from fetcher import Settings, fetch_all
[record] = fetch_all(["http://stuck.test/"], Settings(connect_timeout=0.3, retries=0))
print(record.error.kind)
"""


def test_ctrl_c_ends_a_run_whose_lookups_all_hang(afetch: Afetch) -> None:
    """Twice, and it is over."""
    process = afetch.start(
        *(f"http://stuck{number}.test/" for number in range(40)),
        *("-t", "0", "--connect-timeout", "0", "--read-timeout", "0"),
        command=(sys.executable, "-c", HUNG_LOOKUPS.replace("def hang(*args, **options):", HANG_AND_TELL)),
    )
    read_until(stderr_of(process), b"lookup hangs")

    process.send_signal(signal.SIGINT)
    read_until(stderr_of(process), b"stopping")
    process.send_signal(signal.SIGINT)
    status, _, err = end(process, SOON)

    assert status == 130
    assert "40 entries have no record" in err
    assert "Traceback" not in err


HANG_AND_TELL = """def hang(*args, **options):
    import os
    os.write(2, b"lookup hangs\\n")"""


def test_head_ends_us_of_sigpipe_without_a_word(afetch: Afetch, site: Site) -> None:
    """As it ends any other program: endless input, one line taken, the pipe closed."""
    url = site.page("x")
    process = afetch.start("-", stdin=subprocess.PIPE, shell="""yes "$0" | exec "$@" """.replace("$0", url))
    assert process.stdin is not None
    read_until(stdout_of(process), b"\n")

    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    status = process.wait(PATIENCE)

    # sh tells of a signal as 128 and its number.
    assert status in {-signal.SIGPIPE, 128 + signal.SIGPIPE}
    assert err == b""


def test_a_closed_pipe_ends_us_while_requests_hang(afetch: Afetch, site: Site) -> None:
    """Nobody reads any more: nobody waits for the rest, either."""
    gate = site.gate()
    process = afetch.start(gate.url, site.hang(), "-t", "0", "--read-timeout", "0")
    site.wait(2)
    assert process.stdout is not None
    process.stdout.close()

    gate.open()
    status = process.wait(SOON)

    assert process.stderr is not None
    assert status == -signal.SIGPIPE
    assert process.stderr.read() == b""


def test_a_server_that_hangs_up_on_us_ends_its_own_url_only(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """A socket that is closed while we send is no closed pipe: nothing of ours dies of SIGPIPE."""
    server = raw_server([Reset()], greet=True)
    (afetch.folder / "body").write_bytes(b"x" * 4_000_000)

    done = afetch(*(server.url(f"/{number}") for number in range(5)), "-d", "@body", "-c", "1", "-r", "0", "--json")

    assert done.returncode == 1, done.stderr
    assert [record["error"]["kind"] for record in done.records] == ["disconnected"] * 5


@pytest.mark.parametrize(
    ("args", "stdin", "status"),
    [
        (("{ok}",), "", 0),
        (("{ok}", "{gone}"), "", 1),
        (("{gone}", "--fail-on", "none"), "", 0),
        (("{gone}", "--fail-on", "5xx,timeout"), "", 0),
        (("{gone}", "--fail-on", "404"), "", 1),
        (("{ok}", "--fail-on", "200"), "", 1),
        (("{refused}", "--fail-on", "refused"), "", 1),
        (("{refused}", "--fail-on", "dns"), "", 0),
        (("ftp://x/",), "", 2),
        (("{ok}", "{gone}", "--max-failures", "1"), "", 0),
        (("{gone}", "{gone}", "{ok}", "--max-failures", "1"), "", 1),
        (("{ok}", "{gone}", "--max-failures", "50%"), "", 0),
        (("{ok}", "{gone}", "{gone}", "--max-failures", "50%"), "", 1),
        (("-",), "nonsense\n", 1),
        (("-",), "", 0),
        ((), "", 0),
        (("no-such-file",), "", 2),
        (("--no-such-option",), "", 2),
        (("{ok}", "-c", "0"), "", 2),
        (("--version",), "", 0),
        (("--help",), "", 0),
    ],
)
def test_the_exit_status_says_how_it_went(
    afetch: Afetch, site: Site, args: Sequence[str], stdin: str, status: int
) -> None:
    """0 nothing that counts failed, 1 more failed than may, 2 it could not be done."""
    places = {"ok": site.page("x"), "gone": site.page(status=404), "refused": "http://127.0.0.1:1/"}

    done = afetch(*(arg.format(**places) for arg in args), "-r", "0", stdin=stdin)

    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_fail_fast_stops_at_the_first_that_counts(afetch: Afetch, site: Site) -> None:
    """Nothing new is begun, what hangs is not waited for, and the summary says why."""
    gone, hanging, rest = site.page(status=404), site.hang(), [site.page() for _ in range(30)]

    done = afetch(hanging, gone, *rest, "-c", "2", "--fail-fast", "--json", timeout=SOON + PATIENCE)

    assert done.returncode == 1
    assert [record["url"] for record in done.records] == [gone]
    assert "stopped  a failure (--fail-fast); 31 entries have no record\n" in done.stderr


def test_fail_fast_passes_over_what_does_not_count(afetch: Afetch, site: Site) -> None:
    """Only what --fail-on names stops the run."""
    urls = [site.page(status=404), site.page(status=410), site.page(status=500), site.page()]

    done = afetch(*urls, "-c", "1", "-r", "0", "--fail-fast", "--fail-on", "5xx", "--json")

    assert done.returncode == 1
    assert [record["status"] for record in done.records] == [404, 410, 500]


def test_an_empty_list_is_a_warning_and_no_failure(afetch: Afetch) -> None:
    """Somebody may wonder, but nothing went wrong; and the array is an array."""
    (afetch.folder / "empty.txt").write_text("\n# nothing but a comment\n\n")

    done = afetch("empty.txt", "-f", "json")

    assert done.returncode == 0
    assert json.loads(done.stdout) == []
    assert done.stderr == "afetch: no entries in empty.txt, nothing to do\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.txt", "missing.txt: no such file"),
        ("folder", "folder: is a directory"),
        ("list.txt/x", "no such file"),
    ],
)
def test_an_input_that_cannot_be_read_ends_it_before_the_first_request(
    afetch: Afetch, site: Site, name: str, words: str
) -> None:
    """All sources are opened first; no output is touched."""
    (afetch.folder / "list.txt").write_text(site.page() + "\n")
    (afetch.folder / "folder").mkdir()
    (afetch.folder / "out.jsonl").write_text("kept\n")

    done = afetch("list.txt", name, "-o", "out.jsonl", "--overwrite")

    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert site.log == []
    assert (afetch.folder / "out.jsonl").read_text() == "kept\n"


def test_a_file_that_may_not_be_read_is_said_so(afetch: Afetch) -> None:
    """With the way out."""
    (afetch.folder / "list.txt").touch(mode=0)

    status, out, err = end(afetch.start("list.txt", command=ORDINARY_COMMAND))

    assert (status, out) == (2, "")
    assert err == "afetch: list.txt: permission denied; make it readable for this user (chmod u+r)\n"


def test_an_input_that_breaks_off_is_told_after_what_was_read_is_done(afetch: Afetch, site: Site) -> None:
    """A disk that fails in the middle of a list: the entries before it have their records, the status is 2."""
    list_ = afetch.folder / "list.txt"
    list_.write_text(f"{site.page('x')}\n" * 3)
    # Our own memory can be opened but not read at its start.
    process = afetch.start("list.txt", "/proc/self/mem")

    status, out, err = end(process)

    assert status == 2
    assert out.count("200\t") == 3
    assert "the input broke off" in err
    assert "/proc/self/mem: " in err


def test_too_few_descriptors_make_fewer_slots_and_a_note(afetch: Afetch, site: Site) -> None:
    """Every URL has its record all the same."""
    urls = [site.page("x") for _ in range(30)]
    (afetch.folder / "list.txt").write_text("\n".join(urls))

    process = afetch.start("list.txt", "-c", "100", "--json", shell="""ulimit -n 100; exec "$@" """)
    status, out, err = end(process)

    assert status == 0
    assert len(out.splitlines()) == 30
    assert "afetch: 18 requests at once instead of 100: the system allows no more open files (ulimit -n)\n" in err


def test_descriptors_for_one_slot_are_enough(afetch: Afetch, site: Site) -> None:
    """Slow, but nothing fails."""
    urls = [site.page("x") for _ in range(10)]

    process = afetch.start(*urls, "-c", "100", "--json", shell="""ulimit -n 40; exec "$@" """)
    status, out, err = end(process)

    assert (status, len(out.splitlines())) == (0, 10)
    assert "afetch: 1 request at once instead of 100" in err


def test_too_few_descriptors_for_anything_are_said_in_a_line(afetch: Afetch, site: Site) -> None:
    """No traceback out of the loop's inside."""
    process = afetch.start(site.page(), shell="""ulimit -n 12; exec "$@" """)

    status, _, err = end(process)

    assert status == 2
    assert err == "afetch: the system allows 12 open files, too few to begin; allow more (ulimit -n 32)\n"


@pytest.mark.parametrize("place", [(), ("-o", "/dev/full")])
def test_a_full_disk_ends_the_run_and_names_the_place(afetch: Afetch, site: Site, place: Sequence[str]) -> None:
    """At once: what hangs is not waited for."""
    process = afetch.start(site.page("x"), site.hang(), "-t", "0", *place, shell="""exec "$@" >/dev/full""")

    status, _, err = end(process)

    name = "/dev/full" if place else "standard output"
    assert status == 2
    assert f"afetch: {name}: no space is left; make room or choose another place with --output\n" in err
    assert "the output failed" in err


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_file_that_may_grow_no_larger_keeps_whole_records(afetch: Afetch, site: Site, form: str) -> None:
    """What a limit took of a record is taken back, and an array is closed."""
    (afetch.folder / "list.txt").write_text(f"{site.page('x')}\n" * 300)

    process = afetch.start("list.txt", "-f", form, "-o", "out", shell="""ulimit -f 20; exec "$@" """)
    status, _, err = end(process)

    text = (afetch.folder / "out").read_text()
    records = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
    assert status == 2
    assert 5 < len(records) < 300
    assert f"{300 - len(records)} entries have no record" in err
    assert "afetch: out: the file may grow no larger; raise the limit (ulimit -f)" in err


def test_an_output_that_somebody_deletes_meanwhile_is_no_reason_to_stop(afetch: Afetch, site: Site) -> None:
    """The file is open: it is whoever deleted it who wanted that."""
    gate = site.gate()
    process = afetch.start(gate.url, "-o", "out.jsonl")
    site.wait(1)
    (afetch.folder / "out.jsonl").unlink()

    gate.open()
    status, _, err = end(process)

    assert status == 0
    assert "afetch: 1 ok" in err


def test_a_killed_run_leaves_whole_lines(afetch: Afetch, site: Site) -> None:
    """What was written before SIGKILL can be read."""
    process = afetch.start(*(site.page("x") for _ in range(5)), site.hang(), "-o", "out.jsonl")
    out = afetch.folder / "out.jsonl"
    wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") == 5)

    process.kill()
    status, _, _ = end(process)

    assert status == -signal.SIGKILL
    assert [json.loads(line)["ok"] for line in out.read_text().splitlines()] == [True] * 5
