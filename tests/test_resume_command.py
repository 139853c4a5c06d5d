"""`--resume`, `--retry-failed` and the locks, from the command line: killed, interrupted, and run again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from threading import Event

from tests.conftest import Afetch, Completed
from tests.ordinary import ORDINARY_COMMAND
from tests.servers import PATIENCE, Site
from tests.test_endings import end, read_until, stderr_of, stdout_of


def urls(site: Site, count: int, start: int = 0) -> list[str]:
    return [site.page(str(number), path=f"/{number}") for number in range(start, start + count)]


def write_list(afetch: Afetch, *entries: str) -> None:
    (afetch.folder / "urls.txt").write_text("".join(f"{entry}\n" for entry in entries))


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def indexes(path: Path) -> list[object]:
    return sorted(record["index"] for record in records(path))  # type: ignore[type-var]  # JSON knows no types


def asked(site: Site) -> Counter[str]:
    """How often each page was asked for."""
    return Counter(request.target for request in site.log)


def until_lines(path: Path, count: int) -> None:
    """Return when a file has so many lines."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, f"{path}: {path.read_bytes() if path.exists() else None!r}"
        Event().wait(0.02)


def killed(afetch: Afetch, site: Site, *args: str, output: str, count: int) -> None:
    """A run of a list whose last page hangs, killed when all others are written."""
    process = afetch.start("urls.txt", *args)
    until_lines(afetch.folder / output, count)
    process.send_signal(signal.SIGKILL)
    assert end(process)[0] == -signal.SIGKILL


def already(done: Completed) -> str:
    """What the summary says of what was there."""
    return next((line.removeprefix("  already").strip() for line in done.stderr.splitlines() if "already" in line), "")


def test_a_killed_run_is_gone_on_with(afetch: Afetch, site: Site) -> None:
    """Only what is missing is fetched, with other settings and a longer list, too; the summary says what was there."""
    pages, gate = urls(site, 10), site.gate(path="/late")
    write_list(afetch, *pages[:5], gate.url, *pages[5:])
    killed(afetch, site, "-o", "a.jsonl", "-o", "b.csv", output="a.jsonl", count=10)
    first = asked(site)
    whole = (afetch.folder / "a.jsonl").read_bytes()
    (afetch.folder / "a.jsonl").write_bytes(whole + whole[:100])
    gate.open()
    write_list(afetch, *pages[:5], gate.url, *pages[5:], *urls(site, 2, 10))

    done = afetch("urls.txt", "-o", "a.jsonl", "-o", "b.csv", "--resume", "-c", "2", "-r", "1")
    again = afetch("urls.txt", "-o", "a.jsonl", "-o", "b.csv", "--resume")

    assert (done.returncode, again.returncode) == (0, 0), done.stderr
    assert "afetch: 3 ok" in done.stderr
    assert (already(done), already(again)) == ("10 records there", "13 records there")
    assert "afetch: nothing to do, every entry has its record\n" in again.stderr
    assert indexes(afetch.folder / "a.jsonl") == list(range(13))
    assert len((afetch.folder / "b.csv").read_text().splitlines()) == 14
    assert asked(site) - first == {"/late": 1, "/10": 1, "/11": 1}


def test_an_interrupted_run_says_how_to_go_on(afetch: Afetch, site: Site) -> None:
    """Where its outputs can be gone on with."""
    write_list(afetch, site.page("x"), site.hang())
    args = ("urls.txt", "-o", "out.jsonl", "--read-timeout", "0")
    process = afetch.start(*args)
    until_lines(afetch.folder / "out.jsonl", 1)
    process.send_signal(signal.SIGINT)
    read_until(stderr_of(process), b"stopping")
    process.send_signal(signal.SIGINT)

    status, _, err = end(process)

    assert status == 130
    assert "stopped  interrupted; 1 entry has no record, --resume fetches it\n" in err


def test_what_failed_is_fetched_again(afetch: Afetch, site: Site) -> None:
    """New records take the place of those; what failed otherwise stays, is listed, and counts for the exit status."""
    mended = site.sequence(503, 200, path="/mended")
    gone = site.page("x", status=404, path="/gone")
    write_list(afetch, mended, site.page("ok", path="/ok"), gone)
    args = ("urls.txt", "-o", "out.jsonl", "--failed", "failed.txt")

    first = afetch(*args, "-r", "0")
    resumed = afetch(*args, "--resume")
    failed = (afetch.folder / "failed.txt").read_text()
    again = afetch(*args, "--retry-failed", "5xx")

    assert (first.returncode, resumed.returncode, again.returncode) == (1, 1, 1)
    assert already(resumed) == "3 records there, 2 of them failed"
    assert sorted(failed.splitlines()) == sorted([mended, gone])
    assert already(again) == "2 records there, 1 of them failed   1 entry to fetch again"
    assert (afetch.folder / "failed.txt").read_text() == f"{gone}\n"
    assert {record["url"]: record["status"] for record in records(afetch.folder / "out.jsonl")} == {
        mended: 200,
        site.url("/ok"): 200,
        gone: 404,
    }
    assert asked(site) == {"/mended": 2, "/ok": 1, "/gone": 1}


def test_a_changed_list_ends_the_run(afetch: Afetch, site: Site) -> None:
    """Both URLs are named, nothing is lost, and nothing is written twice."""
    one, two, three = urls(site, 3)
    write_list(afetch, one, two)
    afetch("urls.txt", "-o", "out.jsonl")
    before = (afetch.folder / "out.jsonl").read_bytes()
    write_list(afetch, three, two)

    done = afetch("urls.txt", "-o", "out.jsonl", "--resume")

    assert done.returncode == 2
    assert f"index 0 is {three}, where out.jsonl has {one}; go on with the list as it was" in done.stderr
    assert "stopped  the list has changed\n" in done.stderr
    assert (afetch.folder / "out.jsonl").read_bytes() == before
    assert asked(site) == {"/0": 1, "/1": 1}


