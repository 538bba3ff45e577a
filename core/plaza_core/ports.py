"""The seams between rooms, but those by which models run (`running`). Each port has a twin in
`plaza_core.testing` that passes the same tests.

serving  ──BlobStore, VersionTracker──▶ registry ──ModelRecords, MirrorRecords──▶ tenancy
data plane ──TableSource, UsageSink──▶ control
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from plaza_core.budget import Grant, LeaseAsk
from plaza_core.certificate import Certificate
from plaza_core.ids import Digest, ModelId
from plaza_core.inference import UsageRecord
from plaza_core.manifest import Manifest
from plaza_core.principal import TenantScope
from plaza_core.rollout import (
    GatePolicy,
    Rollout,
    RolloutKind,
    RolloutState,
    Verdict,
    VersionState,
)
from plaza_core.running import Examination
from plaza_core.table import FileEntry, HubTable, ModelEntry, Visibility
from plaza_core.tracking import Lineage, Mirrored, Sighting, Waiting


# ── registry ──────────────────────────────────────────────────────────────────────────────────────
class BlobStore(Protocol):
    """Bytes by content. Writing the same content twice is harmless.

    Every method raises Unavailable, with `retry_after`, while the store cannot be reached.
    """

    def check(self) -> None:
        """Raises Unavailable, saying why, when nothing could be stored now."""

    def put(self, chunks: Iterable[bytes], *, limit: int) -> tuple[Digest, int]:
        """Store and return (sha256, size). Nothing is visible before the last byte is durable."""

    def open(self, sha256: Digest) -> BinaryIO:
        """Raises NotFound. Reading it to the end raises Unavailable when the content is damaged."""

    def exists(self, sha256: Digest) -> bool: ...
    def delete(self, sha256: Digest) -> None:
        """What is not there is deleted already."""

    def digests(self) -> Iterator[Digest]: ...
    def remove_abandoned(self, before_unix_us: int) -> int:
        """Delete what writes that died before then have left; return how many they were."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What registration decided about a bundle, ready to be written down."""

    name: str
    project: str
    visibility: Visibility | None
    """None: the model's as it is; a new model is for its project."""
    digest: Digest
    manifest: Manifest
    files: Sequence[FileEntry]
    card: str
    examination: Examination
    hold: str | None = None
    """What `ModelRecords.hold` gave for these files; the version takes its place."""
    lineage: Lineage | None = None
    """Where it comes from, as whoever registers it says."""
    certificates: Sequence[Certificate] = ()
    """Of the pools that it was examined for; the examination is the first one's."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable version as engineers see it."""

    model: ModelId
    name: str
    version: int
    digest: Digest
    family: str
    created_unix_us: int
    card: str
    state: VersionState = VersionState.EXAMINED
    lineage: Lineage | None = None
    refusal: str | None = None
    """Why its last examination failed, with rule and node; None: it passed."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A change that MLflow must still hear of, in order."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    """Always `model`, its id; and by kind:

    version  version, digest, organisation, project, name (their wire names), family, card,
             examination and, where known, lineage, metrics (name -> number) and state; `first`:
             it may make the model, where the others find it (default: version 1)
    alias    alias, version; None: the alias is gone
    state    version, state
    card     version, card, metrics
    model    name, organisation, project, visibility, tags (name -> text), description; whatever is
             named is set, and tags that are not among `tags` any more are taken away
    """


class ModelRecords(Protocol):
    """The registry's rows, kept by tenancy. Each method is one transaction with its audit row."""

    def hold(self, scope: TenantScope, digests: Sequence[Digest]) -> str:
        """Before blobs are put: for a day nobody takes them for left over. Writes no audit row."""

    def add_version(self, scope: TenantScope, new: NewVersion) -> tuple[ModelVersion, bool]:
        """(version, created). The same digest again returns the existing version unchanged.

        The first version of a model also receives the alias `champion`. Raises Conflict when
        `new.hold` has run out: the blobs may be gone.
        """

    def set_alias(self, scope: TenantScope, name: str, alias: str, version: int) -> ModelEntry: ...
    def get(self, scope: TenantScope, name: str) -> ModelEntry:
        """By wire name as the scope's owner would write it. Raises ModelNotFound."""

    def visible(self, scope: TenantScope) -> list[ModelEntry]:
        """Models this scope may call, its own first."""

    def versions(self, scope: TenantScope, name: str) -> list[ModelVersion]: ...


