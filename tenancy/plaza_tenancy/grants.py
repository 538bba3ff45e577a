"""Who may hand out what: nobody makes a key or a member with more rights than their own."""

from __future__ import annotations

from plaza_core.errors import Forbidden
from plaza_core.ids import OrganisationId, ProjectId
from plaza_core.principal import RIGHTS, Principal, Right, Role


def check_grant(
    giver: Principal,
    right: Right,
    *,
    organisation: OrganisationId | None,
    project: ProjectId | None,
    role: Role,
    what: str,
) -> None:
    """Raise Forbidden unless `giver` has `right` and holds all that `role` at this node would.

    `what` is the word for what is made, in the refusal.
    """
    giver.require(right)
    if not RIGHTS[role] <= RIGHTS[giver.role]:
        raise Forbidden(f"role '{giver.role}' cannot make a {what} with role '{role}'")
    if giver.organisation != organisation and not giver.operator:
        raise Forbidden(f"a {what} is made in one's own organisation only")
    if giver.project is not None and giver.project != project:
        raise Forbidden(f"whoever is bound to a project makes a {what} of that project only")
