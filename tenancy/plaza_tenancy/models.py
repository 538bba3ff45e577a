"""Finding models for a verb: the scope's own to change, the visible ones to read."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.ids import ModelId, OrganisationId
from plaza_core.names import resolve
from plaza_core.ports import ModelVersion
from plaza_core.principal import TenantScope
from plaza_core.running import Examination
from plaza_core.table import ModelEntry
from plaza_core.tracking import Lineage
from plaza_tenancy.catalogue import Head, entries, heads, visible_to
from plaza_tenancy.rows import owned
from plaza_tenancy.schema import ModelRow, VersionRow
from plaza_tenancy.states import CALLABLE, state_of
from plaza_tenancy.store import Change


def own_model(change: Change, scope: TenantScope, name: str) -> ModelRow:
    """The model that a verb may change; for everybody else's it is as if there were none.

    The change is about its organisation and project from here on. Raises ModelNotFound.
    """
    model = own_model_to_read(change.session, scope, name)
    change.organisation, change.project = model.organisation, model.project
    return model


def own_model_to_read(session: Session, scope: TenantScope, name: str) -> ModelRow:
    conditions = [ModelRow.name == name.rpartition(".")[2], *owned(scope, ModelRow)]
    head = resolve(name, heads(session, conditions), scope.organisation, scope.project)
    return session.get_one(ModelRow, (head.organisation, head.id))


def visible_model(session: Session, scope: TenantScope, name: str) -> Head:
    conditions = [ModelRow.name == name.rpartition(".")[2], *visible_to(scope)]
    return resolve(name, heads(session, conditions), scope.organisation, scope.project)


def entry_of(session: Session, organisation: OrganisationId, model: ModelId) -> ModelEntry:
    """All of it, as its owner sees it."""
    conditions = [ModelRow.organisation == organisation, ModelRow.id == model]
    return entries(session, conditions)[0]


def as_seen(scope: TenantScope, model: ModelEntry) -> ModelEntry:
    """Whoever does not own a model sees what may be called of it, where it is certified, and
    nothing of its rollouts or of who else may call it."""
    if scope.organisation in {None, model.organisation}:
        return model
    return model.model_copy(
        update={
            "versions": [
                version.model_copy(
                    update={"certificates": [one for one in version.certificates if one.passed]}
                )
                for version in model.versions
                if version.state in CALLABLE
            ],
            "splits": {},
            "shared_with": [guest for guest in model.shared_with if guest == scope.organisation],
        }
    )


def full_name(session: Session, model: ModelRow) -> str:
    conditions = [ModelRow.organisation == model.organisation, ModelRow.id == model.id]
    (head,) = heads(session, conditions)
    return head.full_name


def version_view(
    row: VersionRow, name: str, serving: Collection[int], *, lineage: bool = True
) -> ModelVersion:
    """`lineage`: whether where it comes from may be told, which is its own organisation's."""
    found = Examination(**row.examination)
    return ModelVersion(
        model=row.model,
        name=name,
        version=row.version,
        digest=row.digest,
        family=row.family,
        created_unix_us=row.created,
        card=row.card,
        state=state_of(row, serving),
        lineage=Lineage.model_validate(row.lineage) if lineage and row.lineage else None,
        refusal=None if found.passed else found.why,
    )


def versions_of(session: Session, organisation: OrganisationId, model: ModelId) -> list[VersionRow]:
    """Newest first."""
    query = select(VersionRow).filter_by(organisation=organisation, model=model)
    return list(session.scalars(query.order_by(VersionRow.version.desc())))
