"""From names to addresses: who is asked, how often, how long for, and what is known already."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.client.failures import error_of
from fetcher.client.names.askers import LOOK, SYSTEM_THREADS, Answer, Ares, LookupFailedError, System
from fetcher.client.names.config import NamesConfig
from fetcher.client.names.onloop import OnLoop
from fetcher.client.names.resolver import HOPELESS, NO_HOPE_FOR, PREFERRED, Resolver
from fetcher.client.names.tally import MANY
from fetcher.errors import ErrorKind, UsageError
from fetcher.model import Request
from fetcher.policy import first_job
from fetcher.urls import parse_url
from tests.conftest import Afetch
from tests.dns_servers import AAAA, SILENT, A, Code, DnsServer, Name
from tests.servers import Site

PUBLIC6 = "20010db8000000000000000000000001 02 40 00 80 eth0\n"
LOOPBACK6 = "00000000000000000000000000000001 01 80 10 80 lo\n"
LINK6 = "fe800000000000000000000000000001 02 40 20 80 eth0\n"
LOCAL6 = "fd000000000000000000000000000001 02 40 00 80 eth0\n"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Known:
    """Somebody who knows names, and says what the test says."""

    def __init__(self, *, ttl: float | None = 60.0) -> None:
        self.ttl = ttl
        self.asked: list[str] = []
        self.failures: dict[str, LookupFailedError] = {}
        self.gate: asyncio.Event | None = None
        self.closed = False

    async def ask(self, host: str) -> Answer:
        self.asked.append(host)
        if self.gate is not None:
            await self.gate.wait()
        if host in self.failures:
            raise self.failures[host]
        return Answer(("192.0.2.1",), self.ttl)

    async def close(self) -> None:
        self.closed = True


class SystemNames:
    """A system's resolver, which says what the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: dict[str, int] = {}

    def __call__(self, host: str, port: int | None, **options: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host in self.failures:
            raise socket.gaierror(self.failures[host], "trouble")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.9", 0))]


class MakeDns(Protocol):
    """Starts a DNS server with a zone."""

    def __call__(self, host: str = "127.0.0.1", /, **zone: Name) -> DnsServer: ...


@pytest.fixture
def make_dns() -> Iterator[MakeDns]:
    """Makes DNS servers, whose names are below `.test`."""
    with ExitStack() as running:

        def make(host: str = "127.0.0.1", /, **zone: Name) -> DnsServer:
            return running.enter_context(DnsServer({f"{name}.test": told for name, told in zone.items()}, host))

        yield make


@pytest.fixture
def interfaces(tmp_path: Path) -> Path:
    """This machine's IPv6 addresses, of which there are none."""
    path = tmp_path / "if_inet6"
    path.write_text(LOOPBACK6 + LINK6)
    return path


def by_ares(server: DnsServer, interfaces: Path, config: NamesConfig | None = None, **options: Any) -> Resolver:
    """A resolver whose c-ares asks this server."""
    return Resolver(config, ares=partial(Ares, servers=[server.address], interfaces=interfaces), **options)


async def addresses(resolver: Resolver, host: str, port: int = 80) -> list[str]:
    """What a host resolves to."""
    return [found["host"] for found in await resolver.resolve(host, port)]


async def failure(resolver: Resolver, host: str) -> LookupFailedError:
    """Why it does not."""
    with pytest.raises(LookupFailedError) as caught:
        await resolver.resolve(host)
    return caught.value


# What is remembered.


@pytest.mark.parametrize(("ttl", "kept"), [(30.0, 30.0), (0.0, 5.0), (86400.0, 3600.0), (None, 60.0)])
async def test_answers_are_kept_by_their_ttl(ttl: float | None, kept: float) -> None:
    """Within 5 s and an hour; a minute where there is none. Until then nobody is asked."""
    known, clock = Known(ttl=ttl), Clock()
    resolver = Resolver(ares=lambda *_: known, clock=clock)

    await addresses(resolver, "a.test")
    clock.now += kept - 0.1
    await addresses(resolver, "a.test")
    asked_within = len(known.asked)
    clock.now += 0.2
    await addresses(resolver, "a.test")

    assert (asked_within, len(known.asked)) == (1, 2)
    assert resolver.lookups.spared == 1


async def test_a_name_is_asked_for_once_whatever_the_port() -> None:
    """http and https of one host are one name."""
    known = Known()
    resolver = Resolver(ares=lambda *_: known)

    found = [await resolver.resolve("a.test", port) for port in (80, 443)]

    assert known.asked == ["a.test"]
    assert [answer["port"] for [answer] in found] == [80, 443]


async def test_a_name_that_does_not_exist_costs_one_lookup() -> None:
    """However many URLs it has; after a minute it may have come to be."""
    known, clock = Known(), Clock()
    known.failures["none.test"] = LookupFailedError("no such name", lasting=True)
    resolver = Resolver(ares=lambda *_: known, clock=clock)

    failures = [await failure(resolver, "none.test") for _ in range(1000)]
    clock.now += 61
    await failure(resolver, "none.test")

    assert all(error.lasting for error in failures)
    assert known.asked == ["none.test"] * 2


async def test_trouble_is_remembered_for_a_burst_only() -> None:
    """A retry, which comes within a second, asks anew; else it would be used up without a question."""
    known, clock = Known(), Clock()
    known.failures["down.test"] = LookupFailedError("SERVFAIL", lasting=False)
    resolver = Resolver(NamesConfig(resolver="aiodns"), ares=lambda *_: known, clock=clock)

    for _ in range(100):
        assert not (await failure(resolver, "down.test")).lasting
    asked_at_once = len(known.asked)
    clock.now += 0.3
    known.failures.clear()

    assert await addresses(resolver, "down.test") == ["192.0.2.1"]
    assert asked_at_once == 1


async def test_one_question_is_for_many_askers() -> None:
    """They share it, and whoever gives up takes it from nobody."""
    known = Known()
    known.gate = asyncio.Event()
    resolver = Resolver(ares=lambda *_: known)
    askers = [asyncio.create_task(resolver.resolve("a.test")) for _ in range(50)]
    await asyncio.sleep(0)

    # The first is the one that asked.
    askers[0].cancel()
    known.gate.set()
    first, *others = await asyncio.gather(*askers, return_exceptions=True)

    assert isinstance(first, asyncio.CancelledError)
    assert all(isinstance(answer, list) for answer in others)
    assert known.asked == ["a.test"]
    assert (resolver.lookups.asked, resolver.lookups.spared) == (1, 49)


async def test_what_is_still_asked_at_the_end_is_dropped() -> None:
    """Nobody waits for it, and it is no lookup that failed."""
    known = Known()
    known.gate = asyncio.Event()
    resolver = Resolver(ares=lambda *_: known)
    asker = asyncio.create_task(resolver.resolve("a.test"))
    await asyncio.sleep(0)

    await resolver.close()

    assert (await asyncio.gather(asker, return_exceptions=True))[0].__class__ is asyncio.CancelledError
    assert known.closed
    assert resolver.lookups.asked == 0


# c-ares.


async def test_a_ttl_is_what_the_server_says(make_dns: MakeDns, interfaces: Path) -> None:
    """The shortest of all addresses and aliases."""
    server = make_dns(
        plain=Name(["192.0.2.1"], ttl=30),
        alias=Name(["192.0.2.1"], ttl=300, alias="plain.test", alias_ttl=20),
    )
    ares = Ares(socket.AF_UNSPEC, 5.0, servers=[server.address], interfaces=interfaces)

    plain, alias = await ares.ask("plain.test"), await ares.ask("alias.test")
    await ares.close()

    assert plain == Answer(("192.0.2.1",), 30.0)
    assert alias == Answer(("192.0.2.1",), 20.0)


@pytest.mark.parametrize(
    ("machine", "order", "questions"),
    [
        (LOOPBACK6 + LINK6, ["192.0.2.1"], {A}),
        (LOCAL6, ["192.0.2.1", "2001:db8::1"], {A, AAAA}),
        (PUBLIC6, ["2001:db8::1", "192.0.2.1"], {A, AAAA}),
    ],
    ids=["none", "local", "public"],
)
async def test_a_machine_without_ipv6_does_not_ask_for_it(
    make_dns: MakeDns, interfaces: Path, machine: str, order: list[str], questions: set[int]
) -> None:
    """Half as many questions; and IPv6 is preferred only where the internet can be reached by it."""
    interfaces.write_text(machine)
    server = make_dns(both=Name(["192.0.2.1", "2001:db8::1"]))
    resolver = by_ares(server, interfaces)

    found = await addresses(resolver, "both.test")
    await resolver.close()

    assert found == order
    assert {kind for _, kind in server.asked} == questions


async def test_a_host_with_ipv6_only_is_found_all_the_same(make_dns: MakeDns, interfaces: Path) -> None:
    """It may be this machine itself."""
    server = make_dns(six=Name(["::1"]))
    resolver = by_ares(server, interfaces)

    found = await addresses(resolver, "six.test")
    await resolver.close()

    assert found == ["::1"]


async def test_where_nobody_tells_of_interfaces_both_are_asked_for(make_dns: MakeDns, tmp_path: Path) -> None:
    """As on other systems than Linux: c-ares sorts them."""
    server = make_dns(both=Name(["127.0.0.1", "::1"]))
    resolver = by_ares(server, tmp_path / "missing")

    found = await addresses(resolver, "both.test")
    await resolver.close()

    assert sorted(found) == ["127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("config", "expected"), [({"ipv4": True}, ["192.0.2.1"]), ({"ipv6": True}, ["2001:db8::1"])], ids=["-4", "-6"]
)
async def test_one_family_is_asked_for_alone(
    make_dns: MakeDns, interfaces: Path, config: dict[str, Any], expected: list[str]
) -> None:
    """-4 and -6."""
    server = make_dns(both=Name(["192.0.2.1", "2001:db8::1"]))
    resolver = by_ares(server, interfaces, NamesConfig(**config))

    found = await addresses(resolver, "both.test")
    await resolver.close()

    assert found == expected
    assert len({kind for _, kind in server.asked}) == 1


async def test_a_server_that_ignores_ipv6_questions_holds_nobody_up(make_dns: MakeDns, interfaces: Path) -> None:
    """Some drop what they do not know; the addresses that came are enough."""
    interfaces.write_text(PUBLIC6)
    server = make_dns(half=Name(["192.0.2.1"], silent=(AAAA,)))
    resolver = by_ares(server, interfaces, NamesConfig(dns_timeout=6.0, resolver="aiodns"))

    found = await asyncio.wait_for(addresses(resolver, "half.test"), 5.0)
    await resolver.close()

    assert found == ["192.0.2.1"]


async def test_a_slow_name_is_waited_for_among_quick_ones(make_dns: MakeDns, interfaces: Path) -> None:
    """c-ares's patience is a few times what a server takes usually; a lookup has its whole time all the same."""
    quick = {f"quick{number}": Name(["192.0.2.1"]) for number in range(20)}
    server = make_dns("127.0.0.1", slow=Name(["192.0.2.2"], delay=1.2), **quick)
    resolver = by_ares(server, interfaces, NamesConfig(resolver="aiodns"))
    for name in quick:
        await addresses(resolver, f"{name}.test")

    found = await addresses(resolver, "slow.test")
    await resolver.close()

    assert found == ["192.0.2.2"]


async def test_a_dns_server_may_be_on_ipv6_only(make_dns: MakeDns, interfaces: Path) -> None:
    """On ::1, where there is one."""
    try:
        server = make_dns("::1", a=Name(["192.0.2.1"]))
    except OSError as error:
        pytest.skip(f"there is no ::1 here: {error}")
    resolver = by_ares(server, interfaces)

    found = await addresses(resolver, "a.test")
    await resolver.close()

    assert found == ["192.0.2.1"]


# Failures.


@pytest.mark.parametrize(
    ("name", "lasting", "words"),
    [
        (Name(code=Code.NXDOMAIN), True, "no such name"),
        (Name(), True, "the name has no address"),
        (Name(code=Code.SERVFAIL), False, "the DNS server could not find out (SERVFAIL)"),
        (Name(code=Code.REFUSED), False, "the DNS server refused to answer (REFUSED)"),
        (Name(code=Code.NOTIMP), False, "the DNS server does not do that (NOTIMP)"),
        (SILENT, False, "no answer within 0.4 s (--dns-timeout)"),
    ],
    ids=["nxdomain", "nodata", "servfail", "refused", "notimp", "silent"],
)
async def test_a_failure_says_whether_asking_again_can_help(
    make_dns: MakeDns, interfaces: Path, name: Name, *, lasting: bool, words: str
) -> None:
    """That there is no such name is an answer; that nobody could say so is not. Outages are told by that."""
    server = make_dns(odd=name)
    resolver = by_ares(server, interfaces, NamesConfig(resolver="aiodns", dns_timeout=0.4))

    error = error_of(await failure(resolver, "odd.test"))
    await resolver.close()

    assert (error.kind, error.message, error.lasting) == (ErrorKind.DNS, words, lasting)


async def test_no_server_at_all_is_trouble(interfaces: Path) -> None:
    """Nobody listens on that port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    ares = partial(Ares, servers=[address], interfaces=interfaces)
    resolver = Resolver(NamesConfig(resolver="aiodns", dns_timeout=3.0), ares=ares)

    error = await failure(resolver, "a.test")
    await resolver.close()

    assert not error.lasting


async def test_many_lookups_that_fail_are_told_of_once() -> None:
    """With what can be done; names that do not exist are nobody's trouble."""
    told: list[str] = []
    known = Known()
    resolver = Resolver(NamesConfig(resolver="aiodns"), ares=lambda *_: known, notice=told.append)
    for number in range(3 * MANY):
        known.failures[f"none{number}.test"] = LookupFailedError("no such name", lasting=True)
        known.failures[f"down{number}.test"] = LookupFailedError("no answer", lasting=False)

    for number in range(3 * MANY):
        await failure(resolver, f"none{number}.test")
    told_of_none = list(told)
    for number in range(3 * MANY):
        await failure(resolver, f"down{number}.test")

    assert told_of_none == []
    [words] = told
    assert words == (
        "many lookups fail (20 of 80, the last: no answer): fewer at once (-c), a longer --dns-timeout, or another "
        "resolver (--resolver system) may help"
    )


async def test_few_failures_among_many_lookups_are_not_told_of() -> None:
    """Some name is always out of order."""
    told: list[str] = []
    known = Known()
    resolver = Resolver(NamesConfig(resolver="aiodns"), ares=lambda *_: known, notice=told.append)
    for number in range(1000):
        await addresses(resolver, f"up{number}.test")

    for number in range(2 * MANY):
        known.failures[f"down{number}.test"] = LookupFailedError("no answer", lasting=False)
        await failure(resolver, f"down{number}.test")

    assert told == []


# The system's resolver.


@pytest.mark.parametrize("name", [Name(code=Code.SERVFAIL), Name(code=Code.REFUSED), SILENT])
async def test_the_system_is_asked_where_aiodns_has_trouble(
    make_dns: MakeDns, interfaces: Path, name: Name, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, under -v, once for each reason."""
    caplog.set_level(logging.INFO, "fetcher")
    server = make_dns(one=name, two=name)
    resolver = by_ares(server, interfaces, NamesConfig(dns_timeout=1.0), system=SystemNames())

    found = [await addresses(resolver, "one.test"), await addresses(resolver, "two.test")]
    await resolver.close()

    assert found == [["127.0.0.9"], ["127.0.0.9"]]
    [said] = caplog.messages
    assert said.startswith("one.test: ")
    assert "the system's resolver is asked" in said


async def test_the_system_is_not_asked_for_a_name_that_does_not_exist(make_dns: MakeDns, interfaces: Path) -> None:
    """Nor for one without addresses."""
    system = SystemNames()
    resolver = by_ares(make_dns(empty=Name()), interfaces, system=system)

    failures = [await failure(resolver, name) for name in ("none.test", "empty.test")]
    await resolver.close()

    assert all(error.lasting for error in failures)
    assert system.asked == []


async def test_a_resolver_that_was_chosen_is_asked_alone(make_dns: MakeDns, interfaces: Path) -> None:
    """--resolver aiodns and --resolver system."""
    server, system = make_dns(down=Name(code=Code.SERVFAIL)), SystemNames()
    by_aiodns = by_ares(server, interfaces, NamesConfig(resolver="aiodns"), system=system)
    by_system = by_ares(server, interfaces, NamesConfig(resolver="system"), system=system)

    assert not (await failure(by_aiodns, "down.test")).lasting
    asked_before = list(system.asked)
    assert await addresses(by_system, "only.test") == ["127.0.0.9"]

    await by_aiodns.close()
    await by_system.close()
    assert (asked_before, system.asked) == ([], ["only.test"])
    assert server.count("only.test") == 0


async def test_a_system_that_knows_no_better_is_left_alone_for_a_while() -> None:
    """Else each name that a server cannot find out would hold a thread, for the time of another lookup."""
    known, system, clock = Known(), SystemNames(), Clock()
    resolver = Resolver(ares=lambda *_: known, system=system, clock=clock)
    names = [f"down{number}.test" for number in range(2 * HOPELESS)]
    for name in names:
        known.failures[name] = LookupFailedError("SERVFAIL", lasting=False)
        system.failures[name] = socket.EAI_AGAIN

    for name in names:
        await failure(resolver, name)
    asked_in_vain = len(system.asked)
    clock.now += NO_HOPE_FOR
    await failure(resolver, names[0])
    await resolver.close()

    assert asked_in_vain == HOPELESS
    assert len(system.asked) == HOPELESS + 1


async def test_a_system_that_always_knows_better_is_asked_alone() -> None:
    """Where c-ares cannot reach any server, nobody waits for it each time."""
    known, system = Known(), SystemNames()
    resolver = Resolver(ares=lambda *_: known, system=system)
    names = [f"a{number}.test" for number in range(2 * PREFERRED)]
    known.failures = {name: LookupFailedError("no server", lasting=False) for name in names}

    found = [await addresses(resolver, name) for name in names]
    await resolver.close()

    assert found == [["127.0.0.9"]] * len(names)
    assert len(known.asked) == PREFERRED
    assert known.closed


async def test_c_ares_begins_with_the_first_name() -> None:
    """It takes a thread, which a list of literal addresses has no use for."""
    begun: list[Known] = []

    def begin(*_: object) -> Known:
        begun.append(Known())
        return begun[-1]

    resolver = Resolver(ares=begin)

    await resolver.resolve("127.0.0.1")
    before = len(begun)
    await resolver.resolve("a.test")
    await resolver.resolve("b.test")
    await resolver.close()

    assert (before, len(begun)) == (0, 1)
    assert begun[0].closed


async def test_the_systems_settings_are_read_again_when_they_have_changed(
    make_dns: MakeDns, interfaces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever moves to another network has other servers there; it is noticed within some seconds. Not its own ones."""
    rereads: list[OnLoop] = []
    usual = OnLoop.reread

    def reread(self: OnLoop) -> None:
        rereads.append(self)
        usual(self)

    monkeypatch.setattr(OnLoop, "reread", reread)
    server, settings, clock = make_dns(one=Name(["192.0.2.1"])), tmp_path / "resolv.conf", Clock()
    settings.write_text("nameserver 192.0.2.53\n")
    ares = Ares(socket.AF_INET, 2.0, servers=[server.address], interfaces=interfaces, settings=settings, clock=clock)

    counts = []
    for change, wait in ((False, 0.0), (False, LOOK), (True, LOOK / 2), (False, LOOK / 2), (False, LOOK)):
        if change:
            os.utime(settings, (1.0, 1.0))
        clock.now += wait
        assert (await ares.ask("one.test")).addresses == ("192.0.2.1",)
        counts.append(len(rereads))
    await ares.close()

    assert counts == [0, 0, 0, 1, 1]


async def test_names_are_looked_up_without_a_thread(make_dns: MakeDns, interfaces: Path) -> None:
    """The parts of aiodns that this takes are there: an answer comes while the loop alone reads c-ares's sockets."""
    resolver = by_ares(make_dns(one=Name(["192.0.2.1"])), interfaces)
    before = threading.active_count()

    found = await addresses(resolver, "one.test")

    ares = resolver._ares
    assert isinstance(ares, Ares)
    assert found == ["192.0.2.1"]
    assert not ares._resolver._event_thread
    # pycares's own, for channels that are closed.
    assert threading.active_count() <= before + 1
    await resolver.close()


async def test_without_aiodns_the_system_is_asked() -> None:
    """It is an extra of aiohttp's, and does not run on each of Windows' loops. Who insists on it is told."""

    def nobody(*_: object) -> Known:
        raise ImportError("no module named aiodns")

    resolver = Resolver(ares=nobody, system=SystemNames())

    assert await addresses(resolver, "a.test") == ["127.0.0.9"]
    await resolver.close()
    with pytest.raises(UsageError, match="resolver aiodns cannot be used here"):
        Resolver(NamesConfig(resolver="aiodns"), ares=nobody)


async def test_lookups_that_hang_hold_a_bounded_number_of_threads() -> None:
    """Nor do they hold who asks, beyond --dns-timeout; what was given up in the queue is not asked any more."""
    gate = threading.Event()
    asked: list[str] = []

    def hang(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        gate.wait()
        return []

    resolver = Resolver(NamesConfig(resolver="system", dns_timeout=0.2), system=hang)

    failures = await asyncio.gather(*(failure(resolver, f"a{number}.test") for number in range(100)))
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("afetch-lookups-")]
    gate.set()
    await resolver.close()
    for thread in threads:
        thread.join()

    assert len(threads) == len(asked) == SYSTEM_THREADS
    assert {error.message for error in failures} == {"no answer within 0.2 s (--dns-timeout)"}


async def test_an_address_of_a_link_keeps_its_link() -> None:
    """The system tells it beside the address."""
    infos = [(socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("fe80::1", 0, 0, 3))]
    system = System(socket.AF_UNSPEC, lookup=lambda *_, **__: infos)

    answer = await system.ask("a.test")
    await system.close()

    assert answer == Answer(("fe80::1%3",), None)


@pytest.mark.parametrize(
    ("number", "lasting"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False), (socket.EAI_FAIL, False)]
)
async def test_what_the_system_says_is_told_apart(number: int, *, lasting: bool) -> None:
    """No such name, or trouble."""
    names = SystemNames()
    names.failures["a.test"] = number
    system = System(socket.AF_UNSPEC, lookup=names)

    with pytest.raises(LookupFailedError) as caught:
        await system.ask("a.test")
    await system.close()

    assert caught.value.lasting is lasting


# What is known already.


async def test_pinned_addresses_are_not_looked_up() -> None:
    """For their host and port only; `*` is every other host, and the last word on a host counts."""
    known = Known()
    pins = ("A.test:80:192.0.2.7,[2001:db8::7]", "*:81:192.0.2.8", "b.test:81:192.0.2.0", "b.test:81:192.0.2.9")
    resolver = Resolver(NamesConfig(resolve=pins), ares=lambda *_: known)

    assert await addresses(resolver, "a.test", 80) == ["192.0.2.7", "2001:db8::7"]
    assert await addresses(resolver, "other.test", 81) == ["192.0.2.8"]
    assert await addresses(resolver, "192.0.2.55", 81) == ["192.0.2.8"]
    assert await addresses(resolver, "b.test", 81) == ["192.0.2.9"]
    assert known.asked == []
    assert await addresses(resolver, "a.test", 443) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        ("a.test", "write HOST:PORT:ADDRESS"),
        ("a.test:80", "write HOST:PORT:ADDRESS"),
        ("a.test:80:", "'' is not an IP address"),
        ("a.test:80:b.test", "'b.test' is not an IP address"),
        ("a.test:80:127.0.0.1,", "'' is not an IP address"),
        ("a.test:x:127.0.0.1", "port 'x'"),
        ("a.test:0:127.0.0.1", "port '0'"),
        (":80:127.0.0.1", "no host"),
        ("+a.test:80:127.0.0.1", "a character that no host name has"),
        ("*:*:127.0.0.1", "port '*'"),
    ],
)
def test_a_pin_that_is_none_is_refused(pin: str, words: str) -> None:
    """Where, what, and how it is written."""
    with pytest.raises(UsageError) as caught:
        NamesConfig(resolve=(pin,))

    assert str(caught.value).startswith(f"resolve {pin!r}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(("config", "host"), [({"ipv4": True}, "::1"), ({"ipv6": True}, "127.0.0.1")])
async def test_an_address_of_the_other_family_is_no_address(config: dict[str, Any], host: str) -> None:
    """Nothing is sent to it, and nobody tries again."""
    resolver = Resolver(NamesConfig(**config))

    error = await failure(resolver, host)
    await resolver.close()

    assert error.lasting


# What the record says.


async def test_only_a_lookup_has_a_time(site: Site) -> None:
    """An answer that was known has none, nor has an address; whoever waits for another's question waits, too."""
    client = Client(ClientConfig(keepalive=0.0), names=NamesConfig(resolver="system"))
    client._resolver._system = System(socket.AF_UNSPEC, lookup=lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 0))])
    site.page("x", path="/")

    async def fetched(host: str) -> float | None:
        url = parse_url(f"http://{host}:{site.port}/")[0]
        hop = await client.exchange(first_job(Request(0, str(url), url), url))
        assert hop.status == 200
        assert hop.timings is not None
        return hop.timings.dns

    shared = await asyncio.gather(fetched("a.test"), fetched("a.test"))
    remembered, literal = await fetched("a.test"), await fetched("127.0.0.1")
    await client.close()

    assert all(seconds is not None for seconds in shared)
    assert (remembered, literal) == (None, None)
    assert (client.lookups.asked, client.lookups.spared, client.lookups.failed) == (1, 2, 0)


