"""
Owns the network that the lab is in: one of its own, with its own names, where this system gives one.

In it nobody else is heard or reached, and dnsmasq answers every lookup: any name below `DOMAIN` is this machine. On
plain loopback there are no such names, and hosts are addresses of 127.0.0.0/8.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

DOMAIN = "bench.test"
TOP = "test"

OWN = "AFETCH_BENCHMARK_NETWORK"
"""Set in the environment of who is in a network of its own."""

SETUP = """
file=$(mktemp) && echo nameserver 127.0.0.1 > "$file" && mount --bind "$file" /etc/resolv.conf
mounted=$?
rm -f "$file"
[ $mounted -eq 0 ] && ip link set lo up && exec "$@"
"""

ENVIRONMENT = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"}
"""Ordinary users do not have `ip`, nginx and dnsmasq on their path."""


def enter(arguments: Sequence[str]) -> None:
    """Become the same command in a network of its own, if one can be had here and it is not there already."""
    if is_own() or dnsmasq() is None:
        return
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    inside = ["unshare", *user, "--net", "--mount", "sh", "-c", SETUP, "sh"]
    try:
        tried = subprocess.run([*inside, "true"], capture_output=True, env=ENVIRONMENT, check=False)
    except FileNotFoundError:
        return
    if tried.returncode == 0:
        command = [*inside, sys.executable, "-m", "tests.benchmarks", *arguments]
        os.execvpe(command[0], command, ENVIRONMENT | {OWN: "1"})


def is_own() -> bool:
    """Whether every name below `DOMAIN` is this machine."""
    return OWN in os.environ


def dnsmasq() -> str | None:
    """The program that answers lookups."""
    return shutil.which("dnsmasq", path=ENVIRONMENT["PATH"])


def names_command(program: str) -> list[str]:
    """dnsmasq, which asks nobody: what is not below `DOMAIN` does not exist."""
    # As a daemon it would want to become another user.
    alone = ("--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts")
    return [program, *alone, "--listen-address=127.0.0.1", f"--local=/{TOP}/", f"--address=/{DOMAIN}/127.0.0.1"]


def host_name(number: int) -> str:
    """One of the hosts that only a network of its own has."""
    return f"host-{number}.{DOMAIN}"


def missing_name(number: int) -> str:
    """A host that does not exist in any network (RFC 6761)."""
    return f"missing-{number}.{'other.' + TOP if is_own() else 'invalid'}"
