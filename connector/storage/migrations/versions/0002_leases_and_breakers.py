"""Leases on cursors, circuit breakers, and when a message was queued."""

import sqlalchemy as sa
from alembic import op

from connector.storage.columns import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "breaker",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("open_until", UtcTime(), nullable=True),
        sa.Column("probe_until", UtcTime(), nullable=True),
        sa.Column("info", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint"),
    )
    # The default only fills rows that exist: SQLite adds no column without one.
    beginning = sa.text("'1970-01-01 00:00:00.000000'")
    op.add_column("message", sa.Column("queued_at", UtcTime(), nullable=False, server_default=beginning))
    op.execute("UPDATE message SET queued_at = created_at")
    op.create_index("ix_message_queued", "message", ["state", "queued_at"])
