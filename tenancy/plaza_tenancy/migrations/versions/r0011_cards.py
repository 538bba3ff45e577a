"""Revisions of cards.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import WHOSE, wall_up

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SHARED = (
    "EXISTS (SELECT FROM model_shares s WHERE s.organisation = m.organisation"
    f" AND s.model = m.id AND s.guest = {WHOSE})"
)
_READABLE = (
    "EXISTS (SELECT FROM models m WHERE m.organisation = model_cards.organisation"
    " AND m.id = model_cards.model"
    f" AND (m.visibility = 'public' OR (m.visibility = 'shared' AND {_SHARED})))"
)


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "model_cards",
        _id("organisation"),
        _id("model"),
        _number("version"),
        _number("revision"),
        sa.Column("text", sa.Text(), nullable=False),
        _number("created"),
        _id("created_by"),
        sa.PrimaryKeyConstraint(
            "organisation", "model", "version", "revision", name="pk_model_cards"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "model", "version"],
            ["model_versions.organisation", "model_versions.model", "model_versions.version"],
            name="fk_model_cards_organisation_model_version",
        ),
    )
    wall_up()
    if op.get_context().dialect.name == "postgresql":
        readable = f"{WHOSE} <> '' AND {_READABLE}"
        op.execute(f"CREATE POLICY public ON model_cards FOR SELECT USING ({readable})")


def downgrade() -> None:
    op.drop_table("model_cards")
