"""HorizontalPodAutoscaler, in its storage version autoscaling/v2.

Source: kube-apiserver v1.36.2, pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go,
pkg/apis/autoscaling/v2/defaults.go, pkg/apis/autoscaling/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from services.apiserver.errors import Cause
from services.apiserver.kinds.podowners import fill, non_negative
from services.apiserver.kinds.podspec.resources import validate_container_resource_name
from services.apiserver.registry.strategy import (
    Object,
    StatusSubresource,
    Strategy,
    UpdateSubresource,
    WriteContext,
)
from services.apiserver.validation import field, names
from services.apiserver.values.quantity import parse

MAX_PERIOD_S = 1800
MAX_STABILIZATION_S = 3600
DEFAULT_UTILIZATION = 80
_SELECT_POLICIES = ("Disabled", "Max", "Min")
_POLICY_TYPES = ("Percent", "Pods")
_TARGET_TYPES = ("Utilization", "Value", "AverageValue")
_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}


def cpu_metric(utilization: int) -> Object:
    return {
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": utilization},
        },
    }


class HorizontalPodAutoscalerStrategy(Strategy):
    has_status = True

    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            spec["metrics"] = [cpu_metric(DEFAULT_UTILIZATION)]
        behavior = spec.get("behavior")
        if behavior is not None:
            fill(
                behavior.setdefault("scaleUp", {}),
                (
                    ("stabilizationWindowSeconds", 0),
                    ("selectPolicy", "Max"),
                    ("policies", [_policy("Pods", 4), _policy("Percent", 100)]),
                ),
            )
            fill(
                behavior.setdefault("scaleDown", {}),
                (("selectPolicy", "Max"), ("policies", [_policy("Percent", 100)])),
            )

    def prepare_for_create(self, ctx: WriteContext, obj: Object) -> None:
        obj["status"] = {"currentMetrics": None, "desiredReplicas": 0}

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        return list(_validate_spec(obj["spec"], None))

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        if obj["spec"] == old["spec"]:
            return []
        return list(_validate_spec(obj["spec"], old["spec"]))

    def subresources(self) -> Mapping[str, UpdateSubresource]:
        return {"status": HorizontalPodAutoscalerStatus(self)}


class HorizontalPodAutoscalerStatus(StatusSubresource):
    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        status = obj.get("status", {})
        return list(non_negative(status, "status", "currentReplicas", "desiredReplicas"))


def _policy(kind: str, value: int) -> Object:
    return {"type": kind, "value": value, "periodSeconds": 15}


def _validate_spec(spec: Object, old: Object | None) -> Iterator[Cause]:
    least = 0 if old is not None and old.get("minReplicas") == 0 else 1
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if low < least:
        yield field.invalid("spec.minReplicas", low, f"must be greater than or equal to {least}")
    if high == 0:
        yield field.required("spec.maxReplicas")
    elif high < 1:
        yield field.invalid("spec.maxReplicas", high, "must be greater than 0")
    if high < low:
        yield field.invalid(
            "spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"
        )
    yield from _scale_target(spec.get("scaleTargetRef", {}), old)
    metrics = spec.get("metrics") or ()
    good_before = old is None or not any(
        list(_api_version(metric["object"].get("describedObject", {}), "", core=True))
        for metric in old.get("metrics") or ()
        if metric.get("type") == "Object" and "object" in metric
    )
    for number, metric in enumerate(metrics):
        yield from _metric(metric, f"spec.metrics[{number}]", check_versions=good_before)
    if low == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        yield field.forbidden(
            "spec.metrics",
            "must specify at least one Object or External metric to support scaling to zero"
            " replicas",
        )
    for name in ("scaleUp", "scaleDown"):
        rules = spec.get("behavior", {}).get(name)
        if rules is not None:
            yield from _rules(rules, f"spec.behavior.{name}")


def _scale_target(target: Object, old: Object | None) -> Iterator[Cause]:
    path = "spec.scaleTargetRef"
    yield from _reference(target, path)
    if old is not None:
        before = old.get("scaleTargetRef", {})
        if all(before.get(name) == target.get(name) for name in ("apiVersion", "kind")):
            return
    core = target.get("kind") == "ReplicationController"
    yield from _api_version(target, f"{path}.apiVersion", core=core)


def _reference(reference: Object, path: str) -> Iterator[Cause]:
    for name in ("kind", "name"):
        yield from _segment(reference.get(name, ""), f"{path}.{name}")


def _segment(value: str, path: str, detail: str = "") -> Iterator[Cause]:
    if not value:
        yield field.required(path, detail)
    for message in names.path_segment(value):
        yield field.invalid(path, value, message)


def _api_version(reference: Object, path: str, *, core: bool) -> Iterator[Cause]:
    """Check a reference's apiVersion; `core`: it may be one without a group."""
    value = reference.get("apiVersion", "")
    if value.count("/") > 1:
        yield field.invalid(path, value, f"unexpected GroupVersion string: {value}")
    elif not core and not value.partition("/")[0 if "/" in value else 1]:
        yield field.invalid(path, value, "apiVersion must specify API group")


