"""Times are read and printed as metav1.Time and metav1.MicroTime."""

import datetime

import pytest

from services.apiserver.values.time import (
    TimeError,
    canonical_micro_time,
    canonical_time,
    format_micro_time,
    format_time,
    now,
    now_micro,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05.999999999Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05Z"),
        ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00Z"),
        ("2024-12-31T23:30:00-01:00", "2025-01-01T00:30:00Z"),
        ("0999-01-02T03:04:05Z", "0999-01-02T03:04:05Z"),
    ],
)
def test_any_offset_becomes_utc_with_whole_seconds(text: str, expected: str) -> None:
    assert canonical_time(text) == expected


def test_the_zero_time_is_none() -> None:
    assert canonical_time("0001-01-01T00:00:00Z") is None
    assert canonical_micro_time("0001-01-01T00:00:00.000000Z") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-02",
        "2024-01-02 03:04:05Z",
        "2024-01-02T03:04:05",
        "2024-01-02t03:04:05z",
        "2024-13-02T03:04:05Z",
        "2024-02-30T03:04:05Z",
        "2024-01-02T24:00:00Z",
        "2024-01-02T03:04:60Z",
        "2024-01-02T03:04:05+25:00",
        "9999-12-31T23:59:59-01:00",
        "2024-01-02T03:04:05Z ",
        "x" * 1000,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(TimeError):
        canonical_time(text)


def test_a_micro_time_has_exactly_six_fraction_digits() -> None:
    assert canonical_micro_time("2024-01-02T03:04:05.123456+01:00") == "2024-01-02T02:04:05.123456Z"
    assert canonical_micro_time("2024-01-02T03:04:05.000000Z") == "2024-01-02T03:04:05.000000Z"


@pytest.mark.parametrize("fraction", ["", ".1", ".12345", ".1234567", ",123456"])
def test_a_micro_time_with_other_digits_is_refused(fraction: str) -> None:
    with pytest.raises(TimeError):
        canonical_micro_time(f"2024-01-02T03:04:05{fraction}Z")


def test_datetimes_are_printed_in_utc() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=zone)
    assert format_time(moment) == "2024-01-02T01:04:05Z"
    assert format_micro_time(moment) == "2024-01-02T01:04:05.678901Z"


def test_now_is_canonical() -> None:
    present, present_micro = now(), now_micro()
    assert canonical_time(present) == present
    assert canonical_micro_time(present_micro) == present_micro
