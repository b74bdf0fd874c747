"""What every source keeps to, whatever it is made of: three databases and three kinds of files, one and the same suite.

A site holds rows (number, note, quantity, seconds after its opening). In a database they are rows of a table; in a
folder every putting is a file.
"""

from __future__ import annotations

import csv
import json
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict

import openpyxl
import pytest
from sqlalchemy import NullPool, create_engine, make_url, select, text

from connector.audit.events import Event
from connector.audit.queries import EntryFilter, entries
from connector.bootstrap import build_connector, unchecked_database
from connector.config import SourceSettings, load
from connector.deeds import Deed, unwatched
from connector.errors import SourceUnreachable
from connector.messages.records import decode
from connector.pipeline.collect import Collected, collect
from connector.pipeline.leasing import end_all
from connector.pipeline.sweep import Sweeping, sweep
from connector.pipeline.wiring import Collection, Connector
from connector.sources import quarantine
from connector.sources.database import SourceDatabase
from connector.sources.records_file import RecordsFile
from connector.sources.sql import SqlSource
from connector.storage.sources import SOURCE_RECORDS
from tests.campaigns.daemon_under_test import Aim, Death
from tests.forks import FORKS

Row = tuple[str, str, str, int]
"""Number, note, quantity, seconds after the opening."""

PAGE = 4
OPENING = datetime.fromisoformat("2026-06-01 08:00:00")
COLUMNS = ("no", "note", "qty")
TABLES = {"sqlite": "TEXT", "mariadb": "DATETIME(3)", "postgresql": "TIMESTAMP(3)"}
"""Technology -> its type of times."""
FILES = ("csv", "xlsx", "jsonl")
EXACT = {"sqlite": ("TEXT", "BLOB"), "mysql": ("DECIMAL(30,10)", "VARBINARY(20)"), "postgresql": ("NUMERIC", "BYTEA")}
"""Technology -> types of exact numbers and of bytes."""
BIG, QTY, RAW = str(2**53 + 1), "12345678901234567890.1234567891", "0.10"


class Spec(TypedDict):
    """What opens a source, in a process of its own as well."""

    settings: dict[str, Any]
    """``[sources.site]``."""
    records: dict[str, Any]
    """The records file."""


class Site(ABC):
    """Where rows are put, and how a configuration and a records file name it."""

    spec: Spec

    @abstractmethod
    def put(self, rows: Sequence[Row]) -> None:
        """Add rows, or what rows say from now on."""

    @abstractmethod
    def put_numbers(self) -> Spec:
        """Put down one row `N` whose numbers no float holds, as its kind has them; what reads it.

        It has ``big``, ``qty``, and ``raw``, which comes as bytes where that can be.
        """

    @abstractmethod
    def remove(self) -> Sequence[str]:
        """Take something away; the numbers of what is gone."""


class Table(Site):
    """A table with a time of change."""

    def __init__(self, url: str, time: str) -> None:
        self._url = url
        self._run(f"CREATE TABLE move (no VARCHAR(20) PRIMARY KEY, note VARCHAR(60), qty VARCHAR(20), at {time})")
        order = {"changed": "at", "unique": "no", "overlap_seconds": 600}
        self.spec = _spec({"url": url}, order, {"at": "time"})

    def put(self, rows: Sequence[Row]) -> None:
        for no, note, qty, at in rows:
            shown = (OPENING + timedelta(seconds=at)).isoformat(" ", "milliseconds")
            self._run("DELETE FROM move WHERE no = :no", no=no)
            self._run("INSERT INTO move VALUES (:no, :note, :qty, :at)", no=no, note=note, qty=qty, at=shown)

    def put_numbers(self) -> Spec:
        exact, raw = EXACT[make_url(self._url).get_backend_name()]
        self._run(f"CREATE TABLE num (no VARCHAR(9) PRIMARY KEY, big BIGINT, qty {exact}, raw {raw}, at VARCHAR(30))")
        values = {"big": int(BIG), "qty": QTY, "raw": RAW.encode(), "at": "2026-06-01 08:00:00"}
        self._run("INSERT INTO num VALUES ('N', :big, :qty, :raw, :at)", **values)
        return _numbers(self.spec["settings"], {"changed": "at", "unique": "no"}, {"at": "time"})

    def forget_time(self, no: str) -> None:
        """Leave a row without a time of change."""
        self._run("UPDATE move SET at = NULL WHERE no = :no", no=no)

    def remove(self) -> Sequence[str]:
        self._run("DELETE FROM move WHERE no = :no", no="M002")
        return ["M002"]

    def _run(self, statement: str, **values: object) -> None:
        with create_engine(self._url, poolclass=NullPool).begin() as connection:
            connection.execute(text(statement), values)