# The command.


@pytest.fixture
def six(make_site: Callable[..., Site]) -> Site:
    """A site on ::1 only."""
    try:
        site = make_site(host="::1")
    except OSError as error:
        pytest.skip(f"there is no ::1 here: {error}")
    site.page("six\n", path="/")
    return site


def test_resolve_leads_a_name_elsewhere(afetch: Afetch, site: Site) -> None:
    """--resolve, as curl has it: the Host header is the name's."""
    site.page("here\n", path="/")

    done = afetch(
        *("--json", "--resolve", f"a.test:{site.port}:127.0.0.1", "--resolve", f"*:{site.port}:[::1],127.0.0.1"),
        *(f"http://a.test:{site.port}/", f"http://b.test:{site.port}/"),
    )

    assert [record["status"] for record in done.records] == [200, 200]
    assert {request.header("host") for request in site.log} == {f"a.test:{site.port}", f"b.test:{site.port}"}
    assert {record["timings"]["dns"] for record in done.records} == {None}


def test_a_server_on_ipv6_only_is_reached(afetch: Afetch, six: Site) -> None:
    """By a name with addresses of both families, of which IPv4's is refused, and by its address; not with -4."""
    pin = f"a.test:{six.port}:127.0.0.1,::1"

    done = afetch("--json", "--resolve", pin, f"http://a.test:{six.port}/", f"http://[::1]:{six.port}/")
    only = afetch(
        "--json", "-4", "-r", "0", "--resolve", pin, f"http://a.test:{six.port}/", f"http://[::1]:{six.port}/"
    )

    assert [record["remote"] for record in done.records] == [f"[::1]:{six.port}"] * 2
    kinds = {record["url"][7:8]: record["error"] for record in only.records}
    assert kinds["a"]["kind"] == "refused"
    assert kinds["["] == {"kind": "dns", "message": "::1 is not, or has not, an IPv4 address (-4)"}


