"""What `--explain` says, and that it does nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fetcher import __version__
from tests.conftest import COMMAND, Afetch, MakeRawServer, clean_environment
from tests.servers import Site, reply

SECRET = "s3cret"

FULL = Path("/dev/full")

WATCHED = """
import sys

def watch(event, arguments):
    if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        print(event, arguments, file=sys.stderr)

sys.addaudithook(watch)
# Its sockets would be opened where no hook sees them.
sys.modules["uvloop"] = None
from fetcher.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""The command, which tells of every lookup and connection that it begins."""


def rows(text: str, part: str) -> dict[str, list[str]]:
    """The rows of a part, by their names."""
    [found] = [block for block in text.split("\n\n") if block.splitlines()[0] == part]
    named: dict[str, list[str]] = {}
    for line in found.splitlines()[1:]:
        name, value = line[2:17].strip(), line[17:]
        if name:
            named[name] = [value]
        else:
            list(named.values())[-1].append(value)
    return named


def titles(text: str) -> list[str]:
    """The first line of each part."""
    return [block.splitlines()[0] for block in text.split("\n\n")]


def test_a_url_is_explained_in_full(afetch: Afetch) -> None:
    """The request, its host, its limits, and what holds for the run: all is told, within 80 columns."""
    done = afetch("https://example.com/a?b=c", "--explain", "--rate", "50/s", "-t", "2m", env={"AFETCH_PER_HOST": "2"})

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
https://example.com/a?b=c
  request        GET /a?b=c HTTP/1.1
                 Host: example.com
                 User-Agent: afetch/{__version__}
                 Accept: */*
                 Accept-Encoding: gzip, deflate, br, zstd
  body           none
  host           example.com, port 443
  to this host   2 requests at once
  timeout        2m for an attempt
  retries        up to 2
  trusts         certifi's authorities

The run
  slots          50 requests at once
  rate           50/s
  look-ahead     10,000 entries
  connecting     10s
  silence        30s
  tried again    after dns, refused, unreachable, connect-timeout, proxy,
                 disconnected, read-timeout, timeout, incomplete, local, 408,
                 429, 500, 502, 503, 504
  waits          up to 1s, then twice that and so on up to 1m; none begins 10m
                 after the first
  Retry-After    is kept to, up to 5m; beyond that a reply is final
  refused        429, or 503 with Retry-After, up to 10 times an entry: the host
                 is left alone a while, then gets less at once
  unconnected    20 failures in a row take an origin out
  no network     is waited for, up to 1m
  redirects      up to 10 are followed
  connections    are kept for 15s
  names          are looked up by aiodns, and the system where that has trouble,
                 within 8s
  robots.txt     is not asked for
  body           up to 50M
  output         text on standard output
  exit status    1 if more than 0 fail (--fail-on any)
  said           AFETCH_PER_HOST 2
                 --rate 50/s
                 --timeout 2m
"""
    )


def test_what_is_explained_is_what_is_sent(afetch: Afetch, raw_server: MakeRawServer) -> None:
    """The head that is shown is the wire's, line by line."""
    server = raw_server([reply(b"")])
    url = server.url("/a%2Fb?c=d")
    options = ("-d", "e=f", "-H", "Accept: text/html", "--param", "g=h i", "--no-keepalive")

    explained = afetch(url, "--explain", *options)
    before = list(server.requests)
    fetched = afetch(url, *options)

    assert fetched.returncode == 0
    assert before == []
    [sent] = server.requests
    head, _, body = sent.partition(b"\r\n\r\n")
    assert rows(explained.stdout, url)["request"] == head.decode().split("\r\n")
    assert rows(explained.stdout, url)["body"] == [f"{len(body)} bytes"]


def test_nothing_is_looked_up_or_connected_to(afetch: Afetch, site: Site) -> None:
    """Neither the site of the URL nor the resolver hears of it, nor does its robots.txt."""
    arguments = [site.page(), "http://localhost/", "http://no.such.example/", "--explain", "--robots"]

    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert site.log == []
    assert afetch(site.page(), "-q").returncode == 0
    assert len(site.log) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "refused without --resume or --overwrite: not empty"),
        (("--overwrite",), "which is replaced"),
        (("--resume",), "which is gone on with: 9 B are there"),
    ],
)
def test_an_output_is_told_of_and_left_alone(afetch: Afetch, arguments: Sequence[str], told: str) -> None:
    """What is in the file stays, --overwrite or not."""
    (afetch.folder / "out.jsonl").write_text("precious\n")

    done = afetch("http://a/", "--explain", "-o", "out.jsonl", *arguments)

    assert done.returncode == 0
    assert " ".join(rows(done.stdout, "The run")["output"]) == f"jsonl in out.jsonl, {told}"
    assert (afetch.folder / "out.jsonl").read_text() == "precious\n"


