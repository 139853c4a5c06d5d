"""What --block-private lets through, and what not, wherever it stands and however it is written."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from fetcher.client.config import ClientConfig
from fetcher.client.exchange import Client
from fetcher.client.names import resolver
from fetcher.client.names.addresses import BlockedError, forbidden
from fetcher.client.names.askers import Answer
from fetcher.client.names.config import NamesConfig
from fetcher.client.names.resolver import Resolver, refuse_literal
from fetcher.errors import ErrorKind
from fetcher.model import Error, Hop, Request, Result
from fetcher.policy import Policy, PolicyConfig, first_job
from fetcher.robots import Robots
from fetcher.urls import parse_url
from tests.conftest import Afetch, MakeRawServer, MakeSite
from tests.servers import Site, reply

REFUSED = {
    "127.0.0.1": "a loopback address",
    "127.255.255.254": "a loopback address",
    "0.0.0.0": "the unspecified address",
    "0.1.2.3": "a private address",
    "10.0.0.1": "a private address",
    "172.16.0.1": "a private address",
    "172.31.255.255": "a private address",
    "192.168.1.1": "a private address",
    "100.64.0.1": "a shared address (RFC 6598)",
    "100.127.255.255": "a shared address (RFC 6598)",
    "169.254.1.1": "a link-local address",
    "169.254.169.254": "a cloud's metadata address",
    "100.100.100.200": "a cloud's metadata address",
    "168.63.129.16": "a cloud's metadata address",
    "192.0.2.1": "an address for documentation",
    "198.51.100.1": "an address for documentation",
    "203.0.113.1": "an address for documentation",
    "198.18.0.1": "a private address",
    "192.0.0.1": "a private address",
    "192.88.99.1": "an address that is not public",
    "224.0.0.1": "a multicast address",
    "239.255.255.250": "a multicast address",
    "240.0.0.1": "a reserved address",
    "255.255.255.255": "a reserved address",
    "::": "the unspecified address",
    "::1": "a loopback address",
    "::ffff:127.0.0.1": "a loopback address",
    "::ffff:10.1.2.3": "a private address",
    "::ffff:169.254.169.254": "a cloud's metadata address",
    "::127.0.0.1": "a loopback address",
    "64:ff9b::7f00:1": "a loopback address",
    "64:ff9b::10.0.0.1": "a private address",
    "64:ff9b:1::1": "an address that is not public",
    "2002:7f00:1::1": "a loopback address",
    "2002:0a00:0001::": "a private address",
    "2001:0:4136:e378::1": "an address that is not public",
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "fc00::1": "a private address",
    "fd00:ec2::254": "a cloud's metadata address",
    "fec0::1": "a private address",
    "ff02::1": "a multicast address",
    "2001:db8::1": "an address for documentation",
    "3fff::1": "an address for documentation",
    "100::1": "a private address",
    "4000::1": "an address that is not public",
}

PUBLIC = (
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:4860:4860::8888",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2002:101:101::1",
)

SPELLINGS = (
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://127.0.0.1./",
    "http://%31%32%37.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://user:secret@127.0.0.1/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://[fe80::1%25lo]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
)


class Rebinding:
    """A name that is public when it is asked for first, and private from then on."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self.answers = list(answers)
        self.count = 0

    async def ask(self, host: str) -> Answer:
        self.count += 1
        return Answer(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0], 0.0)

    async def close(self) -> None:
        pass


def guarded(*answers: tuple[str, ...], **config: Any) -> Resolver:
    """A resolver that lets through what is public, of these answers."""
    return Resolver(NamesConfig(block_private=True, **config), ares=lambda *_: Rebinding(*answers))


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_told_as_what_it_is(address: str) -> None:
    """The registries, and what an IPv6 address stands for."""
    assert forbidden(address) == REFUSED[address]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_none_of_those(address: str) -> None:
    """Just beside the others, too."""
    assert forbidden(address) is None


def test_no_ipv4_address_is_private_in_one_family_only() -> None:
    """Mapped, translated or tunnelled, it stays what it is."""
    for address in (*PUBLIC, *REFUSED):
        if ":" in address:
            continue
        number = int(ip_address(address))
        for inside in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80 | 1):
            assert forbidden(str(ip_address(inside.to_bytes(16, "big")))) == forbidden(address)


async def test_of_several_addresses_the_public_ones_are_used() -> None:
    """In their order."""
    asked = guarded(("10.0.0.1", "93.184.216.34", "::1", "2606:4700::1"))

    found = await asked.resolve("a.test", 80)
    await asked.close()

    assert [address["host"] for address in found] == ["93.184.216.34", "2606:4700::1"]


async def test_a_name_without_a_public_address_is_blocked() -> None:
    """The message names it and its first address."""
    asked = guarded(("10.0.0.1", "::1"))

    with pytest.raises(BlockedError, match=r"^a\.test is 10\.0\.0\.1, a private address \(--block-private\)$"):
        await asked.resolve("a.test", 80)
    await asked.close()


