"""Limits on counts and storage; calendars of budgets.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import wall_up

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    windows = sa.Column("windows", sa.JSON(), server_default=sa.text("'[]'"), nullable=False)
    op.add_column("budgets", windows)
    op.create_table(
        "holding_limits",
        sa.Column("organisation", sa.String(32), nullable=False),
        sa.Column("node", sa.String(32), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("limit", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("organisation", "node", "what", name="pk_holding_limits"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_holding_limits_organisation"
        ),
        sa.CheckConstraint('"limit" >= 0', name="limit_positive"),
    )
    wall_up()


def downgrade() -> None:
    op.drop_table("holding_limits")
    op.drop_column("budgets", "windows")
