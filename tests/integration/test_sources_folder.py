"""Files that are dropped into a folder: CSV, XLSX, JSON Lines; each taken once, whole, whatever happens meanwhile."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from connector.config import SourceSettings
from connector.errors import ConfigurationError, SourceUnreachable
from connector.messages.records import SourceRecord
from connector.sources.database import SourceDatabase
from connector.sources.interface import UnreadableRow
from connector.sources.records_file import RecordsFile
from connector.sources.sql import SqlSource

Open = Callable[..., SqlSource]

COLUMNS = ("no", "name", "qty")
ROWS = [("007", "茶具，一套", "1.50"), ("008", '带"引号"', "2"), ("009", "两\n行", "12345678901234567.12345")]
OLD = time.time() - 3600


def put(path: Path, content: bytes, *, at: float = OLD) -> Path:
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def csv_of(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS, delimiter: str = ",") -> str:
    def quoted(value: str) -> str:
        return '"' + value.replace('"', '""') + '"' if set(value) & set('",\n\t') else value

    return "".join(delimiter.join(map(quoted, row)) + "\r\n" for row in (columns, *rows))


def write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    put(path.with_suffix(".csv"), csv_of(rows).encode())


def write_json_lines(path: Path, rows: Sequence[Sequence[str]]) -> None:
    lines = (json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) for row in rows)
    put(path.with_suffix(".jsonl"), "".join(f"{line}\n" for line in lines).encode())


def write_xlsx(path: Path, rows: Sequence[Sequence[str]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (COLUMNS, *rows):
        sheet.append(list(row))
    target = path.with_suffix(".xlsx")
    book.save(target)
    os.utime(target, (OLD, OLD))


WRITERS = {"csv": write_csv, "jsonl": write_json_lines, "xlsx": write_xlsx}


@pytest.fixture
def source_of(tmp_path: Path) -> Iterator[Open]:
    """Opens the folder ``drop`` as a source; closed at the end."""
    (tmp_path / "drop").mkdir()
    opened: list[SourceDatabase] = []

    def open_(query: str = "SELECT * FROM goods", **given: Any) -> SqlSource:
        text = query.replace("*", "g._id, g._file, g._line, g.no, g.name, g.qty").replace("goods", "goods g")
        file = RecordsFile.model_validate(
            {
                "records": "goods",
                "database": "drop",
                "query": text,
                "key": ["no"],
                "unique": "_id",
                "page_size": given.pop("page_size", 500),
                "columns": {
                    "_id": "integer",
                    "_file": "text",
                    "_line": "integer",
                    "no": "text",
                    "name": "text",
                    "qty": "decimal",
                },
            },
            context={"databases": ["drop"]},
        )
        settings = {
            "url": f"sqlite:///{tmp_path / 'staging.db'}",
            "timezone": "Asia/Shanghai",
            "folder": tmp_path / "drop",
            "files": {"goods*": "goods"},
            "quiet_seconds": 0.2,
        } | given
        opened.append(SourceDatabase("drop", SourceSettings.model_validate(settings)))
        return SqlSource(file, {"drop": opened[-1]})

    yield open_
    for database in opened:
        database.close()


def everything(source: SqlSource) -> tuple[list[SourceRecord], list[UnreadableRow]]:
    records: list[SourceRecord] = []
    cursor, more, unreadable = None, True, []
    while more:
        page = source.page(cursor)
        records += page.records
        cursor, more, unreadable = page.cursor, page.more, list(page.unreadable)
    return records, unreadable


@pytest.mark.parametrize("kind", WRITERS)
def test_rows_are_read_exactly_and_lead_back_to_file_and_line(kind: str, source_of: Open, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path / "drop" / "goods-1", ROWS)
    records, unreadable = everything(source_of(page_size=1))
    assert unreadable == []
    assert [(one.row["no"], one.row["name"], str(one.row["qty"])) for one in records] == ROWS
    first = 2 if kind != "jsonl" else 1
    assert [one.row["_line"] for one in records] == [first, first + 1, first + 2]
    assert {one.row["_file"] for one in records} == {f"goods-1.{kind}"}


@pytest.mark.parametrize("kind", WRITERS)
def test_file_is_taken_once_by_its_content_whatever_it_is_called(kind: str, source_of: Open, tmp_path: Path) -> None:
    for name in ("goods-1", "goods-copy"):
        WRITERS[kind](tmp_path / "drop" / name, ROWS)
    if kind == "xlsx":  # two workbooks differ in their dates
        (tmp_path / "drop" / "goods-copy.xlsx").write_bytes((tmp_path / "drop" / "goods-1.xlsx").read_bytes())
        os.utime(tmp_path / "drop" / "goods-copy.xlsx", (OLD, OLD))
    assert len(everything(source_of())[0]) == 3
    assert len(everything(source_of())[0]) == 3


def test_changed_row_in_a_later_file_is_the_newer_version(source_of: Open, tmp_path: Path) -> None:
    write_csv(tmp_path / "drop" / "goods-1", ROWS)
    write_csv(tmp_path / "drop" / "goods-2", [("008", "改过", "3")])
    records, _ = everything(source_of())
    assert [one.row["name"] for one in records if one.key.key == "008"] == ['带"引号"', "改过"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (csv_of(ROWS).encode("utf-8-sig"), "茶具，一套"),
        (csv_of(ROWS).encode("gb18030"), "茶具，一套"),
        (csv_of([("1", "𠮷野家", "1"), *ROWS[1:]]).encode("gb18030"), "𠮷野家"),
    ],
    ids=["UTF-8 with BOM", "GB18030", "GB18030 of four bytes"],
)
def test_encodings_are_told_apart(content: bytes, expected: str, source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", content)
    records, unreadable = everything(source_of())
    assert (records[0].row["name"], unreadable) == (expected, [])


def test_file_without_a_header_is_read_with_the_columns_of_the_configuration(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.txt", csv_of(ROWS[1:], ROWS[0], "\t").encode())
    files = {"goods*": {"table": "goods", "delimiter": "\t", "columns": list(COLUMNS)}}
    records, _ = everything(source_of(files=files))
    assert [(one.row["no"], one.row["_line"]) for one in records] == [("007", 1), ("008", 2), ("009", 3)]


def test_bad_rows_and_files_are_named_and_stop_no_others_even_if_the_query_would_hide_them(
    source_of: Open, tmp_path: Path
) -> None:
    drop = tmp_path / "drop"
    put(drop / "goods-1.csv", b"no,name,qty\n1,a,1\n2,b\n3,c,3,4\n4,d,4\n")
    put(drop / "goods-2.jsonl", b'{"no": "5", "qty": 0.1}\n{"no": \n[1]\n')
    put(drop / "goods-3.csv", b"no,no,qty\n1,1,1\n")
    put(drop / "goods-4.csv", b"\xff\xff\x81,\x30\n")
    put(drop / "goods-5.xlsx", b"no workbook\n")
    put(drop / "others.csv", b"nobody,asked\n")
    records, unreadable = everything(source_of("SELECT * FROM goods WHERE g.no < '5'"))
    assert [one.key.key for one in records] == ["1", "4"]
    places = [row.key.key for row in unreadable]
    assert places == [
        "goods-1.csv line 3",
        "goods-1.csv line 4",
        "goods-2.jsonl line 2",
        "goods-2.jsonl line 3",
        "goods-3.csv",
        "goods-4.csv",
        "goods-5.xlsx",
    ]
    reasons = [row.reason for row in unreadable]
    assert "it has 2 fields, and the header 3" in reasons[0]
    assert "header has 'no'" in reasons[4]
    assert "no text in UTF-8 or GB18030" in reasons[5]
    assert "no XLSX" in reasons[6]
    records, _ = everything(source_of("SELECT * FROM goods WHERE g.no = '5'"))
    assert str(records[0].row["qty"]) == "0.1"


def test_file_that_is_still_written_is_left_alone_until_it_is_finished(source_of: Open, tmp_path: Path) -> None:
    drop, source = tmp_path / "drop", source_of()
    half = csv_of(ROWS).encode()[:-20]
    put(drop / "goods-1.csv", half)  # old enough, but its last line is not ended
    os.utime(drop / "goods-1.csv")
    put(drop / "goods-2.csv.part", csv_of(ROWS).encode())
    put(drop / ".goods-3.csv", csv_of(ROWS).encode())
    assert everything(source) == ([], [])
    put(drop / "goods-1.csv", csv_of(ROWS).encode(), at=time.time())
    assert len(everything(source)[0]) == 3  # waited for, once, because it was written just now


def test_file_whose_last_line_is_not_ended_is_taken_when_nothing_more_comes(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", csv_of(ROWS).encode().rstrip(b"\r\n"))
    assert len(everything(source_of())[0]) == 3


def test_new_columns_of_later_files_are_added(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods-1.csv", b"no,name,qty\n1,a,1\n")
    put(tmp_path / "drop" / "goods-2.csv", b"no,name,qty,colour\n2,b,2,red\n")
    assert len(everything(source_of())[0]) == 2
    with closing(sqlite3.connect(tmp_path / "staging.db")) as connection:
        assert connection.execute("SELECT colour FROM goods ORDER BY _id").fetchall() == [(None,), ("red",)]


def test_folder_that_is_not_there_is_unreachable(source_of: Open, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="No such file"):
        source_of(folder=tmp_path / "nowhere").page(None)


def test_folder_needs_a_file_of_its_own() -> None:
    settings = {"url": "mysql+pymysql://u@h/d", "timezone": "UTC", "folder": "drop", "files": {"*": "goods"}}
    with pytest.raises(ConfigurationError, match="is no SQLite file"):
        SourceDatabase("drop", SourceSettings.model_validate(settings))


def test_nothing_is_lost_or_doubled_when_the_process_is_killed_while_it_takes_a_file(
    source_of: Open, tmp_path: Path
) -> None:
    rows = [(f"{number:06}", "名", "1") for number in range(40_000)]
    write_csv(tmp_path / "drop" / "goods-big", rows)
    source = source_of(page_size=5000)
    forks = multiprocessing.get_context("fork")
    for milliseconds in range(5, 60, 5):
        process = forks.Process(target=source.page, args=(None,))
        process.start()
        time.sleep(milliseconds / 1000)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    records, _ = everything(source)
    assert [one.key.key for one in records] == [row[0] for row in rows]
