"""Formats as their users have them: the real command, and the tools that read what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Afetch
from tests.servers import Site

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
