"""What rows of JSON Lines, CSV and TSV mean, and what becomes of those that mean nothing."""

from __future__ import annotations

import base64
import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetcher.errors import ErrorKind, SourceError, UsageError
from fetcher.model import Request
from fetcher.sources import jsonl, tabular
from fetcher.sources.config import InputFormat, SourceConfig
from fetcher.sources.formats import Intake
from fetcher.sources.iterable import from_iterable
from fetcher.sources.lines import LineParser
from fetcher.sources.rows import KEYS, RowMaker

Headers = tuple[tuple[str, str | None], ...]

GOOD = "http://h.example/"

UNICODE = st.text(st.characters(codec="utf-8"), max_size=5)


def read(
    text: str | bytes,
    wanted: InputFormat = "auto",
    *,
    name: str = "list",
    headers: Headers = (),
    blocks: list[int] | None = None,
    **config: Any,
) -> list[Request]:
    """The requests of a list that arrives in blocks which end at these places."""
    data = text.encode() if isinstance(text, str) else text
    made = SourceConfig(input_format=wanted, **config)
    intake = Intake(RowMaker(LineParser(made, headers), made, headers), name, "", wanted)
    requests: list[Request] = []
    ends = sorted({min(end, len(data)) for end in blocks or []} | {len(data)})
    for start, end in zip([0, *ends], ends, strict=False):
        requests += intake.requests(intake.feed(data[start:end]))
    return [*requests, *intake.requests(intake.finish()), *intake.rest()]


def row(**keys: Any) -> Request:
    """The request of one row of JSON."""
    [request] = read(json.dumps({"url": GOOD, **keys}), "jsonl")
    return request


def extra_of(request: Request) -> dict[str, str] | None:
    """The other columns as they are written into a record."""
    return None if request.extra is None else {key: _spelled(value) for key, value in request.extra.items()}


