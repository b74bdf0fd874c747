"""Each converter on its own: one line of a mapping file, one element, the rows of one record."""

import tomllib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connector.mapping.compiler import Constants, compile_element, compile_text
from connector.mapping.files import ElementRule, TextPolicy
from connector.mapping.outcomes import FaultCode, Refused
from connector.messages.catalogue import Field, FieldKind
from connector.messages.records import Row, Value
from connector.messages.sites import NOWHERE

CONSTANTS = Constants(values={"agent": "4401000001"}, codes={"offices": {"7": "4401"}, "nothing": {"x": ""}})


def element(kind: FieldKind = FieldKind.TEXT, *, name: str = "note", **limits: int) -> Field:
    bounds: dict[str, int | None] = dict.fromkeys(("min_length", "max_length", "total_digits", "fraction_digits"))
    bounds |= limits
    return Field(
        name=name,
        kind=kind,
        required=False,
        min_length=bounds["min_length"],
        max_length=bounds["max_length"],
        total_digits=bounds["total_digits"],
        fraction_digits=bounds["fraction_digits"],
    )


NOTE = element(max_length=500)
CODE = element(name="customsCode", min_length=4, max_length=4)
QUANTITY = element(FieldKind.DECIMAL, name="qty", total_digits=19, fraction_digits=5)
NUMBER = element(FieldKind.INTEGER, name="gnum", total_digits=4)


def converted(line: str, row: Row, field: Field = NOTE) -> str | None:
    rule = ElementRule.model_validate(tomllib.loads(f"rule = {line}")["rule"])
    return compile_text(rule, field, CONSTANTS)({"record": row})


def refusal(line: str, row: Row, field: Field = NOTE) -> Refused:
    with pytest.raises(Refused) as refused:
        converted(line, row, field)
    return refused.value


@pytest.mark.parametrize(
    ("line", "row", "expected"),
    [
        ('{ const = "I" }', {}, "I"),
        ('{ value = "agent" }', {}, "4401000001"),
        ('{ field = "record.a" }', {"a": "骑行面罩"}, "骑行面罩"),
        ('{ field = "record.a", text = { blanks = "keep" } }', {"a": " RK1 "}, " RK1 "),
        ('{ field = "record.a", text = { blanks = "trim" } }', {"a": "\u3000RK1\u00a0 "}, "RK1"),
        ('{ field = "record.a", text = { blanks = "trim" }, codes = "offices" }', {"a": "7  "}, "4401"),
        ('{ const = " I " }', {}, " I "),
        ('{ field = "record.a" }', {"a": "Ｔ恤１２号"}, "Ｔ恤１２号"),
        ('{ field = "record.a", text = { wide_digits = "narrow" } }', {"a": "Ｔ恤１２号"}, "Ｔ恤12号"),
        ('{ field = "record.a", text = { wide_digits = "narrow" }, codes = "offices" }', {"a": "７"}, "4401"),
        ('{ field = "record.a" }', {"a": "𠮷野家"}, "𠮷野家"),
        ('{ field = "record.a", text = { overlong = "cut" } }', {"a": "𠮷" * 501}, "𠮷" * 500),
        ('{ field = "record.a", codes = "offices", unmapped = "keep" }', {"a": "8"}, "8"),
        ('{ field = "record.a", codes = "offices", unmapped = { const = "9999" } }', {"a": "8"}, "9999"),
        ('{ field = "record.a", codes = "offices", unmapped = { const = "9999" } }', {"a": "7"}, "4401"),
        ('{ field = "record.a" }', {"a": True}, "1"),
        ('{ field = "record.a" }', {"a": Decimal("4.00")}, "4"),
        ('{ field = "record.a" }', {"a": Decimal("1E+3")}, "1000"),
        ('{ join = { fields = ["record.a", "record.b"] } }', {"a": "A", "b": 1}, "A1"),
        ('{ join = { fields = ["record.a", "record.b"], separator = "-" } }', {"a": "A", "b": "B"}, "A-B"),
        ('{ field = "record.a", text = { control = "strip" } }', {"a": "蓝牙\x0b耳机\t\x7f\ud800\uffff"}, "蓝牙耳机"),
        ('{ field = "record.a", codes = "offices" }', {"a": 7}, "4401"),
        ('{ field = "record.a", codes = "offices" }', {"a": "7"}, "4401"),
        ('{ field = "record.a", text = { control = "strip" }, codes = "offices" }', {"a": "7\n"}, "4401"),
        ('{ field = "record.a", decimal = { places = 2, rounding = "half_up" } }', {"a": 2.675}, "2.68"),
        ('{ field = "record.a", decimal = { places = 5 } }', {"a": "0.04750"}, "0.0475"),
        ('{ field = "record.a", default = { const = "none" } }', {"a": None}, "none"),
        ('{ field = "record.a", default = { const = "none" } }', {"a": "here"}, "here"),
        (
            '{ field = "record.a", default = { field = "record.b", default = { const = "c" } } }',
            {"a": None, "b": " "},
            "c",
        ),
        ('{ field = "record.a", codes = "offices", default = { const = "9999" } }', {"a": None}, "9999"),
        ('{ field = "record.a", default = { field = "record.b", codes = "offices" } }', {"a": None, "b": 7}, "4401"),
    ],
)
def test_converter_gives_the_text_of_the_element(line: str, row: Row, expected: str) -> None:
    assert converted(line, row) == expected


