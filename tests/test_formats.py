"""Formats as their users have them: the real command, and the tools that read what it wrote."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from fetcher.sinks.fields import FLAT
from fetcher.sinks.formats import SINKS
from tests.conftest import Afetch
from tests.servers import Site

DOCUMENT = Path(__file__).parent.parent / "docs/formats.md"

# --- What is said of them ---


def test_the_document_has_every_format_and_column() -> None:
    """The table of formats is the code's, with its suffixes; so are the columns of a table."""
    text = DOCUMENT.read_text()
    rows = re.findall(r"^\| `(\w+)` \| (`\..*?) \|", text, re.MULTILINE)
    columns = text[text.index("columns of `csv`") : text.index("Bodies are not")]

    documented = {name: tuple(re.findall(r"`(\.\w+)`", suffixes)) for name, suffixes in rows}
    assert documented == {name: format_.suffixes for name, format_ in SINKS.items()}
    assert tuple(re.findall(r"`([\w.]+)`", columns)[2:]) == FLAT


# --- Tables ---


def test_fields_are_written_in_the_order_asked_for(afetch: Afetch, site: Site) -> None:
    """CSV, TSV and JSON Lines of the same run have the same; what is missing is an empty cell."""
    urls = [site.json({"name": "a,b"}), site.page("x", status=404)]
    names = "status,body.name,headers.content-type,error.kind,index"

    done = afetch(*urls, "-o", "a.csv", "-o", "b.tsv", "-o", "c.jsonl", "--fields", names)

    assert (done.returncode, done.stdout) == (1, "")
    lines = [json.loads(line) for line in (afetch.folder / "c.jsonl").read_text().splitlines()]
    assert sorted((line["index"], line["status"], line["body.name"]) for line in lines) == [
        (0, 200, "a,b"),
        (1, 404, None),
    ]
    with (afetch.folder / "a.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [list(row) for row in table] == [list(line) for line in lines] == [names.split(",")] * 2
    assert [row["body.name"] or None for row in table] == [line["body.name"] for line in lines]
    tabs = [row.split("\t") for row in (afetch.folder / "b.tsv").read_text().splitlines()]
    assert tabs == [names.split(","), *(list(row.values()) for row in table)]


def test_a_field_that_no_record_has_ends_the_run_before_its_first_request(afetch: Afetch, site: Site) -> None:
    """Status 2 and one line that says what there is."""
    done = afetch(site.page(), "-f", "csv", "--fields", "url,timings.dsn")

    assert (done.returncode, site.log) == (2, [])
    assert done.stderr.startswith("afetch: field 'timings.dsn': no record has it; a record has url,")


# --- Text of one's own ---


def test_a_template_makes_the_line(afetch: Afetch, site: Site) -> None:
    """`--template '{status}\\t{url}'` is a line a URL of just that."""
    url = site.page("x", status=404)

    done = afetch(url, "--template", r"{status}\t{url}")

    assert (done.returncode, done.stdout) == (1, f"404\t{url}\n")


def test_a_page_goes_to_standard_output_as_it_is(afetch: Afetch, site: Site) -> None:
    """`--template '{body}'` writes the bytes, whatever charset or blanks they have, as curl does."""
    pages = {b"caf\xe9 \x1b[0m\0": "text/plain; charset=latin-1", b'{ "a" :\n 1 }\n': "application/json"}

    for body, type_ in pages.items():
        process = afetch.start(site.page(body, content_type=type_), "--template", "{body}", "-q")
        out, err = process.communicate(timeout=30)

        assert (process.returncode, out, err) == (0, body, b"")


def test_only_failed_ones_are_written(afetch: Afetch, site: Site) -> None:
    """`--only` says which records go to every output; all count, in the summary and in the exit status."""
    good, gone = site.page("x"), site.page("y", status=404)

    done = afetch(good, gone, "http://", "--only", "404", "-o", "-", "-o", "a.jsonl")
    failed = afetch(good, gone, "http://", "--only", "failed", "--json")

    assert done.returncode == failed.returncode == 1
    assert [line.split("\t")[3] for line in done.stdout.splitlines()] == [gone]
    assert [json.loads(line)["url"] for line in (afetch.folder / "a.jsonl").read_text().splitlines()] == [gone]
    assert sorted(record["url"] for record in failed.records) == ["http://", gone]
    assert "1 ok, 2 failed" in done.stderr
    assert "no record" not in done.stderr


# --- Several outputs ---


def test_one_run_feeds_several_outputs(afetch: Afetch, site: Site) -> None:
    """`-o` repeats: every output has every record, from one request each."""
    urls = [site.page("one"), site.page("two"), site.page("gone", status=404)]

    done = afetch(*urls, "-o", "out.jsonl", "-o", "-", "-o", "out.json")

    array = json.loads((afetch.folder / "out.json").read_text())
    lines = [json.loads(line) for line in (afetch.folder / "out.jsonl").read_text().splitlines()]
    assert array == lines
    assert [line.split("\t")[3] for line in done.stdout.splitlines()] == [record["url"] for record in lines]
    assert sorted(record["url"] for record in lines) == sorted(urls)
    assert len(site.log) == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-o", "-", "-o", "/dev/stdout"), "output to standard output: is there twice"),
        (("-o", "a.txt", "-o", "./a.txt"), "./a.txt: is the same file as another output"),
        (("-o", "a.txt", "-o", "b.json", "--json"), "format jsonl with 2 outputs"),
        (("-o", "a.txt", "-o", "urls.txt", "--overwrite"), "urls.txt: is also an input"),
        (("-o", "a.txt", "-o", "full.txt"), "full.txt: is not empty"),
    ],
)
def test_outputs_that_cannot_be_end_the_run_before_its_first_request(
    afetch: Afetch, site: Site, arguments: tuple[str, ...], complaint: str
) -> None:
    """Status 2, one line that names the output, and no file that was not there."""
    (afetch.folder / "urls.txt").write_text(site.page())
    (afetch.folder / "full.txt").write_text("precious")

    done = afetch("urls.txt", *arguments)

    assert (done.returncode, done.stdout, site.log) == (2, "", [])
    assert done.stderr.startswith(f"afetch: {complaint}")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in afetch.folder.iterdir()) == ["full.txt", "urls.txt"]


