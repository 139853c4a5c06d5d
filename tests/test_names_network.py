"""Names and addresses from the command line, in a network of the test's own, with dnsmasq."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMAND, Afetch, Completed, missing
from tests.networks import Network
from tests.test_endings import read_until, stderr_of

PUBLIC = "93.184.216.34"

HASTY = """
from fetcher.cli import main
from fetcher.client.names import resolver

resolver.LEAST = 1.0
main.run()
"""
"""The command that keeps an answer for a second, if it is not good for longer."""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A network in which every address is ours."""
    network = Network(tmp_path)
    try:
        yield network
    finally:
        network.close()


@pytest.fixture
def dnsmasq() -> str:
    """Where dnsmasq is."""
    program = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if program is None:
        missing("dnsmasq")
    return program


def run(afetch: Afetch, network: Network, *args: str | Path, command: Sequence[str] = COMMAND) -> Completed:
    """How the command ended in a network."""
    process = afetch.start(*args, command=[*network.inside, *command])
    out, err = process.communicate(timeout=30)
    return Completed(process.returncode, out.decode(), err.decode())


def by_url(done: Completed) -> dict[str, Any]:
    return {record["url"]: record for record in done.records}


def questions(lines: list[str], name: str) -> list[str]:
    """What dnsmasq was asked of a name."""
    return [line for line in lines if "query[" in line and f" {name} " in line]


def test_a_name_that_does_not_exist_costs_few_lookups(afetch: Afetch, network: Network, dnsmasq: str) -> None:
    """A thousand URLs of it, and a thousand of one that does; the summary counts."""
    resolver = network.run_dnsmasq(dnsmasq, [f"--address=/up.test/{PUBLIC}", "--local=/test/", "--log-queries"])
    network.run_site()
    urls = afetch.folder / "urls.txt"
    names = ("none.test", "up.test")
    urls.write_text("".join(f"http://{name}/{number}\n" for number in range(1000) for name in names))

    done = run(afetch, network, "--json", urls)

    assert len(done.records) == 2000
    for record in done.records:
        if "none" in record["url"]:
            assert (record["error"]["kind"], record["attempts"]) == ("dns", 1)
        else:
            assert record["status"] == 200
    asked = network.heard(resolver)
    assert 1 <= len(questions(asked, "none.test")) <= 4
    assert 1 <= len(questions(asked, "up.test")) <= 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("  dns")]
    assert line.startswith("  dns      2 lookups   ")
    assert " from memory   1 failed   p50 " in line


def test_a_resolver_that_refuses_is_trouble_and_told(afetch: Afetch, network: Network, dnsmasq: str) -> None:
    """It is tried again, the system's resolver is asked as well, and -v says so."""
    resolver = network.run_dnsmasq(dnsmasq, ["--log-queries"])

    done = run(afetch, network, "--json", "-v", "-r", "1", "--retry-wait", "0.3", "http://any.test/")

    [record] = done.records
    assert record["error"] == {"kind": "dns", "message": "the DNS server refused to answer (REFUSED)"}
    assert record["attempts"] == 2
    assert "any.test: the DNS server refused to answer (REFUSED); the system's resolver is asked" in done.stderr
    # c-ares, and the system each time it was asked after it.
    assert len(questions(network.heard(resolver), "any.test")) >= 3


def test_a_short_ttl_is_kept_to(afetch: Afetch, network: Network, dnsmasq: str) -> None:
    """A name that is good for a second is looked up every second, by a run that asks for no more than that."""
    resolver = network.run_dnsmasq(dnsmasq, [f"--host-record=up.test,{PUBLIC},1", "--log-queries"])
    network.run_site()
    urls = [f"http://up.test/{number}" for number in range(6)]
    hasty = [sys.executable, "-c", HASTY]

    done = run(afetch, network, "--json", "--rate", "3/s", "--no-keepalive", *urls, command=hasty)

    assert [record["status"] for record in done.records] == [200] * 6
    lookups = [record["timings"]["dns"] for record in done.records if record["timings"]["dns"] is not None]
    assert len(lookups) == 2
    assert len(questions(network.heard(resolver), "up.test")) == 2


