"""What a request's bytes are, for whom, and what a person may see of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fetcher.client.config import ClientConfig
from fetcher.client.request_heads import CREDENTIALS, RequestHeads, shown_head
from fetcher.hosts import HostConfig, Hosts, HostsConfig
from fetcher.model import Job, Request
from fetcher.policy import first_job
from fetcher.urls import parse_url


def job(text: str, headers: tuple[tuple[str, str], ...] = (), *, body: bytes | None = None) -> Job:
    """The first job of an entry."""
    url, _ = parse_url(text)
    return first_job(Request(0, text, url, "GET" if body is None else "POST", body, headers), url)


def heads(run: dict[str, str | None], **tables: dict[str, str | None]) -> RequestHeads:
    """Of a run whose headers are these, and of hosts (`a_example` is a.example) whose tables have those."""
    hosts = {name.replace("_", "."): HostConfig(headers=tuple(headers.items())) for name, headers in tables.items()}
    return RequestHeads(ClientConfig(headers=tuple(run.items())), Hosts(HostsConfig(hosts=hosts)))


def fields(request: bytes) -> dict[str, str]:
    """The headers of a request."""
    head = request.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def test_a_hosts_header_wins_over_the_runs_and_the_entrys_over_both() -> None:
    """What is said of less wins over what is said of more; each name is sent once."""
    made = heads({"A": "run", "B": "run", "C": "run"}, a_example={"b": "host", "c": "host"})

    sent = made.request(job("http://a.example/", (("C", "own"),)))

    assert {name: value for name, value in fields(sent).items() if name in "AaBbCc"} == {
        "A": "run",
        "b": "host",
        "C": "own",
    }


def test_a_hosts_header_goes_to_that_host_only() -> None:
    """Another origin's head, prepared from the same run, has none of it."""
    made = heads({}, a_example={"Authorization": "Bearer x"})

    with_it = made.request(job("http://a.example/"))
    without = made.request(job("http://b.example/"))

    assert fields(with_it)["Authorization"] == "Bearer x"
    assert "Authorization" not in fields(without)


def test_a_host_may_do_without_a_header() -> None:
    """None drops the run's header, and ours, for that host."""
    made = heads({"A": "run"}, a_example={"A": None, "Accept": None})

    sent = fields(made.request(job("http://a.example/")))

    assert "A" not in sent
    assert "Accept" not in sent


@pytest.mark.parametrize(("scheme", "arrives"), [("https", True), ("http", False)])
@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_a_hosts_credentials_follow_a_redirect_to_it_but_not_in_the_clear(
    name: str, scheme: str, *, arrives: bool
) -> None:
    """They were given for that host, and whoever redirects there must not choose that they can be overheard."""
    made = heads({name: "run"}, a_example={name: "host"})

    sent = fields(made.request(replace(job(f"{scheme}://a.example/"), trusted=False)))

    assert sent.get(name) == ("host" if arrives else None)


def test_a_header_that_is_no_text_is_sent_as_it_was_given() -> None:
    """A byte that the shell gave is that byte on the wire."""
    made = heads({"A": "caf\udce9"})

    assert b"\r\nA: caf\xe9\r\n" in made.request(job("http://a.example/"))


def test_what_is_shown_of_a_head_has_no_secret() -> None:
    """Every credential is hidden, whatever its case; the rest, the query included, is as it is sent."""
    secrets = {name.title(): "s3cret" for name in CREDENTIALS} | {"X-Vault-Token": "s3cret", "X-My-Secret": "s3cret"}
    made = heads({**secrets, "Accept": "text/html", "Cookie2": ""})

    lines = shown_head(made.request(job("http://a.example/x?key=1", body=b"s3cret\r\n\r\n")))

    assert lines[0] == "POST /x?key=1 HTTP/1.1"
    assert "Accept: text/html" in lines
    assert [line for line in lines if "s3cret" in line] == []
    assert [line.partition(": ")[0] for line in lines if line.endswith("***")] == list(secrets)


@pytest.mark.parametrize("proxy", ["http://ann:pw@p:1", "https://ann:pw@p:1"])
def test_an_http_proxy_is_sent_the_whole_url_and_its_credentials(proxy: str) -> None:
    """For http, and wherever a redirect leads; a request for https goes through it as to anybody else."""
    made = RequestHeads(ClientConfig(proxy=proxy))

    plain = made.request(replace(job("http://[::1]:81/a?b=c%2F"), trusted=False))
    with_body = made.request(job("http://a.example/", (("A", "b"),), body=b"x"))
    tunnelled = made.request(job("https://a.example/a"))

    assert plain.startswith(b"GET http://[::1]:81/a?b=c%2F HTTP/1.1\r\nHost: [::1]:81\r\n")
    assert with_body.startswith(b"POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n")
    assert fields(plain)["Proxy-Authorization"] == fields(with_body)["Proxy-Authorization"] == "Basic YW5uOnB3"
    assert tunnelled.startswith(b"GET /a HTTP/1.1\r\n")
    assert "Proxy-Authorization" not in fields(tunnelled)
    assert "Proxy-Authorization: ***" in shown_head(plain)


def test_a_socks_server_and_no_proxy_change_no_request() -> None:
    """Nobody on the way reads it."""
    bare = RequestHeads(ClientConfig(no_env=True)).request(job("http://a.example/"))

    for config in (
        ClientConfig(proxy="socks5://ann:pw@p:1"),
        ClientConfig(proxy="http://p:1", proxy_variables=(("no_proxy", "a.example"),)),
    ):
        assert RequestHeads(config).request(job("http://a.example/")) == bare
