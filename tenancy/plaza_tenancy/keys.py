"""API keys: made with at most their maker's rights, shown once, revoked at once."""

from __future__ import annotations

from plaza_core.ids import KeyId
from plaza_core.keys import NewKey
from plaza_core.principal import Role, TenantScope
from plaza_core.table import RateLimit
from plaza_tenancy.views import KeyInfo


class Keys:
    def create(
        self,
        scope: TenantScope,
        *,
        role: Role,
        label: str = "",
        rate: RateLimit | None = None,
        expires_unix_us: int | None = None,
    ) -> NewKey:
        """A new key of the scope's project, or of the whole organisation when it has none.

        The maker is the scope's actor, judged by its stored row: its role must include every right
        of `role`, and a maker bound to a project makes keys of that project only. The text in the
        answer is kept nowhere. Raises Forbidden, InvalidInput (an expiry that has passed).
        """
        raise NotImplementedError

    def list(self, scope: TenantScope) -> list[KeyInfo]:
        """Newest first, revoked and expired ones included."""
        raise NotImplementedError

    def get(self, scope: TenantScope, key: KeyId) -> KeyInfo:
        """Raises NotFound."""
        raise NotImplementedError

    def set_rate(self, scope: TenantScope, key: KeyId, rate: RateLimit | None) -> KeyInfo:
        raise NotImplementedError

    def revoke(self, scope: TenantScope, key: KeyId) -> KeyInfo:
        """For good. Revoking twice changes nothing. Raises NotFound."""
        raise NotImplementedError
