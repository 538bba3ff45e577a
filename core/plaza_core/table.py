"""The hub table: all that a replica must know, pulled from control as one versioned snapshot.

Models and keys travel together, so a replica always acts on one consistent state, and revoking
a key takes one poll. Without control a replica keeps serving its last table. Wire format: JSON of
these models over `GET /internal/v1/table` (ETag = `version`, long poll).
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from plaza_core.budget import Price, ShareEntry
from plaza_core.certificate import Environment, Standing
from plaza_core.ids import Digest, KeyId, ModelId, OrganisationId, ProjectId
from plaza_core.manifest import Manifest
from plaza_core.principal import Role
from plaza_core.rollout import Observation, Split, VersionState

_Frozen = ConfigDict(frozen=True)


class Visibility(StrEnum):
    PROJECT = "project"
    ORGANISATION = "organisation"
    SHARED = "shared"
    """The organisation's own, and those it names."""
    PUBLIC = "public"


class RequestState(StrEnum):
    """What became of the wish to make a model public."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    DROPPED = "dropped"
    """Another visibility was chosen meanwhile."""


class FileEntry(BaseModel):
    """One file of a bundle; its bytes are fetched by `sha256` and verified before every load."""

    model_config = _Frozen

    path: str
    size: int
    sha256: Digest


class VersionEntry(BaseModel):
    model_config = _Frozen

    version: int
    digest: Digest
    state: VersionState = VersionState.EXAMINED
    """Only `examined`, `staged` and `serving` ones travel to replicas."""
    resident_bytes: int = 0
    """Memory the examination saw it take; 0: not known."""
    manifest: Manifest
    files: list[FileEntry]
    certificates: list[Standing] = []
    """The newest of each environment. A pool opens the version only with a passed one of its own.
    """


class ModelEntry(BaseModel):
    """A model with its live versions. `aliases` maps a movable name to a version."""

    model_config = _Frozen

    id: ModelId
    name: str
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId
    project_name: str
    visibility: Visibility
    versions: list[VersionEntry]
    aliases: dict[str, int]
    """Alias -> its stable version."""
    splits: dict[str, Split] = {}
    """Alias -> how its requests are divided, for those whose stable version does not get them all
    or is compared with a shadow."""
    shared_with: list[OrganisationId] = []
    """The organisations that a model of visibility `shared` is named to."""


class RateLimit(BaseModel):
    """Sustained requests per second and how many may arrive at once."""

    model_config = _Frozen

    per_second: float
    burst: int


class KeyEntry(BaseModel):
    """One usable key. `mac` is HMAC-SHA256(pepper, secret) in hexadecimal, never the secret."""

    model_config = _Frozen

    id: KeyId
    mac: str
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    project_name: str | None
    role: Role
    operator: bool
    expires_unix_us: int | None
    limits: list[tuple[str, RateLimit]]
    """(node id, limit) for the key and every ancestor that has one; all are checked."""
    metered: bool = False
    """Whether a compute budget limits the key or an ancestor: then every request needs a lease."""
    slots: list[tuple[str, int]] = []
    """(node id, most requests inside at once over all replicas), for nodes that limit it."""
    priority: int = 0
    """Within the organisation: higher goes first. -10 to 10."""
    line: KeyId | None = None
    """The first key of its rotations: one node with it in `limits`, `slots` and budgets."""


class HubTable(BaseModel):
    model_config = _Frozen

    version: str
    models: list[ModelEntry]
    keys: list[KeyEntry]
    prices: list[Price] = []
    """The most specific one wins: model and provider, model, provider, the default of 1 per µs."""
    shares: list[ShareEntry] = []
    """Organisations not named have weight 1 and borrow without limit."""


class Heartbeat(BaseModel):
    """What a replica tells control every second."""

    model_config = _Frozen

    replica: str
    pool: str
    table_version: str
    ready: dict[str, list[int]]
    """Model id -> versions that are published here."""
    failed: dict[str, str]
    """`model-id/version` -> error code of a version that could not be loaded here."""
    arrivals: dict[str, int] = {}
    """Node id -> requests that asked since the last heartbeat, for nodes with a limit."""
    inside: dict[str, int] = {}
    """Node id -> most requests inside at once since the last heartbeat, for nodes that limit it.
    Requests that found no slot count as if they had been inside."""
    held: dict[str, int] = {}
    """Node id -> the most that can be inside until the answer: slots still good, or in use."""
    rollouts: dict[str, Observation] = {}
    """Rollout id -> what this replica has seen of it since it started."""
    environment: Environment | None = None
    """What certificates must be for, to count in this pool."""
    refusal: str | None = None
    """Why this replica cannot run its pool at all; it then publishes nothing, ever."""
    sequence: int = 0
    """Grows with each heartbeat of this replica; an older one that comes late tells nothing."""


class HeartbeatReply(BaseModel):
    model_config = _Frozen

    live_replicas: int
    """Replicas of the same pool with a heartbeat under 5 s; rates are shared among them."""
    rate_shares: dict[str, float] = {}
    """Node id -> this replica's part (0 to 1) of its rate, after the traffic; else 1/n."""
    slots: dict[str, int] = {}
    """Node id -> slots of it that this replica holds for the next 8 s."""
    pools: dict[str, int] | None = None
    """Pool -> its replicas with a heartbeat under 5 s; None: not told."""
