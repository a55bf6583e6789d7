"""Durations are read and printed as Go's time.Duration."""

import pytest

from services.apiserver.values.duration import (
    DurationError,
    canonical_duration,
    format_duration_ns,
    parse_duration_ns,
    parse_duration_s,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0s"),
        ("0s", "0s"),
        ("1h30m", "1h30m0s"),
        ("90m", "1h30m0s"),
        ("1.5s", "1.5s"),
        (".5s", "500ms"),
        ("-250ms", "-250ms"),
        ("+5s", "5s"),
        ("100us", "100µs"),
        ("100µs", "100µs"),
        ("7ns", "7ns"),
        ("1500us", "1.5ms"),
        ("24h", "24h0m0s"),
        ("1s1s", "2s"),
    ],
)
def test_the_canonical_form_is_that_of_go(text: str, expected: str) -> None:
    assert canonical_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1", "s", "1d", "1h 30m", ".s", "-", "1.2.3s", "9" * 30 + "h"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(DurationError):
        parse_duration_ns(text)


def test_the_range_is_64_bits_of_nanoseconds() -> None:
    assert parse_duration_ns(format_duration_ns(-(2**63))) == -(2**63)
    with pytest.raises(DurationError):
        parse_duration_ns("9223372036854775808ns")


def test_seconds_are_a_float() -> None:
    assert parse_duration_s("1m0.25s") == 60.25
