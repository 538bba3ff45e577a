"""The registry's rows: models, versions and aliases. What changes is told to MLflow (`outbox`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, ModelNotFound, NotFound
from plaza_core.ids import ModelId, OrganisationId, new_id, valid_alias, valid_digest, valid_name
from plaza_core.names import CHAMPION, distance, resolve
from plaza_core.ports import Examination, ModelVersion, NewVersion
from plaza_core.principal import Right, TenantScope
from plaza_core.table import ModelEntry, Visibility
from plaza_core.tracking import Lineage
from plaza_tenancy import outbox
from plaza_tenancy.access import stored_actor
from plaza_tenancy.catalogue import Head, entries, heads, visible_to
from plaza_tenancy.rows import one_organisation, owned
from plaza_tenancy.schema import AliasRow, ModelRow, ProjectRow, VersionRow
from plaza_tenancy.store import Change, Store


class Records:
    """ModelRecords on SQL, see `plaza_core.ports`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ── changes ──────────────────────────────────────────────────────────────────────────────────
    def add_version(self, scope: TenantScope, new: NewVersion) -> tuple[ModelVersion, bool]:
        """(version, created). The same digest again returns the existing version unchanged.

        The first version makes the model and receives the alias `champion`. A later version must
        name the model's visibility as it is (Conflict otherwise): `set_visibility` changes it.
        Making a model public needs the stored actor's right `models.publish`.
        """
        one_organisation(scope)
        valid_name(new.name)
        valid_digest(new.digest)
        with self._store.change(scope, "model.add_version", new.name) as change:
            project = _project(change.session, scope, new.project)
            model = change.session.scalars(
                select(ModelRow).filter_by(
                    organisation=project.organisation, project=project.id, name=new.name
                )
            ).one_or_none()
            if model is None:
                model = self._add_model(change, project, new)
            elif existing := _same_digest(change.session, model, new):
                change.nothing_to_do()
                return _version_view(existing, model.name), False
            elif model.visibility != new.visibility:
                raise Conflict(
                    f"the model's visibility is '{model.visibility}'; a version does not change it",
                    input="visibility",
                )
            row = _add_version(change, model, new, project.name)
            if row.version == 1:
                _point(change, model, CHAMPION, 1)
            change.project = project.id
            change.after = {
                "model": model.id,
                "version": row.version,
                "digest": row.digest,
                "visibility": model.visibility,
            }
            return _version_view(row, model.name), True

    def set_alias(self, scope: TenantScope, name: str, alias: str, version: int) -> ModelEntry:
        """Raises ModelNotFound unless the model is the scope's own and has this version."""
        valid_alias(alias)
        with self._store.change(scope, "model.set_alias", name) as change:
            model = _own_model(change, scope, name)
            if change.session.get(VersionRow, (model.organisation, model.id, version)) is None:
                raise ModelNotFound("the model has no such version", input="version")
            present = change.session.get(AliasRow, (model.organisation, model.id, alias))
            if present is not None and present.version == version:
                change.nothing_to_do()
            else:
                change.before = {alias: present.version if present else None}
                change.after = {alias: version}
                _point(change, model, alias, version)
            return _entry(change.session, model.organisation, model.id)

    def remove_alias(self, scope: TenantScope, name: str, alias: str) -> ModelEntry:
        """Nothing happens where there is no such alias. Raises Conflict for `champion`, which is
        what a call without a version means."""
        valid_alias(alias)
        if alias == CHAMPION:
            raise Conflict("every model keeps a champion; point it elsewhere", input="alias")
        with self._store.change(scope, "model.remove_alias", name) as change:
            model = _own_model(change, scope, name)
            present = change.session.get(AliasRow, (model.organisation, model.id, alias))
            if present is None:
                change.nothing_to_do()
            else:
                change.before, change.after = {alias: present.version}, {alias: None}
                change.session.delete(present)
                change.session.flush()
                gone = {"model": model.id, "alias": alias, "version": None}
                outbox.post(change, model, "alias", gone)
            return _entry(change.session, model.organisation, model.id)

    def set_visibility(self, scope: TenantScope, name: str, visibility: Visibility) -> ModelEntry:
        """Raises Forbidden when it becomes public and the actor lacks `models.publish`."""
        with self._store.change(scope, "model.set_visibility", name) as change:
            model = _own_model(change, scope, name)
            if model.visibility == visibility:
                change.nothing_to_do()
            else:
                if visibility is Visibility.PUBLIC:
                    _demand_publish(change)
                change.before = {"visibility": model.visibility}
                change.after = {"visibility": visibility}
                model.visibility = visibility
                change.session.flush()
            return _entry(change.session, model.organisation, model.id)

    def _add_model(self, change: Change, project: ProjectRow, new: NewVersion) -> ModelRow:
        if new.visibility is Visibility.PUBLIC:
            _demand_publish(change)
        model = ModelRow(
            organisation=project.organisation,
            id=ModelId(new_id("mdl", self._store.random)),
            project=project.id,
            name=new.name,
            visibility=new.visibility,
            created=change.now,
        )
        change.session.add(model)
        change.session.flush()
        return model

    # ── reading ──────────────────────────────────────────────────────────────────────────────────
    def get(self, scope: TenantScope, name: str) -> ModelEntry:
        with self._store.read(scope) as session:
            head = _visible(session, scope, name)
            return _entry(session, head.organisation, head.id)

    def visible(self, scope: TenantScope) -> list[ModelEntry]:
        with self._store.read(scope) as session:
            found = entries(session, visible_to(scope))
        return sorted(
            found, key=lambda model: distance(model, scope.organisation, scope.project) or 0
        )

    def versions(self, scope: TenantScope, name: str) -> list[ModelVersion]:
        """Newest first. Where they come from is told to their own organisation only."""
        with self._store.read(scope) as session:
            head = _visible(session, scope, name)
            own = scope.organisation in {None, head.organisation}
            rows = session.scalars(
                select(VersionRow)
                .filter_by(organisation=head.organisation, model=head.id)
                .order_by(VersionRow.version.desc())
            )
            return [_version_view(row, head.name, lineage=own) for row in rows]


