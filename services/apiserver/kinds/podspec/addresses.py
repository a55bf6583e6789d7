"""Addresses as fields of pods accept them.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/validation/ip.go (IsValidIPForLegacyField
with StrictIPCIDRValidation on).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse(text: str) -> Address | None:
    """Parse an address as Go's older parser did: an octet may have leading zeros."""
    if ":" not in text:
        octets = text.split(".")
        if not all(octet.isascii() and octet.isdigit() and len(octet) <= 3 for octet in octets):
            return None
        text = ".".join(str(int(octet)) for octet in octets)
    elif "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def validate_address(text: str, path: str, old: Collection[str] = ()) -> Iterator[Cause]:
    """Check an address; one of the `old` values may stay as it is."""
    if text in old:
        return
    address = parse(text)
    if address is None:
        yield field.invalid(
            path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        )
    elif isinstance(address, ipaddress.IPv4Address):
        if str(address) != text:
            yield field.invalid(path, text, "must not have leading 0s")
    elif address.ipv4_mapped is not None:
        yield field.invalid(path, text, "must not be an IPv4-mapped IPv6 address")


def validate_pair(addresses: list[dict[str, Any]], path: str) -> Iterator[Cause]:
    """Check that there is at most one address of each family."""
    if len(addresses) < 2:
        return
    versions = {parsed.version for one in addresses if (parsed := parse(one.get("ip", "")))}
    if len(addresses) > 2 or len(versions) != 2:
        yield field.invalid(path, addresses, "may specify no more than one IP for each IP family")


def address_warnings(text: str, path: str) -> Iterator[str]:
    """Yield a warning for an address that is valid but not in its usual form."""
    address = parse(text)
    if address is None:
        return
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            if str(address) != text:
                yield (
                    f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format'
                    f' ("{address}")'
                )
            return
        address = address.ipv4_mapped
    if str(address) != text:
        yield (
            f'{path}: non-standard IP address "{text}" will be considered invalid in a future'
            f' Kubernetes release: use "{address}"'
        )