class Folder(Site):
    """A folder of files: what they say was said, and stays so when they are thrown away."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        folder.mkdir()
        settings = {"url": f"sqlite:///{folder}.db", "folder": folder, "files": {"move-*": "move"}, "quiet_seconds": 0}
        self.spec = _spec(settings, {"unique": "_id"}, {"_id": "integer", "_file": "text", "_line": "integer"})

    def put_numbers(self) -> Spec:
        header, values = ("no", "big", "qty", "raw"), ("N", BIG, QTY, RAW)
        path = self._folder / f"num.{self._kind}"
        match self._kind:
            case "csv":
                path.write_text(f"{','.join(header)}\n{','.join(values)}\n", "utf-8")
            case "xlsx":  # a workbook has no number that a float does not hold, but texts
                book = openpyxl.Workbook()
                book.active.append(header)
                book.active.append(values)
                book.save(path)
            case "jsonl":
                path.write_text(f'{{"no": "N", "big": {BIG}, "qty": {QTY}, "raw": {RAW}}}\n', "utf-8")
        settings = self.spec["settings"] | {"files": {"num*": "num"}}
        return _numbers(settings, {"unique": "_id"}, {"_id": "integer"})

    def put(self, rows: Sequence[Row]) -> None:
        path = self._folder / f"move-{len(list(self._folder.iterdir())):03}.{self._kind}"
        part = path.with_suffix(".part")
        match self._kind:
            case "csv":
                with part.open("w", encoding="utf-8", newline="") as file:
                    csv.writer(file).writerows([COLUMNS, *(row[:3] for row in rows)])
            case "xlsx":
                book = openpyxl.Workbook()
                for cells in (COLUMNS, *(row[:3] for row in rows)):
                    book.active.append(cells)
                book.save(part)
            case "jsonl":
                lines = [json.dumps(dict(zip(COLUMNS, row[:3], strict=True))) + "\n" for row in rows]
                part.write_text("".join(lines), "utf-8")
        at = OPENING.timestamp() + rows[0][3]
        os.utime(part, (at, at))
        part.rename(path)

    def remove(self) -> Sequence[str]:
        (self._folder / f"move-000.{self._kind}").unlink()
        return []


def _spec(settings: dict[str, Any], order: dict[str, Any], types: dict[str, str]) -> Spec:
    columns = dict.fromkeys(COLUMNS, "text") | {"qty": "decimal"} | types
    query = f"SELECT {', '.join(f'm.{name}' for name in columns)} FROM move m"
    records = {"records": "moves", "database": "site", "query": query, "key": ["no"], "page_size": PAGE}
    return Spec(settings=settings, records=records | order | {"columns": columns})


def _numbers(settings: dict[str, Any], order: dict[str, Any], types: dict[str, str]) -> Spec:
    columns = {"no": "text", "big": "integer", "qty": "decimal", "raw": "decimal"} | types
    query = f"SELECT {', '.join(f'n.{name}' for name in columns)} FROM num n"
    records = {"records": "numbers", "database": "site", "query": query, "key": ["no"]}
    return Spec(settings=settings, records=records | order | {"columns": columns})


@contextmanager
def opened(spec: Spec) -> Iterator[tuple[SourceDatabase, SqlSource]]:
    """The source by itself, with what was put down for it."""
    database = SourceDatabase("site", SourceSettings(timezone="Asia/Shanghai", **spec["settings"]))
    records = RecordsFile.model_validate(spec["records"], context={"databases": ["site"]})
    with closing(database):
        source = SqlSource(records, {"site": database})
        source.refresh()
        yield database, source


@pytest.fixture(params=[*TABLES, *FILES])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    kind = request.param
    if kind in FILES:
        return Folder(tmp_path / "drop", kind)
    url = f"sqlite:///{tmp_path}/site.db" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    return Table(url.replace("postgresql://", "postgresql+psycopg://"), TABLES[kind])


@pytest.fixture
def config(enterprise: Callable[..., Connector], tmp_path: Path) -> Path:
    """A connector; what its own enterprise holds is not read."""
    enterprise(6).database.close()
    return tmp_path / "enterprise" / "connector.toml"


def rows(count: int, *, begin: int = 1, apart: int = 60) -> list[Row]:
    return [(f"M{number:03}", f"货 {number}", f"{number}.10", number * apart) for number in range(begin, begin + count)]


def work(config: Path, spec: Spec, aim: Aim | None = None, *, sweeping: bool = False) -> Collected:
    """One pass of a connector that has just been started; dies at the aim."""
    total = Collected()
    connector = build_connector(load(config), watch=Death(aim) if aim else unwatched)
    opened = SourceDatabase("site", SourceSettings(timezone="Asia/Shanghai", **spec["settings"]))
    records = RecordsFile.model_validate(spec["records"], context={"databases": ["site"]})
    mappings = connector.collections[0].mappings[:1]  # one type that waits where a row is bad
    collection = Collection(source=SqlSource(records, {"site": opened}), mappings=mappings)
    with closing(opened), closing(connector.database), connector.database.held_alone():
        end_all(connector)
        total.add(collect(connector, collection))
        if sweeping:
            total.add(sweep(connector, collection, Sweeping.NOW))
    return total


def stored(config: Path) -> dict[str, list[str]]:
    """Number -> the notes of its versions, in their order."""
    found: dict[str, list[str]] = {}
    with closing(unchecked_database(load(config))) as database, database.read() as connection:
        for row in connection.execute(select(SOURCE_RECORDS).order_by(SOURCE_RECORDS.c.key, SOURCE_RECORDS.c.version)):
            found.setdefault(row.key, []).append(decode(row.body)["row"]["note"])
    return found


def told(config: Path, event: Event) -> list[str]:
    with closing(unchecked_database(load(config))) as database, database.read() as connection:
        return sorted(
            str(one.source_key).removeprefix("moves/") for one in entries(connection, EntryFilter(event=event))
        )


def once(*given: Sequence[Row]) -> dict[str, list[str]]:
    """What is stored when each row was stored once."""
    return {no: [note] for part in given for no, note, *_ in part}


def test_every_row_is_stored_once_when_the_process_is_killed_after_every_page(site: Site, config: Path) -> None:
    records = site.spec["records"]  # nothing is read again, so that a cursor that moves too early shows
    records |= {"overlap_seconds": 0} if "changed" in records else {"overlap_rows": 0}
    first, second = rows(3 * PAGE + 1), rows(PAGE, begin=3 * PAGE + 2)
    killed = 0
    for part in (first, second):
        site.put(part)
        for _ in range(20):
            process = FORKS.Process(target=work, args=(config, site.spec, Aim(deed=Deed.COLLECT, moment="after")))
            process.start()
            process.join()
            assert process.exitcode in {0, -signal.SIGKILL}
            if process.exitcode == 0:
                break
            killed += 1
        assert process.exitcode == 0, "it never comes to an end"
    assert killed >= 5
    assert stored(config) == once(first, second)
    assert told(config, Event.COLLECTED) == sorted(once(first, second))


def test_every_row_is_stored_once_when_more_share_a_time_than_a_page_holds(site: Site, config: Path) -> None:
    tied = rows(3 * PAGE + 1, apart=0)
    site.put(tied)
    assert work(config, site.spec).changed == len(tied)
    more = rows(PAGE + 1, begin=900, apart=0)
    site.put(more)
    assert work(config, site.spec).changed == len(more)
    assert stored(config) == once(tied, more)
    assert work(config, site.spec).changed == 0


def test_row_that_comes_late_is_stored(site: Site, config: Path) -> None:
    """Its time lies before what was read already; of a file, the time at which it was written."""
    site.put(rows(PAGE, begin=10))
    assert work(config, site.spec).changed == PAGE
    site.put(rows(2, begin=8))
    assert work(config, site.spec).changed == 2
    assert stored(config) == once(rows(PAGE + 2, begin=8))
    assert work(config, site.spec).changed == 0


def test_row_that_changed_is_stored_as_a_new_version_and_no_other_is(site: Site, config: Path) -> None:
    site.put(rows(2 * PAGE))
    work(config, site.spec)
    site.put([("M003", "damaged", "3.10", 3600)])
    assert work(config, site.spec).changed == 1
    assert work(config, site.spec, sweeping=True).changed == 0
    assert stored(config) == once(rows(2 * PAGE)) | {"M003": ["货 3", "damaged"]}


def test_row_that_is_gone_is_told_once_and_loses_nothing(site: Site, config: Path) -> None:
    site.put(rows(2 * PAGE))
    work(config, site.spec)
    gone = site.remove()
    for _ in range(2):
        work(config, site.spec, sweeping=True)
    assert told(config, Event.DISAPPEARED) == gone
    assert stored(config) == once(rows(2 * PAGE))


def test_row_that_is_bad_waits_alone_and_is_stored_when_it_is_good(site: Site, config: Path) -> None:
    good = rows(2 * PAGE)
    site.put([*good[:2], ("M900", "bad", "two", 150), *good[2:]])
    total = work(config, site.spec)
    assert (total.changed, total.unreadable) == (len(good), 1)
    assert work(config, site.spec, sweeping=True).unreadable == 0
    with closing(unchecked_database(load(config))) as database, database.read() as connection:
        (held,) = quarantine.waiting_entries(connection)
    assert held.key.key == "M900"
    assert "bad" in str(held.faults[0]["row"])
    assert "qty" in str(held.faults[0]["text"])
    site.put([("M900", "good", "2", 3600)])
    assert work(config, site.spec).changed == 1
    assert stored(config) == once(good) | {"M900": ["good"]}


def test_numbers_are_exact_whatever_the_driver_makes_of_them(site: Site) -> None:
    with opened(site.put_numbers()) as (_, source):
        (record,) = source.page(None).records
    assert (record.row["big"], str(record.row["qty"]), str(record.row["raw"])) == (int(BIG), QTY, RAW)


def test_row_without_a_time_waits_and_is_stored_when_it_has_one(site: Site, config: Path) -> None:
    site.put(rows(2 * PAGE))
    if not isinstance(site, Table):
        assert work(config, site.spec).changed == 2 * PAGE  # rows of files need none
        return
    site.forget_time("M003")
    total = work(config, site.spec)
    assert (total.changed, total.unreadable) == (2 * PAGE - 1, 1)
    site.put([("M003", "货 3", "3.10", 3600)])
    assert work(config, site.spec).changed == 1
    assert stored(config) == once(rows(2 * PAGE))


@pytest.mark.parametrize("statement", ["DELETE FROM move", "CREATE TABLE made (a INTEGER)"])
def test_nothing_can_be_written_over_our_connection(site: Site, statement: str) -> None:
    site.put(rows(2))
    with opened(site.spec) as (database, source):
        with pytest.raises(SourceUnreachable, match="refuses"), database.reading() as connection:
            connection.execute(text(statement))
        assert len(source.page(None).records) == 2
