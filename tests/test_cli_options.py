"""What is written on the command line, in the environment and in a file, and what it becomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.backends.config import ProcessesConfig
from fetcher.cli.contradictions import RIVALS
from fetcher.cli.main import command, main
from fetcher.cli.options.option import Alias, Setting
from fetcher.cli.status import ExitStatus
from fetcher.cli.values import FASTEST, LARGEST, LONGEST, Header, MinSpeed, Rate, Seconds, Size, Speed, Value
from fetcher.client.config import ClientConfig
from fetcher.client.names.config import NamesConfig
from fetcher.errors import SinkError
from fetcher.frontier.config import FrontierConfig
from fetcher.hosts import HostConfig
from fetcher.policy import PolicyConfig
from fetcher.record import RecordConfig
from fetcher.robots import RobotsConfig
from fetcher.saving.config import SavingConfig
from fetcher.screen import ScreenConfig
from fetcher.settings import ROOMS, Settings
from fetcher.sinks.config import FORMATS, OutputConfig
from fetcher.sources.config import SourceConfig
from fetcher.verdict import VerdictConfig


@dataclass
class Launched:
    """What the command handed to the run, or to the demo."""

    sources: tuple[str, ...] | None = None
    settings: Settings = field(default_factory=Settings)
    output: OutputConfig = field(default_factory=OutputConfig)
    screen: ScreenConfig = field(default_factory=ScreenConfig)
    demo: bool = False
    answer: Callable[[], int] = lambda: 0

    def launch(self, sources: tuple[str, ...], settings: Settings, output: OutputConfig, screen: ScreenConfig) -> int:
        self.sources, self.settings, self.output, self.screen = sources, settings, output, screen
        return self.answer()

    def show(self, settings: Settings, output: OutputConfig, screen: ScreenConfig) -> int:
        self.demo = True
        return self.launch((), settings, output, screen)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AFETCH_"):
            monkeypatch.delenv(name)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Launched:
    """The run is taken down instead of made."""
    told = Launched()
    for name, function in (("launch", told.launch), ("demo", told.show)):
        module = ModuleType(f"fetcher.cli.{name}")
        setattr(module, name, function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return told


def real(arguments: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AFETCH_")}
    return subprocess.run(
        [sys.executable, "-m", "fetcher", *arguments],
        env=environment | more.pop("env", {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **({"stdin": subprocess.DEVNULL} | more),
    )


MEANINGS: list[tuple[list[str], type, str, Any]] = [
    (["--base-url", "http://a/b"], SourceConfig, "base_url", "http://a/b"),
    (["--limit", "5"], SourceConfig, "limit", 5),
    (["--unique"], SourceConfig, "unique", True),
    (["--input-format", "tsv"], SourceConfig, "input_format", "tsv"),
    (["--url-column", "link"], SourceConfig, "url_column", "link"),
    (["-X", "PUT"], SourceConfig, "method", "PUT"),
    (["--method", "PUT"], SourceConfig, "method", "PUT"),
    (["-d", "a=b"], SourceConfig, "data", b"a=b"),
    (["--data", "é"], SourceConfig, "data", "é".encode()),
    (["-d", "a=b", "-d", "c"], SourceConfig, "data", b"a=b&c"),
    (["--data-json", '{"a": [1]}'], SourceConfig, "data_json", b'{"a": [1]}'),
    (["--form", "a=b", "--form", "c=@d;type=text/csv"], SourceConfig, "form", (("a", "b"), ("c", "@d;type=text/csv"))),
    (["--range", "0-499"], SourceConfig, "range", "0-499"),
    (["-I"], SourceConfig, "method", "HEAD"),
    (["--head", "-X", "HEAD"], SourceConfig, "method", "HEAD"),
    (["-X", "head,get"], SourceConfig, "method", "head,get"),
    (["--param", "a=b=c", "--param", "d="], SourceConfig, "params", (("a", "b=c"), ("d", ""))),
    (["-H", "A: b", "--header", "A:c "], ClientConfig, "headers", (("A", "b"), ("A", "c"))),
    (["-H", "A;", "-H", "Accept:"], ClientConfig, "headers", (("A", ""), ("Accept", None))),
    (["-A", "me"], ClientConfig, "user_agent", "me"),
    (["-c", "7"], ClientConfig, "concurrency", 7),
    (["--concurrency=7"], ClientConfig, "concurrency", 7),
    (["-c", "auto"], ClientConfig, "concurrency", "auto"),
    (["--per-host", "2"], FrontierConfig, "per_host", 2),
    (["--rate", "50/s"], FrontierConfig, "rate", 50.0),
    (["--rate", "0.5"], FrontierConfig, "rate", 0.5),
    (["--per-host-rate", "30/m"], FrontierConfig, "per_host_rate", 0.5),
    (["--limit-rate", "2M/s"], ClientConfig, "limit_rate", 2.0 * 1024**2),
    (["--limit-rate", "500k"], ClientConfig, "limit_rate", 500.0 * 1024),
    (["--window", "100"], FrontierConfig, "window", 100),
    (["--processes", "2"], ProcessesConfig, "processes", 2),
    (["--processes", "auto"], ProcessesConfig, "processes", "auto"),
    (["--min-speed", "1k:30"], ClientConfig, "min_speed", (1024, 30.0)),
    (["--max-time", "2h"], VerdictConfig, "max_time", 7200.0),
    (["--save", "files"], SavingConfig, "save", "files"),
    (["-t", "0.5"], ClientConfig, "timeout", 0.5),
    (["--timeout", "2m"], ClientConfig, "timeout", 120.0),
    (["--connect-timeout", "500ms"], ClientConfig, "connect_timeout", 0.5),
    (["--read-timeout", "1h"], ClientConfig, "read_timeout", 3600.0),
    (["--cacert", "ca.pem"], ClientConfig, "cacert", "ca.pem"),
    (["-k"], ClientConfig, "insecure", True),
    (["--insecure-host", "a.test", "--insecure-host", "b.test"], ClientConfig, "insecure_hosts", ("a.test", "b.test")),
    (["--system-certs"], ClientConfig, "system_certs", True),
    (["--cert", "me.pem"], ClientConfig, "cert", "me.pem"),
    (["-x", "socks5://p:1"], ClientConfig, "proxy", "socks5://p:1"),
    (["--no-env"], ClientConfig, "no_env", True),
    (["--keepalive", "3"], ClientConfig, "keepalive", 3.0),
    (["--no-keepalive"], ClientConfig, "keepalive", 0.0),
    (["--resolve", "a:80:192.0.2.1", "--resolve", "*:80:::1"], NamesConfig, "resolve", ("a:80:192.0.2.1", "*:80:::1")),
    (["--resolver", "system"], NamesConfig, "resolver", "system"),
    (["--dns-timeout", "500ms"], NamesConfig, "dns_timeout", 0.5),
    (["-4"], NamesConfig, "ipv4", True),
    (["--ipv6"], NamesConfig, "ipv6", True),
    (["--block-private"], NamesConfig, "block_private", True),
    (["--robots"], RobotsConfig, "robots", True),
    (["--max-size", "64M"], ClientConfig, "max_size", 64 * 1024**2),
    (["--max-ratio", "50"], ClientConfig, "max_ratio", 50),
    (["-b", "a=b; c=d", "--cookie", "jar.txt"], ClientConfig, "cookies", ("a=b; c=d", "jar.txt")),
    (["--cookie-jar", "jar.txt"], ClientConfig, "cookie_jar", "jar.txt"),
    (["-u", "ann:p:w"], ClientConfig, "user", "ann:p:w"),
    (["--user", "ann:"], ClientConfig, "user", "ann:"),
    (["--bearer", "t0k.en=="], ClientConfig, "bearer", "t0k.en=="),
    (["--netrc"], ClientConfig, "netrc", True),
    (["--netrc-file", "netrc"], ClientConfig, "netrc_file", "netrc"),
    (["--no-compress"], ClientConfig, "compress", False),
    (["-r", "0"], PolicyConfig, "retries", 0),
    (["--retry-on", "5xx, dns"], PolicyConfig, "retry_on", ("5xx", "dns")),
    (["--retry-wait", "500ms"], PolicyConfig, "retry_wait", 0.5),
    (["--retry-wait-max", "5m"], PolicyConfig, "retry_wait_max", 300.0),
    (["--retry-wait-max", "0"], PolicyConfig, "retry_wait_max", 0.0),
    (["--retry-max-time", "1h"], PolicyConfig, "retry_max_time", 3600.0),
    (["--retry-after-max", "0"], PolicyConfig, "retry_after_max", 0.0),
    (["--no-adapt"], FrontierConfig, "adapt", False),
    (["--breaker", "0"], FrontierConfig, "breaker", 0),
    (["--outage-wait", "1h"], FrontierConfig, "outage_wait", 3600.0),
    (["--no-follow"], PolicyConfig, "follow", False),
    (["--max-redirects", "3"], PolicyConfig, "max_redirects", 3),
    (["--body", "none"], RecordConfig, "body", "none"),
    (["--fail-on", "none"], VerdictConfig, "fail_on", ("none",)),
    (["--max-failures", "5%"], VerdictConfig, "max_failures", "5%"),
    (["--fail-fast"], VerdictConfig, "fail_fast", True),
    (["-o", "out.json", "--output", "-"], OutputConfig, "output", ("out.json", "-")),
    (["--cache", "seen"], OutputConfig, "cache", "seen"),
    (["--template", "{url}\\t"], OutputConfig, "template", "{url}\\t"),
    (["--failed", "failed.txt"], OutputConfig, "failed", "failed.txt"),
    (["--only", "404,dns"], OutputConfig, "only", ("404", "dns")),
    (["-f", "json"], OutputConfig, "format", "json"),
    (["--json"], OutputConfig, "format", "jsonl"),
    (["--json", "-f", "jsonl"], OutputConfig, "format", "jsonl"),
    (["--ordered"], OutputConfig, "ordered", True),
    (["--overwrite"], OutputConfig, "overwrite", True),
    (["--resume"], OutputConfig, "resume", True),
    (["--retry-failed", "dns,5xx"], OutputConfig, "retry_failed", ("dns", "5xx")),
    (["--progress"], ScreenConfig, "progress", True),
    (["--no-progress"], ScreenConfig, "progress", False),
    (["-q"], ScreenConfig, "quiet", True),
    (["-v"], ScreenConfig, "verbose", True),
]


PAIRED: list[tuple[list[str], type, dict[str, Any]]] = [
    (["--cert", "me.pem", "--key", "me.key"], Settings, {"cert": "me.pem", "key": "me.key"}),
    (["--cert", "me.pem", "--key-password", "x y"], Settings, {"cert": "me.pem", "key_password": "x y"}),
    (["--cache", "seen", "--changed-only"], OutputConfig, {"cache": "seen", "changed_only": True}),
    (["--save", "files", "--name", "{index}"], Settings, {"save": "files", "save_name": "{index}"}),
    (["--save", "files", "-R"], Settings, {"save": "files", "remote_time": True}),
    (["--save", "files", "--remote-time"], Settings, {"save": "files", "remote_time": True}),
    (["-f", "csv", "--fields", "url,ok"], OutputConfig, {"format": "csv", "fields": ("url", "ok")}),
]
"""Options that mean something only beside another."""


@pytest.mark.parametrize(("arguments", "kind", "fields"), PAIRED, ids=lambda part: str(part))
def test_an_option_that_needs_another_is_a_field_beside_it(
    launched: Launched, monkeypatch: pytest.MonkeyPatch, arguments: list[str], kind: type, fields: dict[str, Any]
) -> None:
    """Both are set, on the command line and as variables, and alone the second is refused."""
    variables = {
        param.field: f"AFETCH_{str(param.name).upper()}" for param in command.params if isinstance(param, Setting)
    }
    together = main([*arguments, "x"])
    by_options = launched.settings, launched.output
    for name, value in fields.items():
        monkeypatch.setenv(
            variables[name], "1" if value is True else ",".join(value) if isinstance(value, tuple) else value
        )
    main(["x"])
    by_variables = launched.settings, launched.output
    monkeypatch.delenv(variables[next(iter(fields))])
    alone = main(["x"])

    assert together == ExitStatus.OK
    assert by_options == by_variables
    assert kind(**fields) in by_options
    assert alone == ExitStatus.UNUSABLE


@pytest.mark.parametrize(("arguments", "room", "name", "value"), MEANINGS, ids=lambda part: str(part))
def test_an_option_is_a_field_of_a_room(
    launched: Launched, arguments: list[str], room: type, name: str, value: Any
) -> None:
    """Each option sets the one field that it says, and leaves every other as it was."""
    status = main([*arguments, "urls.txt"])

    assert status == ExitStatus.OK
    assert launched.sources == ("urls.txt",)
    made = {Settings: launched.settings, OutputConfig: launched.output, ScreenConfig: launched.screen}
    for kind, configuration in made.items():
        wanted = {name: value} if issubclass(kind, room) else {}
        assert configuration == kind(**wanted)


def written(arguments: list[str]) -> tuple[click.Option, list[str]]:
    """The option that arguments give, which is one, and its values; none of a flag."""
    name = arguments[0].partition("=")[0]
    [option] = [param for param in command.params if isinstance(param, click.Option) and name in param.opts]
    values = [word.removeprefix(f"{name}=") for word in arguments if word not in option.opts]
    return option, values


ALONE = [meaning for meaning in MEANINGS if meaning[0] not in (["--json", "-f", "jsonl"], ["--head", "-X", "HEAD"])]


@pytest.mark.parametrize(("arguments", "room", "name", "value"), ALONE, ids=lambda part: str(part))
def test_a_variable_or_a_key_means_the_same(
    launched: Launched,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    room: type,
    name: str,
    value: Any,
) -> None:
    """What an option takes, its AFETCH_ variable and its key in a file take as well, and it becomes the same."""
    option, values = written(arguments)
    key = max(option.opts, key=len).removeprefix("--")
    given = json.dumps(values if option.multiple else True if option.is_flag else values[0], ensure_ascii=False)
    (tmp_path / "afetch.toml").write_text(f"{key} = {given}\n")

    main([*arguments, "x"])
    by_option = launched.settings, launched.output, launched.screen
    main(["--config", f"{tmp_path}/afetch.toml", "x"])
    by_file = launched.settings, launched.output, launched.screen
    monkeypatch.setenv(f"AFETCH_{key.replace('-', '_').upper()}", "\n".join(values) or "1")
    main(["x"])
    by_variable = launched.settings, launched.output, launched.screen

    assert by_file == by_variable == by_option
    assert any(getattr(made, name) == value for made in by_file if isinstance(made, room))


def test_every_setting_has_a_meaning() -> None:
    """An option that is not among the meanings above would be tried nowhere."""
    written_down = [meaning[0] for meaning in MEANINGS] + [pair[0] for pair in PAIRED]
    tried = {name for arguments in written_down for name in arguments if name.startswith("-")}

    for param in command.params:
        if isinstance(param, Setting | Alias):
            assert tried & set(param.opts) or any(f"{opt}=" in word for opt in param.opts for word in tried), param.name


def test_every_setting_is_of_a_room_that_is_read() -> None:
    """An option whose room nobody reads would be taken and forgotten."""
    rooms = {param.room for param in command.params if isinstance(param, Setting)}

    assert rooms <= {*ROOMS, OutputConfig, ScreenConfig}


def test_every_option_is_named_as_users_find_it() -> None:
    """A parameter's name is its long option, so that environment, file and messages call it the same."""
    for param in command.params:
        if isinstance(param, click.Option):
            assert f"--{str(param.name).replace('_', '-')}" in param.opts


