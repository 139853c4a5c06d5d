"""Holds what the bytes of a body are taken for."""

from __future__ import annotations

import base64
import codecs
import json
from typing import NamedTuple
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetcher.bodies import DEEPEST, BodyEncoding, BodyMode, decode, read_form, read_label, strict_json
from fetcher.charsets import CHARSETS, find_charset

RUSSIAN = "Привет, как дела? Это обычный русский текст на странице, каких много.\n" * 5
FRENCH = "L'été dernier, François et Hélène ont visité plusieurs régions très agréables. À bientôt !\n" * 5
JAPANESE = "これは日本語のページです。文字コードの判定を試します。\n" * 5


class Content(NamedTuple):
    """A body as a record has it."""

    encoding: BodyEncoding | None
    charset: str | None
    body: msgspec.Raw | str | None


def read(body: bytes, content_type: str | None = None, mode: BodyMode = "auto") -> Content:
    form = read_form(body, read_label(content_type), mode)
    return Content(form.encoding, form.charset, form.whole())


# -- what it is


@pytest.mark.parametrize(
    ("content_type", "body", "encoding"),
    [
        ("application/json", b'{"a": 1}', "json"),
        ("Application/JSON ; charset=UTF-8", b"[]", "json"),
        ("application/vnd.api+json", b"null", "json"),
        ("application/json", b"\xef\xbb\xbf{}", "json"),
        ("application/json", b"{'a': 1}", "text"),
        ("application/json", b"", "text"),
        ("text/plain", b'{"a": 1}', "text"),
        ("text/html", b"\x00\xff", "text"),
        ("application/xml", b"\xff", "text"),
        ("image/svg+xml", b"\xff", "text"),
        ("application/javascript", b"\xff", "text"),
        ("application/octet-stream; charset=latin1", b"caf\xe9", "text"),
        ("application/octet-stream", b"plain", "text"),
        ("application/octet-stream", b"caf\xe9", "base64"),
        ("application/octet-stream", b"a\x00b", "base64"),
        ("application/octet-stream; charset=binary", b"\xff", "base64"),
        ("image/png; charset=utf-8", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "base64"),
        ("application/pdf", b"%PDF-1.7\n%\xe2\xe3", "base64"),
        (None, "caf\u00e9".encode(), "text"),
        (None, b'{"a": 1}', "text"),
        (None, b"\xff\xfe", "base64"),
        (None, b"", "text"),
        ("", b"\xff", "base64"),
        (";;=", b"\xff", "base64"),
    ],
)
def test_a_body_is_what_its_label_and_its_bytes_say(content_type: str | None, body: bytes, encoding: str) -> None:
    """JSON by type, text by type or charset or because it is UTF-8 without NUL, base64 otherwise."""
    assert read(body, content_type).encoding == encoding


@pytest.mark.parametrize(
    ("mode", "body", "content_type", "content"),
    [
        ("json", b"[1, 2]", "text/html", Content("json", "utf-8", msgspec.Raw(b"[1,2]"))),
        ("json", b"[1, 2", "application/json", Content("text", "utf-8", "[1, 2")),
        ("json", b"\x00\xff", "image/png", Content("text", "utf-8", "\x00\ufffd")),
        ("text", b"[1, 2]", "application/json", Content("text", "utf-8", "[1, 2]")),
        ("base64", b"[1, 2]", "application/json", Content("base64", None, "WzEsIDJd")),
        ("base64", b"", None, Content("base64", None, "")),
        ("none", b"[1, 2]", "application/json", Content(None, None, None)),
    ],
)
def test_a_mode_overrules_the_label(mode: BodyMode, body: bytes, content_type: str, content: Content) -> None:
    """`json` looks at the bytes whatever the label, `text` and `base64` are always that, `none` is nothing."""
    assert read(body, content_type, mode) == content


def test_a_media_type_is_shown_without_its_parameters() -> None:
    """Lower case, no blanks; None where there is none."""
    assert read_label("Text/HTML ; Charset=utf-8").media_type == "text/html"
    assert read_label("").media_type is None
    assert read_label(None).media_type is None


# -- JSON


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b"[Infinity]",
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\\ud800\\u0041"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        b"[1,]",
        b"01",
        b'"a\nb"',
        b"{} {}",
        b"",
        b" ",
        b"\x00",
    ],
)
def test_what_is_not_strict_is_not_json(body: bytes) -> None:
    """Constants that JSON lacks, lone surrogates, other encodings, and plain mistakes."""
    assert strict_json(body) is None


