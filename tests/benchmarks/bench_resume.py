"""Owns the question what it takes to go on: how long until the first request, and how much memory, by what is there."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from fetcher.record import RecordConfig, encode_line, make_record
from fetcher.sinks.config import OutputConfig
from tests.benchmarks.lab import LOOPBACK, Lab, digest, json_body
from tests.benchmarks.processes import BenchmarkError, measure
from tests.benchmarks.records import verified
from tests.benchmarks.report import MB, Plan, Report
from tests.opening import open_output
from tests.samples import reply

TITLE = "seconds until the first request of a resumed run, and its peak, by how many records there are already"

MILLION = 1_000_000
BODY = "x" * 1_300
"""A body that makes a record of 2 KB."""

BATCH = 1_000
"""Records between two flushes."""

FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".sqlite")

PROMPT = 5.0
"""Seconds for a million records of 2 KB."""

BOUND = 1_000 * MB
"""What ten million may need."""

MOST = 10_000_000
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nok"

_THERE = re.compile(r"already +([\d,]+) records? there")


def run(lab: Lab, plan: Plan, report: Report) -> None:
    """A million fetched and gone on with; as many in each format, laid down by its sink; ten million of small ones."""
    count = plan.count(MILLION)
    records = lab.folder / "records.jsonl"
    _fetch(lab, report, records, count)
    _resume(lab, report, records, count, "fetched", PROMPT)
    for suffix in FORMATS:
        records = lab.folder / f"records{suffix}"
        _lay(lab, records, count)
        _resume(lab, report, records, count, "laid down", PROMPT if suffix == ".jsonl" else None)
    count = plan.count(MOST)
    records = lab.folder / "records.jsonl"
    _lay_lines(lab, records, count)
    _resume(lab, report, records, count, "laid down, no bodies", None)


class Bell:
    """A server of one page that notes when it is first asked for it."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.rung: float | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # Whoever waits in `accept` is woken by a connection, not by a close.
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()

    @property
    def url(self) -> str:
        """Its page."""
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}/"

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if not connection.recv(65536):
                    return
                self.rung = self.rung or time.monotonic()
                connection.sendall(REPLY)


def _fetch(lab: Lab, report: Report, records: Path, count: int) -> None:
    """Write them by a run of the real command, which is what their rate and memory is measured by."""
    source = lab.list_of(_urls(lab, count))
    usage = measure([sys.executable, "-m", "fetcher", str(source), "-q", "--no-env", "-o", str(records), "-c", "50"])
    right = verified(records, lambda url: digest(json_body(url.removeprefix(lab.url("")))), count)
    report.row(
        what="fetched",
        entries=count,
        verified=right,
        MB=records.stat().st_size / MB,
        seconds=usage.elapsed,
        per_second=count / usage.elapsed,
        peak_MB=usage.peak / MB,
    )


def _lay(lab: Lab, records: Path, count: int) -> None:
    """Write them as a run would have, by the format's own sink, without fetching anything."""
    record = make_record(reply(BODY.encode(), b"text/plain"), RecordConfig())
    output = open_output(OutputConfig(output=(str(records),)))
    never = threading.Event()
    output.begin()
    for index, url in enumerate(_urls(lab, count)):
        output.add(replace(record, index=index, url=url, final_url=url))
        if index % BATCH == 0:
            output.flush(never)
    output.end(never)
    output.close()


def _lay_lines(lab: Lab, records: Path, count: int) -> None:
    """The same for lines without bodies, of which there are to be very many: all are one line but for its URL."""
    record = make_record(reply(b"", b"text/plain"), RecordConfig())
    line = encode_line(replace(record, index=-1, url="%(url)s", final_url="%(url)s")).decode()
    form = line.replace('"index":-1', '"index":%(index)d')
    with records.open("w") as file:
        file.writelines(form % {"url": url, "index": index} for index, url in enumerate(_urls(lab, count)))


def _urls(lab: Lab, count: int) -> Iterable[str]:
    return (lab.url(f"/json/{number}") for number in range(count))


def _resume(lab: Lab, report: Report, records: Path, count: int, what: str, prompt: float | None) -> None:
    """Go on with the list, which has one entry more, and take the records away."""
    with Bell() as bell:
        source = lab.list_of(chain(_urls(lab, count), [bell.url]))
        size = records.stat().st_size
        begun = time.monotonic()
        usage = measure([sys.executable, "-m", "fetcher", str(source), "--no-env", "-o", str(records), "--resume"])
        if bell.rung is None:
            raise BenchmarkError("the entry that is new was never asked for")
        first = bell.rung - begun
    there = _THERE.search(usage.errors)
    right = int(there[1].replace(",", "")) if there is not None else 0
    held = usage.peak <= BOUND and (prompt is None or first <= prompt)
    report.row(
        what=what,
        format=records.name.partition(".")[2],
        entries=count,
        verified=right,
        MB=size / MB,
        first_request=first,
        seconds=usage.elapsed,
        cpu_seconds=usage.cpu,
        peak_MB=usage.peak / MB,
        held="yes" if held else "NO",
    )
    records.unlink()
