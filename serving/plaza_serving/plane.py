"""The plane as its doors see it: every verb of the data path, free of transport.

HTTP and gRPC doors translate into these calls and back. `dataplane.plane.DataPlane` is the real
one;
door tests may use it with the in-memory twins of `plaza_core.testing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from plaza_core.clock import Clock
from plaza_core.ids import Digest, RequestId
from plaza_core.inference import Call, Outcome
from plaza_core.manifest import Manifest
from plaza_core.pools import MAIN_POOL
from plaza_core.principal import Principal
from plaza_core.tensors import Signature
from plaza_serving.pools import Elsewhere
from plaza_serving.statistics import VersionStatistics


@dataclass(frozen=True, slots=True)
class ModelView:
    """One resolved version as a caller may see it."""

    name: str
    """The wire name as the caller wrote it."""
    version: int
    versions: tuple[int, ...]
    digest: Digest
    manifest: Manifest
    signature: Signature
    ready: bool
    """Published on this replica."""
    provider: str = ""
    """What this pool runs it on."""
    placement: Mapping[str, int] | None = None
    """Execution provider -> graph nodes on it, of the open session, else of its certificate."""
    certificate: str = ""
    """The environment that it is certified for, by its fingerprint; "" where there is none."""
    pool: str = MAIN_POOL
    """Whose replica says this."""
    labels: tuple[str, ...] = ()
    """Names of its classes, where its family has some and it is open in this process."""


class Plane(Protocol):
    clock: Clock

    def new_request_id(self) -> RequestId:
        """Made here and never taken from a client."""

    def authenticate(self, authorization: str | None) -> Principal:
        """From the value of an `Authorization` header. Raises Unauthenticated."""

    def model(self, principal: Principal, name: str, version: str | None) -> ModelView:
        """Resolve a wire name; `version` is an integer or an alias, None means `champion`.

        Raises ModelNotFound, also for what belongs to somebody else.
        """

    def elsewhere(self, principal: Principal, name: str, version: str | None) -> Elsewhere | None:
        """Where the model is served when not by this replica's pool. None: here, or not at all."""

    def models(self, principal: Principal) -> list[ModelView]:
        """Every model this caller may use, at its default version."""

    def statistics(
        self, principal: Principal, name: str | None, version: str | None
    ) -> list[VersionStatistics]:
        """What this replica served the caller's organisation of one version, of every version of a
        model, or without a name of all that it used. Raises ModelNotFound."""

    async def infer(self, principal: Principal, call: Call) -> Outcome:
        """The whole path: resolve, admit, queue, prepare, run, interpret, settle."""

    def shared(self, principal: Principal) -> bool:
        """Whether other organisations than the caller's are served here now, or were lately."""

    def live(self) -> bool: ...

    def ready(self) -> bool:
        """A table has arrived and every version in it is published or has failed for good."""
