"""StructuralCodec: bodies → custom resources, by a version's structural schema.

Source: kube-apiserver v1.36.2, apiextensions-apiserver/pkg/apiserver/customresource_handler.go
(unstructuredSchemaCoercer, unstructuredDefaulter).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from services.apiserver.codec.builtin import in_order
from services.apiserver.codec.protocol import DecodeError, FieldReport, Object
from services.apiserver.customresources.defaulting import set_defaults
from services.apiserver.customresources.embedded import (
    MalformedMetadata,
    coerce_embedded,
    coerced_metadata,
)
from services.apiserver.customresources.pruning import drop_nulls, fits, prune
from services.apiserver.customresources.structural import Structural
from services.apiserver.customresources.versionschema import VersionSchema

_LEAST_INT, _ABOVE_INT = -(2**63), 2**63
_ABOVE_PRINTABLE = 2**64
_EXACT = 2.0**53
_AS_THEY_ARE = frozenset({str, bool, type(None)})


class StructuralCodec:
    """The codec of a custom resource in one version."""

    def __init__(self, group: str, version: str, kind: str, schema: VersionSchema) -> None:
        self.group = group
        self.version = version
        self.kind = kind
        self._schema = schema

    def __repr__(self) -> str:
        return f"<StructuralCodec {self.group}/{self.version} {self.kind}>"

    @property
    def structural(self) -> Structural:
        """The schema's structure: what is a set, a keyed list, an atomic value."""
        return self._schema.structural

    def decode(self, value: Any, *, report: FieldReport | None = None) -> Object:
        """See Codec.decode. Defaults are not set here."""
        if not isinstance(value, dict):
            if value is not None:
                raise self.refuse("json: cannot unmarshal the body into an object")
            value = {}
        try:
            obj: Object = copied(value)
            unknown: list[str] | None = None if report is None else []
            if not fits(obj, self._schema.structural, is_resource=True):
                prune(obj, self._schema.structural, unknown)
                drop_nulls(obj, self._schema.structural)
            coerce_embedded(obj, self._schema.structural, unknown)
            if "metadata" in obj:
                meta = coerced_metadata(obj["metadata"], "metadata", unknown)
                if meta is None:
                    del obj["metadata"]
                else:
                    obj["metadata"] = meta
        except MalformedMetadata as error:
            raise self.refuse(str(error)) from None
        except RecursionError:
            raise self.refuse("exceeded max depth") from None
        if report is not None and unknown:
            for path in unknown:
                report.add(f'unknown field "{path}"')
        return in_order(obj)

    def read(self, stored: Object) -> None:
        """Make a stored object what it would be if it were written now, in place.

        The schema may have changed since: unspecified fields go, defaults come. What does not
        fit is dropped, for what is stored must be readable.
        """
        if not fits(stored, self._schema.structural, is_resource=True):
            prune(stored, self._schema.structural)
            drop_nulls(stored, self._schema.structural)
        coerce_embedded(stored, self._schema.structural, drop_malformed=True)
        set_defaults(stored, self._schema.structural)
        meta = stored["metadata"]
        if not meta.get("generation"):
            meta["generation"] = 1

    def fit(self, converted: Object) -> None:
        """Prune an object that was converted from another version, in place."""
        if not fits(converted, self._schema.structural, is_resource=True):
            prune(converted, self._schema.structural)
            drop_nulls(converted, self._schema.structural)
        coerce_embedded(converted, self._schema.structural, drop_malformed=True)

    def empty(self) -> Object:
        """See Codec.empty."""
        return {}

    def refuse(self, detail: str) -> DecodeError:
        """See Codec.refuse."""
        return DecodeError(
            f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {detail}',
            detail,
        )


def copied(value: Any) -> Any:
    """Return a deep copy with numbers as Go keeps and prints them.

    Go reads integers beyond 64 bits as floats, and prints whole floats without a fraction.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is dict:
        return {
            name: item if type(item) in _AS_THEY_ARE else copied(item)
            for name, item in value.items()
        }
    if kind is list:
        return [item if type(item) in _AS_THEY_ARE else copied(item) for item in value]
    if kind is float or not _LEAST_INT <= value < _ABOVE_INT:
        number = float(value)
        if not number.is_integer() or abs(number) >= 2.0**64:
            return number
        # Go prints the fewest digits that tell the float, and zeros behind them.
        whole = int(number) if abs(number) <= _EXACT else int(Decimal(repr(number)))
        return whole if _LEAST_INT <= whole < _ABOVE_PRINTABLE else number
    return value
