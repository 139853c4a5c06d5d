"""Only what changed: several runs of the command over one list, and what the server sees of the later ones."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fetcher.cache import NAME
from fetcher.demo import answers
from tests.conftest import Afetch, Completed, MakeNginx
from tests.ordinary import ORDINARY_COMMAND
from tests.servers import Site
from tests.test_endings import end


def changes(done: Completed) -> list[Any]:
    """What each record says of its change, in the order of the list."""
    return [record["change"] for record in sorted(done.records, key=lambda record: record["index"])]


def test_a_page_is_new_then_unchanged_changed_and_gone(afetch: Afetch, site: Site) -> None:
    """By the body's hash where a server gives no validators; when it is gone, it is gone once."""
    url = site.answer(
        answers.in_turn(
            *(answers.page("one"), answers.page("one"), answers.page("two")),
            *(answers.page(status=404), answers.page(status=404), answers.page("two")),
        )
    )

    runs = [afetch("--json", "--cache", "seen", url) for _ in range(6)]

    assert [changes(run) for run in runs] == [["new"], ["unchanged"], ["changed"], ["gone"], [None], ["new"]]
    assert "changes  1 unchanged" in runs[1].stderr


def test_what_is_known_is_asked_for_only_if_it_changed(afetch: Afetch, nginx: MakeNginx, tmp_path: Path) -> None:
    """nginx answers 304 to its own validators; a file that is written again is sent, and has other ones then."""
    (tmp_path / "page.txt").write_text("one")
    os.utime(tmp_path / "page.txt", (1_700_000_000, 1_700_000_000))
    server = nginx(root=tmp_path)

    first = afetch("--json", "--cache", "seen", server.url("/page.txt"))
    second = afetch("--json", "--cache", "seen", server.url("/page.txt"))
    (tmp_path / "page.txt").write_text("another")
    third = afetch("--json", "--cache", "seen", server.url("/page.txt"))
    fourth = afetch("--json", "--cache", "seen", server.url("/page.txt"))

    runs = [first, second, third, fourth]
    assert [run.records[0]["status"] for run in runs] == [200, 304, 200, 304]
    assert [changes(run) for run in runs] == [["new"], ["unchanged"], ["changed"], ["unchanged"]]
    assert [run.returncode for run in runs] == [0] * 4


def test_validators_go_back_as_they_came_and_to_where_they_came_from(afetch: Afetch, site: Site) -> None:
    """Weak ones too; of a redirect only the last hop asks with them."""
    end_ = site.page("x", headers={"ETag": 'W/"a b"', "Last-Modified": "Tue, 01 Oct 2024 10:00:00 GMT"})
    start = site.answer(answers.redirect(end_))

    for _ in range(2):
        afetch("--json", "--cache", "seen", start)

    asked = [(request.header("if-none-match"), request.header("if-modified-since")) for request in site.log]
    assert asked == [(None, None)] * 3 + [('W/"a b"', "Tue, 01 Oct 2024 10:00:00 GMT")]


@pytest.mark.parametrize("option", ["If-None-Match: mine", "Range: bytes=0-1"])
def test_conditions_of_the_users_own_stand_alone(afetch: Afetch, site: Site, option: str) -> None:
    """Who asks for something else is not given validators beside it."""
    url = site.page("x", headers={"ETag": '"ours"'})
    afetch("--cache", "seen", url)

    afetch("--cache", "seen", "-H", option, url)

    assert site.log[-1].header("if-none-match") == (option.partition(": ")[2] if "None" in option else None)


def test_failures_are_never_remembered(afetch: Afetch, site: Site) -> None:
    """A server's bad day, a cut body: no change, and the day after all is as it was."""
    url = site.answer(
        answers.in_turn(answers.page("one"), answers.page("no", status=500), answers.cut(b"on"), answers.page("one"))
    )

    runs = [afetch("--json", "-r", "0", "--cache", "seen", url) for _ in range(4)]

    assert [changes(run) for run in runs] == [["new"], [None], [None], ["unchanged"]]


def test_requests_are_told_apart_by_method_url_and_body(afetch: Afetch, site: Site) -> None:
    """What was known of a GET says nothing of a POST."""
    url = site.page("x")
    asks: list[tuple[str, ...]] = [(), ("-X", "PUT"), ("-d", "a=1"), ("-d", "a=2"), ("--param", "a=1")]

    first = [changes(afetch("--json", "--cache", "seen", *more, url)) for more in asks]
    second = [changes(afetch("--json", "--cache", "seen", *more, url)) for more in asks]

    assert (first, second) == ([["new"]] * 5, [["unchanged"]] * 5)


