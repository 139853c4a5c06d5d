"""Owns what has been met before: a set of hashes so small that ten million of them are no matter."""

from __future__ import annotations

from array import array
from hashlib import blake2b

_BITS = 10
_TABLES = 1 << _BITS
_FIRST = 8
_EMPTIEST, _FULLEST = 0.5, 0.75


class Seen:
    """
    A set of 64-bit hashes, which grows; some 20 bytes each, where Python's own set takes 90.

    Two things of one hash are taken for the same: among ten million, once in 370,000 runs. The hashes of one thing are
    the same in every run, so another run over the same things takes the same ones for one.

    Open addressing with linear probing (Knuth, "The Art of Computer Programming" 6.4, algorithm L), in a thousand small
    tables that are not filled to the same level: so they grow one at a time, and none of them holds the loop up.
    """

    def __init__(self) -> None:
        self._tables = [_table(_FIRST) for _ in range(_TABLES)]
        self._room = [_room(number, _FIRST) for number in range(_TABLES)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, data: bytes) -> bool:
        """Whether it was not there before; it is from now on."""
        return self.add_hash(int.from_bytes(blake2b(data, digest_size=8).digest(), "little"))

    def add_hash(self, hash_: int) -> bool:
        """The same for something's 64-bit hash, of which every bit should be as good as any other."""
        # 0 is an empty place.
        hash_ = hash_ or 1
        number = hash_ & (_TABLES - 1)
        table = self._tables[number]
        mask = len(table) - 1
        place = (hash_ >> _BITS) & mask
        while found := table[place]:
            if found == hash_:
                return False
            place = (place + 1) & mask
        table[place] = hash_
        self._count += 1
        self._room[number] -= 1
        if not self._room[number]:
            self._grow(number)
        return True

    def has_hash(self, hash_: int) -> bool:
        """Whether something of that hash was there."""
        hash_ = hash_ or 1
        table = self._tables[hash_ & (_TABLES - 1)]
        mask = len(table) - 1
        place = (hash_ >> _BITS) & mask
        while found := table[place]:
            if found == hash_:
                return True
            place = (place + 1) & mask
        return False

    def _grow(self, number: int) -> None:
        old = self._tables[number]
        size = 2 * len(old)
        new, mask = _table(size), size - 1
        for hash_ in old:
            if hash_:
                place = (hash_ >> _BITS) & mask
                while new[place]:
                    place = (place + 1) & mask
                new[place] = hash_
        self._tables[number] = new
        self._room[number] = _room(number, size) - _room(number, len(old))


def _table(size: int) -> array[int]:
    return array("Q", bytes(8 * size))


def _room(number: int, size: int) -> int:
    """How many the table of this number holds before it grows."""
    return int(size * (_EMPTIEST + (_FULLEST - _EMPTIEST) * number / _TABLES))
