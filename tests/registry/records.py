"""ModelRecords and MirrorRecords in memory: the rules of the ports, without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plaza_core.errors import ModelNotFound
from plaza_core.ids import Digest, ModelId, OrganisationId, ProjectId
from plaza_core.ports import ModelVersion, NewVersion, OutboxItem
from plaza_core.principal import TenantScope
from plaza_core.table import ModelEntry, VersionEntry, Visibility
from plaza_core.tracking import Mirrored, Sighting, Waiting


class MemoryRecords:
    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[tuple[ModelVersion, NewVersion]]] = {}
        self.aliases: dict[ModelId, dict[str, int]] = {}
        self.outbox: list[OutboxItem] = []
        self._items = 0
        self.held: list[tuple[Digest, ...]] = []

    def hold(self, scope: TenantScope, digests: Sequence[Digest]) -> str:
        self.held.append(tuple(digests))
        return f"hld_{len(self.held)}"

    def add_version(self, scope: TenantScope, new: NewVersion) -> tuple[ModelVersion, bool]:
        known = self.rows.setdefault((str(scope.organisation), new.name), [])
        for version, _ in known:
            if version.digest == new.digest:
                return version, False
        model = ModelId(f"mdl_{scope.organisation}_{new.name}")
        family = new.manifest.family
        version = ModelVersion(
            model, new.name, len(known) + 1, new.digest, family, 1_700_000_000_000_000, new.card
        )
        known.append((version, new))
        self._tell_version(version, new)
        if version.version == 1:
            self.aliases[model] = {"champion": 1}
            self._tell("alias", {"model": model, "alias": "champion", "version": 1})
        return version, True

    def set_alias(self, scope: TenantScope, name: str, alias: str, version: int) -> ModelEntry:
        model = self.get(scope, name)
        if version not in [entry.version for entry in model.versions]:
            raise ModelNotFound("no such version", input=name)
        self.aliases[model.id][alias] = version
        self._tell("alias", {"model": model.id, "alias": alias, "version": version})
        return self.get(scope, name)

    def get(self, scope: TenantScope, name: str) -> ModelEntry:
        known = self.rows.get((str(scope.organisation), name))
        if not known:
            raise ModelNotFound("no such model", input=name)
        first, new = known[0]
        return ModelEntry(
            id=first.model,
            name=name,
            organisation=OrganisationId(str(scope.organisation)),
            organisation_name="org",
            project=ProjectId(str(scope.project)),
            project_name=new.project,
            visibility=new.visibility or Visibility.PROJECT,
            versions=[
                VersionEntry(
                    version=v.version, digest=v.digest, manifest=n.manifest, files=list(n.files)
                )
                for v, n in known
            ],
            aliases=self.aliases[first.model],
        )

    def visible(self, scope: TenantScope) -> list[ModelEntry]:
        mine = [name for organisation, name in self.rows if organisation == scope.organisation]
        return [self.get(scope, name) for name in mine]

    def versions(self, scope: TenantScope, name: str) -> list[ModelVersion]:
        return [version for version, _ in self.rows.get((str(scope.organisation), name), [])]

    # ── MirrorRecords, as far as one process without people needs it ──────────────────────────────
    def pending(self, limit: int, after: int = 0) -> list[OutboxItem]:
        return [item for item in self.outbox if item.id > after][:limit]

    def done(self, item: int, number: int | None = None) -> None:
        self.outbox = [waiting for waiting in self.outbox if waiting.id != item]

    def waiting(self, model: ModelId | None = None) -> Waiting:
        items = [i for i in self.outbox if model is None or i.payload["model"] == model]
        return Waiting(len(items), 1 if items else None)

    def tell_again(self, model: ModelId, *, lost: bool) -> None:
        self.outbox = [item for item in self.outbox if item.payload["model"] != model]
        for known in self.rows.values():
            for version, new in known:
                if version.model == model:
                    self._tell_version(version, new)
        for alias, at in self.aliases[model].items():
            self._tell("alias", {"model": model, "alias": alias, "version": at})

    def known(self, model: ModelId | None = None) -> dict[ModelId, Mirrored]:
        return {}

    def noticed(self, seen: Sighting) -> bool:
        return False

    def _tell_version(self, version: ModelVersion, new: NewVersion) -> None:
        payload = {"model": version.model, "version": version.version, "digest": version.digest}
        names = {"organisation": "org", "project": new.project, "name": new.name}
        self._tell("version", payload | names | {"family": version.family, "card": version.card})

    def _tell(self, kind: str, payload: Mapping[str, Any]) -> None:
        self._items += 1
        self.outbox.append(OutboxItem(self._items, kind, payload))
