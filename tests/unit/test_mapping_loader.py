"""A folder of mapping files: what is read, and every fault at load time with its file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.config import shipped
from connector.errors import MappingError
from connector.mapping.engine import DocumentMapping
from connector.mapping.loader import load_mappings
from connector.messages.records import RecordShape

VALUES = dict.fromkeys(("agent_code", "agent_name", "operator_code", "operator_name", "return_reason"), "4401000001")
CODES = {"return_offices": {"1": "5141"}}

Load = Callable[[], tuple[DocumentMapping, ...]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped mappings, to be spoiled."""
    return Path(shutil.copytree(shipped("mappings") / "ruoyi", tmp_path / "mappings"))


@pytest.fixture
def load(folder: Path, returns_shape: RecordShape) -> Load:
    return lambda: load_mappings(folder, {"returns": returns_shape}, VALUES, CODES)


def rewrite(file: Path, element: str, line: str) -> int:
    """Put a line in the place of that of an element; return its number."""
    lines = file.read_text("utf-8").split("\n")
    number = next(number for number, text in enumerate(lines) if text.split("=")[0].strip() == element)
    lines[number] = line
    file.write_text("\n".join(lines), "utf-8")
    return number + 1


def refusal(load: Load) -> list[str]:
    with pytest.raises(MappingError) as refused:
        load()
    assert refused.value.exit_code == 4
    assert refused.value.remedy
    return refused.value.cause.split("\n")


def test_folder_gives_its_mappings_in_order_of_their_names(load: Load) -> None:
    first, second = load()
    assert (first.name, first.message_type.name, first.collection, first.version) == ("CEB213", "CEB213", "returns", 1)
    assert second.name == "CEB215"
    assert len({first.digest, second.digest}) == 2
    assert [len(one.digest) for one in (first, second)] == [64, 64]


def test_elements_stand_in_the_order_of_the_schema_whatever_their_order_in_the_file(folder: Path, load: Load) -> None:
    file = folder / "CEB215.toml"
    lines = file.read_text("utf-8").split("\n")
    start = lines.index("[head]") + 1
    file.write_text("\n".join(lines[:start] + sorted(lines[start:], reverse=True)), "utf-8")
    _, tally = load()
    names = [element.name for element in tally.head]
    assert names == [one.name for one in tally.message_type.head_fields if one.name in names]


