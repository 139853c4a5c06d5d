"""
Owns what a run remembers of its replies for the next one: validators and hashes, never bodies, never failures.

One SQLite database in a folder of the user's. What is known of a request goes with it as `Request.known`, so that the
wire can ask "only if it changed" (RFC 9110 13) and the record can say whether it did. What a run learns is stored when
its record is written and not before, so that a run that is cut off tells of those changes again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from operator import itemgetter
from pathlib import Path
from threading import Event
from time import time

from msgspec.structs import replace

from fetcher.errors import SinkError
from fetcher.model import Known, Request
from fetcher.record import Record
from fetcher.sinks.protocol import Output
from fetcher.sources.protocol import Source
from fetcher.sources.through import Through

NAME = "afetch-cache.sqlite"
"""The file in the folder."""

VERSION = 1
"""Of the table; another one is not read."""

PATIENCE = 10.0
"""Seconds that a run waits for another one that is storing into the same cache."""

PAGES = 32 * 1024 * 1024
"""Bytes of pages that each of the two connections holds at most."""

STORABLE = range(200, 300)
PARTIAL = 206

_TABLE = """
CREATE TABLE IF NOT EXISTS known (
    key BLOB PRIMARY KEY,
    url TEXT NOT NULL,
    etag TEXT,
    modified TEXT,
    sha256 TEXT,
    seen REAL NOT NULL
) WITHOUT ROWID
"""
_STORE = "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM known WHERE key = ?"

Row = tuple[bytes, str, str | None, str | None, str | None, float]


class Cache:
    """
    The memory of a folder.

    Attributes:
        changes: How many records there were of each `change`.

    Raises:
        SinkError: The folder cannot be made or written, or what is in it is no cache.
    """

    def __init__(self, folder: str) -> None:
        self._path = Path(folder) / NAME
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: {error.strerror}; give another folder with --cache") from error
        # One that reads ahead of the run, one that stores behind it, each in its own thread.
        self._reader = self._open()
        self._writer = self._open()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="afetch-cache")
        # Of what is under way: as many as the frontier and the writer hold.
        self._keys: dict[int, tuple[bytes, Known]] = {}
        self.changes: dict[str, int] = {}

    def _open(self) -> sqlite3.Connection:
        try:
            base = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, VERSION}:
                raise SinkError(f"{self._path}: of another version of afetch ({version}); give another --cache folder")
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            # Keys are hashes, so every page is as likely as every other: what is not at hand is read or written anew.
            base.execute(f"PRAGMA cache_size = -{PAGES // 1024}")
            base.execute("PRAGMA wal_autocheckpoint = 16384")
            base.execute(_TABLE)
            base.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as error:
            raise SinkError(self._complaint(error)) from error
        return base

    def remembering(self, source: Source) -> Source:
        """The source, whose requests know what is known of them."""
        return _Remembering(source, self)

    async def look(self, requests: list[Request]) -> list[Request]:
        """The requests with what is known of each; where that is nothing, with a `Known` that says so."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._look, requests)

    def learning(self, outputs: Sequence[Output]) -> Output:
        """An output that stores what the records say once all of `outputs` have written them; it stands behind them."""
        return _Learning(self, outputs)

    def close(self) -> None:
        """Let go of the file."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self, requests: list[Request]) -> list[Request]:
        keys = [_key(request) for request in requests]
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, url, etag, modified, sha256 FROM known WHERE key IN ({marks})"  # noqa: S608 - marks only
        try:
            found = {row[0]: Known(*row[1:]) for row in self._reader.execute(query, keys)}
        except sqlite3.Error as error:
            raise SinkError(self._complaint(error)) from error
        nothing = Known()
        known = [found.get(key, nothing) for key in keys]
        for request, key, memory in zip(requests, keys, known, strict=True):
            if request.url is not None:
                self._keys[request.index] = key, memory
        return [
            request if request.url is None else replace(request, known=memory)
            for request, memory in zip(requests, known, strict=True)
        ]

    def learn(self, record: Record) -> tuple[bytes, Row | None] | None:
        """What a record changes in the table: a key and its row, or None to forget it; None for nothing."""
        if record.change is not None:
            self.changes[record.change] = self.changes.get(record.change, 0) + 1
        found = self._keys.pop(record.index, None)
        if found is None or record.change is None:
            return None
        key, known = found
        if record.change == "gone":
            return key, None
        if record.status not in STORABLE or record.status == PARTIAL:
            # 304: what was known is still so.
            return None
        etag, modified = _last(record, "etag"), _last(record, "last-modified")
        row = key, record.final_url or "", etag, modified, record.sha256, time()
        same = Known(*row[1:5]) == known
        return None if same else (key, row)

    def store(self, changes: list[tuple[bytes, Row | None]]) -> None:
        """
        Write changes down, all or none of them.

        Raises:
            SinkError: They cannot be.
        """
        if not changes:
            return
        base = self._writer
        try:
            base.execute("BEGIN IMMEDIATE")
            try:
                # In the order of the pages that they go to.
                base.executemany(_STORE, sorted((row for _, row in changes if row is not None), key=itemgetter(0)))
                base.executemany(_FORGET, [(key,) for key, row in changes if row is None])
                base.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    base.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise SinkError(self._complaint(error)) from error

    def _complaint(self, error: sqlite3.Error) -> str:
        name = getattr(error, "sqlite_errorname", "")
        if name in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            return f"{self._path}: no cache of afetch's ({error}); remove it, or give another folder with --cache"
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return f"{self._path}: another run is storing into it; let it end, or give another folder with --cache"
        return f"{self._path}: {error}; give another folder with --cache"


class _Remembering(Through):
    """A source whose requests are looked up on their way."""

    def __init__(self, source: Source, cache: Cache) -> None:
        super().__init__(source)
        self._cache = cache

    async def batches(self) -> AsyncGenerator[list[Request], None]:
        async for batch in self._source.batches():
            yield await self._cache.look(batch)


class _Learning:
    """An output that is the cache itself."""

    def __init__(self, cache: Cache, outputs: Sequence[Output]) -> None:
        self._cache = cache
        self._outputs = tuple(outputs)
        self._waiting: deque[tuple[bytes, Row | None] | None] = deque()
        self.written = 0

    def begin(self) -> None: ...

    def add(self, record: Record) -> int:
        self._waiting.append(self._cache.learn(record))
        return 0

    def flush(self, _stop: Event) -> None:
        ready = min((output.written for output in self._outputs), default=self.written + len(self._waiting))
        learned = [self._waiting.popleft() for _ in range(min(ready - self.written, len(self._waiting)))]
        self._cache.store([change for change in learned if change is not None])
        self.written += len(learned)

    def end(self, stop: Event) -> None:
        self.flush(stop)

    def close(self) -> None:
        self._cache.close()


def _key(request: Request) -> bytes:
    digest = blake2b(digest_size=16)
    body = request.body if isinstance(request.body, bytes) else repr(request.body).encode()
    for part in (request.method.encode(), str(request.url).encode(), body if request.body is not None else b""):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _last(record: Record, name: str) -> str | None:
    values = record.headers.get(name)
    return values[-1] if values else None
