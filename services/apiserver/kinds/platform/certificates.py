"""CertificateSigningRequest, its /status (the certificate) and /approval (the conditions).

Who may approve or sign for a signer is admission's affair.
Source: kube-apiserver v1.36.2, pkg/registry/certificates/certificates/strategy.go,
pkg/apis/certificates/validation/validation.go, pkg/apis/core/validation (ValidateSignerName).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import load_der_x509_certificate, load_der_x509_csr

from services.apiserver.errors import Cause
from services.apiserver.kinds.platform.rules import duplicates, metadata_again
from services.apiserver.registry.strategy import (
    Object,
    Strategy,
    StrategyFactory,
    UpdateSubresource,
    WriteContext,
    keep,
)
from services.apiserver.validation.enumerations import KEY_USAGES
from services.apiserver.validation.field import (
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
    too_long,
)
from services.apiserver.validation.names import (
    dns1123_label,
    dns1123_subdomain,
    longer_than,
    path_segment,
)

LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
MIN_EXPIRATION_S = 600
APPROVALS = ("Approved", "Denied")
FINAL_CONDITIONS = ("Approved", "Denied", "Failed")
STATUSES = ("False", "True", "Unknown")
MAX_DOMAIN_BYTES = 253
MAX_PATH_BYTES = 253 + 63 + 1
CALLER_FIELDS = ("username", "uid", "groups", "extra")
_BLOCK = re.compile(
    r"-----BEGIN (?P<type>[^-\n]*)-----[ \t]*\r?\n(?P<headers>(?:[^:\n]+:[^\n]*\n)*)"
    r"(?P<body>[^-]*)-----END (?P=type)-----"
)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What an update may do that others may not."""

    may_approve: bool = False
    may_sign: bool = False


class CertificateSigningRequestStrategy(Strategy):
    has_status = True

    def validate_name(self, name: str) -> list[str]:
        return path_segment(name)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        spec = obj["spec"]
        for name in CALLER_FIELDS:
            spec.pop(name, None)
        user = ctx.user
        told = {
            "username": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": user.extra_as_dict(),
        }
        spec.update({name: value for name, value in told.items() if value})
        obj["status"] = {}

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "spec", "status")

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return _validate_request(obj, None)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return metadata_again(self, obj, old) + _validate_change(obj, old, _Rules())

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": SigningSubresource(self), "approval": ApprovalSubresource(self)}


class SigningSubresource(UpdateSubresource):
    """/status: takes the certificate and conditions other than Approved and Denied."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        keep(obj, old, "spec")
        conditions, before = _conditions(obj), _conditions(old)
        for kind in APPROVALS:
            there = [number for number, one in enumerate(conditions) if one.get("type") == kind]
            kept = [one for one in before if one.get("type") == kind]
            # Added or removed ones stay as sent, for validation to refuse.
            if len(there) == len(kept):
                for number, condition in zip(there, kept, strict=True):
                    conditions[number] = condition
        _fill_times(conditions, before, ctx.now)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        again = metadata_again(self.strategy, obj, old)
        return again + _validate_change(obj, old, _Rules(may_sign=True))


class ApprovalSubresource(UpdateSubresource):
    """/approval: takes the conditions alone."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        conditions = _conditions(obj)
        _fill_times(conditions, _conditions(old), ctx.now)
        keep(obj, old, "spec")
        status = dict(old.get("status") or {})
        status.pop("conditions", None)
        obj["status"] = {"conditions": conditions, **status} if conditions else status

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        again = metadata_again(self.strategy, obj, old)
        return again + _validate_change(obj, old, _Rules(may_approve=True))


def _conditions(obj: Object) -> list[Object]:
    found: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return found


def _fill_times(conditions: list[Object], before: list[Object], now: str) -> None:
    """Set the times that clients left out; a condition that is as it was keeps its own."""
    for condition in conditions:
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now
        if not condition.get("lastTransitionTime"):
            condition["lastTransitionTime"] = next(
                (
                    one["lastTransitionTime"]
                    for one in before
                    if one.get("type") == condition.get("type")
                    and one.get("status") == condition.get("status")
                    and one.get("lastTransitionTime")
                ),
                now,
            )


def _validate_request(obj: Object, old: Object | None) -> list[Cause]:
    """Check the whole object; what was wrong in `old` already may stay."""
    spec, before = obj["spec"], (old or {}).get("spec") or {}
    found: list[Cause] = []
    why = _what_is_wrong_with_request(spec.get("request") or "")
    if why:
        found.append(invalid("spec.request", spec.get("request"), why))
    usages, old_usages = spec.get("usages") or [], before.get("usages") or []
    if not usages:
        found.append(required("spec.usages"))
    if set(old_usages) <= set(KEY_USAGES):
        found += [
            not_supported(index("spec.usages", number), usage, KEY_USAGES)
            for number, usage in enumerate(usages)
            if usage not in KEY_USAGES
        ]
    if not duplicates(old_usages):
        found += [
            duplicate(index("spec.usages", number), usages[number]) for number in duplicates(usages)
        ]
    signer = spec.get("signerName", "")
    if signer == LEGACY_SIGNER and before.get("signerName") != LEGACY_SIGNER:
        detail = "the legacy signerName is not allowed via this API version"
        found.append(invalid("spec.signerName", signer, detail))
    else:
        found += validate_signer_name(signer, "spec.signerName")
    expiration = spec.get("expirationSeconds")
    if expiration is not None and expiration < MIN_EXPIRATION_S:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        found.append(invalid("spec.expirationSeconds", expiration, detail))
    found += _validate_conditions(_conditions(obj), _conditions(old or {}))
    certificate, present = _certificate(obj), _certificate(old or {})
    if certificate != present and not _what_is_wrong_with_certificate(present):
        why = _what_is_wrong_with_certificate(certificate)
        if why:
            found.append(invalid("status.certificate", "<certificate data>", why))
    return found


