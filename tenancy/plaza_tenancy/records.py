"""The registry's rows: models, versions, aliases, and the outbox that tells MLflow of them."""

from __future__ import annotations

from plaza_core.ports import ModelVersion, NewVersion, OutboxItem
from plaza_core.principal import TenantScope
from plaza_core.table import ModelEntry, Visibility


class Records:
    """ModelRecords on SQL, see `plaza_core.ports`."""

    def add_version(self, scope: TenantScope, new: NewVersion) -> tuple[ModelVersion, bool]:
        """(version, created). The same digest again returns the existing version unchanged.

        The first version makes the model and receives the alias `champion`. A later version must
        name the model's visibility as it is (Conflict otherwise): `set_visibility` changes it.
        Making a model public needs the stored actor's right `models.publish`.
        """
        raise NotImplementedError

    def set_alias(self, scope: TenantScope, name: str, alias: str, version: int) -> ModelEntry:
        """Raises ModelNotFound unless the model is the scope's own, NotFound for the version."""
        raise NotImplementedError

    def set_visibility(self, scope: TenantScope, name: str, visibility: Visibility) -> ModelEntry:
        raise NotImplementedError

    def get(self, scope: TenantScope, name: str) -> ModelEntry:
        raise NotImplementedError

    def visible(self, scope: TenantScope) -> list[ModelEntry]:
        raise NotImplementedError

    def versions(self, scope: TenantScope, name: str) -> list[ModelVersion]:
        """Newest first."""
        raise NotImplementedError

    def pending(self, limit: int) -> list[OutboxItem]:
        """Oldest first. Payloads: `version` {model, name, organisation, project, version, digest,
        family, card, created_unix_us, examination}, `alias` {model, alias, version}."""
        raise NotImplementedError

    def done(self, item: int) -> None:
        raise NotImplementedError