@pytest.mark.parametrize("nothing", [None, "", " ", "\t\r\n", "\u3000"])
@pytest.mark.parametrize("field", [NOTE, QUANTITY, NUMBER])
def test_element_is_left_out_when_its_column_holds_nothing(nothing: Value, field: Field) -> None:
    assert converted('{ field = "record.a" }', {"a": nothing}, field) is None


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('{ field = "record.a" }', {}),
        ('{ join = { fields = ["record.a", "record.b"] } }', {"a": "A", "b": " "}),
        (
            '{ ratio = ["record.a", "record.b", "record.c"], places = 5, rounding = "down" }',
            {"a": 1, "b": None, "c": 2},
        ),
        ('{ field = "record.a", text = { control = "strip" } }', {"a": "\x00"}),
        ('{ field = "record.a", codes = "nothing" }', {"a": "x"}),
        ('{ field = "record.a", default = { field = "record.b" } }', {"a": None, "b": ""}),
        ('{ const = "" }', {}),
    ],
)
def test_element_is_left_out_when_its_rule_gives_nothing(line: str, row: Row) -> None:
    assert converted(line, row) is None


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=500).filter(lambda text: text.strip()))
def test_text_reaches_its_element_unchanged(text: str) -> None:
    assert converted('{ field = "record.a", text = { blanks = "keep" } }', {"a": text}) == text


@given(st.integers())
def test_integer_reaches_text_and_number_elements_exactly(value: int) -> None:
    assert converted('{ field = "record.a" }', {"a": value}) == str(value)
    assert converted('{ field = "record.a" }', {"a": value}, element(FieldKind.INTEGER)) == str(value)


def test_integer_is_exact_when_a_double_could_not_hold_it() -> None:
    assert converted('{ field = "record.a" }', {"a": 1843920012030070785}) == "1843920012030070785"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**13), max_value=10**13, places=5))
def test_decimal_reaches_its_element_exactly(value: Decimal) -> None:
    text = converted('{ field = "record.a" }', {"a": value}, QUANTITY)
    assert text is not None
    assert Fraction(text) == Fraction(value)


quantities = st.decimals(min_value="0.00001", max_value=10**9, places=5)


@given(quantities, quantities, quantities)
def test_ratio_is_the_exact_quotient_rounded_down(part: Decimal, whole: Decimal, base: Decimal) -> None:
    line = '{ ratio = ["record.a", "record.b", "record.c"], places = 5, rounding = "down" }'
    text = converted(line, {"a": part, "b": whole, "c": base}, element(FieldKind.DECIMAL, fraction_digits=5))
    exact = Fraction(part) * Fraction(whole) / Fraction(base)
    assert text is not None
    assert Fraction(text) == Fraction(int(exact * 10**5), 10**5)


def test_ratio_does_not_lose_a_place_when_it_comes_out_even() -> None:
    # In binary 3 × 0.1 ÷ 3 is above 0.1, and 1 ÷ 3 × 3 in 28 digits is below 1.
    line = '{ ratio = ["record.a", "record.b", "record.c"], places = 5, rounding = "down" }'
    assert converted(line, {"a": 3, "b": Decimal("0.1"), "c": 3}, QUANTITY) == "0.1"
    assert converted(line, {"a": "1", "b": 3.0, "c": Decimal("3.00")}, QUANTITY) == "1"


