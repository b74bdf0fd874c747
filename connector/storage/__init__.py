"""Engines for SQLite and PostgreSQL, transactions, and every table (one file per group); ``migrations/`` makes them."""
