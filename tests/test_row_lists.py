"""Requests from data, from the command line: JSON Lines, CSV, templates, compressed lists, in a real process."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tests.conftest import Afetch, Completed
from tests.servers import Site


def zstd(data: bytes) -> bytes:
    """Compressed with what the command itself reads it with."""
    if sys.version_info >= (3, 14):
        from compression import zstd as library
    else:
        from backports import zstd as library
    return bytes(library.compress(data))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


def by_index(done: Completed) -> list[dict[str, Any]]:
    return sorted(done.records, key=lambda record: int(record["index"]))


def told(done: Completed) -> list[str]:
    """Each record's status, or its error."""
    return [
        record["error"]["message"] if record["error"] is not None else str(record["status"])
        for record in by_index(done)
    ]


def lines_of(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_row_of_json_says_how_it_is_sent(afetch: Afetch, site: Site) -> None:
    """Method, headers, params, body, cookies and credentials go out, the rest is in extra as it was spelled."""
    echo = site.echo()
    row = (
        f'{{"url": "{echo}", "method": "PUT", "headers": {{"X-A": "b"}}, "params": {{"q": "a b"}}, '
        '"json": {"n": 1.0}, "cookies": {"c": "d"}, "auth": "user:secretpassword", "timeout": 20, '
        '"save": "a.html", "id": 7.50}\n'
    )
    (afetch.folder / "list.jsonl").write_text(row)

    done = afetch("list.jsonl", "--json")

    [record] = done.records
    sent = record["body"]
    headers = {name.lower(): value for name, value in sent["headers"]}
    assert (sent["method"], sent["body"]) == ("PUT", '{"n": 1.0}')
    assert sent["target"].endswith("?q=a%20b")
    assert headers["x-a"] == "b"
    assert headers["cookie"] == "c=d"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Basic dXNlcjpzZWNyZXRwYXNzd29yZA=="
    assert '"extra":{"id":7.50}' in done.stdout


def test_a_row_has_its_own_timeout(afetch: Afetch, site: Site) -> None:
    """It stands above the run's."""
    hang = site.hang()

    done = afetch("-", "--json", "-r", "0", "-t", "60", stdin=lines_of({"url": hang, "timeout": 0.1}))

    assert told(done) == ["not done within 0.1 s in all (--timeout)"]


def test_credentials_in_a_row_are_shown_nowhere(afetch: Afetch, site: Site) -> None:
    """Neither in records nor in errors, nor by -v or --explain."""
    rows = lines_of(
        {"url": site.page(), "auth": "user:secretword"},
        {"url": site.page(), "auth": {"user": "secretword"}},
        {"url": site.page(), "cookies": {"a": "secretword;"}},
        {"url": "http://[", "auth": "user:secretword"},
    )
    (afetch.folder / "list.jsonl").write_text(rows + '{"auth": "user:secretword", \n')

    runs = [afetch("list.jsonl", option) for option in ("--json", "-v", "--explain")]

    assert [run.returncode for run in runs] == [1, 1, 0]
    for run in runs:
        assert "secretword" not in run.stdout + run.stderr
        assert "dXNlcjpzZWNyZXR3b3Jk" not in run.stdout + run.stderr


def test_a_wrong_row_is_a_record_and_the_run_goes_on(afetch: Afetch, site: Site) -> None:
    """No URL, wrong type, broken JSON: each is one `invalid-request` with its line, and the exit status is 1."""
    good = site.page()
    (afetch.folder / "list.jsonl").write_text(
        f'{{"url": "{good}"}}\n{{"id": 1}}\n\n{{"url": "http://127.0.0.1/", "headers": [}}\n'
        f'{{"url": "{good}", "headers": 3}}\n{{"url": "{good}"}}\n'
    )

    done = afetch("list.jsonl", "--json")

    assert done.returncode == 1
    assert told(done) == [
        "200",
        "line 2: no 'url'",
        "line 4: not JSON: invalid character (byte 41)",
        "line 5: 'headers' must be an object",
        "200",
    ]
    assert [record["error"] and record["error"]["kind"] for record in by_index(done)].count("invalid-request") == 3


def test_a_row_without_a_url_has_a_dash_in_its_line(afetch: Afetch) -> None:
    """Every column of the text output is there to be seen."""
    done = afetch("-", stdin="{}\n")

    assert done.stdout == "-\t-\t-\t-\tinvalid-request: line 1: no 'url'\n"


def test_answers_are_joined_to_the_rows_of_a_table(afetch: Afetch, site: Site) -> None:
    """The columns of a CSV come back in extra, with whatever became of the row; a ragged one is its own record."""
    site.json({"name": "Ann"}, path="/items/007")
    (afetch.folder / "ids.csv").write_text('id,note\n007,"a, ""b"""\nx/y,\n8,too,many\n')

    done = afetch("ids.csv", "--base-url", site.url("/items/{id}"), "--json")

    assert [record["extra"] for record in by_index(done)] == [
        {"id": "007", "note": 'a, "b"'},
        {"id": "x/y", "note": ""},
        None,
    ]
    assert told(done) == ["200", "404", "line 4: 3 columns, and the first row names 2"]
    assert sorted(request.target for request in site.log) == ["/items/007", "/items/x%2Fy"]


def test_a_column_may_have_the_url(afetch: Afetch, site: Site) -> None:
    """`--url-column` names it, `--input-format` says what standard input is."""
    done = afetch("--url-column", "link", "--input-format", "tsv", "--json", stdin=f"n\tlink\n1\t{site.page()}\n")

    assert [(record["status"], record["extra"]) for record in done.records] == [(200, {"n": "1"})]


def test_columns_fill_body_and_headers(afetch: Afetch, site: Site) -> None:
    """Each value is written for its place: JSON's braces stay, a quote is escaped, a line break in a header refused."""
    echo = site.echo()
    (afetch.folder / "list.csv").write_text(f'url,id,name\n{echo},7,"say ""hi"""\n{echo},"8\n9",x\n')

    done = afetch("list.csv", "-d", '{"q": "{name}"}', "-H", "X-Id: {id}", "--param", "n={name}", "--json")

    sent, refused = by_index(done)
    assert json.loads(sent["body"]["body"]) == {"q": 'say "hi"'}
    assert ["X-Id", "7"] in sent["body"]["headers"]
    assert sent["body"]["target"].endswith("?n=say%20%22hi%22")
    assert refused["error"] == {
        "kind": "invalid-request",
        "message": "line 3: 'id' has a control character or a line break, and stands in a header",
    }


@pytest.mark.parametrize("body", ['{"n": {id}, "s": "{id}"}', '{"n":{"m":{id}},"s":"{id}"}'])
def test_columns_fill_json(afetch: Afetch, site: Site, body: str) -> None:
    """With --data-json a value may stand for itself."""
    (afetch.folder / "list.csv").write_text(f"url,id\n{site.echo()},7\n")

    done = afetch("list.csv", "--data-json", body, "--json")

    assert done.records[0]["body"]["body"] == body.replace("{id}", "7")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--base-url", "http://127.0.0.1:9/{idd}"), "no column 'idd', which --base-url asks for (columns: id, link)"),
        (("--url-column", "lnk"), "no column 'lnk' (columns: id, link)"),
        (("-H", "X: {x}", "--url-column", "link"), "no column 'x', which --header X asks for"),
        (("--base-url", "{link}"), "it must begin with http:// or https://"),
        (("--input-format", "xml"), "'xml' is not one of"),
    ],
)
def test_a_mistake_about_columns_is_said_before_any_request(
    afetch: Afetch, site: Site, arguments: tuple[str, ...], said: str
) -> None:
    """One line on standard error and status 2, also where the table is not the first source."""
    (afetch.folder / "first.txt").write_text(site.page() + "\n")
    (afetch.folder / "second.csv").write_text(f"id,link\n1,{site.page()}\n")

    done = afetch("first.txt" if "--base-url" not in arguments else site.page(), "second.csv", *arguments)

    assert (done.returncode, done.stdout, site.log) == (2, "", [])
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_records_are_a_list(afetch: Afetch, site: Site) -> None:
    """What a run wrote can be fetched again: URL, method and extra, and nothing of the replies."""
    (afetch.folder / "list.csv").write_text(f"url,id\n{site.echo()},7\n{site.url('/missing')},8\n")
    first = afetch("list.csv", "-X", "DELETE", "-o", "first.jsonl")

    again = afetch("first.jsonl", "--json")

    assert first.returncode == again.returncode == 1
    assert [(record["method"], record["extra"], record["status"]) for record in by_index(again)] == [
        ("DELETE", {"id": "7"}, 200),
        ("DELETE", {"id": "8"}, 404),
    ]


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("piped", [False, True])
def test_a_compressed_list_is_read_as_it_is(afetch: Afetch, site: Site, suffix: str, piped: bool) -> None:
    """Told by how it begins, from a file and from a pipe, in two pieces one behind the other."""
    pages = [site.page(), site.page()]
    packed = b"".join(PACKERS[suffix](f"{json.dumps({'url': page})}\n".encode()) for page in pages)
    (afetch.folder / f"list.{suffix}").write_bytes(packed)

    done = afetch("--json", stdin=packed) if piped else afetch(f"list.{suffix}", "--json")

    assert [record["url"] for record in by_index(done)] == pages
    assert done.returncode == 0


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_compressed_list_that_was_cut_off_is_status_2_with_the_records_so_far(
    afetch: Afetch, site: Site, suffix: str
) -> None:
    """What is whole of it is fetched, its last line is not."""
    page = site.page()
    whole, broken = f"{page}?a\n" * 100, "".join(f"{page}?{zlib.crc32(b'%d' % n)}\n" for n in range(100))
    packed = PACKERS[suffix](whole.encode()) + PACKERS[suffix](broken.encode())[:-50]
    (afetch.folder / f"list.{suffix}").write_bytes(packed)

    done = afetch(f"list.{suffix}", "--json")

    assert done.returncode == 2
    assert f"list.{suffix}: " in done.stderr
    assert "ends early; the list is damaged, cut off, or has a wrong suffix" in done.stderr
    assert 100 <= len(done.records) < 200
    assert all(record["ok"] for record in done.records)