def _spelled(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def complaints(requests: list[Request]) -> list[str]:
    errors = [request.error for request in requests if request.error is not None]
    assert {error.kind for error in errors} <= {ErrorKind.INVALID_REQUEST}
    return [error.message for error in errors]


# JSON Lines


def test_a_row_says_what_is_its_own() -> None:
    """Every key that a row can have goes where it belongs; the others are its extra columns."""
    request = row(
        method="PUT",
        headers={"X-A": "1", "X-N": 1.5, "X-L": ["a", "b"], "X-Not": None},
        params={"q": "a b&c", "n": 7, "all": ["x", True]},
        json={"n": 1},
        cookies={"a": "1", "b": "x y"},
        auth="user:pass:word",
        timeout=2.5,
        save="a.html",
        id=7,
    )

    assert str(request.url) == "http://h.example/?q=a%20b%26c&n=7&all=x&all=true"
    assert (request.method, request.body) == ("PUT", b'{"n": 1}')
    assert request.headers == (
        ("Content-Type", "application/json"),
        ("X-A", "1"),
        ("X-N", "1.5"),
        ("X-L", "a"),
        ("X-L", "b"),
        ("Cookie", "a=1; b=x y"),
        ("Authorization", "Basic " + base64.b64encode(b"user:pass:word").decode()),
    )
    assert (request.timeout, request.save, extra_of(request)) == (2.5, "a.html", {"id": "7"})


def test_a_row_with_a_body_is_posted() -> None:
    """Text is a form's, as with --data; JSON goes out as it is spelled."""
    data = row(data="a=é")
    [spelled] = read('{"url": "http://h.example/", "json": {"n":1.0,  "big":123456789012345678901234567890}}', "jsonl")

    assert (data.method, data.body) == ("POST", "a=é".encode())
    assert data.headers == (("Content-Type", "application/x-www-form-urlencoded"),)
    assert (spelled.method, spelled.body) == ("POST", b'{"n":1.0,  "big":123456789012345678901234567890}')


def test_a_row_may_name_its_content_type() -> None:
    """A header of the row's or of the run's replaces ours."""
    own = row(json=1, headers={"content-type": "text/x"})
    [run] = read('{"url": "http://h.example/", "json": 1}', "jsonl", headers=(("Content-Type", "text/y"),))

    assert own.headers == (("content-type", "text/x"),)
    assert run.headers == ()


def test_a_row_stands_above_the_run() -> None:
    """Method and body of the run are for rows that have none; params of both are sent."""
    text = (
        '{"url": "http://h.example/"}\n{"url": "http://h.example/", "method": "PATCH", "json": 1, "params": {"b": 2}}'
    )

    first, second = read(text, "jsonl", method="PUT", data=b"run", params=(("a", "1"),))

    assert (first.method, first.body, str(first.url)) == ("PUT", b"run", "http://h.example/?a=1")
    assert (second.method, second.body, str(second.url)) == ("PATCH", b"1", "http://h.example/?a=1&b=2")
    assert second.headers == (("Content-Type", "application/json"),)


def test_a_body_is_not_sent_by_asking() -> None:
    """Where the run asks with HEAD a row with a body needs its own method; what is wrong says HEAD, too."""
    text = '{"url": "http://h.example/", "json": 1}\n{"url": "http://h.example/", "json": 1, "method": "PUT"}'

    wrong, right = read(text, "jsonl", method="head,get")

    assert complaints([wrong]) == ["line 1: a body, which -X head,get does not send; give the row a 'method'"]
    assert (wrong.method, right.method, right.fallback, right.body) == ("HEAD", "PUT", None, b"1")


def test_null_is_nothing_said() -> None:
    """Tables turned into JSON have null where there is nothing."""
    request = row(method=None, headers=None, params=None, data=None, json=None, cookies=None, auth=None, timeout=None)

    assert request == Request(0, GOOD, request.url)


@pytest.mark.parametrize("auth", ["u:p:w", ["u", "p:w"]])
def test_credentials_are_a_header(auth: object) -> None:
    """Of a text the first colon parts user and password."""
    assert row(auth=auth).headers == (("Authorization", "Basic dTpwOnc="),)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"method": 1}, "'method' must be a text"),
        ({"method": "G T"}, "'method' is no HTTP method, which is one word such as GET or POST"),
        ({"headers": 3}, "'headers' must be an object"),
        ({"headers": "X: y"}, "'headers' must be an object"),
        ({"headers": ["X: y"]}, "'headers' must be an object, or a list of pairs [name, value]"),
        (
            {"headers": {"X": {"secret": 1}}},
            "'headers' must have texts, numbers, true or false as values, or lists of those",
        ),
        ({"headers": {"X": "secret\r\nY: z"}}, "'headers': X has a control character or a line break"),
        ({"headers": {"X secret": "y"}}, "'headers': a name is no header's name"),
        ({"headers": {"Content-Length": "3"}}, "'headers': Content-Length follows from the body; leave it out"),
        ({"params": "a=b"}, "'params' must be an object"),
        ({"data": {"a": 1}}, "'data' must be a text ('json' takes any value)"),
        ({"data": "a", "json": 1}, "'data' and 'json' are two bodies; leave one of them out"),
        ({"cookies": "a=b"}, "'cookies' must be an object"),
        ({"cookies": {"a": "secret;b"}}, "'cookies' has a name or a value that no cookie can have"),
        (
            {"cookies": {"a": "b"}, "headers": {"cookie": "c=d"}},
            "'cookies' and a header 'Cookie' say the same thing; leave one of them out",
        ),
        ({"auth": "secret"}, "'auth' must be 'user:password' or [user, password]"),
        ({"auth": ["u", "secret", 3]}, "'auth' must be 'user:password' or [user, password]"),
        ({"auth": {"u": "secret"}}, "'auth' must be 'user:password' or [user, password]"),
        (
            {"auth": "u:secret", "headers": {"Authorization": "secret"}},
            "'auth' and a header 'Authorization' say the same thing; leave one of them out",
        ),
        ({"timeout": "3"}, "'timeout' must be a number of seconds, 0 for none"),
        ({"timeout": True}, "'timeout' must be a number of seconds, 0 for none"),
        ({"timeout": -1}, "'timeout' must be a number of seconds, 0 for none"),
        ({"timeout": 1e300}, "'timeout' must be a number of seconds, 0 for none"),
        ({"save": 1}, "'save' must be a file's name"),
        ({"save": ""}, "'save' must be a file's name"),
        ({"url": 7}, "'url' must be a text"),
        ({"url": None}, "no 'url'"),
        ({"url": " "}, "no 'url'"),
    ],
)
def test_a_wrong_type_is_said_with_its_line(keys: dict[str, Any], why: str) -> None:
    """One record, that says which key and what it must be; no value is repeated, and the other columns are kept."""
    text = "\n\n" + json.dumps({"url": GOOD, "id": 7, **keys}) + f'\n{{"url": "{GOOD}"}}'

    wrong, right = read(text, "jsonl")

    assert wrong.error is not None
    assert (wrong.error.kind, wrong.error.message) == (ErrorKind.INVALID_REQUEST, f"line 3: {why}")
    assert (wrong.url, wrong.index, extra_of(wrong)) == (None, 0, {"id": "7"})
    assert "secret" not in str(wrong)
    assert (right.error, right.index) == (None, 1)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"url": "http://h.example/"', "not JSON: "),
        (b'{"url": "http://u:secret@h.example/",}', "not JSON: "),
        (b'{"url": "http://h.example/", "n": NaN}', "not JSON: "),
        (b'{"url": "http://h.example/", "n": 01}', "not JSON: "),
        (b'{"url": "http://h.example/", "n": "a\tb"}', "not JSON: "),
        (b'{"url": "http://h.example/", "n": "a\0b"}', "not JSON: "),
        (b'{"url": "http://h.example/"} {"url": "http://h.example/"}', "not JSON: "),
        (b'{"url": "http://h.example/", "n": "\xff"}', "not UTF-8, which JSON must be"),
        (b'{"url": "http://h.example/", "n": "\\ud800"}', "not JSON, half a character, or more than 200 levels deep"),
        (
            b'{"url": "http://h.example/", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "not JSON, half a character, or more than 200 levels deep",
        ),
        (b'["http://h.example/"]', "a row must be an object: {...}"),
        (b'"http://h.example/"', "a row must be an object: {...}"),
        (b"http://h.example/", "not JSON: "),
        (b"{}", "no 'url'"),
    ],
)
def test_a_broken_row_is_one_record(line: bytes, why: str) -> None:
    """It says where and why, shows nothing of the row, and the next row is read."""
    wrong, right = read(b"# a comment\n" + line + b'\n{"url": "http://h.example/"}', "jsonl")

    assert wrong.error is not None
    assert wrong.error.kind == ErrorKind.INVALID_REQUEST
    assert wrong.error.message.startswith(f"line 2: {why}")
    assert wrong.given == ""
    assert right.error is None


