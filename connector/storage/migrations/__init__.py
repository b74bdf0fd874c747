"""Alembic migrations; the audit tables are only ever added to."""
