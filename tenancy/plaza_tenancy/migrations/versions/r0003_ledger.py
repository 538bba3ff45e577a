"""The ledger whole: charges, kinds, hash chains of books and audit trails, sums per hour.

What an older hub has written is chained and summed up here. The digests are made by copies of what
`entries` and `audit_links` did when this revision was released.

Revision ID: 0003
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_GENESIS = "0" * 64
_HOUR = 3_600_000_000
_BATCH = 5_000
_ENTRY = (
    "organisation", "request_id", "project", "key", "model", "version", "digest", "provider",
    "rows", "compute_us", "host_us", "latency_us", "outcome", "at_unix_us", "replica", "charge",
    "overrun", "lease", "kind", "reason", "actor", "refers",
)


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=nullable)


def _digest(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    _usage()
    _books()
    _audit()
    if not context.is_offline_mode():
        connection = op.get_bind()
        _chain_usage(connection)
        _sum_hours(connection)
        _chain_audit(connection)
    op.create_index(
        "ix_audit_organisation_sequence", "audit", ["organisation", "sequence"], unique=True
    )


def _usage() -> None:
    for column in (
        _zero("charge"),
        _zero("overrun"),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False, server_default=sa.text("'use'")),
        sa.Column("reason", sa.Text(), nullable=True),
        _id("actor", nullable=True),
        sa.Column("refers", sa.String(64), nullable=True),
        _zero("batch"),
    ):
        op.add_column("usage", column)
    op.create_index("ix_usage_organisation_batch", "usage", ["organisation", "batch"])


def _books() -> None:
    op.create_table(
        "ledger_heads",
        _id("organisation"),
        _number("sequence"),
        _digest("digest"),
        _number("anchor_sequence"),
        _digest("anchor_digest"),
        _number("closed_until"),
        sa.PrimaryKeyConstraint("organisation", name="pk_ledger_heads"),
    )
    op.create_table(
        "ledger_batches",
        _id("organisation"),
        _number("sequence"),
        _digest("previous"),
        _digest("digest"),
        _number("count"),
        _number("charge"),
        _number("at"),
        _number("first_unix_us"),
        _number("last_unix_us"),
        sa.PrimaryKeyConstraint("organisation", "sequence", name="pk_ledger_batches"),
    )
    op.create_table(
        "usage_hours",
        _id("organisation"),
        _number("hour"),
        _id("project"),
        _id("key"),
        _id("model"),
        _number("version"),
        sa.Column("provider", sa.Text(), nullable=False),
        _number("requests"),
        _number("answered"),
        _number("rows"),
        _number("compute_us"),
        _number("host_us"),
        _number("charge"),
        _number("overrun"),
        sa.PrimaryKeyConstraint(
            "organisation", "hour", "project", "key", "model", "version", "provider",
            name="pk_usage_hours",
        ),
    )


def _audit() -> None:
    op.add_column("audit", _zero("sequence"))
    for name in ("previous", "digest"):
        op.add_column(
            "audit",
            sa.Column(name, sa.String(64), nullable=False, server_default=sa.text("''")),
        )
    op.create_table(
        "audit_heads",
        _id("organisation"),
        _number("sequence"),
        _digest("digest"),
        sa.PrimaryKeyConstraint("organisation", name="pk_audit_heads"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_audit_heads_organisation"
        ),
    )


# ── what is there already ────────────────────────────────────────────────────────────────────────
def _chain_usage(connection: sa.Connection) -> None:
    usage = sa.table("usage", *map(sa.column, (*_ENTRY, "batch")))
    heads = _table("ledger_heads", "sequence", "digest", "anchor_sequence", "anchor_digest",
                   "closed_until")  # fmt: skip
    batches = _table("ledger_batches", "sequence", "previous", "digest", "count", "charge", "at",
                     "first_unix_us", "last_unix_us")  # fmt: skip
    for (whose,) in connection.execute(sa.select(usage.c.organisation).distinct()).all():
        previous, sequence = _GENESIS, 0
        for rows in _portions(connection, usage, whose):
            sequence += 1
            rows.sort(key=lambda row: row[1])
            times = [row[13] for row in rows]
            charge = sum(row[15] for row in rows)
            header = {
                "at": max(times), "charge": charge, "count": len(rows), "format": 1,
                "organisation": whose, "previous": previous, "sequence": sequence,
            }  # fmt: skip
            digest = _sha256(header, *rows)
            connection.execute(
                batches.insert().values(
                    organisation=whose, sequence=sequence, previous=previous, digest=digest,
                    count=len(rows), charge=charge, at=max(times), first_unix_us=min(times),
                    last_unix_us=max(times),
                )
            )
            connection.execute(
                usage.update()
                .where(usage.c.organisation == sa.bindparam("whose"))
                .where(usage.c.request_id == sa.bindparam("which"))
                .values(batch=sequence),
                [{"whose": whose, "which": row[1]} for row in rows],
            )
            previous = digest
        connection.execute(
            heads.insert().values(
                organisation=whose, sequence=sequence, digest=previous, anchor_sequence=0,
                anchor_digest=_GENESIS, closed_until=0,
            )
        )


def _portions(connection: sa.Connection, usage: Any, whose: str) -> Iterator[list[Any]]:
    """The entries of an organisation by time, some thousand at once."""
    order = (usage.c.at_unix_us, usage.c.request_id)
    query = sa.select(*(usage.c[name] for name in _ENTRY)).where(usage.c.organisation == whose)
    query = query.order_by(*order).limit(_BATCH)
    after = None
    while True:
        page = query if after is None else query.where(sa.tuple_(*order) > sa.tuple_(*after))
        rows = [tuple(row) for row in connection.execute(page)]
        if not rows:
            return
        after = (rows[-1][13], rows[-1][1])
        yield rows


def _sum_hours(connection: sa.Connection) -> None:
    connection.exec_driver_sql(
        "INSERT INTO usage_hours (organisation, hour, project, key, model, version, provider,"
        " requests, answered, rows, compute_us, host_us, charge, overrun) "
        f"SELECT organisation, (at_unix_us / {_HOUR}) * {_HOUR}, COALESCE(project, ''), key, model,"
        " version, provider, COUNT(*), SUM(CASE WHEN outcome = 'ok' THEN 1 ELSE 0 END), SUM(rows),"
        " SUM(compute_us), SUM(host_us), SUM(charge), SUM(overrun) FROM usage "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7"
    )


def _chain_audit(connection: sa.Connection) -> None:
    json_type = sa.JSON(none_as_null=True)
    audit = sa.table(
        "audit",
        *map(sa.column, ("id", "organisation", "at", "actor", "project", "action", "target")),
        sa.column("before", json_type),
        sa.column("after", json_type),
        *map(sa.column, ("sequence", "previous", "digest")),
    )
    heads = _table("audit_heads", "sequence", "digest")
    ordered = sa.select(*list(audit.c)[:9]).order_by(audit.c.organisation, audit.c.id)
    found = connection.execute(ordered).all()
    for whose, rows in itertools.groupby(found, lambda row: row.organisation):
        previous, sequence = _GENESIS, 0
        for row in rows:
            sequence += 1
            digest = _sha256([1, whose, sequence, previous, *row[2:]])
            connection.execute(
                audit.update()
                .where(audit.c.organisation == whose, audit.c.id == row.id)
                .values(sequence=sequence, previous=previous, digest=digest)
            )
            previous = digest
        connection.execute(
            heads.insert().values(organisation=whose, sequence=sequence, digest=previous)
        )


def _table(name: str, *columns: str) -> Any:
    return sa.table(name, *map(sa.column, ("organisation", *columns)))


def _sha256(*documents: Any) -> str:
    made = hashlib.sha256()
    for document in documents:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        made.update(text.encode() + b"\n")
    return made.hexdigest()


def downgrade() -> None:
    op.drop_index("ix_audit_organisation_sequence", "audit")
    for name in ("sequence", "previous", "digest"):
        op.drop_column("audit", name)
    op.drop_index("ix_usage_organisation_batch", "usage")
    for name in ("charge", "overrun", "lease", "kind", "reason", "actor", "refers", "batch"):
        op.drop_column("usage", name)
    for table in ("audit_heads", "usage_hours", "ledger_batches", "ledger_heads"):
        op.drop_table(table)
