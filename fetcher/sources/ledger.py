"""
Owns what entries were made of, word for word, until somebody asks, so that what failed can be written and fed back.

All inputs of a run must be of one kind then, or what is written would be a list of none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from fetcher.errors import SourceError
from fetcher.model import Request

LINES = "lines"


class Reading(Protocol):
    """
    Reads the lines of one input.

    Attributes:
        waiting: How many of the last lines make a row that has not ended.
        begun: All that stands before the rows was read.
    """

    @property
    def waiting(self) -> int: ...

    @property
    def begun(self) -> bool: ...

    def requests(self, lines: Iterable[str]) -> list[Request]: ...

    def rest(self) -> list[Request]: ...


class _Given(Struct):
    """Whole lines. Entries share them only where the quotes of a table do not close."""

    text: bytes
    told: bool = False


class Ledger:
    """
    The texts of the entries that are under way. One thread keeps them, another may ask.

    Attributes:
        head: What stands before the rows of a table: the names of its columns.
    """

    def __init__(self) -> None:
        self.head = b""
        self._given: dict[int, _Given] = {}
        self._kind = ""
        self._first = ""
        self._lines: list[str] = []

    def requests(self, rows: Reading, kind: str, name: str, lines: Iterable[str]) -> list[Request]:
        """
        What the lines of an input give, as `rows` reads them.

        Raises:
            SourceError: The input is of another kind, or a table of other columns, than the one before.
        """
        if rows.begun:
            self._agree(kind, b"", name)
        requests: list[Request] = []
        for line in lines:
            begun = rows.begun
            made = rows.requests((line,))
            self._lines.append(line)
            done = len(self._lines) - rows.waiting
            if not done:
                continue
            text, self._lines = _encoded(self._lines[:done]), self._lines[done:]
            if rows.begun and not begun:
                self._agree(kind, text, name)
            self._keep(made, text)
            requests += made
        return requests

    def rest(self, rows: Reading) -> list[Request]:
        """What is left of an input when there are no more lines."""
        made = rows.rest()
        text, self._lines = _encoded(self._lines), []
        self._keep(made, text)
        return made

    def entry(self, name: str, request: Request) -> None:
        """Keep an entry that stands on the command line. Raises SourceError, as `requests` does."""
        self.check_entry(name)
        self._keep([request], _encoded([name]))

    def check_entry(self, name: str) -> None:
        """Nothing, where a line may stand among the inputs. Raises SourceError, as `requests` does."""
        self._agree(LINES, b"", name)

    def ask(self, index: int, *, wanted: bool) -> bytes:
        """The lines of an entry, which are let go; nothing if they are not wanted, or were told for another entry."""
        given = self._given.pop(index, None)
        if given is None or given.told or not wanted:
            return b""
        given.told = True
        return given.text

    def let_go(self, index: int) -> None:
        """Nobody will ask for this entry."""
        self._given.pop(index, None)

    def _keep(self, made: list[Request], text: bytes) -> None:
        if made:
            given = _Given(text)
            for request in made:
                self._given[request.index] = given

    def _agree(self, kind: str, head: bytes, name: str) -> None:
        # A table says its columns once, and is looked at again before its rows.
        if not self._kind:
            self._kind, self.head, self._first = kind, head, name
        elif kind != self._kind or (head and head.strip() != self.head.strip()):
            what = f"is {kind}, and {self._first} is {self._kind}" if kind != self._kind else "has other columns"
            raise SourceError(
                f"{name}: {what}; --failed writes one list, of one kind: fetch them in two runs, with a file each"
            )


def _encoded(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
