"""Floor 1: organisations, keys, quotas, usage and audit. Web-free; the only room for SQLAlchemy."""
