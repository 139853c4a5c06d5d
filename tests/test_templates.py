"""Columns in texts: when braces are one, and how a value is written in its place."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from fetcher.errors import UsageError
from fetcher.sources.config import SourceConfig
from fetcher.sources.template import Cell, RowError, Template, for_body, for_header, for_query, for_url

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def filled(template: Template | None, **row: Cell) -> str:
    assert template is not None
    return template.fill(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"q": "{name}"}', '{"q": "Ann"}'),
        ('{"a":{"b":"{name}"}}', '{"a":{"b":"Ann"}}'),
        ('{"a":{"b":{name}}}', '{"a":{"b":"Ann"}}'),
        ('["{{name}}", "{name}"]', '["{name}", "Ann"]'),
        ('{"query": "{ user { name } }", "x": "{name}"}', '{"query": "{ user { name } }", "x": "Ann"}'),
        ('{"a": "{}", "b": "{1}", "c": "{name}"}', '{"a": "{}", "b": "{1}", "c": "Ann"}'),
    ],
)
def test_only_a_word_in_braces_is_a_column(text: str, expected: str) -> None:
    """JSON's own braces need no care, doubled ones are single ones."""
    assert filled(for_body("--data", text, None), name="Ann") == expected


@pytest.mark.parametrize("text", ["", "plain", "{", "}", "{}", "{ name }", '{"a": {"b": 1}}', "{1}", "{a b}", "{{}}"])
def test_other_braces_are_no_template(text: str) -> None:
    """A text without a column is not touched."""
    assert for_body("--data", text, None) is None


@given(TEXTS)
@example(".")
@example("..")
def test_a_value_stays_one_segment_of_a_path(value: str) -> None:
    """Whatever it is: neither slash nor question mark nor dots leave their segment."""
    url = filled(for_url("--base-url", "https://h.example/items/{id}/x?q={id}#f"), id=value)

    parts = urlsplit(url)
    segments = parts.path.split("/")
    assert [unquote(segment) for segment in segments] == ["", "items", value, "x"]
    assert segments[2] not in {".", ".."}
    assert parse_qs(parts.query, keep_blank_values=True, strict_parsing=True) == {"q": [value]}


@given(TEXTS)
def test_a_value_stays_one_string_of_json(value: str) -> None:
    """What a JSON parser reads there is the value, and nothing else."""
    template = for_body("--data-json", '{"q": "say \\"{x}\\" {x}", "r": [{x}]}', "application/json")

    body = filled(template, x=Raw(json.dumps(value)))

    assert json.loads(body) == {"q": f'say "{value}" {value}', "r": [value]}


@given(TEXTS)
def test_a_value_stays_one_field_of_a_form(value: str) -> None:
    """What a server's form parser reads is the value."""
    body = filled(for_body("--data", "a={x}&b=1", None), x=value)

    assert parse_qs(body, strict_parsing=True) == {"a": [value], "b": ["1"]}


@given(TEXTS)
def test_a_value_stays_one_param(value: str) -> None:
    """Also where it has the marks that part params."""
    query = filled(for_query("--param q", "{x}"), x=value)

    assert parse_qs(f"q={query}", strict_parsing=True) == {"q": [value]}


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20))
def test_a_value_stays_text_in_xml(value: str) -> None:
    """Its angle brackets and quotes are none."""
    template = for_body("--data", '<a b="{x}">{x}</a>', "application/soap+xml; charset=utf-8")
    value = "".join(mark for mark in value if mark not in "\ufffe\uffff")

    node = ET.fromstring(filled(template, x=value))

    assert (node.attrib["b"], node.text or "") == (value, value)


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_header_has_its_value_or_none(value: str) -> None:
    """A line break or another control character in a header is refused, the rest goes out as it is."""
    template = for_header("--header X", "<{x}>")

    if any((mark < " " and mark != "\t") or mark == "\x7f" for mark in value):
        with pytest.raises(RowError, match="'x' has a control character"):
            filled(template, x=value)
    else:
        assert filled(template, x=value) == f"<{value}>"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("7", "7"),
        ("-1.50e3", "-1.50e3"),
        ("true", "true"),
        ("null", "null"),
        ("007", '"007"'),
        ("NaN", '"NaN"'),
        ("1, 2", '"1, 2"'),
        ("", '""'),
        (Raw(b"1.50"), "1.50"),
        (Raw(b'"1.50"'), '"1.50"'),
        (Raw(b'{"a": [1.0]}'), '{"a": [1.0]}'),
        (Raw(b"null"), "null"),
    ],
)
def test_outside_of_strings_a_value_is_json(cell: Cell, expected: str) -> None:
    """What reads as a number, true, false or null is that; JSON is as it is spelled; other text is a string."""
    assert filled(for_body("--data", '{"n": {x}}', None), x=cell) == f'{{"n": {expected}}}'


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("", "'id' is empty, and stands in the URL's path"),
        (Raw(b"null"), "'id' is empty, and stands in the URL's path"),
        (Raw(b"[1]"), "'id' must be a text, a number, true or false here, not an object or a list"),
    ],
)
def test_a_path_needs_a_value(cell: Cell, why: str) -> None:
    """An empty one would ask for the whole collection."""
    with pytest.raises(RowError) as refused:
        filled(for_url("--base-url", "https://h.example/items/{id}"), id=cell)

    assert str(refused.value) == why


@pytest.mark.parametrize("value", ["a/b", "evil.example#", "a@b", "a:1", "", "a b", "a?b"])
def test_a_host_takes_only_what_names_have(value: str) -> None:
    """A row cannot send a request to another host than the template says."""
    with pytest.raises(RowError, match="'t' is no part of a host's name"):
        filled(for_url("--base-url", "https://{t}.example.com/x"), t=value)


def test_a_password_in_a_template_is_encoded() -> None:
    """User info is no part of the host's name."""
    template = for_url("--base-url", "https://{u}:{p}@{t}.example.com/{u}")

    assert filled(template, u="a@b", p="x:/y", t="t1") == "https://a%40b:x%3A%2Fy@t1.example.com/a%40b"


def test_a_row_without_the_column_is_refused() -> None:
    """The message names the column and who asks for it."""
    with pytest.raises(RowError, match="no 'id', which --header X-Id asks for"):
        filled(for_header("--header X-Id", "{id}"), name="Ann")


@pytest.mark.parametrize(
    "base",
    [
        "https://h.example/{id}",
        "https://h.example:{port}/",
        "https://{t}.example.com/a?b={id}",
        "http://127.0.0.{n}/",
        "https://h.example/?q={id}#x",
    ],
)
def test_a_base_may_have_columns(base: str) -> None:
    """Anywhere behind its scheme."""
    assert SourceConfig(base_url=base).base_columns


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("{url}", "it must begin with http:// or https://"),
        ("{proto}://h.example/", "it must begin with http:// or https://"),
        ("https://:{x}/", "no host"),
        ("https://u:secret@h example/{x}", r"'https://u:\*\*\*@h example/\{x\}'"),
    ],
)
def test_a_base_with_columns_must_be_a_url(base: str, why: str) -> None:
    """It is looked at before there are rows; a password in it is not shown."""
    with pytest.raises(UsageError, match=why):
        SourceConfig(base_url=base)