def test_time_is_written_in_its_zone_whatever_zone_it_comes_in() -> None:
    line = '{ field = "record.a", time = { zone = "Asia/Shanghai", format = "%Y%m%d%H%M%S" } }'
    moment = datetime(2026, 3, 31, 16, 0, 1, tzinfo=UTC)
    assert converted(line, {"a": moment}) == "20260401000001"
    assert converted(line, {"a": moment.astimezone(timezone(timedelta(hours=-5)))}) == "20260401000001"
    assert converted(line, {"a": date(2026, 4, 1)}) == "20260401000000"


@pytest.mark.parametrize(
    ("line", "row", "field", "code", "words"),
    [
        ('{ field = "record.a", codes = "offices" }', {"a": 8}, CODE, FaultCode.CODE_UNKNOWN, "code list offices"),
        ('{ field = "record.a" }', {"a": "蓝牙\x0b耳机"}, NOTE, FaultCode.CONTROL_CHARACTER, "control character"),
        ('{ field = "record.a" }', {"a": "a\ud800"}, NOTE, FaultCode.CONTROL_CHARACTER, "control character"),
        ('{ field = "record.a" }', {"a": "a\uffff"}, NOTE, FaultCode.CONTROL_CHARACTER, "control character"),
        ('{ field = "record.a" }', {"a": "a\nb"}, NOTE, FaultCode.CONTROL_CHARACTER, "control character"),
        ('{ field = "record.a" }', {"a": "字" * 501}, NOTE, FaultCode.TOO_LONG, "has 501 characters, 500 are allowed"),
        ('{ field = "record.a" }', {"a": "441"}, CODE, FaultCode.TOO_SHORT, "has 3 characters, 4 are needed"),
        ('{ field = "record.a" }', {"a": 0.5}, NOTE, FaultCode.FLOAT_REFUSED, "binary float"),
        ('{ field = "record.a" }', {"a": 0.5}, QUANTITY, FaultCode.FLOAT_REFUSED, "binary float"),
        ('{ field = "record.a" }', {"a": 1.0}, NUMBER, FaultCode.FLOAT_REFUSED, "binary float"),
        ('{ field = "record.a" }', {"a": "four"}, QUANTITY, FaultCode.NOT_A_NUMBER, "not a number"),
        ('{ field = "record.a" }', {"a": date(2026, 4, 1)}, QUANTITY, FaultCode.NOT_A_NUMBER, "not a number"),
        ('{ field = "record.a" }', {"a": "0.123456"}, QUANTITY, FaultCode.INEXACT, "more than 5 decimals"),
        ('{ field = "record.a" }', {"a": Decimal("1.5")}, NUMBER, FaultCode.INEXACT, "not a whole number"),
        ('{ field = "record.a" }', {"a": 10000}, NUMBER, FaultCode.OUT_OF_RANGE, "more than 4 digits"),
        ('{ field = "record.a" }', {"a": 10**19}, QUANTITY, FaultCode.OUT_OF_RANGE, "more than 19 digits"),
        ('{ field = "record.a" }', {"a": Decimal("1E+9999999")}, NOTE, FaultCode.OUT_OF_RANGE, "too many digits"),
        ('{ field = "record.a" }', {"a": date(2026, 4, 1)}, NOTE, FaultCode.NOT_TEXT, "time without a format"),
        (
            '{ field = "record.a", time = { zone = "Asia/Shanghai", format = "%Y" } }',
            {"a": "2026"},
            NOTE,
            FaultCode.NOT_A_TIME,
            "not a time",
        ),
        (
            '{ field = "record.a", decimal = { places = 1 } }',
            {"a": "0.25"},
            QUANTITY,
            FaultCode.INEXACT,
            "more than 1 decimals",
        ),
        (
            '{ ratio = ["record.a", "record.a", "record.b"], places = 5, rounding = "down" }',
            {"a": 1, "b": 0},
            QUANTITY,
            FaultCode.OUT_OF_RANGE,
            "cannot be divided by",
        ),
        (
            '{ ratio = ["record.a", "record.a", "record.b"], places = 5, rounding = "exact" }',
            {"a": 1, "b": 3},
            QUANTITY,
            FaultCode.INEXACT,
            "more than 5 decimals",
        ),
    ],
)
def test_value_is_refused_with_its_reason(line: str, row: Row, field: Field, code: FaultCode, words: str) -> None:
    refused = refusal(line, row, field)
    assert refused.code is code
    assert words in refused.problem
    assert refused.remedy


