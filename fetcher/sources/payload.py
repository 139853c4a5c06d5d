"""
Owns what a request carries, made of what the options or a row say: its method, its body, and the headers with it.

A body is one of three: data, byte for byte; JSON, which is looked at once; a form of several parts (RFC 7578), whose
files are only named here and read when they are sent.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from fetcher.errors import SourceError, UsageError
from fetcher.model import File, Form
from fetcher.sources.template import for_body

URLENCODED = "application/x-www-form-urlencoded"
"""What a body is unless the user says otherwise, as curl's --data has it."""

JSON = "application/json"

MULTIPART = "multipart/form-data"

UNKNOWN = "application/octet-stream"
"""What a file is whose suffix says nothing."""

HEAD_OR_GET = "head,get"
"""The word for: ask with HEAD, and with GET where a server refuses that."""

# Of an unquoted one also what stands in quotes may hold semicolons.
_WORD = r'"(?:[^"\\]|\\.)*"|[^;"]*'
_TYPE = r"[^/;\s]+/[^;\s]+(?:\s*;\s*(?!(?:type|filename)=)[\w-]+=(?:\"[^\"]*\"|[^;\s]*))*"
_EXTRAS = re.compile(rf"((?:\s*;\s*(?:type={_TYPE}|filename=(?:{_WORD})))*)\s*$", re.DOTALL)
_EXTRA = re.compile(rf"\s*;\s*(?:type=(?P<type>{_TYPE})|filename=(?P<filename>{_WORD}))", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# A first and a last byte, either of which may be left out.
_RANGE = re.compile(r"(?=\d|-\d)([0-9]{0,18})-([0-9]{0,18})", re.ASCII)

_IN_QUOTES = {ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"}
"""How browsers and curl write these into a part's name (WHATWG HTML, multipart/form-data)."""


class Payload(Struct, frozen=True):
    """
    A body and the headers that it needs.

    Attributes:
        headers: Without those that the run has of its own.
    """

    body: bytes | Form | None = None
    headers: tuple[tuple[str, str], ...] = ()


def payload_of(
    headers: Sequence[tuple[str, str | None]],
    *,
    data: bytes | None = None,
    data_json: bytes | None = None,
    form: Sequence[tuple[str, str]] = (),
    part: str | None = None,
) -> Payload:
    """
    What every request of a run carries.

    Args:
        headers: The run's own.
        part: The range to ask for.

    Raises:
        SourceError, UsageError: As the functions below.
    """
    payload = Payload()
    if data is not None:
        payload = data_payload(data, headers)
    elif data_json is not None:
        payload = json_payload(data_json, headers)
    elif form:
        payload = form_payload(form, headers)
    if part is not None:
        payload = Payload(payload.body, (*payload.headers, *range_headers(part, headers)))
    return payload


def methods(text: str) -> tuple[str, str | None]:
    """The method to ask with, and the one to fall back to (`head,get`), or None."""
    return ("HEAD", "GET") if text.replace(" ", "").lower() == HEAD_OR_GET else (text, None)


def data_payload(data: bytes, headers: Iterable[tuple[str, str | None]] = ()) -> Payload:
    """
    Bytes as they are, called a form's unless the run's headers call them something else.

    Args:
        headers: The run's own.
    """
    return Payload(data, _unsaid(headers, ("Content-Type", URLENCODED)))


def json_payload(data: bytes, headers: Iterable[tuple[str, str | None]] = ()) -> Payload:
    """
    JSON as it is spelled; with columns in it, what it is for some row.

    Raises:
        UsageError: It is none.
    """
    try:
        text = data.decode("utf-8")
        template = for_body("--data-json", text, JSON)
        if template is not None:
            text = template.fill(dict.fromkeys(template.names, "1"))
        # Numbers stay texts: none is too large to be sent.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--data-json: it is no JSON: {error}; send what is none with --data") from error
    return Payload(data, _unsaid(headers, ("Content-Type", JSON), ("Accept", JSON)))


def form_payload(fields: Sequence[tuple[str, str]], headers: Iterable[tuple[str, str | None]] = ()) -> Payload:
    """
    A form of several parts, in the order given.

    A value is a text, or @FILE; `;type=text/csv` and `;filename=name` may follow either, as in curl. A name or file
    with a semicolon in it stands in double quotes. A file that can be read once only (a pipe, `@-`) is read here.

    Raises:
        SourceError: A file cannot be read.
        UsageError: A part cannot be written so, or the run's headers call the body something else.
    """
    boundary = f"{'-' * 24}{os.urandom(11).hex()}"
    pieces: list[bytes | File] = []
    for name, value in fields:
        content, filename, kind = _read_field(name, value)
        lines = [f"--{boundary}", f'Content-Disposition: form-data; name="{_in_quotes(name)}"']
        if filename is not None:
            lines[-1] += f'; filename="{_in_quotes(filename)}"'
        if kind is not None:
            lines.append(f"Content-Type: {kind}")
        pieces += [_encoded("\r\n".join([*lines, "", ""])), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    label = ("Content-Type", f"{_multipart(headers)}; boundary={boundary}")
    joined = tuple(_joined(pieces))
    if len(joined) == 1 and isinstance(joined[0], bytes):
        return Payload(joined[0], (label,))
    size = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in joined)
    return Payload(Form(joined, size), (label,))


def is_range(text: str) -> bool:
    """Whether it is a range, or several, of bytes (RFC 9110 14.1.1)."""
    return all(
        (match := _RANGE.fullmatch(part.strip())) is not None
        and not (match[1] and match[2] and int(match[1]) > int(match[2]))
        for part in text.split(",")
    )


def range_headers(text: str, headers: Iterable[tuple[str, str | None]] = ()) -> tuple[tuple[str, str], ...]:
    """
    The headers that ask for a part of what there is.

    A part of a compressed body could not be decoded, so none is asked for.

    Raises:
        UsageError: The run's headers ask for another part.
    """
    if any(name.lower() == "range" for name, _ in headers):
        raise UsageError("--range and a Range header contradict each other; leave one of them out")
    return (("Range", f"bytes={text}"), *_unsaid(headers, ("Accept-Encoding", "identity")))


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number there")


def _unsaid(headers: Iterable[tuple[str, str | None]], *ours: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Those of our headers that the run's do not replace, or drop."""
    said = {name.lower() for name, _ in headers}
    return tuple(header for header in ours if header[0].lower() not in said)


def _multipart(headers: Iterable[tuple[str, str | None]]) -> str:
    """The kind of form, which a header of the run may say without its boundary. Raises UsageError."""
    kind = next((value for name, value in headers if name.lower() == "content-type" and value), MULTIPART)
    if not kind.lower().startswith("multipart/") or "boundary" in kind.lower():
        raise UsageError(f"--form and a Content-Type of {kind!r} contradict each other; leave the header out")
    return kind.partition(";")[0].strip()


def _read_field(name: str, value: str) -> tuple[bytes | File, str | None, str | None]:
    """What a part holds, the file's name that goes with it, and its type. Raises SourceError, UsageError."""
    found = _EXTRAS.search(value)
    extras = found[1] if found is not None else ""
    text = value[: found.start()] if found is not None and extras else value
    filename: str | None = None
    kind: str | None = None
    for extra in _EXTRA.finditer(extras):
        kind = extra["type"].strip() if extra["type"] is not None else kind
        filename = _unquoted(extra["filename"]) if extra["filename"] is not None else filename
    if kind is not None and _CONTROLS.search(kind):
        raise UsageError(f"--form {name}: the type has a control character or a line break; remove it")
    if not text.startswith("@"):
        return _encoded(text), filename, kind
    path = _unquoted(text[1:])
    if filename is None:
        filename = Path(path).name or path
    return _open(name, path), filename, kind or _type_of(filename)


def _open(name: str, path: str) -> bytes | File:
    """A file by its name and size; of one that can be read once only, what is in it. Raises SourceError."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        status = os.stat(path)  # noqa: PTH116 - a Path would change the user's spelling
        if stat.S_ISREG(status.st_mode):
            with Path(path).open("rb"):
                # For its complaint, while there is time for it.
                return File(path, status.st_size)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"--form {name}=@{path}: {reason}; name a file that can be read") from error


def _type_of(filename: str) -> str:
    import mimetypes

    # Python's own list of suffixes, which is the same on every machine.
    kind, coding = mimetypes.MimeTypes().guess_type(filename)
    return UNKNOWN if kind is None or coding is not None else kind


def _joined(pieces: Iterable[bytes | File]) -> list[bytes | File]:
    """The same with neighbours in one: fewer writes."""
    joined: list[bytes | File] = []
    for piece in pieces:
        if isinstance(piece, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def _in_quotes(text: str) -> str:
    return text.translate(_IN_QUOTES)


def _encoded(text: str) -> bytes:
    # What the shell gave that is no UTF-8 goes out as it came in.
    return text.encode("utf-8", "surrogateescape")
