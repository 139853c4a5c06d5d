"""Owns disks that are full: small ones of their own, or as far as this process can see."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """
    No file of this process grows beyond this.

    Not a fixture: pytest says how a test went before it takes fixtures down, and that may go to a file, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, size: int, *options: str) -> Iterator[None]:
    """
    This folder is a disk of its own of so many bytes; the test is skipped where nobody may make one.

    Args:
        options: Of mount(8), such as `ro`.
    """
    mount, umount = shutil.which("mount"), shutil.which("umount")
    words = ["-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    if mount is None or umount is None or subprocess.run([mount, *words], capture_output=True).returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run([umount, str(folder)], check=True)
