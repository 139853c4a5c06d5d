"""
Owns all that a worker must know: the rooms' configurations, gathered into one frozen, picklable value.

Each room says what it can be told beside its own code, and takes its own part: a `Settings` *is* a `ClientConfig`, a
`PolicyConfig` and so on. So an option has one home, one default and one check, and this file has none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fetcher.client.config import ClientConfig
from fetcher.client.names.config import NamesConfig
from fetcher.frontier.config import FrontierConfig
from fetcher.hosts import HostsConfig
from fetcher.policy import PolicyConfig
from fetcher.record import RecordConfig
from fetcher.robots import RobotsConfig
from fetcher.sources.config import SourceConfig
from fetcher.verdict import VerdictConfig

ROOMS = (
    SourceConfig,
    FrontierConfig,
    HostsConfig,
    ClientConfig,
    NamesConfig,
    PolicyConfig,
    RobotsConfig,
    RecordConfig,
    VerdictConfig,
)


@dataclass(frozen=True, kw_only=True)
class Settings(
    SourceConfig,
    FrontierConfig,
    HostsConfig,
    ClientConfig,
    NamesConfig,
    PolicyConfig,
    RobotsConfig,
    RecordConfig,
    VerdictConfig,
):
    """
    How to fetch. Every field has the default of the command's option of the same name.

    Raises:
        UsageError: A value cannot be, alone or beside another.
    """

    def __post_init__(self) -> None:
        for room in ROOMS:
            room.__post_init__(self)