def test_several_outputs_are_told_of(afetch: Afetch) -> None:
    """A row each, the file for what failed too, and what was said is told as it was."""
    done = afetch("http://a/", "--explain", "-o", "a.jsonl.gz", "-o", "-", "--failed", "f.txt")

    assert re.findall("^  output +(.*)", done.stdout, re.MULTILINE) == [
        "jsonl in a.jsonl.gz",
        "text on standard output",
    ]
    assert rows(done.stdout, "The run")["failed"] == ["entries in f.txt"]
    assert rows(done.stdout, "The run")["said"] == ["--output a.jsonl.gz, -", "--failed f.txt"]
    assert list(afetch.folder.iterdir()) == []


def test_an_output_is_not_made(afetch: Afetch) -> None:
    """A file that is not there is not there afterwards; one that could not be made is told of."""
    fine = afetch("http://a/", "--explain", "-o", "new.json")
    lost = afetch("http://a/", "--explain", "-o", "no/new.json")

    assert rows(fine.stdout, "The run")["output"] == ["json in new.json"]
    assert rows(lost.stdout, "The run")["output"] == ["json in no/new.json, refused: there is no no"]
    assert list(afetch.folder.iterdir()) == []


def test_no_secret_is_told(afetch: Afetch) -> None:
    """Whatever way a credential was given, it is not shown; the query is, as it is sent."""
    (afetch.folder / "afetch.toml").write_text(
        f'header = ["X-Api-Key: {SECRET}"]\n[hosts."b.example"]\nheaders = {{ Private-Token = "{SECRET}" }}\n'
    )
    arguments = ["-H", f"Cookie: a={SECRET}", "-H", f"X-Vault-Token: {SECRET}", "-d", f"password={SECRET}"]
    urls = [f"https://u:{SECRET}@a.example/?key=shown", "http://b.example/"]

    done = afetch(
        *urls,
        "--explain",
        "--config",
        "afetch.toml",
        "--base-url",
        f"http://u:{SECRET}@a/",
        *arguments,
        env={"AFETCH_PARAM": f"token={SECRET}-in-query"},
    )
    shown = done.stdout.replace(f"token={SECRET}-in-query", "")

    assert done.returncode == 0
    assert "?key=shown" in shown
    assert SECRET not in shown + done.stderr
    assert shown.count(": ***") == 3 + 3
    assert "--base-url http://u:***@a/" in rows(shown, "The run")["said"]


def test_a_hosts_table_is_named_with_its_limits(afetch: Afetch) -> None:
    """Each entry has the limits of the table that counts for it, and says where that stands."""
    (afetch.folder / "afetch.toml").write_text(
        """
        per-host-rate = "100/m"
        [hosts."*.example.com"]
        concurrency = 1
        rate = "30/m"
        retries = 5
        timeout = 0
        headers = { Accept = "text/html" }
        """
    )

    done = afetch("http://api.example.com/", "http://other.example/", "--explain", "--config", "afetch.toml")

    special, plain = rows(done.stdout, "http://api.example.com/"), rows(done.stdout, "http://other.example/")
    assert special["its table"] == ['afetch.toml: [hosts."*.example.com"]']
    assert special["to this host"] == ["1 request at once, no more than 30/m"]
    assert special["retries"] == ["up to 5"]
    assert special["timeout"] == ["no limit"]
    assert "Accept: text/html" in special["request"]
    assert "its table" not in plain
    assert plain["to this host"] == ["no more than 100/m"]
    assert plain["retries"] == ["up to 2"]
    assert plain["timeout"] == ["30s for an attempt"]
    assert "Accept: */*" in plain["request"]
    assert rows(done.stdout, "The run")["said"] == ["afetch.toml: per-host-rate 100/m", "afetch.toml: 1 table of hosts"]


