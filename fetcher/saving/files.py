"""
Owns the folder that bodies are saved in: temporary files, their way to a name, and that nothing else is left behind.

Large bodies come piece by piece from the loop and are hashed and written by threads; small ones are written when their
record is. Either goes to a temporary file first, which takes its name when it is whole, so that no name ever stands for
half a body. No link in the folder is followed.

After a loss of power files may be empty that a record tells of: nothing here waits for the disk (`fsync`).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from msgspec.structs import replace

from fetcher.bodies import read_label
from fetcher.client.keeping import Stalling
from fetcher.errors import SinkError
from fetcher.model import Hop, Part, Result
from fetcher.saving.config import SavingConfig
from fetcher.saving.lanes import Lane, Lanes
from fetcher.saving.names import finished, needs_hash
from fetcher.sinks.files import sentence
from fetcher.sinks.places import hold

LEAST_WRITE = 256 * 1024
"""Bytes that wait for a write of one body, while there is room: a thread that is woken for less does little else."""

BLOCK = 1024 * 1024
"""Bytes that are read at once of a part that is gone on with."""

SLAB = 256 * 1024
"""Bytes of a piece of memory that sockets are read into: what stays in a core's own cache while it is written."""

SPARE_SLABS = 16
"""Pieces of memory that are kept for the next read: getting new ones from the system costs as much as filling them."""

MOST_PIECES = 1024
"""Pieces of one write: the systems' own limit (IOV_MAX)."""

MOST_UNWRITTEN = 16 * 1024 * 1024
"""Bytes that wait for the threads before replies are stalled: for a disk that is slow there is no use in more."""

FEWEST_UNWRITTEN = MOST_UNWRITTEN // 2
"""Bytes below which they go on."""

OPEN_FOLDERS = 64
"""Folders that are kept open, so that a file needs no look at each part of its path."""

_TEMPORARY = re.compile(r"\.afetch-[0-9a-f]{16}\.part")
_FILE_SYSTEMS_OWN = "lost+found"

