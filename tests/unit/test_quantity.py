"""Quantities print, compare and add up as Go's resource.Quantity."""

import pytest

from services.apiserver.values.quantity import MAX_INT64, QuantityError, canonical, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("0.0", "0"),
        ("-0", "0"),
        ("0Ki", "0"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.0", "1"),
        ("1.5", "1500m"),
        ("-1.5", "-1500m"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1500u", "1500u"),
        ("1000k", "1M"),
        ("1500M", "1500M"),
        ("12000", "12k"),
        ("100000000", "100M"),
        ("128974848", "128974848"),
        ("1Ki", "1Ki"),
        ("1024Mi", "1Gi"),
        ("2048Ki", "2Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("0.0001Ki", "102400u"),
        ("8Ei", "9223372036854775807"),
        ("1E", "1E"),
        ("123456789012345678k", "123456789012345678k"),
        ("12.34567", "12345670u"),
        ("1e-7", "100e-9"),
        ("1E6", "1E6"),
        ("10e3", "10e3"),
        ("1000e3", "1e6"),
    ],
)
def test_the_canonical_form_is_that_of_go(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["1e3", "+2", "0005", "1.", "1024", "3Mi"])
def test_a_text_that_go_holds_for_canonical_is_kept(text: str) -> None:
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("text", "expected"), [("0.9n", "1n"), ("-0.1n", "-1n"), ("1e-40", "1e-9")]
)
def test_what_is_finer_than_nano_is_rounded_away_from_zero(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(1, "1"), (1024, "1024"), (0.5, "500m"), (1.0, "1"), (1e22, "10e21")]
)
def test_json_numbers_are_quantities(value: float, expected: str) -> None:
    assert canonical(value) == expected


@pytest.mark.parametrize(
    "text",
    ["", " 1 2", "1 Gi", "abc", "1.2.3", "1Kii", "1ki", "1e", "1e1e1", "--1", "1mi", "１", "1\n2"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)


@pytest.mark.parametrize("text", ["9" * 5000, "1e99999999999", "1e" + "9" * 5000])
def test_absurdly_long_numbers_are_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)


def test_huge_exponents_cost_nothing() -> None:
    huge, tiny = parse("1e2000000000"), parse("1e-2000000000")
    assert huge > parse("1e1999999999")
    assert parse("1n") == tiny
    assert huge.value() == MAX_INT64
    assert str(huge) == "100e1999999998"
    with pytest.raises(QuantityError):
        huge + tiny


@pytest.mark.parametrize(
    ("less", "more"), [("1", "1001m"), ("1Mi", "1.1Mi"), ("-2", "1"), ("-2", "-1"), ("0", "1n")]
)
def test_order_looks_at_the_value(less: str, more: str) -> None:
    assert parse(less) < parse(more)
    assert parse(more) > parse(less)
    assert parse(less) != parse(more)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1000m"), ("1Ki", "1024"), ("1e3", "1k"), ("0", "0m")]
)
def test_equal_values_in_other_formats_are_equal(one: str, other: str) -> None:
    assert parse(one) == parse(other)
    assert hash(parse(one)) == hash(parse(other))


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        ("1", "500m", "1500m"),
        ("1Gi", "1Mi", "1025Mi"),
        ("0", "1Gi", "1Gi"),
        ("1Gi", "0", "1Gi"),
        ("100m", "900m", "1"),
        ("1", "1Ki", "1025"),
    ],
)
def test_a_sum_keeps_the_format_of_the_first_that_is_not_zero(
    left: str, right: str, total: str
) -> None:
    assert str(parse(left) + parse(right)) == total
    assert parse(left) + parse(right) - parse(right) == parse(left)


@pytest.mark.parametrize(("text", "expected"), [("1500u", "2m"), ("100m", "100m"), ("1n", "1m")])
def test_rounding_up_to_milli(text: str, expected: str) -> None:
    assert str(parse(text).round_up()) == expected


def test_whole_values_are_rounded_up_and_capped() -> None:
    assert parse("1500m").value() == 2
    assert parse("1500m").milli_value() == 1500
    assert parse("100E").value() == MAX_INT64
    assert parse("-100E").value() == -MAX_INT64


def test_sign_and_zero() -> None:
    assert [parse(text).sign for text in ("-1m", "0", "1m")] == [-1, 0, 1]
    assert parse("0.000").is_zero