def test_a_pipe_has_no_past(afetch: Afetch, site: Site) -> None:
    """It is refused at once, though nobody reads it yet."""
    os.mkfifo(afetch.folder / "fifo")

    done = afetch(site.page(), "-o", "fifo", "-f", "jsonl", "--resume")

    assert done.returncode == 2
    assert done.stderr == "afetch: fifo: is no regular file, so no run can go on with it; leave --resume out\n"
    assert site.log == []


def test_a_shorter_list_is_noticed(afetch: Afetch, site: Site) -> None:
    """The output has more records than the list has entries."""
    write_list(afetch, *urls(site, 3))
    afetch("urls.txt", "-o", "out.csv")

    done = afetch("urls.txt", "-o", "out.csv", "--resume", "--limit", "1")

    assert already(done) == "3 records there   2 of entries that are not in the list any more"


def test_two_runs_never_write_to_one_output(afetch: Afetch, site: Site) -> None:
    """The second ends before its first request, whatever it was to do with the file."""
    write_list(afetch, site.hang())
    process = afetch.start("urls.txt", "-o", "out.jsonl")
    site.wait(1)

    for option in ("--resume", "--overwrite"):
        done = afetch("urls.txt", "-o", "out.jsonl", option)
        assert (done.returncode, len(site.log)) == (2, 1)
        assert done.stderr == "afetch: out.jsonl: another run is writing to it; let it end, or choose another one\n"

    process.kill()
    assert end(process)[0] == -signal.SIGKILL


def test_a_full_disk_is_gone_on_with(afetch: Afetch, site: Site) -> None:
    """The message names the file and the way on; then only what is missing is fetched."""
    write_list(afetch, *(site.page("x" * 3000, path=f"/{number}") for number in range(20)))
    process = afetch.start("urls.txt", "-o", "out.jsonl", shell='ulimit -f 20; exec "$@"')

    status, _, err = end(process)
    there = len(records(afetch.folder / "out.jsonl"))
    done = afetch("urls.txt", "-o", "out.jsonl", "--resume")

    assert status == 2
    assert "afetch: out.jsonl: the file may grow no larger" in err
    assert err.endswith("; then go on with --resume\n")
    assert 0 < there < 20
    assert already(done).startswith(f"{there} record")
    assert indexes(afetch.folder / "out.jsonl") == list(range(20))


def test_a_folder_that_may_not_be_written_is_noticed_before_the_first_request(afetch: Afetch, site: Site) -> None:
    """A file is written anew in it; to go on with the file needs no such right."""
    folder = afetch.folder / "locked"
    folder.mkdir()
    write_list(afetch, site.page("x", status=404), site.page("y"))
    afetch("urls.txt", "-o", "locked/out.jsonl", "--limit", "1")
    folder.chmod(0o500)

    refused = end(afetch.start("urls.txt", "-o", "locked/out.jsonl", "--retry-failed", "all", command=ORDINARY_COMMAND))
    resumed = end(afetch.start("urls.txt", "-o", "locked/out.jsonl", "--resume", command=ORDINARY_COMMAND))

    assert refused[0] == 2
    assert "locked/out.jsonl: has records that are to be replaced, and its folder" in refused[2]
    assert resumed[0] == 1, resumed[2]
    assert indexes(folder / "out.jsonl") == [0, 1]


def test_a_reader_that_goes_away_loses_nothing(afetch: Afetch, site: Site) -> None:
    """`afetch -o out.jsonl -o - | head -1`: it ends as other commands do, and can be gone on with."""
    gate = site.gate(path="/late")
    write_list(afetch, site.page("x", path="/x"), gate.url)
    process = afetch.start("urls.txt", "-o", "out.jsonl", "-o", "-", "-c", "1")
    read_until(stdout_of(process), b"/x")
    assert process.stdout is not None
    process.stdout.close()
    gate.open()
    status = process.wait(PATIENCE)

    done = afetch("urls.txt", "-o", "out.jsonl", "--resume")

    assert status == -signal.SIGPIPE
    assert done.returncode == 0, done.stderr
    assert indexes(afetch.folder / "out.jsonl") == [0, 1]
    assert asked(site)["/x"] == 1


def test_a_cache_goes_with_a_resumed_run(afetch: Afetch, site: Site) -> None:
    """What was done is not looked up again, and what is fetched is remembered."""
    write_list(afetch, *urls(site, 2))
    afetch("urls.txt", "-o", "out.jsonl", "--cache", "seen", "--limit", "1")

    done = afetch("urls.txt", "-o", "out.jsonl", "--cache", "seen", "--resume")
    later = afetch("urls.txt", "--json", "--cache", "seen")

    assert "changes  1 new" in done.stderr
    assert [record["change"] for record in records(afetch.folder / "out.jsonl")] == ["new", "new"]
    assert [record["change"] for record in later.records] == ["unchanged", "unchanged"]


def test_the_beginning_is_a_resume_of_nothing(afetch: Afetch, site: Site) -> None:
    """So one command can stand in a script; standard output beside the file shows what is done this time."""
    write_list(afetch, *urls(site, 2))

    first = afetch("urls.txt", "-o", "out.csv", "-o", "-", "--resume")
    second = afetch("urls.txt", "-o", "out.csv", "-o", "-", "--resume")

    assert (first.returncode, len(first.stdout.splitlines())) == (0, 2)
    assert (second.returncode, second.stdout) == (0, "")
