"""The registry's rows: models, versions and aliases. What changes is told to MLflow (`outbox`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plaza_core.errors import Conflict, ModelNotFound, NotFound
from plaza_core.held import Held
from plaza_core.ids import Digest, ModelId, new_id, valid_digest, valid_name
from plaza_core.names import CHAMPION, distance
from plaza_core.ports import ModelVersion, NewVersion
from plaza_core.principal import TenantScope
from plaza_core.rollout import Split, VersionState
from plaza_core.running import Examination
from plaza_core.table import ModelEntry, Visibility
from plaza_tenancy import outbox
from plaza_tenancy.aliases import Aliases
from plaza_tenancy.catalogue import entries, visible_to
from plaza_tenancy.certificates import add_certificates, facts_of
from plaza_tenancy.holdings import make_room
from plaza_tenancy.holds import claim_hold, take_hold
from plaza_tenancy.models import as_seen, entry_of, version_view, versions_of, visible_model
from plaza_tenancy.rows import examination_facts, one_organisation
from plaza_tenancy.schema import ModelRow, ProjectRow, VersionRow
from plaza_tenancy.search import refresh_search
from plaza_tenancy.states import aliases_of, is_examined, served_by
from plaza_tenancy.steps import StepKind, go
from plaza_tenancy.store import Change, Store
from plaza_tenancy.views import VersionDetails
from plaza_tenancy.visibility import demand_may_publish


class Records:
    """ModelRecords on SQL, see `plaza_core.ports`."""

    def __init__(self, store: Store, aliases: Aliases | None = None) -> None:
        self._store = store
        self._aliases = aliases or Aliases(store)

    # ── changes ──────────────────────────────────────────────────────────────────────────────────
    def hold(self, scope: TenantScope, digests: Sequence[Digest]) -> str:
        """See `plaza_core.ports.ModelRecords`."""
        return take_hold(self._store, scope, digests)

    def add_version(self, scope: TenantScope, new: NewVersion) -> tuple[ModelVersion, bool]:
        """(version, created). The same digest again returns the existing version unchanged.

        The first version makes the model and receives the alias `champion`. A later version names
        the model's visibility as it is or none (Conflict otherwise): `set_visibility` changes it.
        A model begins public only where the stored actor publishes for the hub (`Visibilities`).
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
            size = sum(file.size for file in new.files)
            more = {Held.VERSIONS: 1, Held.BYTES: size}
            if model is None:
                make_room(change, project.organisation, project.id, {**more, Held.MODELS: 1})
                model = self._add_model(change, project, new)
            elif existing := _same_digest(change.session, model, new):
                change.nothing_to_do()
                serving = served_by(aliases_of(change.session, model))
                return version_view(existing, model.name, serving), False
            elif new.visibility not in {None, model.visibility}:
                raise Conflict(
                    f"the model's visibility is '{model.visibility}'; a version does not change it",
                    input="visibility",
                )
            else:
                make_room(change, project.organisation, project.id, more)
            if new.hold is not None:
                claim_hold(change, project.organisation, new)
            row = _add_version(change, model, new, project.name)
            add_certificates(change, row, new.certificates)
            refresh_search(change.session, model)
            first = row.version == 1 and is_examined(row)
            if first:
                go(change, model, CHAMPION, Split(stable=1), kind=StepKind.PROMOTE, why="first")
            change.before, change.project = None, project.id
            change.after = _facts(model, row, new)
            return version_view(row, model.name, {1} if first else ()), True

    def set_alias(self, scope: TenantScope, name: str, alias: str, version: int) -> ModelEntry:
        """Promote as `Aliases.promote` does, for those who know nothing of its choices."""
        return self._aliases.promote(scope, name, alias, version)

    def _add_model(self, change: Change, project: ProjectRow, new: NewVersion) -> ModelRow:
        if new.visibility is Visibility.PUBLIC:
            demand_may_publish(change)
        model = ModelRow(
            organisation=project.organisation,
            id=ModelId(new_id("mdl", self._store.random)),
            project=project.id,
            name=new.name,
            visibility=new.visibility or Visibility.PROJECT,
            created=change.now,
        )
        change.session.add(model)
        change.session.flush()
        return model

    # ── reading ──────────────────────────────────────────────────────────────────────────────────
    def get(self, scope: TenantScope, name: str) -> ModelEntry:
        with self._store.read(scope) as session:
            head = visible_model(session, scope, name)
            return as_seen(scope, entry_of(session, head.organisation, head.id))

    def visible(self, scope: TenantScope) -> list[ModelEntry]:
        with self._store.read(scope) as session:
            found = [as_seen(scope, model) for model in entries(session, visible_to(scope))]
        return sorted(
            found, key=lambda model: distance(model, scope.organisation, scope.project) or 0
        )

    def versions(self, scope: TenantScope, name: str) -> list[ModelVersion]:
        """Newest first; of somebody else's model those that may be called, and not where they come
        from."""
        with self._store.read(scope) as session:
            head = visible_model(session, scope, name)
            own = scope.organisation in {None, head.organisation}
            entry = entry_of(session, head.organisation, head.id)
            shown = {version.version for version in as_seen(scope, entry).versions}
            serving = {v.version for v in entry.versions if v.state is VersionState.SERVING}
            return [
                version_view(row, head.name, serving, lineage=own)
                for row in versions_of(session, head.organisation, head.id)
                if row.version in shown
            ]

    def details(self, scope: TenantScope, name: str, version: str) -> VersionDetails:
        """`version`: a number or an alias. Raises ModelNotFound."""
        with self._store.read(scope) as session:
            head = visible_model(session, scope, name)
            entry = as_seen(scope, entry_of(session, head.organisation, head.id))
            named = entry.aliases.get(version)
            found = next(
                (v for v in entry.versions if str(v.version) == version or v.version == named), None
            )
            if found is None:
                raise ModelNotFound("the model has no such version or alias", input="version")
            row = session.get_one(VersionRow, (head.organisation, head.id, found.version))
            return VersionDetails(
                model=head.full_name,
                entry=found,
                card=row.card,
                examination=Examination(**row.examination),
            )


def _project(session: Session, scope: TenantScope, name: str) -> ProjectRow:
    query = select(ProjectRow).filter_by(organisation=scope.organisation, name=name)
    if scope.project is not None:
        query = query.filter_by(id=scope.project)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("there is no such project", input="project")
    return row


def _same_digest(session: Session, model: ModelRow, new: NewVersion) -> VersionRow | None:
    query = select(VersionRow).filter_by(
        organisation=model.organisation, model=model.id, digest=new.digest
    )
    return session.scalars(query).one_or_none()


def _facts(model: ModelRow, row: VersionRow, new: NewVersion) -> dict[str, Any]:
    """What the audit trail keeps of a new version."""
    facts: dict[str, Any] = {
        "model": model.id,
        "version": row.version,
        "digest": row.digest,
        "visibility": model.visibility,
    }
    if new.certificates:
        facts["certificates"] = [facts_of(one) for one in new.certificates]
    return facts


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
        examination=examination_facts(new.examination),
        created=change.now,
        created_by=change.scope.actor,
        lineage=None if new.lineage is None else new.lineage.model_dump(mode="json"),
    )
    change.session.add(row)
    change.session.flush()
    payload = outbox.version_payload(model, row, project_name, (), first=row.version == 1)
    outbox.post(change, model, "version", payload)
    return row