def test_json_stays_as_it_was_sent_but_for_blanks() -> None:
    """Numbers keep their spelling, escapes stay escapes, duplicate keys stay; all on one line."""
    body = (
        b'{\r\n\t"a" : 1.000e5 , "a":-0,"big": 1e400,\n"i":123456789012345678901234567890, '
        b'"s":"\\u00e9 \\/ \\ud83d\\ude00 \xc2\xa0"}\n'
    )

    compact = strict_json(body)

    assert compact == (
        b'{"a":1.000e5,"a":-0,"big":1e400,"i":123456789012345678901234567890,"s":"\\u00e9 \\/ \\ud83d\\ude00 \xc2\xa0"}'
    )


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        (b"[", b"]"),
        (b'{"a": ', b"}"),
        (b'{"[\\"{": "]]", "k": ', b"}"),
        (b'["]\\\\", ', b', "[["]'),
        (b'["", "\\n[", "\\\\\\"]", ', b"]"),
    ],
)
def test_json_is_json_up_to_the_deepest_level(opening: bytes, closing: bytes) -> None:
    """Exactly `DEEPEST` levels are JSON, one more is text, whatever brackets the strings between them hold."""
    deepest = opening * (DEEPEST - 1) + b"[]" + closing * (DEEPEST - 1)
    deeper = opening + deepest + closing

    assert json.loads(deeper)
    assert strict_json(deepest) is not None
    assert strict_json(deeper) is None


def test_levels_are_counted_through_a_large_body() -> None:
    """Levels that open at the front and levels that open a megabyte later are the same body's."""
    filler = b",".join([b"[" * 20 + b"]" * 20] * 20_000)
    depth = DEEPEST - 50

    deepest, deeper = (b"[" * depth + filler + b"," + b"[" * more + b"]" * more + b"]" * depth for more in (50, 51))

    assert strict_json(deepest) is not None
    assert strict_json(deeper) is None


def test_brackets_in_strings_are_no_levels() -> None:
    """A text full of brackets is flat, in any number and behind any escape."""
    body = json.dumps(["[" * 500, '\\"[{' * 500, "]" * 500, "\\"]).encode()

    assert strict_json(body) is not None


@given(
    st.integers(DEEPEST - 25, DEEPEST + 5),
    st.lists(
        st.tuples(st.integers(0, 25), st.sampled_from(['"["', '"]\\\\"', '"\\"}"', "{}", "0"]), st.integers(0, 25))
    ),
    st.integers(1, 12),
)
@example(DEEPEST - 2, [(0, "0", 1), (2, "0", 0)], 103)
def test_levels_are_counted_over_any_cut(first: int, steps: list[tuple[int, str, int]], piece: int) -> None:
    """A long body is looked at in pieces, wherever they end: within a string, behind a backslash, at the deepest."""
    level = deepest = first
    text = "[" * first + "0"
    for up, leaf, down in steps:
        deepest = max(deepest, level + up + (leaf == "{}"))
        down = min(down, level + up - 1)
        text += "," + "[" * up + leaf + "]" * down
        level += up - down
    body = (text + "]" * level).encode()
    # Below so many brackets nobody counts.
    body = b"[" + body + b",[]" * DEEPEST + b"]"

    with patch("fetcher.bodies.SAMPLE", piece):
        compact = strict_json(body)

    assert (compact is not None) == (deepest + 1 <= DEEPEST)


def test_endless_nesting_is_text_and_no_crash() -> None:
    """A megabyte of open brackets costs neither the stack nor an exception."""
    assert strict_json(b"[" * 1_000_000) is None
    assert strict_json(b"[" * 500_000 + b"]" * 500_000) is None


def nested() -> st.SearchStrategy[object]:
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text('ab"\\[]{}\n\u00e9\U0001f600')
    )
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text('k"[}'), inner), max_leaves=60)


@given(nested(), st.sampled_from([None, 1, 4]), st.booleans())
def test_all_json_that_python_writes_is_json(value: object, indent: int | None, ascii_only: bool) -> None:
    """The value comes back the same, on one line."""
    compact = strict_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode())

    assert compact is not None
    assert json.loads(compact) == value
    assert b"\n" not in compact


# -- charsets


