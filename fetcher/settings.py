"""
Owns all that a worker must know: the rooms' configurations, gathered into one frozen, picklable value.

Each room says what it can be told beside its own code, and takes its own part: a `Settings` *is* a `ClientConfig`, a
`PolicyConfig` and so on. So an option has one home, one default and one check, and this file has none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fetcher.backends.config import ProcessesConfig
from fetcher.client.config import MAX_SIZE, ClientConfig, YieldingSeconds, YieldingSize
from fetcher.client.names.config import NamesConfig
from fetcher.errors import UsageError
from fetcher.frontier.config import FrontierConfig
from fetcher.hosts import HostsConfig
from fetcher.policy import PolicyConfig
from fetcher.record import RecordConfig
from fetcher.robots import RobotsConfig
from fetcher.saving.config import SavingConfig
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
    SavingConfig,
    VerdictConfig,
    ProcessesConfig,
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
    SavingConfig,
    VerdictConfig,
    ProcessesConfig,
):
    """
    How to fetch. Every field has the default of the command's option of the same name.

    Where bodies are saved, records have none, and `timeout` and `max_size` are none unless they were given.

    Raises:
        UsageError: A value cannot be, alone or beside another.
    """

    def __post_init__(self) -> None:
        for room in ROOMS:
            room.__post_init__(self)
        if self.save is not None:
            self._make_way()

    def _make_way(self) -> None:
        """Let go of what keeps files from being saved, where nobody asked for it."""
        if self.body not in {"auto", "none"}:
            raise UsageError(f"save and body {self.body} contradict each other: a body is in a file, or in the record")
        changes: dict[str, object] = {"body": "none"}
        if isinstance(self.timeout, YieldingSeconds):
            changes["timeout"] = YieldingSeconds(0.0)
        if isinstance(self.max_size, YieldingSize):
            # What is to be archived is held in memory whole.
            changes["max_size"] = MAX_SIZE if self.capture else YieldingSize(0)
        for name, value in changes.items():
            object.__setattr__(self, name, value)