def test_extra_columns_keep_their_spelling() -> None:
    """Numbers, escapes, blanks and the order of keys are as they were; of two keys of one name the last counts."""
    [request] = read(
        '\ufeff{"n": 1.50, "url": "http://h.example/", "big": 1e400, "s": "\\u00e9", "o": {"b" : [ 1.0 ],"a":1}, '
        '"n": 2.0}\r\n'
    )

    assert extra_of(request) == {"n": "2.0", "big": "1e400", "s": '"\\u00e9"', "o": '{"b" : [ 1.0 ],"a":1}'}


def test_a_record_of_our_own_is_asked_again() -> None:
    """Its URL, method and extra are taken, nothing else of it: neither headers nor timings are a request's."""
    record = {
        "url": "http://h.example/a",
        "method": "HEAD",
        "final_url": "http://h.example/b",
        "attempts": 3,
        "headers": {"content-type": ["text/html"]},
        "timeout": "no number",
        "body": "x",
        "extra": {"id": 7},
    }

    [request] = read(json.dumps(record))

    assert (str(request.url), request.method, request.headers) == ("http://h.example/a", "HEAD", ())
    assert extra_of(request) == {"id": "7"}


def test_a_record_without_its_password_is_not_sent() -> None:
    """`***` is no password, and three wrong ones lock an account."""
    [request] = read('{"url": "http://u:***@h.example/", "final_url": "http://h.example/", "attempts": 1}')

    assert complaints([request]) == ["line 1: a record of ours, which does not have the URL's password"]


