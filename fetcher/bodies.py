"""
Owns what the bytes of a body are: JSON, text in some charset, or neither. Pure; never fails, whatever a server sends.

JSON is strict JSON (RFC 8259) and stays as it was sent but for the blanks between its tokens. Text is decoded by, in
this order: the Content-Type's charset, a byte order mark, the document's own declaration, UTF-8 if it is that, and a
guess. What cannot be decoded becomes U+FFFD.

What a body is, is found out without a second copy of it: a text can be four times as large as its bytes.
"""

from __future__ import annotations

import codecs
import re
from array import array
from binascii import b2a_base64
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

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

SLICE = 192 * 1024
"""Bytes of a body that are looked at, decoded or encoded at a time. In threes, for base64."""

ESCAPE = b"\x1b"
LONGEST_ESCAPE = 16
"""Bytes that begin so and within which no slice may end: Python's ISO-2022-JP raises (`_codecs_iso2022.c`)."""

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

_ENCODER = msgspec.json.Encoder()

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


class BodyForm:
    """
    What a body is, before it is made into that.

    Not a Struct, so that no encoder takes it for something to write down.

    Attributes:
        encoding: What it is; None if there is none.
        charset: What the text is decoded with; None where there is no text.
        held: Bytes that are held for it.
    """

    __slots__ = ("_charset", "_source", "_start", "encoding")

    def __init__(
        self, encoding: BodyEncoding | None, source: bytes = b"", charset: Charset | None = None, start: int = 0
    ) -> None:
        self.encoding = encoding
        self._source = source
        self._charset = charset
        # What is before it is a byte order mark.
        self._start = start

    @property
    def charset(self) -> str | None:
        return None if self._charset is None else self._charset.name

    @property
    def held(self) -> int:
        return len(self._source)

    def whole(self) -> Raw | str | None:
        """The body as a record has it."""
        if self.encoding == "text":
            return self.text()
        if self.encoding == "json":
            return Raw(self._source)
        return None if self.encoding is None else b2a_base64(self._source, newline=False).decode("ascii")

    def pieces(self) -> Iterator[bytes]:
        """What the JSON encoder makes of `whole()`, of which no more than a slice is held at once."""
        if self.encoding == "json":
            yield self._source
            return
        if self.encoding is None:
            yield b"null"
            return
        yield b'"'
        if self.encoding == "text":
            for text in self.texts():
                # Escapes are a character's own, so the strings of slices join to the string of the whole.
                yield _ENCODER.encode(text)[1:-1]
        else:
            for start in range(0, len(self._source), SLICE):
                yield b2a_base64(self._source[start : start + SLICE], newline=False)
        yield b'"'

    def text(self) -> str:
        """The text of a body that is that."""
        return self._source[self._start :].decode((self._charset or UTF8).codec, "replace")

    def texts(self) -> Iterator[str]:
        """The same, slice by slice."""
        source = self._source
        decoder = codecs.getincrementaldecoder((self._charset or UTF8).codec)("replace")
        start = self._start
        while start < len(source):
            end = start + SLICE
            while ESCAPE in source[max(start, end - LONGEST_ESCAPE) : end]:
                end += LONGEST_ESCAPE
            yield decoder.decode(source[start:end], final=end >= len(source))
            start = end


NOTHING = BodyForm(None)


def read_label(content_type: str | None) -> Label:
    """What a Content-Type header's value says, however broken it is."""
    return _read_label(content_type[:LONGEST_TYPE] if content_type else "")


def read_form(body: bytes, label: Label, mode: BodyMode = "auto") -> BodyForm:
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
    start = len(_UTF8_MARK) if body.startswith(_UTF8_MARK) else 0
    if _utf8_flaw(body) is not None or _too_deep(body):
        return None
    try:
        return msgspec.json.format(memoryview(body)[start:] if start else body, indent=-1)
    except (msgspec.DecodeError, RecursionError):
        return None


def decode(body: bytes, label: Label) -> tuple[str, Charset]:
    """The text of a body, and the charset it was decoded with; a byte order mark is no part of the text."""
    charset, start = _charset(body, label)
    return BodyForm("text", body, charset, start).text(), charset


