"""What a caller may see of a resolved version: the manifest's part and, of this pool, the truth."""

from __future__ import annotations

from collections.abc import Mapping

from plaza_core.certificate import Environment, standing_in
from plaza_core.pools import MAIN_POOL
from plaza_serving.dataplane.catalogue import Resolved
from plaza_serving.dataplane.hosted import Hosted
from plaza_serving.plane import ModelView


def view_of(
    name: str,
    resolved: Resolved,
    hosted: Hosted | None,
    environment: Environment | None,
    *,
    pool: str = MAIN_POOL,
) -> ModelView:
    """`hosted` None: not open here. `environment` None: not a pool of a hub."""
    version = resolved.version
    known = None if environment is None else standing_in(version.certificates, environment)
    return ModelView(
        name=name,
        version=version.version,
        versions=tuple(v.version for v in resolved.model.versions),
        digest=version.digest,
        manifest=version.manifest,
        signature=version.manifest.signature_spec(),
        ready=hosted is not None,
        provider="" if environment is None else environment.provider,
        placement=_proven(hosted) or (None if known is None else known.placement),
        labels=() if hosted is None else hosted.labels,
        certificate=known.environment if known is not None and known.passed else "",
        pool=pool,
    )


def _proven(hosted: Hosted | None) -> Mapping[str, int] | None:
    """Of the open session, where its runner can tell."""
    return None if hosted is None else getattr(hosted.runner, "placement", None)
