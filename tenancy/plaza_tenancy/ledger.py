"""The ledger: one row per admitted request, unique by organisation and request id, never changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plaza_core.inference import UsageRecord
from plaza_core.principal import TenantScope
from plaza_tenancy.views import Dimension, UsagePage, UsageSum


class Ledger:
    """UsageLedger on SQL, and the reports that are sums over its rows."""

    def ingest(self, records: Sequence[UsageRecord]) -> int:
        """Insert what is new, in one transaction; return how many were new.

        Also moves `last used` of the keys forward. A record seen before changes nothing.
        """
        raise NotImplementedError

    def report(
        self,
        scope: TenantScope,
        *,
        since_us: int,
        until_us: int,
        by: Collection[Dimension] = (Dimension.ORGANISATION,),
    ) -> list[UsageSum]:
        """Sums over records with since ≤ at < until (µs since 1970), one row per group of `by`."""
        raise NotImplementedError

    def records(
        self,
        scope: TenantScope,
        *,
        since_us: int,
        until_us: int,
        after: str | None = None,
        limit: int = 1000,
    ) -> UsagePage:
        """Raw rows, oldest first. `after` is the `next` of the page before."""
        raise NotImplementedError
