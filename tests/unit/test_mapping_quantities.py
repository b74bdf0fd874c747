"""Exact numbers, compared with `fractions.Fraction`."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.files import Rounding
from connector.mapping.outcomes import FaultCode, Refused
from connector.mapping.quantities import divided, number, plain, roundable, rounded
from connector.messages.records import Value

decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=5)
places = st.integers(0, 8)
ratios = st.tuples(st.integers(), st.integers().filter(bool))


@given(decimals)
def test_number_is_written_plainly_and_keeps_its_value(value: Decimal) -> None:
    text = plain(value)
    assert Fraction(text) == Fraction(value)
    assert "E" not in text
    assert text != "-0"
    assert "." not in text or text[-1] not in "0."


@given(decimals, st.integers(0, 6))
def test_number_is_written_the_same_however_many_zeros_its_database_adds(value: Decimal, zeros: int) -> None:
    padded = Decimal(f"{value:f}{'' if '.' in f'{value:f}' else '.'}{'0' * zeros}")
    assert plain(number(padded)) == plain(number(f"{value:f}")) == plain(value)


@given(ratios, places)
def test_division_rounds_down_to_the_place_below(ratio: tuple[int, int], places: int) -> None:
    exact, unit = Fraction(*ratio), Fraction(1, 10**places)
    result = divided(*ratio, places, Rounding.DOWN)
    assert result is not None
    assert abs(Fraction(result)) <= abs(exact) < abs(Fraction(result)) + unit
    assert Fraction(result) % unit == 0


@given(ratios, places, st.sampled_from([Rounding.HALF_UP, Rounding.HALF_EVEN]))
def test_division_rounds_to_the_nearest_place(ratio: tuple[int, int], places: int, rounding: Rounding) -> None:
    exact, unit = Fraction(*ratio), Fraction(1, 10**places)
    result = divided(*ratio, places, rounding)
    assert result is not None
    assert abs(Fraction(result) - exact) <= unit / 2
    if rounding is Rounding.HALF_EVEN:
        assert Fraction(result) == round(exact / unit) * unit


@given(ratios, places)
def test_division_is_refused_when_it_must_be_exact_and_is_not(ratio: tuple[int, int], places: int) -> None:
    exact = Fraction(*ratio)
    result = divided(*ratio, places, Rounding.EXACT)
    assert (result is not None) == ((exact * 10**places).denominator == 1)
    assert result is None or Fraction(result) == exact


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.DOWN, ["0.12", "0.13", "-0.12", "0.12"]),
        (Rounding.HALF_UP, ["0.13", "0.14", "-0.13", "0.12"]),
        (Rounding.HALF_EVEN, ["0.12", "0.14", "-0.12", "0.12"]),
    ],
)
def test_number_rounds_as_declared_when_it_lies_half_way(rounding: Rounding, expected: list[str]) -> None:
    values = ["0.125", "0.135", "-0.125", "0.1249"]
    assert [plain(rounded(Decimal(value), 2, rounding)) for value in values] == expected


@given(st.integers())
def test_integer_is_kept_exactly_whatever_its_size(value: int) -> None:
    assert plain(number(value)) == plain(number(str(value))) == str(value)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15), places)
def test_float_is_rounded_from_its_shortest_name_when_a_rounding_is_declared(value: float, places: int) -> None:
    assert roundable(value) == Decimal(repr(value))
    assert rounded(value, places, Rounding.DOWN) == rounded(Decimal(repr(value)), places, Rounding.DOWN)


def test_float_is_not_expanded_when_it_is_rounded() -> None:
    assert rounded(2.675, 2, Rounding.HALF_UP) == Decimal("2.68")
    assert rounded(0.1, 20, Rounding.DOWN) == Decimal("0.1")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (0.5, FaultCode.FLOAT_REFUSED),
        ("four", FaultCode.NOT_A_NUMBER),
        ("４", FaultCode.NOT_A_NUMBER),
        ("1,000", FaultCode.NOT_A_NUMBER),
        ("0x10", FaultCode.NOT_A_NUMBER),
        ("1_000", FaultCode.NOT_A_NUMBER),
        ("", FaultCode.NOT_A_NUMBER),
        (True, FaultCode.NOT_A_NUMBER),
        (Decimal("NaN"), FaultCode.NOT_A_NUMBER),
        (Decimal("sNaN"), FaultCode.NOT_A_NUMBER),
        (Decimal("-Infinity"), FaultCode.NOT_A_NUMBER),
        (Decimal("1E+999999"), FaultCode.OUT_OF_RANGE),
        (Decimal("1E-999999"), FaultCode.OUT_OF_RANGE),
        ("1E999999", FaultCode.NOT_A_NUMBER),
    ],
)
def test_value_is_refused_when_it_is_no_exact_number(value: Value, code: FaultCode) -> None:
    with pytest.raises(Refused) as refused:
        number(value)
    assert refused.value.code is code


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_float_is_refused_when_it_is_no_number_at_all(value: float) -> None:
    with pytest.raises(Refused) as refused:
        rounded(value, 2, Rounding.DOWN)
    assert refused.value.code is FaultCode.NOT_A_NUMBER


def test_number_is_refused_when_it_has_more_places_and_must_be_exact() -> None:
    assert rounded("4.000000", 5, Rounding.EXACT) == 4
    with pytest.raises(Refused, match="has more than 5 decimals") as refused:
        rounded("4.000001", 5, Rounding.EXACT)
    assert refused.value.code is FaultCode.INEXACT


def test_float_is_refused_when_it_must_be_exact() -> None:
    with pytest.raises(Refused) as refused:
        rounded(4.5, 5, Rounding.EXACT)
    assert refused.value.code is FaultCode.FLOAT_REFUSED
