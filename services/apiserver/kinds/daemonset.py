"""DaemonSet.

Source: kube-apiserver v1.36.2, pkg/registry/apps/daemonset/strategy.go,
pkg/apis/apps/v1/{defaults,conversion}.go, pkg/apis/apps/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from services.apiserver.errors import BadRequest, Cause
from services.apiserver.kinds.podowners import (
    PodOwnerStatus,
    PodOwnerStrategy,
    at_most_100_percent,
    non_negative,
    number_or_percent,
    plain_number,
    validate_restarts_always,
    validate_template_labels,
)
from services.apiserver.kinds.podspec.spec import validate_template
from services.apiserver.registry.strategy import (
    Object,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation import field
from services.apiserver.validation.metadata import validate_label_selector

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


class DaemonSetStrategy(PodOwnerStrategy):
    counters = (
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
    )

    def default(self, obj: Object) -> None:
        text = obj["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "0")
        if not _INTEGER.fullmatch(text):
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("revisionHistoryLimit", 10)
        strategy = spec.setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        super().prepare_for_create(ctx, obj)
        _set_template_generation(obj, max(_template_generation(obj), 1))

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        moved = obj["spec"]["template"] != old["spec"]["template"]
        _set_template_generation(obj, _template_generation(old) + moved)

    def validate_spec(self, spec: Object, old: Object | None) -> Iterator[Cause]:
        return _validate_spec(spec, old)

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": DaemonSetStatus(self)}


class DaemonSetStatus(PodOwnerStatus):
    numbers = (
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    )

    def prepare_for_update(self, ctx: WriteContext, obj: Object, old: Object) -> None:
        super().prepare_for_update(ctx, obj, old)
        _set_template_generation(obj, _template_generation(old))


def _template_generation(obj: Object) -> int:
    return int(obj["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, 0))


def _set_template_generation(obj: Object, number: int) -> None:
    obj["metadata"].setdefault("annotations", {})[TEMPLATE_GENERATION] = str(number)


def _validate_spec(spec: Object, old: Object | None = None) -> Iterator[Cause]:
    selector, template = spec.get("selector"), spec["template"]
    errors = validate_label_selector(selector, "spec.selector")
    yield from errors
    if not errors:
        yield from validate_template_labels(spec)
    if (
        selector is not None
        and not selector.get("matchLabels")
        and not selector.get("matchExpressions")
    ):
        yield field.invalid("spec.selector", selector, "empty selector is invalid for daemonset")
    if old is None or template != old["template"]:
        yield from validate_template(template, "spec.template")
    yield from validate_restarts_always(template["spec"], "DaemonSet")
    yield from non_negative(spec, "spec", "minReadySeconds")
    yield from _validate_strategy(spec["updateStrategy"])
    yield from non_negative(spec, "spec", "revisionHistoryLimit")


def _validate_strategy(strategy: Object) -> Iterator[Cause]:
    if strategy["type"] == "OnDelete":
        return
    if strategy["type"] != "RollingUpdate":
        yield field.not_supported("spec.updateStrategy", strategy, ("RollingUpdate", "OnDelete"))
        return
    path = "spec.updateStrategy.rollingUpdate"
    rolling = strategy["rollingUpdate"]
    for check in (number_or_percent, at_most_100_percent):
        for name in ("maxUnavailable", "maxSurge"):
            yield from check(rolling[name], f"{path}.{name}")
    unavailable, surge = plain_number(rolling["maxUnavailable"]), plain_number(rolling["maxSurge"])
    if unavailable and surge:
        yield field.invalid(
            f"{path}.maxSurge",
            rolling["maxSurge"],
            "may not be set when maxUnavailable is non-zero",
        )
    elif not unavailable and not surge:
        yield field.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")
