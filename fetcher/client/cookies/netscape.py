"""
Owns files of cookies in the format that Netscape began and curl, wget, yt-dlp and browsers' exporters write.

A line a cookie, seven fields parted by tabs: domain, whether hosts below it count, path, whether it is for https only,
when it is over in seconds since the epoch (0 is with the session), name, value.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from math import isfinite
from pathlib import Path

from fetcher.errors import SinkError, UsageError
from fetcher.model import Cookie

HTTP_ONLY = "#HttpOnly_"
"""What stands before the domain of a cookie that scripts in pages do not see."""

HEAD = """\
# Netscape HTTP Cookie File
# https://curl.se/docs/http-cookies.html
# Written by afetch, which replaces it as a whole.

"""
"""The first line is what some readers know the format by."""

FIELDS = 7

LARGEST = 64 * 1024 * 1024
"""Bytes of a file: more is none of cookies."""

FOREVER = 253_402_300_799
"""The last second of the year 9999."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SEPARATORS = re.compile(r"[;\s]")


def load(path: str, option: str) -> list[Cookie]:
    """
    The cookies in a file, in its order.

    Args:
        option: Where it was named, for messages; they never repeat what is in the file.

    Raises:
        UsageError: It cannot be read, or some line of it is no cookie.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{option}: {path}: {error.strerror}; name a file of cookies that can be read") from error
    if len(data) > LARGEST:
        raise UsageError(f"{option}: {path}: too large for a file of cookies; name another one")
    cookies = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or (line.startswith("#") and not line.startswith(HTTP_ONLY)):
            continue
        cookie = _read(line)
        if cookie is None:
            raise UsageError(
                f"{option}: {path}, line {number}: not a cookie as Netscape's format has it, which is seven fields "
                "parted by tabs; export the file again"
            )
        cookies.append(cookie)
    return cookies


def _read(line: str) -> Cookie | None:
    http_only = line.startswith(HTTP_ONLY)
    fields = line.removeprefix(HTTP_ONLY).split("\t")
    if len(fields) == FIELDS - 1:
        # An empty value, whose tab some editor took away.
        fields.append("")
    if len(fields) != FIELDS:
        return None
    domain, tail, path, secure, expiry, name, value = fields
    domain = domain.lower().removeprefix(".").strip("[]")
    flags = {"TRUE": True, "FALSE": False}
    try:
        expires = float(expiry)
    except ValueError:
        return None
    words = (tail.upper() in flags, secure.upper() in flags, isfinite(expires), bool(domain), bool(name))
    if not all(words) or not path.startswith("/") or _SEPARATORS.search(domain + name) or "=" in name:
        return None
    if _CONTROLS.search(value) or ";" in value:
        return None
    # Exporters write -1 for a session's, too.
    over = expires if expires > 0 else None
    return Cookie(name, value, domain, not flags[tail.upper()], path, flags[secure.upper()], over, http_only)


def save(path: str, cookies: Iterable[Cookie], option: str) -> None:
    """
    Write cookies into a file that only its owner may read; it is the old one until it is the new one.

    Raises:
        SinkError: It cannot be written.
    """
    data = (HEAD + "".join(map(_line, cookies))).encode("utf-8", "surrogateescape")
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            # A pipe or /dev/null is written to, and not replaced.
            target.write_bytes(data)
            return
        descriptor, made = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(made).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(made).unlink()
            raise
    except OSError as error:
        raise SinkError(f"{option}: {path}: {error.strerror}; the cookies of this run are lost") from error


def check_place(path: str, option: str) -> None:
    """
    Nothing, if a file of cookies can be made there.

    Raises:
        UsageError: It cannot.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise UsageError(f"{option}: {path} is a directory; name a file in it")
    if not target.parent.is_dir():
        raise UsageError(f"{option}: {path}: there is no directory {target.parent}; make it, or choose another place")
    place = target if target.exists() and not target.is_file() else target.parent
    if not os.access(place, os.W_OK):
        raise UsageError(f"{option}: {path}: {place} cannot be written to; choose another place")


def _line(cookie: Cookie) -> str:
    return "\t".join(
        (
            f"{HTTP_ONLY if cookie.http_only else ''}{'' if cookie.host_only else '.'}{cookie.domain}",
            "FALSE" if cookie.host_only else "TRUE",
            cookie.path,
            "TRUE" if cookie.secure else "FALSE",
            # 0 would be a session's.
            "0" if cookie.expires is None else str(min(max(1, int(cookie.expires)), FOREVER)),
            cookie.name,
            cookie.value + "\n",
        )
    )