_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WITHIN = _READ | os.O_NOFOLLOW
_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Saving:
    """
    The folder of a run. `begin` and `discard` are for the loop's thread, `settle` for the one that makes records.

    Attributes:
        on_error: Told, in any thread, of a `SinkError` where a body cannot be written; the run is over then.
        shares: Other processes have temporary files here, too; those that are left when this is closed are removed.

    Args:
        goes_on: What is in the folder already is of this list (`--resume`, `--overwrite`).
        shared: The folder is held by our parent, whose part of the work we do: what is in it is looked at there.

    Raises:
        SinkError: The folder cannot be made or written, another run saves into it, or it is not empty.
    """

    def __init__(self, config: SavingConfig, *, goes_on: bool = False, shared: bool = False) -> None:
        self._path = config.save or "."
        self._remote_time = config.remote_time
        self._made = False
        self._root = self._opened()
        try:
            if not shared:
                hold(self._root, str(self._path))
                self._sweep(goes_on=goes_on)
        except BaseException:
            os.close(self._root)
            raise
        self._folders: OrderedDict[str, int] = OrderedDict()
        # Those that are there; whoever lets go of one, or gives it a name, takes it out.
        self._temporary: set[str] = set()
        self._lanes = Lanes(self._fail)
        self._spare: deque[bytearray] = deque(maxlen=SPARE_SLABS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unwritten = 0
        self._stalled: dict[Stalling, None] = {}
        self._open: set[Incoming] = set()
        self.shares = False
        self.on_error: Callable[[Exception], object] = lambda _error: None

    def begin(self, part: Part | None, *, kept: bool) -> Incoming:
        """A new body, or one that goes on behind a part. One that is not `kept` is hashed only."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        name = "" if not kept else self._new_name() if part is None else part.name
        body = Incoming(self, self._lanes.next(), self._root, name, None if part is None else part.size)
        self._open.add(body)
        return body

    def discard(self, part: Part) -> None:
        """Nobody goes on behind this part."""
        self.remove(part.name)

    def release(self, part: Part) -> None:
        """Another process looks after this part from now on."""
        self._temporary.discard(part.name)

    def receive(self, part: Part) -> None:
        """This process looks after this part from now on."""
        self._temporary.add(part.name)

    def settle(self, result: Result) -> tuple[Result, str | None]:
        """
        The result, and the path of its file in the folder: where it has succeeded and its reply had a body.

        Raises:
            SinkError: The file cannot be written; there is none then.
        """
        hop, name = result.hop, result.request.save
        if hop is None or name is None:
            return result, None
        wanted = result.ok and hop.status is not None and 200 <= hop.status < 300
        if not wanted or (hop.body is None and hop.part is None):
            if hop.part is not None:
                self.remove(hop.part.name)
            return result, None
        if needs_hash(name) and hop.sha256 is None and hop.body is not None:
            hop = replace(hop, sha256=hashlib.sha256(hop.body).hexdigest())
            result = replace(result, hop=hop)
        name = finished(name, hop.sha256 or "", _media_type(hop))
        temporary = self._written(hop.body or b"", name) if hop.part is None else hop.part.name
        try:
            if self._remote_time:
                self._set_time(temporary, hop.header(b"last-modified") if hop.part is None else hop.part.modified)
            self._place(temporary, name)
        except OSError as error:
            self.remove(temporary)
            raise SinkError(self._complaint(name, error)) from error
        return result, name

    def remove(self, name: str) -> None:
        """Remove a temporary file, if it is there."""
        self._temporary.discard(name)
        with suppress(OSError):
            os.unlink(name, dir_fd=self._root)

    def close(self) -> None:
        """Let go of the folder; what has no name by now is removed. May be called twice."""
        if self._root < 0:
            return
        self._lanes.close()
        for body in tuple(self._open):
            body.close()
        for name in tuple(self._temporary):
            self.remove(name)
        if self.shares:
            with suppress(SinkError):
                self._sweep(goes_on=True)
        for folder in self._folders.values():
            os.close(folder)
        self._folders.clear()
        os.close(self._root)
        self._root = -1
        if self._made:
            # Only if there is nothing in it.
            with suppress(OSError):
                Path(self._path).rmdir()

    def slab(self) -> bytearray:
        """A piece of memory for what arrives; in its old state."""
        try:
            return self._spare.pop()
        except IndexError:
            return bytearray(SLAB)

    def give_back(self, slab: bytearray) -> None:
        """Nobody needs what is in this piece of memory; from any thread."""
        self._spare.append(slab)

    def took(self, size: int) -> bool:
        """Whether too much waits, with so many bytes more."""
        self._unwritten += size
        return self._unwritten > MOST_UNWRITTEN

    def stall(self, reply: Stalling) -> None:
        """Let a reply wait until less waits to be written. All that it brought is its lane's."""
        if reply not in self._stalled and self._unwritten > MOST_UNWRITTEN:
            self._stalled[reply] = None
            reply.stall()

    def tell(self, act: Callable[..., object], *args: object) -> None:
        """Have something done by the loop; from a lane."""
        # It is closed when the run was given up: nobody waits any more.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(act, *args)

    def written(self, size: int) -> None:
        """So many bytes were written, or never will be."""
        self._unwritten -= size
        if self._stalled and self._unwritten <= FEWEST_UNWRITTEN:
            stalled, self._stalled = self._stalled, {}
            for reply in stalled:
                reply.flow()

    def forget(self, reply: Stalling | None) -> None:
        """The reply is over."""
        if reply is not None:
            self._stalled.pop(reply, None)

    def ended(self, body: Incoming) -> None:
        """A body has let go of its file."""
        self._open.discard(body)

    def _fail(self, error: Exception) -> None:
        """A body cannot be hashed or written."""
        self.on_error(SinkError(self._complaint("", error)) if isinstance(error, OSError) else error)

    def _opened(self) -> int:
        """The folder's descriptor; it is made if it is not there."""
        path = Path(self._path)
        try:
            try:
                path.mkdir()
                self._made = True
            except FileExistsError:
                pass
            except FileNotFoundError:
                path.mkdir(parents=True)
                self._made = True
            descriptor = os.open(self._path, _READ)
        except (OSError, ValueError) as error:
            raise SinkError(self._complaint("", error)) from error
        if os.access(self._path, os.W_OK | os.X_OK):
            return descriptor
        os.close(descriptor)
        raise SinkError(self._complaint("", OSError(errno.EACCES, os.strerror(errno.EACCES))))

    def _sweep(self, *, goes_on: bool) -> None:
        """Remove what a kill has left of temporary files; nothing if anything else is there that is not ours."""
        try:
            names = os.listdir(self._root)  # noqa: PTH208 - by its descriptor, whatever the path leads to by now
        except OSError as error:
            raise SinkError(self._complaint("", error)) from error
        left = [name for name in names if _TEMPORARY.fullmatch(name)]
        if not goes_on and len(names) > len(left) + (_FILE_SYSTEMS_OWN in names):
            raise SinkError(
                f"{self._path}: is not empty; go on with --resume, replace what is in it with --overwrite, or choose "
                "another folder with --save"
            )
        for name in left:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._root)

    def _new_name(self) -> str:
        name = f".afetch-{token_hex(8)}.part"
        self._temporary.add(name)
        return name

    def _written(self, body: bytes, name: str) -> str:
        """The name of a temporary file with a body that is to be called `name`."""
        temporary = self._new_name()
        try:
            descriptor = os.open(temporary, _NEW, 0o666, dir_fd=self._root)
            try:
                write_all(descriptor, [body])
            finally:
                os.close(descriptor)
        except OSError as error:
            self.remove(temporary)
            raise SinkError(self._complaint(name, error)) from error
        return temporary

    def _place(self, temporary: str, name: str) -> None:
        """
        Give a temporary file its name.

        A file that has it is of a run that did not live to tell, or is to be replaced.
        """
        folder, _, last = name.rpartition("/")
        os.rename(temporary, last, src_dir_fd=self._root, dst_dir_fd=self._folder(folder))
        self._temporary.discard(temporary)

    def _folder(self, name: str) -> int:
        """A folder's descriptor; it is made if it is not there."""
        if not name:
            return self._root
        found = self._folders.get(name)
        if found is not None:
            self._folders.move_to_end(name)
            return found
        above, _, last = name.rpartition("/")
        parent = self._folder(above)
        with suppress(FileExistsError):
            os.mkdir(last, dir_fd=parent)
        descriptor = os.open(last, _WITHIN, dir_fd=parent)
        self._folders[name] = descriptor
        if len(self._folders) > OPEN_FOLDERS:
            _, oldest = self._folders.popitem(last=False)
            os.close(oldest)
        return descriptor

    def _set_time(self, temporary: str, value: bytes | None) -> None:
        """Give a file the time of a Last-Modified, where that is one and the file system takes it."""
        with suppress(ValueError, IndexError, OverflowError, TypeError, OSError):
            seconds = parsedate_to_datetime((value or b"").decode("latin-1")).timestamp()
            os.utime(temporary, (seconds, seconds), dir_fd=self._root, follow_symlinks=False)

    def _complaint(self, name: str, error: Exception) -> str:
        shown = f"{self._path}/{name}" if name else self._path
        if not isinstance(error, OSError):
            return f"{shown!r}: {error}"
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR} and name:
            return f"{shown}: a link, file or folder that is not this run's is in its way; choose another --save folder"
        return sentence(shown, error).replace("--output", "--save")


