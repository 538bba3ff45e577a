"""Run by Alembic with the connection that `plaza_tenancy.migrate` put into its configuration."""

from alembic import context

import plaza_tenancy.schema_budgets
import plaza_tenancy.schema_registry
import plaza_tenancy.schema_tracking  # noqa: F401 their tables
from plaza_tenancy.schema import Base

connection = context.config.attributes.get("connection")
if connection is None:  # `alembic upgrade --sql`: write the statements instead of running them
    context.configure(
        dialect_name=context.config.get_main_option("dialect") or "postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    # The caller's transaction spans all revisions. Batch mode: SQLite cannot alter a column.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    context.run_migrations()