def _project(session: Session, scope: TenantScope, name: str) -> ProjectRow:
    query = select(ProjectRow).filter_by(organisation=scope.organisation, name=name)
    if scope.project is not None:
        query = query.filter_by(id=scope.project)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("there is no such project", input="project")
    return row


def _own_model(change: Change, scope: TenantScope, name: str) -> ModelRow:
    """The model that a verb may change; for everybody else's it is as if there were none."""
    conditions = [ModelRow.name == name.rpartition(".")[2], *owned(scope, ModelRow)]
    found = heads(change.session, conditions)
    head = resolve(name, found, scope.organisation, scope.project)
    change.organisation, change.project = head.organisation, head.project
    return change.session.get_one(ModelRow, (head.organisation, head.id))


def _visible(session: Session, scope: TenantScope, name: str) -> Head:
    conditions = [ModelRow.name == name.rpartition(".")[2], *visible_to(scope)]
    return resolve(name, heads(session, conditions), scope.organisation, scope.project)


def _demand_publish(change: Change) -> None:
    stored_actor(change.session, change.scope, change.now).require(Right.MODELS_PUBLISH)


def _same_digest(session: Session, model: ModelRow, new: NewVersion) -> VersionRow | None:
    query = select(VersionRow).filter_by(
        organisation=model.organisation, model=model.id, digest=new.digest
    )
    return session.scalars(query).one_or_none()


def _add_version(change: Change, model: ModelRow, new: NewVersion, project_name: str) -> VersionRow:
    last = change.session.scalar(
        select(func.max(VersionRow.version)).filter_by(
            organisation=model.organisation, model=model.id
        )
    )
    row = VersionRow(
        organisation=model.organisation,
        model=model.id,
        version=(last or 0) + 1,
        digest=new.digest,
        family=new.manifest.family,
        manifest=new.manifest.model_dump(mode="json", by_alias=True),
        files=[file.model_dump(mode="json") for file in new.files],
        card=new.card,
        examination=_examination(new.examination),
        created=change.now,
        created_by=change.scope.actor,
        lineage=None if new.lineage is None else new.lineage.model_dump(mode="json"),
    )
    change.session.add(row)
    change.session.flush()
    outbox.post(
        change,
        model,
        "version",
        outbox.version_payload(model, row, project_name, first=row.version == 1),
    )
    return row


def _point(change: Change, model: ModelRow, alias: str, version: int) -> None:
    change.session.merge(
        AliasRow(organisation=model.organisation, model=model.id, alias=alias, version=version)
    )
    change.session.flush()
    outbox.post(change, model, "alias", {"model": model.id, "alias": alias, "version": version})


def _entry(session: Session, organisation: OrganisationId, model: ModelId) -> ModelEntry:
    conditions = [ModelRow.organisation == organisation, ModelRow.id == model]
    return entries(session, conditions)[0]


def _version_view(row: VersionRow, name: str, *, lineage: bool = True) -> ModelVersion:
    return ModelVersion(
        model=row.model,
        name=name,
        version=row.version,
        digest=row.digest,
        family=row.family,
        created_unix_us=row.created,
        card=row.card,
        lineage=Lineage.model_validate(row.lineage) if lineage and row.lineage else None,
    )


def _examination(found: Examination) -> dict[str, Any]:
    return {
        "passed": found.passed,
        "reason": found.reason,
        "provider": found.provider,
        "runtime": found.runtime,
        "nodes": dict(found.nodes),
        "peak_bytes": found.peak_bytes,
        "run_us": found.run_us,
    }