class MirrorRecords(Protocol):
    """What MLflow must hear of and what it was last known to show, kept by tenancy."""

    def pending(self, limit: int, after: int = 0) -> list[OutboxItem]:
        """Oldest first, those with an id above `after`."""

    def done(self, item: int, number: int | None = None) -> None:
        """MLflow has heard. `number`: of an alias, MLflow's version that it shows now. Again, or
        for an item that never was, it changes nothing."""

    def waiting(self, model: ModelId | None = None) -> Waiting: ...
    def tell_again(self, model: ModelId, *, lost: bool) -> None:
        """MLflow lost something of a model: all of it waits anew, in place of what waited. `lost`:
        the model itself, and so its aliases; nobody took these away one by one."""

    def known(self, model: ModelId | None = None) -> dict[ModelId, Mirrored]:
        """Every model that is mirrored, or this one."""

    def noticed(self, seen: Sighting) -> bool:
        """MLflow shows an alias otherwise than it was last known to. True when somebody did it by
        hand and it became a proposal; what the hub itself said or is about to say is none."""


@dataclass(frozen=True, slots=True)
class CardRevision:
    """What the card of a version says from one moment on."""

    version: int
    revision: int
    """From 1, which is the card that came with the bundle."""
    text: str
    created_unix_us: int
    created_by: str


class CardRecords(Protocol):
    """Cards as rows, kept by tenancy. A change is one transaction with its audit row."""

    def set(self, scope: TenantScope, name: str, version: int, text: str) -> CardRevision:
        """A new revision; the text that it has already changes nothing.

        Raises ModelNotFound, InvalidBundle naming the field of the front matter that is wrong.
        """

    def list(self, scope: TenantScope, name: str, version: int) -> list[CardRevision]:
        """Newest first; there is always one. Raises ModelNotFound."""


class RolloutRecords(Protocol):
    """Rollouts as rows, kept by tenancy. A verb changes the alias's split in its transaction."""

    def start(
        self,
        scope: TenantScope,
        name: str,
        alias: str,
        candidate: int,
        *,
        kind: RolloutKind,
        part: int,
        policy: GatePolicy,
    ) -> Rollout:
        """Raises ModelNotFound, Conflict while another rollout of the alias runs, InvalidInput."""

    def running(self) -> list[Rollout]:
        """Of every organisation, for the gate."""

    def keep(self, rollout: str, evidence: Mapping[str, Any], verdict: Verdict) -> None:
        """What the gate has seen so far; changes nothing once the rollout has ended."""

    def stop(self, rollout: str, verdict: Verdict) -> bool:
        """The gate found it bad: the stable version answers all. False when it had ended before."""

    def end(self, scope: TenantScope, rollout: str, state: RolloutState) -> Rollout:
        """A person cancels it, or promotes the candidate. Raises NotFound, Conflict once ended."""

    def find(self, scope: TenantScope, name: str | None = None) -> list[Rollout]:
        """Of one model or of all in scope, newest first."""


class VersionTracker(Protocol):
    """MLflow's side: applies outbox items idempotently."""

    def apply(self, item: OutboxItem) -> int | None:
        """Idempotent. Returns, of an alias, the store's own number of what it shows now.

        Raises Unavailable when the tracking store cannot be reached, NotFound when it lacks the
        model or version that the item is about, Conflict when it holds something else instead.
        """

    def shown(self, models: Collection[ModelId]) -> dict[ModelId, dict[str, int]]:
        """The aliases of those `models` that the store has, each with the store's number."""

    def version_of(self, model: ModelId, number: int) -> int | None:
        """The hub's version that the store's `number` mirrors; None: somebody else's, or none."""


# ── serving ──────────────────────────────────────────────────────────────────────────────────────
class TableSource(Protocol):
    async def fetch(self, known: str | None, wait_s: float) -> HubTable | None:
        """The table if its version differs from `known` within `wait_s`, else None.

        Raises Unavailable when control cannot be reached.
        """


class UsageSink(Protocol):
    """Where usage is made durable before an answer leaves."""

    def append(self, records: Sequence[UsageRecord]) -> None:
        """Raises LedgerUnavailable; then none of the answers may leave."""


class LeaseBank(Protocol):
    """Budgets as replicas meet them. One call is one transaction for all its asks."""

    def exchange(self, replica: str, asks: Sequence[LeaseAsk], *, live: int = 1) -> list[Grant]:
        """Take note of what was returned, grant what is needed; one Grant per ask, in order.

        `live`: how many replicas share the budgets now; a wish is cut to remaining / (4 × live).
        """

    def close(self, replica: str) -> int:
        """Give back what the leases of a replica still hold, once all its usage is in the ledger.

        Returns the compute units that came back. A second call returns 0.
        """

    def holders(self, nodes: Collection[str]) -> set[str]:
        """Replicas that hold something below any of these nodes: whom a recall is for."""


class UsageLedger(Protocol):
    def ingest(self, records: Sequence[UsageRecord]) -> int:
        """Insert what is new by (organisation, request_id); return how many were new."""
