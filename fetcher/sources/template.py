"""
Owns texts with columns in them: `https://api.example.com/items/{id}`, `{"q": "{name}"}`. Pure.

`{name}` is a column where the name is one word: letters, digits, `_`, `-` and `.`, a letter or `_` first. `{{name}}` is
`{name}` itself. All other braces are what they are, so JSON needs no care. A value is encoded for the place it goes to,
so that no row can change what is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import Raw, Struct

Cell = str | Raw
"""A row's value: a text, or a JSON value as it is spelled."""

_FIELD = re.compile(r"\{\{([^\W\d][\w.\-]*)\}\}|\{([^\W\d][\w.\-]*)\}")
_HOST = re.compile(r"[\w.\-]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_JSON_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+\-]?[0-9]+)?|true|false|null")
_AUTHORITY = re.compile(r"(?i:https?)://[^/?#]*")

_MARKUP = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&apos;"}


class RowError(ValueError):
    """Why a row cannot be sent; a sentence fit for a record, without any value of the row's."""


class Field(Struct, frozen=True):
    """A column's place in a template, and how its value is written there."""

    name: str
    write: Callable[[str, Cell], str]


class Template:
    """
    A text with columns in it.

    Attributes:
        where: What messages call it: `--base-url`.
        names: The columns, in order.
    """

    def __init__(self, where: str, parts: tuple[str | Field, ...]) -> None:
        self.where = where
        self.names = tuple(dict.fromkeys(part.name for part in parts if isinstance(part, Field)))
        self._parts = parts

    def fill(self, row: Mapping[str, Cell]) -> str:
        """
        The text for a row.

        Raises:
            RowError: It lacks a column, or a value cannot stand in its place.
        """
        try:
            return "".join(
                part if isinstance(part, str) else part.write(part.name, row[part.name]) for part in self._parts
            )
        except KeyError as error:
            raise RowError(f"no {error.args[0]!r}, which {self.where} asks for") from error


def for_url(where: str, text: str) -> Template | None:
    """A URL with columns in it; None if it has none."""
    match = _AUTHORITY.match(text)
    host = match.end() if match is not None else 0
    user = text.rfind("@", 0, host)
    query = min((place for place in (text.find("?", host), text.find("#", host)) if place >= 0), default=len(text))

    def place(before: int, _text: str) -> Callable[[str, Cell], str]:
        if before >= query:
            return _in_query
        if before >= host:
            return _in_path
        return _in_query if before < user else _in_host

    return _parse(where, text, place)


def for_query(where: str, text: str) -> Template | None:
    """A query parameter's value, all of it written percent-encoded; None if it has no columns."""
    return _parse(where, text, lambda _before, _text: _in_query, _quoted)


def for_header(where: str, text: str) -> Template | None:
    """A header's value; None if it has no columns."""
    return _parse(where, text, lambda _before, _text: _in_header)


def for_body(where: str, text: str, content_type: str | None) -> Template | None:
    """
    A body with columns in it; None if it has none.

    Args:
        content_type: What the user says it is. With None it is JSON if it begins like an object or a list, else a form.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind.endswith(("/json", "+json")) or (content_type is None and _begins_as_json(text)):
        return _parse(where, text, lambda before, whole: _in_string if _inside_string(whole[:before]) else _as_json)
    if content_type is None or kind == "application/x-www-form-urlencoded":
        return _parse(where, text, lambda _before, _text: _in_form)
    if kind.endswith(("/xml", "+xml")):
        return _parse(where, text, lambda _before, _text: _in_markup)
    return _parse(where, text, lambda _before, _text: plain)


def plain(name: str, cell: Cell) -> str:
    """
    A value as text; numbers as they are spelled, null is empty.

    Raises:
        RowError: It is a list or an object, or no text.
    """
    if isinstance(cell, str):
        return cell
    raw = bytes(cell)
    if raw[:1] in {b"{", b"["}:
        raise RowError(f"{name!r} must be a text, a number, true or false here, not an object or a list")
    if raw == b"null":
        return ""
    return str(msgspec.json.decode(raw, type=str)) if raw[:1] == b'"' else raw.decode("ascii")


def _parse(
    where: str,
    text: str,
    place: Callable[[int, str], Callable[[str, Cell], str]],
    literal: Callable[[str], str] = str,
) -> Template | None:
    parts: list[str | Field] = []
    end = 0
    for match in _FIELD.finditer(text):
        parts.append(literal(text[end : match.start()]))
        end = match.end()
        escaped, name = match.groups()
        parts.append(literal(f"{{{escaped}}}") if name is None else Field(name, place(match.start(), text)))
    parts.append(literal(text[end:]))
    # A text whose only braces are doubled ones is a template, too: they become single.
    return Template(where, tuple(parts)) if len(parts) > 1 else None


def _begins_as_json(text: str) -> bool:
    text = text.lstrip()
    return text.startswith(("{", "[")) and not _FIELD.match(text)


def _inside_string(before: str) -> bool:
    """Whether what follows this JSON stands in one of its strings."""
    return len(re.findall(r'(?<!\\)(?:\\\\)*"', before)) % 2 == 1


def _in_path(name: str, cell: Cell) -> str:
    text = plain(name, cell)
    if not text:
        # DELETE /items/{id} must never become DELETE /items/.
        raise RowError(f"{name!r} is empty, and stands in the URL's path")
    # As dots they would be taken out of the path with what is before them (RFC 3986 5.2.4).
    return text.replace(".", "%2E") if text in {".", ".."} else _quoted(text)


def _in_query(name: str, cell: Cell) -> str:
    return _quoted(plain(name, cell))


def _in_host(name: str, cell: Cell) -> str:
    text = plain(name, cell)
    if not _HOST.fullmatch(text):
        raise RowError(f"{name!r} is no part of a host's name, where it stands")
    return text


def _in_header(name: str, cell: Cell) -> str:
    text = plain(name, cell)
    if _CONTROLS.search(text):
        raise RowError(f"{name!r} has a control character or a line break, and stands in a header")
    return text


def _in_form(name: str, cell: Cell) -> str:
    return quote_plus(plain(name, cell).encode("utf-8", "surrogateescape"))


def _in_markup(name: str, cell: Cell) -> str:
    return plain(name, cell).translate(_MARKUP)


def _in_string(name: str, cell: Cell) -> str:
    """Inside a JSON string: an object or a list as its own text."""
    nested = not isinstance(cell, str) and bytes(cell)[:1] in {b"{", b"["}
    return _json_text(name, _as_json(name, cell) if nested else plain(name, cell))[1:-1]


def _as_json(name: str, cell: Cell) -> str:
    """Where JSON wants a value: JSON as it is; of texts, what reads as a number, true, false or null is that."""
    if not isinstance(cell, str):
        return bytes(cell).decode()
    return cell if _JSON_WORD.fullmatch(cell) else _json_text(name, cell)


def _json_text(name: str, text: str) -> str:
    try:
        return msgspec.json.encode(text).decode()
    except UnicodeEncodeError as error:
        raise RowError(f"{name!r} is not UTF-8, and stands in JSON") from error


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")