def test_length_counts_characters_and_not_bytes() -> None:
    assert converted('{ field = "record.a" }', {"a": "𠮷" * 500}) == "𠮷" * 500


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('{ ratio = ["record.a", "record.b", "record.a"], places = 5, rounding = "down" }', {"a": 1, "b": "many"}),
        ('{ join = { fields = ["record.a", "record.b"] } }', {"a": "1", "b": 0.5}),
    ],
)
def test_refusal_names_the_column_when_a_rule_reads_several(line: str, row: Row) -> None:
    assert refusal(line, row).source == "record.b"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{ }", "it has none"),
        ('{ const = "1", field = "record.a" }', "it has const and field"),
        ('{ codes = "unit" }', "needs exactly one of const, value, field, join, ratio"),
        ('{ field = "record.a", places = 5 }', "belong together"),
        ('{ ratio = ["record.a", "record.b", "record.c"], places = 5 }', "belong together"),
        (
            '{ ratio = ["record.a", "record.b", "record.c"], places = 5, rounding = "down", codes = "x" }',
            "takes no codes",
        ),
        (
            '{ field = "record.a", text = { control = "strip" }, time = { zone = "Asia/Shanghai", format = "%Y" } }',
            "remove text",
        ),
        ('{ field = "record.a", upper = true }', "Extra inputs"),
        ('{ field = "record.a", default = { const = "x", required = true } }', "Extra inputs"),
        ('{ field = "record.a", required = false }', "Input should be True"),
        ('{ field = "a" }', "must be record.COLUMN, line.COLUMN or LOOKUP.COLUMN"),
        ("{ const = 2 }", "valid string"),
        ('{ field = "record.a", decimal = { places = "5" } }', "valid integer"),
        ('{ field = "record.a", decimal = { places = 5, rounding = "up" } }', "'exact', 'down', 'half_up'"),
        ('{ field = "record.a", time = { zone = "Asia/Canton", format = "%Y" } }', "no IANA time zone"),
        ('{ field = "record.a", time = { zone = "Asia/Shanghai", format = "%c" } }', "made of %Y %m %d"),
    ],
)
def test_line_is_refused_when_it_does_not_fit_together(line: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ElementRule.model_validate(tomllib.loads(f"rule = {line}")["rule"])


def test_element_is_required_when_its_line_says_so_and_the_schema_does_not() -> None:
    rule = ElementRule.model_validate({"field": "record.a", "required": True})
    assert compile_element(rule, NOTE, CONSTANTS).required
    assert not compile_element(ElementRule.model_validate({"field": "record.a"}), NOTE, CONSTANTS).required


@pytest.mark.parametrize(
    ("line", "text", "code"),
    [
        ('{ field = "record.a" }', " RK1", FaultCode.BLANK_AT_END),
        ('{ field = "record.a" }', "RK1\u3000", FaultCode.BLANK_AT_END),
        ('{ join = { fields = ["record.a", "record.a"] } }', "RK1 ", FaultCode.BLANK_AT_END),
        ('{ field = "record.a", text = { wide_digits = "refuse" } }', "１号", FaultCode.WIDE_DIGIT),
        ('{ field = "record.a", text = { beyond_bmp = "refuse" } }', "𠮷", FaultCode.BEYOND_BMP),
        ('{ field = "record.a" }', "𠮷" * 501, FaultCode.TOO_LONG),
        ('{ field = "record.a" }', "a\x0bb", FaultCode.CONTROL_CHARACTER),
        ('{ field = "record.a", codes = "offices" }', "8", FaultCode.CODE_UNKNOWN),
    ],
)
def test_text_that_customs_may_not_take_is_refused_unless_a_policy_says_otherwise(
    line: str, text: str, code: FaultCode
) -> None:
    assert refusal(line, {"a": text}).code is code


def test_policy_of_the_file_holds_where_a_line_says_nothing() -> None:
    of_file = TextPolicy(blanks="trim", wide_digits="narrow")
    constants = Constants(values={}, codes={}, areas=NOWHERE, text=of_file)

    def text(line: str, value: str) -> str | None:
        rule = ElementRule.model_validate(tomllib.loads(f"rule = {line}")["rule"])
        return compile_text(rule, NOTE, constants)({"record": {"a": value}})

    assert text('{ field = "record.a" }', " １ ") == "1"
    assert text('{ field = "record.a", text = { wide_digits = "keep" } }', " １ ") == "１"


def test_unmapped_needs_a_code_list() -> None:
    with pytest.raises(ValidationError, match="there is none: add codes"):
        ElementRule.model_validate({"field": "record.a", "unmapped": "keep"})
