"""Who we say we are, to whom, and that nobody else ever sees it."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fetcher.cli.main import main
from fetcher.client.config import ClientConfig
from fetcher.client.credentials import Credentials, CredentialsConfig
from fetcher.client.request_heads import RequestHeads
from fetcher.errors import UsageError
from fetcher.hosts import HostConfig, Hosts, HostsConfig
from fetcher.library import fetch_all
from fetcher.model import Job, Request
from fetcher.policy import first_job
from fetcher.settings import Settings
from fetcher.urls import parse_url
from tests.conftest import COMMAND, Afetch, MakeNginx, MakeSite, clean_environment, missing
from tests.servers import Httpbin, Site

SECRET = "s3cret-of-mine"

PATIENCE = 20.0
"""Seconds after which a test that waits for a prompt has failed."""


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


def job(text: str, own: str | None = None, *, trusted: bool = True, entry: str | None = None) -> Job:
    """A hop to a URL, of an entry for another one where that is said."""
    url, _ = parse_url(text)
    first, _ = parse_url(entry or text)
    headers = () if own is None else (("Authorization", own),)
    return replace(first_job(Request(0, text, first, headers=headers), url), trusted=trusted)


def told(heads: RequestHeads, of: Job) -> str | None:
    """What a request says in its Authorization header, which there is once at most."""
    lines = heads.request(of).decode().split("\r\n")
    found = [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]
    assert len(found) <= 1
    return found[0] if found else None


def heads(table: str | None = None, **config: Any) -> RequestHeads:
    hosts = {} if table is None else {"a.test": HostConfig(headers=(("authorization", table),))}
    return RequestHeads(ClientConfig(**config), Hosts(HostsConfig(hosts=hosts)))


@pytest.fixture
def netrc(tmp_path: Path) -> str:
    """A file with two hosts and a default."""
    path = tmp_path / "netrc"
    path.write_text(
        "machine a.test login ann password p:w#1\nmachine B.test\n  login bob\ndefault login any password x\n"
    )
    return str(path)


def authorizations(site: Site) -> list[str | None]:
    return [request.header("authorization") for request in site.log]


# --- Who wins ---


def test_what_is_said_of_less_wins(netrc: str) -> None:
    """An entry's own over its host's table, that over a header of the run, that over --user, that over netrc."""
    run: dict[str, Any] = {"headers": (("Authorization", "run"),), "user": "ann:pw", "netrc_file": netrc}
    at = job("http://a.test/")

    assert told(heads("table", **run), job("http://a.test/", "own")) == "own"
    assert told(heads("table", **run), at) == "table"
    assert told(heads(**run), at) == "run"
    assert told(heads(user="ann:pw", netrc_file=netrc), at) == basic("ann:pw")
    assert told(heads(bearer="t0ken", netrc_file=netrc), at) == "Bearer t0ken"
    assert told(heads(netrc_file=netrc), at) == basic("ann:p:w#1")
    assert told(heads(), at) is None


def test_a_header_without_a_value_says_nobody(netrc: str) -> None:
    """`-H Authorization:` leaves out whatever else would be sent."""
    made = heads(headers=(("Authorization", None),), user="ann:pw", netrc_file=netrc)

    assert told(made, job("http://a.test/")) is None
    assert told(made, job("https://a.test/", trusted=False)) is None


@pytest.mark.parametrize(
    ("user", "sent"),
    [("ann:", "ann:"), ("ann:a:b", "ann:a:b"), (":pw", ":pw"), ("ännä:pässword €", "ännä:pässword €")],
)
def test_a_user_is_sent_as_it_is_written(user: str, sent: str) -> None:
    """The first colon parts user and password; other letters are UTF-8 (RFC 7617)."""
    assert told(heads(user=user), job("http://a.test/")) == basic(sent)


# --- To whom ---


def test_a_user_is_told_the_entrys_own_origin_only() -> None:
    """Not where a redirect led, nor the same host by other means."""
    for made in (heads(user="ann:pw"), heads(bearer="t0ken")):
        assert told(made, job("http://a.test/")) is not None
        assert told(made, job("https://b.test/", trusted=False)) is None


def test_netrc_tells_each_host_its_own(netrc: str) -> None:
    """By name in any case; who is not named gets the default, but not where a redirect led."""
    made = heads(netrc_file=netrc)

    assert told(made, job("http://a.test:81/")) == basic("ann:p:w#1")
    assert told(made, job("http://b.test/")) == basic("bob:")
    assert told(made, job("http://c.test/")) == basic("any:x")
    assert told(made, job("https://b.test/", trusted=False, entry="https://a.test/")) == basic("bob:")
    assert told(made, job("https://c.test/", trusted=False, entry="https://a.test/")) is None


def test_netrc_is_not_told_in_the_clear_where_the_entry_was_not(netrc: str) -> None:
    """Whoever redirects from https must not choose that a password can be overheard; from http nothing is lost."""
    made = heads(netrc_file=netrc)

    assert told(made, job("http://b.test/", trusted=False, entry="https://a.test/")) is None
    assert told(made, job("http://b.test/", trusted=False, entry="http://a.test/")) == basic("bob:")
    assert told(made, job("http://b.test/", trusted=False, entry="https://a.test/")) is None


def test_credentials_that_are_not_sent_do_not_stand_in_the_way(netrc: str) -> None:
    """An entry's own password stays behind at a redirect, and the other host gets what it has by itself."""
    own = job("https://b.test/", "own", trusted=False, entry="https://a.test/")
    tabled = job("https://a.test/", "own", trusted=False, entry="https://b.test/")

    assert told(heads(netrc_file=netrc), own) == basic("bob:")
    assert told(heads("table", headers=(("Authorization", "run"),)), tabled) == "table"