@pytest.mark.parametrize(
    ("content_type", "body", "charset", "text"),
    [
        ("text/plain; charset=iso-8859-1", b"\x93caf\xe9\x94", "windows-1252", "\u201ccaf\u00e9\u201d"),
        ("text/plain; charset=US-ASCII", b"caf\xe9", "windows-1252", "caf\u00e9"),
        ("text/plain; charset='utf8'", b"caf\xc3\xa9", "utf-8", "caf\u00e9"),
        ('text/plain;charset="Shift_JIS"', "\u8868\u2460".encode("cp932"), "shift_jis", "\u8868\u2460"),
        ("text/plain; charset=gb2312", "\u9555\u20ac".encode("gb18030"), "gbk", "\u9555\u20ac"),
        ("text/plain; charset=utf-8", b"caf\xe9!", "utf-8", "caf\ufffd!"),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbfhi", "utf-8", "hi"),
        ("text/plain; charset=utf-7", b"+AOk-", "utf-8", "+AOk-"),
        ("text/plain; charset=unicode_escape", rb"\u00e9", "utf-8", rb"\u00e9".decode()),
        ("text/plain; charset=utf-16", "h\u00e9".encode("utf-16-le"), "utf-16le", "h\u00e9"),
        ("text/plain; charset=utf-16", codecs.BOM_UTF16_BE + "h\u00e9".encode("utf-16-be"), "utf-16be", "h\u00e9"),
        ("text/plain", codecs.BOM_UTF16_LE + "h\u00e9".encode("utf-16-le"), "utf-16le", "h\u00e9"),
        ("text/plain", codecs.BOM_UTF8 + b"h\xc3\xa9", "utf-8", "h\u00e9"),
        ("text/plain", b"<meta charset=koi8-r>h\xc3\xa9", "utf-8", "<meta charset=koi8-r>h\u00e9"),
        ("text/plain", b"caf\xe9", "windows-1252", "caf\u00e9"),
        ("text/plain", "caf\u00e9 na\u00ef".encode()[:-1], "utf-8", "caf\u00e9 na\ufffd"),
        ("text/plain", "\u00e9".encode() * 40_000 + b"\xff", "utf-8", "\u00e9" * 40_000 + "\ufffd"),
        ("text/plain", RUSSIAN.encode("cp1251"), "windows-1251", RUSSIAN),
        ("text/plain", ("Р° " + RUSSIAN).encode("cp1251"), "windows-1251", "Р° " + RUSSIAN),
        ("text/plain", RUSSIAN.encode("koi8-r"), "koi8-r", RUSSIAN),
        ("text/plain", FRENCH.encode("cp1252"), "windows-1252", FRENCH),
        ("text/plain", JAPANESE.encode("euc_jp"), "euc-jp", JAPANESE),
        ("text/plain", JAPANESE.encode("cp932") * 300, "shift_jis", JAPANESE * 300),
        ("application/json; charset=latin1", b'"caf\xe9"', "windows-1252", '"caf\u00e9"'),
        ("application/json", '{"a": 1}'.encode("utf-16"), "utf-16le", '{"a": 1}'),
    ],
)
def test_text_is_decoded_by_the_best_evidence(content_type: str, body: bytes, charset: str, text: str) -> None:
    """The header, a mark, UTF-8, a guess, in this order; labels of the web only; U+FFFD for what remains."""
    assert read(body, content_type) == Content("text", charset, text)