def test_both_families_and_the_broken_one(afetch: Afetch, network: Network, dnsmasq: str) -> None:
    """IPv6 first where the machine has it; -4 and -6; and where there is no way by IPv6, by IPv4 at once."""
    if not network.ip("-6", "addr", "add", "2001:db8::1/64", "dev", "lo", "nodad"):
        pytest.skip("there is no IPv6 here")
    network.run_dnsmasq(dnsmasq, [f"--host-record=both.test,{PUBLIC},2606:4700::1"])
    network.run_site()
    url = "http://both.test/"

    remotes = [run(afetch, network, "--json", url, *options).records[0]["remote"] for options in ([], ["-4"], ["-6"])]
    network.ip("-6", "route", "flush", "table", "local")
    network.ip("-6", "route", "flush", "table", "main")
    [broken] = run(afetch, network, "--json", url).records

    assert remotes == ["[2606:4700::1]:80", f"{PUBLIC}:80", "[2606:4700::1]:80"]
    assert broken["remote"] == f"{PUBLIC}:80"
    assert broken["timings"]["connect"] < 1.0


def test_no_redirect_leads_to_a_private_address(afetch: Afetch, network: Network, dnsmasq: str) -> None:
    """--block-private looks at each hop, at the addresses that a name has; of several it takes the public ones."""
    network.run_dnsmasq(
        dnsmasq,
        [
            f"--host-record=public.test,{PUBLIC}",
            "--host-record=private.test,10.0.0.1",
            f"--host-record=mixed.test,127.0.0.1,10.0.0.1,{PUBLIC}",
            "--host-record=mixed.test,192.168.0.1",
            "--host-record=mapped.test,::ffff:127.0.0.1",
        ],
    )
    site = network.run_site()
    inward = ["127.0.0.1", "0x7f.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "private.test", "mapped.test"]
    urls = [f"http://public.test/to/http://{host}/secret" for host in inward]
    fine = ["http://mixed.test/fine", "http://public.test/to/http://mixed.test/fine"]

    done = run(afetch, network, "--json", "--block-private", *urls, *fine)

    records = by_url(done)
    assert len(records) == len(urls) + len(fine)
    for url in urls:
        assert records[url]["error"]["kind"] == "blocked"
        assert (records[url]["attempts"], records[url]["status"]) == (1, 302)
        assert "--block-private" in records[url]["error"]["message"]
    for url in fine:
        assert (records[url]["status"], records[url]["remote"]) == (200, f"{PUBLIC}:80")
    asked = network.heard(site)
    assert {line.split()[0] for line in asked} == {PUBLIC}
    assert not [line for line in asked if line.endswith(" /secret")]


def test_ctrl_c_does_not_wait_for_lookups(afetch: Afetch, network: Network) -> None:
    """Of a server that never answers, without any timeout: what is under way has its grace, and twice is at once."""
    zone = afetch.folder / "zone.json"
    zone.write_text(json.dumps({f"silent{number}.test": {"silent": [1, 28]} for number in range(20)}))
    network.run(sys.executable, "-m", "tests.dns_servers", str(zone))
    timeless = ("--dns-timeout", "0", "--connect-timeout", "0", "-t", "0", "--outage-wait", "0")
    urls = [f"http://silent{number}.test/" for number in range(20)]
    process = afetch.start("--json", "-v", "--progress", *timeless, *urls, command=[*network.inside, *COMMAND])
    read_until(stderr_of(process), b"20 in flight")

    process.send_signal(signal.SIGINT)
    read_until(stderr_of(process), b"stopping")
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert time.monotonic() - begun < 4.5
    assert process.returncode == 130
    assert b"20 entries have no record" in err
    assert b"Traceback" not in err
    assert b"ignored" not in err


def test_many_lookups_without_an_answer_are_told_of(afetch: Afetch, network: Network) -> None:
    """Once, with what can be done."""
    zone = afetch.folder / "zone.json"
    zone.write_text(json.dumps({f"silent{number}.test": {"silent": [1, 28]} for number in range(60)}))
    network.run(sys.executable, "-m", "tests.dns_servers", str(zone))
    urls = [f"http://silent{number}.test/" for number in range(60)]

    done = run(
        afetch, network, "--json", "-r", "0", "--dns-timeout", "0.5", "--outage-wait", "0", "--breaker", "0", *urls
    )

    assert {record["error"]["message"] for record in done.records} == {"no answer within 0.5 s (--dns-timeout)"}
    told = [line for line in done.stderr.splitlines() if "many lookups fail" in line]
    assert len(told) == 1
    assert "another resolver (--resolver system) may help" in told[0]
    assert "  dns      60 lookups   60 failed   p50 " in done.stderr
