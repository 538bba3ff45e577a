"""What people change in MLflow becomes proposals; lineage of versions; the outbox knows the time.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import wall_up

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=nullable)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _of_model(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation", "model"],
        ["models.organisation", "models.id"],
        name=f"fk_{table}_organisation_model",
    )


def upgrade() -> None:
    op.add_column("model_versions", sa.Column("lineage", sa.JSON(), nullable=True))
    op.add_column(
        "outbox", sa.Column("at", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("outbox", sa.Column("done_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "mirrored",
        _id("organisation"),
        _id("model"),
        _text("alias", 255),
        _number("number"),
        sa.PrimaryKeyConstraint("organisation", "model", "alias", name="pk_mirrored"),
        _of_model("mirrored"),
    )
    op.create_table(
        "proposals",
        _id("organisation"),
        _id("id"),
        _id("model"),
        _text("alias", 255),
        _number("version", nullable=True),
        _number("number", nullable=True),
        _number("present", nullable=True),
        _text("state", 16),
        _number("seen"),
        _number("decided", nullable=True),
        _id("decided_by", nullable=True),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_proposals"),
        _of_model("proposals"),
    )
    op.create_index(
        "ix_proposals_organisation_model_alias_state",
        "proposals",
        ["organisation", "model", "alias", "state"],
    )
    wall_up()


def downgrade() -> None:
    op.drop_table("proposals")
    op.drop_table("mirrored")
    op.drop_column("outbox", "done_at")
    op.drop_column("outbox", "at")
    op.drop_column("model_versions", "lineage")