def test_redirects_from_the_command_line(afetch: Afetch, site: Site, make_site: MakeSite) -> None:
    """-u and --bearer stay at home; of netrc, another host gets its own."""
    other = make_site()
    port = other.url().rsplit(":", 1)[1].strip("/")
    start = site.redirect(f"http://localhost:{port}/there")
    near = site.redirect("/here")
    (afetch.folder / "netrc").write_text("machine 127.0.0.1 login a password 1\nmachine localhost login b password 2\n")

    afetch("-4", "-c", "1", "-u", "ann:pw", stdin=f"{start}\n{near}\n")
    afetch("-4", "--bearer", "t0ken", start)
    afetch("-4", "--netrc-file", "netrc", start)

    assert authorizations(site) == [*[basic("ann:pw")] * 3, "Bearer t0ken", basic("a:1")]
    assert authorizations(other) == [None, None, basic("b:2")]


@pytest.mark.parametrize("way", [("-u", "ann:pw"), ("-H", "Authorization: mine"), ("-b", "a=1"), ("-H", "Cookie: a=1")])
def test_a_robots_txt_is_told_nothing(afetch: Afetch, site: Site, make_site: MakeSite, way: tuple[str, str]) -> None:
    """A redirect may have led to its host."""
    other = make_site()
    start = site.redirect(other.page(path="/there"))

    afetch("--robots", *way, start)

    assert [request.target for request in other.log] == ["/robots.txt", "/there"]
    for request in other.log:
        assert (request.header("authorization"), request.header("cookie")) == (None, None)


def test_a_robots_txt_is_not_told_in_the_clear_what_netrc_has(netrc: str) -> None:
    """The entry that wants it may be one over https."""
    made = heads(netrc_file=netrc)

    def robots(text: str) -> Job:
        url, _ = parse_url(text)
        return replace(first_job(Request(-1, text, url), url), trusted=False)

    assert told(made, robots("http://a.test/robots.txt")) is None
    assert told(made, robots("https://a.test/robots.txt")) == basic("ann:p:w#1")


# --- Real servers ---


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("-u", "ann:pw"), {}),
        (("-u", "@user"), {}),
        ((), {"AFETCH_USER": "ann:pw"}),
        (("--netrc",), {"NETRC": "{folder}/netrc"}),
        (("--netrc",), {"HOME": "{folder}"}),
        (("--netrc-file", "netrc"), {"NETRC": "/nowhere"}),
    ],
)
def test_httpbin_lets_us_in(afetch: Afetch, httpbin: Httpbin, arguments: tuple[str, ...], env: dict[str, str]) -> None:
    """/basic-auth wants this user and password, however they are given."""
    (afetch.folder / "user").write_text("ann:pw\n")
    for name in ("netrc", ".netrc"):
        (afetch.folder / name).write_text("machine 127.0.0.1 login ann password pw")
    env = {name: value.format(folder=afetch.folder) for name, value in env.items()}

    done = afetch("--json", *arguments, httpbin.url("/basic-auth/ann/pw"), env=env)

    assert done.records[0]["body"] == {"authenticated": True, "user": "ann"}


