"""Verifying the audit trail: every row's digest is made again, and must be what the next one says.

Reads a page at a time, so that no change is kept waiting.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, select, union
from sqlalchemy.exc import DBAPIError

from plaza_core.errors import Unavailable
from plaza_core.ids import OrganisationId
from plaza_core.principal import TenantScope
from plaza_tenancy.audit_links import LINE, digest
from plaza_tenancy.checks import demand_whole
from plaza_tenancy.entries import GENESIS
from plaza_tenancy.schema import AuditHeadRow, AuditRow
from plaza_tenancy.store import Store
from plaza_tenancy.views import ChainReport

_PAGE = 500
_BEFORE_ALL = -(2**62)  # so that a row smuggled in before the first is seen too


def verify(store: Store, scope: TenantScope) -> list[ChainReport]:
    """One report per organisation of the scope. Raises Forbidden for a scope on a project."""
    whose = demand_whole(scope)
    rows, heads = select(AuditRow.organisation), select(AuditHeadRow.organisation)
    if whose is not None:
        rows = rows.where(AuditRow.organisation == whose)
        heads = heads.where(AuditHeadRow.organisation == whose)
    with store.read(scope) as session:
        organisations = sorted(session.scalars(union(rows, heads)))
    return [_Walk(store, scope, organisation).report() for organisation in organisations]


@dataclass
class _Walk:
    store: Store
    scope: TenantScope
    organisation: OrganisationId
    position: int = 0
    digest: str = GENESIS

    def report(self) -> ChainReport:
        limit, ended, why = _PAGE, False, None
        while not ended and why is None:
            try:
                ended, why = self._step(limit)
            except (Unavailable, DBAPIError):
                if limit == 1:
                    why = "the database cannot read it"
                limit = 1  # find out which row it is
        with self.store.read(self.scope) as session:
            head = session.get(AuditHeadRow, self.organisation)
        return ChainReport(
            organisation=self.organisation,
            links=self.position,
            anchor=0,
            sequence=head.sequence if head else 0,
            digest=head.digest if head else GENESIS,
            broken=None if why is None else self.position + 1,
            why=why,
        )

    def _step(self, limit: int) -> tuple[bool, str | None]:
        """(whether that was the end, what is wrong with the next row)."""
        # JSON as text: a damaged one is a finding, not an error.
        told = [
            cast(column, Text) if name in {"before", "after"} else column
            for name, column in ((name, getattr(AuditRow, name)) for name in LINE)
        ]
        query = (
            select(AuditRow.sequence, AuditRow.previous, AuditRow.digest, *told)
            .where(AuditRow.organisation == self.organisation)
            .where(AuditRow.sequence > (self.position or _BEFORE_ALL))
            .order_by(AuditRow.sequence)
            .limit(limit)
        )
        with self.store.read(self.scope) as session:
            rows = session.execute(query).all()
            if not rows:
                head = session.get(AuditHeadRow, self.organisation)
                held = head and (head.sequence, head.digest) == (self.position, self.digest)
                return True, None if held else "the trail ends before its head"
        for sequence, previous, stored, *facts in rows:
            if sequence != self.position + 1:
                return False, "the row is missing"
            if previous != self.digest or stored != self._made(sequence, facts):
                return False, "the row was changed"
            self.position, self.digest = sequence, stored
        return False, None

    def _made(self, sequence: int, facts: list[Any]) -> str | None:
        """The digest that a row should have; None when what it holds cannot be read."""
        try:
            told = [
                *facts[:-2],
                *(None if text is None else json.loads(text) for text in facts[-2:]),
            ]
            return digest(self.organisation, sequence, self.digest, told)
        except (TypeError, ValueError):
            return None
