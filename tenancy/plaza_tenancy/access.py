"""Who asks, and whose rows they may touch. The only place that mints a TenantScope."""

from __future__ import annotations

from plaza_core.principal import Principal, Right, TenantScope


class Access:
    """Authentication and scopes. Thread-safe; every call reads the database."""

    def authenticate(self, text: str) -> Principal:
        """The principal of a key's text. Marks the key as used, at most once a minute.

        Raises Unauthenticated: malformed, unknown, wrong secret, revoked, expired, or its
        organisation is suspended.
        """
        raise NotImplementedError

    def scope(
        self,
        principal: Principal,
        right: Right,
        *,
        organisation: str | None = None,
        project: str | None = None,
    ) -> TenantScope:
        """A scope on one organisation and, when named or when the key is bound to one, a project.

        Without names: the principal's own. Raises Forbidden when the role lacks `right`, NotFound
        for a name that does not exist or is not the principal's to see.
        """
        raise NotImplementedError

    def platform(self, principal: Principal, right: Right) -> TenantScope:
        """A scope on all organisations, for operators. Raises Forbidden for anybody else."""
        raise NotImplementedError
