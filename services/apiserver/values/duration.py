"""Durations as Go writes them: "1h30m", "1.5s", "-250ms". Whole nanoseconds.

Source: Go's time.ParseDuration and Duration.String, which metav1.Duration uses.
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_MAX_NS = 2**63 - 1
_LONGEST = 256


class DurationError(ValueError):
    """The text is not a duration."""


def parse_duration_ns(text: str) -> int:
    """Parse a Go duration into nanoseconds.

    Raises:
        DurationError: `text` is not one, or does not fit 64 bits of nanoseconds.
    """
    error = DurationError(f'time: invalid duration "{text[:_LONGEST]}"')
    if len(text) > _LONGEST:
        raise error
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise error
    total = 0
    position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or not (part[1] or part[2]):
            raise error
        amount = Fraction(int((part[1] + (part[2] or "")) or "0"), 10 ** len(part[2] or ""))
        total += int(amount * _UNITS[part[3]])
        position = part.end()
    negative = text.startswith("-")
    if total > _MAX_NS + negative:
        raise error
    return -total if negative else total


def parse_duration_s(text: str) -> float:
    """Parse a Go duration into seconds.

    Raises:
        DurationError: `text` is not one.
    """
    return parse_duration_ns(text) / 1e9


def format_duration_ns(nanoseconds: int) -> str:
    """Print nanoseconds as Go does: "1h0m0s", "1.5s", "250ms", "0s"."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < 1_000_000_000:
        for unit in ("ms", "µs", "ns"):
            if rest >= _UNITS[unit]:
                return f"{sign}{_decimal(rest, _UNITS[unit])}{unit}"
    minutes, below = divmod(rest, _UNITS["m"])
    text = f"{_decimal(below, _UNITS['s'])}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def canonical_duration(text: str) -> str:
    """Return `text` as kube-apiserver stores a Duration.

    Raises:
        DurationError: `text` is not one.
    """
    return format_duration_ns(parse_duration_ns(text))


def _decimal(amount: int, unit: int) -> str:
    whole, fraction = divmod(amount, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0") if unit > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)
