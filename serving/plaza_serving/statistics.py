"""Statistics of versions as doors see them: what a caller's organisation asked of this replica.

`dataplane.counting.Counting` keeps the real ones. Names of phases are those of Triton's statistics
extension: a success spends its time in the queue, preparing (`input`), running (`infer`) and
interpreting (`output`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from plaza_core.principal import Principal


@dataclass(slots=True)
class Spent:
    """How often something was done and what it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, us: int) -> None:
        self.count += 1
        self.ns += us * 1000


@dataclass(slots=True)
class Phases:
    input: Spent = field(default_factory=Spent)
    infer: Spent = field(default_factory=Spent)
    output: Spent = field(default_factory=Spent)


@dataclass(slots=True)
class VersionStatistics:
    """Of one version for one organisation since the replica started."""

    success: Spent = field(default_factory=Spent)
    fail: Spent = field(default_factory=Spent)
    queue: Spent = field(default_factory=Spent)
    phases: Phases = field(default_factory=Phases)
    inferences: int = 0
    """Rows of answered requests."""
    executions: int = 0
    """Runs of the model that had requests of this organisation in them."""
    last_unix_ms: int = 0
    batches: dict[int, Phases] = field(default_factory=dict)
    """Rows of a run -> what such runs took."""


@dataclass(frozen=True, slots=True)
class Counted:
    """`name` is one that means this model to the caller."""

    name: str
    version: int
    statistics: VersionStatistics


class Statistics(Protocol):
    def of(self, principal: Principal, name: str, version: str | None) -> list[Counted]:
        """Of a model's version, of all its versions where `version` is None, of every model that
        the caller may use where `name` is "". Raises ModelNotFound."""
