"""Make every table of the first version, and guard the audit log."""

import sqlalchemy as sa
from alembic import op

from connector.storage.audit_guard import guard_audit
from connector.storage.columns import BIG_KEY, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "actor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("suite", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_since", UtcTime(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("settle_at", UtcTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_message_due", "message", ["state", "due_at"], unique=False)
    op.create_table(
        "receipt_cursor",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint"),
    )
    op.create_table(
        "receipt_envelope",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "sequence"),
    )
    op.create_table(
        "source_cursor",
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("changed_at", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("collection"),
    )
    op.create_table(
        "source_record",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("collected_at", UtcTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collection", "key", "version", name="uq_source_record"),
    )
    op.create_index("ix_source_record_state", "source_record", ["state", "collection", "id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body_digest", sa.String(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id", "number", name="uq_attempt"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("sequence", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        sa.Column("source_key", sa.String(), nullable=False),
        sa.Column("document_type", sa.String(), nullable=False),
        sa.Column("business_key", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("waybill", sa.String(), nullable=False),
        sa.Column("export_list", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["actor.id"]),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("ix_audit_entry_source_key", "audit_entry", ["source_key"], unique=False)
    op.create_index("ix_audit_entry_business_key", "audit_entry", ["business_key"], unique=False)
    op.create_index("ix_audit_entry_export_list", "audit_entry", ["export_list"], unique=False)
    op.create_index("ix_audit_entry_message_id", "audit_entry", ["message_id"], unique=False)
    op.create_index("ix_audit_entry_waybill", "audit_entry", ["waybill"], unique=False)
    op.create_table(
        "document",
        sa.Column("guid", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("business_key", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("app_type", sa.String(), nullable=False),
        sa.Column("app_time", UtcTime(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("content_digest", sa.String(), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=False),
        sa.Column("mapping", sa.String(), nullable=False),
        sa.Column("mapping_digest", sa.String(), nullable=False),
        sa.Column("waybill", sa.String(), nullable=False),
        sa.Column("export_list", sa.String(), nullable=False),
        sa.Column("customs_status", sa.String(), nullable=False),
        sa.Column("customs_code", sa.String(), nullable=False),
        sa.Column("customs_info", sa.Text(), nullable=False),
        sa.Column("customs_time", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["source_record.id"]),
        sa.PrimaryKeyConstraint("guid"),
        sa.UniqueConstraint("type", "business_key", "revision", name="uq_document"),
    )
    op.create_index("ix_document_customs_status", "document", ["customs_status"], unique=False)
    op.create_index("ix_document_export_list", "document", ["export_list"], unique=False)
    op.create_index("ix_document_waybill", "document", ["waybill"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("record_id", sa.Integer(), nullable=True),
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("business_key", sa.String(), nullable=False),
        sa.Column("waybill", sa.String(), nullable=False),
        sa.Column("export_list", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("faults", sa.Text(), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("resolved_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["record_id"], ["source_record.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_quarantine_business_key", "quarantine", ["business_key"], unique=False)
    op.create_index(
        "uq_quarantine_open",
        "quarantine",
        ["collection", "key", "type"],
        unique=True,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "message_bytes",
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("xml", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"]),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_table(
        "message_document",
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("guid", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["guid"], ["document.guid"]),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"]),
        sa.PrimaryKeyConstraint("message_id", "position"),
    )
    op.create_index("ix_message_document_guid", "message_document", ["guid"], unique=False)
    op.create_table(
        "receipt",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("guid", sa.String(), nullable=False),
        sa.Column("business_key", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("pre_no", sa.String(), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("document_guid", sa.String(), nullable=True),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["document_guid"], ["document.guid"]),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_receipt_document", "receipt", ["document_guid"], unique=False)
    op.create_index("ix_receipt_message", "receipt", ["message_id"], unique=False)
    guard_audit(op.get_bind())
