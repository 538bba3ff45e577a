"""Indexes of documents, and their segments.

Revision ID: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import wall_up

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 32, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "search_indexes",
        _text("organisation"),
        _text("id"),
        _text("project"),
        _text("name", 63),
        _text("model", 200, nullable=True),
        _number("version", nullable=True),
        _number("documents"),
        _number("bytes"),
        _number("generation"),
        _number("created"),
        _text("created_by"),
        _number("changed"),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_search_indexes"),
        sa.UniqueConstraint(
            "organisation", "project", "name", name="uq_search_indexes_organisation_project_name"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "project"],
            ["projects.organisation", "projects.id"],
            name="fk_search_indexes_organisation_project",
        ),
    )
    op.create_table(
        "search_segments",
        _text("organisation"),
        _text("search_index"),
        _number("number"),
        _number("size"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organisation", "search_index", "number", name="pk_search_segments"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "search_index"],
            ["search_indexes.organisation", "search_indexes.id"],
            name="fk_search_segments_organisation_search_index",
        ),
    )
    wall_up()


def downgrade() -> None:
    op.drop_table("search_segments")
    op.drop_table("search_indexes")
