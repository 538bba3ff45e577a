"""Two roles on PostgreSQL: one owns the schema and migrates it, the other runs the hub.

The role of the running hub holds no right by which row-level security could be passed or changed:
it owns nothing and inherits from nobody who does. A hub refuses to start with any other
arrangement. Row-level security catches a query that forgot a condition;
it does not stop somebody who can run any SQL as this role, for that role may say whose rows it
wants.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from plaza_core.errors import Unavailable

# A role is quoted by the database itself: a name may hold anything.
_GRANT = """
DO $grant$
DECLARE role text := current_setting('plaza.grantee');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I',
                   current_schema(), role);
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I',
                   current_schema(), role);
    EXECUTE format('REVOKE UPDATE, DELETE ON audit FROM %I', role);
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM %I', role);
END $grant$
"""
_TOO_STRONG = """
SELECT EXISTS (SELECT FROM pg_roles r
               WHERE (r.rolsuper OR r.rolbypassrls) AND pg_has_role(session_user, r.oid, 'MEMBER'))
"""
_OWNED = """
SELECT EXISTS (SELECT FROM pg_class c
               WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
                 AND pg_has_role(session_user, c.relowner, 'MEMBER'))
"""
_OPEN = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
  AND (c.relname = 'organisations' OR EXISTS
       (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organisation'))
ORDER BY 1
"""


def grant(connection: Connection, role: str) -> None:
    """Let `role` work with the rows of every table, and with nothing else; trails only grow."""
    connection.execute(text("SELECT set_config('plaza.grantee', :role, true)"), {"role": role})
    connection.execute(text(_GRANT))


def check_roles(connection: Connection) -> None:
    """Raise Unavailable when row-level security would not hold this connection's role back."""
    if connection.scalar(text(_TOO_STRONG)):
        raise Unavailable("the database role of the hub may pass row-level security; use another")
    if connection.scalar(text(_OWNED)):
        raise Unavailable("the database role of the hub owns its tables; use another")


def check_walls(connection: Connection) -> None:
    """Raise Unavailable when a table of tenants stands open."""
    if opened := connection.scalars(text(_OPEN)).all():
        raise Unavailable(f"no row-level security on: {', '.join(opened)}")
