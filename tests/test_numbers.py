"""Trust in numbers: what the summary says is what a count over each output says."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.conftest import Afetch
from tests.counting import READERS, Told, of_lines
from tests.servers import Site

HEAD = re.compile(r"^afetch: ([\d,]+) ok(?:, ([\d,]+) failed)?", re.MULTILINE)


class Summary:
    """What the summary on standard error says."""

    def __init__(self, text: str) -> None:
        found = HEAD.search(text)
        assert found, text
        self.ok, self.failed = (_number(count) for count in found.groups())
        rows: dict[str, str] = {}
        label = ""
        for line in text[found.end() :].splitlines()[1:]:
            label = line[:11].strip() or label
            rows[label] = f"{rows.get(label, '')} {line[11:]}"
        self.statuses = {int(name): count for name, count in _counts(rows, "status").items()}
        self.kinds = _counts(rows, "errors")
        dropped = re.search(r"([\d,]+) entr(?:y|ies) dropped", rows.get("repeats", ""))
        self.dropped = _number(dropped[1]) if dropped else 0


def _counts(rows: dict[str, str], label: str) -> dict[str, int]:
    return {name: _number(count) for name, count in re.findall(r"([\w-]+): ([\d,]+)", rows.get(label, ""))}


def _number(text: str | None) -> int:
    return int((text or "0").replace(",", ""))


@pytest.fixture
def closed() -> Iterator[str]:
    """A URL where nobody listens, nor ever will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


def entries(site: Site, closed: str) -> list[str]:
    """A list on which everything happens, some of it twice."""
    page, missing = site.page("x"), site.page("no", 404)
    short = site.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    broken = site.raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    loop = site.redirect("/loop", path="/loop")
    return [
        *(site.page(f"page {number}") for number in range(12)),
        *(site.page("gone", 410) for _ in range(3)),
        site.page("", 204),
        site.page("broken", 500),
        site.redirect(page),
        site.redirect(missing),
        *(page, missing, closed, short, broken, loop, "nonsense", "http://a b/", "ftp://a/"),
        site.raw(b"not HTTP at all\r\n\r\n"),
        site.raw(),
        *(page, missing, closed, "nonsense", loop),
        "http://user:pass\tword@/",
    ]


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ((), lambda _: True),
        (("--unique", "--ordered"), lambda _: True),
        (("--only", "failed"), lambda told: not told.ok),
        (("--only", "ok", "--ordered"), lambda told: told.ok),
        (("--only", "404,refused,redirects"), lambda told: told.status == 404 or told.kind in {"refused", "redirects"}),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_the_summary_counts_what_is_in_every_output(
    afetch: Afetch, site: Site, closed: str, options: Sequence[str], written: Callable[[Told], bool]
) -> None:
    """Records are entries, ok and failed, each status and kind as often as said; all outputs agree."""
    urls = entries(site, closed)
    (afetch.folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    outputs = [word for name in READERS for word in ("-o", name)]

    done = afetch("urls.txt", "-r", "0", *options, *outputs, "--failed", "failed.txt", "-f", "jsonl", "-o", "-")

    said = Summary(done.stderr)
    found = {name: read(afetch.folder / name) for name, read in READERS.items()}
    printed = of_lines(done.stdout.encode())
    in_order = sorted(printed, key=lambda told: told.index or 0)
    as_lines = [Told(None, told.ok, told.status, told.kind) for told in printed]
    # A table has no order but that of its key.
    shown = {"a.txt": as_lines, "a.sqlite": in_order}
    assert {name: told == shown.get(name, printed) for name, told in found.items()} == dict.fromkeys(READERS, True)
    failed = (afetch.folder / "failed.txt").read_text().splitlines()
    assert done.returncode == 1
    assert said.ok + said.failed == len(urls) - said.dropped
    assert said.dropped == (4 if "--unique" in options else 0)
    assert len(failed) == said.failed
    if "--only" not in options:
        assert len(printed) == said.ok + said.failed
        assert sum(told.ok for told in printed) == said.ok
        assert Counter(told.status for told in printed if told.status is not None) == said.statuses
        assert Counter(told.kind for told in printed if told.kind is not None) == said.kinds
        assert len({told.index for told in printed}) == len(printed)
    else:
        assert all(map(written, printed))
        counts = {"failed": said.failed, "ok": said.ok}
        named = said.statuses.get(404, 0) + said.kinds["refused"] + said.kinds["redirects"]
        assert len(printed) == counts.get(options[1], named)
    if "--ordered" in options:
        assert printed == in_order
