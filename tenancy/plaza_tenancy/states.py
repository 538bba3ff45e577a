"""Where a version stands, derived from its marks and from the aliases: one rule for all readers.

retired mark > in the split of an alias > withdrawn or not examined > staged mark > examined
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.compatibility import breaking
from plaza_core.errors import BreakingChange, Conflict, DoesNotFit, ModelNotFound
from plaza_core.manifest import Manifest
from plaza_core.rollout import Split, VersionState
from plaza_tenancy.schema import AliasRow, ModelRow, VersionRow

CALLABLE = frozenset({VersionState.EXAMINED, VersionState.STAGED, VersionState.SERVING})
"""The states of versions that replicas hear of."""

_MIB = 1 << 20


def state_of(row: VersionRow, serving: Collection[int]) -> VersionState:
    """`serving`: the versions in the splits of the model's aliases."""
    if row.retired is not None:
        return VersionState.RETIRED
    if row.version in serving:
        return VersionState.SERVING
    if not is_examined(row):
        return VersionState.REGISTERED
    return VersionState.EXAMINED if row.staged is None else VersionState.STAGED


def is_examined(row: VersionRow) -> bool:
    return row.withdrawn is None and bool(row.examination.get("passed"))


def resident_bytes(row: VersionRow) -> int:
    """What its examination saw it take; 0: not known."""
    return int(row.examination.get("peak_bytes", 0))


def split_of(row: AliasRow) -> Split:
    return Split(
        stable=row.version,
        weights=_parts(row.weights),
        shadows=_parts(row.shadows),
        rollout=row.rollout,
    )


def served_by(aliases: Iterable[AliasRow]) -> dict[int, list[str]]:
    """Version -> the aliases that give it traffic."""
    found: dict[int, list[str]] = {}
    for row in aliases:
        for version in split_of(row).versions():
            found.setdefault(version, []).append(row.alias)
    return found


def aliases_of(session: Session, model: ModelRow) -> list[AliasRow]:
    query = select(AliasRow).filter_by(organisation=model.organisation, model=model.id)
    return list(session.scalars(query.order_by(AliasRow.alias)))


def version_of(session: Session, model: ModelRow, version: int) -> VersionRow:
    """Raises ModelNotFound."""
    row = session.get(VersionRow, (model.organisation, model.id, version))
    if row is None:
        raise ModelNotFound("the model has no such version", input="version")
    return row


def demand_callable(row: VersionRow) -> None:
    """Raises Conflict unless traffic may be given to this version."""
    if row.retired is not None:
        raise Conflict(f"version {row.version} is retired; restore it first", input="version")
    if row.withdrawn is not None:
        raise Conflict(
            f"the examination of version {row.version} was withdrawn; examine it again",
            input="version",
        )
    if not is_examined(row):
        raise Conflict(f"version {row.version} has not been examined", input="version")


def demand_fit(row: VersionRow, room: int | None) -> None:
    """Raises DoesNotFit when a replica whose budget is `room` bytes could never hold it."""
    needs = resident_bytes(row)
    if room is not None and needs > room:
        raise DoesNotFit(
            f"version {row.version} takes {-(-needs // _MIB)} MiB and a replica holds at most"
            f" {room // _MIB} MiB of models (setting model_memory_mb)",
            input="version",
        )


def demand_compatible(stable: VersionRow, wanted: VersionRow) -> None:
    """Raises BreakingChange when callers of `stable` could fail with `wanted`."""
    before, after = (Manifest.model_validate(row.manifest) for row in (stable, wanted))
    if found := breaking(before, after):
        listed = "; ".join(map(str, found))
        raise BreakingChange(
            f"callers of version {stable.version} would break: {listed}", input="version"
        )


def _parts(kept: Mapping[str, Any] | None) -> dict[int, int]:
    return {int(version): int(part) for version, part in (kept or {}).items()}
