"""--ordered: the input's order in every output, in bounded memory, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.model import Result
from fetcher.sinks import ordered
from fetcher.sinks.ordered import Order
from tests.samples import sample_result, unsent_result


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a file open."""
    before = set(Path("/dev/fd").iterdir())
    yield
    assert set(Path("/dev/fd").iterdir()) <= before


def numbered(index: int, body: bytes | None = None) -> Result:
    """A result of this index, which has a body of its own if it has one."""
    result = unsent_result() if body is None else sample_result()
    hop = result.hop and replace(result.hop, body=body)
    return replace(result, request=replace(result.request, index=index), hop=hop)


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/dev/fd").iterdir()))


def drained(order: Order) -> list[Result]:
    """All that is ready."""
    found = []
    while (result := order.take()) is not None:
        found.append(result)
    return found


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Indexes with gaps, and the order in which their results come."""
    indexes = sorted(draw(st.sets(st.integers(0, 60), max_size=40)))
    return indexes, draw(st.permutations(indexes))


@given(arrivals(), st.sampled_from([0, 5_000, 50_000, 1 << 40]), st.booleans(), st.sampled_from([1, 4_000, 1 << 30]))
def test_any_order_of_arrival_comes_out_in_that_of_the_input(
    arrived: tuple[list[int], list[int]], memory: int, at_once: bool, segment: int
) -> None:
    """Each result once, as it was put, and as soon as those before it are there; what is in memory has its bound."""
    indexes, coming = arrived
    results = {index: numbered(index, bytes([index]) * index * 50 if index % 3 else None) for index in coming}
    largest = max((ordered._size(result) for result in results.values()), default=0)
    order = Order(memory, 1 << 40)
    order.expect(indexes)
    found: list[Result] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "SEGMENT", segment)

        for number, index in enumerate(coming):
            order.put(results[index])
            assert order._in_memory <= memory + (largest if order.ready else 0)
            if at_once or number % 7 == 0:
                found += drained(order)
                missing = set(coming[number + 1 :])
                assert len(found) == next((at for at, one in enumerate(indexes) if one in missing), len(indexes))
        found += drained(order)

    assert found == [results[index] for index in indexes]
    assert (order._in_memory, order._in_files, order.ready) == (0, 0, False)
    order.close()


@given(arrivals(), st.data())
def test_what_is_held_at_the_end_comes_in_its_order(arrived: tuple[list[int], list[int]], data: st.DataObject) -> None:
    """After an interrupt some results never come, and nobody waits for them."""
    indexes, coming = arrived
    there = coming[: data.draw(st.integers(0, len(coming)))]
    order = Order(3_000, 1 << 40)
    order.expect(indexes)
    for index in there:
        order.put(numbered(index, b"x" * 100))
    found = drained(order)

    order.finish()
    found += drained(order)

    assert [result.request.index for result in found] == sorted(there)
    assert not order.ready
    order.close()


def test_a_long_run_does_not_keep_what_it_has_written() -> None:
    """While there is always something in a file, the files are let go one after the other."""
    order = Order(0, 1 << 40)
    order.expect(range(1_000))
    open_files: set[int] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "SEGMENT", 20_000)
        before = descriptors()

        order.put(numbered(1, b"x" * 1_000))
        for index in range(0, 998, 2):
            order.put(numbered(index + 3, b"x" * 1_000))
            order.put(numbered(index, b"x" * 1_000))
            assert [result.request.index for result in drained(order)] == [index, index + 1]
            open_files.add(descriptors() - before)

    assert open_files <= {1, 2}
    order.close()


def test_is_full_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small results count as well as large ones, in files as in memory; what is let go makes room."""
    monkeypatch.setattr(ordered, "MOST", 3)
    many, large = Order(1 << 30, 1 << 30), Order(0, 20_000)
    many.expect(range(4))
    large.expect(range(4))

    fullness: list[bool] = []
    for index in (1, 2, 3):
        many.put(numbered(index))
        fullness.append(many.full)
    large.put(numbered(1, b"x" * 9_000))
    fullness.append(large.full)
    large.put(numbered(2, b"x" * 9_000))
    fullness.append(large.full)
    for order in (many, large):
        order.put(numbered(0))
        drained(order)
        fullness.append(order.full)

    assert fullness == [False, False, True, False, True, False, False]
    many.close()
    large.close()


def test_a_full_temporary_folder_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run, once, with a message that names the folder and the way on; all that was held is written."""

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    order = Order(0, 1 << 30)
    order.expect(range(3))
    order.put(numbered(2, b"two"))
    monkeypatch.setattr("os.pwrite", full)
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/scratch")

    with pytest.raises(SinkError) as failed:
        order.put(numbered(1, b"one"))
    order.put(numbered(0, b"nought"))

    assert [result.hop and result.hop.body for result in drained(order)] == [b"nought", b"one", b"two"]
    assert str(failed.value) == (
        "/scratch: no space is left; make room or choose another place with TMPDIR "
        "(results that wait for an earlier one are kept there, for --ordered)"
    )
    order.close()
