"""Runs that are killed at any moment, and resumed: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from fetcher.sinks.files import ANEW
from tests.conftest import missing
from tests.killing import MALFORMED, SAVE, Blow, Life
from tests.nursery import Nursery
from tests.servers import Site, Stage

OUTPUTS = (
    ("out.jsonl",),
    ("out.jsonl.gz",),
    ("out.jsonl.zst",),
    ("out.csv",),
    ("out.sqlite",),
    ("out.parquet",),
    ("out.warc.gz",),
    (SAVE,),
    ("out.jsonl", "out.csv.gz"),
    ("out.tsv.zst", "out.jsonl"),
    ("out.sqlite", "out.jsonl.zst"),
    ("out.csv", "out.sqlite"),
    ("out.parquet", "out.jsonl.gz"),
    ("out.warc", "out.jsonl"),
    ("out.jsonl", SAVE),
)
"""Every format that can be resumed, and pairs of them."""

REWRITTEN = (
    ("out.jsonl",),
    ("out.jsonl.gz",),
    ("out.jsonl.zst",),
    ("out.csv",),
    ("out.sqlite",),
    ("out.jsonl", "out.csv"),
    ("out.sqlite", "out.jsonl"),
    (SAVE,),
    ("out.jsonl", SAVE),
)
"""Formats in which records can be replaced."""

SEEDS = int(os.environ.get("AFETCH_KILL_SEEDS", "80"))
"""Lives in all; more of them find more."""

LIVES = max(1, SEEDS // (len(OUTPUTS) + len(REWRITTEN)))
"""Lives of each kind."""

ABREAST = 4
"""Lives at once: they wait for most of the time."""

PATIENCE = 60.0
"""Seconds for one life."""

WITHOUT = {".parquet": "pyarrow", ".warc": "warcio", ".warc.gz": "fastwarc"}
"""Libraries without which a format is not there."""


Lead = Callable[[Life], Awaitable[None]]
"""What happens in a life."""


class World:
    """Where lives are led: several at once, each in a folder of its own."""

    def __init__(self, stage: Stage, site: Site, nursery: Nursery, folder: Path) -> None:
        self._stage = stage
        self._site = site
        self._nursery = nursery
        self._folder = folder

    def lead(
        self,
        lives: Iterable[tuple[int, tuple[str, ...]]],
        lead: Lead,
        *,
        abreast: int = ABREAST,
        mended: bool = False,
        pace: float | None = None,
    ) -> None:
        """
        Lead lives; a failure tells which, and what had happened in it.

        Args:
            lives: The seed and the outputs of each.
            mended, pace: As `Life` has them.
        """
        turn = asyncio.Semaphore(abreast)

        async def one(seed: int, outputs: tuple[str, ...]) -> None:
            folder = self._folder / str(seed)
            async with turn:
                life = Life(self._site, self._nursery, folder, outputs, seed, mended=mended, pace=pace)
                clock = asyncio.create_task(life.clock.run())
                try:
                    await lead(life)
                except Exception as error:
                    story = "\n".join(life.story)
                    raise AssertionError(f"{outputs}, seed {seed}: {error}\n{story}\n{folder}") from error
                finally:
                    clock.cancel()
                    with suppress(asyncio.CancelledError):
                        await clock

        async def every() -> list[BaseException | None]:
            return await asyncio.gather(*(one(*life) for life in lives), return_exceptions=True)

        lives = list(lives)
        failures = [outcome for outcome in self._stage.run(every(), PATIENCE * len(lives)) if outcome is not None]
        assert not failures, "\n\n".join(map(str, failures))


def there(outputs: tuple[str, ...]) -> tuple[str, ...]:
    """The outputs; the test is skipped where one cannot be written here."""
    for name in outputs:
        for suffix, library in WITHOUT.items():
            if name.endswith(suffix) and importlib.util.find_spec(library) is None:
                missing(library)
    return outputs


@pytest.fixture
def world(stage: Stage, site: Site, nursery: Nursery, tmp_path: Path) -> World:
    """Where lives are led."""
    return World(stage, site, nursery, tmp_path)


def some_blow(life: Life) -> Blow:
    """A moment to die at: among the requests, behind the last, at a step of the work on files, at the start."""
    chance = life.random
    left = max(1, len(life.entries) - len(life.known))
    kind = chance.random()
    if kind < 0.45:
        return Blow(request=chance.randint(1, left), delay=chance.choice([0.0, chance.uniform(0, 0.1)]))
    if kind < 0.6:
        return Blow(request=left - left // 20, delay=chance.uniform(0, 0.1))
    if kind < 0.9:
        lag = chance.choice([0.0, chance.uniform(0, 0.002)])
        return Blow(step=int(chance.paretovariate(0.7)), share=chance.random(), delay=lag)
    return Blow(delay=chance.uniform(0, 0.1))


def rewriting(life: Life) -> Blow:
    """A moment to die at while a file is written anew, if there is one."""
    chance = life.random
    return Blow(step=chance.randint(1, 4), near=ANEW, delay=chance.choice([0.0, chance.uniform(0, 0.003)]))


def some_options(life: Life) -> list[str]:
    """What may change from run to run."""
    return ["-c", str(life.random.choice([1, 4, 10, 40])), "-r", str(life.random.choice([0, 1, 3]))]


async def killed_and_resumed(life: Life) -> None:
    """Up to three runs that are killed, over a list that may grow meanwhile, and one that is not."""
    chance = life.random
    life.grow(chance.randrange(60, 160))
    life.failed = "failed.txt" if chance.random() < 0.2 else ""
    # Where bodies are saved, too, one of those that failed would be of no record.
    life.only = chance.random() < 0.2 and SAVE not in life.outputs
    ordered = ["--ordered"] if chance.random() < 0.2 else []
    for _ in range(chance.randint(1, 3)):
        cold = chance.random() < 0.03
        await life.run("--resume", *some_options(life), *ordered, blow=some_blow(life), cold=cold)
        if chance.random() < 0.2:
            life.grow(chance.randrange(1, 20))

    status = await life.run("--resume", *some_options(life), *ordered)

    assert status in {0, 1}
    life.check_end()
    if ordered:
        assert [row.index for row in life.known] == list(range(len(life.entries)))
    if chance.random() < 0.2:
        await life.run("--resume")
        assert not life.asked[-1]
        life.check_end()


async def killed_while_retrying(life: Life) -> None:
    """As before; then what failed is fetched again, in runs that are killed too."""
    chance = life.random
    life.grow(chance.randrange(60, 160))
    if chance.random() < 0.5:
        await life.run("--resume", *some_options(life), blow=some_blow(life))
    for _ in range(chance.randint(1, 3)):
        before = life.last
        blow = rewriting(life) if chance.random() < 0.4 else some_blow(life)
        await life.run("--retry-failed", "all", *some_options(life), blow=blow)
        after = life.last
        assert before.keys() <= after.keys()
        assert all(after[index].ok for index, row in before.items() if row.ok)
    if chance.random() < 0.3:
        await life.run("--resume")
        life.check_end()
    before = life.last

    status = await life.run("--retry-failed", "all")

    assert status in {0, 1}
    life.check_end()
    after = life.last
    assert all(after[index].ok for index in before if after[index].url != MALFORMED)


async def killed_while_slow(life: Life) -> None:
    """A run that goes on for some seconds, one that is killed when nothing comes any more, and one that is not."""
    life.grow(40)
    await life.run("--resume", "-c", "2", blow=Blow(request=34))
    await life.run("--resume", "-c", "1", blow=Blow(request=4, settled=True))

    status = await life.run("--resume", "-c", "10")

    assert status in {0, 1}
    life.check_end()


@pytest.mark.parametrize("outputs", OUTPUTS, ids="+".join)
def test_a_killed_run_is_resumed_and_loses_nothing(world: World, outputs: tuple[str, ...]) -> None:
    """However often it is killed: one record for each entry, and what was done is not done again."""
    first = OUTPUTS.index(outputs) * LIVES

    world.lead([(first + number, there(outputs)) for number in range(LIVES)], killed_and_resumed)


@pytest.mark.parametrize("outputs", REWRITTEN, ids="+".join)
def test_what_failed_is_fetched_again_and_a_kill_loses_nothing(world: World, outputs: tuple[str, ...]) -> None:
    """Neither while records come in a second time, nor while the file is rewritten without the first ones."""
    first = (len(OUTPUTS) + REWRITTEN.index(outputs)) * LIVES

    world.lead([(first + number, outputs) for number in range(LIVES)], killed_while_retrying, mended=True)


def test_what_was_answered_some_time_before_a_kill_is_not_asked_for_again(world: World) -> None:
    """In every format, while replies come slowly, and when none comes any more."""
    lives = list(enumerate(map(there, OUTPUTS)))

    world.lead(lives, killed_while_slow, abreast=len(lives), pace=0.8)
