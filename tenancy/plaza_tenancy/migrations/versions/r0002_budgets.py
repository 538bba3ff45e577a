"""Budgets, accounts, leases, prices, shares and limits on concurrency.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ADDED = {
    "organisations": ("max_concurrent",),
    "projects": ("max_concurrent",),
    "keys": ("max_concurrent", "priority"),
}


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def _organisation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation"], ["organisations.id"], name=f"fk_{table}_organisation"
    )


def upgrade() -> None:
    for table in ("organisations", "projects", "keys"):
        op.add_column(table, _number("max_concurrent", nullable=True))
    op.add_column("keys", _zero("priority"))
    _budgets()
    _leases()
    _prices()


def _budgets() -> None:
    op.create_table(
        "budgets",
        _id("organisation"),
        _id("node"),
        _number("depth"),
        _id("project", nullable=True),
        _number("limit", nullable=True),
        sa.Column("period", sa.String(8), nullable=False),
        _number("generation"),
        _number("since"),
        sa.PrimaryKeyConstraint("organisation", "node", name="pk_budgets"),
        sa.CheckConstraint('"limit" >= 0', name=op.f("ck_budgets_limit_positive")),
        _organisation("budgets"),
    )
    op.create_table(
        "accounts",
        _id("organisation"),
        _id("node"),
        _number("generation"),
        _number("period_start"),
        _number("period_end"),
        sa.Column("period", sa.String(8), nullable=False),
        _number("depth"),
        _number("limit", nullable=True),
        _number("settled"),
        _number("leased"),
        _number("opened"),
        sa.PrimaryKeyConstraint(
            "organisation", "node", "generation", "period_start", name="pk_accounts"
        ),
        sa.CheckConstraint("settled >= 0", name=op.f("ck_accounts_settled_positive")),
        sa.CheckConstraint("leased >= 0", name=op.f("ck_accounts_leased_positive")),
        _organisation("accounts"),
    )
    op.create_index("ix_accounts_period_end", "accounts", ["period_end"])


def _leases() -> None:
    op.create_table(
        "leases",
        _id("organisation"),
        _id("id"),
        _id("project", nullable=True),
        _id("key"),
        sa.Column("replica", sa.Text(), nullable=False),
        _number("opened"),
        _number("until"),
        sa.Column("draws", sa.JSON(), nullable=False),
        sa.Column("holds", sa.JSON(), nullable=False),
        _number("granted"),
        _number("returned"),
        _number("spent"),
        _number("closed", nullable=True),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_leases"),
        sa.CheckConstraint(
            "spent >= 0 AND returned >= 0", name=op.f("ck_leases_counters_positive")
        ),
        _organisation("leases"),
    )
    op.create_index("ix_leases_replica_closed", "leases", ["replica", "closed"])


def _prices() -> None:
    op.create_table(
        "prices",
        sa.Column("provider", sa.String(64), nullable=False),
        _id("model"),
        _number("weight"),
        _number("host_weight"),
        _number("fixed", nullable=True),
        sa.PrimaryKeyConstraint("provider", "model", name="pk_prices"),
    )
    op.create_table(
        "shares",
        _id("organisation"),
        _number("weight"),
        _number("borrow_percent", nullable=True),
        sa.PrimaryKeyConstraint("organisation", name="pk_shares"),
        _organisation("shares"),
    )


def downgrade() -> None:
    for table in ("shares", "prices", "leases", "accounts", "budgets"):
        op.drop_table(table)
    for table, columns in _ADDED.items():
        for column in columns:
            op.drop_column(table, column)
