"""Disks that are full: the run ends and says so, what is written is whole, and once there is room it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.killing import SAVE, Life
from tests.leftovers import whole
from tests.nursery import Nursery
from tests.servers import Site, Stage

SMALL = 96 * 1024
"""Bytes of a disk that is too small for any of these lists."""

SHORT = 32 * 1024
"""Bytes of a file, where these are limited: bodies are files of their own."""

LARGE = 64 * 1024 * 1024

PAGES = 3 * 4096
"""Bytes by which the files may be longer on the disk than they are."""

PATIENCE = 60.0

OUTPUTS = (
    ("out.jsonl",),
    ("out.jsonl.gz",),
    ("out.jsonl.zst",),
    ("out.csv",),
    ("out.sqlite",),
    ("out.parquet",),
    ("out.warc.gz",),
    (SAVE,),
    ("out.jsonl", "out.csv.gz"),
    ("out.csv", "out.sqlite"),
    ("out.warc", "out.jsonl"),
    ("out.jsonl", SAVE),
)


class Disk:
    """
    A disk of its own, or a limit on files where nobody may mount one.

    Attributes:
        folder: Where it is.
        limit: Bytes of a file, where it is that; None on a disk.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.folder = folder
        self.limit = limit

    def resize(self, size: int) -> None:
        """Make it larger, or smaller."""
        if self.limit is None:
            _mount(self.folder, size, "remount,")
        else:
            self.limit = size


def _mount(folder: Path, size: int, how: str = "") -> subprocess.CompletedProcess[bytes]:
    command = ["mount", "-t", "tmpfs", "-o", f"{how}size={size}", "afetch-test", str(folder)]
    return subprocess.run(command, check=False, capture_output=True)


@pytest.fixture(params=["disk", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A small disk, and a limit on files as a user of a system may have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "limit":
        yield Disk(folder, SHORT)
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux mounts a disk of its own")
    if (mounted := _mount(folder, SMALL)).returncode:
        # In a container root may not.
        pytest.skip(f"no disk can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield Disk(folder, None)
    finally:
        subprocess.run(["umount", folder], check=True)


def options(outputs: tuple[str, ...]) -> tuple[str, ...]:
    """A table has no bodies unless they are asked for, and never fills a disk."""
    return ("--fields", "index,url,ok,status,sha256,body") if "out.csv" in outputs else ()


async def filled(life: Life, disk: Disk) -> None:
    """A run that finds no room, and one that finds some."""
    life.grow(200)

    full = await life.run("--resume", *options(life.outputs), file_size=disk.limit)

    assert full == 2
    assert any(f"afetch: {name}" in life.said for name in (*life.outputs, life.journal.name)), life.said
    assert "make room" in life.said or "raise the limit" in life.said, life.said
    for name in life.outputs:
        # The one is a folder, and what the other has so far stands in one.
        if name not in {SAVE, "out.parquet"}:
            whole(life.folder / name)

    disk.resize(LARGE)
    assert await life.run("--resume", *options(life.outputs), file_size=disk.limit) in {0, 1}
    life.check_end()


@pytest.mark.parametrize("outputs", OUTPUTS, ids="+".join)
def test_a_run_goes_on_when_there_is_room_again(
    stage: Stage, site: Site, nursery: Nursery, disk: Disk, outputs: tuple[str, ...]
) -> None:
    """What is written is whole, the message names the file and the way on, and nothing is lost or written twice."""
    life = Life(site, nursery, disk.folder, outputs, 1)

    stage.run(filled(life, disk), PATIENCE)


async def rewritten(life: Life, disk: Disk) -> None:
    """A file that fits on a disk to which nothing else does, of which a part is replaced."""
    life.grow(100)
    disk.resize(LARGE)
    assert await life.run(file_size=disk.limit) == 1
    [name] = life.outputs
    used = sum(path.stat().st_size for path in life.folder.iterdir())
    # Some third of the records come a second time, and then all of them but for those that these replace.
    disk.resize(used * 8 // 5 + PAGES)
    # Beside a limit on files there is always room for another one.
    limit = None if disk.limit is None else used // 2

    full = await life.run("--retry-failed", "all", file_size=limit)

    assert full == 2
    assert f"afetch: {name}" in life.said
    assert life.last.keys() == set(range(len(life.entries)))

    disk.resize(LARGE)
    assert await life.run("--resume", file_size=disk.limit) in {0, 1}
    life.check_end()


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.csv"])
def test_a_file_that_cannot_be_rewritten_stays_as_it_is(
    stage: Stage, site: Site, nursery: Nursery, disk: Disk, name: str
) -> None:
    """What failed is fetched again, and the first records are taken out when there is room for that."""
    life = Life(site, nursery, disk.folder, (name,), 1, mended=True, failing=0.3)

    stage.run(rewritten(life, disk), PATIENCE)