def test_no_option_takes_an_optional_value() -> None:
    """click would take the SOURCE for it."""
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.is_flag or not param._flag_needs_value


def test_sources_are_kept_in_order(launched: Launched) -> None:
    """Several sources may stand anywhere between the options; behind -- a dash has no meaning."""
    main(["b.txt", "-q", "http://a/?b", "-", "--", "-a"])

    assert launched.sources == ("b.txt", "http://a/?b", "-", "-a")


def test_a_pipe_is_the_source_where_none_is_named(launched: Launched) -> None:
    """Standard input that is no terminal needs no dash."""
    main([])

    assert launched.sources == ("-",)


def test_a_terminal_is_no_source() -> None:
    """Without a SOURCE, nobody is left waiting for a list to be typed."""
    master, slave = os.openpty()
    try:
        ended = real([], stdin=slave)
    finally:
        os.close(master)
        os.close(slave)

    assert ended.returncode == 2
    assert (
        ended.stderr
        == "afetch: no SOURCE: name a file, a URL or -, or pipe a list in; afetch --demo shows how it works\n"
    )


def test_data_comes_from_a_file(launched: Launched, tmp_path: Path) -> None:
    """@FILE is sent byte for byte, its last line break included."""
    (tmp_path / "body").write_bytes(b"\xff\r\n")

    main(["-d", f"@{tmp_path}/body", "urls.txt"])

    assert launched.settings.data == b"\xff\r\n"