def test_digest_follows_the_text_of_the_file(folder: Path, load: Load) -> None:
    before = [mapping.digest for mapping in load()]
    rewrite(folder / "CEB215.toml", "version", "version = 2")
    after = [mapping.digest for mapping in load()]
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize(
    ("element", "line", "words"),
    [
        ("coElNo", 'coElno = { field = "record.order_no" }', "head.coElno is no element here; did you mean coElNo?"),
        ("coElNo", 'guid = { field = "record.order_no" }', "head.guid is set by the connector"),
        ("coElNo", 'coElNo = { field = "record.orderno" }', "record has no column 'orderno'; did you mean order_no?"),
        ("coElNo", 'coElNo = { field = "line.sku_code" }', "line.sku_code: the head has no line"),
        ("coElNo", 'coElNo = { field = "export_line.gnum" }', "export_line is looked up for each line"),
        ("coElNo", 'coElNo = { field = "exports.gnum" }', "returns has no lookup 'exports'"),
        ("coElNo", 'coElNo = { field = "export_list.gnum" }', "export_list has no column 'gnum'"),
        ("coElNo", 'coElNo = { field = "order_no" }', "'order_no' must be record.COLUMN, line.COLUMN or LOOKUP.COLUMN"),
        ("coElNo", 'coElNo = { join = { fields = ["record.x", "record.order_no"] } }', "record has no column 'x'"),
        ("coElNo", 'coElNo = { const = "", default = { field = "record.x" } }', "record has no column 'x'"),
        ("coElNo", 'coElNo = { field = "record.order_no", upper = true }', "head.coElNo.upper is not a known key"),
        ("coElNo", 'coElNo = { field = "record.order_no", const = "1" }', "it has const and field"),
        ("coElNo", "coElNo = { }", "it has none"),
        ("coElNo", 'coElNo = "RK1"', "head.coElNo"),
        ("coElNo", 'coElNo = { const = "" }', "const is empty and the element needs a text"),
        ("coElNo", f'coElNo = {{ const = "{31 * "x"}" }}', "has 31 characters, 30 are allowed"),
        ("coElNo", 'coElNo = { const = "a\\u0007" }', "holds a control character"),
        ("customsCode", 'customsCode = { const = "514" }', "has 3 characters, 4 are needed"),
        ("billNo", 'billNo = { field = "record.id", default = { const = "" } }', "head.billNo.default const is empty"),
        (
            "customsCode",
            'customsCode = { field = "record.id", codes = "return_office" }',
            "there is no code list 'return_office'; add [codes.return_office]; did you mean return_offices?",
        ),
        (
            "agentCode",
            'agentCode = { value = "agentcode" }',
            "'agentcode' is not in [values] of connector.toml; add it; did you mean agent_code?",
        ),
        ("gnum", 'gnum = { field = "line.gnum" }', "line has no column 'gnum'"),
        ("gnum", 'gnum = { const = "one" }', "const = 'one' is not a number"),
        (
            "qty1",
            'qty1 = { ratio = ["line.quantity", "export_line.qty1", "export_line.q"], places = 5, rounding = "down" }',
            "export_line has no column 'q'",
        ),
        ("message", 'message = "CEB214"', "there is no message type 'CEB214'; choose one of CEB213, CEB215"),
        ("records", 'records = "return"', "there is no records file 'return'; choose one of returns"),
        ("version", 'version = "1"', "version Input should be a valid integer"),
        ("", 'author = "me"', "author is not a known key"),
        ("[lines]", "[line]", "line is not a known key"),
        ("version", "version = ", "Invalid value; correct the TOML"),
    ],
)
def test_fault_is_told_with_file_line_and_remedy(folder: Path, load: Load, element: str, line: str, words: str) -> None:
    file = folder / "CEB213.toml"
    number = rewrite(file, element, line)
    (fault,) = [fault for fault in refusal(load) if words in fault]
    assert fault.startswith(f"{file}:{number}: ")


@pytest.mark.parametrize(("table", "element"), [("head", "coElNo"), ("lines", "gnum")])
def test_element_nobody_fills_is_told_with_the_line_of_its_table(
    folder: Path, load: Load, table: str, element: str
) -> None:
    file = folder / "CEB213.toml"
    rewrite(file, element, "")
    line = file.read_text("utf-8").split("\n").index(f"[{table}]") + 1
    (fault,) = refusal(load)
    assert fault == f"{file}:{line}: {table}.{element} is required by the schema and no line fills it; add one"


def test_mapping_without_records_is_refused(folder: Path, load: Load) -> None:
    rewrite(folder / "CEB213.toml", "records", "")
    assert refusal(load) == [f"{folder / 'CEB213.toml'}: records is missing; add it"]


def test_all_faults_of_all_files_are_told_at_once(folder: Path, load: Load) -> None:
    application, tally = folder / "CEB213.toml", folder / "CEB215.toml"
    expected = {
        (application, rewrite(application, "ebpCode", 'ebpCode = { field = "export_list.ebp" }')),
        (application, rewrite(application, "ebcCode", "ebcCode = { }")),
        (application, rewrite(application, "unit", 'unit = { field = "export_line.unit", codes = "units" }')),
        (tally, rewrite(tally, "operatorCode", 'operatorCode = { value = "nobody" }')),
        (tally, _twice(tally)),
    }
    faults = refusal(load)
    assert len(faults) == len(expected)
    assert {fault.split(": ")[0] for fault in faults} == {f"{file}:{number}" for file, number in expected}


def _twice(file: Path) -> int:
    """Give an element a second line; return the number of that."""
    text = file.read_text("utf-8").rstrip("\n")
    file.write_text(f'{text}\nvoyageNo = {{ const = "CZ465" }}', "utf-8")
    return text.count("\n") + 2


