"""Times as audit events print them."""

from __future__ import annotations

import time
from functools import lru_cache

NANOSECONDS = 1_000_000_000


def micro_time(ns: int) -> bytes:
    """Return a time (ns since 1970) as metav1.MicroTime prints it: 2026-01-02T15:04:05.000006Z."""
    return b"%b.%06dZ" % (_second(ns // NANOSECONDS), ns // 1000 % 1_000_000)


@lru_cache(maxsize=8)
def _second(seconds: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode()


def rfc3339_nano(ns: int) -> str:
    """Return a time in Go's RFC3339Nano, in UTC: no zeros at the fraction's end."""
    seconds, rest = divmod(ns, NANOSECONDS)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{_second(seconds).decode()}{fraction}Z"


def go_duration(ns: int) -> str:
    """Return a length of time as Go prints a Duration: 1m2.5s, 250ms, 12.5µs."""
    if ns < 1000:
        return f"{ns}ns" if ns else "0s"
    if ns < 1_000_000:
        return f"{_number(ns, 1000)}µs"
    if ns < NANOSECONDS:
        return f"{_number(ns, 1_000_000)}ms"
    minutes, rest = divmod(ns, 60 * NANOSECONDS)
    seconds = f"{_number(rest, NANOSECONDS)}s"
    if not minutes:
        return seconds
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}"


def _number(ns: int, unit: int) -> str:
    whole, rest = divmod(ns, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(unit)) - 1}}".rstrip("0")