def test_data_comes_from_standard_input(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    """@- is standard input where the list comes from elsewhere."""
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"piped\n")))

    main(["-d", "@-", "urls.txt"])

    assert launched.settings.data == b"piped\n"


def test_the_demo_needs_no_list(launched: Launched) -> None:
    """--demo runs the demo with the options that suit it, and leaves standard input alone."""
    status = main(["--demo", "-c", "3", "-v"])

    assert status == ExitStatus.OK
    assert launched.demo
    assert launched.settings == Settings(concurrency=3)
    assert launched.screen == ScreenConfig(verbose=True)


def test_the_runs_end_is_the_commands(launched: Launched) -> None:
    """What the run says is the exit status."""
    launched.answer = lambda: 143

    assert main(["urls.txt"]) == 143


def test_a_runs_mistake_is_one_line(launched: Launched, capsys: pytest.CaptureFixture[str]) -> None:
    """An output that turns out to be unwritable is told as a bad option is, and nothing in it moves the cursor."""

    def fail() -> int:
        raise SinkError("out\x1b.json: no space\nfree some")

    launched.answer = fail

    status = main(["urls.txt"])

    assert status == ExitStatus.UNUSABLE
    assert capsys.readouterr().err == "afetch: out\\x1b.json: no space free some\n"


