"""The log gets an index of document types: one of which there is no entry was looked for in all of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_audit_entry_document_type",
        "audit_entry",
        ["document_type", "time", "sequence"],
        sqlite_where=sa.text("document_type <> ''"),
        postgresql_where=sa.text("document_type <> ''"),
    )
