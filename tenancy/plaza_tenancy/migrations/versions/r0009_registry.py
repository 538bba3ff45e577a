"""What becomes of models: states, history of aliases, rollouts, tags, sharing by name, publishing.

Revision ID: 0009

On PostgreSQL a model that is shared by name shows itself to the organisations named, and what a
call needs: its versions, aliases and tags, and the names of its project and organisation.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from plaza_tenancy.migrations.wall import WHOSE, wall_up

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MARKS = ("staged", "retired", "withdrawn")
_NAMED = (
    "m.visibility = 'shared' AND EXISTS (SELECT FROM model_shares s"
    " WHERE s.organisation = m.organisation AND s.model = m.id AND s.guest = {whose})"
)
_OPEN_TO = f"(m.visibility = 'public' OR ({_NAMED}))"
_HEADS = {
    "model_versions": "m.organisation = model_versions.organisation AND m.id = model_versions.model",
    "aliases": "m.organisation = aliases.organisation AND m.id = aliases.model",
    "projects": "m.organisation = projects.organisation AND m.project = projects.id",
    "organisations": "m.organisation = organisations.id",
}
# As a tag's organisation is the one of its model, so with every other row.
_TAGS = "m.organisation = model_tags.organisation AND m.id = model_tags.model"


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(32), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.JSON(none_as_null=True), nullable=nullable)


def _of_model(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organisation", "model"],
        ["models.organisation", "models.id"],
        name=f"fk_{table}_organisation_model",
    )


def upgrade() -> None:
    op.add_column(
        "models", sa.Column("search", sa.Text(), nullable=False, server_default=sa.text("''"))
    )
    for mark in _MARKS:
        op.add_column("model_versions", _number(mark, nullable=True))
        op.add_column("model_versions", _id(f"{mark}_by", nullable=True))
    op.add_column("model_versions", _text("withdrawn_because", 200, nullable=True))
    for column in (_json("weights", nullable=True), _json("shadows", nullable=True)):
        op.add_column("aliases", column)
    op.add_column("aliases", _id("rollout", nullable=True))
    _traffic()
    _catalogue()
    _take_up()
    if op.get_context().dialect.name == "postgresql":
        wall_up()
        _named()


def _traffic() -> None:
    op.create_table(
        "alias_steps",
        _id("organisation"),
        _id("model"),
        _text("alias", 63),
        _number("sequence"),
        _number("at"),
        _id("actor"),
        _text("kind", 16),
        _text("why", 200),
        _number("version", nullable=True),
        _json("weights", nullable=True),
        _json("shadows", nullable=True),
        _id("rollout", nullable=True),
        _number("back", nullable=True),
        sa.PrimaryKeyConstraint("organisation", "model", "alias", "sequence", name="pk_alias_steps"),
        _of_model("alias_steps"),
    )
    op.create_table(
        "rollouts",
        _id("organisation"),
        _id("id"),
        _id("model"),
        _text("alias", 63),
        _text("kind", 16),
        _number("stable"),
        _number("candidate"),
        _number("part"),
        _json("policy"),
        _text("state", 16),
        _number("started"),
        _id("started_by"),
        _number("ended", nullable=True),
        _id("ended_by", nullable=True),
        _json("verdict", nullable=True),
        _json("evidence"),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_rollouts"),
        _of_model("rollouts"),
        sa.UniqueConstraint("id", name="uq_rollouts_id"),
    )
    op.create_index("ix_rollouts_state", "rollouts", ["state"])


def _catalogue() -> None:
    op.create_table(
        "model_tags",
        _id("organisation"),
        _id("model"),
        _text("tag", 63),
        sa.PrimaryKeyConstraint("organisation", "model", "tag", name="pk_model_tags"),
        _of_model("model_tags"),
    )
    op.create_index("ix_model_tags_tag", "model_tags", ["tag"])
    op.create_table(
        "model_shares",
        _id("organisation"),
        _id("model"),
        _id("guest"),
        _text("guest_name", 63),
        _number("at"),
        _id("actor"),
        sa.PrimaryKeyConstraint("organisation", "model", "guest", name="pk_model_shares"),
        _of_model("model_shares"),
        sa.ForeignKeyConstraint(["guest"], ["organisations.id"], name="fk_model_shares_guest"),
    )
    op.create_index("ix_model_shares_guest", "model_shares", ["guest"])
    op.create_table(
        "publish_requests",
        _id("organisation"),
        _id("id"),
        _id("model"),
        _text("state", 16),
        _text("note", 200),
        _number("asked"),
        _id("asked_by"),
        _number("decided", nullable=True),
        _id("decided_by", nullable=True),
        _text("reason", 200, nullable=True),
        sa.PrimaryKeyConstraint("organisation", "id", name="pk_publish_requests"),
        _of_model("publish_requests"),
        sa.UniqueConstraint("id", name="uq_publish_requests_id"),
    )
    op.create_index("ix_publish_requests_state", "publish_requests", ["state"])
    op.create_table(
        "blob_holds",
        _id("organisation"),
        _id("id"),
        _text("sha256", 64),
        _number("until"),
        sa.PrimaryKeyConstraint("organisation", "id", "sha256", name="pk_blob_holds"),
        sa.ForeignKeyConstraint(
            ["organisation"], ["organisations.id"], name="fk_blob_holds_organisation"
        ),
    )
    op.create_index("ix_blob_holds_sha256", "blob_holds", ["sha256"])


def _take_up() -> None:
    """What is there already becomes the first step of its alias, and is found by a search."""
    newest = "v.organisation = models.organisation AND v.model = models.id"
    newest = f"SELECT %s FROM model_versions v WHERE {newest} ORDER BY v.version DESC LIMIT 1"
    op.execute(  # our own words only
        "UPDATE models SET search = lower(name || ' '"
        f" || coalesce(({newest % 'v.family'}), '') || ' '"
        f" || coalesce(({newest % 'v.card'}), ''))"
    )
    op.execute(
        "INSERT INTO alias_steps (organisation, model, alias, sequence, at, actor, kind, why,"
        " version) SELECT a.organisation, a.model, a.alias, 1, v.created, v.created_by, 'promote',"
        " 'as it was found', a.version FROM aliases a JOIN model_versions v"
        " ON v.organisation = a.organisation AND v.model = a.model AND v.version = a.version"
    )


def _named() -> None:
    """Beside `public` of revision 0006, for the organisations that a share names."""
    for table, same in _HEADS.items():
        _policy(table, f"EXISTS (SELECT FROM models m WHERE {same} AND {_NAMED})")
    _policy("models", _NAMED.replace("m.", "models."))
    _policy("model_tags", f"EXISTS (SELECT FROM models m WHERE {_TAGS} AND {_OPEN_TO})")
    _policy("model_shares", "guest = {whose}")


def _policy(table: str, condition: str) -> None:
    named = f"{WHOSE} <> '' AND {condition.format(whose=WHOSE)}"
    op.execute(f"CREATE POLICY named ON {table} FOR SELECT USING ({named})")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        for table in (*_HEADS, "models", "model_tags", "model_shares"):
            op.execute(f"DROP POLICY named ON {table}")
    tables = ("blob_holds", "publish_requests", "model_shares", "model_tags", "rollouts")
    for table in (*tables, "alias_steps"):
        op.drop_table(table)
    for column in ("weights", "shadows", "rollout"):
        op.drop_column("aliases", column)
    for column in (*_MARKS, *(f"{mark}_by" for mark in _MARKS), "withdrawn_because"):
        op.drop_column("model_versions", column)
    op.drop_column("models", "search")
