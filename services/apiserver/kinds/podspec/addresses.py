"""Addresses in pods beyond the rules for one address.

Source: kube-apiserver v1.36.2, pkg/apis/core/validation/validation.go (the addresses of a pod's
status);
apimachinery/pkg/util/validation/ip.go (GetWarningsForIP).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.validation import field
from services.apiserver.validation.addresses import parse_address


def validate_pair(addresses: list[dict[str, Any]], path: str) -> Iterator[Cause]:
    """Check that there is at most one address of each family."""
    if len(addresses) < 2:
        return
    versions = {parsed.version for one in addresses if (parsed := parse_address(one.get("ip", "")))}
    if len(addresses) > 2 or len(versions) != 2:
        yield field.invalid(path, addresses, "may specify no more than one IP for each IP family")


def address_warnings(text: str, path: str) -> Iterator[str]:
    """Yield a warning for an address that is valid but not in its usual form."""
    address = parse_address(text)
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
