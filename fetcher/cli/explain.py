"""
Owns `--explain`: what would happen, said without doing it. It connects to nobody and opens no output.

A part for each entry has what is its own: the request as it would be sent, its host and that host's limits. A last part
has what is the same for all, and which options said so.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from fetcher.backends.loops import run as run_loop
from fetcher.backends.shares import processes_of
from fetcher.cli.configfile import hosts_of
from fetcher.cli.contradictions import RANKS
from fetcher.cli.labels import CONFIG, label
from fetcher.cli.options.option import Alias, Setting
from fetcher.cli.status import ExitStatus
from fetcher.cli.values import MinSpeed, Rate, Seconds, Size, Speed, Value
from fetcher.client.cookies.jar import Jar
from fetcher.client.request_heads import RequestHeads, shown_head
from fetcher.client.tls import Trust
from fetcher.errors import SinkError
from fetcher.hosts import HostConfig, Hosts
from fetcher.model import IDEMPOTENT, Request, Url
from fetcher.policy import CURABLE, REFUSALS, UNSENT, first_job
from fetcher.robots import PATH
from fetcher.saving.names import shown_name
from fetcher.saving.naming import Named
from fetcher.settings import Settings
from fetcher.sinks.config import OutputConfig, Place
from fetcher.sinks.files import sentence
from fetcher.sinks.formats import SINKS
from fetcher.sources.protocol import Source
from fetcher.sources.reader import Feed
from fetcher.sources.unique import Unique
from fetcher.terminal import WIDTH, Pen, counted, escaped, is_terminal, sized
from fetcher.urls import masked

SHOWN = 10
"""Entries that are explained unless `--limit` says how many: a list may have a million."""

INDENT = 2
NAMES = 15
"""Columns before a row's name, and of the name."""

BOLD, DIM, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"

NO_LIMIT = "no limit"

NOTHING = ("none",)
"""What `--retry-on none` is."""

UNREPEATED = frozenset({"data", "data_json", "form"})
"""Options whose values are not told beside their names: the body may be long, and may be a secret."""


class Row(NamedTuple):
    """A name, and a sentence, which is wrapped, or lines as they are."""

    name: str
    text: str | Sequence[str]


def explain(sources: tuple[str, ...], settings: Settings, output: OutputConfig, said: Said) -> int:
    """
    Tell what would happen to the sources' entries: the exit status, 0 whatever would come of them.

    Raises:
        AfetchError: The run could not begin: an input cannot be read, a file of certificates is none.
    """
    # For its complaint.
    Trust(settings)
    paper = Paper(Pen(1), colour=is_terminal(1) and not os.environ.get("NO_COLOR"))
    entries = Entries(settings, said.config)
    count = run_loop(_tell_entries(sources, settings, entries, paper))
    if not count:
        paper.part("There is no entry in the list: nothing would be sent.", ())
    paper.part("The run", run_rows(settings, output, said))
    if settings.limit is None and count > SHOWN:
        paper.part(f"The list goes on: --limit N explains N entries, not {SHOWN}.", ())
    return ExitStatus.OK


async def _tell_entries(sources: tuple[str, ...], settings: Settings, entries: Entries, paper: Paper) -> int:
    """Tell of each entry as soon as it is read; how many were read, which may be one more than is told."""
    limit = SHOWN + 1 if settings.limit is None else settings.limit
    feed: Source = Feed(sources, replace(settings, limit=limit), settings.headers)
    if settings.save is not None:
        feed = Named(feed, settings.save_name)
    source = Unique(feed) if settings.unique else feed
    count = 0
    try:
        async for batch in source.batches():
            for request in batch:
                count = request.index + 1
                if settings.limit is None and count > SHOWN:
                    return count
                paper.part(request.given or "(no URL)", entries.rows(request))
    finally:
        feed.close()
    return count


class Said(NamedTuple):
    """
    What the user said, and where.

    Attributes:
        words: Each option that was given and counts, as `--timeout 10`, `AFETCH_RATE 5/s`, `afetch.toml: retries 3`.
        config: The configuration file's path, where there is one.
    """

    words: Sequence[str]
    config: str | None

    @classmethod
    def by(cls, context: click.Context, values: Mapping[str, Any]) -> Said:
        """
        What was said to a command.

        Args:
            values: The parameters' values as `settle` left them: what a more explicit word overruled is not told.
        """
        words = []
        for param in context.command.params:
            name = str(param.name)
            value = context.params.get(name)
            unsaid = context.get_parameter_source(name) not in RANKS or value is False or value == ()
            if unsaid or not isinstance(param, Setting | Alias):
                continue
            holds = values[param.of] == param.means if isinstance(param, Alias) else values[name] == value
            if holds:
                words.append(f"{label(context, param)} {_written(param, value)}".rstrip())
        config = context.meta.get(CONFIG)
        if tables := hosts_of(context):
            words.append(f"{config}: {counted(len(tables), 'table')} of hosts")
        return cls(words, config)


