"""Ages read as kubectl prints them."""

from __future__ import annotations

import pytest

from services.apiserver.printers.duration import human_duration, parse_time, since

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1.5, "0s"),
        (-0.5, "0s"),
        (0, "0s"),
        (1.9, "1s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 5, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 61, "3h1m"),
        (8 * HOUR + 61, "8h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (2 * DAY + 3 * HOUR, "2d3h"),
        (8 * DAY + 3 * HOUR, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR + DAY, "8y"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2026-01-01T00:00:00Z", "5m"),
        ("2026-01-01T00:00:01.250000Z", "4m58s"),
        ("2026-01-01T01:00:00+01:00", "5m"),
        ("2026-01-01T00:05:10Z", "<invalid>"),
        (None, "<unknown>"),
        ("", "<unknown>"),
    ],
)
def test_an_age_counts_from_a_timestamp(timestamp: str | None, text: str) -> None:
    assert since(timestamp, parse_time("2026-01-01T00:05:00Z")) == text
