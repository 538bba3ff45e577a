"""The control process: the database, registry verbs, ledger, admin API and reconciler."""
