"""afetch as a library: the whole engine against real servers, in the test's own loop."""

from __future__ import annotations

import asyncio
import gc
import itertools
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fetcher import ErrorKind, FetchError, HostConfig, Record, Settings, UsageError, fetch, fetch_all
from fetcher.demo.answers import later, page
from fetcher.model import Hop
from tests.conftest import MakeRawServer, MakeSite, MakeTlsSite
from tests.servers import Certificate, Close, Hang, Pause, Request, Reset, Site, reply

QUICK = {"retry_wait": 0.01, "retry_wait_max": 0.02}


def settings(**given: object) -> Settings:
    return Settings(**{**QUICK, **given})  # type: ignore[arg-type]  # checked by Settings itself


def one(url: str, **given: object) -> Record:
    """The record of one URL."""
    [record] = fetch_all([url], settings(**given))
    return record


def kind(record: Record) -> str | None:
    return record.error.kind.value if record.error else None


def test_fetch_all_gives_every_record_in_the_order_of_the_list(site: Site) -> None:
    """One a URL, malformed and failed ones included, however long each takes."""
    urls = [site.slow(0.2), site.page("now"), "nonsense", site.url("/missing")]

    records = fetch_all(urls, settings())

    assert [record.status for record in records] == [200, 200, None, 404]
    assert [record.url for record in records] == urls
    assert [record.index for record in records] == [0, 1, 2, 3]


async def test_fetch_all_works_where_a_loop_already_runs(site: Site) -> None:
    """As in a notebook."""
    url = site.page("now")

    records = fetch_all([url], settings())

    assert [record.text for record in records] == ["now"]


async def test_a_slow_entry_takes_one_place_of_a_small_window(site: Site) -> None:
    """The others go round, however few they are."""
    gate = site.gate()
    urls = [gate.url, *(site.page("now") for _ in range(20))]

    async with asyncio.timeout(20), fetch(urls, settings(window=2, concurrency=2)) as records:
        others = [(await anext(records)).index for _ in range(20)]
        gate.open()
        last = (await anext(records)).index

    assert (others, last) == (list(range(1, 21)), 0)


async def test_fetch_gives_records_as_they_come(site: Site) -> None:
    """A slow URL holds nobody up."""
    gate = site.gate()
    urls = [gate.url, site.page("quick")]
    seen = []

    async for record in fetch(urls, settings()):
        seen.append(record.index)
        gate.open()

    assert seen == [1, 0]


async def test_fetch_left_early_leaves_nothing_behind(site: Site) -> None:
    """No task, no connection, no thread; the site sees its clients go."""
    url = site.page("now")
    endless = (url for _ in itertools.count())
    before = {*threading.enumerate()}

    async with fetch(endless, settings()) as records:
        async for _ in records:
            break

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert {*threading.enumerate()} <= before


