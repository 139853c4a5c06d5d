"""The benchmarks run, at a size at which their figures mean nothing."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest

from tests.benchmarks import network
from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.lab import Lab
from tests.benchmarks.launcher import children, peak_of
from tests.benchmarks.peers import Found, Task
from tests.benchmarks.processes import BenchmarkError, measure
from tests.benchmarks.race import Body, Floor, json_reply, verify
from tests.benchmarks.records import Tally, verified

NAMES = """
import socket
from tests.benchmarks.lab import Lab
from tests.benchmarks.network import missing_name
with Lab() as lab:
    print(socket.gethostbyname(lab.hosts(7)[6]))
    try:
        print(socket.gethostbyname(missing_name(1)))
    except socket.gaierror:
        print("not there")
"""


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_delivers_every_entry(name: str, tmp_path: Path) -> None:
    """Whatever it measures, all that it asked for came and was right."""
    kept = tmp_path / "figures.json"

    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", name, "--scale", "0.0005", "--rounds", "1", "--json", kept],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
    )

    figures: dict[str, Any] = json.loads(kept.read_text())
    rows = figures["benchmarks"][name]
    assert figures["machine"]["cores"] >= 1
    assert rows
    for row in rows:
        assert row.get("verified") == row.get("entries")


def test_every_benchmark_has_a_chapter() -> None:
    """What is measured is told, and what it came to."""
    text = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text()

    assert re.findall(r"^## (\S+)$", text, re.MULTILINE) == list(BENCHMARKS)


@pytest.mark.parametrize("program", ["nginx", None])
def test_the_lab_serves_the_same_whoever_serves(program: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nginx there is still everything to race over."""
    if program is None:
        monkeypatch.setattr(shutil, "which", lambda *_args, **_path: None)
    elif shutil.which(program, path=network.ENVIRONMENT["PATH"]) is None:
        pytest.skip("nginx is not installed")

    with Lab() as lab:
        [host] = lab.hosts(1)
        lab.secure([host])
        page = lab.serve("page.html", gzip.compress(b"<p>page</p>"))
        trusted = ssl.create_default_context(cafile=lab.authority)
        plain, secure = lab.url("/json/1?a=b"), lab.url(page, host, secure=True)
        replies = [_read(plain), _read(secure, trusted)]

    assert lab.server == (program or "asyncio")
    assert json_reply(plain).sha256 == hashlib.sha256(replies[0][1]).hexdigest()
    assert replies[0][0]["content-type"] == "application/json"
    assert gzip.decompress(replies[1][1]) == b"<p>page</p>"
    assert (replies[1][0]["content-type"], replies[1][0]["content-encoding"]) == ("text/html", "gzip")


def _read(url: str, trusted: ssl.SSLContext | None = None) -> tuple[Message, bytes]:
    # Whatever proxy there is, loopback is not behind it.
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trusted))
    with opener.open(url, timeout=30) as reply:
        return reply.headers, reply.read()


def test_the_lab_has_names_where_it_has_a_network_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command becomes itself in there; a name below the lab's domain is this machine, and others do not exist."""
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.delenv(network.OWN, raising=False)
    monkeypatch.setattr(os, "execvpe", lambda _file, words, environment: became.append((words, environment)))

    network.enter(["small", "--rounds", "1"])

    if not became:
        pytest.skip("no network of our own can be had here, or no dnsmasq")
    [(command, environment)] = became
    itself = [sys.executable, "-m", "tests.benchmarks", "small", "--rounds", "1"]
    assert command[-len(itself) :] == itself
    inside = subprocess.run(
        [*command[: -len(itself)], sys.executable, "-c", NAMES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert inside.stdout == "127.0.0.1\nnot there\n"


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ([Found("good", 200, 4, "hash"), Found("bad", None, 0, None)], 2),
        ([Found("good", 200, None, None)], 2),
        ([Found("good", 200, 3, "hash")], 2),
        ([Found("good", 200, 5, "hash")], 1),
        ([Found("good", 200, 4, "other")], 1),
        ([Found("good", 500, 4, "hash")], 1),
        ([], 1),
        ([Found("good", 200, 4, "hash"), Found("bad", 200, 0, None)], 1),
        ([Found("good", 200, 4, "hash"), Found("good", 200, 4, "hash")], 1),
        ([Found("good", 200, 4, "hash"), Found("unasked", 200, 4, "hash")], 1),
    ],
    ids=["all", "little told", "wire", "size", "hash", "status", "nothing", "came from nowhere", "twice", "unasked"],
)
def test_only_what_is_right_counts_as_delivered(found: list[Found], right: int, tmp_path: Path) -> None:
    """A peer that leaves out, repeats, invents or spoils what it was asked for is not quick."""
    source = tmp_path / "list"
    source.write_text("good\nbad\n")
    expected = {"good": Body("hash", 4, wire=3), "bad": None}

    assert verify(Task(source, tmp_path, 1), found, expected.__getitem__) == right


def test_a_floor_goes_by_the_median_of_what_was_one_round() -> None:
    """What a round has slowed down for both says nothing of either."""
    own, theirs = [1.0, 10.0, 2.0], [1.3, 12.0, 2.0]

    assert Floor(1.2).holds(own, theirs)
    assert not Floor(1.25).holds(own, theirs)
    assert Floor(seconds=0.1).holds([1.0, 5.0, 9.0], [1.0, 4.9, 2.0])
    assert not Floor(seconds=0.1).holds([1.0, 5.0, 9.0], [1.0, 4.8, 2.0])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_processes_that_a_command_started_are_found_and_weighed() -> None:
    """What is shared among several processes is held by all of them."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        family, peak = children(os.getpid()), peak_of(child.pid)

    assert child.pid in family
    assert peak > 0
    assert peak_of(child.pid) == 0


def test_a_process_is_weighed_without_its_parent(tmp_path: Path) -> None:
    """What starts it may hold far more, which Linux would count as its own peak."""
    ballast = bytearray(64 * 1024 * 1024)

    usage = measure(["sh", "-c", "echo weighed"], out=tmp_path / "out")

    assert (tmp_path / "out").read_text() == "weighed\n"
    assert usage.peak < len(ballast) / 2


def test_a_command_that_fails_is_no_figure() -> None:
    """It would look quick."""
    with pytest.raises(BenchmarkError, match="exit status 3, not 0: why"):
        measure(["sh", "-c", "echo why >&2; exit 3"])


def test_a_record_that_is_wrong_twice_or_missing_is_not_verified(tmp_path: Path) -> None:
    """Nothing is fast that is wrong."""
    lines = [
        {"url": "a", "index": 0, "ok": True, "status": 200, "sha256": "A"},
        {"url": "b", "index": 1, "ok": True, "status": 200, "sha256": "other"},
        {"url": "c", "index": 2, "ok": True, "status": 200, "sha256": "C"},
        {"url": "c", "index": 2, "ok": True, "status": 200, "sha256": "C"},
    ]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    right = verified(path, str.upper, 4)

    assert right == 0


def test_records_are_verified_while_they_are_read(tmp_path: Path) -> None:
    """However long they are, and wherever a read ends."""
    sha256 = "0" * 64
    path = tmp_path / "records"
    line = '{{"index":{},"ok":true,"status":200,"bytes":5,"sha256":"{}","body":"{}"}}\n'
    path.write_text(
        line.format(0, sha256, "x" * 3_000_000) + line.format(1, "1" * 64, "") + line.format(2, sha256, "") * 2
    )
    tally = Tally(sha256, 5)

    with path.open("rb") as pipe:
        tally.read(pipe)

    assert tally.right == 2
    assert tally.bytes == path.stat().st_size
