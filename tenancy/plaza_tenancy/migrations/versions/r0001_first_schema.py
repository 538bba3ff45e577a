"""The first schema: tenancy tree, model records, outbox, usage, audit.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_RATE = "(rate_per_second IS NULL) = (rate_burst IS NULL)"


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=nullable)


def _name(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(63), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _serial() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(none_as_null=True), nullable=nullable)


def _rate(*, nullable: bool = True) -> tuple[sa.Column[float], sa.Column[int]]:
    per_second: sa.Column[float] = sa.Column("rate_per_second", sa.Double(), nullable=nullable)
    return per_second, _number("rate_burst", nullable=nullable)


def upgrade() -> None:
    _tree()
    _models()
    _journals()


def _tree() -> None:
    op.create_table(
        "hub",
        _number("id"),
        sa.Column("epoch", sa.String(32), nullable=False),
        _number("revision"),
        sa.PrimaryKeyConstraint("id", name="pk_hub"),
    )
    op.create_table(
        "organisations",
        _id("id"),
        _name("name"),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("operator", sa.Boolean(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        *_rate(nullable=False),
        _number("created"),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
        sa.UniqueConstraint("name", name="uq_organisations_name"),
    )
    op.create_table(
        "projects",
        _id("organisation"),
        _id("id"),
        _name("name"),
        *_rate(),
        _number("created"),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_projects"),
        sa.UniqueConstraint("organisation", "name", name="uq_projects_organisation_name"),
        sa.CheckConstraint(_RATE, name=op.f("ck_projects_rate_whole")),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_projects_organisation"
        ),
    )
    op.create_table(
        "keys",
        _id("organisation"),
        _id("id"),
        _id("project", nullable=True),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        *_rate(),
        _number("created"),
        _number("expires", nullable=True),
        _number("revoked", nullable=True),
        _number("last_used", nullable=True),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_keys"),
        sa.UniqueConstraint("id", name="uq_keys_id"),
        sa.CheckConstraint(_RATE, name=op.f("ck_keys_rate_whole")),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_keys_organisation"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "project"],
            ["projects.organisation", "projects.id"],
            name="fk_keys_organisation_project",
        ),
    )
    op.create_index("ix_keys_expires", "keys", ["expires"])


def _models() -> None:
    op.create_table(
        "models",
        _id("organisation"),
        _id("id"),
        _id("project"),
        _name("name"),
        sa.Column("visibility", sa.String(16), nullable=False),
        _number("created"),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_models"),
        sa.UniqueConstraint("id", name="uq_models_id"),
        sa.UniqueConstraint(
            "organisation", "project", "name", name="uq_models_organisation_project_name"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "project"],
            ["projects.organisation", "projects.id"],
            name="fk_models_organisation_project",
        ),
    )
    op.create_index("ix_models_name", "models", ["name"])
    op.create_table(
        "model_versions",
        _id("organisation"),
        _id("model"),
        _number("version"),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("family", sa.String(100), nullable=False),
        _json("manifest"),
        _json("files"),
        _text("card"),
        _json("examination"),
        _number("created"),
        _id("created_by"),
        sa.PrimaryKeyConstraint("organisation", "model", "version", name="pk_model_versions"),
        sa.UniqueConstraint(
            "organisation", "model", "digest", name="uq_model_versions_organisation_model_digest"
        ),
        sa.ForeignKeyConstraint(
            ["organisation", "model"],
            ["models.organisation", "models.id"],
            name="fk_model_versions_organisation_model",
        ),
    )
    op.create_table(
        "aliases",
        _id("organisation"),
        _id("model"),
        _name("alias"),
        _number("version"),
        sa.PrimaryKeyConstraint("organisation", "model", "alias", name="pk_aliases"),
        sa.ForeignKeyConstraint(
            ["organisation", "model", "version"],
            ["model_versions.organisation", "model_versions.model", "model_versions.version"],
            name="fk_aliases_organisation_model_version",
        ),
    )
    op.create_table(
        "outbox",
        _serial(),
        _id("organisation"),
        sa.Column("kind", sa.String(16), nullable=False),
        _json("payload"),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("organisation", "id", name="uq_outbox_organisation_id"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_outbox_organisation"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_done_id", "outbox", ["done", "id"])


def _journals() -> None:
    op.create_table(
        "usage",
        _id("organisation"),
        sa.Column("request_id", sa.String(64), nullable=False),
        _id("project", nullable=True),
        _id("key"),
        _id("model"),
        _number("version"),
        sa.Column("digest", sa.String(64), nullable=False),
        _text("provider"),
        _number("rows"),
        _number("compute_us"),
        _number("host_us"),
        _number("latency_us"),
        _text("outcome"),
        _number("at_unix_us"),
        _text("replica"),
        sa.PrimaryKeyConstraint("organisation", "request_id", name="pk_usage"),
    )
    op.create_index("ix_usage_organisation_at_unix_us", "usage", ["organisation", "at_unix_us"])
    op.create_table(
        "audit",
        _serial(),
        _number("at"),
        _id("actor"),
        _id("organisation"),
        _id("project", nullable=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        _json("before", nullable=True),
        _json("after", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.UniqueConstraint("organisation", "id", name="uq_audit_organisation_id"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_audit_organisation"
        ),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    for table in (
        "audit",
        "usage",
        "outbox",
        "aliases",
        "model_versions",
        "models",
        "keys",
        "projects",
        "organisations",
        "hub",
    ):
        op.drop_table(table)
