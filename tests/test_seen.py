"""The compact set of hashes: nothing forgotten, nothing made up, little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fetcher.seen import Seen

HASHES = st.one_of(
    st.integers(0, 2**64 - 1),
    # All in one table and on one chain, across every growth.
    st.integers(0, 200).map(lambda number: number << 54),
    st.integers(0, 200).map(lambda number: number << 10),
)


@given(st.lists(HASHES, max_size=400))
def test_knows_exactly_what_was_added(hashes: list[int]) -> None:
    """Whatever the hashes are, a second one is told from a first one; only 0 and 1 are taken for the same."""
    seen, model = Seen(), set[int]()

    for hash_ in hashes:
        assert seen.add_hash(hash_) is ((hash_ or 1) not in model)
        model.add(hash_ or 1)

    assert len(seen) == len(model)


@given(st.lists(st.binary(max_size=8), max_size=50))
def test_tells_bytes_apart(things: list[bytes]) -> None:
    """What is added is new once, and never after that."""
    seen = Seen()

    new = [thing for thing in things if seen.add(thing)]

    assert new == list(dict.fromkeys(things))


def test_a_hash_is_the_same_in_every_process() -> None:
    """Another run over the same list drops the same entries: no seed of the process is in it."""
    seen = Seen()
    seen.add(b"https://example.com/")

    # BLAKE2b with 8 bytes (RFC 7693), the first the least.
    assert not seen.add_hash(int.from_bytes(bytes.fromhex("14ba2eb79c27555b"), "little"))


def test_holds_a_hundred_thousand_in_two_megabytes() -> None:
    """Ten million take less than a fifth of a gigabyte: at most 32 bytes each, on average some 20."""
    seen = Seen()

    new = sum(seen.add(b"%d" % number) for number in range(100_000))

    assert new == len(seen) == 100_000
    assert sum(len(table) * table.itemsize for table in seen._tables) < 2_500_000
