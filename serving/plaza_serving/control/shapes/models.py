"""Bodies of the routes about versions, aliases, the catalogue and rollouts."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from plaza_core.compatibility import SignatureChange
from plaza_core.ids import Digest, ModelId
from plaza_core.rollout import (
    WHOLE,
    GatePolicy,
    Rollout,
    RolloutKind,
    RolloutState,
    Verdict,
)
from plaza_core.table import Visibility
from plaza_serving.control.shapes.base import LARGEST_VERSION, Answer, Taken, example
from plaza_tenancy.collecting import Removable

_PER_PERCENT = WHOLE // 100
_WHY = "For the alias's history and the audit trail."


class PromoteTerms(Taken):
    """The version an alias is to mean: at once, or after a rollout on a part of its requests."""

    model_config = example(version=3, canary_percent=5, why="retrained on October's data")

    version: int = Field(ge=1, le=LARGEST_VERSION)
    canary_percent: float | None = Field(
        None, gt=0, lt=100, description="Answer this part of the requests with it, by sticky hash."
    )
    shadow_percent: float | None = Field(
        None, gt=0, le=100, description="Compute this part with it too, compare, and answer as now."
    )
    policy: GatePolicy = Field(GatePolicy(), description="When the rollout is bad.")
    why: str = Field("", max_length=200, description=_WHY)
    force: bool = Field(False, description="Cancel a rollout that runs on the alias.")
    allow_breaking: bool = Field(False, description="Also when callers of the present one break.")

    @model_validator(mode="after")
    def _one_part(self) -> PromoteTerms:
        if self.canary_percent is not None and self.shadow_percent is not None:
            raise ValueError("a rollout is a canary or a shadow")
        return self

    def part(self) -> tuple[RolloutKind, int] | None:
        """Kind and parts of 10,000; None without a rollout."""
        if self.canary_percent is not None:
            return RolloutKind.CANARY, max(1, round(self.canary_percent * _PER_PERCENT))
        if self.shadow_percent is not None:
            return RolloutKind.SHADOW, max(1, round(self.shadow_percent * _PER_PERCENT))
        return None


class Reason(Taken):
    model_config = example(why="errors on night pictures")

    why: str = Field("", max_length=200, description=_WHY)


class VisibilityChoice(Taken):
    model_config = example(visibility="organisation")

    visibility: Visibility


class GuestList(Taken):
    """Wire names of the organisations that may call the model too."""

    model_config = example(organisations=["city-traffic"])

    organisations: list[str] = Field(min_length=1, max_length=100)


class TagChange(Taken):
    model_config = example(add=["traffic", "edge"], remove=["draft"])

    add: list[str] = Field([], max_length=20)
    remove: list[str] = Field([], max_length=20)


class TagList(Answer):
    tags: list[str]


class PublishNote(Taken):
    model_config = example(note="licence cleared, see the card")

    note: str = Field("", max_length=200, description="For the operators who decide.")


class Rejection(Taken):
    model_config = example(reason="the card names no licence")

    reason: str = Field(min_length=1, max_length=200, description="Told to those who asked.")


class PublicationState(Answer):
    public: bool
    request: str | None = Field(description="The request that waits for an operator.")


class RolloutShown(Answer):
    """A rollout as people see it. Parts are of 10,000."""

    id: str
    model: str = Field(description="Full wire name.")
    alias: str
    kind: RolloutKind
    stable: int
    candidate: int
    part: int
    policy: GatePolicy
    state: RolloutState
    started_unix_us: int
    ended_unix_us: int | None
    ended_by: str | None = Field(description="Key id, membership id or `gate`.")
    verdict: Verdict | None = Field(description="The tests as they stand, or stood at the end.")

    @classmethod
    def of(cls, rollout: Rollout) -> RolloutShown:
        found = rollout.model_dump(exclude={"organisation", "evidence", "name", "model"})
        return cls.model_validate(found | {"model": rollout.name})


class Measured(Answer):
    """One number of two versions. `better` says which way is up, where that is known."""

    name: str
    before: float | None
    after: float | None


class VersionName(Answer):
    model: str
    version: int
    digest: Digest
    state: str


class ModelDiff(Answer):
    """What differs when `after` answers in the place of `before`."""

    before: VersionName
    after: VersionName
    same_bundle: bool
    compatible: bool = Field(description="False: requests that are answered now could fail.")
    changes: list[SignatureChange]
    metrics: list[Measured] = Field(description="As the cards tell them.")
    examination: list[Measured]


class Collected(Answer):
    """Retired versions whose time is over; `removed` false: only looked at."""

    items: list[Removable]
    bytes: int = Field(description="Of their files, without what other versions have too.")
    removed: bool
    blobs: int = Field(description="Files that were deleted with them, of the whole hub.")


def measured(name: str, before: Any, after: Any) -> Measured:
    def number(value: Any) -> float | None:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if fits else None

    return Measured(name=name, before=number(before), after=number(after))


class Promotion(Answer):
    """Where the version answers now. Nobody is waited for when the status is 200."""

    model: ModelId
    alias: str
    version: int | None = Field(description="None: there is no such alias any more.")
    rollout: str | None = Field(None, description="The rollout that began, with a part.")
    published_on: list[str]
    waiting_for: list[str]
    failed_on: dict[str, str] = Field(description="Replica -> error code of its failed load.")
