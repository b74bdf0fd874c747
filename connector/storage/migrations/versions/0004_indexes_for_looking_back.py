"""Indexes for what is asked long after: entries of a document type, the documents of a row, receipts of an envelope."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    some = sa.text("document_type <> ''")
    columns = ["document_type", "time", "sequence"]
    name = "ix_audit_entry_document_type"
    op.create_index(name, "audit_entry", columns, sqlite_where=some, postgresql_where=some)
    op.create_index("ix_document_record", "document", ["record_id"])
    op.create_index("ix_receipt_envelope", "receipt", ["endpoint", "sequence"])
