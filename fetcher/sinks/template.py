r"""
Owns text of the user's own making: `--template '{status}\t{url}'`.

`{name}` is a field by the names of `fields.py`, `{{name}}` is `{name}` itself, other braces are what they are; escapes
are printf's. A line's end stands behind each record, unless the template is `{body}` alone, which is the page as it is,
or ends with `\c`.
"""

from __future__ import annotations

import re

from fetcher.errors import UsageError
from fetcher.record import Record
from fetcher.sinks.fields import Field
from fetcher.sinks.text import shown

BODY = "body"
"""The field that is written as bytes."""

SHAPED = ("charset", "body_encoding", "body.")
"""How names begin that depend on what the body was taken for."""

_FIELD = re.compile(r"\{\{([^\W\d][\w.\-]*)\}\}|\{([^\W\d][\w.\-]*)\}")
_ESCAPE = re.compile(r"\\(?:([abefnrtv\\])|x([0-9a-fA-F]{1,2})|([0-7]{1,3}))")
_ESCAPES = {
    "a": b"\a",
    "b": b"\b",
    "e": b"\x1b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
}
_LAYOUT = re.compile(r"[^\n\t]+")


class Template:
    """
    A text with fields in it.

    Attributes:
        names: The fields' names.

    Raises:
        UsageError: A name is none that a record has, or nothing would be written.
    """

    def __init__(self, text: str) -> None:
        body, stop, _ = text.partition("\\c")
        # Of two backslashes before a c the second is the one that is escaped.
        if stop and (len(body) - len(body.rstrip("\\"))) % 2:
            body, stop = text, ""
        parts: list[bytes | Field] = []
        end = 0
        for match in _FIELD.finditer(body):
            parts.append(_unescaped(body[end : match.start()]))
            end = match.end()
            escaped, name = match.groups()
            parts.append(f"{{{escaped}}}".encode() if name is None else Field(name))
        parts.append(_unescaped(body[end:]))
        self._parts = [part for part in parts if part]
        self.names = tuple(part.name for part in self._parts if isinstance(part, Field))
        if not self._parts:
            raise UsageError(r"template is empty; write fields in braces: '{status}\t{url}'")
        last = self._parts[-1]
        alone = len(self._parts) == 1 and self.names == (BODY,)
        ended = isinstance(last, bytes) and last.endswith(b"\n")
        if not (stop or alone or ended):
            self._parts.append(b"\n")

    @property
    def wants_bytes(self) -> bool:
        """Whether it has the body, and nothing that depends on what the body was taken for."""
        return BODY in self.names and not any(name.startswith(SHAPED) for name in self.names)

    def fill(self, record: Record, *, terminal: bool) -> bytes:
        """What is written of a record."""
        return b"".join([part if isinstance(part, bytes) else _value(part, record, terminal) for part in self._parts])


class Filled:
    """
    A `Sink`: the template, filled for each record; a large body is held whole.

    Args:
        terminal: It goes to a terminal, whose cursor no body moves.
    """

    def __init__(self, template: str, *, terminal: bool = False) -> None:
        self._template = Template(template)
        self._terminal = terminal

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def one(self, record: Record) -> bytes:
        """The record's text."""
        return self._template.fill(record, terminal=self._terminal)

    def end(self) -> bytes:
        """Nothing."""
        return b""


def _value(field: Field, record: Record, terminal: bool) -> bytes:
    if field.name != BODY:
        return shown(field.text(record)).encode("utf-8", "backslashreplace")
    content = record.content or b""
    if terminal:
        return _LAYOUT.sub(lambda match: shown(match[0]), content.decode("utf-8", "replace")).encode()
    return content


def _unescaped(text: str) -> bytes:
    parts = []
    end = 0
    for match in _ESCAPE.finditer(text):
        parts.append(text[end : match.start()].encode("utf-8", "surrogateescape"))
        end = match.end()
        letter, hexadecimal, octal = match.groups()
        if letter is not None:
            parts.append(_ESCAPES[letter])
        else:
            parts.append(bytes([int(hexadecimal, 16) if hexadecimal is not None else int(octal, 8) & 0xFF]))
    parts.append(text[end:].encode("utf-8", "surrogateescape"))
    return b"".join(parts)
