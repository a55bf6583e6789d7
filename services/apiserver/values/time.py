"""Times: RFC 3339 with seconds (Time) and with exactly six fraction digits (MicroTime).

Source: kube-apiserver v1.36.2, apimachinery/pkg/apis/meta/v1 (time.go, micro_time.go).
"""

from __future__ import annotations

import datetime
import re
import time
from functools import lru_cache

_RFC3339 = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]+))?"
    r"(?:Z|(?P<sign>[+-])(?P<offset_hours>[0-9]{2}):(?P<offset_minutes>[0-9]{2}))"
)
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
_ZERO = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
_LONGEST = 64
"""No time needs more characters; longer texts are cut in messages and never cached."""


class TimeError(ValueError):
    """The text is not a time of the wanted form."""


def now() -> str:
    """Return the present time as a Time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def seconds_now() -> float:
    """Return the present moment in seconds since the epoch, for ages."""
    return time.time()


def now_micro() -> str:
    """Return the present time as a MicroTime."""
    return format_micro_time(datetime.datetime.now(datetime.UTC))


def format_time(moment: datetime.datetime) -> str:
    """Print an aware datetime as a Time: UTC, whole seconds (cut, not rounded), Z."""
    utc = moment.astimezone(datetime.UTC)
    return utc.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def format_micro_time(moment: datetime.datetime) -> str:
    """Print an aware datetime as a MicroTime: UTC, six fraction digits, Z."""
    utc = moment.astimezone(datetime.UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime.datetime:
    """Parse any RFC 3339 time; the result is in UTC.

    Raises:
        TimeError: `text` is not one.
    """
    return _parse(text, _LAYOUT)


def parse_micro_time(text: str) -> datetime.datetime:
    """Parse a MicroTime: RFC 3339 with exactly six fraction digits; the result is in UTC.

    Raises:
        TimeError: `text` is not one.
    """
    return _parse(text, _MICRO_LAYOUT)


def shifted(text: str, seconds: int) -> str:
    """Return the time `seconds` after (before, if negative) one in canonical form."""
    return format_time(parse_time(text) + datetime.timedelta(seconds=seconds))


def canonical_time(text: str) -> str | None:
    """Return `text` as kube-apiserver stores a Time; None for the zero time, printed as null.

    Raises:
        TimeError: `text` is not a time.
    """
    return _canonical_time(text) if len(text) <= _LONGEST else _canonical_time.__wrapped__(text)


def canonical_micro_time(text: str) -> str | None:
    """Return `text` as kube-apiserver stores a MicroTime; None for the zero time.

    Raises:
        TimeError: `text` is not a time with exactly six fraction digits.
    """
    moment = parse_micro_time(text)
    return None if moment == _ZERO else format_micro_time(moment)


@lru_cache(maxsize=2048)
def _canonical_time(text: str) -> str | None:
    moment = parse_time(text)
    return None if moment.replace(microsecond=0) == _ZERO else format_time(moment)


def _parse(text: str, layout: str) -> datetime.datetime:
    found = _RFC3339.fullmatch(text)
    if found is None or (
        layout is _MICRO_LAYOUT and (len(found["fraction"] or "") != 6 or "," in text)
    ):
        raise TimeError(_cannot_parse(text, layout))
    try:
        moment = datetime.datetime(
            int(found["year"]),
            int(found["month"]),
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            int(found["second"]),
            int((found["fraction"] or "")[:6].ljust(6, "0")),
            tzinfo=datetime.UTC,
        )
        if found["sign"] is None:
            return moment
        hours, minutes = int(found["offset_hours"]), int(found["offset_minutes"])
        if hours > 24 or minutes > 60:
            raise TimeError(f'parsing time "{text}": time zone offset out of range')
        offset = datetime.timedelta(hours=hours, minutes=minutes)
        return moment - offset if found["sign"] == "+" else moment + offset
    except (ValueError, OverflowError) as error:
        if isinstance(error, TimeError):
            raise
        raise TimeError(f'parsing time "{text[:_LONGEST]}": value out of range') from None


def _cannot_parse(text: str, layout: str) -> str:
    text = text[:_LONGEST]
    return f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'
