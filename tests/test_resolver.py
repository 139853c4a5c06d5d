"""What is remembered of names, and for how long."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from fetcher.client import resolver
from fetcher.client.resolver import LookupFailedError, Resolver


class Names:
    """A system's resolver, which says what the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: dict[str, int] = {}

    def __call__(self, host: str, port: int, **options: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host in self.trouble:
            raise socket.gaierror(self.trouble[host], "trouble")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The system's resolver, which is the only one."""

    def nobody() -> None:
        raise RuntimeError("not here")

    monkeypatch.setattr(resolver, "AsyncResolver", nobody)
    return Names()


async def fails(asked: Resolver, host: str) -> bool:
    """Whether a name is not found."""
    try:
        await asked.resolve(host)
    except LookupFailedError:
        return True
    return False


async def test_a_lookup_that_nobody_answered_is_not_repeated_for_each_url(names: Names) -> None:
    """Hundreds of URLs of a host ask at once, and one question is enough."""
    asked = Resolver(system=names)
    names.trouble["down.test"] = socket.EAI_AGAIN

    assert await fails(asked, "down.test")
    assert await fails(asked, "down.test")

    assert names.asked == ["down.test"]


async def test_a_lookup_that_nobody_answered_is_repeated_once_another_was_answered(names: Names) -> None:
    """After an outage of the resolver, what failed during it is asked anew at once."""
    asked = Resolver(system=names)
    names.trouble["down.test"] = socket.EAI_AGAIN
    assert await fails(asked, "down.test")
    names.trouble.clear()

    await asked.resolve("up.test")

    assert not await fails(asked, "down.test")


async def test_a_name_that_does_not_exist_stays_so_whoever_is_answered(names: Names) -> None:
    """That is an answer, and one for a while."""
    asked = Resolver(system=names)
    names.trouble["none.test"] = socket.EAI_NONAME
    assert await fails(asked, "none.test")

    await asked.resolve("up.test")

    assert await fails(asked, "none.test")
    assert names.asked == ["none.test", "up.test"]