@pytest.mark.parametrize(("arguments", "env"), [(("--bearer", "@token"), {}), ((), {"AFETCH_BEARER": "t0k.en=="})])
def test_httpbin_takes_our_token(
    afetch: Afetch, httpbin: Httpbin, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    """/bearer tells which it got."""
    (afetch.folder / "token").write_text("t0k.en==\n")

    done = afetch("--json", *arguments, httpbin.url("/bearer"), env=env)

    assert done.records[0]["body"] == {"authenticated": True, "token": "t0k.en=="}


def test_nginx_lets_us_in(afetch: Afetch, nginx: MakeNginx, tmp_path: Path) -> None:
    """Its basic authentication refuses without, and with another password."""
    (tmp_path / "users").write_text("ann:{PLAIN}pa ss\n")
    server = nginx(f'auth_basic "members only"; auth_basic_user_file {tmp_path}/users;')
    (server.root / "page").write_text("in")
    url = server.url("/page")

    statuses = [afetch("--json", *way, url).records[0]["status"] for way in ((), ("-u", "ann:no"), ("-u", "ann:pa ss"))]

    assert statuses == [401, 401, 200]


# --- Nobody else sees it ---


WAYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "user": (("-u", f"ann:{SECRET}"), {}),
    "user from a variable": ((), {"AFETCH_USER": f"ann:{SECRET}"}),
    "bearer": (("--bearer", SECRET), {}),
    "netrc": (("--netrc-file", "netrc"), {}),
    "cookie": (("-b", f"sid={SECRET}"), {}),
    "cookie from a file": (("-b", "jar"), {}),
    "cookie jar": (("--cookie-jar", "jar"), {}),
    "header": (("-H", f"Authorization: {SECRET}"), {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_shown(afetch: Afetch, site: Site, make_site: MakeSite, way: str) -> None:
    """Neither in a record, the log of -v, progress, an error, nor by --explain; it was sent all the same."""
    arguments, env = WAYS[way]
    (afetch.folder / "netrc").write_text(f"machine 127.0.0.1 login ann password {SECRET}\n")
    (afetch.folder / "jar").write_text(f"127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\t{SECRET}\n")
    other = make_site()
    urls = [
        site.page("in"),
        site.redirect(other.page()),
        site.redirect("/1"),
        site.raw(b"no HTTP\r\n\r\n"),
        "http://127.0.0.1:1/",
    ]
    listed = "\n".join(urls)

    ran = afetch("-v", "--progress", "--json", "-r", "1", "--retry-wait", "1ms", *arguments, stdin=listed, env=env)
    explained = afetch("--explain", *arguments, stdin=listed, env=env)

    assert [explained.returncode, len(ran.records)] == [0, len(urls)]
    assert "***" in explained.stdout
    shown = "".join((ran.stdout, ran.stderr, explained.stdout, explained.stderr))
    assert SECRET not in shown
    assert b64encode(f"ann:{SECRET}".encode()).decode() not in shown
    sent = [request.header("authorization") or request.header("cookie") for request in site.log]
    assert None not in sent
    if way not in {"netrc", "cookie from a file", "cookie jar"}:
        assert {request.header("authorization") or request.header("cookie") for request in other.log} == {None}


def test_the_list_of_processes_does_not_show_what_is_in_a_file(afetch: Afetch, site: Site) -> None:
    """Whoever runs `ps` sees @FILE."""
    program = shutil.which("ps")
    if program is None:
        missing("ps")
    (afetch.folder / "user").write_text(f"ann:{SECRET}")
    gate = site.gate()
    process = afetch.start("-u", "@user", gate.url)
    site.wait(1)

    shown = subprocess.run(
        [program, "-ww", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True, check=True
    )
    gate.open()
    process.wait(PATIENCE)

    assert "@user" in shown.stdout
    assert SECRET not in shown.stdout
    assert authorizations(site) == [basic(f"ann:{SECRET}")]


def test_settings_do_not_show_credentials() -> None:
    """Their repr is what ends up in tracebacks and notebooks."""
    assert SECRET not in repr(Settings(user=f"ann:{SECRET}"))
    assert SECRET not in repr(Settings(bearer=SECRET))


# --- What cannot be ---


NO_PASSWORD = (
    "no password, and nobody to ask for it; write USER:PASSWORD (USER: for an empty one), and to keep it out of the "
    "list of processes @FILE, or AFETCH_USER"
)
NETRC_FORM = "not as netrc files are written (machine HOST login USER password PASSWORD)"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["-u", SECRET],
            f"--user: {NO_PASSWORD}",
        ),
        (["-u", "@none"], "--user: not text, or @FILE with a file of text that can be read"),
        (["-u", f"ann:{SECRET}\nX: y"], "user has a control character or a line break; remove it"),
        (["--bearer", f"{SECRET} x"], "bearer is no token, which is visible ASCII characters without blanks"),
        (["--bearer", "@none"], "--bearer: not text, or @FILE with a file of text that can be read"),
        (
            ["-u", f"ann:{SECRET}", "--bearer", SECRET],
            "--user and --bearer contradict each other (a request says once who it is from); leave one of them out",
        ),
        (["--netrc"], "--netrc: {folder}/.netrc: No such file or directory; name a netrc file that can be read"),
        (["--netrc-file", "none"], "--netrc-file: none: No such file or directory; name a netrc file that can be read"),
        (["--netrc-file", "bad"], f"--netrc-file: bad, line 2: {NETRC_FORM}"),
        (["--netrc-file", "binary"], "--netrc-file: binary: not a netrc file, which is text; name another one"),
    ],
)
def test_what_cannot_be_is_told_of_before_any_request(
    afetch: Afetch, site: Site, arguments: list[str], complaint: str
) -> None:
    """One line on standard error with the way out, status 2, and nothing of what was given."""
    (afetch.folder / "bad").write_text(f"machine 127.0.0.1\nlogin ann passwort {SECRET}\n")
    (afetch.folder / "binary").write_bytes(b"machine a login b password \xff\xfe")

    done = afetch(*arguments, site.page(), env={"HOME": str(afetch.folder)})

    assert done.stderr == f"afetch: {complaint.format(folder=afetch.folder)}\n"
    assert (done.returncode, done.stdout, site.log) == (2, "", [])


def test_a_program_gives_user_and_password(site: Site) -> None:
    """Nobody is asked; the words of the refusal do not repeat what was given."""
    url = site.page()

    fetch_all([url], Settings(user="ann:pw"))
    with pytest.raises(UsageError, match="user has no password") as refused:
        Settings(user=SECRET)

    assert authorizations(site) == [basic("ann:pw")]
    assert SECRET not in str(refused.value)


def test_no_env_leaves_the_variable_of_netrc_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is ~/.netrc."""
    (tmp_path / ".netrc").write_text("machine a.test login home password 1")
    (tmp_path / "other").write_text("machine a.test login other password 2")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "other"))

    assert told(heads(netrc=True), job("http://a.test/")) == basic("other:2")
    assert told(heads(netrc=True, no_env=True), job("http://a.test/")) == basic("home:1")


def test_an_empty_netrc_says_nothing(tmp_path: Path) -> None:
    """Nor does an entry without login and password."""
    (tmp_path / "netrc").write_text("# nobody\nmachine a.test\n")

    assert not Credentials(CredentialsConfig(netrc_file=str(tmp_path / "netrc")))


# --- The terminal ---


def prompted(afetch: Afetch, answer: bytes, *arguments: str) -> tuple[int, str, str]:
    """Exit status, what the terminal showed, standard output, of a run whose input and errors are a terminal."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=slave,
        stderr=slave,
        stdout=subprocess.PIPE,
        cwd=afetch.folder,
        env=clean_environment(),
        # Else it would be the tester's own terminal that is asked.
        start_new_session=True,
    )
    os.close(slave)
    shown, deadline, answered = b"", time.monotonic() + PATIENCE, False
    try:
        while time.monotonic() < deadline and select.select([master], [], [], PATIENCE)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
            if not answered and b"Password for ann: " in shown:
                answered = True
                os.write(master, answer)
        out, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        os.close(master)
    return process.returncode, shown.decode(), out.decode()


