"""Cards of versions, as revisions: what a card said is never lost, and who changed it is written.

The newest text also stands in the version's own row, where lists read it. The first change keeps
the text that came with the bundle as revision 1.
"""

from __future__ import annotations

import builtins

from sqlalchemy import select
from sqlalchemy.orm import Session

from plaza_core.card import valid_card
from plaza_core.errors import ModelNotFound
from plaza_core.ports import CardRevision
from plaza_core.principal import TenantScope
from plaza_tenancy import outbox
from plaza_tenancy.models import as_seen, entry_of, own_model, visible_model
from plaza_tenancy.schema import VersionRow
from plaza_tenancy.schema_cards import CardRow
from plaza_tenancy.search import refresh_search
from plaza_tenancy.states import version_of
from plaza_tenancy.store import Store


class Cards:
    """CardRecords on SQL, see `plaza_core.ports`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def set(self, scope: TenantScope, name: str, version: int, text: str) -> CardRevision:
        """A new revision. Raises ModelNotFound unless the model is the scope's own, InvalidBundle
        for a card that could not be registered either."""
        valid_card(text)
        with self._store.change(scope, "card.set", name) as change:
            model = own_model(change, scope, name)
            row = version_of(change.session, model, version)
            known = _revisions(change.session, row)
            if row.card == text:
                change.nothing_to_do()
                return known[0]
            if known[0].revision == 1:  # the bundle's own, which has no row yet
                change.session.add(_row(row, known[0]))
            fresh = CardRevision(
                version, known[0].revision + 1, text, change.now, str(change.scope.actor)
            )
            change.session.add(_row(row, fresh))
            row.card = text
            change.before = {"version": version, "revision": known[0].revision}
            change.after = {"version": version, "revision": fresh.revision}
            outbox.post_card(change, model, row)
            refresh_search(change.session, model)
        return fresh

    def list(self, scope: TenantScope, name: str, version: int) -> builtins.list[CardRevision]:
        """Newest first; there is always one. Raises ModelNotFound."""
        with self._store.read(scope) as session:
            head = visible_model(session, scope, name)
            entry = as_seen(scope, entry_of(session, head.organisation, head.id))
            if version not in {one.version for one in entry.versions}:
                raise ModelNotFound("the model has no such version", input="version")
            row = session.get_one(VersionRow, (head.organisation, head.id, version))
            return _revisions(session, row)


def _revisions(session: Session, version: VersionRow) -> builtins.list[CardRevision]:
    query = (
        select(CardRow)
        .filter_by(organisation=version.organisation, model=version.model, version=version.version)
        .order_by(CardRow.revision.desc())
    )
    known = [
        CardRevision(row.version, row.revision, row.text, row.created, row.created_by)
        for row in session.scalars(query)
    ]
    first = CardRevision(version.version, 1, version.card, version.created, version.created_by)
    return known or [first]


def _row(version: VersionRow, card: CardRevision) -> CardRow:
    return CardRow(
        organisation=version.organisation,
        model=version.model,
        version=card.version,
        revision=card.revision,
        text=card.text,
        created=card.created_unix_us,
        created_by=card.created_by,
    )