def _charset(body: bytes, label: Label) -> tuple[Charset, int]:
    """What to decode a text with, and where behind its byte order mark it begins."""
    mark = _marked(body)
    charset = label.charset or mark or _declared(body, label)
    if charset is None:
        flaw = _utf8_flaw(body)
        if flaw is None:
            return UTF8, 0
        charset = UTF8 if _still_utf8(body, flaw) else _guessed(body)
    if mark is not None and (mark == charset or (mark == UTF16BE and charset == UTF16LE)):
        # "utf-16" is a label of the little-endian one, and the mark knows better (RFC 2781 4.3).
        return mark, len(_UTF8_MARK) if mark == UTF8 else len(codecs.BOM_UTF16)
    return charset, 0


def _auto(body: bytes, label: Label) -> BodyForm:
    if label.json:
        return _json(body, label)
    if label.text:
        return _text(body, label)
    if label.charset is not None:
        form = _text(body, label)
        # Servers put a charset on images and archives too; NUL is in nearly every binary file and in no text.
        return _base64(body, label) if any("\0" in text for text in form.texts()) else form
    if b"\0" in body or _utf8_flaw(body) is not None:
        return _base64(body, label)
    return BodyForm("text", body, UTF8, len(_UTF8_MARK) if body.startswith(_UTF8_MARK) else 0)


def _json(body: bytes, label: Label) -> BodyForm:
    compact = strict_json(body)
    return _text(body, label) if compact is None else BodyForm("json", compact, UTF8)


def _text(body: bytes, label: Label) -> BodyForm:
    return BodyForm("text", body, *_charset(body, label))


def _base64(body: bytes, _label: Label) -> BodyForm:
    return BodyForm("base64", body)


def _none(_body: bytes, _label: Label) -> BodyForm:
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


class _Flaw(NamedTuple):
    """Where bytes stop being UTF-8; `cut` where they only end within a character."""

    start: int
    cut: bool


def _utf8_flaw(body: bytes) -> _Flaw | None:
    """None for what is UTF-8."""
    if body.isascii():
        return None
    end = 0
    try:
        if len(body) <= SLICE:
            end = len(body)
            body.decode()
            return None
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(body), SLICE):
            end = min(start + SLICE, len(body))
            decoder.decode(body[start:end], final=end == len(body))
    except UnicodeDecodeError as error:
        # What it speaks of ends where the slice does, and may begin before that.
        return _Flaw(end - len(error.object) + error.start, error.reason == "unexpected end of data")
    return None


def _too_deep(body: bytes) -> bool:
    """
    Whether JSON has more than `DEEPEST` levels; anything for what is not JSON.

    Asked before it is parsed, because msgspec's parser bounds its recursion by the interpreter's limit only, which is
    another one in each version and on each thread.
    """
    if len(body) <= 2 * DEEPEST or body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    level = 0
    torn = within = b""
    # In pieces, so that a long one neither holds the interpreter nor much memory.
    for start in range(0, len(body), SAMPLE):
        piece = torn + body[start : start + SAMPLE]
        torn = b""
        if b"\\" in piece:
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
                # What it escapes is in the next piece.
                piece, torn = piece[:-1], b"\\"
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        # Quotes side by side are a string without brackets, or the end of one and the beginning of the next: when both
        # go, what is inside a string stays inside.
        shape = (within + piece.translate(None, _NOT_STRUCTURE)).replace(b'""', b"")
        within = b'"' if shape.count(b'"') % 2 else b""
        if b'"' in shape:
            shape = b"".join(shape.split(b'"')[::2])
        if _rises_above(DEEPEST - level, shape.translate(_STEPS)):
            return True
        level += 2 * shape.count(b"[") + 2 * shape.count(b"{") - len(shape)
    return False


def _rises_above(limit: int, steps: bytes) -> bool:
    """Whether the sum of the first steps, however many, is ever above `limit`."""
    if steps.count(b"\x01") <= limit:
        return False
    # Each time that all leaves are taken off, the highest sum is one less. The steps down at the end see to it that one
    # at the end is a leaf, too.
    peeled = min(_PEELED, limit)
    steps += b"\xff" * _PEELED
    for _ in range(peeled):
        steps = steps.replace(_LEAF, b"")
        if b"\x01" not in steps:
            return False
    return max(accumulate(array("b", steps))) > limit - peeled


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


def _still_utf8(body: bytes, flaw: _Flaw) -> bool:
    """Whether other characters say that it is UTF-8, and only the last one or what is behind the sample is wrong."""
    if not flaw.cut and flaw.start < SAMPLE:
        return False
    return not all(body[start : min(start + SLICE, flaw.start)].isascii() for start in range(0, flaw.start, SLICE))


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
