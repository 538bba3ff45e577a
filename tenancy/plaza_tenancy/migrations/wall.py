"""What revisions say to put row-level security on tables of tenants. PostgreSQL only.

A revision that makes a table with a column `organisation` calls `wall_up()` at its end; a database
that has such a table without its wall is refused at start (`plaza_tenancy.roles`). Released
revisions run this text: it may grow, and what it does to a table never changes.
"""

from __future__ import annotations

from alembic import op

# In a subquery, so that it is asked once for a statement and not once for a row.
WHOSE = "(SELECT current_setting('plaza.organisation', true))"
ACTOR = "(SELECT current_setting('plaza.actor', true))"


def tenant(column: str) -> str:
    """True for the rows of the tenant that the transaction is about; `*` is all of them."""
    return f"{WHOSE} IN ('*', {column})"


def wall_up() -> None:
    """Shut every table with a column `organisation` that is open yet, for its owner too."""
    if op.get_context().dialect.name != "postgresql":
        return
    policy = tenant("organisation").replace("'", "''")
    op.execute(  # our own words only: nothing comes from outside
        f"""
        DO $wall$
        DECLARE name text;
        BEGIN
            FOR name IN
                SELECT c.relname FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organisation'
                WHERE c.relnamespace = current_schema()::regnamespace
                  AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
            LOOP
                EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
                EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
                EXECUTE format('CREATE POLICY tenant ON %I USING ({policy})', name);
            END LOOP;
        END $wall$
        """  # noqa: S608 as said above
    )


def wall_off() -> None:
    """Take away every policy and open every table: the way back, for `downgrade`."""
    op.execute(
        """
        DO $wall$
        DECLARE found record;
        BEGIN
            FOR found IN SELECT tablename, policyname FROM pg_policies
                WHERE schemaname = current_schema()
            LOOP
                EXECUTE format('DROP POLICY %I ON %I', found.policyname, found.tablename);
                EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', found.tablename);
                EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', found.tablename);
            END LOOP;
        END $wall$
        """
    )
