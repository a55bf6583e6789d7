"""HorizontalPodAutoscaler as autoscaling/v1 shows it.

What v1 has no fields for is kept in annotations: metrics and conditions in v1's form, the
behavior with the names of Go's internal fields.
Source: kube-apiserver v1.36.2, pkg/apis/autoscaling/v1/conversion.go,
pkg/apis/autoscaling/{annotations,helpers}.go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from services.apiserver.codec import DecodeError, codec_for
from services.apiserver.kinds.horizontalpodautoscaler import DEFAULT_UTILIZATION, cpu_metric

Object = dict[str, Any]

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
ANNOTATIONS = (METRICS, CURRENT_METRICS, BEHAVIOR, CONDITIONS)

_SOURCES = ("object", "pods", "resource", "containerResource", "external")
_RULES = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")
_STATUS = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
_HTML = str.maketrans({char: f"\\u{ord(char):04x}" for char in ("<", ">", "&", "\u2028", "\u2029")})


def from_storage(obj: Object) -> Object:
    """Return the v1 form of a stored (v2) object."""
    spec, status = obj.get("spec", {}), obj.get("status", {})
    metrics, current = spec.get("metrics") or [], status.get("currentMetrics") or []
    notes = _without_annotations(obj)
    others = [metric for metric in metrics if _cpu_utilization(metric) is None]
    if others:
        notes[METRICS] = _go_json([_metric_to_v1(metric) for metric in others])
    if current:
        notes[CURRENT_METRICS] = _go_json([_metric_status_to_v1(metric) for metric in current])
    if "behavior" in spec:
        notes[BEHAVIOR] = _go_json(_behavior_to_internal(spec["behavior"]))
    if status.get("conditions"):
        notes[CONDITIONS] = _go_json(
            [_condition_to_v1(condition) for condition in status["conditions"]]
        )
    v1_spec = _picked(spec, ("scaleTargetRef", "minReplicas", "maxReplicas"))
    cpu = next((metric for metric in metrics if _is_cpu(metric)), None)
    utilization = None if cpu is None else _cpu_utilization(cpu)
    if utilization is not None:
        v1_spec["targetCPUUtilizationPercentage"] = utilization
    v1_status = {"currentReplicas": 0, "desiredReplicas": 0, **_picked(status, _STATUS)}
    for metric in current:
        used = metric.get("resource", {}).get("current", {}).get("averageUtilization")
        if _is_cpu(metric) and used is not None:
            v1_status["currentCPUUtilizationPercentage"] = used
    return {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v1",
        "metadata": _with_annotations(obj, notes),
        "spec": v1_spec,
        "status": v1_status,
    }


def to_storage(obj: Object) -> Object:
    """Return the v2 form of a v1 object. Annotations that do not parse are ignored."""
    spec, status = obj.get("spec", {}), obj.get("status", {})
    annotations = obj["metadata"].get("annotations", {})
    metrics = []
    if "targetCPUUtilizationPercentage" in spec:
        metrics = [cpu_metric(spec["targetCPUUtilizationPercentage"])]
    v2_spec = _picked(spec, ("scaleTargetRef", "minReplicas", "maxReplicas"))
    v2_status = {"currentMetrics": None, "desiredReplicas": 0, **_picked(status, _STATUS)}
    if not v2_status.get("currentReplicas"):
        v2_status.pop("currentReplicas", None)
    if "currentCPUUtilizationPercentage" in status:
        used = {
            "averageUtilization": status["currentCPUUtilizationPercentage"],
        }
        v2_status["currentMetrics"] = [
            {"type": "Resource", "resource": {"name": "cpu", "current": used}}
        ]
    if METRICS in annotations:
        known = _decoded(annotations[METRICS], "spec", "metrics", _metric_from_v1)
        metrics = [*(known or ()), *metrics]
    if BEHAVIOR in annotations:
        behavior = _behavior(annotations[BEHAVIOR])
        if behavior is not None:
            v2_spec["behavior"] = behavior
    if CURRENT_METRICS in annotations:
        known = _decoded(
            annotations[CURRENT_METRICS], "status", "currentMetrics", _metric_status_from_v1
        )
        if known is not None:
            v2_status["currentMetrics"] = known or None
    if CONDITIONS in annotations:
        known = _decoded(annotations[CONDITIONS], "status", "conditions", dict)
        if known:
            v2_status["conditions"] = known
    v2_spec["metrics"] = metrics or [cpu_metric(DEFAULT_UTILIZATION)]
    return {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v2",
        "metadata": _with_annotations(obj, _without_annotations(obj)),
        "spec": v2_spec,
        "status": v2_status,
    }


def _without_annotations(obj: Object) -> dict[str, str]:
    notes = obj["metadata"].get("annotations", {})
    return {name: value for name, value in notes.items() if name not in ANNOTATIONS}


def _with_annotations(obj: Object, notes: dict[str, str]) -> Object:
    meta = {name: value for name, value in obj["metadata"].items() if name != "annotations"}
    return {**meta, "annotations": notes} if notes else meta


def _picked(values: Object, names: Iterable[str]) -> Object:
    return {name: values[name] for name in names if name in values}


def _is_cpu(metric: Object) -> bool:
    return metric.get("type") == "Resource" and metric.get("resource", {}).get("name") == "cpu"


def _cpu_utilization(metric: Object) -> int | None:
    """Return what v1 has a field for: a wanted utilization of the CPU."""
    if not _is_cpu(metric):
        return None
    utilization: int | None = metric["resource"].get("target", {}).get("averageUtilization")
    return utilization


def _go_json(value: Any) -> str:
    """Return JSON as Go prints it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_HTML)


