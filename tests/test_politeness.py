"""How the command treats hosts, told by the hosts: what arrived when, how much at once, and what became of it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fetcher.demo import answers
from fetcher.demo.server import Received, Wire
from tests.conftest import COMMAND, Afetch, MakeNginx, MakeSite, missing
from tests.networks import Network
from tests.servers import PATIENCE, Nginx, Site
from tests.test_endings import read_until

JITTER = 0.25
"""Seconds by which a busy machine may be late to hear of a request."""


def listed(folder: Path, urls: Iterable[str], name: str = "urls.txt") -> Path:
    """A list of URLs as a file."""
    path = folder / name
    path.write_text("".join(f"{url}\n" for url in urls))
    return path


def numbered(url: str, count: int) -> list[str]:
    """So many URLs of one page."""
    return [f"{url}?{number}" for number in range(count)]


def arrivals(*sites: Site) -> list[float]:
    """When each request was complete at its server, earliest first, in the servers' clock."""
    return sorted(request.time for site in sites for request in site.log)


def most_within(times: Sequence[float], seconds: float) -> int:
    """The most that came within any such time."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def assert_smooth(times: Sequence[float], rate: float) -> None:
    """Requests came at this rate: not faster, in no second more, in no part of a second much more."""
    assert times[-1] - times[0] >= (len(times) - 1) / rate - 0.1 - JITTER
    # A tenth of a second's worth is the burst that is stated, and one stands on each side.
    for seconds in (1.0, 0.3):
        assert most_within(times, seconds) <= rate * (seconds + 0.1 + JITTER) + 2, f"within {seconds} s"


def ended(records: Iterable[dict[str, Any]]) -> Counter[Any]:
    """How often each status, or kind of error where there is none."""
    return Counter(record["status"] or record["error"]["kind"] for record in records)


# Turns.


def test_a_host_is_asked_so_much_at_once(afetch: Afetch, make_site: MakeSite) -> None:
    """--per-host 2: never a third under way, whatever there are of slots, and both places are used."""
    sites = [make_site(host=f"127.0.0.{number}") for number in (1, 2)]
    urls = [url for site in sites for url in numbered(site.slow(0.02), 40)]

    done = afetch("--json", "--per-host", "2", "-c", "30", listed(afetch.folder, urls))

    assert done.returncode == 0
    assert [site.peak for site in sites] == [2, 2]
    assert [len(site.log) for site in sites] == [40, 40]


def test_a_run_begins_so_many_requests_a_second(afetch: Afetch, make_site: MakeSite) -> None:
    """--rate 20/s over two hosts: smooth at the servers, and redirects and retries take turns like all others."""
    sites = [make_site(host=f"127.0.0.{number}") for number in (1, 2)]
    plain = sites[0].page("hello")
    moved = sites[1].redirect(plain)
    flaky = [sites[1].sequence(500, 200, path=f"/flaky{number}") for number in range(8)]
    urls = [*numbered(plain, 12), *numbered(moved, 8), *flaky]

    done = afetch("--json", "--rate", "20/s", "--retry-wait", "0.1", listed(afetch.folder, urls))

    times = arrivals(*sites)
    assert ended(done.records) == {200: 28}
    assert len(times) == 12 + 2 * 8 + 2 * 8
    assert_smooth(times, 20)
    assert times[-1] - times[0] < 4 * len(times) / 20


def test_each_host_is_asked_so_often(afetch: Afetch, make_site: MakeSite) -> None:
    """--per-host-rate 5/s: each of two hosts has its own, at the same time; a third is told apart in the config."""
    sites = [make_site(host=f"127.0.0.{number}") for number in (1, 2, 3)]
    urls = [url for site in sites for url in numbered(site.page("hello"), 12)]
    config = afetch.folder / "afetch.toml"
    config.write_text('[hosts."127.0.0.3"]\nrate = "100/s"\nconcurrency = 1\n')

    done = afetch("--json", "--per-host-rate", "5/s", "--config", config, listed(afetch.folder, urls))

    assert ended(done.records) == {200: 36}
    for site in sites[:2]:
        assert_smooth(arrivals(site), 5)
    spans = [arrivals(site)[-1] - arrivals(site)[0] for site in sites]
    assert spans[2] < 1.0 < 2.0 < min(spans[:2])
    assert max(arrivals(sites[0])[0], arrivals(sites[1])[0]) < min(arrivals(sites[0])[-1], arrivals(sites[1])[-1])
    assert sites[2].peak == 1


def test_the_config_limits_one_host(afetch: Afetch, make_site: MakeSite) -> None:
    """A host's table holds it, and nobody else."""
    sites = [make_site(host=f"127.0.0.{number}") for number in (1, 2)]
    urls = [url for site in sites for url in numbered(site.slow(0.05), 15)]
    config = afetch.folder / "afetch.toml"
    config.write_text('[hosts."127.0.0.2"]\nconcurrency = 2\nrate = "10/s"\n')

    done = afetch("--json", "-c", "30", "--config", config, listed(afetch.folder, urls))

    assert ended(done.records) == {200: 30}
    assert sites[0].peak > 5
    assert sites[1].peak <= 2
    assert_smooth(arrivals(sites[1]), 10)