def _rules(rules: Object, path: str) -> Iterator[Cause]:
    window = rules.get("stabilizationWindowSeconds", 0)
    if window < 0:
        yield field.invalid(
            f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"
        )
    if window > MAX_STABILIZATION_S:
        yield field.invalid(
            f"{path}.stabilizationWindowSeconds",
            window,
            f"must be less than or equal to {MAX_STABILIZATION_S}",
        )
    select = rules.get("selectPolicy", "Max")
    if select not in _SELECT_POLICIES:
        yield field.not_supported(f"{path}.selectPolicy", select, _SELECT_POLICIES)
    if not rules.get("policies"):
        yield field.required(f"{path}.policies", "must specify at least one Policy")
    for number, policy in enumerate(rules.get("policies") or ()):
        at = f"{path}.policies[{number}]"
        kind, value = policy.get("type", ""), policy.get("value", 0)
        period = policy.get("periodSeconds", 0)
        if kind not in _POLICY_TYPES:
            yield field.not_supported(f"{at}.type", kind, _POLICY_TYPES)
        if value <= 0:
            yield field.invalid(f"{at}.value", value, "must be greater than zero")
        if period <= 0:
            yield field.invalid(f"{at}.periodSeconds", period, "must be greater than zero")
        if period > MAX_PERIOD_S:
            yield field.invalid(
                f"{at}.periodSeconds", period, f"must be less than or equal to {MAX_PERIOD_S}"
            )
    tolerance = rules.get("tolerance")
    if tolerance is not None and parse(tolerance).sign < 0:
        yield field.invalid(f"{path}.tolerance", tolerance, "must be greater than or equal to 0")


def _metric(metric: Object, path: str, *, check_versions: bool) -> Iterator[Cause]:
    kind = metric.get("type", "")
    if not kind:
        yield field.required(f"{path}.type", "must specify a metric source type")
    if kind not in _SOURCES:
        yield field.not_supported(f"{path}.type", kind, tuple(_SOURCES))
    present = [name for name in _CHECKS if name in metric]
    if present:
        name = present[0]
        yield from _CHECKS[name](metric[name], f"{path}.{name}", check_versions)
    expected = _SOURCES.get(kind)
    if expected is None:
        yield field.not_supported(f"{path}.type", kind, tuple(_SOURCES))
    elif expected not in metric:
        yield field.required(
            f"{path}.{expected}", "must populate information for the given metric source"
        )
    if len(present) > 1:
        for name in present:
            if name != expected:
                yield field.forbidden(
                    f"{path}.{name}", "must populate the given metric source only"
                )


def _object(source: Object, path: str, check_version: bool) -> Iterator[Cause]:
    target, described = source.get("target", {}), source.get("describedObject", {})
    yield from _reference(described, f"{path}.describedObject")
    if check_version:
        yield from _api_version(described, f"{path}.describedObject.apiVersion", core=True)
    yield from _identifier(source, path)
    yield from _target(target, f"{path}.target")
    if "value" not in target and "averageValue" not in target:
        yield field.required(
            f"{path}.target.averageValue", "must set either a target value or averageValue"
        )


def _external(source: Object, path: str, _: bool) -> Iterator[Cause]:
    target = source.get("target", {})
    yield from _identifier(source, path)
    yield from _target(target, f"{path}.target")
    given = [name for name in ("value", "averageValue") if name in target]
    if not given:
        yield field.required(
            f"{path}.target.averageValue",
            "must set either a target value for metric or a per-pod target",
        )
    if len(given) == 2:
        yield field.forbidden(
            f"{path}.target.value",
            "may not set both a target value for metric and a per-pod target",
        )


def _pods(source: Object, path: str, _: bool) -> Iterator[Cause]:
    target = source.get("target", {})
    yield from _identifier(source, path)
    yield from _target(target, f"{path}.target")
    if "averageValue" not in target:
        yield field.required(
            f"{path}.target.averageValue", "must specify a positive target averageValue"
        )


def _resource(source: Object, path: str, _: bool) -> Iterator[Cause]:
    if not source.get("name"):
        yield field.required(f"{path}.name", "must specify a resource name")
    yield from _utilization(source.get("target", {}), f"{path}.target")


def _container_resource(source: Object, path: str, _: bool) -> Iterator[Cause]:
    name, container = source.get("name", ""), source.get("container", "")
    if not name:
        yield field.required(f"{path}.name", "must specify a resource name")
    else:
        yield from validate_container_resource_name(name, f"{path}.name")
    if not container:
        yield field.required(f"{path}.container", "must specify a container")
    else:
        for message in names.dns1123_label(container):
            yield field.invalid(f"{path}.container", container, message)
    yield from _utilization(source.get("target", {}), f"{path}.target")


_CHECKS: dict[str, Callable[[Object, str, bool], Iterator[Cause]]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}
"""The checks of the sources, in the order in which the first one present is looked for; they
take the source, its path, and whether apiVersions are to be checked."""


def _identifier(source: Object, path: str) -> Iterator[Cause]:
    name = source.get("metric", {}).get("name", "")
    yield from _segment(name, f"{path}.metric.name", "must specify a metric name")


def _utilization(target: Object, path: str) -> Iterator[Cause]:
    yield from _target(target, path)
    given = [name for name in ("averageUtilization", "averageValue") if name in target]
    if not given:
        yield field.required(
            f"{path}.averageUtilization",
            "must set either a target raw value or a target utilization",
        )
    if len(given) == 2:
        yield field.forbidden(
            f"{path}.averageValue",
            "may not set both a target raw value and a target utilization",
        )


def _target(target: Object, path: str) -> Iterator[Cause]:
    kind = target.get("type", "")
    if not kind:
        yield field.required(f"{path}.type", "must specify a metric target type")
    if kind not in _TARGET_TYPES:
        yield field.invalid(
            f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"
        )
    for name in ("value", "averageValue"):
        if name in target and parse(target[name]).sign <= 0:
            yield field.invalid(f"{path}.{name}", target[name], "must be positive")
    utilization = target.get("averageUtilization", 1)
    if utilization < 1:
        yield field.invalid(f"{path}.averageUtilization", utilization, "must be greater than 0")