# Where an option may be given: option over environment over file over default.


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], str]:
    """Writes a configuration file and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "afetch.toml"
        path.write_text(text)
        return str(path)

    return write


LAYERS: list[tuple[str, str, str, list[str], Callable[[Launched], Any], list[Any]]] = [
    (
        "concurrency = 2",
        "AFETCH_CONCURRENCY",
        "3",
        ["-c", "4"],
        lambda launched: launched.settings.concurrency,
        [50, 2, 3, 4],
    ),
    (
        "insecure = true",
        "AFETCH_INSECURE",
        "0",
        ["-k"],
        lambda launched: launched.settings.insecure,
        [False, True, False, True],
    ),
    (
        'header = ["A: file", "B: file"]',
        "AFETCH_HEADER",
        "A: one two\nB: three\n",
        ["-H", "A: option"],
        lambda launched: launched.settings.headers,
        [
            (),
            (("A", "file"), ("B", "file")),
            (("A", "one two"), ("B", "three")),
            (("A", "option"),),
        ],
    ),
    (
        'format = "json"',
        "AFETCH_FORMAT",
        "text",
        ["--json"],
        lambda launched: launched.output.format,
        [None, "json", "text", "jsonl"],
    ),
]


@pytest.mark.parametrize(
    ("text", "variable", "value", "arguments", "look", "wanted"), LAYERS, ids=["scalar", "flag", "repeatable", "alias"]
)
def test_the_more_explicit_word_counts(
    launched: Launched,
    config: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    variable: str,
    value: str,
    arguments: list[str],
    look: Callable[[Launched], Any],
    wanted: list[Any],
) -> None:
    """Options win over the environment, that over the file, that over the default; repeatable ones are not mixed."""
    seen = []

    main(["x"])
    seen.append(look(launched))
    main(["--config", config(text), "x"])
    seen.append(look(launched))
    monkeypatch.setenv(variable, value)
    main(["--config", config(text), "x"])
    seen.append(look(launched))
    main(["--config", config(text), *arguments, "x"])
    seen.append(look(launched))

    assert seen == wanted


def test_an_empty_variable_is_not_set(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    """`AFETCH_X= afetch` takes a variable back."""
    for name in ("AFETCH_TIMEOUT", "AFETCH_QUIET", "AFETCH_HEADER", "AFETCH_CONFIG", "AFETCH_FORMAT"):
        monkeypatch.setenv(name, "")

    main(["x"])

    assert (launched.settings, launched.output, launched.screen) == (Settings(), OutputConfig(), ScreenConfig())


@pytest.mark.parametrize("name", ["VERSION", "HELP", "SCHEMA", "DEMO"])
def test_variables_do_not_stand_for_what_is_done_at_once(
    launched: Launched, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A variable that a build sets to a version number does not make every run print ours."""
    monkeypatch.setenv(f"AFETCH_{name}", "1")

    main(["x"])

    assert launched.sources == ("x",)
    assert not launched.demo


