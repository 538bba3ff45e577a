"""Who calls: from an `Authorization` header to a Principal, out of the last hub table.

Owns the rule that an answer is given from memory alone, so that keys work while control is away.
A table is replaced whole; the cache of checked headers goes with it, which makes revocation as
fast as the table (one poll).
"""

from __future__ import annotations

from dataclasses import dataclass

from plaza_core import keys
from plaza_core.clock import Clock
from plaza_core.errors import Unauthenticated
from plaza_core.ids import KeyId
from plaza_core.principal import Principal
from plaza_core.table import HubTable, KeyEntry, RateLimit

_CACHE_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with what admission needs to know about it."""

    principal: Principal
    limits: tuple[tuple[str, RateLimit], ...]
    expires_unix_us: int | None
    metered: bool = False
    """Whether every request needs a reservation from a budget."""
    slots: tuple[tuple[str, int], ...] = ()
    line: KeyId | None = None
    """See `table.KeyEntry`."""


class AccessTable:
    """Keys of one hub table. A header seen before costs `authenticate` one dictionary lookup."""

    def __init__(self, table: HubTable, *, pepper: bytes, clock: Clock) -> None:
        self._entries: dict[KeyId, KeyEntry] = {entry.id: entry for entry in table.keys}
        self._pepper = pepper
        self._clock = clock
        self._seen: dict[str, Caller] = {}
        self._callers: dict[KeyId, Caller] = {}
        self._limits: dict[str, RateLimit] = {}
        """Node -> its limit: one object for all keys below it, which spares comparing by value."""

    def authenticate(self, authorization: str | None) -> Caller:
        """Raises Unauthenticated for anything but a known, unexpired key."""
        if authorization is None:
            raise Unauthenticated("a key is required", input="authorization")
        caller = self._seen.get(authorization)
        if caller is None:
            caller = self._check(authorization)
            if len(self._seen) >= _CACHE_LIMIT:
                self._seen.clear()
            self._seen[authorization] = caller
        if caller.expires_unix_us is not None and self._clock.unix_us() >= caller.expires_unix_us:
            raise Unauthenticated("this key has expired", input="authorization")
        return caller

    def caller(self, key: KeyId) -> Caller:
        """The caller behind an authenticated key. Raises Unauthenticated if it left meanwhile."""
        caller = self._callers.get(key)
        if caller is None:
            caller = self._callers[key] = self._caller(key)
        return caller

    def _check(self, authorization: str) -> Caller:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("expected 'Bearer' and a key", input="authorization")
        key_id, secret = keys.parse(text.strip())
        entry = self._entries.get(key_id)
        if entry is None or not keys.matches(self._pepper, secret, entry.mac):
            raise Unauthenticated("this key is not valid here", input="authorization")
        return self.caller(key_id)

    def _caller(self, key: KeyId) -> Caller:
        entry = self._entries.get(key)
        if entry is None:
            raise Unauthenticated("this key is not valid here", input="authorization")
        principal = Principal(
            key=entry.id,
            organisation=entry.organisation,
            organisation_name=entry.organisation_name,
            project=entry.project,
            project_name=entry.project_name,
            role=entry.role,
            operator=entry.operator,
        )
        return Caller(
            principal,
            tuple((node, self._limits.setdefault(node, limit)) for node, limit in entry.limits),
            entry.expires_unix_us,
            metered=entry.metered,
            slots=tuple(entry.slots),
            line=entry.line,
        )
