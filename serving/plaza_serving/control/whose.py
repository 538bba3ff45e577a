"""Whose rows a report is of: the caller's own organisation, a named one, or everybody's."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from plaza_core.principal import Principal, Right, TenantScope
from plaza_serving.control.parts import Parts

_EVERYBODY = "*"
Whose = Annotated[
    str | None,
    Query(description="An organisation, or `*` for all: operators only. Default: own."),
]


def scope_of(hub: Parts, who: Principal, right: Right, organisation: str | None) -> TenantScope:
    """Raises Forbidden, NotFound."""
    if organisation == _EVERYBODY:
        return hub.tenancy.platform(who, right)
    return hub.tenancy.scope(who, right, organisation=organisation)