def test_a_variable_turns_progress_off(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both names of an option that has a contrary are variables."""
    monkeypatch.setenv("AFETCH_NO_PROGRESS", "1")

    main(["x"])

    assert launched.screen == ScreenConfig(progress=False)


def test_a_file_names_options_as_they_are_named(launched: Launched, config: Callable[[str], str]) -> None:
    """Keys take dashes or underscores; lists are what commas or repeating are; one value needs no list."""
    path = config(
        """
        max-size = "1k"
        connect_timeout = 1.5
        retry-on = ["5xx", 429]
        fail_on = "none"
        header = "A: b"
        no-follow = true
        """
    )

    main(["--config", path, "x"])

    assert launched.settings == Settings(
        max_size=1024,
        connect_timeout=1.5,
        retry_on=("5xx", "429"),
        fail_on=("none",),
        headers=(("A", "b"),),
        follow=False,
    )


def test_a_file_has_tables_for_hosts(launched: Launched, config: Callable[[str], str]) -> None:
    """What is different for a host is read as the options are; headers are a table, or a list as the option is."""
    path = config(
        """
        rate = "50/s"
        [hosts."api.example.com"]
        concurrency = 2
        rate = "5/s"
        retries = 0
        timeout = "2m"
        headers = { Authorization = "Bearer a: b", Accept = "" }
        [hosts."*.example.com"]
        rate = 0.5
        headers = ["A: b", "A: c", "Accept;"]
        [hosts.localhost]
        """
    )

    status = main(["--config", path, "x"])

    assert status == ExitStatus.OK
    assert launched.settings == Settings(
        rate=50.0,
        hosts={
            "api.example.com": HostConfig(
                concurrency=2,
                rate=5.0,
                retries=0,
                timeout=120.0,
                headers=(("Authorization", "Bearer a: b"), ("Accept", None)),
            ),
            "*.example.com": HostConfig(rate=0.5, headers=(("A", "b"), ("A", "c"), ("Accept", ""))),
            "localhost": HostConfig(),
        },
    )


def test_a_variable_names_the_file(
    launched: Launched, config: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """AFETCH_CONFIG is --config."""
    monkeypatch.setenv("AFETCH_CONFIG", config("retries = 9"))

    main(["x"])

    assert launched.settings == Settings(retries=9)


_DURATIONS = "a duration: write seconds (10, 0.5), or a number with its unit (500ms, 90s, 2m, 1h, 1d)"
_SIZES = "a size: write bytes (1000), or a number with k, M, G or T (500k, 64M, 1.5G), which are powers of 1024"
_LEAVE_ONE = "contradict each other ({}); leave one of them out"
_ON_THIS_MACHINE = "the demo's site is on this machine"
_BELOW = 'write it below [hosts."api.example.com"]'

BAD_FILES = [
    ("concurency = 2", "no option 'concurency'; did you mean concurrency?"),
    ("xyz = 2", "no option 'xyz'; keys are the long options, afetch --help lists them"),
    ("c = 2", "no option 'c'; keys are the long options, afetch --help lists them"),
    ("demo = true", "demo belongs on the command line; remove it"),
    ("explain = true", "explain belongs on the command line; remove it"),
    ("rate = 0", f"rate: '0' is not {Rate.forms}"),
    ("hosts = 3", 'hosts: write a table for each host: [hosts."api.example.com"]'),
    ("[hosts]\nrate = 1", f'hosts."rate": a key outside a host\'s table; {_BELOW}'),
    ("[hosts.'a.example']\nrate = '5/x'", f"""hosts."a.example": rate: '5/x' is not {Rate.forms}"""),
    ("[hosts.'a.example']\nrates = 1", 'hosts."a.example": rates: no such key; did you mean rate?'),
    (
        "[hosts.'a.example']\nproxy = 1",
        'hosts."a.example": proxy: no such key; a host\'s table may have concurrency, rate, retries, timeout, headers',
    ),
    (
        "[hosts.a.b.example]\nrate = 1",
        'hosts."a": b: no such key; if a host is meant, its name needs quotes: [hosts."a.b.example"]',
    ),
    ("[hosts.'a.example']\nconcurrency = 'auto'", "hosts.\"a.example\": concurrency: 'auto' is not a whole number"),
    ("[hosts.'a.example']\nconcurrency = 0", 'hosts."a.example": concurrency must be at least 1, not 0'),
    ("[hosts.'a.example']\nretries = true", 'hosts."a.example": retries: write a text or a number'),
    ("[hosts.'a.example']\ntimeout = -1", f"hosts.\"a.example\": timeout: '-1' is not {_DURATIONS}"),
    ("[hosts.'a.example']\nheaders = ['Secret']", f'hosts."a.example": headers: not {Header.forms}'),
    ("[hosts.'a.example']\nheaders = {A = ['b']}", 'hosts."a.example": headers: write a text or a number'),
    (
        "[hosts.'a.example']\nheaders = {'A b' = 'c'}",
        "hosts.\"a.example\": header 'A b': not a header name; write it as 'Name: value'",
    ),
    (
        "[hosts.'http://a.example/']\nrate = 1",
        "hosts: 'http://a.example/' is more than a host; write the name alone, without scheme, port and path",
    ),
    (
        "[hosts.'a.example:8080']",
        "hosts: 'a.example:8080' is more than a host; write the name alone, without scheme, port and path",
    ),
    (
        "[hosts.'a.example']\n[hosts.'A.example']",
        "hosts: 'a.example' and 'A.example' are one host; leave one of them out",
    ),
    ("timeout = true", "timeout: write a text or a number"),
    ("[timeout]", "timeout: write a text or a number"),
    ("quiet = 'yes'", "quiet: an option without a value; write true or false"),
    ("base-url = 'a'\nbase_url = 'b'", "base_url is there twice, with a dash and an underscore; leave one out"),
    ("concurrency = 2.5", "concurrency: '2.5' is not a whole number or auto"),
    ("body = 'all'", "body: 'all' is not one of 'auto', 'text', 'json', 'base64', 'none'"),
    (
        "quiet = true\nverbose = true",
        "quiet and {path}: verbose contradict each other (say less, or say more); leave one of them out",
    ),
]


@pytest.mark.parametrize(("text", "complaint"), BAD_FILES)
def test_a_bad_file_is_named(
    config: Callable[[str], str], capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    """A mistake in the file names the file, the key, and the way out."""
    path = config(text)

    status = main(["--config", path, "x"])

    assert status == ExitStatus.UNUSABLE
    assert capsys.readouterr().err == f"afetch: {path}: {complaint.replace('{path}', path)}\n"


def test_a_file_that_is_no_toml_says_where(config: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in the file's own grammar names the line."""
    path = config("quiet = true\ntimeout = = 3")

    status = main(["--config", path, "x"])

    complaint = capsys.readouterr().err
    assert status == ExitStatus.UNUSABLE
    assert complaint.startswith(f"afetch: {path}: not TOML: ")
    assert "line 2" in complaint
    assert complaint.count("\n") == 1


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file and one in another encoding end the command before anything is fetched."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9")

    statuses = [main(["--config", f"{tmp_path}/no.toml", "x"]), main(["--config", str(latin), "x"])]

    assert statuses == [2, 2]
    assert capsys.readouterr().err.splitlines() == [
        f"afetch: {tmp_path}/no.toml: no configuration: No such file or directory; name a TOML file that can be read",
        f"afetch: {latin}: not UTF-8 at byte 5; TOML is UTF-8",
    ]