def _certificate(obj: Object) -> str:
    found: str = (obj.get("status") or {}).get("certificate") or ""
    return found


def _validate_conditions(conditions: list[Object], before: list[Object]) -> list[Cause]:
    path = "status.conditions"
    old_types = [one.get("type", "") for one in before]
    may_be_both = set(APPROVALS) <= set(old_types)
    types = [one.get("type", "") for one in conditions]
    doubled = set() if duplicates(old_types) else set(duplicates(types))
    found: list[Cause] = []
    for number, condition in enumerate(conditions):
        kind, status, at = types[number], condition.get("status", ""), index(path, number)
        if not kind and "" not in old_types:
            found.append(required(child(at, "type")))
        allowed = ("True",) if kind in FINAL_CONDITIONS else STATUSES
        if not status:
            found.append(required(child(at, "status")))
        elif status not in allowed:
            found.append(not_supported(child(at, "status"), status, allowed))
        others = [one for one in APPROVALS if one != kind]
        if kind in APPROVALS and not may_be_both and others[0] in types[:number]:
            detail = "Approved and Denied conditions are mutually exclusive"
            found.append(invalid(path, kind, detail))
        if number in doubled:
            found.append(duplicate(child(at, "type"), kind))
    return found


def _validate_change(obj: Object, old: Object, rules: _Rules) -> list[Cause]:
    found = _validate_request(obj, old)
    path = "status.conditions"
    conditions, before = _conditions(obj), _conditions(old)

    def of(kind: str, among: list[Object]) -> list[Object]:
        return [one for one in among if one.get("type") == kind]

    for kind in FINAL_CONDITIONS:
        if len(of(kind, conditions)) < len(of(kind, before)):
            found.append(forbidden(path, f'updates may not remove a condition of type "{kind}"'))
    if not rules.may_approve:
        for kind in APPROVALS:
            new, present = of(kind, conditions), of(kind, before)
            if len(new) > len(present):
                found.append(forbidden(path, f'updates may not add a condition of type "{kind}"'))
            elif len(new) == len(present) and new != present:
                detail = f'updates may not modify a condition of type "{kind}"'
                found.append(forbidden(path, detail))
    if _certificate(obj) != _certificate(old):
        path = "status.certificate"
        if not rules.may_sign:
            found.append(forbidden(path, "updates may not set certificate content"))
        elif _certificate(old):
            found.append(forbidden(path, "updates may not modify existing certificate content"))
    return found


def validate_signer_name(name: str, path: str) -> list[Cause]:
    """Check a signer's name, like "example.com/signer"."""
    if not name:
        return [required(path)]
    segments = name.split("/")
    if len(segments) != 2:
        return [
            invalid(
                path,
                name,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            )
        ]
    domain, rest = segments
    found: list[Cause] = []
    if longer_than(domain, MAX_DOMAIN_BYTES):
        found.append(too_long(path, MAX_DOMAIN_BYTES))
    labels = domain.split(".")
    for label in labels:
        found += [invalid(path, domain, message) for message in dns1123_label(label)]
    if len(labels) < 2:
        detail = "should be a domain with at least two segments separated by dots"
        found.append(invalid(path, domain, detail))
    for label in rest.split("."):
        found += [invalid(path, rest, message) for message in dns1123_subdomain(label)]
    if longer_than(rest, MAX_PATH_BYTES):
        found.append(too_long(path, MAX_PATH_BYTES))
    if longer_than(name, MAX_DOMAIN_BYTES + MAX_PATH_BYTES + 1):
        found.append(too_long(path, MAX_DOMAIN_BYTES + MAX_PATH_BYTES + 1))
    return found


@dataclass(frozen=True, slots=True)
class _Block:
    type: str
    headers: str
    der: bytes


def _blocks(base64_text: str) -> Iterator[_Block]:
    """Yield the PEM blocks in base64-encoded data; what is none of them is skipped."""
    data = base64.b64decode(base64_text).decode("latin-1")
    for found in _BLOCK.finditer(data):
        try:
            der = base64.b64decode("".join(found["body"].split()), validate=True)
        except ValueError:
            continue
        yield _Block(found["type"], found["headers"], der)


def _what_is_wrong_with_request(base64_text: str) -> str:
    """Return why this is no certificate request with a valid signature; "" if it is one."""
    block = next(_blocks(base64_text), None)
    if block is None or block.type != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        request = load_der_x509_csr(block.der)
        return "" if request.is_signature_valid else "the signature is not valid"
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return str(error) or "not a certificate request"


def _what_is_wrong_with_certificate(base64_text: str) -> str:
    """Return why these are no PEM certificates; "" if they are, or if there is nothing."""
    if not base64_text:
        return ""
    count = 0
    for block in _blocks(base64_text):
        if block.type != "CERTIFICATE":
            return f'only CERTIFICATE PEM blocks are allowed, found "{block.type}"'
        if block.headers:
            return "no PEM block headers are permitted"
        try:
            load_der_x509_certificate(block.der)
        except ValueError as error:
            return str(error) or "not a certificate"
        count += 1
    return "" if count else "must contain at least one CERTIFICATE PEM block"


CERTIFICATE_STRATEGIES: dict[tuple[str, str], StrategyFactory] = {
    ("certificates.k8s.io", "certificatesigningrequests"): CertificateSigningRequestStrategy,
}
