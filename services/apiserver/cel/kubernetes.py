"""Kubernetes' own value types: quantities, addresses, URLs, formats, versions.

Source: kube-apiserver v1.36.2, apiserver/pkg/cel/library/{quantity,ip,cidr,urls,format,
semverlib}.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from services.apiserver.cel.values import NONE, CelError, Opaque, Optional, no_overload, type_name
from services.apiserver.validation.formats import (
    is_base64,
    is_date,
    is_date_time,
    is_uri,
)
from services.apiserver.validation.names import (
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    label_value,
    qualified_name,
    with_trailing_dash_masked,
)
from services.apiserver.values import quantity

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


class _Methods(Opaque):
    """An opaque value whose methods are looked up in a table."""

    methods: Mapping[str, Callable[..., Any]] = {}

    def call(self, name: str, args: Sequence[Any]) -> Any:
        method = self.methods.get(name)
        if method is None:
            raise no_overload(f"{self.type_name}.{name}")
        try:
            return method(self, *args)
        except (TypeError, AttributeError):
            names = ", ".join(map(type_name, args))
            raise no_overload(f"{self.type_name}.{name}({names})") from None


def _valid(parse: Callable[[Any], Any]) -> Callable[..., bool]:
    def check(value: Any, *options: Any) -> bool:
        if not isinstance(value, str):
            raise no_overload(type_name(value))
        try:
            parse(value, *options)
        except CelError:
            return False
        return True

    return check


# -- quantities ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Quantity(_Methods):
    """A resource.Quantity."""

    value: quantity.Quantity
    type_name = "kubernetes.Quantity"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def compare(self, other: Quantity) -> int:
        return (self.value > other.value) - (self.value < other.value)

    @property
    def is_integer(self) -> bool:
        return (
            self.value == quantity.Quantity(self.value.value())
            and abs(self.value.value()) < 2**63 - 1
        )


def parse_quantity(text: Any) -> Quantity:
    if not isinstance(text, str):
        raise no_overload(f"quantity({type_name(text)})")
    try:
        return Quantity(quantity.parse(text))
    except quantity.QuantityError as error:
        raise CelError(str(error)) from None


def _as_integer(one: Quantity) -> int:
    if not one.is_integer:
        raise CelError("cannot convert value to integer")
    return one.value.value()


def _other(value: Any) -> quantity.Quantity:
    if isinstance(value, Quantity):
        return value.value
    if isinstance(value, int) and not isinstance(value, bool):
        return quantity.Quantity(value)
    raise no_overload(type_name(value))


Quantity.methods = {
    "string": lambda one: str(one.value),
    "sign": lambda one: one.value.sign,
    "isInteger": lambda one: one.is_integer,
    "asInteger": _as_integer,
    "asApproximateFloat": lambda one: one.value.unscaled * 10.0**one.value.scale,
    "isGreaterThan": lambda one, other: one.value > _other(other),
    "isLessThan": lambda one, other: one.value < _other(other),
    "compareTo": lambda one, other: one.compare(Quantity(_other(other))),
    "add": lambda one, other: Quantity(one.value + _other(other)),
    "sub": lambda one, other: Quantity(one.value - _other(other)),
}


# -- addresses -------------------------------------------------------------------------

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class IP(_Methods):
    value: Address
    type_name = "net.IP"


def parse_ip(text: Any) -> IP:
    if not isinstance(text, str):
        raise no_overload(f"ip({type_name(text)})")
    try:
        value = ipaddress.ip_address(text)
    except ValueError:
        raise CelError(f"IP Address {text!r} parse error during conversion from string") from None
    if isinstance(value, ipaddress.IPv6Address):
        if value.scope_id:
            raise CelError(f"IP address {text!r} with zone value is not allowed")
        if value.ipv4_mapped is not None:
            raise CelError(f"IPv4-mapped IPv6 address {text!r} is not allowed")
    return IP(value)


def _is_canonical(text: str) -> bool:
    return str(parse_ip(text).value) == text


def _is_global_unicast(one: IP) -> bool:
    value = one.value
    broadcast = value == ipaddress.IPv4Address("255.255.255.255")
    return not (
        value.is_unspecified
        or value.is_loopback
        or value.is_multicast
        or value.is_link_local
        or broadcast
    )


def _is_link_local_multicast(one: IP) -> bool:
    value = one.value
    if isinstance(value, ipaddress.IPv4Address):
        return value in ipaddress.IPv4Network("224.0.0.0/24")
    return value.is_multicast and value.packed[1] & 0x0F == 0x02


IP.methods = {
    "string": lambda one: str(one.value),
    "family": lambda one: one.value.version,
    "isUnspecified": lambda one: one.value.is_unspecified,
    "isLoopback": lambda one: one.value.is_loopback,
    "isLinkLocalMulticast": _is_link_local_multicast,
    "isLinkLocalUnicast": lambda one: one.value.is_link_local and not one.value.is_multicast,
    "isGlobalUnicast": _is_global_unicast,
}


@dataclass(frozen=True, slots=True)
class CIDR(_Methods):
    address: Address
    network: Network
    type_name = "net.CIDR"


def parse_cidr(text: Any) -> CIDR:
    if not isinstance(text, str):
        raise no_overload(f"cidr({type_name(text)})")
    address, slash, length = text.partition("/")
    if not slash or not length.isdigit() or (len(length) > 1 and length.startswith("0")):
        raise CelError("network address parse error during conversion from string")
    try:
        return CIDR(parse_ip(address).value, ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise CelError("network address parse error during conversion from string") from None


def _contains_ip(one: CIDR, other: Any) -> bool:
    address = parse_ip(other).value if isinstance(other, str) else other.value
    return address.version == one.network.version and address in one.network


def _contains_cidr(one: CIDR, other: Any) -> bool:
    network = (parse_cidr(other) if isinstance(other, str) else other).network
    return (
        network.version == one.network.version
        and network.prefixlen >= one.network.prefixlen
        and network.network_address in one.network
    )


def _cidr_text(one: CIDR) -> str:
    return f"{one.address}/{one.network.prefixlen}"


CIDR.methods = {
    "string": _cidr_text,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "ip": lambda one: IP(one.address),
    "masked": lambda one: CIDR(one.network.network_address, one.network),
    "prefixLength": lambda one: one.network.prefixlen,
}


# -- URLs ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class URL(_Methods):
    text: str
    parts: SplitResult
    type_name = "kubernetes.URL"


def parse_url(text: Any) -> URL:
    if not isinstance(text, str):
        raise no_overload(f"url({type_name(text)})")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises for a bad one
    except ValueError as error:
        raise CelError(f"URL parse error during conversion from string: {error}") from None
    absolute = bool(parts.scheme) or text.startswith("/")
    if not absolute or any(ord(one) <= 32 or ord(one) == 127 for one in text):
        raise CelError(f"URL parse error during conversion from string: {text!r}")
    return URL(text, parts)


def _hostname(one: URL) -> str:
    host = one.parts.netloc.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


URL.methods = {
    "string": lambda one: one.text,
    "getScheme": lambda one: one.parts.scheme,
    "getHost": lambda one: one.parts.netloc.rpartition("@")[2],
    "getHostname": _hostname,
    "getPort": lambda one: "" if one.parts.port is None else str(one.parts.port),
    "getEscapedPath": lambda one: one.parts.path,
    "getQuery": lambda one: parse_qs(one.parts.query, keep_blank_values=True),
}


# -- formats ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format(_Methods):
    name: str
    type_name = "kubernetes.NamedFormat"


def _prefixed(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda text: check(with_trailing_dash_masked(text))


def _by(check: Callable[[str], bool], message: str) -> Callable[[str], list[str]]:
    return lambda text: [] if check(text) else [message]


_FORMATS: Mapping[str, Callable[[str], list[str]]] = {
    "dns1123Label": dns1123_label,
    "dns1123Subdomain": dns1123_subdomain,
    "dns1035Label": dns1035_label,
    "qualifiedName": qualified_name,
    "dns1123LabelPrefix": _prefixed(dns1123_label),
    "dns1123SubdomainPrefix": _prefixed(dns1123_subdomain),
    "dns1035LabelPrefix": _prefixed(dns1035_label),
    "labelValue": label_value,
    "uri": _by(is_uri, "invalid URI"),
    "uuid": _by(
        lambda text: (
            re.fullmatch(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None
        ),
        "does not match the UUID format",
    ),
    "byte": _by(is_base64, "invalid base64"),
    "date": _by(is_date, "invalid date"),
    "datetime": _by(is_date_time, "invalid datetime"),
}


def _validate_format(one: Format, text: str) -> Optional:
    messages = _FORMATS[one.name](text)
    return Optional(True, messages) if messages else NONE


Format.methods = {"validate": _validate_format, "string": lambda one: one.name}


def _named_format(name: str) -> Optional:
    return Optional(True, Format(name)) if name in _FORMATS else NONE


def _format_of(name: str) -> Callable[[], Format]:
    return lambda: Format(name)


# -- versions --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Semver(_Methods):
    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...]
    text: str
    type_name = "kubernetes.Semver"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self.order() == other.order()

    def __hash__(self) -> int:
        return hash(self.order())

    def order(self) -> tuple[Any, ...]:
        """A key that sorts as versions do: a pre-release before its release."""
        parts = tuple(
            (0, int(one), "") if one.isdigit() else (1, 0, one) for one in self.prerelease
        )
        return (*self.numbers, not self.prerelease, parts)


def parse_semver(text: Any, normalize: bool = False) -> Semver:
    if not isinstance(text, str):
        raise no_overload(f"semver({type_name(text)})")
    given = text
    if normalize:
        text = text.removeprefix("v")
        core, sep, rest = _split_core(text)
        numbers = [one.lstrip("0") or "0" for one in core.split(".")]
        text = ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + sep + rest
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise CelError(f"invalid semantic version {given!r}")
    prerelease = tuple(match[4].split(".")) if match[4] else ()
    return Semver((int(match[1]), int(match[2]), int(match[3])), prerelease, text)


def _split_core(text: str) -> tuple[str, str, str]:
    for place, one in enumerate(text):
        if one in "-+":
            return text[:place], one, text[place + 1 :]
    return text, "", ""


def _compare_semver(one: Semver, other: Semver) -> int:
    return (one.order() > other.order()) - (one.order() < other.order())


Semver.methods = {
    "string": lambda one: one.text,
    "major": lambda one: one.numbers[0],
    "minor": lambda one: one.numbers[1],
    "patch": lambda one: one.numbers[2],
    "isLessThan": lambda one, other: one.order() < other.order(),
    "isGreaterThan": lambda one, other: one.order() > other.order(),
    "compareTo": _compare_semver,
}


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "quantity": parse_quantity,
    "isQuantity": _valid(parse_quantity),
    "ip": parse_ip,
    "isIP": _valid(parse_ip),
    "ip.isCanonical": _is_canonical,
    "cidr": parse_cidr,
    "isCIDR": _valid(parse_cidr),
    "url": parse_url,
    "isURL": _valid(parse_url),
    "semver": parse_semver,
    "isSemver": _valid(parse_semver),
    "format.named": _named_format,
    **{f"format.{name}": _format_of(name) for name in _FORMATS},
}

OPAQUE_METHODS = frozenset(
    name for value in (Quantity, IP, CIDR, URL, Format, Semver) for name in value.methods
)
"""What may be asked of the values of this library, whichever it is."""
