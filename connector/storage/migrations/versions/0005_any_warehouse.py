"""Parts of rows and corrections, what returns have taken of export lines, releases, and how sources were read."""

import json

import sqlalchemy as sa
from alembic import op

from connector.storage.columns import UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AMOUNTS = ("qty", "qty1", "qty2")


def upgrade() -> None:
    # The defaults only fill rows that exist: SQLite adds no column without one.
    op.add_column("document", sa.Column("part", sa.String(), nullable=False, server_default=""))
    op.add_column("document", sa.Column("corrects", sa.String(), nullable=False, server_default=""))
    op.add_column("quarantine", sa.Column("released_as", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "sweep",
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("swept_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("collection"),
    )
    op.create_table(
        "source_window",
        sa.Column("collection", sa.String(), nullable=False),
        sa.Column("changed_at", sa.String(), nullable=True),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("stored", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("collection"),
    )
    table = op.create_table(
        "document_line",
        sa.Column("guid", sa.String(), sa.ForeignKey("document.guid"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("gnum", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _AMOUNTS),
        sa.PrimaryKeyConstraint("guid", "position"),
    )
    _fill(table)


def _fill(table: sa.Table) -> None:
    """What was declared before; a document whose content was archived counts no more."""
    connection = op.get_bind()
    declared = sa.text("SELECT guid, content FROM document WHERE type = 'CEB213' AND content <> ''")
    found = connection.execute(declared.execution_options(stream_results=True))
    while page := found.fetchmany(1000):
        rows = [
            {"guid": row.guid, "position": position, "gnum": int(line["gnum"])}
            | {name: line.get(name, "0") for name in _AMOUNTS}
            for row in page
            for position, line in enumerate(json.loads(row.content)["lines"])
        ]
        op.bulk_insert(table, rows)
