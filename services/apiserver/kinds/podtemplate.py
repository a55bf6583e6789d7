"""PodTemplate.

Source: kube-apiserver v1.36.2, pkg/registry/core/podtemplate/strategy.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.kinds.podspec import defaults, prepare
from services.apiserver.kinds.podspec.spec import validate_template
from services.apiserver.kinds.podspec.warnings import spec_warnings
from services.apiserver.registry.strategy import Object, Strategy, WriteContext


class PodTemplateStrategy(Strategy):
    has_generation = True
    returns_deleted_object = True

    def default(self, obj: Object) -> None:
        defaults.default_template(obj.setdefault("template", {}))

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        prepare.drop_disabled_fields(obj["template"]["spec"])

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        prepare.drop_disabled_fields(obj["template"]["spec"])
        super().prepare_for_update(ctx, obj, old)

    def generation_moves(self, obj: Object, old: Object) -> bool:
        return bool(obj["template"] != old["template"])

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(validate_template(obj["template"], "template"))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if obj["template"] == old["template"]:
            return []
        return list(validate_template(obj["template"], "template"))

    def warn_on_create(self, ctx: WriteContext, obj: Object) -> list[str]:
        template = obj["template"]
        return list(spec_warnings(template["metadata"], template["spec"], "template"))

    def warn_on_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[str]:
        return self.warn_on_create(ctx, obj) if self.generation_moves(obj, old) else []