def test_a_large_record_of_our_own_is_read() -> None:
    """Bodies up to the largest that records have are passed over, and not held."""
    body = "x" * (jsonl.LONGEST_ROW + 1)
    rows = [{"url": GOOD, "final_url": GOOD, "attempts": 1, "body": body, "extra": {"a": 1}}, {"url": GOOD, "x": body}]

    again, large = read("\n".join(map(json.dumps, rows)))

    assert (str(again.url), extra_of(again)) == (GOOD, {"a": "1"})
    assert complaints([large]) == ["line 2: the row has more than 16 MiB"]


def test_the_url_may_have_another_key() -> None:
    """Then `url` is a column like any other."""
    [request] = read('{"link": "http://h.example/a", "url": "x"}', url_column="link")

    assert (str(request.url), extra_of(request)) == ("http://h.example/a", {"url": '"x"'})


@given(
    st.dictionaries(
        UNICODE.filter(lambda key: key not in KEYS and key != "url"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | UNICODE,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(UNICODE, inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_whatever_json_a_row_has_is_kept(extra: dict[str, Any], ascii_only: bool) -> None:
    """Every other column comes back as the same text."""
    line = json.dumps({"url": GOOD, **extra}, ensure_ascii=ascii_only)

    [request] = read(line)

    assert request.error is None
    assert extra_of(request) == (
        {key: json.dumps(value, ensure_ascii=ascii_only) for key, value in extra.items()} or None
    )


# Tables


def test_a_table_is_read_with_its_columns() -> None:
    """The header names them, the URL is one of them, and all others are texts in extra."""
    [request] = read('\ufeffid,url ,"a ""name"""\r\n007,  http://h.example/a ,"x, y"\r\n\r\n', name="list.csv")

    assert (str(request.url), request.given) == ("http://h.example/a", "http://h.example/a")
    assert request.extra == {"id": "007", 'a "name"': "x, y"}


def test_tabs_part_the_columns_of_a_tsv() -> None:
    """Commas are text there."""
    [request] = read("url\tname\nhttp://h.example/a\tx, y\n", name="LIST.TSV")

    assert (str(request.url), request.extra) == ("http://h.example/a", {"name": "x, y"})


def test_a_row_is_named_by_the_line_on_which_it_begins() -> None:
    """Line ends in quotes count as lines, not as rows."""
    requests = read(
        'url,note\nhttp://h.example/a,"1\n2\r\n3"\nhttp://h.example/b\nhttp://h.example/c,"4\n5",6\n', "csv"
    )

    assert requests[0].extra == {"note": "1\n2\r\n3"}
    assert complaints(requests) == [
        "line 5: 1 columns, and the first row names 2",
        "line 6: 3 columns, and the first row names 2",
    ]
    assert [request.given for request in requests] == [f"http://h.example/{path}" for path in "abc"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('"a\nhttp://h.example/,2\nhttp://h.example/,3\n', ["line 2: a quote that does not close"]),
        ('http://h.example/,"a"b\nhttp://h.example/,2\n', ["line 2: a quote that closes within a cell"]),
        (
            'http://h.example/,"a\nb"c\nhttp://h.example/,2\n',
            ["line 2: a quote that closes within a cell", "line 3: 1"],
        ),
        ('http://h.example/,"a"\rb\n', ["line 2: a quote that closes within a cell"]),
        (",1\n", ["line 2: no 'url'"]),
        (",\n", ["line 2: no 'url'"]),
    ],
)
def test_a_row_that_does_not_fit_is_one_record(rows: str, expected: list[str]) -> None:
    """It never takes the rows behind it with it."""
    requests = read("url,n\n" + rows + "http://h.example/last,9", "csv")

    said = complaints(requests)
    assert len(said) == len(expected)
    assert all(message.startswith(begin) for message, begin in zip(said, expected, strict=True))
    assert str(requests[-1].url) == "http://h.example/last"
    assert [request.index for request in requests] == list(range(len(requests)))


@pytest.fixture
def short_rows(monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows are given up after so many bytes."""
    monkeypatch.setattr(tabular, "LONGEST_ROW", 1000)
    monkeypatch.setattr(tabular, "REREAD", 3000)
    return 1000


def test_an_endless_quote_costs_a_row(short_rows: int) -> None:
    """What would be one row without end is given up, and the rows behind it are read."""
    rows = short_rows // 10

    requests = read("url,n\n" + '"x\n' + "http://h.example/path,1\n" * rows, "csv")

    assert complaints(requests) == ["line 2: a quote that does not close"]
    assert len(requests) == rows + 1


def test_endless_quotes_come_to_an_end(short_rows: int) -> None:
    """Lines that all could belong to one row are read again some times, and then no more."""
    rows = 10 * short_rows

    requests = read("url,n\n" + 'x","\n' * rows, "csv")

    said = complaints(requests)
    assert len(said) == rows
    assert [message.partition(":")[0] for message in said] == [f"line {number + 2}" for number in range(rows)]
    assert "too many quotes that do not close" in said[-1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,link\n", "list: no column 'url' (columns: id, link); name the one with the URL with --url-column, or"),
        (
            "http://h.example/\n",
            "list: the first row must name the columns, and has a URL; is it --input-format lines?",
        ),
        ("url,a,a\n", "list: two columns are called 'a'; rename one in the first row"),
        ('"url,a\n', "list: the first row, which names the columns, has a quote that does not close"),
        ('"url"x,a\n', "list: the first row, which names the columns, has a quote that closes within a cell"),
    ],
)
def test_a_header_that_will_not_do_ends_the_run(text: str, why: str) -> None:
    """That is a mistake about the whole file, said with the columns that there are."""
    with pytest.raises(SourceError) as refused:
        read(text, "csv")

    assert str(refused.value).startswith(why)


def test_columns_without_a_name_are_numbered() -> None:
    """Spreadsheets write them."""
    [request] = read("url,,x,\nhttp://h.example/,1,2,3\n", "csv")

    assert request.extra == {"column_2": "1", "x": "2", "column_4": "3"}


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ['"', '""', 'a"b', "\n", "\r\n", ",", "\t", '",\n"', " "]
)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.lists(st.integers(0, 400), max_size=5), st.booleans())
@example([('"', "\n"), ("\n", '"')], [30, 31, 32], False)
def test_what_the_csv_module_writes_is_read(rows: list[tuple[str, str]], blocks: list[int], tabs: bool) -> None:
    """Whatever is in the cells, and wherever the blocks end."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t" if tabs else ",")
    writer.writerow(["url", "a", "b"])
    writer.writerows([GOOD, *cells] for cells in rows)

    requests = read(text.getvalue(), "tsv" if tabs else "csv", blocks=blocks)

    assert [request.extra for request in requests] == [{"a": first, "b": second} for first, second in rows]


@given(
    st.binary(max_size=60), st.sampled_from(["jsonl", "csv", "tsv", "auto"]), st.lists(st.integers(0, 60), max_size=4)
)
@example(b'a"b,"c\n"', "csv", [])
def test_garbage_is_numbered_like_anything_else(data: bytes, wanted: InputFormat, blocks: list[int]) -> None:
    """No input ends the run but by a header that will not do, and the same bytes give the same requests."""
    try:
        requests = read(b"url,x\n" + data if wanted in {"csv", "tsv"} else data, wanted, blocks=blocks)
    except SourceError:
        assert wanted == "tsv"
        return

    assert [request.index for request in requests] == list(range(len(requests)))
    assert requests == read(b"url,x\n" + data if wanted in {"csv", "tsv"} else data, wanted)


# Templates


def test_columns_make_the_url() -> None:
    """Then no column need be a URL, all of them are kept, and a URL among them is one of them."""
    base, params = "https://api.example.com/items/{id}?n={name}", (("k", "{name}!"),)

    [table] = read("id,name,url\n7,a b,http://h.example/\n", "csv", base_url=base, params=params)
    [line] = read('{"id": 7.0, "name": "a b", "x": null}', "jsonl", base_url=base, params=params)

    assert str(table.url) == "https://api.example.com/items/7?n=a%20b&k=a%20b%21"
    assert table.extra == {"id": "7", "name": "a b", "url": "http://h.example/"}
    assert line.given == "https://api.example.com/items/7.0?n=a%20b"
    assert str(line.url) == f"{line.given}&k=a%20b%21"
    assert extra_of(line) == {"id": "7.0", "name": '"a b"', "x": "null"}


def test_columns_make_body_and_headers() -> None:
    """Of the run's headers of one name all are the row's, if one has a column in it."""
    headers: Headers = (("X-Id", "{id}"), ("X-Id", "all"), ("X-Other", "{ id }"), ("Accept", None))

    [request] = read(
        f'url,id,name\n{GOOD},7,"a ""b"""\n', "csv", headers=headers, data=b'{"q": "{name}", "n": {id}, "x": {}}'
    )

    assert (request.method, request.body) == ("POST", b'{"q": "a \\"b\\"", "n": 7, "x": {}}')
    assert request.headers == (
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("X-Id", "7"),
        ("X-Id", "all"),
    )


def test_a_column_that_a_table_lacks_ends_the_run() -> None:
    """The message says who asks for it, and which there are."""
    with pytest.raises(SourceError) as refused:
        read("id,name\n", "csv", base_url="https://api.example.com/items/{idd}")

    assert str(refused.value) == (
        "list: no column 'idd', which --base-url asks for (columns: id, name); write {{idd}} where it is no column"
    )


def test_a_column_that_a_row_lacks_is_its_record() -> None:
    """Objects need not have the same keys."""
    requests = read('{"id": 1}\n{"i": 2}\n{"id": ""}', base_url="https://api.example.com/items/{id}")

    assert complaints(requests) == [
        "line 2: no 'id', which --base-url asks for",
        "line 3: 'id' is empty, and stands in the URL's path",
    ]


def test_a_line_is_the_one_column_of_a_list() -> None:
    """`{line}` is the entry, also where it is a URL itself."""
    requests = read("# ids\n7\nhttp://h.example/?a\n", base_url="https://api.example.com/x/{line}/y")

    assert [str(request.url) for request in requests] == [
        "https://api.example.com/x/7/y",
        "https://api.example.com/x/http%3A%2F%2Fh.example%2F%3Fa/y",
    ]


def test_a_list_of_lines_has_no_other_column() -> None:
    """A base that asks for one is a mistake; elsewhere braces in it are what they are."""
    [request] = read("7", base_url="https://api.example.com/x", data=b'{"q": "{name}"}')

    assert request.body == b'{"q": "{name}"}'
    with pytest.raises(SourceError, match="no column 'id', which --base-url asks for: it is a list of lines"):
        read("7", base_url="https://api.example.com/{id}")


def test_a_program_has_no_columns() -> None:
    """It puts its URLs together itself."""
    with pytest.raises(UsageError, match="base_url has columns in it"):
        from_iterable(["7"], SourceConfig(base_url="https://api.example.com/{id}"))


# Formats


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("list", '{"url": "http://h.example/a"}', "http://h.example/a"),
        ("list", '\n# x\n \ufeff{"url": "http://h.example/a"}', None),
        ("list.txt", '# x\n\n  {"url": "http://h.example/a"}', "http://h.example/a"),
        ("list.txt", "http://h.example/{a}", "http://h.example/{a}"),
        ("list.jsonl.gz", '{"url": "http://h.example/a"}', "http://h.example/a"),
        ("list.ndjson", '{"url": "http://h.example/a"}', "http://h.example/a"),
        ("list.csv.zst", "url\nhttp://h.example/a", "http://h.example/a"),
        ("list", "url\nhttp://h.example/a", "url"),
        ("list", "# only a comment", None),
        ("list", "", None),
    ],
)
def test_a_format_is_told_by_suffix_or_first_entry(name: str, text: str, first: str | None) -> None:
    """CSV by its suffix only: every line is one column of some table."""
    requests = read(text, name=name)

    if first is not None:
        assert requests[0].given == first


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_json_lines_of_windows_are_read(codec: str) -> None:
    """PowerShell writes them so."""
    [request] = read('\ufeff\r\n{"url": "http://h.example/é", "x": "é"}\r\n'.encode(codec))

    assert (str(request.url), extra_of(request)) == ("http://h.example/%C3%A9", {"x": '"é"'})


@pytest.mark.parametrize("wanted", ["jsonl", "csv"])
def test_the_limit_counts_rows(wanted: InputFormat) -> None:
    """Wrong ones too."""
    text = "x\n" * 5 if wanted == "jsonl" else "url,a\n" + "x\n" * 5

    assert len(read(text, wanted, limit=3)) == 3
