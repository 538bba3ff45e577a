"""Holds: blobs that a registration is about to name are not left over.

    hold ──▶ put blobs ──▶ add_version takes the hold's place        (registration)
    lock the hub row, nobody names it, nobody holds it ──▶ delete    (`collecting.Collector.sweep`)

Taking a hold locks the same row. So either the sweep has deleted before the hold was taken, and
the blob is put again after that; or it finds the hold. No clock decides between them, only how
long a registration that died keeps its blobs.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from plaza_core.errors import Conflict
from plaza_core.ids import Digest, OrganisationId, new_id
from plaza_core.ports import NewVersion
from plaza_core.principal import TenantScope
from plaza_tenancy.rows import one_organisation
from plaza_tenancy.schema_registry import BlobHoldRow
from plaza_tenancy.store import Change, Store, lock_hub

HOLD_US = 24 * 3_600_000_000


def take_hold(store: Store, scope: TenantScope, digests: Sequence[Digest]) -> str:
    organisation, name = one_organisation(scope), new_id("hld", store.random)
    until = store.clock.unix_us() + HOLD_US
    with store.append(scope) as session:
        lock_hub(session)
        session.add_all(
            BlobHoldRow(organisation=organisation, id=name, sha256=digest, until=until)
            for digest in sorted(set(digests))
        )
    return name


def claim_hold(change: Change, organisation: OrganisationId, new: NewVersion) -> None:
    """End the hold of a version that is being added. Raises Conflict when it has run out."""
    mine = (BlobHoldRow.organisation == organisation, BlobHoldRow.id == new.hold)
    query = select(BlobHoldRow.sha256).where(*mine, BlobHoldRow.until > change.now)
    held = set(change.session.scalars(query))
    if not {file.sha256 for file in new.files} <= held:
        raise Conflict("this registration took too long; send the bundle again")
    change.session.execute(delete(BlobHoldRow).where(*mine))