def test_what_an_output_could_not_take_is_learned_by_no_cache(afetch: Afetch, site: Site) -> None:
    """The cache stands behind all outputs: with one of two full, the change is told again by the next run."""
    url = site.page("x")

    broken = afetch(url, "--cache", "seen", "-o", "one.jsonl", "-o", "/dev/full", "-f", "text")
    second = afetch(url, "--cache", "seen", "--json")
    third = afetch(url, "--cache", "seen", "--json")

    assert broken.returncode == 2
    assert "/dev/full: no space is left" in broken.stderr
    assert [second.records[0]["change"], third.records[0]["change"]] == ["new", "unchanged"]


def test_an_output_that_fails_leaves_the_others_whole(afetch: Afetch, site: Site) -> None:
    """The run ends, with status 2, and the other file ends well-formed."""
    done = afetch(site.page("x"), "-o", "/dev/full", "-o", "out.json")

    assert done.returncode == 2
    assert isinstance(json.loads(Path(afetch.folder / "out.json").read_text()), list)


def test_every_format_has_every_record(afetch: Afetch, site: Site) -> None:
    """All at once, also compressed and after an interrupt: as many as the summary says."""
    urls = [site.page(f"page {number}", status=404 if number % 7 == 0 else 200) for number in range(60)]
    (afetch.folder / "urls.txt").write_text("".join(f"{url}\n" for url in [*urls, site.hang()]))
    names = ("a.jsonl", "a.json", "a.csv", "a.tsv", "a.sqlite", "a.txt", "b.jsonl.gz", "b.csv.gz")
    process = afetch.start("urls.txt", *(word for name in names for word in ("-o", name)))
    site.wait(61)
    while (afetch.folder / "a.txt").read_text().count("\n") != 60:
        assert process.poll() is None
        threading.Event().wait(0.02)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)

    def read(name: str) -> bytes:
        return (afetch.folder / name).read_bytes()

    with closing(sqlite3.connect(afetch.folder / "a.sqlite")) as base:
        rows = [url for (url,) in base.execute("SELECT url FROM records")]
    tables = [read("a.csv"), gzip.decompress(read("b.csv.gz"))]
    found = [
        [json.loads(line)["url"] for line in read("a.jsonl").splitlines()],
        [json.loads(line)["url"] for line in gzip.decompress(read("b.jsonl.gz")).splitlines()],
        [record["url"] for record in json.loads(read("a.json"))],
        *([row["url"] for row in csv.DictReader(io.StringIO(table.decode()))] for table in tables),
        [line.split("\t")[0] for line in read("a.tsv").decode().splitlines()[1:]],
        [line.split("\t")[3] for line in read("a.txt").decode().splitlines()],
        rows,
    ]
    assert [sorted(each) for each in found] == [sorted(urls)] * len(names)
    assert b"51 ok, 9 failed" in err
    assert b"1 entry has no record" in err