def test_a_reply_without_a_body_is_compared_by_its_validators(afetch: Afetch, site: Site) -> None:
    """HEAD: the same ETag is the same page; without any, nobody can tell."""
    tagged = site.page("x", headers={"ETag": '"1"'})
    plain = site.page("x")

    runs = [afetch("--json", "-X", "HEAD", "--cache", "seen", tagged, plain) for _ in range(2)]

    assert [changes(run) for run in runs] == [["new", "new"], ["unchanged", None]]


def test_only_what_changed_is_written(afetch: Afetch, site: Site) -> None:
    """New, changed, gone; not what is as it was, and not what failed. The summary counts them all."""
    same, other, gone, bad = (
        site.page("same"),
        site.answer(answers.in_turn(answers.page("one"), answers.page("two"))),
        site.answer(answers.in_turn(answers.page("here"), answers.page(status=410))),
        site.answer(answers.in_turn(answers.page("well"), answers.page(status=500))),
    )
    urls = [same, other, gone, bad]
    afetch("--cache", "seen", *urls)

    done = afetch("--json", "-r", "0", "--cache", "seen", "--changed-only", *urls, site.page("fresh"))

    assert {record["url"]: record["change"] for record in done.records} == {
        other: "changed",
        gone: "gone",
        site.url("/4"): "new",
    }
    assert "1 changed   1 gone   1 new   1 unchanged" in done.stderr
    assert "no record" not in done.stderr


def test_without_a_cache_there_is_no_change(afetch: Afetch, site: Site) -> None:
    """Null, as for every record of an ordinary run; and no file appears."""
    done = afetch("--json", site.page())

    assert changes(done) == [None]
    assert list(afetch.folder.iterdir()) == []


def test_a_thousand_urls_are_known_again(afetch: Afetch, site: Site) -> None:
    """In bulk, from a pipe: all new, then none."""
    site.page("x", path="/p")
    urls = "".join(f"{site.url('/p')}?{number}\n" for number in range(1000))

    first, second = (afetch("--json", "--body", "none", "--cache", "seen", stdin=urls) for _ in range(2))

    assert (set(changes(first)), set(changes(second))) == ({"new"}, {"unchanged"})
    with sqlite3.connect(afetch.folder / "seen" / NAME) as base:
        assert base.execute("SELECT count(*) FROM known").fetchone() == (1000,)


def test_what_was_not_written_is_not_known(afetch: Afetch, site: Site) -> None:
    """A reader that goes away, a full disk: whoever did not get the record is told of the change again."""
    url = site.page("x" * 100)

    cut = afetch("--json", "--cache", "seen", "-o", "/dev/full", url)
    again = afetch("--json", "--cache", "seen", url)

    assert (cut.returncode, changes(again)) == (2, ["new"])


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("file", "give another folder with --cache"),
        ("garbage", "no cache of afetch's"),
        ("version", "of another version of afetch (7)"),
    ],
)
def test_a_folder_that_cannot_be_a_cache_is_status_2(afetch: Afetch, site: Site, prepare: str, words: str) -> None:
    """One line, before the first request, and nothing of the user's is touched."""
    folder = afetch.folder / "seen"
    if prepare == "file":
        folder.write_text("precious")
    else:
        folder.mkdir()
        if prepare == "garbage":
            (folder / NAME).write_bytes(b"precious, and no database" * 100)
        else:
            with sqlite3.connect(folder / NAME) as base:
                base.execute("PRAGMA user_version = 7")

    done = afetch("--cache", "seen", site.page())

    assert (done.returncode, site.log) == (2, [])
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if prepare == "file":
        assert folder.read_text() == "precious"


def test_a_folder_that_may_not_be_written_is_status_2(afetch: Afetch, site: Site) -> None:
    """Said before the first request."""
    locked = afetch.folder / "locked"
    locked.mkdir(mode=0o500)

    process = afetch.start("--cache", "locked/seen", site.page(), command=ORDINARY_COMMAND)
    status, _, err = end(process)

    assert (status, site.log) == (2, [])
    assert "locked/seen: Permission denied; give another folder with --cache" in err


def test_only_changes_without_a_cache_is_a_mistake(afetch: Afetch, site: Site) -> None:
    """Nothing is known to have changed."""
    done = afetch("--changed-only", site.page())

    assert (done.returncode, site.log) == (2, [])
    assert "--cache DIR" in done.stderr