def test_element_given_twice_does_not_hide_other_faults(folder: Path, load: Load) -> None:
    file = folder / "CEB215.toml"
    second = _twice(file)
    other = rewrite(file, "coElNo", 'coElNo = { field = "record.none" }')
    first, last = refusal(load)
    assert first == f"{file}:{second}: voyageNo is given twice; keep one line"
    assert last.startswith(f"{file}:{other}: head.coElNo.field record.none: record has no column")


def test_line_table_is_a_fault_when_the_message_has_no_lines(folder: Path, load: Load) -> None:
    file = folder / "CEB215.toml"
    text = file.read_text("utf-8")
    file.write_text(f'{text}\n[lines]\ngnum = {{ const = "1" }}\n', "utf-8")
    (fault,) = refusal(load)
    assert fault == f"{file}:{text.count(chr(10)) + 2}: lines CEB215 has no lines; remove the table"


def test_second_mapping_of_the_same_message_is_a_fault(folder: Path, load: Load) -> None:
    shutil.copy(folder / "CEB215.toml", folder / "copy.toml")
    (fault,) = refusal(load)
    assert fault.startswith(f"{folder / 'copy.toml'}:5: message CEB215 of returns has a mapping in another file")


def test_code_lists_of_several_files_are_one(folder: Path, load: Load) -> None:
    (folder / "more.toml").write_text('[codes.unit]\n"箱" = "120"\n', "utf-8")
    assert len(load()) == 2


@pytest.mark.parametrize(
    ("text", "number", "words"),
    [
        ('[codes.unit]\n\n"001" = "002"\n', 3, "codes.unit.001 is given elsewhere already"),
        ('[codes.return_offices]\n"1" = "5142"\n', 2, "codes.return_offices.1 is given elsewhere already"),
        ("[codes.mine]\nx = 1\n", 2, "codes.mine.x Input should be a valid string"),
        ("title = 1\n[codes.mine]\n", 1, "title is not a known key"),
    ],
)
def test_code_list_is_refused_with_its_line(folder: Path, load: Load, text: str, number: int, words: str) -> None:
    (folder / "more.toml").write_text(text, "utf-8")
    (fault,) = refusal(load)
    assert fault.startswith(f"{folder / 'more.toml'}:{number}: {words}")


def test_records_files_are_left_to_the_sources(folder: Path, load: Load) -> None:
    (folder / "others.toml").write_text('records = "others"\n[anything]\n', "utf-8")
    assert len(load()) == 2


def test_file_that_is_neither_mapping_nor_records_nor_codes_is_a_fault(folder: Path, load: Load) -> None:
    file = folder / "CEB215.toml"
    text = file.read_text("utf-8").replace("message =", "mesage =").replace("records =", "record =")
    file.write_text(text, "utf-8")
    (fault,) = refusal(load)
    assert fault.startswith(f"{file}: has no message, records or codes")


@pytest.mark.parametrize("name", ["empty", "none"])
def test_folder_without_mappings_is_refused(tmp_path: Path, returns_shape: RecordShape, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (fault,) = refusal(lambda: load_mappings(tmp_path / name, {"returns": returns_shape}, VALUES, CODES))
    assert fault.startswith(f"{tmp_path / name} holds no mapping")


def test_unreadable_file_is_a_fault_beside_the_others(folder: Path, load: Load) -> None:
    (folder / "bad.toml").write_bytes(b"\xff\xfe")
    rewrite(folder / "CEB215.toml", "coElNo", "coElNo = { }")
    assert [fault.split(":")[0] for fault in refusal(load)] == [str(folder / "CEB215.toml"), str(folder / "bad.toml")]


def test_records_of_another_shape_are_a_fault_of_the_mapping(folder: Path) -> None:
    shape = RecordShape(collection="returns", columns=frozenset(), line_columns=frozenset(), lookups={})
    faults = refusal(lambda: load_mappings(folder, {"returns": shape}, VALUES, CODES))
    assert any("record.order_no: record has no column 'order_no'" in fault for fault in faults)
    assert any("returns has no lookup 'export_list'" in fault for fault in faults)
