"""
Owns processes of the command that begin at once: forked from one that has imported it, which spares most of a start.

Such a process is the command, with its own arguments, descriptors and folder. It can also be told to die in the midst
of what it does to its files: at its so-manieth step, a write half done.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from msgspec import Struct

import fetcher

KILLED = -signal.SIGKILL
"""Status of a process that was killed."""

STEPS = frozenset(
    {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "sqlite3.connect"}
)
"""Audit events that are steps, where they are about a file of the run's own folder; so is every write to a file."""

IMPORTED = ("pyarrow.parquet", "rich.console", "uvloop")
"""What the command loads late, beside its own modules."""


class Order(Struct, frozen=True):
    """
    What a process is to be.

    Attributes:
        args: Of the command.
        folder: In which it runs.
        said: The file that its standard error is appended to.
        cold: Begin as a user would, with a new interpreter.
        file_size: Bytes that a file of it may have at most (RLIMIT_FSIZE).
        step: The step at which it dies by SIGKILL; None for a quiet life.
        share: How much of a write gets done in that step, from 0 to 1.
        lag: Seconds behind the step: what is no step of its own is interrupted by that.
        near: What the name of a file must end with for its steps to count.
    """

    args: tuple[str, ...]
    folder: str
    said: str
    cold: bool = False
    file_size: int | None = None
    step: int | None = None
    share: float = 0.0
    lag: float = 0.0
    near: str = ""


class Child:
    """A process of the command."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._pid = pid
        self._reader = reader
        self._writer = writer
        self._status: int | None = None

    @property
    def starved(self) -> float:
        """Seconds for which its threads had work and no processor, all together; 0 where the system does not tell."""
        waited = 0
        with suppress(OSError):
            for file in Path(f"/proc/{self._pid}/task").glob("*/schedstat"):
                with suppress(OSError):
                    waited += int(file.read_text().split()[1])
        return waited / 1e9

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self._status is None:
            self._writer.write(b"kill\n")

    async def wait(self) -> int:
        """Its exit status; negative for a signal."""
        self._status = int(await self._reader.readline())
        self._writer.close()
        return self._status


class Nursery:
    """Where processes are forked; none is left when it is closed. Used from one event loop."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._folder = tempfile.TemporaryDirectory(prefix="afetch-")
        self._path = str(Path(self._folder.name) / "nursery")
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._path)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=self._environment,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()

    async def start(self, order: Order) -> Child:
        """The process, begun."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        fields = {name: getattr(order, name) for name in order.__struct_fields__}
        writer.write(json.dumps(fields).encode() + b"\n")
        await writer.drain()
        return Child(int(await reader.readline()), reader, writer)


def serve(listener: socket.socket) -> None:
    """Fork what is asked for, until whoever started us closes our standard input."""
    for name in (*IMPORTED, *(module.name for module in pkgutil.walk_packages(fetcher.__path__, "fetcher."))):
        # Some need what is not installed everywhere.
        with suppress(ImportError):
            importlib.import_module(name)
    # Nobody waits for those who attend.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            _attend(connection)
        connection.close()


def _attend(connection: socket.socket) -> NoReturn:
    """Fork the command, kill it on demand or when nobody listens any more, and say how it ended."""
    with connection.makefile("rb") as orders:
        order = json.loads(orders.readline())
    # It ends when the command does, whoever of its threads is the last.
    alive, life = os.pipe()
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.close(alive)
        _live(Order(**order))
    os.close(life)
    connection.sendall(f"{pid}\n".encode())
    watched: list[Any] = [connection, alive]
    while alive not in (ready := select.select(watched, [], [])[0]):
        if ready:
            os.kill(pid, signal.SIGKILL)
            watched = [alive]
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # Killed, it may be nobody's any more.
    with suppress(OSError):
        connection.sendall(f"{status}\n".encode())
        # A command to kill it may be on its way yet.
        while connection.recv(64):
            pass
    os._exit(0)


def _live(order: Order) -> NoReturn:
    """Be the command."""
    nothing = os.open(os.devnull, os.O_RDWR)
    said = os.open(order.said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number, descriptor in enumerate((nothing, nothing, said)):
        os.dup2(descriptor, number)
    os.chdir(order.folder)
    if order.file_size is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (order.file_size, order.file_size))
    if order.cold:
        os.execv(sys.executable, [sys.executable, "-m", "fetcher", *order.args])
    if order.step is not None:
        Fate(order).seal()
    sys.argv = ["afetch", *order.args]
    try:
        from fetcher.__main__ import run

        run()
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    os._exit(70)


class Fate:
    """Death at a certain step."""

    def __init__(self, order: Order) -> None:
        self._left = order.step or 0
        self._share = order.share
        self._lag = order.lag
        self._near = order.near
        self._folder = os.path.realpath(order.folder)
        self._write = os.write

    def seal(self) -> None:
        """From now on steps are counted."""
        sys.addaudithook(self._hear)
        os.write = self._halved

    def _hear(self, event: str, args: Sequence[Any]) -> None:
        if event in STEPS and self._ours(args[0]):
            self._step()

    def _ours(self, file: object) -> bool:
        if isinstance(file, int):
            return not self._near and stat.S_ISREG(os.fstat(file).st_mode)
        path = os.fsdecode(file) if isinstance(file, (str, bytes, os.PathLike)) else ""
        return path.endswith(self._near) and os.path.realpath(path).startswith(self._folder)

    def _halved(self, descriptor: int, data: Any, /) -> int:
        if self._ours(descriptor):
            if self._left == 1 and not self._lag:
                view = memoryview(data)
                self._write(descriptor, view[: int(len(view) * self._share)])
            self._step()
        return self._write(descriptor, data)

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0 and self._lag:
            threading.Thread(target=self._die, daemon=True).start()
        elif self._left == 0:
            self._die()

    def _die(self) -> None:
        time.sleep(self._lag)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
