"""One behaviour for every database a source may be: SQLite, MariaDB, PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, NullPool, create_engine, event, make_url, text

from connector.config import SourceSettings
from connector.errors import ConfigurationError, SourceChanged, SourceUnreachable
from connector.messages.records import SourceKey, SourceRecord
from connector.sources.database import SourceDatabase
from connector.sources.interface import Cursor, UnreadableRow
from connector.sources.records_file import RecordsFile
from connector.sources.rights import rights_needed, rights_to_write
from connector.sources.sql import SqlSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

BEYOND_FLOATS = 2**53 + 1
NOON = datetime.fromisoformat("2026-06-01 12:00:00")
LATEST = datetime.max.replace(tzinfo=UTC)

TABLES = {
    "sqlite": ("TEXT", "TEXT"),
    "mariadb": ("DATETIME(6)", "DECIMAL(20,5)"),
    "postgresql": ("TIMESTAMP", "NUMERIC(20,5)"),
}
"""Technology -> types of times and of quantities."""

DEFINITION: dict[str, Any] = {
    "records": "returns",
    "database": "warehouse",
    "query": "SELECT o.id, o.order_no, o.changed FROM orders o WHERE o.kind = 3 -- only returns",
    "key": ["order_no"],
    "changed": "changed",
    "unique": "id",
    "page_size": 3,
    "columns": {"id": "integer", "order_no": "text", "changed": "time"},
    "lines": {
        "query": "SELECT d.order_id, d.id AS line_id, d.sku, d.quantity FROM details d WHERE d.order_id IN :keys",
        "parent": "order_id",
        "columns": {"order_id": "integer", "line_id": "integer", "sku": "text", "quantity": "decimal"},
    },
    "lookups": {
        "article": {
            "database": "warehouse",
            "query": "SELECT a.order_no, a.sku, a.name FROM articles a WHERE a.order_no IN :keys",
            "match": {"order_no": "record.order_no", "sku": "line.sku"},
            "columns": {"order_no": "text", "sku": "text", "name": "text"},
        }
    },
}


@dataclass(kw_only=True)
class Site:
    """A warehouse database that the test may write and the source may not."""

    technology: str
    url: str
    opened: list[SourceDatabase] = field(default_factory=list)

    @property
    def server(self) -> bool:
        return self.technology != "sqlite"

    def write(self, *statements: str, rows: Sequence[Mapping[str, object]] = ()) -> None:
        """Run statements in one session; rows are the parameters of the last."""
        with create_engine(self.url, poolclass=NullPool).begin() as connection:
            for statement in statements[:-1]:
                connection.execute(text(statement))
            connection.execute(text(statements[-1]), list(rows) or None)

    def add(self, number: int, changed: datetime | str | None, *, lines: int = 1) -> None:
        shown = changed.isoformat(" ", "microseconds") if isinstance(changed, datetime) else changed
        head = {"id": BEYOND_FLOATS + number, "no": f"RK{number}", "changed": shown}
        self.write("INSERT INTO orders (id, order_no, kind, changed) VALUES (:id, :no, 3, :changed)", rows=[head])
        details = [
            {"id": BEYOND_FLOATS + 10 * number + line, "order": head["id"], "sku": f"S{line}", "quantity": "4.10000"}
            for line in range(lines, 0, -1)
        ]
        self.write(
            "INSERT INTO details (id, order_id, sku, quantity) VALUES (:id, :order, :sku, :quantity)", rows=details
        )

    def database(self, **changes: str) -> SourceDatabase:
        settings = SourceSettings.model_validate({"url": self.url, "timezone": "Asia/Shanghai", **changes})
        self.opened.append(SourceDatabase("warehouse", settings))
        return self.opened[-1]

    def source(self, *, now: datetime = LATEST, **changes: object) -> SqlSource:
        given = {name: value for name, value in (DEFINITION | changes).items() if value is not None}
        records = RecordsFile.model_validate(given, context={"databases": ["warehouse"]})
        return SqlSource(records, {"warehouse": self.database()}, clock=lambda: now)


@pytest.fixture(params=list(TABLES))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    technology = request.param
    url = f"sqlite:///{tmp_path}/仓库 #1.db"
    if technology != "sqlite":
        url = request.getfixturevalue(f"{technology}_url")
    site = Site(technology=technology, url=url)
    time, quantity = TABLES[technology]
    site.write(
        f"CREATE TABLE orders (id BIGINT PRIMARY KEY, order_no VARCHAR(32), kind INT, changed {time} NULL)",
        "CREATE INDEX by_change ON orders (changed, id)",
        f"CREATE TABLE details (id BIGINT PRIMARY KEY, order_id BIGINT, sku VARCHAR(32), quantity {quantity})",
        "CREATE TABLE articles (order_no VARCHAR(32), sku VARCHAR(32), name VARCHAR(99))",
    )
    yield site
    for database in site.opened:
        database.close()


def walk(source: SqlSource) -> Iterator[tuple[list[str], Cursor | None]]:
    """Every page's keys and cursor; each page is read as if after a restart, from the texts of the cursor alone."""
    cursor: Cursor | None = None
    while True:
        page = source.page(cursor and Cursor(changed_at=str(cursor.changed_at), key=str(cursor.key)))
        cursor = page.cursor
        yield [record.key.key for record in page.records], cursor
        if not page.more:
            return


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """The queries sent to any database meanwhile, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if "answer" in statement:
            seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_page_gives_every_record_once_when_ties_are_larger_than_a_page(site: Site) -> None:
    for number in range(11):
        site.add(number, NOON if number < 8 else NOON + timedelta(microseconds=number))
    pages = list(walk(site.source()))
    assert [number for keys, _ in pages for number in keys] == [f"RK{number}" for number in range(11)]
    assert [len(keys) for keys, _ in pages] == [3, 3, 3, 2]


def test_page_is_empty_and_keeps_its_cursor_when_nothing_changed(site: Site) -> None:
    site.add(1, NOON)
    source = site.source()
    first = source.page(None)
    again = source.page(first.cursor)
    assert (again.records, again.cursor, again.more) == ((), first.cursor, False)


def test_page_gives_a_record_again_when_it_changed(site: Site) -> None:
    site.add(1, NOON)
    site.add(2, NOON)
    source = site.source()
    cursor = source.page(None).cursor
    site.write("UPDATE orders SET changed = '2026-06-01 12:00:00.000001' WHERE order_no = 'RK1'")
    assert [record.key.key for record in source.page(cursor).records] == ["RK1"]


def test_rows_of_the_future_are_given_and_never_remembered(site: Site) -> None:
    for number, hours in enumerate([0, 1, 2, 3, 4]):
        site.add(number, NOON + timedelta(hours=hours))
    source = site.source(now=datetime.fromisoformat("2026-06-01T13:00:00+08:00"), page_size=2)
    pages = [source.page(None)]
    while pages[-1].more:
        pages.append(source.page(pages[-1].cursor))
    assert [[record.key.key for record in page.records] for page in pages] == [["RK0", "RK1"], ["RK2", "RK3"], ["RK4"]]
    assert pages[0].remember == pages[0].cursor
    assert [page.remember for page in pages[1:]] == [None, None]
    site.write("DELETE FROM orders WHERE order_no = 'RK1'")
    first = source.page(None)
    assert [record.key.key for record in first.records] == ["RK0", "RK2"]
    assert first.remember
    assert [record.key.key for record in source.page(first.remember).records] == ["RK2", "RK3"]


def test_record_is_exact_when_ids_quantities_and_times_are_awkward(site: Site) -> None:
    site.add(7, datetime.fromisoformat("2026-06-01 03:04:05.678901"), lines=2)
    (record,) = site.source().page(None).records
    assert record.key == SourceKey(collection="returns", key="RK7")
    assert record.row["id"] == 9007199254741000
    assert record.changed_at == datetime(2026, 5, 31, 19, 4, 5, 678901, tzinfo=UTC)
    assert record.row["changed"] == record.changed_at
    assert [line["sku"] for line in record.lines] == ["S1", "S2"]
    assert str(record.lines[0]["quantity"]) == "4.10000"
    assert isinstance(record.lines[0]["quantity"], Decimal)


def test_lines_and_lookups_take_one_query_a_page_however_many_records(site: Site) -> None:
    for number in range(3):
        site.add(number, NOON, lines=2)
        site.write(f"INSERT INTO articles VALUES ('RK{number}', 'S1', '风衣'), ('RK{number}', 'S9', '不相干')")
    source = site.source(page_size=500)
    with statements() as of_page:
        page = source.page(None)
    assert len(of_page) == 3  # the records, their lines, those without a change time
    with statements() as of_lookups:
        found = source.look_up(["article"], page.records)
    assert len(of_lookups) == 1
    row = {"order_no": "RK1", "sku": "S1", "name": "风衣"}
    assert found["article"]["RK1", "S1"] == [row]
    assert set(found["article"]) == {("RK0", "S1"), ("RK1", "S1"), ("RK2", "S1")}


def test_lookup_compares_exactly_when_the_database_ignores_case(site: Site) -> None:
    site.add(1, NOON)
    site.write("INSERT INTO articles VALUES ('rk1', 'S1', 'other'), ('RK1 ', 'S1', 'padded')")
    source = site.source()
    assert source.look_up(["article"], source.page(None).records) == {"article": {}}


def test_lookup_asks_in_several_lists_when_keys_are_many(site: Site) -> None:
    site.write("INSERT INTO articles VALUES ('RK1', 'S1', 'first'), ('RK1200', 'S1', 'last')")
    records = [
        SourceRecord(
            key=SourceKey(collection="returns", key=f"RK{number}"),
            changed_at=datetime(2026, 6, 1, tzinfo=UTC),
            row={"id": number, "order_no": f"RK{number}"},
            lines=({"sku": "S1"},),
        )
        for number in range(1, 1201)
    ]
    with statements() as seen:
        found = site.source().look_up(["article"], records)
    assert len(seen) == 3
    assert set(found["article"]) == {("RK1", "S1"), ("RK1200", "S1")}


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO orders (id) VALUES (1)", "UPDATE orders SET kind = 1", "DELETE FROM orders", "DROP TABLE articles"],
)
def test_source_refuses_to_write_whatever_is_tried(site: Site, statement: str) -> None:
    site.add(1, NOON)
    with pytest.raises(SourceUnreachable, match="refuses"), site.database().reading() as connection:
        connection.execute(text(statement))
    assert len(site.source().page(None).records) == 1
    site.write("SELECT count(*) FROM articles")


def test_source_says_both_column_lists_when_the_query_answers_with_others(site: Site) -> None:
    site.add(1, NOON)
    source = site.source(query="SELECT o.id, o.order_no, o.changed, o.kind FROM orders o")
    with pytest.raises(SourceChanged, match=r"id, order_no, changed, kind; declared are id, order_no, changed"):
        source.page(None)


def test_source_is_unreachable_when_its_query_is_refused(site: Site) -> None:
    source = site.source(query="SELECT o.id, o.order_no, o.changed FROM nowhere o")
    with pytest.raises(SourceUnreachable, match=r"source warehouse .* refuses the query.*nowhere") as caught:
        source.page(None)
    assert caught.value.exit_code == 5
    assert caught.value.remedy


def test_source_is_unreachable_when_the_database_is_not_there(site: Site) -> None:
    path, _, _name = site.url.rpartition("/")
    database = site.database(url=f"{path}/absent")
    with pytest.raises(SourceUnreachable, match="cannot be reached"), database.reading():
        pass


def test_password_is_never_shown_when_the_server_refuses_it(site: Site, tmp_path: Path) -> None:
    if site.technology == "sqlite":
        return  # it knows no passwords
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "password").chmod(0o600)
    url = site.url.replace("root@", "nobody@").replace("postgres@", "nobody@")
    database = site.database(url=url, password_file=str(tmp_path / "password"))
    with pytest.raises(SourceUnreachable) as caught, database.reading():
        pass
    assert "nobody" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_row_is_unreadable_and_others_go_on_when_it_has_no_key(site: Site) -> None:
    for number in range(4):
        site.add(number, NOON)
    site.write("UPDATE orders SET order_no = NULL WHERE order_no = 'RK1'")
    source = site.source()
    page = source.page(None)
    assert [record.key.key for record in page.records] == ["RK0", "RK2"]
    (row,) = page.unreadable
    assert row.key == SourceKey(collection="returns", key=f"id={BEYOND_FLOATS + 1}")
    assert "order_no is empty" in row.reason
    assert "4.10000" in row.row
    assert [record.key.key for record in source.page(page.cursor).records] == ["RK3"]


def test_row_is_unreadable_and_others_go_on_when_its_time_is_beyond_us(site: Site) -> None:
    beyond = {"sqlite": "yesterday", "mariadb": "0000-00-00 00:00:00", "postgresql": "infinity"}[site.technology]
    for number in range(4):
        site.add(number, NOON)
    lax = ["SET SESSION sql_mode = ''"] if site.technology == "mariadb" else []
    site.write(*lax, f"UPDATE orders SET changed = '{beyond}' WHERE order_no = 'RK1'")
    pages = list(walk(site.source(page_size=1)))
    assert sorted(number for keys, _ in pages for number in keys) == ["RK0", "RK2", "RK3"]
    page = site.source(page_size=9).page(None)
    assert [(row.key.key, beyond in row.reason) for row in page.unreadable] == [("RK1", True)]
    site.add(4, NOON + timedelta(hours=1))
    assert [record.key.key for record in site.source().page(page.remember).records] == ["RK4"]


def test_row_is_unreadable_when_an_earlier_one_of_the_page_has_its_key(site: Site) -> None:
    for number in range(4):
        site.add(number, None if number == 3 else NOON + timedelta(hours=number))
    site.write("UPDATE orders SET order_no = 'RK0' WHERE order_no <> 'RK1'")
    source = site.source(page_size=9)
    page = source.page(None)
    assert [(record.key.key, record.row["id"]) for record in page.records] == [
        ("RK0", BEYOND_FLOATS),
        ("RK1", BEYOND_FLOATS + 1),
    ]
    assert [row.key.key for row in page.unreadable] == [f"id={BEYOND_FLOATS + 2}", f"id={BEYOND_FLOATS + 3}"]
    for row in page.unreadable:
        assert f"the row id={BEYOND_FLOATS} has the same key RK0; give this one its own" in row.reason
    found = source.current(SourceKey(collection="returns", key="RK0"))
    assert isinstance(found, UnreadableRow)
    assert "has the same key" in found.reason


def test_row_without_change_time_is_named_at_the_end_of_every_pass(site: Site) -> None:
    for number in range(5):
        site.add(number, None if number == 1 else NOON)
    source = site.source()
    first = source.page(None)
    last = source.page(first.cursor)
    after = source.page(last.cursor)
    assert first.more
    assert not first.unreadable
    assert [row.key.key for row in last.unreadable] == ["RK1"]
    assert "changed is empty" in last.unreadable[0].reason
    assert [row.key.key for row in after.unreadable] == ["RK1"]
    assert after.cursor == last.cursor


@pytest.mark.parametrize("changed", ["changed", None], ids=["by time", "by id"])
def test_row_without_its_unique_column_waits_alone(site: Site, changed: str | None) -> None:
    for number in range(5):
        site.add(number, NOON)
    unique = "CASE WHEN o.order_no IN ('RK1', 'RK3') THEN NULL ELSE o.id END"
    named = "CASE WHEN o.order_no IN ('RK3', 'RK4') THEN '' ELSE o.order_no END"
    source = site.source(query=f"SELECT {unique} AS id, {named} AS order_no, o.changed FROM orders o", changed=changed)
    page = source.page(None)
    found, unreadable = [record.key.key for record in page.records], list(page.unreadable)
    while page.more:
        page = source.page(page.cursor)
        found += [record.key.key for record in page.records]
        unreadable += page.unreadable
    assert found == ["RK0", "RK2"]
    reasons = {row.key.key: row.reason for row in unreadable}
    assert reasons.keys() == {"RK1", "id empty", f"id={BEYOND_FLOATS + 4}"}
    assert "column id is empty, so the row has no place in the order" in reasons["RK1"]
    assert source.count(None, None) == 3
    assert SourceKey(collection="returns", key="id empty") in page.corrected  # unless such a row is named again


def test_current_reads_one_record_exactly_or_says_it_is_gone(site: Site) -> None:
    site.add(1, NOON, lines=2)
    source = site.source()
    (record,) = source.page(None).records
    assert source.current(record.key) == record
    assert source.current(SourceKey(collection="returns", key="rk1")) is None
    site.write("UPDATE orders SET changed = NULL")
    assert isinstance(source.current(record.key), UnreadableRow)
    site.write("DELETE FROM orders")
    assert source.current(record.key) is None


def test_source_changed_when_the_unique_column_repeats(site: Site) -> None:
    site.add(1, NOON, lines=2)
    joined = "SELECT o.id, o.order_no, o.changed FROM orders o JOIN details d ON d.order_id = o.id"
    with pytest.raises(SourceChanged, match="id must name every row once"):
        site.source(query=joined).page(None)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moments=st.lists(
        st.datetimes(min_value=NOON - timedelta(days=20000), max_value=NOON + timedelta(days=9000)),
        min_size=1,
        max_size=9,
    ),
    size=st.integers(min_value=1, max_value=4),
)
def test_cursor_finds_its_place_again_whatever_the_time(site: Site, moments: list[datetime], size: int) -> None:
    site.write("DELETE FROM orders")
    rows = [
        {"id": BEYOND_FLOATS + number, "no": f"RK{number}", "changed": moment.isoformat(" ", "microseconds")}
        for number, moment in enumerate(moments)
    ]
    site.write("INSERT INTO orders (id, order_no, kind, changed) VALUES (:id, :no, 3, :changed)", rows=rows)
    expected = [f"RK{number}" for _, number in sorted((moment, number) for number, moment in enumerate(moments))]
    assert [number for keys, _ in walk(site.source(page_size=size)) for number in keys] == expected


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(
        st.text("aAbB_-'%\\\"é退🧥 :", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=9
    )
)
def test_cursor_finds_its_place_again_whatever_the_text_that_breaks_ties(site: Site, keys: set[str]) -> None:
    exact = " COLLATE utf8mb4_bin" if site.technology == "mariadb" else ""
    site.write("DROP TABLE IF EXISTS named")
    site.write(f"CREATE TABLE named (name VARCHAR(32){exact} PRIMARY KEY, changed {TABLES[site.technology][0]})")
    rows = [{"name": key, "changed": NOON.isoformat(" ")} for key in keys]
    site.write("INSERT INTO named (name, changed) VALUES (:name, :changed)", rows=rows)
    source = site.source(
        query="SELECT n.name, n.changed FROM named n",
        columns={"name": "text", "changed": "time"},
        key=["name"],
        unique="name",
        page_size=2,
        lines=None,
        lookups={},
    )
    found = [key for page, _ in walk(source) for key in page]
    assert len(found) == len(keys)
    assert set(found) == keys


def test_time_with_zone_is_exact_whatever_zone_the_server_keeps(site: Site) -> None:
    kind, moment, session = {
        "sqlite": ("TEXT", "2026-06-01T04:00:00Z", []),
        "mariadb": ("TIMESTAMP(6) NULL", "2026-06-01 04:00:00", ["SET time_zone = '+00:00'"]),
        "postgresql": ("TIMESTAMPTZ", "2026-06-01 04:00:00+00", []),
    }[site.technology]
    site.write(f"CREATE TABLE zoned (id BIGINT, order_no VARCHAR(9), changed {kind})")
    site.write(*session, f"INSERT INTO zoned VALUES (1, 'RK1', '{moment}'), (2, 'RK2', '{moment}')")
    source = site.source(query="SELECT z.id, z.order_no, z.changed FROM zoned z", page_size=1)
    assert [keys for keys, _ in walk(source)] == [["RK1"], ["RK2"]]
    assert source.page(None).records[0].changed_at == datetime(2026, 6, 1, 4, tzinfo=UTC)


def test_pages_are_ranges_of_the_index_when_a_warehouse_is_large(site: Site) -> None:
    first, last = "2026-06-01 00:00:00", "2026-06-11 00:00:00"
    rows = [
        {"id": number, "no": f"RK{number}", "changed": first.replace("01", f"{max(number // 300, 10) - 9:02d}", 1)}
        for number in range(6000)
    ]
    site.write("INSERT INTO orders (id, order_no, kind, changed) VALUES (:id, :no, 3, :changed)", rows=rows)
    site.write({"sqlite": "ANALYZE", "mariadb": "ANALYZE TABLE orders", "postgresql": "ANALYZE"}[site.technology])
    source = site.source(page_size=100)
    amid_ties, behind_ties = Cursor(changed_at=f'"{first}"', key="1000"), Cursor(changed_at=f'"{last}"', key="5999")
    with statements() as seen:
        assert len(source.page(amid_ties).records) == 100
    with statements() as seen_behind:
        assert not source.page(behind_ties).records
    for statement, parameters in (seen[0], seen_behind[1]):
        plan = _plan(site, statement, parameters)
        assert "by_change" in plan
        assert not any(sorting in plan for sorting in ("TEMP B-TREE", "filesort", "Sort"))


def _plan(site: Site, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN" if site.technology == "sqlite" else "EXPLAIN"
    with create_engine(site.url, poolclass=NullPool).connect() as connection:
        return str(connection.exec_driver_sql(f"{explain} {statement}", parameters).all())


def test_probe_says_nothing_and_reads_no_row_when_every_query_fits(site: Site) -> None:
    site.add(1, "an unreadable time" if site.technology == "sqlite" else NOON)
    with statements() as seen:
        site.source().probe()
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("part", "old", "new", "error"),
    [
        ("records", "o.id,", "o.kind,", SourceChanged),
        ("lines", "d.sku,", "", SourceChanged),
        ("lookups", "a.name", "a.sku AS other", SourceChanged),
        ("records", "FROM orders", "FROM nothing", SourceUnreachable),
        ("lines", "FROM details", "FROM nothing", SourceUnreachable),
        ("lookups", "FROM articles", "FROM nothing", SourceUnreachable),
    ],
)
def test_probe_refuses_a_query_that_lacks_a_column_or_a_table(
    site: Site, part: str, old: str, new: str, error: type[Exception]
) -> None:
    changes: dict[str, Any] = deepcopy(DEFINITION)
    place = {"records": changes, "lines": changes["lines"], "lookups": changes["lookups"]["article"]}[part]
    place["query"] = place["query"].replace(old, new)
    with pytest.raises(error):
        site.source(**changes).probe()


def test_rights_to_write_are_those_that_the_account_has(site: Site) -> None:
    with site.database().reading() as connection:
        found = rights_to_write(connection)
    expected = {
        "sqlite": [],
        "mariadb": ["ALL PRIVILEGES"],
        "postgresql": ["INSERT", "UPDATE", "DELETE", "TRUNCATE"],
    }
    assert found == expected[site.technology]


def test_lines_are_never_left_out_where_the_database_takes_other_letters_for_the_same(tmp_path: Path) -> None:
    site = Site(technology="sqlite", url=f"sqlite:///{tmp_path}/site.db")
    site.write(
        "CREATE TABLE orders (no TEXT, changed TEXT)",
        "CREATE TABLE details (parent TEXT COLLATE NOCASE, id INT)",
        "INSERT INTO orders VALUES ('TH1', '2026-06-01 12:00:00')",
        "INSERT INTO details VALUES ('TH1', 1), ('th1', 2)",
    )
    lines = {
        "query": "SELECT d.parent, d.id FROM details d WHERE d.parent IN :keys",
        "parent": "parent",
        "columns": {"parent": "text", "id": "integer"},
    }
    source = site.source(
        query="SELECT o.no, o.changed FROM orders o",
        key=["no"],
        unique="no",
        columns={"no": "text", "changed": "time"},
        lines=lines,
        lookups={},
    )
    with pytest.raises(SourceChanged, match="lines come of th1"):
        source.page(None)
    site.opened[0].close()


@pytest.mark.parametrize("at", ["9999-12-31 23:59:59", "0001-01-01 00:00:00"])
def test_time_that_stands_for_none_makes_its_row_wait_alone(tmp_path: Path, at: str) -> None:
    site = Site(technology="sqlite", url=f"sqlite:///{tmp_path}/site.db")
    site.write(
        "CREATE TABLE orders (id INT, at TEXT, changed TEXT)",
        *(f"INSERT INTO orders VALUES ({number}, '{NOON}', '{NOON}')" for number in (1, 2, 3)),
        f"UPDATE orders SET at = '{at}' WHERE id = 2",
    )
    source = site.source(
        query="SELECT o.id, o.at, o.changed FROM orders o",
        key=["id"],
        columns={"id": "integer", "at": "time", "changed": "time"},
        lines=None,
        lookups={},
    )
    page = source.page(None)
    assert [record.key.key for record in page.records] == ["1", "3"]
    assert [row.key.key for row in page.unreadable] == ["2"]
    assert at in page.unreadable[0].reason
    site.opened[0].close()


def test_account_reads_all_and_may_not_write_when_it_has_the_rights_that_are_named(site: Site) -> None:
    site.add(1, NOON)
    records = RecordsFile.model_validate(DEFINITION, context={"databases": ["warehouse"]})
    with site.database().reading() as connection:
        owner = "".join(connection.execute(text("SELECT current_user")).scalars()) if site.server else ""
        needed = rights_needed(connection, records.queries_of("warehouse"))
    if not site.server:
        assert not needed  # a file: whoever may open it reads it
        return
    url, name = make_url(site.url), f"reader_{uuid4().hex[:8]}"
    if site.technology == "mariadb":
        owner, account = "'{}'@'{}'".format(*owner.split("@")), f"'{name}'@'127.0.0.1'"
        made, gone = [f"CREATE USER {account} IDENTIFIED BY 'secret'"], [f"DROP USER {account}"]
    else:
        owner, account = f'"{owner}"', f'"{name}"'
        made, gone = [f"CREATE ROLE {account} LOGIN"], [f"DROP OWNED BY {account}", f"DROP ROLE {account}"]
    granted = [grant.removesuffix(";").replace(owner, account) for grant in needed]
    assert all(account in grant for grant in granted)
    site.write(*made, *granted)
    try:
        reader = site.database(url=str(url.set(username=name)), password="secret")
        source = SqlSource(records, {"warehouse": reader}, clock=lambda: LATEST)
        source.probe()
        assert [len(record.lines) for record in source.page(None).records] == [1]
        with reader.reading() as connection:
            assert rights_to_write(connection) == []
        reader.close()
    finally:
        site.write(*gone)


@pytest.mark.parametrize("url", ["mysql://root@127.0.0.1/x", "oracle+oracledb://h/x", "nonsense"])
def test_database_is_refused_when_its_technology_is_not_read(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sources\.warehouse\.url"):
        SourceDatabase("warehouse", SourceSettings(url=url, timezone="Asia/Shanghai"))
