"""Rules and subresources that several families of platform kinds share.

Source: kube-apiserver v1.36.2, apimachinery/pkg/util/validation/validation.go,
apimachinery/pkg/api/validation/objectmeta.go, apimachinery/pkg/apis/meta/v1/helpers.go
(ResetObjectMetaForStatus), pkg/util/validation (GetWarningsForIP, GetWarningsForCIDR).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec.warnings import selector_term_warnings
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    WriteContext,
    keep,
)
from services.apiserver.validation.addresses import parse_address, parse_cidr
from services.apiserver.validation.field import invalid, required
from services.apiserver.validation.metadata import (
    IMMUTABLE,
    NameRule,
    validate_metadata_create,
)
from services.apiserver.validation.names import dns1123_label, dns1123_subdomain, http_path

STATUS_KEEPS = (
    "deletionTimestamp",
    "generation",
    "selfLink",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
)


class MetadataKeepingStatus(StatusSubresource):
    """A /status that leaves labels, annotations and the other client metadata as they are."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        keep(obj["metadata"], old["metadata"], *STATUS_KEEPS)


def metadata_again(strategy: Strategy, obj: Object, old: Object) -> list[Cause]:
    """Check the metadata as on creation once more: kinds that validate the whole on update."""
    if obj["metadata"] == old["metadata"]:
        return []
    return validate_metadata_create(
        obj,
        namespaced="namespace" in old["metadata"],
        validate_name=strategy.validate_name,
    )


def follows(path: str, value: str, rule: NameRule) -> list[Cause]:
    """Return an Invalid cause for each message that `rule` has about `value`."""
    return [invalid(path, value, message) for message in rule(value)]


def required_name(path: str, value: str, rule: NameRule) -> list[Cause]:
    """Check a name that must be there."""
    return follows(path, value, rule) if value else [required(path)]


def immutable(path: str, value: Any, before: Any) -> list[Cause]:
    """Check that a field did not change; empty and absent are the same."""
    same = value == before or (_is_empty(value) and _is_empty(before))
    return [] if same else [invalid(path, value, IMMUTABLE)]


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or value == {}


def domain_prefixed_path(path: str, value: str) -> list[Cause]:
    """Check a name like "acme.io/foo"."""
    if not value:
        return [required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        return [
            invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")'),
        ]
    return follows(path, host, dns1123_subdomain) + follows(path, rest, http_path)


def fully_qualified_domain_name(path: str, value: str) -> list[Cause]:
    """Check a DNS name of at least two labels; a trailing dot is allowed."""
    if not value:
        return [required(path)]
    name = value.removesuffix(".")
    messages = dns1123_subdomain(name)
    if messages:
        return [invalid(path, name, ",".join(messages))]
    labels = name.split(".")
    if len(labels) < 2:
        detail = "should be a domain with at least two segments separated by dots"
        return [invalid(path, name, detail)]
    for label in labels:
        messages = dns1123_label(label)
        if messages:
            return [invalid(path, label, ",".join(messages))]
    return []


def address_warnings(path: str, text: str) -> list[str]:
    """Return the warning about an address that is not written in its canonical form."""
    address = parse_address(text)
    if address is None:
        return []
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            canonical: object = address.ipv4_mapped
        elif str(address) == text:
            return []
        else:
            return [
                f'{path}: IPv6 address "{text}" should be in RFC 5952 canonical format'
                f' ("{address}")'
            ]
    elif str(address) == text:
        return []
    else:
        canonical = address
    return [
        f'{path}: non-standard IP address "{text}" will be considered invalid in a future'
        f' Kubernetes release: use "{canonical}"'
    ]


def cidr_warnings(path: str, text: str) -> list[str]:
    """Return the warning about a CIDR that is not written in its canonical form."""
    parsed = parse_cidr(text)
    if parsed is None:
        return []
    canonical = str(ipaddress.ip_network(parsed, strict=False))
    if canonical == text:
        return []
    if isinstance(parsed[0], ipaddress.IPv6Address) and parsed[0].ipv4_mapped is None:
        return [
            f'{path}: IPv6 CIDR value "{text}" should be in RFC 5952 canonical format'
            f' ("{canonical}")'
        ]
    return [
        f'{path}: non-standard CIDR value "{text}" will be considered invalid in a future'
        f' Kubernetes release: use "{canonical}"'
    ]


def duplicates(values: Sequence[str]) -> list[int]:
    """Return the positions of values that stand earlier in the list too."""
    seen: set[str] = set()
    found = []
    for number, value in enumerate(values):
        if value in seen:
            found.append(number)
        seen.add(value)
    return found


def node_label_warnings(path: str, label: str) -> list[str]:
    """Return the warning about a deprecated node label."""
    warnings = selector_term_warnings({"matchExpressions": [{"key": label}]}, "")
    return [f"{path}: {warning.partition(': ')[2]}" for warning in warnings]


def fully_qualified_name(path: str, value: str) -> list[Cause]:
    """Check a DNS name of at least three labels."""
    if not value:
        return [required(path)]
    messages = dns1123_subdomain(value)
    if messages:
        return [invalid(path, value, ",".join(messages))]
    if value.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [invalid(path, value, detail)]
    return []