# What cannot be.

MISTAKES = [
    (["--formt", "x"], "no such option: --formt; did you mean --format?"),
    (["--time", "3"], "no such option: --time; did you mean --timeout?"),
    (["--quux"], "no such option: --quux; see afetch --help"),
    (["-Q"], "no such option: -Q; see afetch --help"),
    (["-L", "x"], "no such option: -L; redirects are followed unless --no-follow is given"),
    (["-t"], "-t needs a value; write -t TIME"),
    (["--json=3"], "--json takes no value; write it alone"),
    (["-t", "abc", "x"], f"--timeout: 'abc' is not {_DURATIONS}"),
    (["-t", "-1", "x"], f"--timeout: '-1' is not {_DURATIONS}"),
    (["--max-size", "64MB", "x"], f"--max-size: '64MB' is not {_SIZES}"),
    (["-c", "many", "x"], "--concurrency: 'many' is not a whole number or auto"),
    (["--per-host", "0", "x"], "per_host must be at least 1, not 0"),
    (["--rate", "0", "x"], f"--rate: '0' is not {Rate.forms}"),
    (["--rate", "-5/s", "x"], f"--rate: '-5/s' is not {Rate.forms}"),
    (["--per-host-rate", "5/x", "x"], f"--per-host-rate: '5/x' is not {Rate.forms}"),
    (["--limit-rate", "0", "x"], f"--limit-rate: '0' is not {Speed.forms}"),
    (["--limit-rate", "2M/m", "x"], f"--limit-rate: '2M/m' is not {Speed.forms}"),
    (["--window", "0", "x"], "window must be at least 1, not 0"),
    (["--processes", "0", "x"], "processes must be at least 1, not 0"),
    (["--processes", "few", "x"], "--processes: 'few' is not a whole number or auto"),
    (["--min-speed", "1k", "x"], f"--min-speed: '1k' is not {MinSpeed.forms}"),
    (["--min-speed", "1k:0", "x"], f"--min-speed: '1k:0' is not {MinSpeed.forms}"),
    (["--max-time", "-1", "x"], f"--max-time: '-1' is not {_DURATIONS}"),
    (["--retry-wait", "soon", "x"], f"--retry-wait: 'soon' is not {_DURATIONS}"),
    (["--retry-wait", "2m", "x"], "retry_wait must not be above retry_wait_max (60), and is 120; raise that as well"),
    (["--retry-wait-max", "x", "x"], f"--retry-wait-max: 'x' is not {_DURATIONS}"),
    (["--retry-max-time", "x", "x"], f"--retry-max-time: 'x' is not {_DURATIONS}"),
    (["--retry-after-max", "x", "x"], f"--retry-after-max: 'x' is not {_DURATIONS}"),
    (["--breaker", "-1", "x"], "breaker must not be negative, and is -1"),
    (["--outage-wait", "x", "x"], f"--outage-wait: 'x' is not {_DURATIONS}"),
    (["--retry", "3", "x"], "no such option: --retry; -r says how many attempts may follow the first"),
    (["--no-adapt=1"], "--no-adapt takes no value; write it alone"),
    (["--limit-speed", "3"], "no such option: --limit-speed; did you mean --min-speed?"),
    (["-c", "0", "x"], "concurrency must be at least 1, not 0"),
    (["-f", "xml", "x"], f"--format: 'xml' is not one of {', '.join(map(repr, FORMATS))}"),
    (["-o", "", "x"], "--output: '' is not the name of a file"),
    ([""], "SOURCE: '' is not a SOURCE: name a file, a URL, or - for standard input"),
    (["--param", "a", "x"], "--param: not a parameter: write KEY=VALUE"),
    (
        ["-H", "Authorization secret", "x"],
        "--header: not a header: write 'Name: value', 'Name;' to send it empty, or 'Name:' to leave our own out",
    ),
    (["-d", "@/no/such", "x"], "--data @/no/such: No such file or directory; name a file that can be read"),
    (
        ["-d", "@-"],
        "--data @-: standard input is the list already; name a file as SOURCE, or as --data @FILE",
    ),
    (
        ["-x", "ftp://a:secret@p", "x"],
        "--proxy: unknown scheme 'ftp'; a proxy's is http, https, socks, socks4, socks4a, socks5 or socks5h",
    ),
    (["--demo", "-x", "p"], f"--demo and --proxy {_LEAVE_ONE.format(_ON_THIS_MACHINE)}"),
    (["-q", "-v", "x"], f"--quiet and --verbose {_LEAVE_ONE.format('say less, or say more')}"),
    (["-q", "--progress", "x"], f"--quiet and --progress {_LEAVE_ONE.format('show nothing, or show progress')}"),
    (["--json", "-f", "text", "x"], f"--json and --format {_LEAVE_ONE.format('they are two ways to say one thing')}"),
    (
        ["--keepalive", "3", "--no-keepalive", "x"],
        f"--no-keepalive and --keepalive {_LEAVE_ONE.format('they are two ways to say one thing')}",
    ),
    (
        ["--no-follow", "--max-redirects", "0", "x"],
        f"--no-follow and --max-redirects {_LEAVE_ONE.format('follow none, or that many')}",
    ),
    (["-k", "--cacert", "f", "x"], f"--insecure and --cacert {_LEAVE_ONE.format('trust everyone, or that file')}"),
    (["--demo", "x"], f"--demo and SOURCE {_LEAVE_ONE.format('the demo brings its own list and requests')}"),
    (["--demo", "--robots"], f"--demo and --robots {_LEAVE_ONE.format('the demo brings its own list and requests')}"),
    (["--demo", "-o", "x"], f"--demo and --output {_LEAVE_ONE.format('the demo is for looking at')}"),
    (["--\x1b[31m"], "no such option: --\\x1b[31m; see afetch --help"),
]


