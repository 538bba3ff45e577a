"""People: members, their sessions, and which key replaces which.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    _successions()
    _members()
    _sessions()


def _successions() -> None:
    op.create_table(
        "key_successions",
        _text("organisation", 32),
        _text("id", 32),
        _text("replaces", 32),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_key_successions"),
        sa.UniqueConstraint(
            "organisation", "replaces", name="uq_key_successions_organisation_replaces"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "id"],
            ["keys.organisation", "keys.id"],
            name="fk_key_successions_organisation_id",
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "replaces"],
            ["keys.organisation", "keys.id"],
            name="fk_key_successions_organisation_replaces",
        ),
    )


def _members() -> None:
    op.create_table(
        "members",
        _text("organisation", 32),
        _text("id", 32),
        _text("project", 32, nullable=True),
        _text("email", 254),
        _text("role", 16),
        _text("issuer", 255, nullable=True),
        _text("subject", 255, nullable=True),
        _moment("created"),
        _moment("bound", nullable=True),
        _moment("removed", nullable=True),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_members"),
        sa.UniqueConstraint("id", name="uq_members_id"),
        sa.CheckConstraint(
            "(issuer IS NULL) = (subject IS NULL)", name=op.f("ck_members_bound_whole")
        ),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_members_organisation"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "project"],
            ["projects.organisation", "projects.id"],
            name="fk_members_organisation_project",
        ),
    )
    op.create_index("ix_members_issuer_subject", "members", ["issuer", "subject"])
    op.create_index("ix_members_email", "members", ["email"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        _text("id", 32),
        _text("mac", 64),
        _text("issuer", 255),
        _text("subject", 255),
        _text("email", 254),
        _moment("created"),
        _moment("expires"),
        _moment("revoked", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires", "sessions", ["expires"])


def downgrade() -> None:
    for table in ("sessions", "members", "key_successions"):
        op.drop_table(table)
