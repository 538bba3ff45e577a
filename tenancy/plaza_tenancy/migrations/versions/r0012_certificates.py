"""Certificates of versions.

Revision ID: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import WHOSE, wall_up

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SHARED = (
    "EXISTS (SELECT FROM model_shares s WHERE s.organisation = m.organisation"
    f" AND s.model = m.id AND s.guest = {WHOSE})"
)
_READABLE = (
    "EXISTS (SELECT FROM models m WHERE m.organisation = certificates.organisation"
    " AND m.id = certificates.model"
    f" AND (m.visibility = 'public' OR (m.visibility = 'shared' AND {_SHARED})))"
)


def _text(name: str, length: int = 32) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "certificates",
        _text("organisation"),
        _text("model"),
        _number("version"),
        _number("number"),
        _text("digest", 64),
        _text("provider", 64),
        _text("environment", 16),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=False),
        _number("made"),
        _text("made_by"),
        sa.PrimaryKeyConstraint(
            "organisation", "model", "version", "number", name="pk_certificates"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "model", "version"],
            ["model_versions.organisation", "model_versions.model", "model_versions.version"],
            name="fk_certificates_organisation_model_version",
        ),
    )
    wall_up()
    if op.get_context().dialect.name == "postgresql":
        readable = f"{WHOSE} <> '' AND {_READABLE}"
        op.execute(f"CREATE POLICY public ON certificates FOR SELECT USING ({readable})")


def downgrade() -> None:
    op.drop_table("certificates")
