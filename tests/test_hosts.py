"""What is said of single hosts: which table counts for which host, and which names can be none."""

from __future__ import annotations

import pytest

from fetcher.errors import UsageError
from fetcher.hosts import HostConfig, Hosts, HostsConfig
from fetcher.urls import parse_url


def hosts(*names: str) -> Hosts:
    """Tables that can be told apart by their number of retries: the first has 0."""
    return Hosts(HostsConfig(hosts={name: HostConfig(retries=number) for number, name in enumerate(names)}))


def found(tables: Hosts, host: str) -> int | None:
    """The number of the table that counts for a host."""
    said = tables.find(host)
    return None if said is None else said.retries


def test_without_tables_nothing_is_said_of_any_host() -> None:
    """And whoever asks can tell that before."""
    none = hosts()

    assert not none
    assert hosts("a.test")
    assert none.find("a.test") is None
    assert none.name("a.test") is None


@pytest.mark.parametrize(
    ("host", "table"),
    [
        ("api.test", 0),
        ("v1.api.test", 1),
        ("deep.v1.api.test", 1),
        ("one.v2.api.test", 2),
        ("v2.api.test", 1),
        ("api.test.", None),
        ("notapi.test", None),
        ("test", None),
        ("api.test.example", None),
    ],
)
def test_a_name_counts_alone_and_a_star_for_all_below_it(host: str, table: int | None) -> None:
    """A star is not the host itself, and of two stars that fit the longer counts."""
    assert found(hosts("api.test", "*.api.test", "*.v2.api.test"), host) == table


def test_a_name_of_its_own_wins_over_every_star() -> None:
    """In whatever order they are written."""
    assert found(hosts("*.test", "*.b.test", "a.b.test"), "a.b.test") == 2
    assert found(hosts("a.b.test", "*.b.test", "*.test"), "a.b.test") == 0


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("API.Test", "http://api.test/"),
        ("bücher.de", "http://BÜCHER.de/x"),
        ("xn--bcher-kva.de", "http://bücher.de/x"),
        ("*.bücher.de", "https://www.xn--bcher-kva.de/"),
        ("127.0.0.1", "http://127.0.0.1:8080/"),
        ("127.1", "http://127.0.0.1/"),
        ("::1", "http://[::1]:8080/"),
        ("[::1]", "http://[::1]/"),
        ("0:0:0:0:0:0:0:1", "http://[::1]/"),
        ("::ffff:1.2.3.4", "http://[::ffff:102:304]/"),
        ("localhost", "http://LOCALHOST/"),
    ],
)
def test_a_name_is_the_host_of_the_urls_that_have_it(name: str, url: str) -> None:
    """However either is written: case, IDNA, brackets, short addresses."""
    target, _ = parse_url(url)
    tables = hosts("other.test", name)

    assert found(tables, target.origin.host) == 1
    assert tables.name(target.origin.host) == name


@pytest.mark.parametrize(
    "name", ["", "*", "*.", "*.*.a.test", "a.*.test", "a b", "a\tb", " a.test", "a..b", ":80", "*::1", "[::1", "::1]"]
)
def test_what_no_url_can_have_is_no_host(name: str) -> None:
    """The message names it, and what can be written instead."""
    with pytest.raises(UsageError, match=r"is no host .*write a name, an address, or \*\.example\.com") as caught:
        hosts(name)

    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "http://a.test",
        "http:",
        "a.test/",
        "a.test/path",
        "a.test?q",
        "a.test#part",
        "a.test:80",
        "a.test:443",
        "*.a.test:80",
        "[::1]:80",
        "[::1]:8080",
        "user@a.test",
        "user:secret@a.test",
    ],
)
def test_more_than_a_host_is_refused_and_not_cut_to_one(name: str) -> None:
    """A table for one port that counts for all would be a surprise, port 80 included."""
    with pytest.raises(UsageError, match="is more than a host; write the name alone"):
        hosts(name)


def test_no_host_is_below_an_address() -> None:
    """Such a table would never count."""
    with pytest.raises(UsageError, match="no host is below an address"):
        hosts("*.::1")


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.test", "A.TEST"), ("bücher.de", "xn--bcher-kva.de"), ("::1", "[::1]"), ("*.a.test", "*.A.test")],
)
def test_two_names_of_one_host_are_refused(one: str, other: str) -> None:
    """Which of them counts would be a matter of chance."""
    with pytest.raises(UsageError, match="are one host; leave one of them out") as caught:
        hosts(one, other)

    assert repr(one) in str(caught.value)
    assert repr(other) in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"concurrency": 0}, "concurrency must be at least 1, not 0"),
        ({"rate": 0.0}, "rate must be more than 0, and is 0"),
        ({"rate": -2.5}, "rate must be more than 0, and is -2.5"),
        ({"retries": -1}, "retries must not be negative, and is -1"),
        ({"timeout": -0.5}, "timeout must not be negative, and is -0.5; 0 is none"),
    ],
)
def test_a_table_that_cannot_be_is_refused(table: dict[str, float], message: str) -> None:
    """With a sentence, before anything runs."""
    with pytest.raises(UsageError) as caught:
        HostConfig(**table)  # type: ignore[arg-type]  # per test

    assert str(caught.value) == message


def test_a_host_is_found_again_after_more_hosts_than_are_remembered() -> None:
    """What was found is remembered, within a bound, and neither changes what is found."""
    tables = hosts("*.a.test")

    first = [found(tables, f"h{number}.a.test") for number in range(10_000)]
    again = found(tables, "h0.a.test"), found(tables, "h0.b.test")

    assert set(first) == {0}
    assert again == (0, None)
