"""The list of what failed, fed back: verbatim, in the input's own format, each entry once."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetcher.errors import SourceError, UsageError
from fetcher.sinks.config import OutputConfig
from fetcher.sources.config import SourceConfig
from fetcher.sources.formats import Intake
from fetcher.sources.ledger import Ledger
from fetcher.sources.lines import LineParser
from fetcher.sources.rows import RowMaker
from tests.conftest import Afetch
from tests.servers import Site


def given_back(name: str, data: bytes, block: int = 7) -> tuple[bytes, int]:
    """What all entries of a list were made of, and how many there were."""
    config, ledger = SourceConfig(), Ledger()
    intake = Intake(RowMaker(LineParser(config), config), name, "", "auto", ledger)
    lines = [line for start in range(0, len(data), block) for line in intake.feed(data[start : start + block])]
    requests = [*intake.requests(lines), *intake.requests(intake.finish()), *intake.rest()]
    texts = [ledger.ask(request.index, wanted=True) for request in requests]
    return ledger.head + b"".join(texts), len(requests)


def test_lines_are_given_back_as_they_were(afetch: Afetch, site: Site) -> None:
    """With blanks, passwords and stray bytes, but without comments; the rest succeeded."""
    gone = site.page("x", status=404).encode()
    secret = gone.replace(b"http://", b"http://me:secret@")
    lines = [
        b"# list",
        site.page("ok").encode(),
        b"  " + gone + b"\t\r",
        b"",
        secret,
        b"no scheme \xff",
        gone + b"?a b",
    ]
    (afetch.folder / "urls.txt").write_bytes(b"\n".join(lines))

    done = afetch("urls.txt", "--failed", "failed.txt", "-c", "1")
    again = afetch("failed.txt", "--failed", "once-more.txt", "-c", "1")

    assert (done.returncode, again.returncode) == (1, 1)
    expected = [lines[2], lines[4], lines[5], lines[6]]
    assert sorted((afetch.folder / "failed.txt").read_bytes().split(b"\n")) == sorted([*expected, b""])
    assert sorted((afetch.folder / "once-more.txt").read_bytes().split(b"\n")) == sorted([*expected, b""])
    assert "1 ok, 4 failed" in done.stderr
    assert "0 ok, 4 failed" in again.stderr


def test_a_table_is_given_back_with_its_header(afetch: Afetch, site: Site) -> None:
    """Rows as they were, also over several lines and of too few cells, in the columns of the list."""
    good, gone = site.page("ok"), site.page("x", status=404)
    header, row, short = 'id,"url",note\r\n', f'2,{gone},"two ""lines""\r\nhere"\r\n', "3,x\r\n"
    (afetch.folder / "list.csv").write_text(f"{header}1,{good},\r\n{row}\r\n{short}", newline="")

    done = afetch("list.csv", "--failed", "failed.csv", "-c", "1", "--json")
    again = afetch("failed.csv", "--json", "-c", "1")

    failed = (afetch.folder / "failed.csv").read_bytes().decode()
    assert failed.startswith(header)
    assert sorted([row, short]) == sorted([failed.removeprefix(header).replace(short, ""), short])
    assert {record["url"] for record in done.records if not record["ok"]} == {record["url"] for record in again.records}
    assert {"id": "2", "note": 'two "lines"\r\nhere'} in [record["extra"] for record in again.records]


def test_rows_of_json_are_given_back_as_they_were(afetch: Afetch, site: Site) -> None:
    """Numbers and blanks stay as they are spelled; what is no row is an entry that failed."""
    good, gone = site.page("ok"), site.page("x", status=404)
    row = f'{{ "url": "{gone}", "n": 1.50 }}'
    (afetch.folder / "list.jsonl").write_text(f'{{"url": "{good}"}}\n{row}\n\n{{"url": 7}}\n')

    afetch("list.jsonl", "--failed", "failed.jsonl")

    assert sorted((afetch.folder / "failed.jsonl").read_text().splitlines()) == sorted([row, '{"url": 7}'])


def test_nothing_failed_leaves_an_empty_file(afetch: Afetch, site: Site) -> None:
    """`test -s failed.csv` says whether there is anything to do again."""
    (afetch.folder / "list.csv").write_text(f"url\n{site.page('x')}\n")

    done = afetch("list.csv", "--failed", "failed.csv")

    assert done.returncode == 0
    assert (afetch.folder / "failed.csv").read_bytes() == b""


def test_pipes_and_urls_of_the_command_line_are_lines(afetch: Afetch, site: Site) -> None:
    """They are written as lines, in one list, whichever records are written elsewhere."""
    one, two = site.page("x", status=404), site.page("y", status=500)

    done = afetch("-", two, "--failed", "failed.txt", "--only", "ok", "-r", "0", stdin=one)

    assert done.stdout == ""
    assert sorted((afetch.folder / "failed.txt").read_text().splitlines()) == sorted([one, two])


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        (("urls.txt", "list.csv"), "list.csv: is csv, and urls.txt is lines; --failed writes one list"),
        (("list.csv", "other.csv"), "other.csv: has other columns; --failed writes one list"),
        (("list.csv", "http://localhost/"), "http://localhost/: is lines, and list.csv is csv; --failed writes"),
    ],
)
def test_lists_of_two_kinds_end_the_run_before_its_first_request(
    afetch: Afetch, site: Site, sources: tuple[str, ...], complaint: str
) -> None:
    """One file is one list: status 2, with the way out. Without --failed they are fetched."""
    (afetch.folder / "urls.txt").write_text(site.page())
    (afetch.folder / "list.csv").write_text(f"url,a\n{site.page()},1\n")
    (afetch.folder / "other.csv").write_text(f"url,b\n{site.page()},1\n")

    done = afetch(*sources, "--failed", "failed.csv")

    assert (done.returncode, site.log) == (2, [])
    assert done.stderr.startswith(f"afetch: {complaint}")
    assert not (afetch.folder / "failed.csv").exists()


def test_two_tables_of_the_same_columns_are_one_list(afetch: Afetch, site: Site) -> None:
    """Their header is written once."""
    gone = site.page("x", status=404)
    for name in ("a.csv", "b.csv"):
        (afetch.folder / name).write_text(f"url,from\n{gone},{name}\n")

    afetch("a.csv", "b.csv", "--failed", "failed.csv")

    rows = list(csv.reader(io.StringIO((afetch.folder / "failed.csv").read_text())))
    assert rows[0] == ["url", "from"]
    assert sorted(rows[1:]) == [[gone, "a.csv"], [gone, "b.csv"]]


@pytest.mark.parametrize("name", ["list.txt", "failed.txt", "out.txt"])
def test_the_list_is_never_an_input_nor_another_output(afetch: Afetch, site: Site, name: str) -> None:
    """And what is not empty is kept."""
    (afetch.folder / "list.txt").write_text(site.page())
    (afetch.folder / "failed.txt").write_text("precious")

    done = afetch("list.txt", "-o", "out.txt", "--failed", name)

    assert (done.returncode, site.log) == (2, [])
    assert (afetch.folder / "failed.txt").read_text() == "precious"
    assert not (afetch.folder / "out.txt").exists()


@pytest.mark.parametrize("name", ["", "-", "failed.txt.gz"])
def test_refuses_what_is_no_file_for_a_list(name: str) -> None:
    """Standard output is for records."""
    with pytest.raises(UsageError, match=r"^failed"):
        OutputConfig(failed=name)


CELLS = st.text(st.sampled_from('ab",\r\n é\0'), max_size=6)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=6))
def test_any_table_reads_the_same_again(rows: list[list[str]]) -> None:
    """Written by Python's csv, read and given back, it is the table, but for its blank lines."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["url", "b"], *rows])

    again, _ = given_back("list.csv", text.getvalue().encode())

    def filled(table: list[list[str]]) -> list[list[str]]:
        return [row for row in table if len(row) > 1 or row[0].strip()]

    assert filled([row for row in csv.reader(io.StringIO(again.decode(), newline="")) if row][1:]) == filled(rows)


@given(st.binary(max_size=60), st.integers(1, 9))
def test_quotes_that_do_not_close_lose_no_line(data: bytes, block: int) -> None:
    """Whatever follows a header, what is given back makes as many entries as it was."""
    data = b"url,b\n" + data.replace(b"\xff\xfe", b"") + b'\n"open,1\nx,2\n'

    try:
        once, count = given_back("list.csv", data, block)
    except SourceError:
        return
    _, again = given_back("list.csv", once, block)

    assert again == count


def test_what_succeeded_is_let_go() -> None:
    """Nothing is held of an entry whose record is written."""
    config, ledger = SourceConfig(), Ledger()
    intake = Intake(RowMaker(LineParser(config), config), "list", "", "lines", ledger)
    intake.requests(intake.feed(b"http://a.example/\nhttp://b.example/\n"))

    answers = [ledger.ask(index, wanted=index == 1) for index in (0, 1, 1)]

    assert answers == [b"", b"http://b.example/\n", b""]
    assert ledger._given == {}
