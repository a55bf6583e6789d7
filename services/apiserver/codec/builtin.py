"""Codecs of the built-in kinds, found by group, version and kind."""

from __future__ import annotations

from functools import cache
from typing import Any

from services.apiserver.codec.facts import META, definitions
from services.apiserver.codec.mismatch import Mismatch
from services.apiserver.codec.protocol import FIRST_FIELDS, DecodeError, FieldReport, Object
from services.apiserver.codec.typed import decoder_for, zero_of
from services.apiserver.codec.unknownfields import unknown_paths

_PACKAGES = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "meta.k8s.io": "io.k8s.apimachinery.pkg.apis.meta",
} | {
    group: f"io.k8s.api.{group.partition('.')[0]}"
    for group in (
        "admission.k8s.io",
        "admissionregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    )
}


class UnknownKindError(LookupError):
    """No built-in kind has this group, version and kind."""


class TypedCodec:
    """The codec of a kind whose Go type is known. Source: see typed.py."""

    def __init__(self, group: str, version: str, kind: str, definition: str) -> None:
        self.group = group
        self.version = version
        self.kind = kind
        self.definition = definition
        """The OpenAPI name of the kind's Go type."""
        self._decode = decoder_for(definition)

    def __repr__(self) -> str:
        return f"<TypedCodec {self.group}/{self.version} {self.kind}>"

    def decode(self, value: Any, *, report: FieldReport | None = None) -> Object:
        """See Codec.decode."""
        if value is None:
            value = {}
        unknown: list[str] = []
        try:
            decoded: Object = self._decode(value, unknown)
        except Mismatch as mismatch:
            raise self.refuse(mismatch.text()) from None
        except RecursionError:
            raise self.refuse("exceeded max depth") from None
        if unknown and report is not None:
            for path in unknown_paths(self.definition, value):
                report.add(f'unknown field "{path}"')
        return in_order(decoded)

    def empty(self) -> Object:
        """See Codec.empty."""
        zero: Object = zero_of(self.definition)
        return zero

    def refuse(self, detail: str) -> DecodeError:
        """See Codec.refuse."""
        return DecodeError(
            f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {detail}',
            detail,
        )


def definition_of(group: str, version: str, kind: str) -> str:
    """Return the OpenAPI name of a built-in kind; meta kinds (Status, DeleteOptions) belong to
    every group.

    Raises:
        UnknownKindError: there is none.
    """
    package = _PACKAGES.get(group)
    if package is not None:
        definition = f"{package}.{version}.{kind}"
        if definition in definitions():
            return definition
        definition = f"{META}.{kind}"
        if definition in definitions():
            return definition
    raise UnknownKindError(f"no kind {kind!r} in {group}/{version}")


@cache
def _codec_of(group: str, version: str, kind: str) -> TypedCodec:
    return TypedCodec(group, version, kind, definition_of(group, version, kind))


def codec_for(group: str, version: str, kind: str) -> TypedCodec:
    """Return the codec of a built-in kind; the same one every time.

    Raises:
        UnknownKindError: there is none.
    """
    return _codec_of(group, version, kind)


def in_order(decoded: Object) -> Object:
    """Put kind, apiVersion and metadata first, as kube-apiserver prints them."""
    out: Object = {}
    for name in FIRST_FIELDS:
        if name in decoded:
            out[name] = decoded[name]
    out.update(decoded)
    return out
