"""ControllerRevision.

Source: kube-apiserver v1.36.2, pkg/registry/apps/controllerrevision/strategy.go,
pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import non_negative
from services.apiserver.registry.strategy import Object, Strategy, WriteContext
from services.apiserver.validation import field
from services.apiserver.validation.metadata import validate_metadata_create
from services.apiserver.validation.names import dns1123_subdomain


class ControllerRevisionStrategy(Strategy):
    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(_validate(obj))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        causes = validate_metadata_create(obj, namespaced=True, validate_name=dns1123_subdomain)
        causes += _validate(obj)
        data, before = obj.get("data"), old.get("data")
        # The text counts: another order of keys is another revision.
        if orjson.dumps(data) != orjson.dumps(before):
            causes.append(field.invalid("data", data, "field is immutable"))
        return causes


def _validate(obj: Object) -> Iterator[Cause]:
    if not isinstance(obj.get("data"), dict):
        yield field.required("data", "data is mandatory")
    yield from non_negative({"revision": obj.get("revision", 0)}, "", "revision")