@pytest.mark.parametrize(("arguments", "complaint"), MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(
    launched: Launched, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    """No usage block, no box, no secret: one line, status 2, and nothing was run."""
    status = main(arguments)

    said = capsys.readouterr()
    assert status == ExitStatus.UNUSABLE
    assert said.err == f"afetch: {complaint}\n"
    assert said.out == ""
    assert launched.sources is None


@pytest.mark.parametrize("arguments", [["--form", "x"], ["-t", "abc", "x"], ["-q", "-v", "x"], ["-c", "0", "x"]])
def test_the_real_command_complains_in_one_line(arguments: list[str]) -> None:
    """A mistake that the parser, a value, a rule or a configuration finds ends a real process alike."""
    ended = real(arguments)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("afetch: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("AFETCH_TIMEOUT", "abc", f"AFETCH_TIMEOUT: 'abc' is not {_DURATIONS}"),
        ("AFETCH_QUIET", "maybe", "AFETCH_QUIET: write 1 or 0"),
        ("AFETCH_PARAM", "a=b\nc", "AFETCH_PARAM: not a parameter: write KEY=VALUE"),
    ],
)
def test_a_bad_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, complaint: str
) -> None:
    """A value that came from the environment is not blamed on the command line."""
    monkeypatch.setenv(name, value)

    status = main(["x"])

    assert status == ExitStatus.UNUSABLE
    assert capsys.readouterr().err == f"afetch: {complaint}\n"