def test_a_password_that_is_left_out_is_asked_for(afetch: Afetch, site: Site) -> None:
    """On a terminal, without showing what is typed."""
    status, shown, _ = prompted(afetch, f"{SECRET}\n".encode(), "-u", "ann", site.page())

    assert (status, authorizations(site)) == (0, [basic(f"ann:{SECRET}")])
    assert "Password for ann: " in shown
    assert SECRET not in shown


def test_nobody_is_asked_where_the_terminal_gives_the_list(afetch: Afetch, site: Site) -> None:
    """It cannot give both."""
    status, shown, _ = prompted(afetch, b"no\n", "-u", "ann", "-")

    assert status == 2
    assert "Password" not in shown
    assert "nobody to ask" in shown


def test_whoever_does_not_answer_ends_it(afetch: Afetch, site: Site) -> None:
    """End of input at the prompt is no empty password."""
    status, _, _ = prompted(afetch, b"\x04", "-u", "ann", site.page())

    assert status == 130
    assert site.log == []


def test_nobody_is_asked_to_explain(capfd: pytest.CaptureFixture[str]) -> None:
    """What would be sent is hidden anyway."""
    assert main(["--explain", "-u", "ann", "http://a.test/"]) == 0
    assert "Authorization: ***" in capfd.readouterr().out