# -- to v1: the order of fields is that of the Go structs ------------------------------


def _metric_to_v1(metric: Object) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for kind in _SOURCES:
        if kind in metric:
            out[kind] = _source_to_v1(kind, metric[kind])
    return out


def _source_to_v1(kind: str, source: Object) -> Object:
    target, metric = source.get("target", {}), source.get("metric", {})
    value, average = target.get("value"), target.get("averageValue")
    if kind in ("resource", "containerResource"):
        out = {
            "name": source.get("name", ""),
            "targetAverageUtilization": target.get("averageUtilization"),
            "targetAverageValue": average,
        }
        out = _present(out)
        return {**out, "container": source.get("container", "")} if kind != "resource" else out
    selector = _selector(metric.get("selector"))
    if kind == "pods":
        return _present(
            {
                "metricName": metric.get("name", ""),
                "targetAverageValue": average or "0",
                "selector": selector,
            }
        )
    if kind == "object":
        return _present(
            {
                "target": _reference(source.get("describedObject", {})),
                "metricName": metric.get("name", ""),
                "targetValue": value or "0",
                "selector": selector,
                "averageValue": average,
            }
        )
    return _present(
        {
            "metricName": metric.get("name", ""),
            "metricSelector": selector,
            "targetValue": value,
            "targetAverageValue": average,
        }
    )


def _metric_status_to_v1(metric: Object) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for kind in _SOURCES:
        if kind in metric:
            out[kind] = _source_status_to_v1(kind, metric[kind])
    return out


def _source_status_to_v1(kind: str, source: Object) -> Object:
    current, metric = source.get("current", {}), source.get("metric", {})
    value, average = current.get("value"), current.get("averageValue")
    if kind in ("resource", "containerResource"):
        out = _present(
            {
                "name": source.get("name", ""),
                "currentAverageUtilization": current.get("averageUtilization"),
                "currentAverageValue": average or "0",
            }
        )
        return {**out, "container": source.get("container", "")} if kind != "resource" else out
    selector = _selector(metric.get("selector"))
    if kind == "pods":
        return _present(
            {
                "metricName": metric.get("name", ""),
                "currentAverageValue": average or "0",
                "selector": selector,
            }
        )
    if kind == "object":
        return _present(
            {
                "target": _reference(source.get("describedObject", {})),
                "metricName": metric.get("name", ""),
                "currentValue": value or "0",
                "selector": selector,
                "averageValue": average,
            }
        )
    return _present(
        {
            "metricName": metric.get("name", ""),
            "metricSelector": selector,
            "currentValue": value or "0",
            "currentAverageValue": average,
        }
    )


def _condition_to_v1(condition: Object) -> Object:
    out = {
        "type": condition.get("type", ""),
        "status": condition.get("status", ""),
        "lastTransitionTime": condition.get("lastTransitionTime"),
    }
    out.update({name: condition[name] for name in ("reason", "message") if condition.get(name)})
    return out


def _behavior_to_internal(behavior: Object) -> Object:
    out: Object = {}
    for name in ("scaleUp", "scaleDown"):
        rules = behavior.get(name)
        out[_go_name(name)] = None if rules is None else _rules_to_internal(rules)
    return out


