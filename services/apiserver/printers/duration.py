"""Durations as kubectl shows them: two units at most, coarser the longer.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/duration/duration.go (HumanDuration).
"""

from __future__ import annotations

from datetime import datetime

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24
"""Hours."""
_YEAR = 365 * _DAY


def human_duration(seconds: float) -> str:
    """Return `seconds` for people; a little below zero is 0s, since clocks differ."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    minutes = whole // _MINUTE
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if minutes < 180:
        return f"{minutes}m"
    hours = whole // _HOUR
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 2 * _DAY:
        return f"{hours}h"
    if hours < 8 * _DAY:
        return _two(hours // _DAY, "d", hours % _DAY, "h")
    if hours < 2 * _YEAR:
        return f"{hours // _DAY}d"
    if hours < 8 * _YEAR:
        return _two(hours // _YEAR, "y", hours // _DAY % 365, "d")
    return f"{hours // _YEAR}y"


def since(timestamp: str | None, now: float) -> str:
    """Return the time from `timestamp` (RFC 3339) to `now` (seconds since the epoch)."""
    if not timestamp:
        return "<unknown>"
    return human_duration(now - parse_time(timestamp))


def parse_time(timestamp: str) -> float:
    """Return an RFC 3339 time as seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp()


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    if small:
        return f"{large}{large_unit}{small}{small_unit}"
    return f"{large}{large_unit}"
