"""Names to versions, out of the last hub table.

A wire name is `model`, `project.model` or `organisation.project.model`. A short name is looked up
in the caller's project, then in its organisation, then among what is public. What belongs to
somebody else answers exactly as what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plaza_core.errors import ModelNotFound
from plaza_core.principal import Principal
from plaza_core.table import HubTable, ModelEntry, VersionEntry, Visibility

DEFAULT_ALIAS = "champion"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model and one of its versions."""

    model: ModelEntry
    version: VersionEntry


def _visible(entry: ModelEntry, caller: Principal) -> bool:
    if entry.visibility is Visibility.PUBLIC:
        return True
    if entry.organisation != caller.organisation:
        return False
    if entry.visibility is Visibility.ORGANISATION or caller.project is None:
        return True
    return entry.project == caller.project


def _distance(entry: ModelEntry, caller: Principal) -> int:
    if entry.organisation == caller.organisation:
        return 0 if entry.project == caller.project else 1
    return 2


class Catalogue:
    """Models of one hub table. `resolve` costs two dictionary lookups for a name seen before."""

    def __init__(self, table: HubTable) -> None:
        self.table = table
        self._by_name: dict[str, list[ModelEntry]] = {}
        for entry in table.models:
            for name in (
                entry.name,
                f"{entry.project_name}.{entry.name}",
                f"{entry.organisation_name}.{entry.project_name}.{entry.name}",
            ):
                self._by_name.setdefault(name, []).append(entry)
        self._seen: dict[tuple[str, str, str | None], Resolved] = {}

    def resolve(self, caller: Principal, name: str, version: str | None) -> Resolved:
        """Raises ModelNotFound for an unknown or invisible name, version or alias."""
        key = (caller.key, name, version)
        found = self._seen.get(key)
        if found is None:
            found = self._resolve(caller, name, version)
            self._seen[key] = found  # bounded: only what exists gets here
        return found

    def visible(self, caller: Principal) -> Iterable[Resolved]:
        """Every model this caller may use that has a default version, nearest first."""
        entries = [e for e in self.table.models if _visible(e, caller)]
        for entry in sorted(entries, key=lambda e: (_distance(e, caller), e.name)):
            found = self._version(entry, None)
            if found is not None:
                yield Resolved(entry, found)

    def _resolve(self, caller: Principal, name: str, version: str | None) -> Resolved:
        candidates = [e for e in self._by_name.get(name, ()) if _visible(e, caller)]
        if not candidates:
            raise ModelNotFound(f"no model '{name}' here", input="model")
        nearest = min(candidates, key=lambda e: _distance(e, caller))
        found = self._version(nearest, version)
        if found is None:
            raise ModelNotFound(
                f"model '{name}' has no version '{version or DEFAULT_ALIAS}'", input="version"
            )
        return Resolved(nearest, found)

    @staticmethod
    def _version(entry: ModelEntry, version: str | None) -> VersionEntry | None:
        wanted: int | None
        if version is not None and version.isascii() and version.isdigit() and version[0] != "0":
            wanted = int(version)
        else:
            wanted = entry.aliases.get(version or DEFAULT_ALIAS)
        return next((v for v in entry.versions if v.version == wanted), None)
