"""
Owns what the bytes of a body are: JSON, text in some charset, or neither. Pure; never fails, whatever a server sends.

JSON is strict JSON (RFC 8259) and stays as it was sent but for the blanks between its tokens. Text is decoded by, in
this order: the Content-Type's charset, a byte order mark, the document's own declaration, UTF-8 if it is that, and a
guess. What cannot be decoded becomes U+FFFD.
"""

from __future__ import annotations

import codecs
import re
from array import array
from binascii import b2a_base64
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from fetcher.charsets import CHARSETS, UTF8, UTF16BE, UTF16LE, Charset, find_charset

BodyMode = Literal["auto", "text", "json", "base64", "none"]
BodyEncoding = Literal["json", "text", "base64"]

DEEPEST = 200
"""Levels of nesting up to which JSON is JSON: readers have limits of their own (jq 1.6: 256; Python: about 1,000)."""

PRESCAN = 4096
"""Bytes in which a document may declare its charset. The HTML standard asks for 1,024; some pages take longer."""

SAMPLE = 65_536
"""Bytes from which an undeclared charset is guessed."""

LONGEST_TYPE = 1024
"""Characters of a Content-Type that are looked at."""

_PARAMETER = re.compile(r""";\s*charset\s*=\s*["']?\s*([^\s;,"']+)""", re.IGNORECASE)
_JSON = re.compile(r"application/json|[^/]+/[^/]*\+json")
_XML = re.compile(r"(?:text|application)/xml|[^/]+/[^/]*\+xml")
_TEXT = re.compile(r"text/.*|application/(?:x-)?(?:java|ecma)script")

_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"""<meta[\s/]((?:[^"'>]++|"[^"]*"|'[^']*')*+)""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_META_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([^\s;"',]+)""", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"'>]+)["']""")

_MARKS = ((b"\xef\xbb\xbf", UTF8), (b"\xff\xfe", UTF16LE), (b"\xfe\xff", UTF16BE))
_UTF8_MARK = _MARKS[0][0]

# What pages that declare nothing are in, the commonest first: where the guesser cannot choose, the order does. Without
# UTF-16, which any short text looks like, and without rare ones, which win against the common by a letter.
_GUESSES = tuple(
    CHARSETS[name]
    for name in (
        "windows-1252",
        "windows-1251",
        "gb18030",
        "shift_jis",
        "euc-jp",
        "euc-kr",
        "big5",
        "windows-1250",
        "iso-8859-2",
        "windows-1254",
        "windows-1256",
        "windows-1253",
        "windows-1255",
        "windows-1257",
        "windows-874",
        "koi8-r",
        "utf-8",
    )
)

# XML 1.0 appendix F: the first characters of a document that can only be UTF-16.
_BARE_UTF16 = ((b"<\x00?\x00x\x00", UTF16LE), (b"\x00<\x00?\x00x", UTF16BE))

_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"')
# A step down and a step up, as signed bytes.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_LEAF = b"\x01\xff"

_PEELED = 8
"""Levels that are taken off from within before the rest is counted: most JSON has no more, and it is quick."""


class Label(Struct, frozen=True):
    """
    What a Content-Type says.

    Attributes:
        media_type: Lower case, without parameters; None if there is none.
        charset: The one it names, if that is a charset of the web.
        json, xml, html: The type is of that family.
        text: The type alone says that this is text.
    """

    media_type: str | None
    charset: Charset | None
    json: bool
    xml: bool
    html: bool
    text: bool


class Content(Struct, frozen=True):
    """
    A body as a record has it.

    Attributes:
        encoding: What `body` is; None if there is none.
        charset: What the text was decoded with; None where no text was.
        body: The JSON on one line as `Raw`, the text, or base64.
    """

    encoding: BodyEncoding | None
    charset: str | None
    body: Raw | str | None


NOTHING = Content(None, None, None)


def read_label(content_type: str | None) -> Label:
    """What a Content-Type header's value says, however broken it is."""
    return _read_label(content_type[:LONGEST_TYPE] if content_type else "")


def read_body(body: bytes, label: Label, mode: BodyMode = "auto") -> Content:
    """
    A body, its content coding undone, as `mode` wants it.

    Args:
        mode: What the label and the bytes say (`auto`); JSON where it is that, whatever the label, and else text
            (`json`); always `text`, always `base64`; nothing (`none`).
    """
    return _MODES[mode](body, label)


def strict_json(body: bytes) -> bytes | None:
    """
    The same JSON without blanks between its tokens and without a byte order mark; None for what is not strict JSON.

    Numbers, escapes and duplicate keys stay as they are. Not strict: NaN, lone surrogates (as escapes too), other
    encodings than UTF-8, more than `DEEPEST` levels.
    """
    # RFC 8259 8.1 lets a reader ignore it.
    body = body.removeprefix(_UTF8_MARK)
    if not _is_utf8(body) or _too_deep(body):
        return None
    try:
        return msgspec.json.format(body, indent=-1)
    except (msgspec.DecodeError, RecursionError):
        return None


def decode(body: bytes, label: Label) -> tuple[str, Charset]:
    """The text of a body, and the charset it was decoded with; a byte order mark is no part of the text."""
    mark = _marked(body)
    charset = label.charset or mark or _declared(body, label)
    if charset is None:
        try:
            return body.decode(), UTF8
        except UnicodeDecodeError as error:
            charset = UTF8 if _still_utf8(body, error) else _guessed(body)
    if mark is not None and (mark == charset or (mark == UTF16BE and charset == UTF16LE)):
        # "utf-16" is a label of the little-endian one, and the mark knows better (RFC 2781 4.3).
        charset = mark
        body = body[len(_UTF8_MARK) if mark == UTF8 else len(codecs.BOM_UTF16) :]
    return body.decode(charset.codec, "replace"), charset


