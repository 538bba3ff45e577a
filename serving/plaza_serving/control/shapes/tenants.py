"""Bodies of the routes about organisations, projects and keys."""

from __future__ import annotations

from pydantic import Field

from plaza_core.ids import KeyId, OrganisationId, ProjectId
from plaza_core.principal import Principal, Right, Role
from plaza_serving.control.patterns import NAME
from plaza_serving.control.shapes.base import Answer, Rate, Taken, example
from plaza_tenancy.views import KeyInfo


class NewOrganisation(Taken):
    model_config = example(name="acme", title="Acme Traffic Services")

    name: str = Field(pattern=NAME)
    title: str = Field("", max_length=200)


class OrganisationChange(Taken):
    """Fields that are left out stay as they are."""

    model_config = example(rate={"per_second": 50, "burst": 100})

    suspended: bool | None = None
    rate: Rate | None = None


class NewProject(Taken):
    model_config = example(name="cameras")

    name: str = Field(pattern=NAME)


class NewKeyRequest(Taken):
    model_config = example(
        role="consumer", project="cameras", label="roadside gateway 7", expires_in_s=7_776_000
    )

    role: Role
    project: str | None = Field(None, pattern=NAME, description="Bind the key to one project.")
    label: str = Field("", max_length=200)
    expires_in_s: int | None = Field(None, ge=1, le=10 * 366 * 86_400)
    rate: Rate | None = None


class NewKeyAnswer(Answer):
    """`key` is shown here and never again."""

    id: KeyId
    key: str
    info: KeyInfo


class WhoAmI(Answer):
    key: KeyId
    organisation: OrganisationId
    organisation_name: str
    project: ProjectId | None
    project_name: str | None
    role: Role
    operator: bool
    rights: list[Right]

    @classmethod
    def of(cls, who: Principal) -> WhoAmI:
        return cls(
            key=who.key,
            organisation=who.organisation,
            organisation_name=who.organisation_name,
            project=who.project,
            project_name=who.project_name,
            role=who.role,
            operator=who.operator,
            rights=[right for right in Right if who.may(right)],
        )
