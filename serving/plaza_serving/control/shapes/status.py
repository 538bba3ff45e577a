"""What is answered of the hub itself: Ray, pools, replicas, MLflow."""

from __future__ import annotations

from pydantic import Field

from plaza_core.ids import ModelId
from plaza_core.pools import Pool
from plaza_core.tracking import MirrorState, Waiting
from plaza_serving.control.fleet import Replica
from plaza_serving.control.reconciler import ApplicationState, RayState
from plaza_serving.control.shapes.base import Answer


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
