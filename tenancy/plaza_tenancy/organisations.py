"""Organisations and their projects: the upper two floors of the tenancy tree."""

from __future__ import annotations

from plaza_core.principal import TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.views import Organisation, Project


class Organisations:
    """Changes need a platform scope: an organisation cannot lift its own limits."""

    def create(
        self,
        scope: TenantScope,
        name: str,
        *,
        title: str = "",
        rate: RateLimit | None = None,
        project: str = "main",
    ) -> Organisation:
        """Make an organisation and its first project. `rate` None takes the hub's default.

        Raises Conflict when the name is taken, InvalidInput for a bad name.
        """
        raise NotImplementedError

    def list(self, scope: TenantScope) -> list[Organisation]:
        """All of them for a platform scope, else the scope's own; by name."""
        raise NotImplementedError

    def get(self, scope: TenantScope, name: str) -> Organisation:
        """Raises NotFound."""
        raise NotImplementedError

    def suspend(self, scope: TenantScope, name: str) -> Organisation:
        """Its keys stop working and its models disappear, until resumed.

        Suspending twice changes nothing. Raises Conflict for the operating organisation.
        """
        raise NotImplementedError

    def resume(self, scope: TenantScope, name: str) -> Organisation:
        raise NotImplementedError

    def set_rate(self, scope: TenantScope, name: str, rate: RateLimit) -> Organisation:
        raise NotImplementedError


class Projects:
    """Projects of one organisation; changes need a scope on the whole organisation."""

    def create(self, scope: TenantScope, name: str, *, rate: RateLimit | None = None) -> Project:
        """Raises Conflict when the organisation has a project of this name."""
        raise NotImplementedError

    def list(self, scope: TenantScope) -> list[Project]:
        """The scope's projects, by organisation and name."""
        raise NotImplementedError

    def get(self, scope: TenantScope, name: str) -> Project:
        """Raises NotFound."""
        raise NotImplementedError

    def set_rate(self, scope: TenantScope, name: str, rate: RateLimit | None) -> Project:
        raise NotImplementedError