async def test_fetch_abandoned_before_it_began_leaves_nothing_behind(site: Site) -> None:
    """Entered and left."""
    url = site.page("now")

    async with fetch([url], settings()):
        pass

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_fetch_stops_when_its_caller_is_cancelled(site: Site) -> None:
    """A cancelled task that iterates leaves nothing either."""
    url = site.hang()

    async def iterate() -> None:
        async with fetch([url], settings()) as records:
            async for _ in records:
                pass

    task = asyncio.create_task(iterate())
    await asyncio.to_thread(site.wait, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_fetch_reads_an_async_iterable_as_it_comes(site: Site) -> None:
    """Each URL is fetched when it is there, not when the list has ended."""
    url = site.page("now")
    answered = asyncio.Event()

    async def urls() -> AsyncIterator[str]:
        yield url
        await answered.wait()
        yield url

    count = 0
    async for _ in fetch(urls(), settings()):
        count += 1
        answered.set()

    assert count == 2


async def test_an_endless_list_is_read_as_far_as_the_window(site: Site) -> None:
    """With nobody taking results, reading stops at the window."""
    url = site.page("now")
    read = 0

    def urls() -> Iterator[str]:
        nonlocal read
        for read in itertools.count(1):  # noqa: B007 - counts for the outside
            yield url

    async with fetch(urls(), settings(window=100, concurrency=5)) as records:
        async for _ in records:
            break

    assert read < 100 + 1_000 + 300


async def test_an_error_of_the_list_itself_is_raised_after_what_came_before(site: Site) -> None:
    """Nothing is lost."""
    url = site.page("now")

    def urls() -> Iterator[str]:
        yield url
        raise RuntimeError("the database went away")

    seen = []

    async def iterate() -> None:
        async for record in fetch(urls(), settings()):
            seen.append(record.status)  # noqa: PERF401 - what came before the error is what this is about

    with pytest.raises(RuntimeError, match="database"):
        await iterate()

    assert seen == [200]


def test_a_list_can_be_fetched_several_times_over(site: Site) -> None:
    """No global state: two runs, one after the other, on two loops."""
    url = site.page("now")

    first = fetch_all([url], settings())
    second = fetch_all([url], settings())

    assert first[0].text == second[0].text
    gc.collect()


def test_raise_for_status_tells_a_failure_and_returns_a_success(site: Site) -> None:
    """With the record at hand."""
    good, missing = fetch_all([site.page("now"), site.url("/missing")], settings())

    assert good.raise_for_status() is good
    with pytest.raises(FetchError, match="404") as caught:
        missing.raise_for_status()
    assert caught.value.record is missing


def test_a_setting_that_cannot_be_is_refused_when_it_is_made() -> None:
    """Not when the thousandth URL comes."""
    with pytest.raises(UsageError, match="concurrency"):
        Settings(concurrency=0)


def test_a_missing_file_of_authorities_is_refused_before_the_first_request(tmp_path: Path, site: Site) -> None:
    """With the way out."""
    with pytest.raises(UsageError, match="--cacert"):
        one(site.page("now"), cacert=str(tmp_path / "none.pem"))

    assert not site.log


def test_no_more_than_the_concurrency_is_under_way(site: Site) -> None:
    """From the server's side."""
    urls = [site.slow(0.02) for _ in range(30)]

    fetch_all(urls, settings(concurrency=4))

    assert site.peak == 4


def test_connections_are_reused(site: Site) -> None:
    """Twenty URLs one after the other go over one connection, and over twenty without keep-alive."""
    urls = [site.page("now")] * 20

    fetch_all(urls, settings(concurrency=1))
    kept = site.connections
    fetch_all(urls, settings(concurrency=1, keepalive=0))

    assert kept == 1
    assert site.connections == 21


def test_a_kept_connection_that_the_server_closed_is_tried_again_uncounted(raw_server: MakeRawServer) -> None:
    """Servers close idle connections whenever they like: not a failure, not an attempt."""
    first = (Request(), reply(b"one"), Request(), Close())
    then = (Request(), reply(b"two"), Close())
    server = raw_server(first, then)

    records = fetch_all([server.url("/1"), server.url("/2")], settings(concurrency=1, retries=0))

    assert [record.text for record in records] == ["one", "two"]
    assert [record.attempts for record in records] == [1, 1]
    assert server.connections == 2


def test_a_post_on_a_closed_connection_is_not_sent_twice(raw_server: MakeRawServer) -> None:
    """Whether the server did it nobody knows."""
    server = raw_server((Request(), reply(b"one"), Request(), Close()), (Request(), reply(b"two"), Close()))

    records = fetch_all([server.url("/1"), server.url("/2")], settings(concurrency=1, retries=0, method="POST"))

    assert [kind(record) for record in records] == [None, "disconnected"]


def test_a_flaky_page_is_one_record_with_its_history(site: Site) -> None:
    """A 503 followed by a 200 is one success of two attempts."""
    url = site.sequence(503, 200)

    record = one(url, retries=2)

    assert record.ok
    assert record.attempts == 2
    assert [attempt.status for attempt in record.history] == [503, 200]
    assert [attempt.waited_for for attempt in record.history] == [None, "retry"]


def test_a_url_that_waits_holds_no_slot(site: Site) -> None:
    """With one slot, a URL told to wait lets the other nine go first."""
    told = site.sequence(page(b"", 503, [("Retry-After", "1")]), 200)
    others = [site.page("now") for _ in range(9)]

    records = fetch_all([told, *others], settings(concurrency=1))

    assert all(record.ok for record in records)
    assert [request.target for request in site.log][-1] == site.log[0].target
    assert len(site.log) == 11


def test_a_redirect_is_followed_and_told(site: Site) -> None:
    """The hops before the last, and where it ended."""
    end = site.page("there")
    middle = site.redirect(end, 301)
    start = site.redirect(middle, 302)

    record = one(start)

    assert (record.text, record.final_url) == ("there", end)
    assert [(hop.url, hop.status) for hop in record.redirects] == [(start, 302), (middle, 301)]
    assert record.attempts == 1


def test_credentials_stay_with_the_origin(site: Site, make_site: MakeSite) -> None:
    """Authorization, Cookie and a password of the URL are not told to another origin; other headers are."""
    other = make_site()
    end = other.echo()
    start = site.redirect(end)
    headers = (("Authorization", "Bearer secret"), ("Cookie", "a=b"), ("X-Other", "told"))

    plain = one(start, headers=headers)
    named = one(start.replace("http://", "http://user:secret@"))

    assert {name.lower() for name, _ in site.log[0].headers} >= {"authorization", "cookie"}
    for record in (plain, named):
        assert "secret" not in str(record)
    seen = [{name.lower() for name, _ in request.headers} for request in other.log]
    assert all(not {"authorization", "cookie"} & names for names in seen)
    assert "x-other" in seen[0]


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_the_total_timeout_means_what_it_says(site: Site, seconds: float) -> None:
    """Below a second, too."""
    records = [one(site.hang(), timeout=seconds, retries=0) for _ in range(3)]

    assert [kind(record) for record in records] == [ErrorKind.TIMEOUT] * 3
    # The shortest: a machine with much to do is late now and then.
    assert seconds <= min(record.elapsed or 0.0 for record in records) < seconds + 0.25


def test_a_timeout_above_five_seconds_is_not_rounded_up(site: Site) -> None:
    """aiohttp rounds such timers up to a whole second (DESIGN of its `ceil_threshold`); ours are not."""
    # Again only where that was late, as a machine with much to do is now and then.
    tries = (one(site.hang(), timeout=5.3, retries=0).elapsed or 0.0 for _ in range(3))

    assert any(5.3 <= elapsed < 5.65 for elapsed in tries)


def test_the_total_timeout_is_over_all_hops(site: Site) -> None:
    """Two hops of 0.3 s are too much for 0.45 s."""
    slow = site.answer(later(0.3, page("end")))
    start = site.answer(later(0.3, page(b"", 302, [("Location", slow)])))

    record = one(start, timeout=0.45, retries=0)

    assert kind(record) == ErrorKind.TIMEOUT
    assert len(record.redirects) == 1


def test_waiting_for_a_slot_is_not_in_the_timeout(site: Site) -> None:
    """Ten URLs of 0.1 s on one slot, each with 0.4 s: all arrive."""
    urls = [site.slow(0.1) for _ in range(10)]

    records = fetch_all(urls, settings(concurrency=1, timeout=0.4, retries=0))

    assert all(record.ok for record in records)


def test_silence_is_a_read_timeout_and_a_drip_is_not(raw_server: MakeRawServer) -> None:
    """What arrived before the silence is kept."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"
    silent = raw_server((Request(), head + b"abc", Hang()))
    drip = raw_server(
        (Request(), head + b"a", *(step for letter in b"bcdef" for step in (Pause(0.1), bytes([letter]))))
    )

    [stopped, dripped] = fetch_all([silent.url(), drip.url()], settings(read_timeout=0.3, retries=0))

    assert (kind(stopped), stopped.text, stopped.truncated, stopped.status) == ("read-timeout", "abc", True, 200)
    assert (kind(dripped), dripped.text) == (None, "abcdef")


def test_a_server_that_accepts_and_never_speaks_tls_is_a_connect_timeout(raw_server: MakeRawServer) -> None:
    """TCP alone is not a connection to an https URL."""
    server = raw_server((Hang(),))

    record = one(server.url().replace("http:", "https:"), connect_timeout=0.3, retries=0)

    assert kind(record) == ErrorKind.CONNECT_TIMEOUT
    assert record.elapsed is not None
    assert record.elapsed < 5.0


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ((Request(), Close()), "disconnected"),
        ((Request(), Reset()), "disconnected"),
        ((Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Close()), "incomplete"),
        ((Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Pause(0.1), Reset()), "incomplete"),
        ((Request(), b"SSH-2.0-OpenSSH_9.2\r\n", Hang()), "protocol"),
        ((Request(), b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), "decode"),
    ],
)
def test_what_is_broken_gets_its_kind(raw_server: MakeRawServer, script: tuple[object, ...], expected: str) -> None:
    """And never an exception."""
    server = raw_server(script)  # type: ignore[arg-type]  # steps of several kinds

    assert kind(one(server.url(), retries=0, timeout=5)) == expected


def test_a_body_beyond_the_limit_is_too_large(site: Site) -> None:
    """Neither kept nor hashed; the connection goes, the run does not."""
    large, small = site.page(b"x" * 5_000), site.page(b"x" * 10)

    [failed, fetched] = fetch_all([large, small], settings(max_size=1_000, concurrency=1))

    assert (kind(failed), failed.body, failed.sha256, failed.truncated) == ("too-large", None, None, True)
    assert failed.bytes > 1_000
    assert fetched.ok


def test_bodies_above_the_budget_arrive_all_the_same(site: Site) -> None:
    """Ten bodies of 2 MB with a budget of 3 MB: reading pauses, nothing blocks for good."""
    body = bytes(2_000_000)
    urls = [site.page(body) for _ in range(10)]

    records = fetch_all(urls, settings(body_budget=3_000_000, concurrency=10))

    assert [record.bytes for record in records] == [len(body)] * 10


async def test_a_body_is_held_by_no_slot_once_it_is_delivered(site: Site) -> None:
    """Fifty slots that each kept their last body until the next one is whole would hold fifty beyond the budget."""
    gate = site.gate()

    async with fetch([site.page("a body"), gate.url], settings(concurrency=1)) as records:
        first = (await anext(aiter(records))).ok
        await asyncio.to_thread(site.wait, 2)
        # Other tests' samples are hops too, and live as long as their modules.
        held = [hop for hop in gc.get_objects() if type(hop) is Hop and hop.body == b"a body"]
        gate.open()

    assert first
    assert held == []


def test_requests_go_out_byte_for_byte(site: Site) -> None:
    """What is encoded stays as it is, what cannot be sent is encoded, a fragment is not sent."""
    site.echo(path="/e")
    url = site.url("/e") + "?sig=a%2fb%2Bc+d&x=%zz&ü=ö&pipe=a|b#fragment"

    seen = one(url).json()

    assert seen["target"] == "/e?sig=a%2fb%2Bc+d&x=%zz&%C3%BC=%C3%B6&pipe=a|b"


def test_headers_method_and_body_are_sent_as_asked(site: Site) -> None:
    """Ours first, the user's instead of ours, None drops one of ours."""
    url = site.echo()
    headers = (("User-Agent", "mine"), ("Accept", None), ("X-Empty", ""))

    seen = one(url, method="PUT", data=b"a=b", headers=headers).json()

    sent = {name.lower(): value for name, value in seen["headers"]}
    assert (seen["method"], seen["body"]) == ("PUT", "a=b")
    assert sent["user-agent"] == "mine"
    assert sent["content-length"] == "3"
    assert sent["x-empty"] == ""
    assert "accept" not in sent


def test_a_host_has_settings_of_its_own(site: Site, make_site: MakeSite) -> None:
    """What is said of one host holds there, on every hop, and nowhere else; settings with hosts can be sent around."""
    special = make_site(host="127.0.0.2")
    moved = site.redirect(special.echo())
    hosts = {"127.0.0.2": HostConfig(headers=(("X-Who", "special"),), timeout=0.2)}
    given = pickle.loads(pickle.dumps(settings(hosts=hosts, retries=0, timeout=5.0)))

    echoed, hung, elsewhere = fetch_all([moved, special.hang(), site.echo()], given)

    assert ["X-Who", "special"] in echoed.json()["headers"]
    assert kind(hung) == "timeout"
    assert (hung.elapsed or 9.0) < 4.0
    assert ["X-Who", "special"] not in elsewhere.json()["headers"]


def test_user_info_becomes_an_authorization_header(site: Site) -> None:
    """RFC 7617, percent-decoded; it is not in the record."""
    site.echo(path="/e")
    url = site.url("/e").replace("http://", "http://me:p%40ss@")

    record = one(url)

    sent = {name.lower(): value for name, value in record.json()["headers"]}
    assert sent["authorization"] == "Basic bWU6cEBzcw=="
    assert record.url == url.replace("p%40ss", "***")
    assert record.final_url == site.url("/e")


def test_tls_is_verified(make_tls_site: MakeTlsSite, ca_file: Path) -> None:
    """Each wrong certificate is `tls` with its own sentence; the right one, and --insecure, go through."""
    sites = {which: make_tls_site(which) for which in Certificate}

    said = {}
    for which, tls_site in sites.items():
        record = one(tls_site.page("in"), cacert=str(ca_file), retries=0)
        said[which] = record.error.message if record.error else "ok"
        assert one(tls_site.page("in"), insecure=True).text == "in"

    assert said.pop(Certificate.RIGHT) == "ok"
    assert len({*said.values()}) == len(said)


def test_the_phases_of_a_connection_are_timed(tls_site: Site, ca_file: Path) -> None:
    """TCP apart from TLS, and nothing for what did not happen."""
    urls = [tls_site.page("one")] * 2

    [fresh, reused] = fetch_all(urls, settings(cacert=str(ca_file), concurrency=1))

    assert fresh.timings.dns is None or fresh.timings.dns > 0
    assert fresh.timings.connect is not None
    assert fresh.timings.tls is not None
    assert (reused.timings.connect, reused.timings.tls) == (None, None)
    assert reused.timings.first_byte is not None
    assert fresh.remote == f"127.0.0.1:{tls_site.port}"
    assert fresh.http_version == "1.1"
