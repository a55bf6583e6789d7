"""CustomResourceStrategy: the rules of a custom resource in one version.

Source: kube-apiserver v1.36.2,
apiextensions-apiserver/pkg/registry/customresource/{strategy,status_strategy,validator}.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.apiserver.codec.protocol import Object
from services.apiserver.customresources.correlation import ABSENT
from services.apiserver.customresources.defaulting import set_defaults
from services.apiserver.customresources.definition import Version
from services.apiserver.customresources.embedded import validate_embedded
from services.apiserver.customresources.listtypes import validate_list_types
from services.apiserver.customresources.rules import check_rules
from services.apiserver.customresources.scale import CustomScale, validate_scale_fields
from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import (
    Strategy,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation.metadata import STANDARD_FINALIZERS

BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
"""Rules are not evaluated on objects with such errors: their expressions rely on the schema."""
RULES_NOT_CHECKED = Cause(
    "FieldValueInvalid",
    "<nil>: Invalid value: null: some validation rules were not checked because the object was "
    "invalid; correct the existing errors to complete validation",
    "<nil>",
)


class CustomResourceStrategy(Strategy):
    """What one version of a definition says of its objects."""

    has_generation = True
    unconditional_update = False
    standard_finalizers_only = False

    def __init__(self, version: Version) -> None:
        self._schema = version.schema
        self.has_status = version.has_status
        self._scale_paths = version.scale
        self.scale = None if version.scale is None else CustomScale(version.scale)

    def default(self, obj: Object) -> None:
        set_defaults(obj, self._schema.structural)

    def generation_moves(self, obj: Object, old: Object) -> bool:
        """Any change beside the metadata; prepare_for_update has settled the status."""
        return {**obj, "metadata": None} != {**old, "metadata": None}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        causes = self._validate_schema(obj, ABSENT)
        causes += validate_list_types(obj, self._schema.structural)
        return causes + self._validate_rules(ctx, obj, ABSENT, causes)

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        return [
            f'metadata.finalizers: "{one}": prefer a domain-qualified finalizer name including a '
            "path (/) to avoid accidental conflicts with other finalizer writers"
            for one in obj["metadata"].get("finalizers") or ()
            if "/" not in one and one not in STANDARD_FINALIZERS
        ]

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        known = old["metadata"].get("finalizers") or ()
        if all(one in known for one in obj["metadata"].get("finalizers") or ()):
            return []
        return self.warn_on_create(ctx, obj)

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        causes = self._validate_schema(obj, old)
        duplicates = list(validate_list_types(obj, self._schema.structural))
        if duplicates and not any(validate_list_types(old, self._schema.structural)):
            causes += duplicates
        return causes + self._validate_rules(ctx, obj, old, causes)

    def _validate_schema(self, obj: Object, old: object) -> list[Cause]:
        causes = self._schema.validator.validate(obj, old)
        if self._scale_paths is not None:
            causes += validate_scale_fields(obj, self._scale_paths)
        return causes + validate_embedded(obj, self._schema.structural)

    def _validate_rules(
        self, ctx: WriteContext, obj: Object, old: object, causes: list[Cause]
    ) -> list[Cause]:
        """Return the broken rules; one that was broken before, by the same value, only warns."""
        if not self._schema.structural.has_rules:
            return []
        if any(cause.reason in BLOCKING for cause in causes):
            return [RULES_NOT_CHECKED]
        found = check_rules(self._schema.rules, obj, old)
        ctx.warnings += [one.cause.message for one in found if one.ratcheted]
        return [one.cause for one in found if not one.ratcheted]

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": CustomStatus(self)} if self.has_status else {}


class CustomStatus(UpdateSubresource):
    """/status of a custom resource: nothing else changes, metadata neither."""

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        managed_fields = obj["metadata"].get("managedFields")
        for name in [name for name in obj if name != "status"]:
            del obj[name]
        for name, value in old.items():
            if name != "status":
                obj[name] = value
        obj["metadata"] = {**old["metadata"]}
        if managed_fields is not None:
            obj["metadata"]["managedFields"] = managed_fields

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        return self.strategy.validate_update(ctx, obj, old)

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return self.strategy.warn_on_update(ctx, obj, old)
