"""What it takes to talk to the simulated customs office, and fresh databases on the servers of this machine.

Where a server is missing, a test that needs it is skipped and says so.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from connector.bootstrap import build_connector, unchecked_database
from connector.config import load
from connector.deeds import Deed, Watch, unwatched
from connector.demo.enterprise import build
from connector.messages.builder import Transfer, build_message
from connector.messages.catalogue import message_type
from connector.messages.deliveries import MessageId, SignedMessage
from connector.messages.documents import AppType, Content, Document
from connector.messages.envelope import Envelope, seal
from connector.messages.records import SourceKey, SourceRecord
from connector.outbox import documents, queue
from connector.outbox.documents import Origin
from connector.outbox.queue import NewMessage
from connector.pipeline.wiring import Connector
from connector.signing.keyfiles import FileKey
from connector.signing.signer import Signer
from connector.sources import inbox
from connector.storage import schema
from connector.storage.database import Database
from tests.integration.declared import declare

MARIADB = "mysql+pymysql://root@127.0.0.1:3306/"
POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/"
SAMPLE_PORT = 8610
DXP_ID = "DXPENT0000011351"
NOW = datetime(2026, 4, 15, 2, 30, tzinfo=UTC)
LINE = {
    "gnum": "1",
    "gcode": "6109100010",
    "gname": "棉制T恤衫",
    "gmodel": "针织|短袖|100%棉",
    "qty": "2",
    "qty1": "2",
    "unit": "011",
    "unit1": "011",
}


@pytest.fixture
def office_files(tmp_path: Path, signing_key: FileKey) -> Path:
    """A folder with a registry and 100 original export lists, 3 pieces on the one line of each."""
    lists = [
        {
            "invt_no": f"22442026E{number:09}",
            "trade_mode": "9610",
            "ebp_code": "4401ABCDEF",
            "ebc_code": "4401000001",
            "lines": [LINE | {"gnum": 1, "qty": "3", "qty1": "3"}],
        }
        for number in range(100)
    ]
    (tmp_path / "export-lists.jsonl").write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lists))
    (tmp_path / "registry.toml").write_text(
        'listen = "127.0.0.1:0"\ndatabase = "customs.db"\nexport_lists = "export-lists.jsonl"\n'
        "[delays]\nstage_seconds = 2\n"
        f'[[senders]]\ndxp_id = "{DXP_ID}"\ncertificate_sha256 = "{signing_key.certificate.key_id}"\n'
        'enterprise_codes = ["4401000001"]\n'
    )
    return tmp_path


@pytest.fixture(scope="session")
def refund() -> Callable[..., Document]:
    """Makes a CEB213 document; list_number picks the export list, changes replace fields of its head."""

    def make(
        number: str = "RK1",
        *,
        list_number: int = 1,
        quantity: str = "2",
        app_type: AppType = AppType.NEW,
        **changes: str,
    ) -> Document:
        head = {
            "appStatus": "2",
            "customsCode": "5141",
            "ebpCode": "4401ABCDEF",
            "ebpName": "某平台",
            "ebcCode": "4401000001",
            "ebcName": "广州云帆跨境电子商务有限公司",
            "logisticsNo": f"YT{number}",
            "logisticsCode": "4401980001",
            "logisticsName": "某快递",
            "coElNo": number,
            "invtNo": f"22442026E{list_number:09}",
            "tradeMode": "9661",
            "agentCode": "4401000001",
            "agentName": "广州云帆跨境电子商务有限公司",
            "billNo": f"B{number}",
            "ieFlag": "I",
            "trafMode": "5",
            "trafName": "CZ300",
            "portCode": "5141",
            "reason": "不合适",
            "country": "502",
            "voyageNo": "CZ300",
        }
        return Document(
            type="CEB213",
            business_key=f"{changes.get('agentCode', '4401000001')}/{number}",
            revision=1,
            app_type=app_type,
            app_time=NOW,
            content=Content(head=head | changes, lines=(LINE | {"qty": quantity, "qty1": quantity},)),
        )

    return make


@pytest.fixture(scope="session")
def tally() -> Callable[..., Document]:
    """Makes a CEB215 document; changes replace fields."""

    def make(number: str = "RK1", **changes: str) -> Document:
        head = {
            "appStatus": "2",
            "customsCode": "5141",
            "operatorCode": "4401000001",
            "operatorName": "某监管场所",
            "logisticsCode": "4401980001",
            "logisticsName": "某快递",
            "logisticsNo": f"YT{number}",
            "invtNo": "22442026E000000001",
            "coElNo": number,
            "billNo": f"B{number}",
            "ieFlag": "I",
            "trafMode": "5",
            "trafName": "CZ300",
            "voyageNo": "CZ300",
        }
        return Document(
            type="CEB215",
            business_key=f"{changes.get('operatorCode', '4401000001')}/{number}",
            revision=1,
            app_type=AppType.NEW,
            app_time=NOW,
            content=Content(head=head | changes),
        )

    return make


@pytest.fixture(scope="session")
def sealed(signing_key: FileKey) -> Callable[..., str]:
    """Makes a signed message of documents, in its envelope; each part can be spoilt in a way of the caller's."""

    def make(
        documents: Sequence[Document],
        *,
        message_id: str | None = None,
        sender: str = DXP_ID,
        transfer_dxp_id: str = DXP_ID,
        before_signing: Callable[[etree._Element], None] = lambda _: None,
        after_signing: Callable[[bytes], bytes] = lambda xml: xml,
    ) -> str:
        kind = message_type(documents[0].type)
        transfer = Transfer(cop_code="4401000001", cop_name="广州云帆", dxp_id=transfer_dxp_id)
        root = build_message(kind, documents, transfer, str(uuid.uuid4()).upper())
        before_signing(root)
        envelope = Envelope(
            message_id=message_id or str(uuid.uuid4()).upper(),
            sender=sender,
            receiver="DXPEDCCEB0000003",
            created=NOW,
            message_type=kind.root,
            data=after_signing(Signer(signing_key).sign(root).xml),
        )
        return seal(envelope).decode()

    return make


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    """A fresh MariaDB database, dropped afterwards."""
    yield from _fresh(MARIADB, "", "CREATE DATABASE {} CHARACTER SET utf8mb4", "DROP DATABASE {}")


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """A fresh PostgreSQL database, dropped afterwards."""
    yield from _postgresql("template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of our own, on each of the two kinds in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/connector.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture(scope="session")
def migrated_url() -> Iterator[str]:
    """One PostgreSQL database with our tables for all tests: making one takes longer than most tests."""
    for url in _postgresql("template0"):
        database = Database(url)
        schema.upgrade(database)
        database.close()
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables, all empty; to be copied, never changed."""
    file = tmp_path_factory.mktemp("migrated") / "connector.db"
    made = Database(f"sqlite:///{file}")
    schema.upgrade(made)
    made.close()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    """Our own database with its tables, all empty, on each of the two kinds in turn."""
    if request.param == "sqlite":
        shutil.copy(migrated_file, tmp_path / "connector.db")
        opened = Database(f"sqlite:///{tmp_path}/connector.db")
    else:
        opened = Database(request.getfixturevalue("migrated_url"))
        with opened.write(Deed.PREPARE) as transaction:
            transaction.execute(text("SET LOCAL session_replication_role = replica"))  # past guards and foreign keys
            for table in SQLModel.metadata.sorted_tables:
                transaction.execute(table.delete())
    yield opened
    opened.close()


@pytest.fixture
def keep(database: Database) -> Callable[..., list[Document]]:
    """Stores documents ``A/number`` as of one source record, and one message of them where message_id is given."""

    def store(
        *numbers: str,
        kind: str = "CEB213",
        revision: int = 1,
        message_id: str | None = None,
        at: datetime = NOW,
        **origin: str,
    ) -> list[Document]:
        made = [
            Document(
                type=kind,
                business_key=f"A/{number}",
                revision=revision,
                app_type=AppType.NEW,
                app_time=at,
                content=Content(head={"coElNo": number}),
            )
            for number in numbers
        ]
        record = SourceRecord(
            key=SourceKey(collection="returns", key=f"{kind} {numbers[0]} {revision}"), changed_at=at, row={}
        )
        found = {"waybill": "", "export_list": ""} | origin
        with database.write(Deed.PREPARE) as transaction:
            inbox.store(transaction, [record], now=at)
            record_id = inbox.waiting(transaction, "returns", after=0, at_most=10_000)[-1].id
            about = Origin(record_id=record_id, mapping="m 1", mapping_digest="", **found)
            documents.add(transaction, [(document, about) for document in made])
            if message_id is not None:
                message = NewMessage(
                    id=MessageId(message_id),
                    type=kind,
                    signed=SignedMessage(xml=f"<{message_id}/>".encode(), key_id="k", suite="rsa-sha1"),
                    body=f"body of {message_id}".encode(),
                    guids=tuple(document.guid for document in made),
                )
                queue.add(transaction, [message], now=at)
        return made

    return store


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Builds a sample enterprise of so many returns, once; to be copied, never changed."""

    @cache
    def make(returns: int) -> Path:
        folder = tmp_path_factory.mktemp("sample") / "enterprise"
        build(folder, returns=returns, seed=1, port=SAMPLE_PORT)
        return folder

    return make


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def declared(
    request: pytest.FixtureRequest, built: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """Eight returns, declared and answered, on a database of each kind in turn: the folder, and its database's address.

    To be copied, never changed.
    """
    folder = tmp_path_factory.mktemp("declared") / "enterprise"
    shutil.copytree(built(8), folder)
    urls = iter([f"sqlite:///{folder}/connector.db"]) if request.param == "sqlite" else _postgresql("template0")
    for url in urls:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONNECTOR_DATABASE__URL", url)
            declare(folder, SAMPLE_PORT)
        yield folder, url


@pytest.fixture
def has_declared(declared: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connector]:
    """A connector that has declared eight returns and got all answers, free to be changed."""
    template, url = declared
    folder = tmp_path / "enterprise"
    shutil.copytree(template, folder)
    is_file = url.startswith("sqlite")
    for own in iter([f"sqlite:///{folder}/connector.db"]) if is_file else _postgresql(url.rpartition("/")[2]):
        monkeypatch.setenv("CONNECTOR_DATABASE__URL", own)
        connector = build_connector(load(folder / "connector.toml"))
        yield connector
        connector.database.close()


@pytest.fixture
def enterprise(built: Callable[[int], Path], tmp_path: Path) -> Callable[..., Connector]:
    """Wires a connector to a copy of a sample enterprise: ``enterprise(60, port, name)``; one copy a name."""

    def wire(
        returns: int = 60, port: int = SAMPLE_PORT, name: str = "enterprise", watch: Watch = unwatched
    ) -> Connector:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(built(returns), folder)
            for file in ("connector.toml", "registry.toml"):
                text = (folder / file).read_text("utf-8").replace(f":{SAMPLE_PORT}", f":{port}")
                (folder / file).write_text(text, "utf-8")
        settings = load(folder / "connector.toml")
        schema.upgrade(unchecked_database(settings))
        return build_connector(settings, watch=watch)

    return wire


def _postgresql(template: str) -> Iterator[str]:
    create = f"CREATE DATABASE {{}} TEMPLATE {template}"
    yield from _fresh(POSTGRESQL, "postgres", create, "DROP DATABASE {} WITH (FORCE)")


def _fresh(server: str, maintenance: str, create: str, drop: str) -> Iterator[str]:
    engine = create_engine(server + maintenance, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = f"connector_test_{uuid.uuid4().hex[:12]}"
    try:
        with engine.connect() as connection:
            connection.execute(text(create.format(name)))
    except OperationalError as error:
        pytest.skip(f"needs a database server at {server}: {error.orig}")
    yield server + name
    with engine.connect() as connection:
        connection.execute(text(drop.format(name)))
