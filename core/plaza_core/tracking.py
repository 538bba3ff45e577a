"""What lies between the hub and MLflow: lineage, what MLflow shows, what people change there.

    the hub's rows ──outbox──▶ mirror ──▶ MLflow          an alias moved there by hand
                                 ▲                                   │
                                 └──────── Sighting ◀── poller ◀─────┘──▶ Proposal ──▶ promote

MLflow is never the truth. Its numbers of versions are usually the hub's and need not be: somebody
may have made or deleted versions there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from plaza_core.ids import ModelId, OrganisationId


class Lineage(BaseModel):
    """Where a version comes from. Empty fields are not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field("", pattern=r"^[A-Za-z0-9_-]{0,64}$")
    """The run of MLflow that trained it."""
    experiment: str = Field("", max_length=200)
    source: str = Field("", max_length=500)
    """What it was imported from, such as `models:/road-cars/3`."""
    artifacts: str = Field("", max_length=500)
    """Where MLflow kept its files."""
    user: str = Field("", max_length=200)
    """Who logged it there."""
    metrics: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Sighting:
    """An alias as MLflow shows it. `number` is MLflow's, None: it has no such alias; `version` is
    the hub's version that this number mirrors, None: none, somebody made it there."""

    model: ModelId
    alias: str
    number: int | None
    version: int | None


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What MLflow was last known to show of a model. `settled`: nothing of it waits to be told."""

    aliases: Mapping[str, int]
    settled: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """What MLflow has not heard yet."""

    items: int = 0
    since_unix_us: int | None = None
    """When the oldest of them happened."""


@dataclass(frozen=True, slots=True)
class MirrorState:
    """How telling MLflow goes. `problem` is why nothing can be told; None: the last try worked."""

    problem: str | None = None
    stuck: Mapping[ModelId, str] = field(default_factory=dict)
    """Models that MLflow holds something else about -> why; the others are told."""


class ProposalState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    """Somebody with the right promoted what was proposed."""
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    """The alias was moved elsewhere since, here or there."""
    WITHDRAWN = "withdrawn"
    """It was taken back in MLflow."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An alias that somebody moved in MLflow, and what became of it."""

    id: str
    organisation: OrganisationId
    model: ModelId
    name: str
    alias: str
    version: int | None
    """What it should mean; None: it was deleted there, or points at what the hub does not have."""
    number: int | None
    """MLflow's own number of that version; None: the alias was deleted there."""
    present: int | None
    """What the alias meant here when it was seen."""
    state: ProposalState
    seen_unix_us: int
    decided_unix_us: int | None
    decided_by: str | None
