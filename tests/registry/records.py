"""ModelRecords in memory: the rules of the port, without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plaza_core.errors import ModelNotFound
from plaza_core.ids import Digest, ModelId, OrganisationId, ProjectId
from plaza_core.ports import ModelVersion, NewVersion, OutboxItem
from plaza_core.principal import TenantScope
from plaza_core.table import ModelEntry, VersionEntry


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
        payload = {"model": model, "version": version.version, "digest": new.digest}
        names = {"organisation": str(scope.organisation), "project": new.project, "name": new.name}
        self._tell("version", payload | names | {"family": family, "card": new.card})
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
            visibility=new.visibility,
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

    def pending(self, limit: int) -> list[OutboxItem]:
        return self.outbox[:limit]

    def done(self, item: int) -> None:
        self.outbox = [waiting for waiting in self.outbox if waiting.id != item]

    def _tell(self, kind: str, payload: Mapping[str, Any]) -> None:
        self._items += 1
        self.outbox.append(OutboxItem(self._items, kind, payload))