@pytest.mark.parametrize("option", ["--rate", "--per-host-rate"])
def test_a_rate_does_not_wait_for_replies(afetch: Afetch, site: Site, option: str) -> None:
    """At 20 a second and with replies of a second some 20 are under way; nobody waits for one to be over."""
    urls = listed(afetch.folder, numbered(site.slow(1.0), 40))

    done = afetch("--json", option, "20/s", urls)

    times = arrivals(site)
    assert ended(done.records) == {200: 40}
    assert_smooth(times, 20)
    assert times[-1] - times[0] < 2 * len(times) / 20
    assert site.peak >= 10


def test_a_run_that_fell_behind_its_rate_does_not_make_up_for_it(afetch: Afetch, site: Site) -> None:
    """One slot waits for a slow reply, while 20 others could have gone: they do not go all at once then."""
    urls = listed(afetch.folder, [site.slow(1.0), *numbered(site.page("hello"), 25)])

    done = afetch("--json", "-c", "1", "--rate", "20/s", urls)

    assert ended(done.records) == {200: 26}
    assert_smooth(arrivals(site)[1:], 20)


# Fairness.


def last_of_others(afetch: Afetch, urls: Iterable[str], limited: str, name: str, *options: str | Path) -> float:
    """Seconds from the first request to the last reply of all hosts but one; the run is ended then."""
    urls = list(urls)
    others = sum(limited not in url for url in urls)
    process = afetch.start("--json", "-q", "-c", "100", *options, listed(afetch.folder, urls, name))
    assert process.stdout is not None
    times = []
    for line in process.stdout:
        record = msgspec.json.decode(line)
        assert record["ok"]
        if limited not in record["url"]:
            started = datetime.fromisoformat(record["started"]).timestamp()
            times.append((started, started + record["elapsed"]))
        if len(times) == others:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    return float(max(end for _, end in times) - min(start for start, _ in times))


def test_a_sorted_list_is_as_fast_as_a_shuffled_one(afetch: Afetch, make_site: MakeSite) -> None:
    """Of 20 hosts one may be asked five times a second, and stands first: the others do not wait for it."""
    sites = [make_site(host=f"127.0.0.{number}") for number in range(1, 21)]
    urls = [url for site in sites for url in numbered(site.slow(0.1), 60)]
    shuffled = random.Random(3).sample(urls, len(urls))
    config = afetch.folder / "afetch.toml"
    config.write_text('[hosts."127.0.0.1"]\nrate = "5/s"\n')
    limited = f"{sites[0].origin}/"

    slow = last_of_others(afetch, urls, limited, "sorted.txt", "--config", config)
    quick = last_of_others(afetch, shuffled, limited, "shuffled.txt", "--config", config)

    # Within 10% and 0.3 s where nothing else runs; one behind the other, 60 at 5/s would add 12 s.
    assert slow < 1.3 * quick + 0.6


# Told to wait.


