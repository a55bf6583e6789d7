"""Cron schedules as CronJobs take them: five fields, names, @daily and the like, @every 1h30m.

Source: github.com/robfig/cron/v3 v3.0.1 (ParseStandard), which kube-apiserver v1.36.2 uses.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass, field
from functools import lru_cache

from services.apiserver.values.duration import DurationError, parse_duration_ns

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DESCRIPTORS = frozenset(
    ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
)
_ZONE = re.compile(r"(?:CRON_)?TZ=")


class ScheduleError(ValueError):
    """The text is no schedule."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict)


def _numbered(first: int, names: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(names.split(), first)}


_FIELDS = (
    _Bounds(0, 59),
    _Bounds(0, 23),
    _Bounds(1, 31),
    _Bounds(1, 12, _numbered(1, "jan feb mar apr may jun jul aug sep oct nov dec")),
    _Bounds(0, 6, _numbered(0, "sun mon tue wed thu fri sat")),
)


def check_schedule(text: str) -> None:
    """Check that `text` is a schedule.

    Raises:
        ScheduleError: it is not.
    """
    zone = _ZONE.match(text)
    if zone is not None:
        name, _, text = text[zone.end() :].partition(" ")
        if name and not is_time_zone(name):
            raise ScheduleError(f"provided bad location {name}: unknown time zone {name}")
        text = text.strip()
    if not text:
        raise ScheduleError("empty spec string")
    if text.startswith("@"):
        _check_descriptor(text)
        return
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(
            f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]"
        )
    for part, bounds in zip(parts, _FIELDS, strict=True):
        for one in part.split(","):
            if one:
                _check_range(one, bounds)


def is_time_zone(name: str) -> bool:
    """Whether the time zone database has `name`. "Local", in that case, counts as known."""
    return len(name) <= 255 and _is_time_zone(name)  # longer than a file's name is none


@lru_cache(maxsize=256)
def _is_time_zone(name: str) -> bool:
    if name == "Local":
        return True
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _check_descriptor(text: str) -> None:
    if text in _DESCRIPTORS:
        return
    if not text.startswith("@every "):
        raise ScheduleError(f"unrecognized descriptor: {text}")
    try:
        parse_duration_ns(text.removeprefix("@every "))
    except DurationError as error:
        raise ScheduleError(f"failed to parse duration {text}: {error}") from error


def _check_range(text: str, bounds: _Bounds) -> None:
    """Check one part of a field: *, 5, 1-5, */10, 1-20/3, mon-fri."""
    span, *steps = text.split("/")
    first, *ends = span.split("-")
    if first in ("*", "?"):
        start, end = bounds.low, bounds.high
    else:
        if len(ends) > 1:
            raise ScheduleError(f"too many hyphens: {text}")
        start = _number(first, bounds)
        end = _number(ends[0], bounds) if ends else start
    step = 1
    if steps:
        if len(steps) > 1:
            raise ScheduleError(f"too many slashes: {text}")
        step = _integer(steps[0])
        if not ends:
            end = bounds.high
    if start < bounds.low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({bounds.low}): {text}")
    if end > bounds.high:
        raise ScheduleError(f"end of range ({end}) above maximum ({bounds.high}): {text}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")


def _number(text: str, bounds: _Bounds) -> int:
    number = bounds.names.get(text.lower())
    return _integer(text) if number is None else number


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ScheduleError(f"failed to parse int from {text}: invalid syntax")
    number = int(text)
    if number < 0:
        raise ScheduleError(f"negative number ({number}) not allowed: {text}")
    return number