def test_files_are_told_by_their_names(afetch: Afetch) -> None:
    """What only a reply tells is open; the limits that give way to files are none, and there is no folder yet."""
    done = afetch("http://a/x/", "http://a/b.pdf", "--explain", "--save", "files")

    assert [rows(done.stdout, url)["file"] for url in ("http://a/x/", "http://a/b.pdf")] == [
        ["a/16/index-16f18436c4{ext}"],
        ["a/b5/b-b5e6eb7143.pdf"],
    ]
    assert rows(done.stdout, "http://a/x/")["timeout"] == ["no limit"]
    run = rows(done.stdout, "The run")
    assert (run["body"], run["saved"]) == (
        ["of any size"],
        ["below files where a reply succeeds, and not in its record"],
    )
    assert list(afetch.folder.iterdir()) == []


def test_each_setting_is_told_as_it_is(afetch: Afetch) -> None:
    """What is off is told as off, what is chosen as chosen."""
    options = [
        *("-c", "auto", "--limit-rate", "2M", "--min-speed", "1k:30", "--max-time", "1h", "--retry-on", "5xx,dns"),
        *("--retry-max-time", "0", "--no-adapt", "--breaker", "0", "--outage-wait", "0", "--no-follow", "--robots"),
        *("--no-keepalive", "--max-size", "0", "-k", "--connect-timeout", "0", "--max-failures", "5%", "-r", "0"),
        *("--resolver", "system", "-4", "--block-private", "--unique", "--ordered"),
    ]

    done = afetch("https://a/", "https://A/#again", "--explain", *options)

    assert "#again" not in done.stdout
    entry, run = rows(done.stdout, "https://a/"), rows(done.stdout, "The run")
    assert entry["trusts"] == ["every certificate"]
    assert entry["robots.txt"] == ["https://a/robots.txt"]
    assert entry["retries"] == ["none"]
    assert {name: " ".join(lines) for name, lines in run.items() if name != "said"} == {
        "slots": "as many as do best, up to 1,000",
        "rate": "no limit",
        "bytes": "2M/s",
        "repeats": "are dropped: the same method, URL and body as an earlier entry",
        "look-ahead": "10,000 entries",
        "connecting": "no limit",
        "silence": "30s",
        "too slow": "below 1k:30",
        "the run": "ends after 1h, with exit status 1",
        "tried again": "after 5xx, dns",
        "waits": "up to 1s, then twice that and so on up to 1m",
        "Retry-After": "is kept to, up to 5m; beyond that a reply is final",
        "refused": "429, or 503 with Retry-After, up to 10 times an entry: the host is left alone a while",
        "unconnected": "no origin is taken out",
        "no network": "is no pause",
        "redirects": "are not followed",
        "connections": "are closed after each reply",
        "names": "are looked up by the system, within 8s, IPv4 only, and only public addresses are connected to",
        "robots.txt": "is asked for before and kept to",
        "body": "of any size",
        "output": "text on standard output",
        "order": "of the input: records wait for those before them",
        "exit status": "1 if more than 5% fail (--fail-on any)",
    }


def test_a_method_that_may_not_be_repeated_says_when_it_is(afetch: Afetch) -> None:
    """A POST is tried again only where nothing was sent, unless --retry-on asks for it."""
    cautious = afetch("http://a/", "--explain", "-d", "x")
    asked = afetch("http://a/", "--explain", "-d", "x", "--retry-on", "503")
    never = afetch("http://a/", "--explain", "-d", "x", "--retry-on", "none")

    assert " ".join(rows(cautious.stdout, "http://a/")["retries"]) == (
        "up to 2; for POST only after connect-timeout, dns, proxy, refused, unreachable, when nothing had been sent"
    )
    assert rows(asked.stdout, "http://a/")["retries"] == ["up to 2"]
    assert rows(never.stdout, "http://a/")["retries"] == ["none"]
    assert rows(never.stdout, "The run")["tried again"] == ["nothing"]


def test_an_entry_that_cannot_be_sent_says_why(afetch: Afetch) -> None:
    """It is explained like any other, and is no failure of the command: nothing was to be fetched."""
    done = afetch("--explain", "-", stdin="foo\n")

    assert done.returncode == 0
    assert " ".join(rows(done.stdout, "foo")["nothing sent"]) == (
        "invalid-url: no scheme: write http:// or https:// before it, or give --base-url"
    )