class Incoming:
    """
    One body on its way to a temporary file.

    Attributes:
        lane: Where all of it is done that waits for a disk.

    Args:
        name: The file's; empty if the body is only hashed.
        size: Bytes that are in the file already, behind which it goes on; None for a new one.
    """

    def __init__(self, saving: Saving, lane: Lane, root: int, name: str, size: int | None) -> None:
        self._saving = saving
        self.lane = lane
        self._root = root
        self._name = name
        self._hash = hashlib.sha256()
        self._descriptor = -1
        self._pieces: list[bytes | memoryview] = []
        self._waiting = 0
        # What sockets are read into, and how much of it is filled.
        self._slab: bytearray | None = None
        self._filled = 0
        self._reply: Stalling | None = None
        if name:
            lane.do(lambda: self._begin(size))

    def write(self, piece: bytes, reply: Stalling) -> None:
        """Take a piece in; the reply is stalled while too much waits to be written."""
        self._reply = reply
        self._pieces.append(piece)
        self._waiting += len(piece)
        full = self._saving.took(len(piece))
        if full or self._waiting >= LEAST_WRITE:
            self._send()
        if full:
            self._saving.stall(reply)

    def room(self) -> memoryview:
        """Where the next piece may be put instead; `filled` says how much of that it was."""
        if self._slab is None:
            self._slab = self._saving.slab()
        return memoryview(self._slab)[self._filled :]

    def filled(self, size: int, reply: Stalling) -> None:
        """Take in what was put there; otherwise as `write`."""
        self._reply = reply
        self._filled += size
        self._waiting += size
        full = self._saving.took(size)
        if full or self._filled == SLAB:
            self._send()
        if full:
            self._saving.stall(reply)

    async def finish(self) -> tuple[str, str]:
        """The file's name and the hash of all that is in it, once it is."""
        self._send()
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.lane.do(lambda: self._end(done))
        sha256 = await done
        self._saving.forget(self._reply)
        return self._name, sha256

    def drop(self) -> None:
        """Let go of it, and leave no file."""
        self._saving.written(self._waiting)
        self._pieces, self._waiting, self._slab, self._filled = [], 0, None, 0
        self._saving.forget(self._reply)
        self.lane.do(self._remove)

    def _send(self) -> None:
        pieces, size, slab = self._pieces, self._waiting, None
        if self._filled and self._slab is not None:
            slab = self._slab
            # It was filled after the last of them came.
            pieces.append(memoryview(slab)[: self._filled])
            self._slab, self._filled = None, 0
        self._pieces, self._waiting = [], 0
        if pieces:
            self.lane.do(lambda: self._write(pieces, size, slab))

    # What follows is the lane's.

    def _begin(self, size: int | None) -> None:
        if size is None:
            self._descriptor = os.open(self._name, _NEW, 0o666, dir_fd=self._root)
            return
        self._descriptor = os.open(self._name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
        os.ftruncate(self._descriptor, size)
        while data := os.read(self._descriptor, BLOCK):
            self._hash.update(data)

    def _write(self, pieces: list[bytes | memoryview], size: int, slab: bytearray | None) -> None:
        try:
            for piece in pieces:
                self._hash.update(piece)
            if self._name:
                write_all(self._descriptor, pieces)
        finally:
            if slab is not None:
                self._saving.give_back(slab)
            self._saving.tell(self._saving.written, size)

    def _end(self, done: asyncio.Future[str]) -> None:
        self.close()
        self._saving.tell(_resolve, done, self._hash.hexdigest())

    def _remove(self) -> None:
        self.close()
        if self._name:
            self._saving.remove(self._name)

    def close(self) -> None:
        """Let go of the file; for the lane, or when there is none any more."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
        self._saving.ended(self)


def write_all(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write pieces one behind the other. Raises OSError."""
    left: list[Any] = [piece for piece in pieces if piece]
    while left:
        done = os.writev(descriptor, left[:MOST_PIECES])
        while left and done >= len(left[0]):
            done -= len(left[0])
            del left[0]
        if done:
            left[0] = memoryview(left[0])[done:]


def _resolve(future: asyncio.Future[str], value: str) -> None:
    if not future.done():
        future.set_result(value)


def _media_type(hop: Hop) -> str | None:
    """Of a reply, or of the first one of those that brought its body."""
    value = hop.header(b"content-type") if hop.part is None else hop.part.content_type
    return read_label(value.decode("latin-1")).media_type if value is not None else None
