"""Traffic of an alias: which of its versions answers, which is only compared, what was seen.

    alias ──▶ Split: versions by weight (one of them stable), shadows by sampled part
    replicas ──Observation, cumulative──▶ control ──▶ gate ──▶ Verdict, recorded with its numbers

Weights are parts per 10,000 and sum to it, so that a split is exact and its hash is the same on
every replica: one caller's sticky word meets the same version everywhere, until the salt changes.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from math import log2
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plaza_core.ids import ModelId, OrganisationId

WHOLE = 10_000
"""Parts of a whole: a weight of 1 is 0.01 %."""

_Frozen = ConfigDict(frozen=True, extra="forbid")
Parts = Annotated[int, Field(ge=0, le=WHOLE)]


class VersionState(StrEnum):
    """Where a version stands. Derived from what is recorded of it, never stored beside it."""

    REGISTERED = "registered"
    """Its bytes are here; not examined, or the examination was withdrawn: nobody calls it."""
    EXAMINED = "examined"
    """It may be called by number and may be staged."""
    STAGED = "staged"
    """Open and warm on every replica; no alias gives it traffic."""
    SERVING = "serving"
    """An alias gives it traffic, as stable, canary or shadow."""
    RETIRED = "retired"
    """Nobody calls it; its bytes stay until `gc` finds them past their retention."""


class Split(BaseModel):
    """How the requests for one alias are divided. Versions with weight 0 are not named."""

    model_config = _Frozen

    stable: int
    """The version the alias means: what a rollout is measured against and rolls back to."""
    weights: dict[int, Parts] = {}
    """Version -> parts that it answers. Empty: the stable one answers all."""
    shadows: dict[int, Parts] = {}
    """Version -> parts of the requests that it computes too, after the answer and unpaid."""
    tolerance: float = 1e-3
    """How near the numbers of a shadow's answer must come to agree: its policy's."""
    rollout: str | None = None
    """The rollout that made this split: whose observations these are, and the salt of the hash."""

    @model_validator(mode="after")
    def _exact(self) -> Split:
        if self.weights and (
            sum(self.weights.values()) != WHOLE or self.stable not in self.weights
        ):
            raise ValueError(f"weights sum to {WHOLE} and name the stable version")
        if 0 in self.weights.values() or 0 in self.shadows.values():
            raise ValueError("a version without a part is left out")
        if set(self.shadows) & (set(self.weights) | {self.stable}):
            raise ValueError("a version that answers is not a shadow too")
        return self

    def versions(self) -> frozenset[int]:
        return frozenset({self.stable, *self.weights, *self.shadows})

    def answering(self, word: str) -> int:
        """The version that answers a caller whose sticky word is `word`."""
        if not self.weights:
            return self.stable
        point = position(self.rollout or "", word)
        for version, part in sorted(self.weights.items()):
            point -= part
            if point < 0:
                return version
        return self.stable

    def shadowing(self, word: str) -> list[int]:
        """The versions that compute a request with this word too."""
        return [
            version
            for version, part in sorted(self.shadows.items())
            if position(f"{self.rollout or ''}/{version}", word) < part
        ]


def position(salt: str, word: str) -> int:
    """Where a word lies in [0, WHOLE), evenly and alike on every machine."""
    digest = blake2b(word.encode(), digest_size=8, key=blake2b(salt.encode()).digest()[:16])
    return int.from_bytes(digest.digest(), "big") % WHOLE


class Arm(StrEnum):
    """Which side of a rollout a request was answered by."""

    STABLE = "stable"
    CANARY = "canary"
    SHADOW = "shadow"


CELLS = 256
"""Cells of one size of a run."""


def cell(worker_us: int, rows: int) -> int:
    """Where a run counts: 256 × ⌊log2 rows⌋ + b, for a time in [2^(b/4), 2^((b+1)/4)) µs.

    Time of the worker: device and host. Runs of different size are never compared.
    """
    bucket = min(CELLS - 1, int(4 * log2(max(1, worker_us))))
    return CELLS * (max(1, rows).bit_length() - 1) + bucket


class ArmCounts(BaseModel):
    """What one replica saw of one arm since it started; only ever grows."""

    model_config = _Frozen

    requests: int = 0
    failed: int = 0
    """Failures that are the version's own (model_failed, a deadline while it ran), not refusals."""
    latency: dict[int, int] = {}
    """Cell -> runs, see `cell`. A run is counted once, however many requests were joined in it."""


