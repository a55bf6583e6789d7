"""IntOrString: numbers, names and percentages."""

import pytest

from services.apiserver.values.intorstring import (
    IntOrString,
    IntOrStringError,
    int_value,
    parse_percent,
    scaled_value,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("25%", 25), ("0%", 0), ("100%", 100), (25, None), ("25", None), ("-5%", None), ("x%", None)],
)
def test_percentages_are_whole_and_not_negative(value: IntOrString, expected: int | None) -> None:
    assert parse_percent(value) == expected


@pytest.mark.parametrize(
    ("value", "total", "round_up", "expected"),
    [
        (3, 10, True, 3),
        ("25%", 10, True, 3),
        ("25%", 10, False, 2),
        ("0%", 10, True, 0),
        ("150%", 10, False, 15),
    ],
)
def test_a_percentage_is_scaled(
    value: IntOrString, total: int, round_up: bool, expected: int
) -> None:
    assert scaled_value(value, total, round_up=round_up) == expected


def test_a_name_cannot_be_scaled() -> None:
    with pytest.raises(IntOrStringError):
        scaled_value("http", 10, round_up=True)


@pytest.mark.parametrize(("value", "expected"), [(80, 80), ("80", 80), ("http", 0), ("-1", -1)])
def test_the_number_of_a_text_is_its_decimal_value(value: IntOrString, expected: int) -> None:
    assert int_value(value) == expected
