"""The log gets a body that is hashed as it stands, the tree over it, and checkpoints.

The log of earlier versions cannot be proved, so it is not altered but written once more, entry by entry and under the
same numbers, into the new table: from here on nobody can change it unnoticed. What made the bodies then is written out
here, for it must not change with the program.
"""

import hashlib
import json
import secrets
from datetime import UTC

import sqlalchemy as sa
from alembic import op

from connector.storage.audit_guard import guard_audit
from connector.storage.columns import BIG_KEY, UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEYS = ("source_key", "document_type", "business_key", "message_id", "waybill", "export_list")
_AT_ONCE = 1000


def upgrade() -> None:
    connection = op.get_bind()
    op.rename_table("actor", "actor_before")
    op.create_table(
        "actor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_actor"),
        sa.UniqueConstraint("digest", name="uq_actor_digest"),
        sa.UniqueConstraint("name", name="uq_actor_name"),
    )
    op.create_table(
        "audit_entry_made",
        sa.Column("sequence", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=False),
        *[sa.Column(name, sa.String(), nullable=False) for name in _KEYS],
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["actor.id"]),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_entry"),
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("signed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoint"),
    )
    _write_once_more(connection, _actors(connection))
    op.drop_table("audit_entry")
    op.drop_table("actor_before")
    op.rename_table("audit_entry_made", "audit_entry")
    for name, columns in (
        ("time", ["time", "sequence"]),
        ("event", ["event", "time", "sequence"]),
        ("actor", ["actor_id", "time", "sequence"]),
    ):
        op.create_index(f"ix_audit_entry_{name}", "audit_entry", columns)
    for name in ("source_key", "business_key", "message_id", "waybill", "export_list", "code", "state"):
        some = sa.text(f"{name} <> ''")
        columns = [name, "time", "sequence"] if name in {"code", "state"} else [name]
        op.create_index(f"ix_audit_entry_{name}", "audit_entry", columns, sqlite_where=some, postgresql_where=some)
    guard_audit(connection)
    guard_audit(connection, "audit_checkpoint", "size")


def _actors(connection: sa.Connection) -> dict[int, str]:
    """Give every name a salt and a digest; the digests by number."""
    digests = {}
    table = sa.table("actor", *map(sa.column, ("id", "digest", "salt", "name")))
    for number, name in connection.execute(sa.text("SELECT id, name FROM actor_before ORDER BY id")).all():
        salt = secrets.token_bytes(32)
        digests[number] = hashlib.sha256(salt + name.encode()).hexdigest()
        row = {"id": number, "digest": digests[number], "salt": salt, "name": name}
        connection.execute(table.insert().values(row))
    if connection.dialect.name == "postgresql":
        last = sa.text("SELECT setval(pg_get_serial_sequence('actor', 'id'), max(id)) FROM actor HAVING max(id) > 0")
        connection.execute(last)
    return digests


def _write_once_more(connection: sa.Connection, digests: dict[int, str]) -> None:
    def table(name: str, *more: str) -> sa.TableClause:
        names = ("sequence", "event", "actor_id", *_KEYS, "body", *more)
        return sa.table(name, sa.column("time", UtcTime()), *map(sa.column, names))

    before, made = table("audit_entry"), table("audit_entry_made", "hashes", "code", "state")
    frontier: list[bytes] = []
    last = 0
    while True:
        query = sa.select(before).where(before.c.sequence > last).order_by(before.c.sequence).limit(_AT_ONCE)
        rows = [dict(row) for row in connection.execute(query).mappings()]
        if not rows:
            return
        for row in rows:
            detail = json.loads(row["body"])
            said = {
                "sequence": row["sequence"],
                "time": row["time"].astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "event": row["event"],
                "actor": digests[row["actor_id"]],
                "detail": detail,
            }
            said |= {name: row[name] for name in _KEYS if row[name]}
            row["body"] = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
            row["hashes"] = _add(frontier, row["sequence"], row["body"])
            row["code"] = str(detail.get("code", ""))
            row["state"] = str(detail.get("delivery_state", detail.get("status", "")))
        last = rows[-1]["sequence"]
        connection.execute(made.insert(), rows)


def _add(frontier: list[bytes], number: int, body: bytes) -> bytes:
    hashes = [hashlib.sha256(b"\x00" + body).digest()]
    while not number & 1:
        hashes.append(hashlib.sha256(b"\x01" + frontier.pop() + hashes[-1]).digest())
        number >>= 1
    frontier.append(hashes[-1])
    return b"".join(hashes)