class Refusing:
    """
    An answer that refuses, from its first request on, for a time, and is content after it.

    Attributes:
        until: The clock's time from which it serves; 0 before its first request.
        refused: How many it refused.
    """

    def __init__(self, seconds: float, told: Callable[[], str | None], status: int = 429) -> None:
        self.until = 0.0
        self.refused = 0
        self._seconds = seconds
        self._told = told
        self._status = status

    async def __call__(self, request: Received, wire: Wire) -> None:
        if not self.until:
            self.until = request.time + self._seconds
        if request.time >= self.until:
            await answers.later(0.1, answers.page("content\n"))(request, wire)
            return
        self.refused += 1
        told = self._told()
        await answers.page("too much\n", self._status, [("Retry-After", told)] if told else [])(request, wire)


def in_three_seconds() -> str:
    """The date that is at least two seconds away, and at most three; dates know no parts of seconds."""
    return formatdate(time.time() + 3, usegmt=True)


@pytest.mark.parametrize(
    ("status", "told"), [(503, lambda: "2"), (429, in_three_seconds)], ids=["503", "429 until a date"]
)
def test_a_host_that_names_a_time_is_left_alone_until_then(
    afetch: Afetch, make_site: MakeSite, status: int, told: Callable[[], str]
) -> None:
    """Not one request for any of its URLs before, one alone then; no retry is used up, and others go on."""
    busy, other = make_site(), make_site(host="127.0.0.2")
    refusing = Refusing(1.9, told, status)
    urls = [*numbered(busy.answer(refusing), 30), *numbered(other.slow(0.02), 30)]

    done = afetch("--json", "-r", "0", "-c", "8", listed(afetch.folder, urls))

    assert ended(done.records) == {200: 60}
    assert done.returncode == 0
    first, *_ = times = arrivals(busy)
    early = [at for at in times if at < first + 1.0]
    late = [at for at in times if at >= first + 1.0]
    assert len(early) == refusing.refused <= 8
    assert late[0] >= early[-1] + 1.95
    # The first is answered after a tenth of a second, and the second comes when it is.
    assert late[1] - late[0] >= 0.1
    assert arrivals(other)[-1] < late[0]
    histories = [record["history"] for record in done.records if record["attempts"] > 1]
    assert len(histories) == refusing.refused
    assert all([attempt["status"] for attempt in history] == [status, 200] for history in histories)
    assert {history[1]["waited_for"] for history in histories} == {"retry-after"}


def test_a_wait_beyond_the_longest_is_final(afetch: Afetch, site: Site) -> None:
    """--retry-after-max: the status is the result, the reason is in the history, and nobody waits."""
    refusing = site.page("", 429, {"Retry-After": "3"})
    waiting = site.sequence(
        answers.page("", 429, [("Retry-After", "1")]), answers.page("", 503, [("Retry-After", "9")])
    )

    done = afetch("--json", "--retry-after-max", "2", refusing, waiting, timeout=10)

    at_once, later = sorted(done.records, key=lambda record: record["index"])
    assert done.returncode == 1
    assert (at_once["status"], at_once["error"], at_once["attempts"]) == (429, None, 1)
    assert (later["status"], later["attempts"]) == (503, 2)
    assert [attempt["waited_for"] for attempt in later["history"]] == [None, "retry-after; retry-after-max"]


# nginx's own limit.


def limiting(nginx: MakeNginx, folder: Path, status: int, *, told: bool) -> Nginx:
    """nginx that serves 100 requests a second and refuses the others; its access log has their statuses."""
    server = nginx(
        f"""
        access_log {folder}/access.log told;
        limit_req_status {status};
        add_header Retry-After $after always;
        location / {{ limit_req zone=one burst=30 nodelay; try_files /page =404; }}
        """,
        http=f"""
        limit_req_zone $binary_remote_addr zone=one:1m rate=100r/s;
        log_format told '$status';
        map $status $after {{ {status} "{1 if told else ""}"; default ""; }}
        """,
    )
    (server.root / "page").write_text("content\n")
    return server


def replies(folder: Path) -> Counter[int]:
    """How often nginx sent each status, since it was asked last."""
    log = folder / "access.log"
    seen = Counter(map(int, log.read_text().split()))
    # nginx appends, so an empty file goes on from its beginning.
    log.write_bytes(b"")
    return seen


