"""
A run in several processes: the same records, limits and endings, and nobody left when it is over.

Some of the command's other tests run with two processes as well, and all of them that can by
`AFETCH_TEST_PROCESSES=2 pytest`; both lists are in `tests.several`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.backends.shares import Router, divided, home, processes_of, processors
from fetcher.backends.wire import (
    LARGE,
    Link,
    Unpacking,
    pack_job,
    pack_moved,
    pack_requests,
    pack_result,
    unpack_moved,
    unpack_result,
)
from fetcher.cli.status import ExitStatus
from fetcher.errors import ErrorKind, UsageError
from fetcher.frontier.config import FrontierConfig
from fetcher.frontier.frontier import Frontier
from fetcher.library import fetch
from fetcher.model import Attempt, Capture, Error, Hop, Job, News, Origin, Part, Request, Result, Timings, Url, Word
from fetcher.settings import Settings
from tests.conftest import Afetch, MakeSite
from tests.samples import sample_result
from tests.servers import PATIENCE, Gate, Site
from tests.several import NOT_WITH_SEVERAL, WITH_BOTH

TWO = ("--processes", "2")

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 30))

LONG = 3 * PATIENCE
"""Seconds in which three processes have begun, on a busy machine too."""

CHANGING = ("started", "elapsed", "timings", "history")
"""Fields of a record that are of one run."""

URL = Url(Origin("http", "a.example", 80, "http://a.example"), "/x?y=1")

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")


def host_of(number: int) -> str:
    """A host of loopback that belongs to a process of two."""
    return next(host for host in HOSTS if home(host, 2) == number)


def until(holds: Callable[[], Any], what: str) -> Any:
    """What it says, as soon as that is something."""
    deadline = time.monotonic() + LONG
    while not (found := holds()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)
    return found


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """The ids of a process's children."""
    return [int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def finish(process: subprocess.Popen[bytes], site: Site, count: int, gate: Gate, given: str) -> list[dict[str, Any]]:
    """The records of a run that is `given` its list, and for which the gate opens once so many requests are there."""
    assert process.stdin is not None
    process.stdin.write(given.encode())
    process.stdin.close()
    process.stdin = None
    site.wait(count, LONG)
    gate.open()
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == ExitStatus.OK, err
    return [json.loads(line) for line in out.splitlines()]


def is_there(process: int) -> bool:
    """Whether a process lives."""
    try:
        state = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def by_index(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records in the order of their list, without what is another in each run."""
    kept = [{name: value for name, value in record.items() if name not in CHANGING} for record in records]
    return sorted(kept, key=lambda record: record["index"])


def test_what_runs_with_two_processes_is_there() -> None:
    """A name of a test that is no more would say nothing."""
    for name in (*NOT_WITH_SEVERAL, *WITH_BOTH):
        file, _, test = name.partition("[")[0].partition("::")
        assert f"def {test}(" in (Path(__file__).parent / file).read_text(), name


# Who is how much.


def test_the_shares_of_all_processes_are_the_run_s() -> None:
    """Nothing is lost when a run is divided, and nothing is added."""
    whole = Settings(concurrency=7, window=101, processes=3)

    parts = [divided(whole, number, 3) for number in range(3)]

    assert sum(part.window for part in parts) == 101
    assert sum(part.body_budget for part in parts) <= whole.body_budget
    assert {part.processes for part in parts} == {1}


def test_auto_slots_are_divided_as_well() -> None:
    """Each process finds out for itself how many of its share do best."""
    parts = [divided(Settings(concurrency="auto", max_concurrency=5), number, 2) for number in range(2)]

    assert [(part.concurrency, part.max_concurrency) for part in parts] == [("auto", 3), ("auto", 2)]


@pytest.mark.parametrize(("settings", "count"), [({"concurrency": 3}, 3), ({"window": 2}, 2), ({}, 8)])
def test_there_are_no_more_processes_than_slots(settings: dict[str, int], count: int) -> None:
    """A process without a slot has nothing to do."""
    assert processes_of(Settings(processes=8, **settings)) == count  # type: ignore[arg-type]  # numbers only


def test_cookies_of_a_whole_run_need_one_process(tmp_path: Path) -> None:
    """They are kept in one place: who asks for both is told, and `auto` is one."""
    jar = str(tmp_path / "jar.txt")

    with pytest.raises(UsageError, match=r"--processes and --cookie-jar FILE contradict"):
        processes_of(Settings(processes=2, cookie_jar=jar))

    with pytest.raises(UsageError, match=r"--processes and --cookie FILE contradict"):
        processes_of(Settings(processes=2, cookies=(jar,)))
    assert processes_of(Settings(processes=2, cookies=("a=b",))) == 2


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, None),
        ("4:cpu,cpuacct:/a\n1:name=systemd:/\n", {"cpu,cpuacct/a/cpu.cfs_quota_us": "100000"}, 1),
        ("4:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1"}, None),
        ("4:memory:/a\n", {"memory/a/cpu.max": "1 100000"}, None),
    ],
)
def test_auto_is_what_the_process_may_use(
    tmp_path: Path, membership: str, files: dict[str, str], expected: int | None
) -> None:
    """The control groups' quotas of either version count, the parents' too, and affinity."""
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "membership").write_text(membership)
    may = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    found = processors(tmp_path / "groups", tmp_path / "membership")

    assert found == (may if expected is None else expected)


async def test_a_program_has_one_process() -> None:
    """The library says so instead of doing something else."""
    with pytest.raises(UsageError, match="only the command has several"):
        fetch(["http://a.example/"], Settings(processes=2))


# Where an entry goes.


def test_a_host_belongs_to_one_process() -> None:
    """Whoever asks, and whenever: else two would not know of each other's requests to it."""
    router = Router(Settings(), 3)

    places = {host: router.may_go_to(host) for host in HOSTS}

    assert places == {host: [home(host, 3)] for host in HOSTS}
    assert {place for [place] in places.values()} == {0, 1, 2}


def test_a_host_that_most_entries_are_of_is_divided() -> None:
    """One host alone would leave the other processes without work."""
    router = Router(Settings(concurrency=16), 2)

    asked = [router.took("a.example") for _ in range(8)]
    router.divide("a.example")

    assert asked == [False] * 7 + [True]
    assert sorted(router.may_go_to("a.example")) == [0, 1]
    assert not router.took("a.example")


def test_a_host_among_many_is_not_divided() -> None:
    """There is work for everybody."""
    router = Router(Settings(concurrency=16), 2)

    asked = [router.took(host) for _ in range(100) for host in HOSTS]

    assert not any(asked)


def test_results_make_room_for_another_host_to_be_most() -> None:
    """What is done is not known any more: a list that is sorted by host has one after the other."""
    router = Router(Settings(concurrency=16), 2)
    for _ in range(20):
        router.took("a.example")
        router.gave("a.example")

    asked = [router.took("b.example") for _ in range(8)]

    assert asked[-1]


@pytest.mark.parametrize(("limit", "ways"), [(1, 1), (2, 2), (9, 3)])
def test_a_host_has_no_more_processes_than_requests_at_once(limit: int, ways: int) -> None:
    """One that may have one request at once is left where it is."""
    router = Router(Settings(concurrency=16, per_host=limit), 3)

    asked = [router.took("a.example") for _ in range(8)]

    assert router.most_ways("a.example") == ways
    assert asked[-1] is (ways > 1)


def test_a_host_that_would_not_be_divided_is_not_asked_again() -> None:
    """Unless the process that was asked has died since."""
    router = Router(Settings(concurrency=16), 2)
    for _ in range(8):
        router.took("a.example")
    router.asked("a.example")

    again = router.took("a.example")
    router.unasked(home("a.example", 2))

    assert not again
    assert router.took("a.example")


# Parts of a host.


def jobs(count: int, host: str = "a.example") -> list[Job]:
    """Jobs for a host."""
    url = Url(Origin("http", host, 80, f"http://{host}"), "/")
    return [Job(Request(index, str(url), url), url, "GET", None) for index in range(count)]


def test_the_parts_of_a_host_s_limit_add_up_to_it() -> None:
    """Each frontier lets go what is its part."""
    frontiers = [Frontier(FrontierConfig(per_host=5)) for _ in range(2)]
    for place, frontier in enumerate(frontiers):
        frontier.divide("a.example", place, 2)
        for job in jobs(9):
            frontier.add(job, 0.0)

    taken = [sum(frontier.take(1.0) is not None for _ in range(9)) for frontier in frontiers]

    assert taken == [3, 2]


def test_a_host_is_ready_when_no_more_than_our_part_is_under_way() -> None:
    """Before that others would be beyond the limit."""
    frontier = Frontier(FrontierConfig(per_host=4))
    for job in jobs(9):
        frontier.add(job, 0.0)
    under_way = [taken for _ in range(4) if (taken := frontier.take(1.0)) is not None]

    frontier.divide("a.example", 0, 2)
    before = frontier.within("a.example")
    for job in under_way[:2]:
        frontier.done(job, 1.5, 0.5, News(Word.SERVED))

    assert not before
    assert frontier.within("a.example")
    assert frontier.take(2.0) is None


def test_a_divided_host_has_its_part_of_the_rate() -> None:
    """Two at half of the rate are the rate; one that had a pace already goes slower from then on."""
    frontier = Frontier(FrontierConfig(per_host_rate=10.0))
    for job in jobs(9):
        frontier.add(job, 0.0)
    frontier.take(1.0)

    frontier.divide("a.example", 0, 2)

    times = [now for now in (1 + step / 100 for step in range(100)) if frontier.take(now) is not None]
    assert len(times) in {5, 6}


def test_a_hold_of_somebody_else_s_is_kept() -> None:
    """What refuses one process is left alone by the others, also where they have nothing for it at the moment."""
    frontier = Frontier(FrontierConfig())
    frontier.hold("a.example", 5.0, 10.0)

    frontier.add(jobs(1)[0], 0.0)

    assert frontier.take(14.9) is None
    assert frontier.next_due() == 15.0
    assert frontier.take(15.0) is not None


def test_what_cannot_begin_is_spared() -> None:
    """All of a divided host whose part is in use, and of nobody else; what is left is counted right."""
    frontier = Frontier(FrontierConfig(per_host=2))
    frontier.divide("a.example", 0, 2)
    for job in (*jobs(4), *jobs(3, "b.example")):
        frontier.add(job, 0.0)
    under_way = [taken for _ in range(9) if (taken := frontier.take(1.0)) is not None]

    some = frontier.spare(2, 1.5)
    rest = frontier.spare(9, 1.5)

    assert sorted(job.host for job in under_way) == ["a.example", "b.example", "b.example"]
    assert [job.request.index for job in (*some, *rest)] == [3, 2, 1]
    assert (len(frontier), frontier.waiting) == (4, 1)
    for job in under_way:
        frontier.done(job, 2.0, 1.0, News(Word.SERVED))
    last = frontier.take(2.0)
    assert last is not None
    assert last.host == "b.example"
    assert frontier.take(2.0) is None


def test_a_host_that_goes_on_keeps_one_entry() -> None:
    """Else two processes could hand the last one to each other for ever; what was begun is not given away."""
    frontier = Frontier(FrontierConfig())
    frontier.divide("a.example", 0, 2)
    first, *others = jobs(4)
    frontier.add(replace(first, attempts=(Attempt(URL, 1.0, 1.0, 500, None),)), 0.0)
    for job in others:
        frontier.add(job, 0.0)

    spared = frontier.spare(9, 1.0)

    assert [job.request.index for job in spared] == [3, 2, 1]
    assert frontier.spare(9, 1.0) == []
    assert frontier.take(1.0) is not None


def test_a_host_that_refuses_is_left_where_it_is() -> None:
    """Another process would have to leave it alone, too."""
    frontier = Frontier(FrontierConfig())
    frontier.divide("a.example", 0, 2)
    for job in jobs(4):
        frontier.add(job, 0.0)
    frontier.hold("a.example", 5.0, 1.0)

    assert frontier.spare(9, 2.0) == []


def test_who_comes_behind_others_is_held_for_longer() -> None:
    """So that one alone asks first, also where several were refused."""
    frontier = Frontier(FrontierConfig())
    frontier.on_refusal = lambda host, _: frontier.linger(host, 1.0)
    for job in jobs(2):
        frontier.add(job, 0.0)
    under_way = frontier.take(1.0)
    assert under_way is not None

    frontier.done(under_way, 2.0, 1.0, News(Word.REFUSED, 3.0, "status 429"))

    assert frontier.take(5.9) is None
    assert frontier.take(6.0) is not None


def test_a_host_whose_robots_txt_is_asked_for_is_not_divided() -> None:
    """It is asked for once."""
    router = Router(Settings(concurrency=16, robots=True), 2)

    assert not any(router.took("a.example") for _ in range(100))


def test_whoever_is_refused_says_so_once() -> None:
    """Those that were under way together are one refusal."""
    frontier = Frontier(FrontierConfig())
    told: list[tuple[str, float]] = []
    frontier.on_refusal = lambda host, wait: told.append((host, wait))
    for job in jobs(2):
        frontier.add(job, 0.0)
    under_way = [taken for _ in range(2) if (taken := frontier.take(1.0)) is not None]

    for job in under_way:
        frontier.done(job, 2.0, 1.0, News(Word.REFUSED, 3.0, "status 429"))

    assert told == [("a.example", 3.0)]
    assert frontier.humbled("a.example", 4.0)


# The line.


def identity(link: Link) -> Link:
    """The protocol that a connection gets."""
    return link


async def talk(first: Callable[[Link], object], count: int) -> tuple[list[tuple[Any, ...]], Link]:
    """What one end of a line hears of what the other says, and that end."""
    left, right = socket.socketpair()
    loop = asyncio.get_running_loop()
    heard: list[tuple[Any, ...]] = []
    ends = [Link(lambda _: None, bool), Link(heard.append, bool)]
    first(ends[0])
    for end, line in zip(ends, (left, right), strict=True):
        line.setblocking(False)
        await loop.create_unix_connection(partial(identity, end), sock=line)
    async with asyncio.timeout(PATIENCE):
        while len(heard) < count:
            await asyncio.sleep(0)
    for end in ends:
        end.close()
    await asyncio.sleep(0)
    return heard, ends[1]


async def test_frames_arrive_as_they_were_sent() -> None:
    """Small and large ones, in their order, also those that were sent before there was a line."""
    large = os.urandom(3 * 1024 * 1024)

    def speak(link: Link) -> None:
        for number in range(1000):
            link.send("small", number)
        link.send_body(large)
        link.send("end", b"x" * 100_000)

    heard, end = await talk(speak, 1001)

    assert heard == [*(("small", number) for number in range(1000)), ("end", b"x" * 100_000)]
    assert end.bodies() == [large]
    assert end.bodies() == []


REQUESTS = (
    Request(0, "http://a.example/x?y=1", URL),
    Request(1, "http://a.example/x?y=1", URL, save="a/b.html"),
    Request(2, "x", URL, "POST", b"body", (("A", "b"),), timeout=3.0, checksum="0" * 64),
    Request(3, "x", URL, fallback="GET"),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request.index))
def test_a_request_travels_whole(request_: Request) -> None:
    """All that it has, but the columns of its row, which stay at home."""
    packed = pack_requests([replace(request_, extra={"a": 1})])

    assert Unpacking().requests(*packed) == [request_]


def results() -> list[Result]:
    """Every kind of result."""
    request = REQUESTS[0]
    headers = ((b"Content-Type", b"text/plain"), (b"X", b"\xff"))
    timings = Timings(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    hop = Hop(URL, "GET", 200, None, 1.5, 0.5, headers, b"body", 4, 5, False, timings, "1.2.3.4:80", "1.1", "ab", 0.25)
    attempt = Attempt(URL, 1.25, 0.75, 200, None)
    error = Error(ErrorKind.INCOMPLETE, "cut", lasting=True)
    broken = replace(hop, error=error, truncated=True)
    capture = Capture(b"GET", False, b"HTTP/1.1", b"x", True, "")
    return [
        Result(request, hop, None, (), (attempt,)),
        Result(request, replace(hop, body=b"x" * LARGE), None, (), (attempt,)),
        Result(request, replace(hop, status=404, body=None), None, (), (replace(attempt, status=404),)),
        Result(request, broken, error, (), (replace(attempt, error=error),)),
        Result(request, replace(broken, body=b"y" * LARGE), error, (), (replace(attempt, error=error),)),
        Result(request, hop, None, (), (attempt, replace(attempt, waited=1.0, waited_for="retry"))),
        Result(request, hop, None, (), (replace(attempt, waited_for="retry-after-max"),)),
        Result(request, replace(hop, capture=capture), None, (), (attempt,)),
        Result(request, replace(hop, body=None, part=Part("name", 7)), None, (), (attempt,)),
        Result(request, None, error),
        replace(sample_result(), request=request),
    ]


@pytest.mark.parametrize("number", range(len(results())))
async def test_a_result_travels_whole(number: int) -> None:
    """Whatever came of it: no field of it is lost, and no body is another's."""
    sent = results()[number]

    def speak(link: Link) -> None:
        link.send("results", [pack_result(sent, link)])

    [(_, [packed])], end = await talk(speak, 1)

    assert unpack_result(sent.request, packed, end.bodies()) == sent


def test_no_field_is_forgotten_on_the_way() -> None:
    """A new one has to be packed, too."""
    assert len(Hop.__struct_fields__) == 18
    assert len(Attempt.__struct_fields__) == 7
    assert len(Result.__struct_fields__) == 5
    assert len(Request.__struct_fields__) == 13


def test_a_job_moves_whole() -> None:
    """With the redirects that it has behind it."""
    hop = Hop(URL, "GET", 302, None, 1.5, 0.5)
    job = Job(replace(REQUESTS[2], extra={"a": 1}), URL, "GET", b"body", 2.5, (hop,), trusted=False)

    _, packed = pack_job(job)

    assert unpack_moved(*pack_moved(job.request, packed)) == replace(job, request=REQUESTS[2])


# The command.


def mixed(make_site: MakeSite, lists: Path) -> Path:
    """A list of many ways to end, of several hosts, one of which most entries are of."""
    one, other = make_site(host=host_of(0)), make_site(host=host_of(1))
    one.page("hello", path="/")
    there = other.page("over there", path="/there")
    urls = [
        one.url("/"),
        other.url("/missing"),
        "http://127.0.0.1:1/refused",
        "ftp://nowhere.example/",
        one.redirect(there),
        other.redirect(one.url("/")),
        one.json({"a": [1, 2]}),
        other.page(os.urandom(400_000), content_type="application/octet-stream"),
        one.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        *(one.url(f"/?{number}") for number in range(100)),
    ]
    rows = [{"url": url, "note": f"row {number}"} for number, url in enumerate(urls)]
    path = lists / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_records_are_the_same_as_of_one_process(afetch: Afetch, make_site: MakeSite, tmp_path: Path) -> None:
    """Each entry has one, with its columns, whichever process did it, and wherever redirects led."""
    source = mixed(make_site, tmp_path)

    one = afetch(source, "--json", "-r", "0")
    two = afetch(source, "--json", "-r", "0", "-c", "16", *TWO)

    assert (one.returncode, two.returncode) == (ExitStatus.FAILED, ExitStatus.FAILED)
    assert by_index(one.records) == by_index(two.records)
    assert len(two.records) == 109
    assert "105 ok, 4 failed" in two.stderr


def test_a_host_that_is_divided_keeps_its_limit(afetch: Afetch, site: Site) -> None:
    """`--per-host 3` is of all processes together, from the first request to the last, and all of it is used."""
    gate = site.gate()

    process = afetch.start(gate.url, "-", "--json", "--per-host", "3", "-c", "16", *TWO, stdin=subprocess.PIPE)
    out = finish(process, site, 3, gate, f"{gate.url}\n" * 299)

    assert len(out) == 300
    assert site.peak == 3


def test_what_waits_behind_what_hangs_is_done_by_another(afetch: Afetch, site: Site) -> None:
    """Of a host that is divided: where the part of one process is in use, the other one's is not idle."""
    gate, page = site.gate(path="/gate"), site.page("x", path="/page")
    # The first ones are the home's, before anybody else has a part.
    urls = [gate.url] * 2 + [page] * 60

    process = afetch.start("-", "--json", "--per-host", "4", "-c", "16", *TWO, stdin=subprocess.PIPE)
    out = finish(process, site, 62, gate, "".join(f"{url}\n" for url in urls))

    assert sorted(record["index"] for record in out) == list(range(62))
    assert len(site.log) == 62


def test_slots_are_those_of_all_processes(afetch: Afetch, site: Site) -> None:
    """`-c 5` is never exceeded, and all of it is used."""
    gate = site.gate()

    process = afetch.start("-", "--json", "-c", "5", *TWO, stdin=subprocess.PIPE)
    out = finish(process, site, 5, gate, f"{gate.url}\n" * 300)

    assert len(out) == 300
    assert site.peak == 5


def test_bodies_are_saved_by_all(afetch: Afetch, make_site: MakeSite) -> None:
    """Small ones and large ones, under the names that one process would give, and no temporary file stays."""
    bodies = {host: os.urandom(700_000) for host in (host_of(0), host_of(1))}
    urls = []
    for host, body in bodies.items():
        site = make_site(host=host)
        urls += [site.page(body, path="/large"), site.page(host, path="/small")]

    done = afetch("-", "--json", "--save", "files", *TWO, stdin="\n".join(urls))

    assert done.returncode == ExitStatus.OK
    folder = afetch.folder / "files"
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 4
    assert {record["url"]: (folder / record["saved"]).read_bytes() for record in done.records} == {
        url: bodies[host] if url.endswith("large") else host.encode() for host in bodies for url in urls if host in url
    }


@linux
def test_what_a_killed_process_had_is_given_to_another(afetch: Afetch, site: Site) -> None:
    """Each entry has its record, and the run has succeeded."""
    gate = site.gate(path="/gate")

    process = afetch.start(*[gate.url] * 6, "--json", "-c", "4", *TWO)
    site.wait(2, LONG)
    for child in children(process):
        os.kill(child, signal.SIGKILL)
    site.wait(4, LONG)
    gate.open()
    out, err = process.communicate(timeout=LONG)

    assert process.returncode == ExitStatus.OK, err
    assert sorted(json.loads(line)["index"] for line in out.splitlines()) == list(range(6))
    assert b"killed by signal 9" in err


@linux
def test_an_entry_on_which_two_processes_die_is_given_up(afetch: Afetch, site: Site) -> None:
    """It has a record that says so, and nothing hangs."""
    site.hang(path="/")

    process = afetch.start(site.url(), "--json", *TWO)
    [first] = until(lambda: site.log and children(process), "a child")
    os.kill(first, signal.SIGKILL)
    site.wait(2, LONG)
    [second] = children(process)
    os.kill(second, signal.SIGKILL)
    out, _ = process.communicate(timeout=LONG)

    assert process.returncode == ExitStatus.FAILED
    error = json.loads(out)["error"]
    assert error["kind"] == "internal"
    assert error["message"] == "the process that fetched it has ended twice, the second time killed by signal 9"


@linux
def test_children_do_not_outlive_their_parent(afetch: Afetch, site: Site) -> None:
    """Not even one that is killed."""
    site.hang(path="/")

    process = afetch.start(*[site.url()] * 20, *TWO, "-c", "4")
    site.wait(3, LONG)
    left = children(process)
    process.kill()
    process.wait()

    assert len(left) == 2
    until(lambda: not any(map(is_there, left)), "they have ended")


@linux
def test_an_interrupt_is_told_to_all(afetch: Afetch, site: Site) -> None:
    """The terminal sends it to each of them: those under way still have their records, and nothing else begins."""
    gate = site.gate(path="/gate")

    process = afetch.start("-", "--json", "-c", "4", *TWO, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(f"{gate.url}\n".encode() * 50)
    process.stdin.flush()
    site.wait(3, LONG)
    begun = len(site.log)
    for each in (*children(process), process.pid):
        os.kill(each, signal.SIGINT)
    gate.open()
    out, err = process.communicate(timeout=LONG)

    assert process.returncode == ExitStatus.INTERRUPTED, err
    assert begun <= len(out.splitlines()) <= 12
    assert b"interrupted" in err


@linux
def test_a_second_interrupt_ends_all_at_once(afetch: Afetch, site: Site) -> None:
    """Nobody waits for what hangs, and nobody is left."""
    site.hang(path="/")

    process = afetch.start(*[site.url()] * 20, "--json", *TWO, "-c", "4")
    site.wait(3, LONG)
    left = children(process)
    process.send_signal(signal.SIGINT)
    until(lambda: b"stopping" in os.read(process.stderr.fileno(), 65536), "it was heard")  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LONG)

    assert process.returncode == ExitStatus.INTERRUPTED
    assert not any(map(is_there, left))


def test_a_hold_is_told_to_all(afetch: Afetch, site: Site) -> None:
    """Once one process is refused the host hears nothing from any, until the time that it named."""
    times: list[tuple[float, int]] = []
    refused = False

    async def answer(request: Any, wire: Any) -> None:
        nonlocal refused
        from fetcher.demo import answers

        now = time.monotonic()
        status = 200
        # When both are at it.
        if not refused and len(times) > 100:
            refused, status = True, 429
        times.append((now, status))
        page = answers.page("x", status, [("Retry-After", "2")] if status == 429 else [])
        await answers.later(0.005, page)(request, wire)

    site.answer(answer, "/")

    done = afetch("-", "--json", "-c", "4", *TWO, stdin=f"{site.url()}\n" * 900, timeout=LONG)

    assert done.returncode == ExitStatus.OK
    [at] = [now for now, status in times if status == 429]
    # The other process has some four hundred, and time for all of them.
    assert len([now for now, _ in times if at < now < at + 1.9]) < 200


def test_a_failure_that_ends_the_run_ends_all(afetch: Afetch, make_site: MakeSite) -> None:
    """`--fail-fast` is the run's: the other process stops, too."""
    one, other = make_site(host=host_of(0)), make_site(host=host_of(1))
    other.slow(0.002, path="/")
    urls = [one.url("/missing"), *[other.url("/")] * 20_000]

    done = afetch("-", "--json", "--fail-fast", "-c", "4", *TWO, stdin="\n".join(urls), timeout=LONG)

    assert done.returncode == ExitStatus.FAILED
    assert len(done.records) < 20_000


def test_a_run_whose_time_is_over_has_failed(afetch: Afetch, site: Site) -> None:
    """`--max-time` ends all processes, and what is under way still has its records."""
    site.slow(0.02, path="/")

    done = afetch("-", "--json", "--max-time", "0.5", *TWO, "-c", "4", stdin=f"{site.url()}\n" * 20_000, timeout=LONG)

    assert done.returncode == ExitStatus.FAILED
    assert "its time was over" in done.stderr


def test_a_run_goes_on_with_more_processes(afetch: Afetch, site: Site) -> None:
    """`--resume` leaves out what is done, whoever did it."""
    urls = [site.page(f"page {number}", path=f"/{number}") for number in range(40)]
    lines = "\n".join(urls)
    afetch("-", "-o", "out.jsonl", "--limit", "15", stdin=lines)

    done = afetch("-", "-o", "out.jsonl", "--resume", *TWO, "-c", "4", stdin=lines)

    assert done.returncode == ExitStatus.OK
    records = [json.loads(line) for line in (afetch.folder / "out.jsonl").read_text().splitlines()]
    assert sorted(record["index"] for record in records) == list(range(40))
    assert len(site.log) == 40