class Observation(BaseModel):
    """What one replica has seen of one rollout since it started; only ever grows."""

    model_config = _Frozen

    arms: dict[Arm, ArmCounts] = {}
    pairs: int = 0
    """Answers of the shadow compared with the answer that was given."""
    disagreements: int = 0
    """Pairs that differ by more than the tolerance."""
    dropped: int = 0
    """Requests meant for the shadow that found no idle worker."""


class RolloutKind(StrEnum):
    CANARY = "canary"
    SHADOW = "shadow"


class RolloutState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    """The gate found it bad: the stable version answers all again."""
    CANCELLED = "cancelled"
    """A person ended it."""
    PROMOTED = "promoted"
    """The candidate became the stable version."""


class GatePolicy(BaseModel):
    """When a rollout is bad. All alarms of one rollout together are false with at most `alpha`."""

    model_config = _Frozen

    alpha: float = Field(0.001, gt=0, le=0.05)
    failures: float = Field(0.005, ge=0, lt=1)
    """The candidate may fail this much more often than the stable version (a difference). Of 500
    requests at level 0.001, no test tells 1 % from 5 % with certainty; half a percent can be."""
    slower: float = Field(1.25, ge=1, le=1000)
    """Its run times may be this many times those of the stable version …"""
    slower_us: int = Field(200, ge=0, le=60_000_000)
    """… and so many µs more: a version called rarely finds the caches cold."""
    disagreements: float = Field(0.01, ge=0, lt=1)
    """This part of its answers may differ from the given ones."""
    tolerance: float = Field(1e-3, ge=0, allow_inf_nan=False)
    """Two answers agree when every number is within this, relative to the larger (see compare)."""


class SequentialTest(BaseModel):
    """One sequential test of a rollout as it stood at the decision."""

    model_config = _Frozen

    name: str
    """`failures`, `latency` or `disagreements`."""
    evidence: float
    """The e-value: under a good version it exceeds 1/level with probability at most level."""
    level: float
    candidate: tuple[int, int]
    """(events, of how many requests) of the candidate."""
    stable: tuple[int, int] | None = None


class Verdict(BaseModel):
    """What the gate says of a rollout, with its numbers."""

    model_config = _Frozen

    bad: bool
    because: str | None = None
    """The name of the test that decided, or `unopened`: no replica could open the candidate."""
    tests: list[SequentialTest] = []

    def explained(self) -> str:
        """The numbers in one line, for logs and people."""
        parts = []
        for test in self.tests:
            events, requests = test.candidate
            against = "" if test.stable is None else " against {} of {}".format(*test.stable)
            parts.append(
                f"{test.name}: {events} of {requests}{against},"
                f" evidence {test.evidence:.3g} of {1 / test.level:.0f}"
            )
        return "; ".join(parts)


class Rollout(BaseModel):
    """One attempt to bring a version into the traffic of an alias."""

    model_config = _Frozen

    id: str
    model: ModelId
    name: str
    """The model's full wire name, for people."""
    organisation: OrganisationId
    alias: str
    kind: RolloutKind
    stable: int
    candidate: int
    part: Parts
    """Of the alias's requests that the candidate answers (canary) or computes too (shadow)."""
    policy: GatePolicy
    state: RolloutState
    started_unix_us: int
    ended_unix_us: int | None = None
    ended_by: str | None = None
    """Key id, membership id or `gate`."""
    verdict: Verdict | None = None
    evidence: dict[str, Any] = {}
    """What the gate needs to go on after control restarts; opaque to everybody else."""

    def stopped_news(self, verdict: Verdict) -> dict[str, Any]:
        """What the event `rollout.stopped` says."""
        named = {"id", "name", "organisation", "alias", "kind", "stable", "candidate"}
        return {
            **self.model_dump(mode="json", include=named),
            "because": verdict.because,
            "tests": [test.model_dump(mode="json") for test in verdict.tests],
        }