def test_a_more_explicit_rival_overrules(
    launched: Launched, config: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file says for every run is no contradiction to what is asked for now."""
    path = config("quiet = true\nno-follow = true\ncacert = 'ca.pem'\nkeepalive = 3\njson = true")
    monkeypatch.setenv("AFETCH_FORMAT", "text")

    main(["--config", path, "-v", "--max-redirects", "4", "-k", "--no-keepalive", "x"])

    assert launched.screen == ScreenConfig(verbose=True)
    assert launched.settings == Settings(max_redirects=4, insecure=True, keepalive=0.0)
    assert launched.output == OutputConfig(format="text")


def test_a_file_does_not_send_the_demo_to_an_output(launched: Launched, config: Callable[[str], str]) -> None:
    """The demo never touches the file that a configuration names for real runs."""
    main(["--config", config("output = 'precious.jsonl'\nbase-url = 'http://a'\nrobots = true"), "--demo"])

    assert launched.demo
    assert launched.output == OutputConfig()
    assert launched.settings == Settings()


def test_a_flag_that_is_off_contradicts_nothing(launched: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    """`AFETCH_VERBOSE=0` beside `AFETCH_QUIET=1` is what it says."""
    monkeypatch.setenv("AFETCH_VERBOSE", "0")
    monkeypatch.setenv("AFETCH_QUIET", "1")
    monkeypatch.setenv("AFETCH_PROGRESS", "0")

    main(["x"])

    assert launched.screen == ScreenConfig(quiet=True, progress=False)


def test_no_progress_suits_quiet(launched: Launched) -> None:
    """Two ways to ask for less do not contradict each other."""
    main(["-q", "--no-progress", "x"])

    assert launched.screen == ScreenConfig(quiet=True, progress=False)


def test_rivals_and_aliases_are_there() -> None:
    """A rule about an option that was renamed would never be asked."""
    names = {param.name for param in command.params}

    assert {name for one, other, _ in RIVALS for name in (one, other)} <= names
    assert {param.of for param in command.params if isinstance(param, Alias)} <= names


# Values.


@given(st.floats(min_value=0, max_value=LONGEST, allow_nan=False))
def test_a_duration_is_read_as_it_is_written(seconds: float) -> None:
    """Every duration has a text, with its unit or without, that means just that duration."""
    text = Seconds().write(seconds)

    assert Seconds().read(text) == seconds


@given(st.integers(min_value=0, max_value=LARGEST))
def test_a_size_is_read_as_it_is_written(size: int) -> None:
    """Every size has a text, with its unit or without, that means just that many bytes."""
    text = Size().write(size)

    assert Size().read(text) == size


@given(st.integers(min_value=0, max_value=1000), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_a_unit_multiplies(number: int, unit: tuple[str, float]) -> None:
    """A duration with a unit is that many of it."""
    assert Seconds().read(f"{number}{unit[0]}") == pytest.approx(number * unit[1])


@given(st.integers(min_value=0, max_value=1000), st.sampled_from(["k", "K", "m", "M", "g", "G", "t", "T"]))
def test_a_size_counts_in_powers_of_1024(number: int, unit: str) -> None:
    """A size's unit may be a small or a large letter."""
    assert Size().read(f"{number}{unit}") == number * 1024 ** ("kmgt".index(unit.lower()) + 1)


@given(st.floats(min_value=1e-12, max_value=FASTEST))
def test_a_rate_is_read_as_it_is_written(rate: float) -> None:
    """Every rate has a text that means just that rate."""
    text = Rate().write(rate)

    assert Rate().read(text) == rate


@given(st.integers(min_value=1, max_value=100_000), st.sampled_from("smhd"))
def test_a_rate_is_written_no_longer_than_it_was(count: int, unit: str) -> None:
    """A third of a second is 20/m, not a float with all its digits."""
    text = f"{count}/{unit}"

    shown = Rate().write(Rate().read(text))

    assert len(shown) <= len(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("50", "50/s"), ("0.5", "30/m"), ("100/m", "100/m"), ("1000/h", "1000/h"), ("10 / d", "10/d"), ("60/m", "1/s")],
)
def test_a_rate_is_shown_in_its_shortest_form(text: str, shown: str) -> None:
    """A bare number is a second's; a whole number in another unit is shorter than a fraction."""
    assert Rate().write(Rate().read(text)) == shown


@given(st.integers(min_value=1, max_value=LARGEST // 1024))
def test_a_speed_is_read_as_it_is_written(speed: int) -> None:
    """Bytes a second have a text with /s that means just that many."""
    text = Speed().write(float(speed))

    assert text.endswith("/s")
    assert Speed().read(text) == float(speed)


@given(st.integers(min_value=1, max_value=2**53), st.floats(min_value=0.001, max_value=LONGEST))
def test_a_least_speed_is_read_as_it_is_written(speed: int, seconds: float) -> None:
    """Bytes a second and the time over which they count come back as they were."""
    text = MinSpeed().write((speed, seconds))

    assert MinSpeed().read(text) == (speed, seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "0/s", "-1", "1e3", "nan", "inf", "1/", "/s", "1/w", "1/s/s", "٣/s", "2000000000", "9" * 400]
)
def test_a_text_that_is_no_rate(text: str) -> None:
    """None at all, never, and without end are not rates."""
    with pytest.raises(ValueError):
        Rate().read(text)


KINDS: list[Value[Any]] = [Seconds(), Size(), Rate(), Speed()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(text=st.text(max_size=8))
def test_nonsense_is_refused_with_the_forms_named(kind: Value[Any], text: str) -> None:
    """Any text is a value within bounds, or a refusal that names what may be written; never anything else."""
    told: Any = None
    value: Any = 0

    try:
        value = kind.convert(text, None, None)
    except click.BadParameter as error:
        told = error.message

    assert told is None or kind.forms in told
    assert 0 <= value <= LARGEST


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "nan", "inf", "1 0", "1,5", "٣", "1m30s", "2000000000", "9" * 400, "."]
)
def test_a_text_that_is_no_duration(text: str) -> None:
    """What Python reads as a number but nobody means, and what no timer holds, are refused."""
    with pytest.raises(ValueError):
        Seconds().read(text)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1MB", "1 k b", "0x10", "9" * 400, "8388608T"])
def test_a_text_that_is_no_size(text: str) -> None:
    """What has another unit, or is beyond any file, is refused."""
    with pytest.raises(ValueError):
        Size().read(text)


@given(st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.none() | st.from_regex(r"[!-~]{0,12}", fullmatch=True))
def test_a_header_is_read_as_it_is_written(name: str, value: str | None) -> None:
    """With a value, empty, and left out are three different things."""
    text = Header().write((name, value))

    assert Header().read(text) == (name, value)
