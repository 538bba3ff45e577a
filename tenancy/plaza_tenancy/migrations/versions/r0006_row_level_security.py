"""Row-level security: the second wall around every tenant's rows, on PostgreSQL.

Revision ID: 0006

A transaction says whose rows it is about (`plaza.organisation`) and who asks (`plaza.actor`); a
transaction that says nothing sees nothing. What one tenant may see of another is what a public
model needs: its rows, and those of its project and organisation.
"""

from __future__ import annotations

from alembic import op

from plaza_tenancy.migrations.wall import ACTOR, WHOSE, tenant, wall_off, wall_up

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WHO = (
    f"COALESCE((SELECT k.organisation FROM keys k WHERE k.id = {ACTOR}),"
    f" (SELECT m.organisation FROM members m WHERE m.id = {ACTOR}))"
)
_ACTORS = {
    "keys": f"id = {ACTOR}",
    "members": f"id = {ACTOR}",
    "projects": f"organisation = {_WHO}",
    "organisations": f"id = {_WHO}",
}
_PUBLIC = {
    "models": "visibility = 'public'",
    "model_versions": "EXISTS (SELECT FROM models m WHERE m.visibility = 'public'"
    " AND m.organisation = model_versions.organisation AND m.id = model_versions.model)",
    "aliases": "EXISTS (SELECT FROM models m WHERE m.visibility = 'public'"
    " AND m.organisation = aliases.organisation AND m.id = aliases.model)",
    "projects": "EXISTS (SELECT FROM models m WHERE m.visibility = 'public'"
    " AND m.organisation = projects.organisation AND m.project = projects.id)",
    "organisations": "EXISTS (SELECT FROM models m WHERE m.visibility = 'public'"
    " AND m.organisation = organisations.id)",
}


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    wall_up()
    op.execute("ALTER TABLE organisations ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE organisations FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON organisations USING ({tenant('id')})")
    for table, condition in _ACTORS.items():
        op.execute(f"CREATE POLICY actor ON {table} FOR SELECT USING ({condition})")
    for table, condition in _PUBLIC.items():
        # For tenants only, and so that looking a key up need not look for public models.
        public = f"{WHOSE} <> '' AND {condition}"
        op.execute(f"CREATE POLICY public ON {table} FOR SELECT USING ({public})")


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        wall_off()
