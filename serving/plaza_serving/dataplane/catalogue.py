"""Names to versions, out of the last hub table.

What a wire name means is decided by `plaza_core.names`, one rule for control and replicas; here it
is made quick. What belongs to somebody else answers exactly as what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from plaza_core import names
from plaza_core.errors import ModelNotFound
from plaza_core.principal import Principal
from plaza_core.rollout import Split
from plaza_core.table import HubTable, ModelEntry, VersionEntry


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model and one of its versions."""

    model: ModelEntry
    version: VersionEntry
    divided: Divided | None = None
    """Where it was named by an alias whose requests are divided; `version` is then the stable one.
    """


@dataclass(frozen=True, slots=True)
class Divided:
    """The split of an alias, with those of its versions that are in the table."""

    split: Split
    versions: Mapping[int, Resolved] = field(repr=False)


class Catalogue:
    """Models of one hub table. A name seen before costs `resolve` one dictionary lookup."""

    def __init__(self, table: HubTable) -> None:
        self.table = table
        self._by_last_segment: dict[str, list[ModelEntry]] = {}
        for entry in table.models:
            self._by_last_segment.setdefault(entry.name, []).append(entry)
        self._seen: dict[tuple[str, str, str | None], Resolved] = {}

    def resolve(self, caller: Principal, name: str, version: str | None) -> Resolved:
        """Raises ModelNotFound for an unknown or invisible name, version or alias."""
        key = (caller.key, name, version)
        found = self._seen.get(key)
        if found is None:
            found = self._resolve(caller, name, version)
            self._seen[key] = found  # bounded: only what exists gets here
        return found

    def visible(self, caller: Principal) -> Iterator[Resolved]:
        """Every model this caller may use that has a default version, nearest first."""
        placed = (
            (names.distance(entry, caller.organisation, caller.project), entry)
            for entry in self.table.models
        )
        near = [(far, entry) for far, entry in placed if far is not None]
        for _, entry in sorted(near, key=lambda pair: (pair[0], pair[1].name)):
            found = _version(entry, None)
            if found is not None:
                yield Resolved(entry, found)

    def _resolve(self, caller: Principal, name: str, version: str | None) -> Resolved:
        candidates = self._by_last_segment.get(name.rpartition(".")[2], ())
        model = names.resolve(name, candidates, caller.organisation, caller.project)
        found = _version(model, version)
        if found is None:
            raise ModelNotFound("the model has no such version or alias", input="version")
        return Resolved(model, found, _divided(model, version))


def _divided(entry: ModelEntry, alias: str | None) -> Divided | None:
    split = entry.splits.get(alias or names.CHAMPION)
    if split is None:
        return None
    known = (v for v in entry.versions if v.version in split.versions())
    return Divided(split, {v.version: Resolved(entry, v) for v in known})


def _version(entry: ModelEntry, version: str | None) -> VersionEntry | None:
    """A number is a version (written without leading zeros), anything else an alias."""
    if version is not None and version.isascii() and version.isdigit() and version[0] != "0":
        wanted: int | None = int(version)
    else:
        wanted = entry.aliases.get(version or names.CHAMPION)
    return next((v for v in entry.versions if v.version == wanted), None)
