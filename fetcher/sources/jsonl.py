"""Owns rows that are written as JSON Lines: one object a line. Pure: lines in, requests out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from fetcher.bodies import DEEPEST, strict_json
from fetcher.model import Request
from fetcher.sources.lines import BLANKS
from fetcher.sources.rows import KEYS, URL, RowMaker, is_masked, own_of, text_of
from fetcher.sources.template import RowError

LONGEST_ROW = 16 * 1024 * 1024
"""Bytes of a row: as many as the look-ahead has of them are held at once."""

LONGEST_RECORD = 256 * 1024 * 1024
"""Bytes of a record of our own, of whose body nothing is kept."""

SUSPECT = LONGEST_ROW // 4
"""Characters up to which a row needs no measuring: a character is four bytes at most."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_ROW = msgspec.json.Decoder(dict[str, Raw])


class JsonRows:
    """
    The rows of one input. Blank lines and comments are passed over, of two keys of one name the last counts.

    Args:
        source: What messages put before the line's number.
    """

    longest = LONGEST_RECORD
    waiting = 0
    begun = True

    def __init__(self, maker: RowMaker, source: str) -> None:
        self._maker = maker
        self._source = source
        self._number = 0

    def requests(self, lines: Iterable[str]) -> list[Request]:
        """One request for every line that is neither blank nor a comment, up to the limit."""
        requests: list[Request] = []
        for line in lines:
            self._number += 1
            # Not stripped: a row may be large, and the decoder passes over blanks itself.
            if line[:1] != "{":
                line = line.strip(BLANKS)
                if not line or line[0] == "#":
                    continue
            if self._maker.parser.full:
                break
            requests.append(self._request(line))
        return requests

    def rest(self) -> list[Request]:
        """Nothing: a line is a row."""
        return []

    def _request(self, line: str) -> Request:
        maker = self._maker
        place = f"{self._source}line {self._number}"
        try:
            row = _read(line)
        except RowError as error:
            return maker.invalid(place, str(error))
        # Both keys are in a record of our own, and hardly in anything else.
        if "final_url" in row and "attempts" in row:
            return self._again(row, place)
        if len(line) > SUSPECT and len(line.encode()) > LONGEST_ROW:
            return maker.invalid(place, f"the row has more than {LONGEST_ROW >> 20} MiB")
        given = ""
        known = maker.column if not maker.makes_urls else None
        extra = {key: value for key, value in row.items() if key not in KEYS and key != known} or None
        try:
            if known in row and bytes(row[known]) != b"null":
                given = text_of(known, row[known]).strip(BLANKS)
            own = own_of(row)
        except RowError as error:
            return maker.invalid(place, str(error), given, extra)
        return maker.make(row, given, extra, place, own)

    def _again(self, row: Mapping[str, Raw], place: str) -> Request:
        """A record of our own: its URL, method and extra, and nothing of its reply."""
        maker, given = self._maker, ""
        extra: Mapping[str, Any] | None = None
        try:
            extra = _extra(row)
            given = text_of(URL, row.get(URL, Raw(b"null")))
            own = own_of({"method": row["method"]} if "method" in row else {})
        except RowError as error:
            return maker.invalid(place, str(error), given, extra)
        if is_masked(given):
            return maker.invalid(place, "a record of ours, which does not have the URL's password", given, extra)
        columns: Mapping[str, Any] = {**(extra or {}), URL: given}
        return maker.make(columns, given, extra, place, own)


def _extra(record: Mapping[str, Raw]) -> dict[str, Raw] | None:
    """
    The columns that a record kept.

    Raises:
        RowError: They are no object.
    """
    raw = record.get("extra")
    if raw is None or bytes(raw) == b"null":
        return None
    if bytes(raw)[:1] != b"{":
        raise RowError("'extra' must be an object, as our own records have it")
    # Copied, or it would hold the whole record.
    return {key: value.copy() for key, value in _ROW.decode(raw).items()}


def _read(line: str) -> dict[str, Raw]:
    """
    A row's keys and values, as they are spelled.

    Raises:
        RowError: It is no object, or no strict JSON.
    """
    try:
        # Where it could be what the decoder lets pass, or not come back from.
        deep = len(line) > 2 * DEEPEST and line.count("{") + line.count("[") > DEEPEST
        if (deep or ("\\" in line and _HALF.search(line))) and strict_json(line.encode()) is None:
            raise RowError(f"not JSON, half a character, or more than {DEEPEST} levels deep")
        return _ROW.decode(line)
    except UnicodeEncodeError:
        raise RowError("not UTF-8, which JSON must be") from None
    except msgspec.ValidationError:
        raise RowError("a row must be an object: {...}") from None
    except msgspec.DecodeError as error:
        raise RowError(f"not JSON: {str(error).removeprefix('JSON is malformed: ')}") from None