def test_a_family_that_swallows_connections_costs_a_moment(afetch: Afetch, site: Site) -> None:
    """Happy eyeballs (RFC 8305): the other is tried after a quarter of a second."""
    site.page("here\n", path="/")
    with ExitStack() as opened:
        try:
            listener = socket.create_server(("::1", site.port), family=socket.AF_INET6, backlog=0)
        except OSError as error:
            pytest.skip(f"there is no ::1 here: {error}")
        opened.enter_context(listener)
        for _ in range(3):
            filler = opened.enter_context(socket.socket(socket.AF_INET6))
            filler.setblocking(False)
            filler.connect_ex(("::1", site.port))

        done = afetch("--json", "--resolve", f"a.test:{site.port}:::1,127.0.0.1", f"http://a.test:{site.port}/")

    [record] = done.records
    assert record["remote"] == f"127.0.0.1:{site.port}"
    assert 0.2 < record["timings"]["connect"] < 2.0


def test_a_broken_setting_is_said_in_a_line(afetch: Afetch) -> None:
    """Status 2, before anything is asked."""
    for arguments in (
        ["--resolve", "a.test:80"],
        ["--resolver", "mine"],
        ["-4", "-6"],
        ["--dns-timeout", "-1"],
    ):
        done = afetch(*arguments, "http://a.test/")

        assert done.returncode == 2
        assert done.stderr.startswith("afetch: ")
        assert done.stderr.count("\n") == 1


NO_AIODNS = """
import sys
from fetcher.cli import main

sys.modules["aiodns"] = None
main.run()
"""
"""The command where aiodns is not installed."""


def test_aiodns_that_is_not_there_is_asked_for_in_vain(afetch: Afetch, site: Site) -> None:
    """Who insists on it is told, at once; else the system does."""
    site.page("x", path="/")
    url = f"http://localhost:{site.port}/"

    insisting = afetch.start("--resolver", "aiodns", url, command=(sys.executable, "-c", NO_AIODNS))
    _, err = insisting.communicate(timeout=20)
    plain = afetch.start("--json", url, command=(sys.executable, "-c", NO_AIODNS))
    plain.communicate(timeout=20)

    assert insisting.returncode == 2
    assert err.startswith(b"afetch: resolver aiodns cannot be used here (")
    assert err.count(b"\n") == 1
    assert plain.returncode == 0
    assert len(site.log) == 1