@pytest.mark.parametrize(("status", "told"), [(429, False), (503, True)])
def test_everything_ends_well_at_an_nginx_that_limits(
    afetch: Afetch, nginx: MakeNginx, status: int, *, told: bool
) -> None:
    """100 URLs, 50 at once, to who serves 30 of them: all end with 200, and no URL is refused often."""
    server = limiting(nginx, afetch.folder, status, told=told)

    done = afetch("--json", listed(afetch.folder, numbered(server.url("/"), 100)), timeout=60)

    assert ended(done.records) == {200: 100}
    seen = replies(afetch.folder)
    assert seen[200] == 100
    # It learns: who fires 50 at once after each pause would be refused as often as served, or more often.
    assert 0 < seen[status] < 100
    assert sum(record["attempts"] - 1 for record in done.records) == seen[status]


def test_a_run_that_does_not_adapt_is_refused_more_often(afetch: Afetch, nginx: MakeNginx) -> None:
    """--no-adapt keeps the pauses, and sends as much at once as before."""
    server = limiting(nginx, afetch.folder, 429, told=True)
    urls = listed(afetch.folder, numbered(server.url("/"), 150))

    polite = afetch("--json", "-c", "100", urls, timeout=60)
    seen_polite = replies(afetch.folder)
    blunt = afetch("--json", "-c", "100", "--no-adapt", urls, timeout=60)
    seen_blunt = replies(afetch.folder)

    assert ended(polite.records) == ended(blunt.records) == {200: 150}
    assert seen_blunt[429] > seen_polite[429] > 0


def test_a_503_that_names_no_time_is_an_ordinary_failure(afetch: Afetch, nginx: MakeNginx) -> None:
    """Without Retry-After it is tried again as any 503 is: it costs retries, and without one it is the result."""
    server = limiting(nginx, afetch.folder, 503, told=False)
    urls = listed(afetch.folder, numbered(server.url("/"), 60))

    given_up = afetch("--json", "-r", "0", urls)
    seen = replies(afetch.folder)
    retried = afetch("--json", "-r", "8", "--retry-wait", "0.5", urls, timeout=60)

    assert seen[503] > 0
    assert ended(given_up.records) == seen
    assert given_up.returncode == 1
    assert ended(retried.records) == {200: 60}
    assert {attempt["waited_for"] for record in retried.records for attempt in record["history"][1:]} == {"retry"}


# The breaker.

HASTY = """
from fetcher.cli import main
from fetcher.frontier import breaker

breaker.PROBES = (0.2, 1.0, 5.0)
main.run()
"""
"""The command with less patience for dead origins: 5 s where it has 25."""


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The origin of who never answers a connection: its queue is full, and the kernel drops what comes."""
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.create_server(("127.0.0.9", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(3):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://{address[0]}:{address[1]}"


@pytest.fixture
def refusing_origin() -> Iterator[str]:
    """An origin where nobody listens, and nobody else will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.8", 0))
        yield "http://{}:{}".format(*taken.getsockname())


def test_dead_hosts_do_not_hold_up_a_run(afetch: Afetch, site: Site, black_hole: str, refusing_origin: str) -> None:
    """1,000 URLs of a black hole and 1,000 of nobody: none waits out its timeout, and each has its record."""
    good = numbered(site.page("hello"), 2000)
    dead = [*numbered(f"{black_hole}/", 1000), *numbered(f"{refusing_origin}/", 1000)]
    urls = random.Random(5).sample([*good, *dead], len(good) + len(dead))
    began = time.monotonic()
    hasty = [sys.executable, "-c", HASTY]

    process = afetch.start("--json", "--connect-timeout", "1", listed(afetch.folder, urls), command=hasty)
    out, err = process.communicate(timeout=90)

    took = time.monotonic() - began
    assert process.returncode == 1
    records = [msgspec.json.decode(line) for line in out.splitlines()]
    by_url = {record["url"]: record for record in records}
    assert by_url.keys() == set(urls)
    assert len(records) == len(urls)
    assert ended(by_url[url] for url in good) == {200: 2000}
    kinds = ended(by_url[url] for url in dead)
    assert kinds.keys() <= {"host-down", "connect-timeout", "refused"}
    assert kinds["host-down"] >= 1900
    assert max(record["attempts"] for record in records) <= 3
    # The last of three looks is 5 s after an origin was taken out. 1,000 timeouts in 50 slots are 20 s, thrice 60 s.
    assert took < 50
    assert b"2 origins given up" in err