def _auto(body: bytes, label: Label) -> Content:
    if label.json:
        return _json(body, label)
    if label.text:
        return _text(body, label)
    if label.charset is not None:
        text, charset = decode(body, label)
        # Servers put a charset on images and archives too; NUL is in nearly every binary file and in no text.
        return _base64(body, label) if "\0" in text else Content("text", charset.name, text)
    if b"\0" in body:
        return _base64(body, label)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _base64(body, label)
    return Content("text", UTF8.name, text)


def _json(body: bytes, label: Label) -> Content:
    compact = strict_json(body)
    if compact is None:
        return _text(body, label)
    return Content("json", UTF8.name, Raw(compact))


def _text(body: bytes, label: Label) -> Content:
    text, charset = decode(body, label)
    return Content("text", charset.name, text)


def _base64(body: bytes, _label: Label) -> Content:
    return Content("base64", None, b2a_base64(body, newline=False).decode("ascii"))


def _none(_body: bytes, _label: Label) -> Content:
    return NOTHING


_MODES = {"auto": _auto, "text": _text, "json": _json, "base64": _base64, "none": _none}


@lru_cache(maxsize=512)
def _read_label(content_type: str) -> Label:
    media_type = content_type.partition(";")[0].strip().lower()
    parameter = _PARAMETER.search(content_type)
    charset = find_charset(parameter[1]) if parameter else None
    xml = _XML.fullmatch(media_type) is not None
    return Label(
        media_type or None,
        charset,
        _JSON.fullmatch(media_type) is not None,
        xml,
        media_type == "text/html",
        xml or _TEXT.fullmatch(media_type) is not None,
    )


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _too_deep(body: bytes) -> bool:
    """
    Whether JSON has more than `DEEPEST` levels; anything for what is not JSON.

    Asked before it is parsed, because msgspec's parser bounds its recursion by the interpreter's limit only, which is
    another one in each version and on each thread.
    """
    if len(body) <= 2 * DEEPEST or body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Quotes side by side are a string without brackets, or the end of one and the beginning of the next: when both go,
    # what is inside a string stays inside.
    shape = body.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' in shape:
        shape = b"".join(shape.split(b'"')[::2])
    shape = shape.translate(_STEPS)
    for _ in range(_PEELED):
        shape = shape.replace(_LEAF, b"")
        if not shape:
            return False
    level = 0
    for start in range(0, len(shape), SAMPLE):
        # In pieces, so that a long one neither holds the interpreter nor much memory.
        levels = list(accumulate(array("b", shape[start : start + SAMPLE]), initial=level))
        if max(levels) > DEEPEST - _PEELED:
            return True
        level = levels[-1]
    return False


def _marked(body: bytes) -> Charset | None:
    for mark, charset in _MARKS:
        if body.startswith(mark):
            return charset
    return None


def _declared(body: bytes, label: Label) -> Charset | None:
    """What an HTML or XML document says about itself (HTML 13.2.3.2, XML 1.0 4.3.3), or None."""
    if not (label.html or label.xml):
        return None
    for start, wide in _BARE_UTF16:
        if body.startswith(start):
            return wide
    head = body[:PRESCAN]
    found = _XML_CHARSET.match(head)
    name = found[1] if found else _meta(head) if label.html else b""
    charset = find_charset(name.decode("latin-1"))
    # Whatever it says, what could be read so far is no UTF-16.
    return UTF8 if charset in {UTF16LE, UTF16BE} else charset


def _meta(head: bytes) -> bytes:
    """The charset's label in the first <meta> that has one; empty if none has."""
    if b"charset" not in head.lower():
        return b""
    for tag in _META.finditer(_COMMENT.sub(b"", head)):
        attributes: dict[bytes, bytes] = {}
        for name, *values in _ATTRIBUTE.findall(tag[1]):
            attributes.setdefault(name.lower(), next(filter(None, values), b""))
        if b"charset" in attributes:
            return attributes[b"charset"]
        if attributes.get(b"http-equiv", b"").strip().lower() == b"content-type":
            found = _META_CHARSET.search(attributes.get(b"content", b""))
            if found:
                return found[1]
    return b""


def _still_utf8(body: bytes, error: UnicodeDecodeError) -> bool:
    """Whether other characters say that it is UTF-8, and only the last one or what is behind the sample is wrong."""
    late = error.reason == "unexpected end of data" or error.start >= SAMPLE
    return late and not body[: error.start].isascii()


def _guessed(body: bytes) -> Charset:
    from charset_normalizer import from_bytes  # heavy, and few bodies need it

    sample = body[:SAMPLE]
    if len(body) > SAMPLE:
        # Half a character at the end would rule out the right guess.
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    matches = from_bytes(sample, cp_isolation=[charset.codec for charset in _GUESSES])
    best = matches.best()
    if best is None:
        return UTF8
    likely = {
        codecs.lookup(codec).name
        for match in matches
        if (match.chaos, match.coherence) == (best.chaos, best.coherence)
        for codec in match.could_be_from_charset
    }
    return next((charset for charset in _GUESSES if codecs.lookup(charset.codec).name in likely), UTF8)
