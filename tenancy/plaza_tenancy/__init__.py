"""Floor 1: organisations, projects, keys, usage and audit, on SQL. Knows no web and no model file.

front ──▶ access · organisations · keys · records · ledger · audit · snapshot
          budgets · leases · prices · shares · concurrency
                          │ every change through one door
                          ▼
                store ──▶ schema, dialect ──▶ SQLite or PostgreSQL
"""

from plaza_tenancy.front import Tenancy

__all__ = ["Tenancy"]