def test_a_host_that_comes_back_gets_all_its_urls(afetch: Afetch, make_site: MakeSite) -> None:
    """It is down when the run begins and back before the last look: every one of its URLs ends well."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        port = taken.getsockname()[1]
    other = make_site()
    late = [f"http://127.0.0.2:{port}/?{number}" for number in range(200)]
    urls = listed(afetch.folder, [*late, *numbered(other.page("hello"), 200)])
    process = afetch.start("--json", urls)
    other.wait(200)
    time.sleep(2)
    back = make_site(host="127.0.0.2", port=port)
    back.page("back", path="/")

    out, _ = process.communicate(timeout=40)

    records = [msgspec.json.decode(line) for line in out.splitlines()]
    assert ended(records) == {200: 400}
    assert process.returncode == 0
    assert len(back.log) == 200


# An outage.

HELLO = """
import asyncio
from fetcher.demo import answers
from fetcher.demo.server import Server

hello = answers.later(0.05, answers.page("hello"))

async def answer(request, wire):
    print(request.header("host"), flush=True)
    await hello(request, wire)

async def serve():
    async with Server(answer, host="0.0.0.0", port=80):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""
"""A site on every address there is, which prints whom it was asked for."""


class FailingNetwork(Network):
    """
    A network of its own that can fail: a site on each of its addresses, and names below `.test`, which are all
    127.0.0.1, as long as the resolver is there.
    """

    ADDRESSES = "10.9.0.0/16"

    def __init__(self, folder: Path, dnsmasq: str) -> None:
        super().__init__(folder, self.ADDRESSES)
        self._dnsmasq = dnsmasq
        self._site = self.run(sys.executable, "-c", HELLO)
        self.start_resolver()

    def wait_for_requests(self, count: int) -> None:
        """Return when the site has been asked so often more."""
        assert self._site.stdout is not None
        for _ in range(count):
            assert self._site.stdout.readline(), "the site has ended"

    def start_resolver(self) -> None:
        """Let names be known again."""
        self._resolver = self.run_dnsmasq(self._dnsmasq, ["--address=/test/127.0.0.1"])

    def stop_resolver(self) -> None:
        """Let nobody listen where names are asked for."""
        self._resolver.terminate()
        self._resolver.wait()

    def freeze_resolver(self) -> None:
        """Let the resolver hear, and say nothing."""
        self._resolver.send_signal(signal.SIGSTOP)

    def thaw_resolver(self) -> None:
        """Let it say all that it had not said."""
        self._resolver.send_signal(signal.SIGCONT)

    def cut_link(self) -> None:
        """Lose every packet."""
        self._change("link", "set", "lo", "down")

    def mend_link(self) -> None:
        """Lose none any more."""
        self._change("link", "set", "lo", "up")

    def remove_route(self) -> None:
        """Let no way lead to the site."""
        self._change("route", "del", "local", self.ADDRESSES, "dev", "lo")

    def restore_route(self) -> None:
        """Let a way lead there."""
        self._change("route", "add", "local", self.ADDRESSES, "dev", "lo")

    def _change(self, *words: str) -> None:
        assert self.ip(*words), words


@pytest.fixture
def network(tmp_path: Path) -> Iterator[FailingNetwork]:
    """A network that can fail."""
    dnsmasq = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if dnsmasq is None:
        missing("dnsmasq")
    network = FailingNetwork(tmp_path, dnsmasq)
    try:
        yield network
    finally:
        network.close()


QUICK = ("--connect-timeout", "1", "--read-timeout", "2")
"""Timeouts that a test can wait for."""

RATE, SLOTS = ("--rate", "100/s"), ("-c", "5")