async def test_a_pinned_address_is_looked_at_too() -> None:
    """--resolve says where a name leads, not that anybody may go there."""
    asked = guarded(("93.184.216.34",), resolve=("a.test:80:10.0.0.1",))

    with pytest.raises(BlockedError):
        await asked.resolve("a.test", 80)
    await asked.close()


async def test_a_proxy_is_the_users_own_choice() -> None:
    """It may be anywhere; an address that it is to go to is looked at before."""
    asked = guarded(("10.0.0.1",))

    found = [await asked.resolve(host, 3128, trusted=True) for host in ("proxy.test", "127.0.0.1")]
    await asked.close()

    assert [address["host"] for [address] in found] == ["10.0.0.1", "127.0.0.1"]
    with pytest.raises(BlockedError):
        refuse_literal("127.0.0.1")
    refuse_literal("93.184.216.34")
    refuse_literal("name.test")


async def test_a_name_cannot_change_between_the_look_and_the_connection(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked at is what is connected to; where the name leads elsewhere then, that is looked at again."""
    public = make_site()
    private = make_site(host="127.0.0.2", port=public.port)
    public.page("public", path="/")
    monkeypatch.setattr(resolver, "forbidden", {"127.0.0.1": None, "127.0.0.2": "private"}.get)
    monkeypatch.setattr(resolver, "LEAST", 0.0)
    client = Client(ClientConfig(keepalive=0.0), names=NamesConfig(block_private=True))
    asked = Rebinding(("127.0.0.1",), ("127.0.0.2",))
    client._resolver._ares = asked
    url = parse_url(f"http://a.test:{public.port}/")[0]

    hops = [await client.exchange(first_job(Request(0, str(url), url), url)) for _ in range(3)]
    await client.close()

    assert [hop.status for hop in hops] == [200, None, None]
    assert [hop.error.kind for hop in hops if hop.error is not None] == [ErrorKind.BLOCKED] * 2
    assert asked.count == 3
    assert (len(public.log), private.log) == (1, [])


async def test_what_is_blocked_was_no_attempt() -> None:
    """Nothing was sent, so there is no hop either; of a redirect that led there, the redirect is."""
    url = parse_url("http://10.0.0.1/")[0]
    blocked = Hop(url, "GET", None, Error(ErrorKind.BLOCKED, "it is private"), 0.0, 0.1)

    result = Policy(PolicyConfig()).decide(first_job(Request(0, str(url), url), url), blocked)

    assert isinstance(result, Result)
    assert (result.hop, result.attempts, result.error) == (None, (), blocked.error)


def test_an_origin_whose_robots_txt_is_blocked_is_blocked() -> None:
    """That is the reason why its URLs cannot be had, rather than a robots.txt."""
    robots = Robots("afetch/1")
    url = parse_url("http://10.0.0.1/a")[0]
    error = Error(ErrorKind.BLOCKED, "10.0.0.1 is a private address (--block-private)")

    robots.learn(url.origin, Result(robots.request(url.origin), None, error))

    assert robots.refusal(url) == error


def test_no_spelling_of_an_address_gets_through(afetch: Afetch) -> None:
    """Numbers, octal, hexadecimal, percent-encoded, full-width, with user info, mapped, translated, zoned."""
    done = afetch("--json", "--block-private", *SPELLINGS)

    assert done.returncode == 1
    assert len(done.records) == len(SPELLINGS)
    for record in done.records:
        assert record["error"]["kind"] == "blocked", record
        assert (record["attempts"], record["final_url"], record["status"]) == (0, None, None)
    assert "secret" not in done.stdout + done.stderr


def test_a_private_server_is_reached_without_the_option_only(afetch: Afetch, site: Site) -> None:
    """By its address, by its name, and with robots.txt asked for first."""
    site.page("secret\n", path="/")
    urls = (site.origin, f"http://localhost:{site.port}")

    open_run = afetch("--json", *urls)
    blocked = afetch("--json", "--block-private", *urls)
    polite = afetch("--json", "--block-private", "--robots", *urls)

    assert [record["status"] for record in open_run.records] == [200, 200]
    assert [record["error"]["kind"] for record in (*blocked.records, *polite.records)] == ["blocked"] * 4
    assert len(site.log) == 2


def test_what_goes_through_a_proxy_is_looked_at_where_it_is_an_address(
    afetch: Afetch, raw_server: MakeRawServer
) -> None:
    """The proxy may be anywhere, here on this machine, and a name is its own to look up; an address is refused."""
    proxy = raw_server([reply(b"by the proxy")])
    urls = ("http://a.test/", "http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "https://10.0.0.1/")

    done = afetch("--json", "--block-private", "-x", proxy.url(), *urls)

    kinds = {record["url"]: (record["error"] or {}).get("kind") for record in done.records}
    assert kinds == {urls[0]: None, urls[1]: "blocked", urls[2]: "blocked", urls[3]: "blocked"}
    assert proxy.connections == 1
