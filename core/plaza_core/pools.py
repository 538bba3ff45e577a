"""Pools as the settings describe them: replicas of one hardware class and one environment.

The main pool is always there, at `/`; each further one answers at `/pools/NAME`. A version is
served by the pools that it is certified for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAIN_POOL: Final = "main"
_Frozen = ConfigDict(frozen=True, extra="forbid")


class Autoscaling(BaseModel):
    """Bounds of a pool's replicas, between which the time that requests wait decides."""

    model_config = _Frozen

    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(ge=1)
    queue_ms: float = Field(20.0, gt=0)
    """More replicas while requests wait longer than this on average, fewer below a quarter."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is at least min_replicas")
        return self


class Pool(BaseModel):
    """One pool: what its replicas run on, in which environment, and how many there are."""

    model_config = _Frozen

    name: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
    provider: str = "cpu"
    options: dict[str, Any] = {}
    """Of the provider, checked by its schema when a replica starts."""
    environment: Path | None = None
    """The Python interpreter of the pool's virtual environment; None: the hub's own. It has the
    same Python minor, Ray and Plaza as the hub."""
    resources: dict[str, Annotated[float, Field(gt=0)]] = {}
    """What one replica takes of a node besides CPUs, by Ray's names: `GPU`, `NPU`, or one's own."""
    cpus: float = Field(0.1, ge=0)
    """CPU share that Ray reserves per replica: placement only."""
    replicas: int = Field(1, ge=1)
    grpc_port: int | None = Field(None, ge=1, le=65_535)
    """Where its replicas answer gRPC themselves; None: nowhere."""
    autoscaling: Autoscaling | None = None
    """Bounds instead of a fixed number of `replicas`."""

    @field_validator("environment")
    @classmethod
    def _from_anywhere(cls, value: Path | None) -> Path | None:
        """Absolute, because Ray's workers run elsewhere; not resolved, because the link into a
        virtual environment is what makes it one."""
        return None if value is None else value.absolute()

    @property
    def route_prefix(self) -> str:
        return "/" if self.name == MAIN_POOL else f"/pools/{self.name}"

    @property
    def door_prefix(self) -> str:
        """What the door takes off paths: Ray Serve leaves the route prefix on them."""
        return door_prefix(self.name)


def door_prefix(pool: str) -> str:
    """What stands before every path of a pool's own address."""
    return "" if pool == MAIN_POOL else f"/pools/{pool}"


def valid_pools(further: list[Pool]) -> list[Pool]:
    """Raises ValueError for a name that is taken or the main pool's."""
    names = [pool.name for pool in further]
    if MAIN_POOL in names:
        raise ValueError("the main pool is described by settings of its own")
    if len(set(names)) != len(names):
        raise ValueError("two pools have the same name")
    return further
