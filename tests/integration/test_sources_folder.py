"""Files that are dropped into a folder: CSV, XLSX, JSON Lines; each taken once, whole, whatever happens meanwhile."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import time as time_
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from connector.config import SourceSettings
from connector.errors import ConfigurationError, SourceUnreachable
from connector.mapping.draft import DraftColumn, draft_records
from connector.messages.records import SourceKey, SourceRecord
from connector.sources.database import SourceDatabase
from connector.sources.interface import UnreadableRow
from connector.sources.records_file import RecordsFile
from connector.sources.sql import SqlSource
from connector.sources.staging import PROBLEMS_AT_MOST
from connector.sources.tables import columns_of

Open = Callable[..., SqlSource]

COLUMNS = ("no", "name", "qty")
ROWS = [("007", "茶具，一套", "1.50"), ("008", '带"引号"', "2"), ("009", "两\n行", "12345678901234567.12345")]
OLD = time_.time() - 3600


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
    source.refresh()
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
    put(drop / "goods-3.csv", b"no,name\n,\n")
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
        "goods-4.csv",
        "goods-5.xlsx",
    ]
    reasons = [row.reason for row in unreadable]
    assert "it has 2 fields, and there are 3 columns" in reasons[0]
    assert "no text in UTF-8 or GB18030" in reasons[4]
    assert "no XLSX" in reasons[5]
    records, _ = everything(source_of("SELECT * FROM goods WHERE g.no = '5'"))
    assert str(records[0].row["qty"]) == "0.1"


def test_bad_row_waits_only_under_collections_that_read_its_table(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "GOODS-1.CSV", b"no,name,qty\n1,a,1\n2,b\n")
    put(tmp_path / "drop" / "others.csv", b"no,name,qty\n7,a,1\n8,b\n")
    files = {"goods*": "goods", "others*": "others"}
    _, unreadable = everything(source_of(files=files))
    assert [row.key.key for row in unreadable] == ["GOODS-1.CSV line 3"]
    records, unreadable = everything(source_of("SELECT * FROM Others g", files=files))
    assert [one.key.key for one in records] == ["7"]
    assert [row.key.key for row in unreadable] == ["others.csv line 3"]


def table(tmp_path: Path, query: str = "SELECT no, name, qty FROM goods ORDER BY _id") -> list[Any]:
    """What stands in the file that was made."""
    with closing(sqlite3.connect(tmp_path / "staging.db")) as connection:
        return connection.execute(query).fetchall()


def test_line_of_a_stray_quote_is_bad_and_the_lines_that_it_would_swallow_are_rows(
    source_of: Open, tmp_path: Path
) -> None:
    lines = ['1,"a,1', '2,"b",2', '3,"c" d,3', "4,d,4", '5,"e,5']
    put(tmp_path / "drop" / "goods.csv", "\n".join(["no,name,qty", *lines, "6,f,6\n"]).encode())
    records, unreadable = everything(source_of())
    assert [one.key.key for one in records] == ["2", "4", "6"]
    assert [(one.key.key, one.row.strip()) for one in unreadable] == [
        (f"goods.csv line {number}", line) for number, line in enumerate(lines, 2) if number in {2, 4, 6}
    ]


def test_header_that_repeats_or_lacks_a_name_leaves_nothing_out(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", b"no,name,qty,,Name,_ID\n1,a,1,b,c,d\n")
    source_of().refresh()
    assert table(tmp_path, "SELECT name, column_4, name_2, _id_ FROM goods") == [("a", "b", "c", "d")]


def test_empty_field_is_no_value_of_whatever_type(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", b'no,name,qty\n1,,\n2,"",""\n')
    records, unreadable = everything(source_of())
    assert unreadable == []
    assert [(one.row["name"], one.row["qty"]) for one in records] == [(None, None)] * 2


def test_json_keeps_numbers_as_written_and_what_is_nested(source_of: Open, tmp_path: Path) -> None:
    lines = [
        '{"no": "007", "name": {"a": [1.50, null, true, "茶"]}, "qty": 12345678901234567890.10}',
        '{"no": 9007199254740993, "qty": 1e3, "name": false}',
        '{"NO": "8", "qty": null, "_id": "5f1e", "_class": "x"}',
    ]
    put(tmp_path / "drop" / "goods.jsonl", "".join(f"{line}\n" for line in lines).encode())
    assert everything(source_of())[1] == []
    assert table(tmp_path, "SELECT no, name, qty, _id_, _class FROM goods") == [
        ("007", '{"a": [1.50, null, true, "茶"]}', "12345678901234567890.10", None, None),
        ("9007199254740993", "false", "1e3", None, None),
        ("8", None, None, "5f1e", "x"),
    ]


@pytest.mark.parametrize(
    "line",
    ['{"no": "1", "no": "2"}', '{"no": NaN}', '{"no": "\\ud800"}', "[" * 100_000, '{"a\\u0000": 1}', '{"no": 01}'],
    ids=["twice", "no number", "half a character", "deep", "zero character", "leading zero"],
)
def test_json_that_is_no_row_stops_no_other(line: str, source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.jsonl", f'{line}\n{{"no": "9", "name": "a", "qty": 1}}\n'.encode())
    records, unreadable = everything(source_of())
    assert [one.key.key for one in records] == ["9"]
    assert [one.key.key for one in unreadable] == ["goods.jsonl line 1"]


def test_file_of_nothing_but_bad_rows_is_taken(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.jsonl", b"[1]\n[2]\n")
    assert [one.key.key for one in everything(source_of())[1]] == ["goods.jsonl line 1", "goods.jsonl line 2"]


def test_more_bad_rows_than_are_named_are_counted(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", b"no,name,qty\n" + b"1,2\n" * (PROBLEMS_AT_MOST + 7) + b"1,2,3\n")
    records, unreadable = everything(source_of())
    assert len(records) == 1
    assert len(unreadable) == PROBLEMS_AT_MOST + 1
    assert unreadable[-1].reason.startswith("7 more rows cannot be read")


def write_workbook(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for cell in sheet["B"]:
            if isinstance(cell.value, int):
                cell.number_format = "000000"
    book.save(path)
    os.utime(path, (OLD, OLD))


def test_workbook_gives_what_its_cells_show(source_of: Open, tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["no", "name", "qty", "day", "at", None, None],
        ["007", 123, 0.1, date(2026, 6, 1), datetime.fromisoformat("2026-06-01 08:30"), None, None],
        ["008", True, 2.0, time(8, 30), timedelta(hours=30), None, None],
        [9007199254740991, "x", 1234567.89, None, datetime.fromisoformat("2026-06-01"), None, None],
        [],
        ["#N/A", "x", 1],
        ["010", "x", 1, None, None, None, "beyond"],
    ]
    write_workbook(tmp_path / "drop" / "goods.xlsx", {"other": [["a"], [1]], "June": rows})
    files = {"goods*": {"table": "goods", "sheet": "June"}}
    unreadable = everything(source_of(files=files))[1]
    assert table(tmp_path, "SELECT no, name, qty, day, at FROM goods") == [
        ("007", "000123", "0.1", "2026-06-01", "2026-06-01 08:30:00"),
        ("008", "true", "2", "08:30:00", "30:00:00"),
        ("9007199254740991", "x", "1234567.89", None, "2026-06-01 00:00:00"),
    ]
    assert [one.key.key for one in unreadable] == ["goods.xlsx line 6", "goods.xlsx line 7"]
    assert "A6 holds the error #N/A" in unreadable[0].reason


def test_number_of_a_workbook_waits_when_it_has_more_digits_than_excel_keeps(source_of: Open, tmp_path: Path) -> None:
    kept = [["007", "x", 1], [1.234567890123457e17, "waybill", 1], [123456789012345.0, "x", 1]]
    write_workbook(tmp_path / "drop" / "goods.xlsx", {"June": [["no", "name", "qty"], *kept]})
    records, unreadable = everything(source_of())
    assert [one.row["no"] for one in records] == ["007", "123456789012345"]
    assert "store it as text" in unreadable[0].reason


def test_workbook_that_breaks_off_in_the_middle_gives_no_row(source_of: Open, tmp_path: Path) -> None:
    path = tmp_path / "drop" / "goods.xlsx"
    write_workbook(path, {"June": [["no", "name", "qty"], *([str(number), "x", 1] for number in range(9000))]})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet][: len(parts[sheet]) * 9 // 10]
    with zipfile.ZipFile(path, "w") as broken:
        for name, content in parts.items():
            broken.writestr(name, content)
    os.utime(path, (OLD, OLD))
    records, unreadable = everything(source_of())
    assert (records, [one.key.key for one in unreadable]) == ([], ["goods.xlsx"])


def test_half_a_workbook_is_waited_for_as_its_end_is_missing(source_of: Open, tmp_path: Path) -> None:
    write_xlsx(tmp_path / "drop" / "goods", ROWS)
    path = tmp_path / "drop" / "goods.xlsx"
    whole = path.read_bytes()
    put(path, whole[:-100], at=time_.time() - 10)
    assert everything(source_of()) == ([], [])
    put(path, whole)
    assert len(everything(source_of())[0]) == 3


def test_content_that_comes_back_is_taken_again_and_bad_rows_end_with_the_content_they_stood_in(
    source_of: Open, tmp_path: Path
) -> None:
    path, first, second = tmp_path / "drop" / "goods.csv", b"no,name,qty\n1,a,1\n2,b\n", b"no,name,qty\n1,b,1\n2,b,2\n"
    source = source_of()
    for content, bad in ((first, ["goods.csv line 3"]), (second, []), (first, ["goods.csv line 3"])):
        put(path, content)
        assert [one.key.key for one in everything(source)[1]] == bad
    put(path, second)
    source.refresh()
    corrected = source.page(None).corrected
    assert SourceKey(collection="goods", key="goods.csv line 3") in corrected
    assert [row[1] for row in table(tmp_path) if row[0] == "1"] == ["a", "b", "a", "b"]
    assert table(tmp_path, "SELECT no, name, qty FROM goods_current") == [("1", "b", "1"), ("2", "b", "2")]


def test_rows_behind_those_that_were_taken_come_when_a_file_grows_and_no_others(
    source_of: Open, tmp_path: Path
) -> None:
    path, source = tmp_path / "drop" / "goods.csv", source_of()
    put(path, b"no,name,qty\n1,a,1\n2,b\n3,c,1")
    assert [one.key.key for one in everything(source)[1]] == ["goods.csv line 3"]
    put(path, b'no,name,qty\n1,a,1\n2,b\n3,c,12\n4,"d\nd",4\n5,e\n')
    assert [one.key.key for one in everything(source)[1]] == ["goods.csv line 3", "goods.csv line 7"]
    put(path, b'no,name,qty\n1,a,1\n2,b\n3,c,12\n4,"d\nd",4\n5,e\n6,f,6\n')
    assert len(everything(source)[1]) == 2
    rows = [("1", "a", "1"), ("3", "c", "12"), ("4", "d\nd", "4"), ("6", "f", "6")]
    assert table(tmp_path) == rows
    assert table(tmp_path, "SELECT no, name, qty FROM goods_current") == rows
    put(path, b"no,name,qty\n1,a,1\n")  # not longer: what is there now comes again
    assert len(everything(source)[0]) == 5
    assert table(tmp_path, "SELECT no FROM goods_current") == [("1",)]


def test_rewritten_file_is_taken_though_its_size_and_time_are_the_same(source_of: Open, tmp_path: Path) -> None:
    source = source_of()
    for name in ("a", "b"):
        put(tmp_path / "drop" / "goods.csv", f"no,name,qty\n1,{name},1\n".encode())
        records, _ = everything(source)
    assert [one.row["name"] for one in records] == ["a", "b"]


def test_file_is_read_anew_when_it_is_to_be_read_in_another_way(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", b"no;name;qty\n1;a;1\n")
    source_of().refresh()
    records, unreadable = everything(source_of(files={"goods*": {"table": "goods", "delimiter": ";"}}))
    assert ([one.row["name"] for one in records], unreadable) == (["a"], [])
    assert len(table(tmp_path)) == 1


def test_rows_go_on_above_those_before_when_what_was_taken_is_deleted(source_of: Open, tmp_path: Path) -> None:
    write_csv(tmp_path / "drop" / "goods", ROWS)
    last = everything(source_of())[0][-1]
    (tmp_path / "staging.db").unlink()
    again = everything(source_of())[0]
    assert len(again) == 3
    assert min(int(str(one.row["_id"])) for one in again) > int(str(last.row["_id"]))


def test_file_from_a_clock_that_is_ahead_is_taken(source_of: Open, tmp_path: Path) -> None:
    put(tmp_path / "drop" / "goods.csv", csv_of(ROWS).encode(), at=time_.time() + 86400)
    assert len(everything(source_of())[0]) == 3


def test_file_that_may_not_be_read_stops_no_other(source_of: Open, tmp_path: Path) -> None:
    (tmp_path / "drop" / "goods-1.csv").symlink_to("/proc/self/mem")  # there, and an error to read
    write_csv(tmp_path / "drop" / "goods-2", ROWS)
    source = source_of(files={"goods-1*": "goods", "goods-2*": "goods"}, quiet_seconds=0)
    with pytest.raises(SourceUnreachable, match="Input/output error"):
        source.refresh()
    assert len(source.page(None).records) == 3


def test_collection_of_a_table_that_no_file_has_come_for_is_empty(source_of: Open, tmp_path: Path) -> None:
    assert everything(source_of()) == ([], [])
    put(tmp_path / "drop" / "lists.csv", b"no\n1\n")
    source = source_of(files={"goods*": "goods", "lists*": "lists"})
    assert everything(source) == ([], [])
    source.probe()
    assert source.current(SourceKey(collection="goods", key="1")) is None


def test_columns_of_files_can_be_drafted_from_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    put(tmp_path / "drop" / "goods.csv", "退货单号,sku,入库时间\nR1,007,2026-06-01 08:00\n".encode("gb18030"))
    settings = {
        "url": f"sqlite:///{tmp_path / 'staging.db'}",
        "timezone": "Asia/Shanghai",
        "folder": tmp_path / "drop",
        "files": {"goods*": "goods"},
    }
    opened = SourceDatabase("drop", SourceSettings.model_validate(settings))
    found = [(one.name, one.written, one.kind.value, one.comment) for one in columns_of(opened, "goods")]
    assert found == [
        ("_id", "_id", "integer", ""),
        ("_file", "_file", "text", ""),
        ("_line", "_line", "integer", ""),
        ("column_6", '"退货单号"', "text", "退货单号"),
        ("sku", "sku", "text", ""),
        ("column_8", '"入库时间"', "time", "入库时间"),
    ]
    drafts = [
        DraftColumn(name=one.name, written=one.written, kind=one.kind.value, comment=one.comment, is_key=one.is_key)
        for one in columns_of(opened, "goods")
    ]
    written = tomllib.loads(draft_records("goods", "drop", "goods", drafts))
    file = RecordsFile.model_validate(written, context={"databases": ["drop"]})
    (record,) = SqlSource(file, {"drop": opened}).page(None).records
    opened.close()
    assert (record.key.key, record.row["sku"]) == ("R1", "007")


@pytest.mark.parametrize(("encoding", "given"), [("utf-16", None), ("big5", "Big5"), ("utf-8", "utf8")])
def test_other_encodings_are_told_by_their_mark_or_the_configuration(
    source_of: Open, tmp_path: Path, encoding: str, given: str | None
) -> None:
    put(tmp_path / "drop" / "goods.tsv", "no\tname\tqty\n1\t一套\t1\n".encode(encoding))
    records, unreadable = everything(source_of(files={"goods*": {"table": "goods", "encoding": given}}))
    assert ([one.row["name"] for one in records], unreadable) == (["一套"], [])


def test_file_that_is_still_written_is_left_alone_until_it_is_finished(source_of: Open, tmp_path: Path) -> None:
    drop, source = tmp_path / "drop", source_of()
    half = csv_of(ROWS).encode()[:-20]
    put(drop / "goods-1.csv", half)  # old enough, but its last line is not ended
    os.utime(drop / "goods-1.csv")
    put(drop / "goods-2.csv.part", csv_of(ROWS).encode())
    put(drop / ".goods-3.csv", csv_of(ROWS).encode())
    assert everything(source) == ([], [])
    put(drop / "goods-1.csv", csv_of(ROWS).encode(), at=time_.time())
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
        source_of(folder=tmp_path / "nowhere").refresh()


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
        process = forks.Process(target=source.refresh)
        process.start()
        time_.sleep(milliseconds / 1000)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    records, _ = everything(source)
    assert [one.key.key for one in records] == [row[0] for row in rows]