def _written(param: click.Option, value: Any) -> str:
    """An option's value as it may be told; nothing where it may not, or where there is none."""
    kind = param.type
    if param.is_flag or param.name in UNREPEATED or (isinstance(kind, Value) and kind.secret):
        return ""
    values = value if param.multiple else [value]
    return ", ".join(masked(kind.write(each) if isinstance(kind, Value) else str(each)) for each in values)


class Entries:
    """Tells what is an entry's own."""

    def __init__(self, settings: Settings, config: str | None) -> None:
        self._settings = settings
        self._config = config
        self._hosts = Hosts(settings)
        self._heads = RequestHeads(settings, self._hosts, Jar.of(settings))
        self._proxies = settings.proxies

    def rows(self, request: Request) -> Iterator[Row]:
        """What would be done for an entry, or why nothing can be."""
        url = request.url
        if url is None:
            error = request.error
            yield Row("nothing sent", f"{error.kind}: {error.message}" if error is not None else "no URL")
            return
        if str(url).removesuffix("/") != request.given.removesuffix("/"):
            yield Row("URL", [str(url)])
        yield Row("request", shown_head(self._heads.request(first_job(request, url))))
        yield Row("body", "none" if request.body is None else counted(len(request.body), "byte"))
        if self._settings.save is not None and request.save is not None:
            yield Row("file", [shown_name(request.save)])
        host = url.origin.host
        yield Row("host", f"{host}, port {url.origin.port}")
        if self._proxies:
            yield Row("proxy", self._proxies.told(url.origin))
        table = self._hosts.find(host)
        if table is not None:
            where = "" if self._config is None else f"{self._config}: "
            yield Row("its table", [f'{where}[hosts."{self._hosts.name(host)}"]'])
        yield from self._limits(url, table or HostConfig(), request)

    def _limits(self, url: Url, table: HostConfig, request: Request) -> Iterator[Row]:
        settings = self._settings
        at_once = settings.per_host if table.concurrency is None else table.concurrency
        rate = settings.per_host_rate if table.rate is None else table.rate
        timeout = settings.timeout if table.timeout is None else table.timeout
        timeout = timeout if request.timeout is None else request.timeout
        retries = settings.retries if table.retries is None else table.retries
        limits = [] if at_once is None else [f"{counted(at_once, 'request')} at once"]
        limits += [] if rate is None else [f"no more than {Rate().write(rate)}"]
        yield Row("to this host", _listed(limits) or "no limit but the run's")
        yield Row("timeout", f"{_lasting(timeout)} for an attempt" if timeout else NO_LIMIT)
        yield Row("retries", _retries(settings, retries, request.method))
        if url.origin.scheme == "https":
            yield Row("trusts", _trust(settings))
        if settings.robots:
            yield Row("robots.txt", [f"{url.origin.text}{PATH}"])


def _retries(settings: Settings, retries: int, method: str) -> str:
    if not retries or settings.retry_on == NOTHING:
        return "none"
    if settings.retry_on is not None or method in IDEMPOTENT:
        return f"up to {retries}"
    return f"up to {retries}; for {method} only after {_listed(sorted(UNSENT))}, when nothing had been sent"


def _trust(settings: Settings) -> str:
    if settings.insecure:
        return "every certificate"
    if settings.system_certs:
        return "the system's authorities"
    return "certifi's authorities" if settings.cacert is None else f"the authorities in {settings.cacert}"


def run_rows(settings: Settings, output: OutputConfig, said: Said) -> Iterator[Row]:
    """What is the same for all entries."""
    yield Row("slots", _slots(settings))
    yield Row("rate", NO_LIMIT if settings.rate is None else Rate().write(settings.rate))
    if settings.limit_rate is not None:
        yield Row("bytes", Speed().write(settings.limit_rate))
    if settings.unique:
        yield Row("repeats", "are dropped: the same method, URL and body as an earlier entry")
    if settings.processes != 1:
        yield Row("processes", _processes(settings))
    yield Row("look-ahead", counted(settings.window, "entry", "entries"))
    yield from _patience(settings)
    yield Row("redirects", f"up to {settings.max_redirects} are followed" if settings.follow else "are not followed")
    yield Row("connections", _connections(settings))
    yield Row("names", _names(settings))
    yield Row("robots.txt", "is asked for before and kept to" if settings.robots else "is not asked for")
    yield Row("body", f"up to {Size().write(settings.max_size)}" if settings.max_size else "of any size")
    if settings.save is not None:
        yield Row("saved", f"below {settings.save} where a reply succeeds, and not in its record")
    for place in output.places:
        yield Row("output", _output(place, output))
    if output.failed is not None:
        yield Row(
            "failed",
            _output(
                Place(path=output.failed, format="entries"),
                replace(output, resume=False, retry_failed=None, overwrite=output.overwrite or output.resume),
            ),
        )
    if output.resume:
        again = (
            "" if output.retry_failed is None else f", and what failed is fetched again: {_listed(output.retry_failed)}"
        )
        yield Row("resume", f"entries that have their record there are left out{again}")
    if output.ordered:
        yield Row("order", "of the input: records wait for those before them")
    yield Row("exit status", f"1 if more than {settings.max_failures} fail (--fail-on {','.join(settings.fail_on)})")
    yield Row("said", said.words or "nothing: all is as afetch --help has it")


