"""
Owns what a person would see: a terminal that is told bytes and knows what stands on it.

It knows what we and a shell write, and nothing else: an escape that it does not know fails the test.
"""

from __future__ import annotations

import codecs
import re

_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?]*)?\Z")
_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\x1b)|(.)", re.DOTALL)


class Screen:
    """
    A terminal that keeps all lines that ever stood on it.

    Attributes:
        lines: From the first to the last, without blanks at their ends.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0
        self._wraps = True
        self._hidden = False
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._rows]

    @property
    def as_found(self) -> bool:
        """Whether it wraps lines and shows its cursor, at the start of an empty line."""
        return self._wraps and not self._hidden and self._column == 0 and not "".join(self._rows[self._row]).strip()

    def show(self, data: bytes) -> None:
        """Take what was written to the terminal; an escape or a character may come in parts."""
        text = self._rest + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished is not None else len(text)
        self._rest = text[end:]
        for numbers, name, stray, character in _PIECE.findall(text[:end]):
            assert not stray, f"an escape that is none, in {data!r}"
            if name:
                self._obey(numbers, name)
            else:
                self._put(character)

    def _obey(self, numbers: str, name: str) -> None:
        if name == "J" and numbers in {"", "0"}:
            del self._rows[self._row + 1 :]
            del self._rows[self._row][self._column :]
        elif numbers == "?7":
            self._wraps = name == "h"
        elif numbers == "?25":
            self._hidden = name == "l"
        else:
            assert name == "m", f"an unknown escape: {numbers}{name}"

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character == "\t":
            self._column = min(self.columns - 1, self._column // 8 * 8 + 8)
        else:
            assert character.isprintable(), f"a control: {character!r}"
            if self._column == self.columns:
                self._column -= 1
                if self._wraps:
                    self._column = 0
                    self._down()
            row = self._rows[self._row]
            row.extend(" " * (self._column + 1 - len(row)))
            row[self._column] = character
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])
