"""Owns who takes part in a race: how each is run, and how its results are read. A new one is a row in `PEERS`."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

AFETCH = "afetch"
CURL = "curl -Z"
PYCURL = "pycurl multi"


@dataclass(frozen=True)
class Task:
    """
    What is to be fetched, and how.

    Attributes:
        source: One URL a line.
        place: A folder for what comes of it.
        slots: How many at a time.
        files: Whether each body is to be a file, with the name of its URL's last segment; else they may be thrown away.
        authority: The certificate to trust, for https.
        patience: Seconds for a URL; None is the peer's own.
    """

    source: Path
    place: Path
    slots: int
    files: bool = False
    authority: Path | None = None
    patience: int | None = None

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.place / "results"

    @property
    def folder(self) -> Path | None:
        """Where files go."""
        return self.place / "bodies" if self.files else None

    def urls(self) -> Iterator[str]:
        """Its list."""
        with self.source.open() as lines:
            for line in lines:
                yield line.rstrip("\n")


class Found(NamedTuple):
    """What a peer says of a URL; None is nothing said. Sizes are as it counts them: decoded, or as they came."""

    url: str
    status: int | None
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Peer:
    """
    One who fetches lists, each URL once: no failure is tried again.

    Attributes:
        command: For a task.
        read: What it told of the task, if it can be asked for no files; None of those for files alone.
        installed: Whether it can be run here.
        to_output: Its results go to standard output.
    """

    name: str
    command: Callable[[Task], list[str]]
    read: Callable[[Path], Iterator[Found]] | None
    installed: Callable[[], bool] = lambda: True
    to_output: bool = False

    def found(self, task: Task) -> Iterator[Found]:
        """What came of the task: the files where there are to be files, else what it told."""
        if task.folder is not None:
            return saved(task, task.folder)
        return self.read(task.out) if self.read is not None else iter(())


def name_of(url: str) -> str:
    """What the file of its body is called."""
    return url.rsplit("/", 1)[1]


def saved(task: Task, folder: Path) -> Iterator[Found]:
    """What is in the folder."""
    for url in task.urls():
        path = folder / name_of(url)
        if path.is_file():
            with path.open("rb") as file:
                yield Found(url, 200, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def afetch_command(task: Task) -> list[str]:
    """afetch, without what it is to write."""
    command = [sys.executable, "-m", "fetcher", str(task.source), "-q", "-r", "0", "-c", str(task.slots)]
    if task.authority is not None:
        command += ["--cacert", str(task.authority)]
    return command if task.patience is None else [*command, "-t", str(task.patience)]


def _afetch(task: Task) -> list[str]:
    command = afetch_command(task)
    if task.folder is not None:
        return [*command, "--save", str(task.folder), "--name", "{name}"]
    return [*command, "--json", "-o", str(task.out)]


def _curl(task: Task) -> list[str]:
    # Its own form of a list: every URL needs its own place to go to.
    config = task.source.with_suffix(".curl")
    with config.open("w") as file:
        for url in task.urls():
            place = "/dev/null" if task.folder is None else task.folder / name_of(url)
            file.write(f'url = "{url}"\noutput = "{place}"\n')
    command = ["curl", "-s", "-Z", "--parallel-max", str(task.slots), "--compressed"]
    if task.patience is not None:
        command += ["--max-time", str(task.patience)]
    if task.authority is not None:
        command += ["--cacert", str(task.authority)]
    return [*command, "-w", "%{json}\n", "-K", str(config)]


def _wget2(task: Task) -> list[str]:
    command = ["wget2", "-q", "--no-config", "-i", str(task.source), f"--max-threads={task.slots}", "--tries=1"]
    command.append(f"--stats-site=csv:{task.out}")
    if task.patience is not None:
        command.append(f"--timeout={task.patience}")
    if task.authority is not None:
        command.append(f"--ca-certificate={task.authority}")
    return [*command, "-O", "/dev/null"] if task.folder is None else [*command, "-P", str(task.folder)]


def _aria2(task: Task) -> list[str]:
    listed = task.source.with_suffix(".aria2")
    with listed.open("w") as file:
        file.writelines(f"{url}\n out={name_of(url)}\n" for url in task.urls())
    command = ["aria2c", "-q", "--no-conf", "-i", str(listed), "-d", str(task.folder), "-j", str(task.slots)]
    return [*command, "--file-allocation=none", "--max-tries=1"]


def _script(name: str) -> Callable[[Task], list[str]]:
    script = Path(__file__).with_name(name)

    def command(task: Task) -> list[str]:
        words = (task.source, task.out, task.slots, task.authority, task.folder, task.patience)
        return [sys.executable, str(script), *(str(word or "") for word in words)]

    return command


def _lines(status: str, size: str, sha256: str | None) -> Callable[[Path], Iterator[Found]]:
    """Reads lines of JSON, in which these are the names of what is looked at."""

    def read(out: Path) -> Iterator[Found]:
        with out.open("rb") as file:
            for text in file:
                line = json.loads(text)
                yield Found(line["url"], line[status], line[size], line[sha256] if sha256 is not None else None)

    return read


def _statistics(out: Path) -> Iterator[Found]:
    with out.open(newline="") as file:
        for row in csv.DictReader(file):
            yield Found(row["URL"], int(row["Status"]), int(row["SizeDecompressed"]), None)


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _package(name: str) -> Callable[[], bool]:
    return lambda: importlib.util.find_spec(name) is not None


read_records = _lines("status", "bytes", "sha256")

PEERS = (
    Peer(AFETCH, _afetch, read_records),
    Peer(CURL, _curl, _lines("http_code", "size_download", None), _program("curl"), to_output=True),
    Peer("wget2", _wget2, _statistics, _program("wget2")),
    Peer("aria2", _aria2, None, _program("aria2c")),
    Peer(PYCURL, _script("plain_pycurl.py"), read_records, _package("pycurl")),
    Peer("plain aiohttp", _script("plain_aiohttp.py"), read_records),
    Peer("parfive", _script("plain_parfive.py"), None, _package("parfive")),
)