def _lasting(seconds: float) -> str:
    """A duration with its unit, as the options take it."""
    text = Seconds().write(seconds)
    return f"{text}s" if text[-1].isdigit() else text


def _slots(settings: Settings) -> str:
    if settings.concurrency == "auto":
        return f"as many as do best, up to {settings.slots:,}"
    return f"{counted(settings.slots, 'request')} at once"


def _processes(settings: Settings) -> str:
    count = processes_of(settings)
    if count == 1:
        return "one: this one"
    return f"{count} fetch, each with its share of these limits, and of those of a host that most entries are of"


def _patience(settings: Settings) -> Iterator[Row]:
    yield Row("connecting", _lasting(settings.connect_timeout) if settings.connect_timeout else NO_LIMIT)
    yield Row("silence", _lasting(settings.read_timeout) if settings.read_timeout else NO_LIMIT)
    if settings.min_speed is not None:
        yield Row("too slow", f"below {MinSpeed().write(settings.min_speed)}")
    if settings.max_time:
        yield Row("the run", f"ends after {_lasting(settings.max_time)}, with exit status 1")
    tried = CURABLE if settings.retry_on is None else settings.retry_on
    yield Row("tried again", "nothing" if tried == NOTHING else f"after {_listed(tried)}")
    first, longest = _lasting(min(settings.retry_wait, settings.retry_wait_max)), _lasting(settings.retry_wait_max)
    until = f"; none begins {_lasting(settings.retry_max_time)} after the first" if settings.retry_max_time else ""
    yield Row("waits", f"up to {first}, then twice that and so on up to {longest}{until}")
    yield Row("Retry-After", f"is kept to, up to {_lasting(settings.retry_after_max)}; beyond that a reply is final")
    less = ", then gets less at once" if settings.adapt else ""
    yield Row(
        "refused",
        f"429, or 503 with Retry-After, up to {REFUSALS} times an entry: the host is left alone a while{less}",
    )
    yield Row(
        "unconnected",
        f"{counted(settings.breaker, 'failure')} in a row take an origin out"
        if settings.breaker
        else "no origin is taken out",
    )
    yield Row(
        "no network",
        f"is waited for, up to {_lasting(settings.outage_wait)}" if settings.outage_wait else "is no pause",
    )


def _connections(settings: Settings) -> str:
    if not settings.keepalive:
        return "are closed after each reply"
    return f"are kept for {_lasting(settings.keepalive)}"


def _names(settings: Settings) -> str:
    who = {"auto": "aiodns, and the system where that has trouble", "system": "the system", "aiodns": "aiodns"}
    told = [f"are looked up by {who[settings.resolver]}"]
    if settings.dns_timeout:
        told.append(f"within {_lasting(settings.dns_timeout)}")
    if settings.resolve:
        told.append(f"but for {counted(len(settings.resolve), 'pair')} of host and port (--resolve)")
    if settings.ipv4 or settings.ipv6:
        told.append("IPv4 only" if settings.ipv4 else "IPv6 only")
    if settings.block_private:
        told.append("and only public addresses are connected to")
    return ", ".join(told)


def _output(place: Place, output: OutputConfig) -> str:
    """Format and place, and whether the place would be refused, without touching it."""
    if place.path is None:
        return f"{place.format} on standard output"
    path = Path(place.path)
    told = f"{place.format} in {path}"
    try:
        if path.is_dir():
            return f"{told}, which is a directory: refused"
        if path.is_file() and path.stat().st_size:
            if output.resume:
                return f"{told}, which is gone on with: {sized(path.stat().st_size)} are there"
            way_on = "--resume or --overwrite" if place.format in SINKS and SINKS[place.format].past else "--overwrite"
            return f"{told}, which is replaced" if output.overwrite else f"{told}, refused without {way_on}: not empty"
        return told if path.parent.is_dir() else f"{told}, refused: there is no {path.parent}"
    except (OSError, ValueError) as error:
        return f"{told}, refused: {error}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


class Paper:
    """Where it is told: parts with a title each, parted by blank lines."""

    def __init__(self, pen: Pen, *, colour: bool) -> None:
        self._pen = pen
        self._bold, self._dim, self._plain = (BOLD, DIM, PLAIN) if colour else ("", "", "")
        self._begun = False

    def part(self, title: str, rows: Iterable[Row]) -> None:
        """
        A title and rows below it.

        Raises:
            SinkError: It cannot be written.
        """
        lines = [""] if self._begun else []
        self._begun = True
        lines.append(f"{self._bold}{escaped(title)}{self._plain}")
        for name, text in rows:
            width = WIDTH - INDENT - NAMES
            # Words are broken nowhere: neither a kind at its hyphen nor a long path.
            if isinstance(text, str):
                text = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
            first, *rest = text
            lines.append(f"{'':{INDENT}}{self._dim}{name:{NAMES}}{self._plain}{escaped(first)}".rstrip())
            lines += [f"{'':{INDENT + NAMES}}{escaped(line)}".rstrip() for line in rest]
        try:
            self._pen.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise SinkError(sentence("standard output", error)) from error
