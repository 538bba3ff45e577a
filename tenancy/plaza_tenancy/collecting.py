"""What may go: versions retired for long enough, and blobs that no version names any more.

A version goes when it has been retired for the retention time, no alias and no running rollout
names it, and it is not the newest: numbers are never given twice. Blobs are shared by content over
all organisations, so they go by themselves, one at a time, when nobody names or holds them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Text, cast, delete, func, select
from sqlalchemy.orm import Session, aliased

from plaza_core.ids import Digest
from plaza_core.ports import BlobStore
from plaza_core.principal import TenantScope
from plaza_core.rollout import RolloutState
from plaza_tenancy.catalogue import heads
from plaza_tenancy.rows import one_organisation, owned
from plaza_tenancy.schema import ModelRow, VersionRow
from plaza_tenancy.schema_cards import CardRow
from plaza_tenancy.schema_certificates import CertificateRow
from plaza_tenancy.schema_registry import BlobHoldRow, RolloutRow
from plaza_tenancy.states import aliases_of, served_by
from plaza_tenancy.store import Store, lock_hub


@dataclass(frozen=True, slots=True)
class Removable:
    """A version whose time is over. `size`: bytes of its files that no other version of its
    organisation has; less comes free while another organisation has the same."""

    model: str
    version: int
    digest: Digest
    retired_unix_us: int
    size: int


class Collector:
    def __init__(self, store: Store) -> None:
        self._store = store

    def removable(self, scope: TenantScope, keep_us: int) -> list[Removable]:
        """What `remove` would take away now."""
        one_organisation(scope)
        before = self._store.clock.unix_us() - keep_us
        with self._store.read(scope) as session:
            return _views(session, _ripe(session, scope, before))

    def remove(self, scope: TenantScope, keep_us: int) -> list[Removable]:
        """Take versions away for good that have been retired for `keep_us` or longer."""
        organisation = one_organisation(scope)
        with self._store.change(scope, "model.gc", organisation) as change:
            rows = _ripe(change.session, scope, change.now - keep_us)
            gone = _views(change.session, rows)
            if not rows:
                change.nothing_to_do()
            change.after = {
                "keep_us": keep_us,
                "removed": [
                    {"model": one.model, "version": one.version, "digest": one.digest}
                    for one in gone
                ],
            }
            for row in rows:
                own = {"organisation": row.organisation, "model": row.model}
                for rows_of in (CardRow, CertificateRow):
                    gone_too = delete(rows_of).filter_by(**own, version=row.version)
                    change.session.execute(gone_too)
                change.session.delete(row)
            return gone

    def sweep(self, blobs: BlobStore) -> int:
        """Delete blobs that no version of any organisation names and no registration holds.

        Returns how many. Safe beside registrations and other sweeps, see `holds`.
        """
        now = self._store.clock.unix_us()
        with self._store.append_everything() as session:
            session.execute(delete(BlobHoldRow).where(BlobHoldRow.until <= now))
        with self._store.read_everything() as session:
            wanted = set(session.scalars(select(BlobHoldRow.sha256)))
            for files in session.scalars(select(VersionRow.files)):
                wanted.update(file["sha256"] for file in files)
        return sum(self._take(blobs, digest) for digest in blobs.digests() if digest not in wanted)

    def _take(self, blobs: BlobStore, digest: Digest) -> bool:
        with self._store.append_everything() as session:
            lock_hub(session)  # until the blob is gone, nobody begins to count on it
            if _wanted(session, digest):
                return False
            blobs.delete(digest)
            return True


def _wanted(session: Session, digest: Digest) -> bool:
    held = select(BlobHoldRow.sha256).where(BlobHoldRow.sha256 == digest)
    named = select(VersionRow.version).where(cast(VersionRow.files, Text).contains(digest))
    return any(session.scalars(query.limit(1)).first() is not None for query in (held, named))


def _ripe(session: Session, scope: TenantScope, before: int) -> list[VersionRow]:
    other = aliased(VersionRow)
    same = (other.organisation == VersionRow.organisation) & (other.model == VersionRow.model)
    newest = select(func.max(other.version)).where(same).scalar_subquery()
    query = (
        select(VersionRow, ModelRow)
        .join(
            ModelRow,
            (ModelRow.organisation == VersionRow.organisation) & (ModelRow.id == VersionRow.model),
        )
        .where(
            *owned(scope, ModelRow),
            VersionRow.retired.is_not(None),
            VersionRow.retired <= before,
            VersionRow.version != newest,
        )
        .order_by(VersionRow.model, VersionRow.version)
    )
    found = [(row, model) for row, model in session.execute(query)]
    return [row for row, model in found if not _named(session, model, row.version)]


def _named(session: Session, model: ModelRow, version: int) -> bool:
    """Never so of a retired version; looked at all the same, as what goes is gone."""
    running = select(RolloutRow.id).where(
        RolloutRow.organisation == model.organisation,
        RolloutRow.model == model.id,
        RolloutRow.state == RolloutState.RUNNING,
        (RolloutRow.stable == version) | (RolloutRow.candidate == version),
    )
    in_alias = version in served_by(aliases_of(session, model))
    return in_alias or session.scalars(running.limit(1)).first() is not None


def _views(session: Session, rows: list[VersionRow]) -> list[Removable]:
    if not rows:
        return []
    organisation = rows[0].organisation
    going = {(row.model, row.version) for row in rows}
    query = select(VersionRow.model, VersionRow.version, VersionRow.files).where(
        VersionRow.organisation == organisation
    )
    staying = {
        file["sha256"]
        for model, version, files in session.execute(query)
        if (model, version) not in going
        for file in files
    }
    conditions = [ModelRow.organisation == organisation]
    names = {head.id: head.full_name for head in heads(session, conditions)}
    found = []
    for row in rows:
        sizes = {file["sha256"]: int(file["size"]) for file in row.files}
        size = sum(n for digest, n in sizes.items() if digest not in staying)
        staying |= sizes.keys()  # what two of them share is counted once
        retired = row.retired or 0
        found.append(Removable(names[row.model], row.version, row.digest, retired, size))
    return found