def test_a_long_list_is_explained_in_part(afetch: Afetch) -> None:
    """Ten entries, and the word that there are more; all that --limit asks for."""
    entries = "".join(f"http://a/{number}\n" for number in range(1, 10_000))

    some = afetch("--explain", stdin=entries)
    more = afetch("--explain", "--limit", "12", stdin=entries)
    whole = afetch("--explain", stdin="\n".join(entries.splitlines()[:10]))

    assert titles(some.stdout) == [
        *(f"http://a/{number}" for number in range(1, 11)),
        "The run",
        "The list goes on: --limit N explains N entries, not 10.",
    ]
    assert titles(more.stdout) == [*(f"http://a/{number}" for number in range(1, 13)), "The run"]
    assert titles(whole.stdout) == [*(f"http://a/{number}" for number in range(1, 11)), "The run"]


def test_a_list_without_entries_is_told(afetch: Afetch) -> None:
    """Comments are no entries, and the settings are explained all the same."""
    done = afetch("--explain", stdin="# nothing yet\n")

    assert done.returncode == 0
    assert titles(done.stdout) == ["There is no entry in the list: nothing would be sent.", "The run"]


def test_a_list_that_never_ends_is_explained(afetch: Afetch) -> None:
    """`yes URL | afetch --explain` ends, because no more is read than is told."""
    with afetch.start("--explain", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"http://a/\n" * 20)
        process.stdin.flush()

        told = process.stdout.read()
        status = process.wait(timeout=30)

    assert status == 0
    assert told.count(b"\nhttp://a/\n") == 9


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("no.txt",), "no.txt: no such file"),
        (("https://a/", "--cacert", "no.pem"), "no.pem: No such file or directory"),
        (("https://a/", "--demo"), "--demo and SOURCE contradict each other"),
        (("--demo",), "--demo and --explain contradict each other"),
    ],
)
def test_what_would_keep_the_run_from_beginning_is_a_mistake(
    afetch: Afetch, arguments: Sequence[str], complaint: str
) -> None:
    """A list that cannot be read, a file without certificates, options that contradict: status 2, as without it."""
    done = afetch("--explain", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"afetch: {complaint}")
    assert done.stderr.count("\n") == 1


def test_what_was_overruled_was_not_said(afetch: Afetch) -> None:
    """Only the words that count are told, by the names that the user gave them."""
    (afetch.folder / "afetch.toml").write_text("no-follow = true\ntimeout = 3\njson = true\nquiet = false\n")

    done = afetch("http://a/", "--explain", "--config", "afetch.toml", "--max-redirects", "4", "-t", "5")

    assert rows(done.stdout, "The run")["said"] == ["--timeout 5", "--max-redirects 4", "afetch.toml: json"]


def test_nothing_said_is_told_as_that(afetch: Afetch) -> None:
    """Where no option was given there is nobody to name."""
    done = afetch("http://a/", "--explain")

    assert rows(done.stdout, "The run")["said"] == ["nothing: all is as afetch --help has it"]


def test_what_moves_a_terminal_is_escaped(afetch: Afetch) -> None:
    """A list from elsewhere cannot paint the screen."""
    done = afetch("--explain", stdin="http://a/\x1b[2J\n")

    assert "\x1b" not in done.stdout
    assert titles(done.stdout)[0] == "http://a/\\x1b[2J"


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals(variables: dict[str, str], *, coloured: bool) -> None:
    """Titles stand out on a terminal, unless NO_COLOR says not to; a pipe has none, as above."""
    master, slave = os.openpty()
    environment = {**clean_environment(), "TERM": "xterm-256color", **variables}

    with subprocess.Popen([*COMMAND, "--explain", "http://a/"], stdout=slave, env=environment) as process:
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:
            pass
        finally:
            os.close(master)
        process.wait(timeout=60)

    assert (b"\x1b[1mhttp://a/\x1b[0m" in seen) is coloured
    assert (b"\x1b" in seen) is coloured


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_told() -> None:
    """What cannot be written is status 2 and one line, as for records."""
    with FULL.open("wb") as full:
        ended = subprocess.run(
            [*COMMAND, "--explain", "http://a/"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            text=True,
            check=False,
            timeout=60,
        )

    assert ended.returncode == 2
    assert ended.stderr.startswith("afetch: standard output: ")
    assert ended.stderr.count("\n") == 1
