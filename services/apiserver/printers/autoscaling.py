"""Rows of autoscalers, of objects in the v2 form: a Table of v1 shows the same cells.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go (formatHPAMetrics).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.apiserver.printers.formatting import age, items, name, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object

_UNKNOWN = "<unknown>"


def _cells(obj: Object, now: float) -> list[Any]:
    spec, status = part(obj, "spec"), part(obj, "status")
    target = part(spec, "scaleTargetRef")
    minimum = spec.get("minReplicas")
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(items(spec, "metrics"), items(status, "currentMetrics")),
        "<unset>" if minimum is None else str(minimum),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj, now),
    ]


def _targets(metrics: Sequence[Mapping[str, Any]], current: Sequence[Mapping[str, Any]]) -> str:
    if not metrics:
        return "<none>"
    texts = [
        _target(metric, current[number] if number < len(current) else {})
        for number, metric in enumerate(metrics)
    ]
    shown = ", ".join(texts[:2])
    return f"{shown} + {len(texts) - 2} more..." if len(texts) > 2 else shown


def _target(metric: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    match metric.get("type"):
        case "External":
            return _value_or_average(metric, status, "external")
        case "Object":
            return _value_or_average(metric, status, "object")
        case "Pods":
            wanted = part(metric, "pods", "target").get("averageValue", "0")
            return f"{_current(status, 'pods', 'averageValue')}/{wanted}"
        case "Resource":
            return _resource(metric, status, "resource")
        case "ContainerResource":
            return _resource(metric, status, "containerResource")
        case _:
            return "<unknown type>"


def _value_or_average(metric: Mapping[str, Any], status: Mapping[str, Any], source: str) -> str:
    target = part(metric, source, "target")
    average = target.get("averageValue")
    if average is not None:
        reached = part(status, source, "current").get("averageValue", _UNKNOWN)
        return f"{reached}/{average} (avg)"
    return f"{_current(status, source, 'value')}/{target.get('value', '0')}"


def _resource(metric: Mapping[str, Any], status: Mapping[str, Any], source: str) -> str:
    resource = part(metric, source)
    target = part(resource, "target")
    average = target.get("averageValue")
    if average is not None:
        current = _current(status, source, "averageValue")
        return f"{resource.get('name', '')}: {current}/{average}"
    used = part(status, source, "current").get("averageUtilization")
    wanted = target.get("averageUtilization")
    shown = _UNKNOWN if used is None else f"{used}%"
    limit = "<auto>" if wanted is None else f"{wanted}%"
    return f"{resource.get('name', '')}: {shown}/{limit}"


def _current(status: Mapping[str, Any], source: str, field: str) -> str:
    """Return what a metric has reached; a status that does not say has reached 0."""
    if status.get(source) is None:
        return _UNKNOWN
    return str(part(status, source, "current").get(field, "0"))


_SPEC = "api.autoscaling.v2.HorizontalPodAutoscalerSpec"
HORIZONTAL_POD_AUTOSCALER = KindPrinter(
    (
        NAME,
        Column("Reference", doc=f"{_SPEC}.scaleTargetRef"),
        Column("Targets", doc=f"{_SPEC}.metrics"),
        Column("MinPods", doc=f"{_SPEC}.minReplicas"),
        Column("MaxPods", doc=f"{_SPEC}.maxReplicas"),
        Column("Replicas", doc="api.autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
        AGE,
    ),
    _cells,
)
