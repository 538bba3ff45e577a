"""Bodies of the admin API about people and the lives of keys."""

from __future__ import annotations

from pydantic import Field, model_validator

from plaza_core.ids import KeyId
from plaza_core.principal import Role
from plaza_serving.control.patterns import NAME
from plaza_serving.control.shapes.base import Answer, Taken, example
from plaza_tenancy.views import Login

DAY_S = 86_400
_TEN_YEARS_S = 10 * 366 * DAY_S


class KeyRotation(Taken):
    model_config = example(overlap_s=3600)

    overlap_s: int = Field(
        DAY_S, ge=0, le=366 * DAY_S, description="How long the old key goes on. Default: a day."
    )


class KeyExpiry(Taken):
    """Either a time from now or never."""

    model_config = example(expires_in_s=7_776_000)

    expires_in_s: int | None = Field(None, ge=1, le=_TEN_YEARS_S)
    never: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> KeyExpiry:
        if self.never == (self.expires_in_s is not None):
            raise ValueError("say either `expires_in_s` or `never`")
        return self


class NewMember(Taken):
    model_config = example(email="ann@acme.example", role="engineer", project="cameras")

    email: str = Field(min_length=3, max_length=254)
    role: Role
    project: str | None = Field(None, pattern=NAME, description="Bind them to one project.")


class MemberChange(Taken):
    model_config = example(role="auditor")

    role: Role


class MembershipView(Answer):
    member: KeyId
    organisation_name: str
    project_name: str | None
    role: Role
    operator: bool


class CliRedeem(Taken):
    model_config = example(code="eyJp.Zm9v", verifier="v" * 43)

    code: str = Field(max_length=4096)
    verifier: str = Field(min_length=43, max_length=128)


class CliSession(Answer):
    """`token` is a session's text: shown here and never again."""

    token: str
    expires_unix_us: int


class SessionView(Answer):
    email: str
    csrf: str = Field(description="For the header `X-CSRF-Token` of every change.")
    expires_unix_us: int
    memberships: list[MembershipView]

    @classmethod
    def of(cls, login: Login) -> SessionView:
        return cls(
            email=login.person.email,
            csrf=login.csrf,
            expires_unix_us=login.expires_unix_us,
            memberships=[
                MembershipView(
                    member=each.key,
                    organisation_name=each.organisation_name,
                    project_name=each.project_name,
                    role=each.role,
                    operator=each.operator,
                )
                for each in login.memberships
            ],
        )
