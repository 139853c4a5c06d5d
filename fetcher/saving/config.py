"""Owns what can be told of bodies as files. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from fetcher.errors import UsageError

DEFAULT_NAME = "{host}/{hash:2}/{stem}-{hash:10}{ext}"
"""At most 256 folders a host, and names that tell what they are: a million files of one host are 4,000 a folder."""


@dataclass(frozen=True, kw_only=True)
class SavingConfig:
    """
    Where bodies go that are kept as files.

    Attributes:
        save: The folder; None keeps them in the records. With one, `timeout` and `max_size` are none unless said.
        save_name: What the files are called in it (`fetcher.saving.names.NameTemplate`), unless a row says it.
        remote_time: Files have the time of their replies' Last-Modified.
    """

    save: str | None = None
    save_name: str = DEFAULT_NAME
    remote_time: bool = False

    def __post_init__(self) -> None:
        if self.save == "":
            raise UsageError("save is empty; give a folder's path")
        if self.save is None and (self.save_name != DEFAULT_NAME or self.remote_time):
            what = "remote_time" if self.remote_time else "name"
            raise UsageError(f"{what} without save: no file is made; give a folder with --save DIR")
        if self.save_name != DEFAULT_NAME:
            # Only who names files pays for it.
            from fetcher.saving.names import NameTemplate

            NameTemplate(self.save_name)