OUTAGES = {
    "resolver gone": ("http://host{}.test/", RATE, FailingNetwork.stop_resolver, FailingNetwork.start_resolver),
    "resolver silent": ("http://host{}.test/", SLOTS, FailingNetwork.freeze_resolver, FailingNetwork.thaw_resolver),
    "route gone": ("http://10.9.0.{}/", SLOTS, FailingNetwork.remove_route, FailingNetwork.restore_route),
    "link gone": ("http://127.0.1.{}/", RATE, FailingNetwork.cut_link, FailingNetwork.mend_link),
}
"""The URLs, how fast they go, what happens to the network, and what ends it."""


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_run_outlives_an_outage(afetch: Afetch, network: FailingNetwork, outage: str) -> None:
    """It pauses, says so, and goes on when the network is back: every URL ends well, at its first attempt."""
    pattern, pace, fail, mend = OUTAGES[outage]
    urls = listed(afetch.folder, [pattern.format(number) for number in range(1, 151)])
    out = afetch.folder / "out.jsonl"
    process = afetch.start(*pace, *QUICK, "-o", out, urls, command=[*network.inside, *COMMAND])
    assert process.stderr is not None

    network.wait_for_requests(30)
    fail(network)
    read_until(process.stderr.fileno(), b"no network", timeout=20)
    mend(network)
    _, rest = process.communicate(timeout=40)

    records = [msgspec.json.decode(line) for line in out.read_bytes().splitlines()]
    assert ended(records) == {200: 150}
    assert process.returncode == 0
    assert b"the network is back after" in rest
    assert b"no network for" in rest
    # What was under way on a connection, or waits for a question asked during the outage, is tried again as always.
    lost = Counter(attempt["error"]["kind"] for record in records for attempt in record["history"][:-1])
    assert lost["read-timeout"] <= 50
    assert lost.total() - lost["read-timeout"] <= (3 if outage == "resolver silent" else 0), lost


# Slow and endless.


def test_an_endless_list_ends_in_good_order(afetch: Afetch, site: Site) -> None:
    """--max-time: what is under way comes to its record, the summary says why it ended, and the status is 1."""
    url = site.slow(0.2)
    process = afetch.start("--json", "--max-time", "2", stdin=subprocess.PIPE)
    assert process.stdin is not None
    pipe = process.stdin

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            while True:
                pipe.write(f"{url}\n".encode() * 50)

    began = time.monotonic()
    feeder = threading.Thread(target=feed)
    feeder.start()
    out, err = read_all(process)
    feeder.join(PATIENCE)

    took = time.monotonic() - began
    assert process.returncode == 1
    assert b"its time was over (--max-time)" in err
    records = [msgspec.json.decode(line) for line in out.splitlines()]
    assert ended(records) == {200: len(site.log)}
    assert len(records) > 50
    assert 2.0 <= took < 2.0 + 10.0