@pytest.mark.parametrize(
    ("content_type", "head", "charset"),
    [
        ("text/html", b'<html><head><meta charset="koi8-r">', "koi8-r"),
        ("text/html", b"<META\nname=x\nCHARSET = 'KOI8-R' />", "koi8-r"),
        ("text/html", b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        ("text/html", b"<meta content=text/html;charset=koi8-r http-equiv=content-type>", "koi8-r"),
        ("text/html", b'<meta name="x" content="charset=koi8-r">', "utf-8"),
        ("text/html", b'<!-- <meta charset="koi8-r"> --><meta charset="cp866">', "ibm866"),
        ("text/html", b'<meta name="a>b" charset="koi8-r">', "koi8-r"),
        ("text/html", b'<meta charset="utf-16">', "utf-8"),
        ("text/html", b'<meta charset="nonsense">', "utf-8"),
        ("text/html", b"<metadata charset=koi8-r>", "utf-8"),
        ("text/html; charset=cp1251", b'<meta charset="koi8-r">', "windows-1251"),
        ("text/html", codecs.BOM_UTF8 + b'<meta charset="koi8-r">', "utf-8"),
        ("text/html", b" " * 5000 + b'<meta charset="koi8-r">', "utf-8"),
        ("application/xhtml+xml", b'<?xml version="1.0" encoding="koi8-r"?>', "koi8-r"),
        ("text/xml", b"<?xml version='1.0' encoding='koi8-r' standalone='yes'?>", "koi8-r"),
        ("text/xml", b'<meta charset="koi8-r"/>', "utf-8"),
        ("text/xml", b'<a><?xml version="1.0" encoding="koi8-r"?></a>', "utf-8"),
        ("text/xml", '<?xml version="1.0" encoding="utf-16"?>'.encode("utf-16-be"), "utf-16be"),
        ("text/html", b'<?xml version="1.0" encoding="koi8-r"?><html>', "koi8-r"),
    ],
)
def test_a_document_may_declare_its_charset(content_type: str, head: bytes, charset: str) -> None:
    """HTML in a <meta>, XML in its declaration; the header and a mark come first, and comments declare nothing."""
    assert decode(head + b"abc", read_label(content_type))[1].name == charset


@pytest.mark.parametrize(
    "head",
    [
        b"<meta " * 700,
        b"<meta '" * 600,
        b'<meta "' * 600 + b"charset",
        b"<!--" * 1000 + b"charset",
        b"<meta " + b"a" * 4000 + b" charset",
    ],
)
def test_a_head_made_to_be_slow_is_not(head: bytes) -> None:
    """Odd markup costs milliseconds; a pattern that backtracks would take minutes here and the suite would not end."""
    assert decode(head * 2, read_label("text/html"))[1].name == "utf-8"


def test_every_label_has_a_codec() -> None:
    """Each charset's codec exists, turns ASCII into itself unless it is UTF-16, and is found in any case."""
    for label, charset in CHARSETS.items():
        text = "abc".encode(charset.codec).decode(charset.codec)

        assert text == "abc"
        assert find_charset(f" {label.upper()}\n") == charset


@given(st.binary(max_size=300), st.sampled_from(sorted(CHARSETS)))
@example(b"\xed\xa0\x80", "utf-8")
@example(b"\x00\xd8", "utf-16")
@example(b"\x1b$B!!\x1b(Q", "iso-2022-jp")
def test_decoding_never_fails_and_leaves_nothing_that_utf8_cannot_hold(body: bytes, label: str) -> None:
    """Any bytes in any charset are text that encodes."""
    text, charset = decode(body, read_label(f"text/plain; charset={label}"))

    assert text.encode().decode() == text
    assert charset.name in CHARSETS


@given(
    st.binary(max_size=300),
    st.text(max_size=60) | st.sampled_from(["application/json", "text/html", "text/xml", "image/png"]),
)
def test_any_body_with_any_label_is_something(body: bytes, content_type: str) -> None:
    """JSON is the body's value, base64 its bytes, text what the charset makes of it."""
    content = read(body, content_type)

    assert content.body is not None
    if content.encoding == "json":
        assert json.loads(bytes(content.body)) == json.loads(body)  # type: ignore[arg-type] # a Raw
    elif content.encoding == "base64":
        assert base64.b64decode(content.body) == body
    else:
        assert isinstance(content.body, str)


# -- in pieces


def encoded(text: str, label: str) -> bytes:
    return text.encode(CHARSETS[label].codec, "ignore")


LABELS = st.sampled_from(sorted(CHARSETS))
BODIES = (
    st.binary(max_size=60)
    | st.builds(encoded, st.text('aé"\\\n\u3042\u6f22\U0001f600', max_size=20), LABELS)
    | st.lists(st.sampled_from([b"\x1b", b"$B", b"(J", b"$", b"A", b"!!", b"\n", b"\xff"]), max_size=30).map(b"".join)
    | st.builds(lambda value: json.dumps(value, indent=1).encode(), nested())
)


@given(
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]),
    BODIES,
    st.sampled_from(["application/json", "text/html", "image/png", "a/b"]) | LABELS.map("a/b; charset={}".format),
    st.sampled_from(["auto", "text", "json", "base64", "none"]),
    st.sampled_from([3, 6, 21]),
)
@example(b"", b'\x1b$\x1b$"\x1b$\x1b""', "text/plain; charset=iso-2022-jp", "auto", 3)
@example(b"", "\U0001f600".encode("utf-16-le"), "text/plain; charset=utf-16le", "auto", 3)
@example(b"", "\u20ac\u20ac".encode()[:-1], "text/plain", "auto", 3)
def test_the_pieces_of_a_body_are_what_the_encoder_makes_of_it(
    mark: bytes, body: bytes, content_type: str, mode: BodyMode, size: int
) -> None:
    """Wherever the slices end, within a character or an escape, a large body is the same as it is at once."""
    at_once = read(mark + body, content_type, mode)

    with patch("fetcher.bodies.SLICE", size):
        form = read_form(mark + body, read_label(content_type), mode)
        pieces = list(form.pieces())

    assert (form.encoding, form.charset) == (at_once.encoding, at_once.charset)
    assert b"".join(pieces) == msgspec.json.encode(at_once.body)
