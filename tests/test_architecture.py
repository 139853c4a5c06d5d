"""The house as docs and reviews talk of it, read from the imports and held."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fetcher
from tests.conftest import clean_environment
from tests.servers import Site

ROOT = Path(fetcher.__file__).parent

FLOORS = {
    7: {"cli", "__main__", "library"},
    6: {"backends"},
    5: {"engine", "seats"},
    4: {"settings"},
    3: {
        "cache",
        "frontier",
        "outage",
        "policy",
        "robots",
        "saving",
        "tuner",
        "verdict",
        "journal",
        "sinks",
        "progress",
        "summary",
        "terminal",
    },
    2: {"client", "sources", "demo", "record", "bodies", "charsets", "seen", "stats", "urls", "hosts"},
    1: {"model", "errors", "terms", "screen"},
}
"""Upper floors import lower ones and their own, never the other way. A new room is written down here."""

LIGHT = {"backends.config", "client.config", "sources.config", "sinks.config", "saving.config"}
"""Configurations: any floor may import them, because they import nothing heavy and nothing of their room."""

OWNERS = {
    "aiohttp": {"client"},
    "yarl": {"client"},
    "click": {"cli"},
    "rich_click": {"cli"},
    "rich": {"progress", "summary", "terminal", "cli"},
    "uvloop": {"backends", "cli"},
    "protego": {"robots"},
    "pyarrow": {"sinks"},
}
"""Who may import a library, and nobody else."""

HEAVY = (
    "aiohttp",
    "uvloop",
    "asyncio",
    "ssl",
    "rich.progress",
    "certifi",
    "charset_normalizer",
    "aiodns",
    "protego",
    "pyarrow",
)


def modules() -> Iterator[tuple[str, Path]]:
    """Every module's name below the package, and its file."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def room_of(module: str) -> str:
    return module.partition(".")[0]


def floor_of(module: str) -> int:
    return next(floor for floor, rooms in FLOORS.items() if room_of(module) in rooms)


def imports(path: Path, *, run_time_only: bool = False) -> Iterator[str]:
    """Whole names of what a file imports; with `run_time_only` not what stands under TYPE_CHECKING."""

    def walk(node: ast.AST) -> Iterator[str]:
        if run_time_only and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(path.read_text()))


def own_imports(path: Path, **options: bool) -> Iterator[str]:
    """Modules of ours that a file imports, below the package."""
    known = {name for name, _ in modules()}
    for name in imports(path, **options):
        if name.startswith("fetcher."):
            below = name.removeprefix("fetcher.")
            while below and below not in known:
                below = below.rpartition(".")[0]
            if below:
                yield below


def test_every_room_has_a_floor() -> None:
    """A new room is given one, so that somebody thinks about it."""
    unplaced = {room_of(name) for name, _ in modules() if name} - {room for rooms in FLOORS.values() for room in rooms}

    assert not unplaced


def test_imports_run_downward() -> None:
    """Upper floors may import lower ones, never the other way."""
    upward = [
        f"{name} imports {other}"
        for name, path in modules()
        if name
        for other in own_imports(path, run_time_only=True)
        if other not in LIGHT and floor_of(other) > floor_of(name)
    ]

    assert not upward


def test_there_are_no_circles() -> None:
    """Neither between modules nor, through a late import, at run time, nor for a type's sake."""
    graph = {name: set(own_imports(path)) - {name} for name, path in modules() if name}
    seen: dict[str, int] = {}
    circles: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if seen.get(name) == 1:
            circles.append(" -> ".join((*way[way.index(name) :], name)))
        if name in seen:
            return
        seen[name] = 1
        for other in sorted(graph[name]):
            visit(other, (*way, name))
        seen[name] = 2

    for name in graph:
        visit(name, ())

    assert not circles


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_by_its_owner_only(library: str) -> None:
    """Only the wire knows aiohttp, only the command knows click, only the screen knows rich."""
    strangers = [
        name
        for name, path in modules()
        if name
        and room_of(name) not in OWNERS[library]
        and any(found == library or found.startswith(f"{library}.") for found in imports(path, run_time_only=True))
    ]

    assert not strangers


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import fetcher", HEAVY),
        (
            "from fetcher import Settings; Settings()",
            ("aiohttp", "uvloop", "asyncio", "ssl", "rich", "certifi", "protego"),
        ),
        ("import fetcher.robots", (*HEAVY, "rich")),
        # What the command does to aiohttp is not done to it in a process of somebody else's.
        ("import fetcher.library, fetcher.backends.local", ("fetcher.client.lean", "click", "rich")),
        ("import fetcher.client, fetcher.sinks, fetcher.sources, fetcher.backends", HEAVY),
        (
            "import fetcher.cli.main",
            ("aiohttp", "uvloop", "certifi", "protego", "rich_click", "rich", "tomllib"),
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(statement: str, heavy: tuple[str, ...]) -> None:
    """`afetch --help` and a Settings made in a script must be quick."""
    code = f"import sys; {statement}; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not [module for module in heavy if module in loaded]


IDLE = (
    *("rich", "rich_click", "tomllib", "difflib", "certifi", "truststore", "protego"),
    *("csv", "sqlite3", "pyarrow", "warcio", "charset_normalizer"),
    *("fetcher.cli.help", "fetcher.cli.configfile", "fetcher.cli.explain", "fetcher.cli.demo", "fetcher.demo"),
    *("fetcher.sources.tabular", "fetcher.sources.jsonl", "fetcher.cache", "fetcher.sinks.sqlite"),
    *("fetcher.sources.unique", "fetcher.saving.names", "fetcher.saving.files", "fetcher.client.tunnel"),
    *("fetcher.sinks.ordered",),
)
"""What one plain URL has no use for."""

TELL = """
import os, sys
end = os._exit
def leave(status):
    print(*sys.modules, file=sys.stderr, flush=True)
    end(status)
os._exit = leave
from fetcher.__main__ import run
run()
"""
"""The command, which says at its end what it has loaded."""


def test_one_url_loads_only_what_it_needs(site: Site) -> None:
    """Its start is most of what it costs: what only https, names, help, files or a terminal need is not there."""
    site.page("hello", path="/")

    ended = subprocess.run(
        [sys.executable, "-c", TELL, site.url("/")],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )

    assert ended.stdout.startswith("200\t5\t")
    assert "aiohttp" in ended.stderr.split()
    assert not set(IDLE) & set(ended.stderr.split())