def read_all(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Standard output and standard error to their ends, whoever writes to its standard input meanwhile."""
    assert process.stdout is not None
    assert process.stderr is not None
    # A summary always has room in the pipe.
    out, err = process.stdout.read(), process.stderr.read()
    process.wait(PATIENCE)
    return out, err


def test_a_drip_ends(afetch: Afetch, site: Site) -> None:
    """--min-speed: who sends a few bytes a second is too slow, and who sends many is not."""
    drip = site.answer(answers.chunked([b"drop"] * 60, pause=0.1))
    brook = site.answer(answers.chunked([b"brook" * 1000] * 15, pause=0.1))

    done = afetch("--json", "-r", "0", "--min-speed", "1k:1s", drip, brook)

    slow, quick = sorted(done.records, key=lambda record: record["index"])
    assert done.returncode == 1
    assert slow["error"]["kind"] == "too-slow"
    assert slow["elapsed"] < 4
    assert quick["ok"]


def test_all_replies_together_have_a_rate(afetch: Afetch, make_site: MakeSite) -> None:
    """--limit-rate: 400 kB in all from two hosts at 200 kB a second take two seconds."""
    sites = [make_site(host=f"127.0.0.{number}") for number in (1, 2)]
    urls = [url for site in sites for url in numbered(site.page(b"x" * 100_000), 2)]

    done = afetch("--json", "--body", "none", "--limit-rate", "200k", *urls)

    assert ended(done.records) == {200: 4}
    ends = [datetime.fromisoformat(record["started"]).timestamp() + record["elapsed"] for record in done.records]
    took = max(ends) - min(datetime.fromisoformat(record["started"]).timestamp() for record in done.records)
    assert 1.2 < took < 10.0


# robots.txt.


def asked_for(site: Site) -> Counter[str]:
    """How often each path was requested."""
    return Counter(request.target.partition("?")[0] for request in site.log)


def test_what_robots_txt_disallows_is_never_asked_for(afetch: Afetch, make_site: MakeSite) -> None:
    """--robots: one robots.txt an origin, before anything else of it; a refusal is a record, also behind a redirect."""
    sites = [make_site(host=f"127.0.0.{number}") for number in (1, 2)]
    for site in sites:
        site.answer(answers.later(0.3, answers.page("User-agent: *\nDisallow: /private\n")), "/robots.txt")
        site.page("hello", path="/public")
        site.page("secret", path="/private")
    moved = sites[0].redirect(sites[1].url("/private"), path="/moved")
    urls = [url for site in sites for path in ("/public", "/private") for url in numbered(site.url(path), 20)]

    done = afetch("--json", "--robots", listed(afetch.folder, [*urls, moved]))

    assert done.returncode == 1
    # What is known of a redirect that leads to where nothing goes is its own status.
    assert ended(done.records) == {200: 40, "robots": 40, 302: 1}
    assert asked_for(sites[0]) == {"/robots.txt": 1, "/public": 20, "/moved": 1}
    assert asked_for(sites[1]) == {"/robots.txt": 1, "/public": 20}
    assert all(site.log[0].target == "/robots.txt" for site in sites)
    [behind] = [record for record in done.records if record["url"] == moved]
    assert (behind["ok"], behind["error"]["kind"]) == (False, "robots")


def test_robots_txt_is_followed_where_it_has_moved(afetch: Afetch, make_site: MakeSite) -> None:
    """Rules behind a redirect are those of the origin that was asked."""
    site, other = make_site(), make_site(host="127.0.0.2")
    site.redirect(other.page("User-agent: afetch\nDisallow: /private\n"), path="/robots.txt")
    public, private = site.page("hello", path="/public"), site.page("secret", path="/private")

    done = afetch("--json", "--robots", public, private)

    assert ended(done.records) == {200: 1, "robots": 1}
    assert asked_for(site) == {"/robots.txt": 1, "/public": 1}
    assert other.log[0].target == "/0"


def test_a_crawl_delay_is_kept(afetch: Afetch, make_site: MakeSite) -> None:
    """The pause that robots.txt asks for lies between any two requests, and other hosts do not keep it."""
    slow, quick = make_site(), make_site(host="127.0.0.2")
    slow.page("User-agent: *\nCrawl-delay: 0.4\n", path="/robots.txt")
    urls = [url for site in (slow, quick) for url in numbered(site.page("hello", path="/page"), 6)]

    done = afetch("--json", "--robots", listed(afetch.folder, urls))

    assert ended(done.records) == {200: 12}
    times = arrivals(slow)
    assert len(times) == 7
    assert times[-1] - times[0] >= 6 * 0.4 - 0.1 - JITTER
    assert all(later - earlier > 0.04 for earlier, later in pairwise(times))
    assert arrivals(quick)[-1] - arrivals(quick)[0] < 2


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (500, False), (429, False)])
def test_the_status_of_robots_txt_decides(afetch: Afetch, site: Site, status: int, *, allowed: bool) -> None:
    """None there allows everything; one that cannot be had forbids everything (RFC 9309 2.3.1)."""
    site.page("", status, path="/robots.txt")
    urls = numbered(site.page("hello", path="/page"), 5)

    done = afetch("--json", "--robots", "-r", "0", *urls)

    assert ended(done.records) == ({200: 5} if allowed else {"robots": 5})
    assert asked_for(site) == ({"/robots.txt": 1, "/page": 5} if allowed else {"/robots.txt": 1})


def test_a_robots_txt_that_nobody_has_is_no_permission(afetch: Afetch, site: Site, refusing_origin: str) -> None:
    """URLs of a dead origin end as what they are, and others go on."""
    urls = [*numbered(f"{refusing_origin}/", 30), *numbered(site.page("hello"), 30)]

    done = afetch("--json", "--robots", "-r", "0", listed(afetch.folder, urls))

    assert len(done.records) == 60
    kinds = ended(done.records)
    assert kinds[200] == 30
    assert kinds.keys() <= {200, "robots", "refused", "host-down"}