def _rules_to_internal(rules: Object) -> Object:
    out: Object = {_go_name(name): rules.get(name) for name in _RULES}
    if rules.get("policies") is not None:
        out["Policies"] = [
            {
                "Type": policy.get("type", ""),
                "Value": policy.get("value", 0),
                "PeriodSeconds": policy.get("periodSeconds", 0),
            }
            for policy in rules["policies"]
        ]
    return out


def _reference(reference: Object) -> Object:
    out = {"kind": reference.get("kind", ""), "name": reference.get("name", "")}
    if reference.get("apiVersion"):
        out["apiVersion"] = reference["apiVersion"]
    return out


def _selector(selector: Object | None) -> Object | None:
    if selector is None:
        return None
    out: Object = {}
    if selector.get("matchLabels"):
        out["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        out["matchExpressions"] = [
            _picked(expression, ("key", "operator", "values"))
            for expression in selector["matchExpressions"]
        ]
    return out


def _present(values: Object) -> Object:
    return {name: value for name, value in values.items() if value is not None}


def _go_name(name: str) -> str:
    return name[0].upper() + name[1:]


# -- from v1 ---------------------------------------------------------------------------


def _decoded(text: str, part: str, name: str, convert: Any) -> list[Object] | None:
    """Return the list of an annotation in v2's form; None if it is not one."""
    try:
        listed = json.loads(text)
        converted = [convert(one) for one in listed or ()]
        decoded = codec_for("autoscaling", "v2", "HorizontalPodAutoscaler").decode(
            {part: {name: converted}}
        )
    except (ValueError, TypeError, AttributeError, DecodeError):
        return None  # the annotations are anybody's to write
    found: list[Object] = decoded[part].get(name) or []
    return found


def _behavior(text: str) -> Object | None:
    try:
        value = json.loads(text)
        converted = None if value is None else _lower_names(value)
        decoded = codec_for("autoscaling", "v2", "HorizontalPodAutoscaler").decode(
            {"spec": {"behavior": converted}}
        )
    except (ValueError, TypeError, AttributeError, DecodeError):
        return None
    behavior: Object | None = decoded["spec"].get("behavior", {})
    return behavior


def _lower_names(value: Any) -> Any:
    """Turn the field names of Go into those of JSON, in objects within objects."""
    if isinstance(value, dict):
        return {name[:1].lower() + name[1:]: _lower_names(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_lower_names(one) for one in value]
    return value


def _metric_from_v1(metric: Object) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for kind in _SOURCES:
        if metric.get(kind) is not None:
            out[kind] = _source_from_v1(kind, metric[kind])
    return out


def _source_from_v1(kind: str, source: Object) -> Object:
    average, value = source.get("targetAverageValue"), source.get("targetValue")
    if kind in ("resource", "containerResource"):
        used = source.get("targetAverageUtilization")
        target = {
            "type": "AverageValue" if used is None else "Utilization",
            "averageUtilization": used,
            "averageValue": average,
        }
        return {**_picked(source, ("name", "container")), "target": _present(target)}
    selector = source.get("metricSelector" if kind == "external" else "selector")
    out = {"metric": _present({"name": source.get("metricName"), "selector": selector})}
    if kind == "object":
        out["describedObject"] = source.get("target", {})
        average = source.get("averageValue")
        if average is None:
            out["target"] = _present({"type": "Value", "value": value})
            return out
        value = None
    out["target"] = _present(
        {
            "type": "Value" if average is None else "AverageValue",
            "value": value,
            "averageValue": average,
        }
    )
    return out


def _metric_status_from_v1(metric: Object) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for kind in _SOURCES:
        if metric.get(kind) is not None:
            out[kind] = _source_status_from_v1(kind, metric[kind])
    return out


def _source_status_from_v1(kind: str, source: Object) -> Object:
    average, value = source.get("currentAverageValue"), source.get("currentValue")
    if kind in ("resource", "containerResource"):
        current = {
            "averageUtilization": source.get("currentAverageUtilization"),
            "averageValue": average,
        }
        return {**_picked(source, ("name", "container")), "current": _present(current)}
    selector = source.get("metricSelector" if kind == "external" else "selector")
    out = {"metric": _present({"name": source.get("metricName"), "selector": selector})}
    if kind == "object":
        out["describedObject"] = source.get("target", {})
        average = source.get("averageValue")
    out["current"] = _present({"value": value, "averageValue": average})
    return out
