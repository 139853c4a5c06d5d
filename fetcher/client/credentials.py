"""
Owns who we say we are: one user or token for every entry, and those that a netrc file has for single hosts.

What is said of less wins: an entry's own Authorization (a row's, or user info in its URL), then a host's table, then a
header of the run, then `user` or `bearer`, then the netrc file. Imports nothing heavy.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fetcher.errors import UsageError
from fetcher.model import Origin

NETRC = "NETRC"
"""The variable that names another file than ~/.netrc, as curl reads it."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_UNTOKEN = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, kw_only=True)
class CredentialsConfig:
    """
    Who we are to servers. None of it is sent to another origin than the entry's, but for what the netrc file has of it.

    Attributes:
        user: `USER:PASSWORD`, sent with each entry as Basic (RFC 7617); the password may be empty.
        bearer: A token, sent with each entry as Bearer (RFC 6750).
        netrc: Look each host up in `$NETRC`, or in ~/.netrc.
        netrc_file: Look each host up in this file instead.
    """

    user: str | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    netrc: bool = False
    netrc_file: str | None = None

    def __post_init__(self) -> None:
        # None of these messages repeats what was given: it may be a password in the wrong place.
        if self.user is not None:
            if self.bearer is not None:
                raise UsageError("user and bearer contradict each other: a request says once who it is from")
            if ":" not in self.user:
                raise UsageError("user has no password: write USER:PASSWORD, or USER: for an empty one")
            if _CONTROLS.search(self.user):
                raise UsageError("user has a control character or a line break; remove it")
        if self.bearer is not None and (not self.bearer or _UNTOKEN.search(self.bearer)):
            raise UsageError("bearer is no token, which is visible ASCII characters without blanks")


class Credentials:
    """
    What is sent as Authorization where no header says it.

    Args:
        environ: The variables of the environment, of which the home folder and the netrc file's place are read.

    Raises:
        UsageError: The netrc file cannot be read, or is none.
    """

    def __init__(self, config: CredentialsConfig, *, environ: Mapping[str, str] = os.environ) -> None:
        self._every: str | None = None
        if config.user is not None:
            user, _, password = config.user.partition(":")
            self._every = _basic(user, password)
        elif config.bearer is not None:
            self._every = f"Bearer {config.bearer}"
        self._hosts: dict[str, str] = {}
        self._default: str | None = None
        if config.netrc_file is not None:
            self._read(config.netrc_file, "--netrc-file")
        elif config.netrc:
            home = environ.get("HOME") or str(Path("~").expanduser())
            self._read(environ.get(NETRC) or f"{home}/.netrc", "--netrc")

    def __bool__(self) -> bool:
        return self._every is not None or self._default is not None or bool(self._hosts)

    def find(self, origin: Origin, *, trusted: bool, clear: bool) -> str | None:
        """
        What an origin is told, or None.

        Args:
            trusted: It is the entry's own. Another one is told only what the netrc file has under its name.
            clear: It may be told in the clear.
        """
        if trusted:
            return self._every or self._hosts.get(origin.host) or self._default
        return self._hosts.get(origin.host) if clear or origin.scheme == "https" else None

    def _read(self, path: str, option: str) -> None:
        from netrc import NetrcParseError, netrc

        try:
            found = netrc(path)
        except OSError as error:
            raise UsageError(f"{option}: {path}: {error.strerror}; name a netrc file that can be read") from error
        except NetrcParseError as error:
            # Its own words repeat what it stumbled on, which may be a password.
            raise UsageError(
                f"{option}: {path}, line {error.lineno}: not as netrc files are written "
                "(machine HOST login USER password PASSWORD)"
            ) from None
        except ValueError:
            raise UsageError(f"{option}: {path}: not a netrc file, which is text; name another one") from None
        for name, (login, _, password) in found.hosts.items():
            if not (login or password):
                continue
            if _CONTROLS.search(login or "") or _CONTROLS.search(password or ""):
                raise UsageError(f"{option}: {path}: a login or password has a control character; remove it")
            value = _basic(login or "", password or "")
            if name == "default":
                self._default = value
            else:
                self._hosts[name.lower().strip("[]")] = value


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode("utf-8", "surrogateescape")).decode("ascii")