def test_a_suffix_that_lies_is_said_before_any_request(afetch: Afetch, site: Site) -> None:
    """A list that is called .gz and is not gzip is no list of URLs."""
    (afetch.folder / "list.gz").write_text(site.page())

    done = afetch(site.page(), "list.gz")

    assert (done.returncode, site.log) == (2, [])
    assert done.stderr == (
        "afetch: list.gz: not gzip, in spite of its name; the list is damaged, cut off, or has a wrong suffix\n"
    )


@pytest.mark.parametrize(
    ("arguments", "head", "row"),
    [
        ((), "", '{{"url": "{url}"}}\n'),
        (("--input-format", "csv"), "id,url\n", "1,{url}\n"),
        (("--input-format", "tsv"), "id\turl\n", "1\t{url}\n"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_row_is_fetched_as_soon_as_it_is_there(
    afetch: Afetch, site: Site, arguments: tuple[str, ...], head: str, row: str, packed: bool
) -> None:
    """`tail -f list | afetch` in every format, compressed as well."""
    process = afetch.start("--json", *arguments, stdin=subprocess.PIPE)
    pipe = cast("IO[bytes]", process.stdin)
    packer = zlib.compressobj(wbits=31)

    def write(text: str) -> None:
        data = text.encode()
        pipe.write(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH) if packed else data)
        pipe.flush()

    write(head + row.format(url=site.page()))
    site.wait(1)
    write(row.format(url=site.page()))
    site.wait(2)
    pipe.write(packer.flush() if packed else b"")
    out, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert len(out.splitlines()) == 2


PEAK = """
import asyncio, sys
from pathlib import Path
from fetcher.sources.config import SourceConfig
from fetcher.sources.reader import Feed

async def main():
    count = 0
    async for batch in Feed([sys.argv[1]], SourceConfig()).batches():
        count += len(batch)
    print(count, Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process's own peak is in /proc")
@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.csv.gz"])
def test_a_long_table_streams(tmp_path: Path, name: str) -> None:
    """Ten times as many rows take no more memory."""
    peaks = []
    for count in (10_000, 100_000):
        text = "".join(
            f'{{"url": "http://h.example/{n}", "id": {n}}}\n' if "jsonl" in name else f'http://h.example/{n},"{n}"\n'
            for n in range(count)
        ).encode()
        text = text if "jsonl" in name else b"url,id\n" + text
        (tmp_path / name).write_bytes(gzip.compress(text, 1) if name.endswith(".gz") else text)
        command = [sys.executable, "-c", PEAK, str(tmp_path / name)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        rows, peak = map(int, ended.stdout.split())
        assert rows == count
        peaks.append(peak)

    assert peaks[1] < peaks[0] + 4096
