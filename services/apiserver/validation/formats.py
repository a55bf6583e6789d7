"""The formats that custom resource schemas enforce on strings.

Source: kube-apiserver v1.36.2, kube-openapi/pkg/validation/strfmt (default.go, time.go,
duration.go, kubernetes-extensions.go); names are compared without dashes.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

from services.apiserver.validation.names import dns1123_label, dns1123_subdomain

_HOSTNAME = re.compile(
    r"[a-zA-Z0-9\u0080-\U0010ffff](?:[a-zA-Z0-9\u0080-\U0010ffff-]*"
    r"[a-zA-Z0-9\u0080-\U0010ffff])?(?:\.[a-zA-Z0-9\u0080-\U0010ffff]"
    r"(?:[a-zA-Z0-9\u0080-\U0010ffff-]*[a-zA-Z0-9\u0080-\U0010ffff])?)*\.?"
)
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_UUID3 = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_UUID4 = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}")
_UUID5 = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}")
_MAC = re.compile(
    r"(?i)(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?:(?:\1[0-9a-f]{2}){2}|"
    r"(?:\1[0-9a-f]{2}){14})?|(?:[0-9a-f]{4}\.){2}(?:[0-9a-f]{4})(?:\.[0-9a-f]{4}(?:"
    r"(?:\.[0-9a-f]{4}){6})?)?"
)
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[tT ](\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:[zZ]|[+-]\d\d:?\d\d)?"
)
_GO_DURATION = re.compile(r"[+-]?(?:0|(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_WORDY_DURATION = re.compile(r"\d+\s*([A-Za-zµ]+)")
_DURATION_UNITS = frozenset(
    {
        *("ns", "nano", "nanosecond", "nanoseconds", "nanos", "us", "µs", "micro", "micros"),
        *("microsecond", "microseconds", "ms", "milli", "millis", "millisecond", "milliseconds"),
        *("s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute", "minutes"),
        *("h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "week", "weeks", "wk"),
    }
)
_CARD = re.compile(
    r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|6(?:011|5\d\d)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|"
    r"(?:2131|1800|35\d{3})\d{11})"
)
_SSN = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}")
_COLOR = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_RGB = re.compile(
    r"rgb\(\s*(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*(?:,\s*(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|"
    r"25[0-5])\s*){2}\)"
)
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_SHORT_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?")


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def is_date_time(text: str) -> bool:
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return False
    try:
        datetime.fromisoformat(f"{found[1]}T{found[2]}")
    except ValueError:
        return False
    return True


def is_duration(text: str) -> bool:
    if _GO_DURATION.fullmatch(text):
        return True
    units = _WORDY_DURATION.findall(text)
    return (
        bool(units)
        and not _WORDY_DURATION.sub("", text).strip()
        and _DURATION_UNITS.issuperset(one.lower() for one in units)
    )


def is_uri(text: str) -> bool:
    if any(one.isspace() for one in text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme or text.startswith("/"))


def is_hostname(text: str) -> bool:
    if not text or len(text) > 255 or _HOSTNAME.fullmatch(text) is None:
        return False
    return all(len(label) <= 63 for label in text.split("."))


def is_email(text: str) -> bool:
    _, address = parseaddr(text)
    local, at, host = address.rpartition("@")
    return bool(local and at and host and not any(one.isspace() for one in host))


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_network(text: str) -> bool:
    if "/" not in text:
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_ipv4(text: str) -> bool:
    return _parses(ipaddress.IPv4Address, text)


def _is_ipv6(text: str) -> bool:
    return _parses(ipaddress.IPv6Address, text)


def _parses(kind: Callable[[str], object], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _isbn(text: str) -> bool:
    return _isbn10(text) or _isbn13(text)


def _isbn10(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{9}[\dXx]", digits):
        return False
    values = [10 if one in "Xx" else int(one) for one in digits]
    return sum((10 - place) * value for place, value in enumerate(values)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if not re.fullmatch(r"\d{13}", digits):
        return False
    return sum(int(one) * (3 if place % 2 else 1) for place, one in enumerate(digits)) % 10 == 0


def _by(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _by(_OBJECT_ID),
    "uri": is_uri,
    "email": is_email,
    "hostname": is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "cidr": _is_network,
    "mac": _by(_MAC),
    "uuid": _by(_UUID),
    "uuid3": _by(_UUID3),
    "uuid4": _by(_UUID4),
    "uuid5": _by(_UUID5),
    "isbn": _isbn,
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": lambda text: bool(_CARD.fullmatch(re.sub(r"\D+", "", text))),
    "ssn": _by(_SSN),
    "hexcolor": _by(_COLOR),
    "rgbcolor": _by(_RGB),
    "byte": is_base64,
    "password": lambda text: True,
    "date": is_date,
    "duration": is_duration,
    "datetime": is_date_time,
    "k8sshortname": lambda text: not dns1123_label(text),
    "k8slongname": lambda text: not dns1123_subdomain(text),
}
"""The check of each format that is known; others are not looked at."""
