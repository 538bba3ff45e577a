"""Alerts by whole periods; what rotated keys share; what budgets keep of rows that are gone.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import wall_up

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COLUMNS = "organisation, node, period_start, period_end, percent, at"


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        # Row-level security holds for the owner too: this transaction is about all tenants.
        op.execute("SELECT set_config('plaza.organisation', '*', true)")
    _alerts("budget_alerts", whole=True)
    op.execute(f"INSERT INTO budget_alerts ({_COLUMNS}) SELECT {_COLUMNS} FROM alerts")  # noqa: S608 our own words
    op.drop_table("alerts")
    for table in ("keys", "leases"):
        op.add_column(table, sa.Column("line", sa.String(32), nullable=True))
    for table in ("accounts", "leases"):
        op.add_column(
            table, sa.Column("archived", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
        )
    wall_up()


def _alerts(name: str, *, whole: bool) -> None:
    period = ("period_start", "period_end") if whole else ("period_start",)
    op.create_table(
        name,
        _id("organisation"),
        _id("node"),
        _number("period_start"),
        _number("period_end"),
        _number("percent"),
        _number("at"),
        sa.PrimaryKeyConstraint("organisation", "node", *period, "percent", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name=f"fk_{name}_organisation"
        ),
    )


def downgrade() -> None:
    for table in ("leases", "accounts"):
        op.drop_column(table, "archived")
    for table in ("leases", "keys"):
        op.drop_column(table, "line")
    _alerts("alerts", whole=False)
    op.drop_table("budget_alerts")
    wall_up()
