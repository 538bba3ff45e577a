"""What the admin API tells of versions, aliases, rollouts and the catalogue. Frozen values.

Parts are of 10,000; times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AliasStep:
    """One state that an alias was brought into. `version` None: it was removed."""

    sequence: int
    at_unix_us: int
    actor: str
    kind: str
    why: str
    version: int | None
    split: Mapping[str, Any] | None
    back: int | None
    """The step whose state a rollback from here returns to."""
    current: bool


@dataclass(frozen=True, slots=True)
class Rollout:
    """An attempt to bring a version into the traffic of an alias; `verdict` holds the tests."""

    id: str
    model: str
    alias: str
    kind: str
    stable: int
    candidate: int
    part: int
    policy: Mapping[str, Any] = field(repr=False)
    state: str
    started_unix_us: int
    ended_unix_us: int | None
    ended_by: str | None
    verdict: Mapping[str, Any] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """What differs when one version answers in the place of another. `changes` and the numbers
    are mappings with `before` and `after`; a change says whether it is `breaking`."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    same_bundle: bool
    compatible: bool
    changes: list[Mapping[str, Any]]
    metrics: list[Mapping[str, Any]]
    examination: list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """One model of the catalogue, by its champion or newest version."""

    id: str
    name: str
    organisation_name: str
    project_name: str
    visibility: str
    family: str | None
    tags: list[str]
    version: int | None
    aliases: Mapping[str, int]
    summary: str

    @property
    def full_name(self) -> str:
        return f"{self.organisation_name}.{self.project_name}.{self.name}"


@dataclass(frozen=True, slots=True)
class FoundPage:
    """`next` is the `after` of the next page; None at the end."""

    items: list[Found]
    next: str | None


@dataclass(frozen=True, slots=True)
class Guest:
    """An organisation that a model is shared with."""

    organisation_name: str
    since_unix_us: int
    by: str


@dataclass(frozen=True, slots=True)
class PublicationState:
    """`request`: the one that waits for an operator."""

    public: bool
    request: str | None


@dataclass(frozen=True, slots=True)
class PublishRequest:
    id: str
    model: str
    state: str
    note: str
    asked_unix_us: int
    asked_by: str
    decided_unix_us: int | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Collected:
    """Retired versions whose time is over. `removed` false: nothing was done to them."""

    items: list[Mapping[str, Any]]
    bytes: int
    removed: bool
    blobs: int
