"""Where a model is served: its address in each pool, which spares callers the hop between pools."""

from __future__ import annotations

from pydantic import Field

from plaza_core.names import CHAMPION, full
from plaza_core.pools import Pool
from plaza_core.table import ModelEntry, VersionEntry
from plaza_serving.control.parts import Parts
from plaza_serving.control.shapes.base import Answer


class ModelAddress(Answer):
    """A pool that serves the model, and where."""

    pool: str
    path: str = Field(description="Below the address of the inference API.")
    grpc_port: int | None = Field(description="Where the pool answers gRPC itself, if anywhere.")
    live: bool = Field(description="A replica is running that may open it.")


class ModelShown(ModelEntry):
    addresses: list[ModelAddress] = Field(
        description="Of the version that its champion means, else of the newest. The hub's own "
        "address takes requests for all of them; these spare a hop between pools."
    )


def shown(hub: Parts, model: ModelEntry) -> ModelShown:
    """On control's loop or a thread of it: the fleet is read only."""
    version = _meant(model)
    addresses = [] if version is None else _addresses(hub, model, version)
    return ModelShown(**dict(model), addresses=addresses)


def _meant(model: ModelEntry) -> VersionEntry | None:
    champion = model.aliases.get(CHAMPION)
    named = (one for one in model.versions if one.version == champion)
    return next(named, max(model.versions, key=lambda one: one.version, default=None))


def _addresses(hub: Parts, model: ModelEntry, version: VersionEntry) -> list[ModelAddress]:
    passed = [one for one in version.certificates if one.passed]
    beats = [replica.heartbeat for replica in hub.fleet.replicas() if replica.live]
    running = {(b.pool, b.environment.fingerprint) for b in beats if b.environment is not None}

    def of(pool: Pool) -> ModelAddress:
        mine = [one.environment for one in passed if one.provider == pool.provider]
        return ModelAddress(
            pool=pool.name,
            path=f"{pool.door_prefix}/v2/models/{full(model)}",
            grpc_port=pool.grpc_port,
            live=any((pool.name, environment) in running for environment in mine),
        )

    providers = {one.provider for one in passed if version.manifest.meant_for(one.provider)}
    return [of(pool) for pool in hub.settings.all_pools if pool.provider in providers]
