"""Wire names: who sees which model, and which one a name means. One rule for control and replicas.

`model`, `project.model` or `organisation.project.model`, looked up in the caller's project, then
its organisation, then what others share with it by name, then the operating organisation's public
models, then everybody's. Two models
at the same distance are never chosen between silently: the longer name says which is meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol, TypeVar

from plaza_core.errors import ModelNotFound
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.table import Visibility

OPERATING_ORGANISATION = "plaza"
SHARED_PROJECT = "shared"
CHAMPION = "champion"
"""The alias of a request that names no version."""

OWN_PROJECT, OWN_ORGANISATION, NAMED, SHARED, PUBLIC = range(5)


class Placed(Protocol):
    """A model's place in the tenancy tree, such as a `ModelEntry`."""

    @property
    def name(self) -> str: ...
    @property
    def organisation(self) -> OrganisationId: ...
    @property
    def organisation_name(self) -> str: ...
    @property
    def project(self) -> ProjectId: ...
    @property
    def project_name(self) -> str: ...
    @property
    def visibility(self) -> Visibility: ...
    @property
    def shared_with(self) -> Collection[OrganisationId]: ...


PlacedT = TypeVar("PlacedT", bound=Placed)


def full(model: Placed) -> str:
    """The wire name that means this model wherever it is visible."""
    return f"{model.organisation_name}.{model.project_name}.{model.name}"


def distance(
    model: Placed, organisation: OrganisationId | None, project: ProjectId | None
) -> int | None:
    """How far `model` is from a caller (smaller is looked up first); None when it is not visible.

    `organisation` None is the platform itself, which sees everything; `project` None is a caller
    of the whole organisation, to whom every project of it belongs.
    """
    if model.organisation == organisation:
        if project is not None and model.project == project:
            return OWN_PROJECT
        closed = project is not None and model.visibility is Visibility.PROJECT
        return None if closed else OWN_ORGANISATION
    if model.visibility is Visibility.SHARED and organisation in model.shared_with:
        return NAMED
    if model.visibility is Visibility.PUBLIC or organisation is None:
        return SHARED if model.organisation_name == OPERATING_ORGANISATION else PUBLIC
    return None


def resolve(
    name: str,
    models: Iterable[PlacedT],
    organisation: OrganisationId | None,
    project: ProjectId | None,
) -> PlacedT:
    """The model a caller means by `name`. Raises ModelNotFound, also for invisible models."""
    wanted = name.split(".")
    found: dict[int, list[PlacedT]] = {}
    for model in models:
        full = [model.organisation_name, model.project_name, model.name]
        if full[-len(wanted) :] == wanted:
            far = distance(model, organisation, project)
            if far is not None:
                found.setdefault(far, []).append(model)
    if not found:
        # Clients of Triton look for its words, which these begin with.
        raise ModelNotFound("Request for unknown model: there is none of this name", input="model")
    nearest = found[min(found)]
    if len(nearest) > 1:
        raise ModelNotFound(
            "several models have this name; write organisation.project.model", input="model"
        )
    return nearest[0]
