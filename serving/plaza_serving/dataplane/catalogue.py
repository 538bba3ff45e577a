"""Names to versions, out of the last hub table.

What a wire name means is decided by `plaza_core.names`, one rule for control and replicas; here it
is made quick. What belongs to somebody else answers exactly as what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from plaza_core import names
from plaza_core.errors import ModelNotFound
from plaza_core.ids import VersionKey
from plaza_core.principal import Principal
from plaza_core.rollout import Split, VersionState
from plaza_core.table import HubTable, ModelEntry, VersionEntry

_KEPT_OPEN = frozenset({VersionState.STAGED, VersionState.SERVING})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model and one of its versions."""

    model: ModelEntry
    version: VersionEntry
    divided: Divided | None = None
    """Where it was named by an alias whose requests are divided; `version` is then the stable one.
    """
    key: VersionKey = field(init=False, repr=False)
    """By what its version is known in this replica."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (self.model.id, self.version.version))


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
        for entry in self.models(caller):
            found = _version(entry, None)
            if found is not None:
                yield Resolved(entry, found)

    def models(self, caller: Principal) -> list[ModelEntry]:
        """Every model this caller may use, nearest first."""
        placed = (
            (names.distance(entry, caller.organisation, caller.project), entry)
            for entry in self.table.models
        )
        near = [(far, entry) for far, entry in placed if far is not None]
        return [entry for _, entry in sorted(near, key=lambda pair: (pair[0], pair[1].name))]

    def newest(self, caller: Principal, name: str) -> Resolved:
        """The model's version with the highest number. Raises ModelNotFound."""
        model = self._model(caller, name)
        if not model.versions:
            raise ModelNotFound("the model has no version that may be called", input="model")
        return Resolved(model, max(model.versions, key=lambda one: one.version))

    def shortest_name(self, caller: Principal, model: ModelEntry) -> str:
        """The first of `model`, `project.model` and `organisation.project.model` that means this
        very model to the caller."""
        for short in (model.name, f"{model.project_name}.{model.name}"):
            with suppress(ModelNotFound):
                if self._model(caller, short) is model:
                    return short
        return names.full(model)

    def _model(self, caller: Principal, name: str) -> ModelEntry:
        candidates = self._by_last_segment.get(name.rpartition(".")[2], ())
        return names.resolve(name, candidates, caller.organisation, caller.project)

    def _resolve(self, caller: Principal, name: str, version: str | None) -> Resolved:
        model = self._model(caller, name)
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
    """A number is a version (written without leading zeros), anything else an alias. Texts are
    compared: one of thousands of digits is no number to Python."""
    named = entry.aliases.get(version or names.CHAMPION)
    return next(
        (v for v in entry.versions if str(v.version) == version or v.version == named), None
    )


def wanted_warm(model: ModelEntry) -> list[VersionEntry]:
    """Versions that answer, or compute too, under an alias, and those that are staged."""
    splits = (split.versions() for split in model.splits.values())
    named = set(model.aliases.values()).union(*splits)
    return [one for one in model.versions if one.version in named or one.state in _KEPT_OPEN]


def kept_warm(model: ModelEntry) -> list[VersionEntry]:
    """Those of them that stay open however little they are used: a rollout is measured by how its
    versions answer, and who staged one has asked for just that."""
    rolling = set[int]().union(*(split.versions() for split in model.splits.values()))
    staged = VersionState.STAGED
    return [one for one in model.versions if one.version in rolling or one.state is staged]
