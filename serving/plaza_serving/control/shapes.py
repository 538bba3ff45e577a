"""Bodies of the admin API: what is taken, strictly, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from plaza_core.ids import Digest, KeyId, ModelId, OrganisationId, ProjectId
from plaza_core.keys import holds_key
from plaza_core.pools import Pool
from plaza_core.principal import Principal, Right, Role
from plaza_core.running import Examination
from plaza_core.table import RateLimit, Visibility
from plaza_core.tracking import Lineage, MirrorState, Waiting
from plaza_serving.control.fleet import Replica
from plaza_serving.control.patterns import NAME
from plaza_serving.control.reconciler import ApplicationState, RayState
from plaza_tenancy.views import AuditEntry, KeyInfo, UsageSum

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def example(**body: Any) -> ConfigDict:
    """For `model_config` of a body: what the description shows, and tests try."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class Taken(BaseModel):
    """A request body. It refuses unknown fields: a mistyped one must not pass silently.

    It refuses keys too, anywhere in it: what is taken here is written down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _holds_no_key(cls, data: Any) -> Any:
        if any(map(holds_key, _texts(data))):
            raise ValueError("a key belongs in the Authorization header and nowhere else")
        return data


def _texts(data: Any) -> Iterator[str]:
    """Every text in a parsed body, names of fields included."""
    waiting = [data]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, Mapping):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list):
            waiting += found


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Items(Answer, Generic[T]):
    """A list, wrapped so that it can grow fields."""

    items: list[T]


class Rate(Taken):
    """Sustained requests per second and how many may arrive at once."""

    model_config = example(per_second=50, burst=100)

    per_second: float = Field(gt=0, le=1_000_000, allow_inf_nan=False)
    burst: int = Field(ge=1, le=10_000_000)

    def limit(self) -> RateLimit:
        return RateLimit(per_second=self.per_second, burst=self.burst)


class NewOrganisation(Taken):
    model_config = example(name="acme", title="Acme Traffic Services")

    name: str = Field(pattern=NAME)
    title: str = Field("", max_length=200)


class OrganisationChange(Taken):
    """Fields that are left out stay as they are."""

    model_config = example(rate={"per_second": 50, "burst": 100})

    suspended: bool | None = None
    rate: Rate | None = None


class NewProject(Taken):
    model_config = example(name="cameras")

    name: str = Field(pattern=NAME)


class NewKeyRequest(Taken):
    model_config = example(
        role="consumer", project="cameras", label="roadside gateway 7", expires_in_s=7_776_000
    )

    role: Role
    project: str | None = Field(None, pattern=NAME, description="Bind the key to one project.")
    label: str = Field("", max_length=200)
    expires_in_s: int | None = Field(None, ge=1, le=10 * 366 * 86_400)
    rate: Rate | None = None


class NewKeyAnswer(Answer):
    """`key` is shown here and never again."""

    id: KeyId
    key: str
    info: KeyInfo


class WhoAmI(Answer):
    key: KeyId
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    project_name: str | None
    role: Role
    operator: bool
    rights: list[Right]

    @classmethod
    def of(cls, who: Principal) -> WhoAmI:
        return cls(
            key=who.key,
            organisation=who.organisation,
            organisation_name=who.organisation_name,
            project=who.project,
            project_name=who.project_name,
            role=who.role,
            operator=who.operator,
            rights=[right for right in Right if who.may(right)],
        )


class UploadBegun(Answer):
    upload: str


class FileStored(Answer):
    path: str
    size: int
    sha256: Digest


class Commit(Taken):
    model_config = example(name="road-cars", project="cameras", visibility="organisation")

    name: str | None = Field(None, pattern=NAME, description="Default: the manifest's name.")
    project: str | None = Field(
        None,
        pattern=NAME,
        description="Default: the key's project, or the only one of the organisation.",
    )
    visibility: Visibility | None = Field(
        None, description="Who may call the model. Default: as it is; a new one its project."
    )
    run: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The run of MLflow that trained it; its experiment and metrics go along.",
    )
    experiment: str | None = Field(
        None, max_length=200, description="Its experiment, where that MLflow is not the hub's."
    )

    def lineage(self) -> Lineage | None:
        """None where nothing is said of it."""
        if self.run is None and self.experiment is None:
            return None
        return Lineage(run=self.run or "", experiment=self.experiment or "")


class ExaminationReport(Answer):
    """What the sandboxed child found."""

    passed: bool
    reason: str
    provider: str
    runtime: str
    nodes: dict[str, int]
    peak_bytes: int
    run_us: int
    rule: str | None = Field(None, description="Of a refusal: the stable id of its rule.")
    node: str | None = Field(None, description="Of a refusal: the node it speaks of, if one.")

    @classmethod
    def of(cls, found: Examination) -> ExaminationReport:
        return cls.model_validate(found, from_attributes=True)


class Registered(Answer):
    model: ModelId
    name: str
    version: int
    digest: Digest
    created: bool = Field(description="False when this digest was a version already.")
    tracked: bool = Field(description="Whether MLflow knows of it yet; if not, it will.")
    why_not_tracked: str | None = Field(None, description="Why MLflow does not know of it yet.")
    examination: ExaminationReport


class Promotion(Answer):
    """Where the version answers now. Nobody is waited for when the status is 200."""

    model: ModelId
    alias: str
    version: int | None = Field(description="None: there is no such alias any more.")
    rollout: str | None = Field(None, description="The rollout that began, with a part.")
    published_on: list[str]
    waiting_for: list[str]
    failed_on: dict[str, str] = Field(description="Replica -> error code of its failed load.")


class UsageReport(Items[UsageSum]):
    """Sums for since ≤ time < until, in microseconds since 1970."""

    since_us: int
    until_us: int


class AuditPage(Items[AuditEntry]):
    """`next` is the `before` of the next page; none at the end."""

    next: int | None


class Ingested(Answer):
    accepted: int
    new: int


class RayStatus(Answer):
    reachable: bool
    since_unix_us: int
    applied: int = Field(description="How often the desired state was sent.")
    error: str | None

    @classmethod
    def of(cls, state: RayState) -> RayStatus:
        return cls.model_validate(state, from_attributes=True)


class PoolStatus(Answer):
    """A pool as the settings want it and as Ray reports it; `absent` when Ray does not have it."""

    name: str
    provider: str
    route_prefix: str
    grpc_port: int | None = Field(description="Where its replicas answer gRPC; null: nowhere.")
    wanted: int = Field(description="Replicas; the least of them where their number is scaled.")
    running: int
    status: str
    why: str | None = Field(description="What keeps it from serving, where that is known.")

    @classmethod
    def of(cls, pool: Pool, found: ApplicationState | None, why: str | None) -> PoolStatus:
        return cls(
            name=pool.name,
            provider=pool.provider,
            route_prefix=pool.route_prefix,
            grpc_port=pool.grpc_port,
            wanted=pool.autoscaling.min_replicas if pool.autoscaling else pool.replicas,
            running=found.running if found else 0,
            status=found.status if found else "absent",
            why=why,
        )


class ReplicaStatus(Answer):
    """One replica by its last heartbeat. `current` when it has the newest table."""

    replica: str
    pool: str
    age_s: float
    live: bool
    table_version: str
    current: bool
    ready: int = Field(description="How many versions it has published.")
    failed: dict[str, str] = Field(description="`model/version` -> error code of a failed load.")

    @classmethod
    def of(cls, replica: Replica, current: bool) -> ReplicaStatus:
        beat = replica.heartbeat
        return cls(
            replica=beat.replica,
            pool=beat.pool,
            age_s=round(replica.age_s, 3),
            live=replica.live,
            table_version=beat.table_version,
            current=current,
            ready=sum(map(len, beat.ready.values())),
            failed=beat.failed,
        )


class TrackingStatus(Answer):
    """How far MLflow is behind. Serving and roll-back do not wait for it."""

    waiting: int = Field(description="Changes that MLflow has yet to hear of.")
    since_unix_us: int | None = Field(description="When the oldest of them happened.")
    problem: str | None = Field(description="Why nothing can be told now.")
    stuck: dict[ModelId, str] = Field(
        description="Model -> why MLflow does not take what waits for it; the others are told."
    )

    @classmethod
    def of(cls, waiting: Waiting, state: MirrorState) -> TrackingStatus:
        return cls(
            waiting=waiting.items,
            since_unix_us=waiting.since_unix_us,
            problem=state.problem if waiting.items else None,
            stuck=dict(state.stuck),
        )


class HubStatus(Answer):
    table_version: str
    outbox_pending: int = Field(description="Changes MLflow has yet to hear of.")
    mlflow: TrackingStatus
    budget_drift: int | None = Field(
        description="Numbers of budgets that are not what their rows add up to: 0, or a defect. "
        "Null until it was looked at."
    )
    ray: RayStatus
    pools: list[PoolStatus]
    replicas: list[ReplicaStatus]


Since = Annotated[
    AwareDatetime | None, Query(description="From this moment on; default: a day before `until`.")
]
Until = Annotated[AwareDatetime | None, Query(description="Up to this moment; default: now.")]


def span(since: datetime | None, until: datetime | None, now_us: int) -> tuple[int, int]:
    """The asked-for span as exact integers."""
    until_us = now_us if until is None else (until - _EPOCH) // timedelta(microseconds=1)
    if since is None:
        return until_us - 86_400_000_000, until_us
    return (since - _EPOCH) // timedelta(microseconds=1), until_us
