"""Disks that fill and places that may not be written: what is there is whole, and a line says where and what to do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.model import Result
from fetcher.record import RecordConfig
from fetcher.sinks.config import OutputConfig
from fetcher.sinks.outputs import open_outputs
from fetcher.sinks.writer import Writer
from tests.conftest import Afetch
from tests.counting import READERS
from tests.disks import full_disk, small_disk
from tests.ordinary import ordinary
from tests.samples import reply
from tests.servers import Site

SIZE = 512 * 1024
ROOMY = 3 * 1024 * 1024
"""For a database, which takes in the writer's whole buffer or nothing of it."""

COUNT = 3_000
"""Results that are more than that in every format, however it is compressed."""

WAYS_OUT = ("make room", "raise the limit")

DISKS: dict[str, Callable[[Path, int], AbstractContextManager[None]]] = {
    "mounted": small_disk,
    "limited": lambda _folder, size: full_disk(size),
}

FORMATS = [name for name in READERS if name != "a.parquet"]
"""Parquet keeps its records in parts meanwhile, see its own tests."""


def results() -> list[Result]:
    """Results that differ, in what is written of them with and without bodies."""
    chance = random.Random(5)
    made = []
    for index in range(COUNT):
        result = reply(chance.randbytes(300).hex().encode(), b"text/plain")
        given = f"http://example.com/{chance.randbytes(200).hex()}"
        made.append(replace(result, request=replace(result.request, index=index, given=given)))
    return made


RESULTS = results()


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("name", FORMATS)
def test_a_disk_that_fills_keeps_what_was_written(tmp_path: Path, name: str, disk: str) -> None:
    """Each format's file is whole and has the first of the records, and knows how many are missing."""
    folder = tmp_path / "small"
    folder.mkdir()
    errors: list[Exception] = []

    with DISKS[disk](folder, ROOMY if name == "a.sqlite" else SIZE):
        outputs = open_outputs(OutputConfig(output=(str(folder / name),))).outputs
        writing = Writer(outputs, RecordConfig(), lambda *_: None, errors.append)
        for result in RESULTS:
            writing.put(result)
        assert writing.close(60)
        told = READERS[name](folder / name)

    # The journal beside an archive is on the same disk.
    [error] = [error for error in errors if str(error).startswith(f"{folder / name}: ")]
    indexes = list(range(len(told))) if name != "a.txt" else [None] * len(told)
    assert [each.index for each in told] == indexes
    assert 0 < len(told) < COUNT
    assert isinstance(error, SinkError)
    assert any(way in str(error) for way in WAYS_OUT)
    assert outputs[0].written == len(told)
    assert writing.unwritten >= COUNT - len(told)


@pytest.mark.parametrize("mount", [False, True], ids=["permission", "read-only disk"])
def test_a_place_that_may_not_be_written_is_named_before_the_first_request(tmp_path: Path, *, mount: bool) -> None:
    """In every format, with a way out; the error is the one of the file that was asked for."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o700 if mount else 0o500)
    said = {}

    with small_disk(folder, SIZE, "ro") if mount else ordinary():
        for name in READERS:
            with pytest.raises(SinkError) as refusal:
                open_outputs(OutputConfig(output=(str(folder / name),)))
            said[name] = str(refusal.value)

    reason = "its file system is read-only; choose another place" if mount else "permission denied; choose a place that"
    assert {name: text.startswith(f"{folder / name}: {reason}") for name, text in said.items()} == dict.fromkeys(
        READERS, True
    ), said


@pytest.mark.parametrize("name", ["a.json", "a.sqlite"])
def test_the_command_says_where_and_what_to_do(afetch: Afetch, site: Site, name: str) -> None:
    """A full disk ends the run with status 2 and one line; what the file has is whole, and so are the other outputs."""
    bodies = [random.Random(number).randbytes(50_000).hex() for number in range(60)]
    (afetch.folder / "urls.txt").write_text("".join(f"{site.page(body)}\n" for body in bodies))
    small = afetch.folder / "small"
    small.mkdir()

    with small_disk(small, ROOMY):
        done = afetch("urls.txt", "--fields", "index,ok,status,error,body", "-o", f"small/{name}", "--json", "-o", "-")
        told = READERS[name](small / name)

    printed = [json.loads(line) for line in done.stdout.splitlines()]
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith(f"afetch: small/{name}: ")
    assert "make room" in last
    assert "stopped  the output failed" in done.stderr
    assert 0 < len(told) < 60
    assert {each.index for each in told} <= {record["index"] for record in printed}
    assert all(record["body"] == bodies[record["index"]] for record in printed)


def test_a_reader_that_leaves_ends_the_file_beside_it_whole(afetch: Afetch, site: Site) -> None:
    """`afetch -o all.json -o - | head -1`: the run ends of SIGPIPE, and the array is closed."""
    (afetch.folder / "urls.txt").write_text("".join(f"{site.page('x' * 1_000)}\n" for _ in range(200)))

    process = afetch.start(
        "urls.txt",
        *("-o", "all.json", "-o", "-", "-f", "jsonl"),
        shell="""{ "$@"; echo $? >status; } | head -1 >first""",
    )
    process.communicate(timeout=30)

    told = READERS["a.json"](afetch.folder / "all.json")
    first = json.loads((afetch.folder / "first").read_bytes())["index"]
    assert (afetch.folder / "status").read_text() == "141\n"
    assert first in {each.index for each in told}


def test_the_list_of_what_failed_is_whole_on_a_full_disk(afetch: Afetch, site: Site) -> None:
    """The run ends of it as of any other output's failure; no line is torn, and the records are whole."""
    urls = [site.url(f"/{number}/{'x' * 2_000}") for number in range(400)]
    (afetch.folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    small = afetch.folder / "small"
    small.mkdir()

    with small_disk(small, SIZE):
        done = afetch("urls.txt", "--failed", "small/failed.txt", "-o", "all.csv")
        failed = (small / "failed.txt").read_text()

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("afetch: small/failed.txt: no space is left; make room")
    assert failed.endswith("\n")
    assert set(failed.splitlines()) < set(urls)
    assert {urls[each.index or 0] for each in READERS["a.csv"](afetch.folder / "all.csv")} >= set(failed.splitlines())
