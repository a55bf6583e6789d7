"""Event of core/v1 and events.k8s.io/v1: one stored form (core's), two views, two strictnesses.

Source: kube-apiserver v1.36.2, pkg/registry/core/event/strategy.go,
pkg/apis/core/validation/events.go, pkg/apis/events/v1/conversion.go.
"""

from __future__ import annotations

from services.apiserver.errors import Cause
from services.apiserver.registry.strategy import (
    GarbageCollection,
    Object,
    Strategy,
    WriteContext,
)
from services.apiserver.validation.field import child, invalid, required
from services.apiserver.validation.metadata import IMMUTABLE
from services.apiserver.validation.names import (
    dns1123_subdomain,
    longer_than,
    path_segment,
    qualified_name,
)

NAME_MAX_BYTES = 128
NOTE_MAX_BYTES = 1024
RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""Field of core/v1 → the same field of events.k8s.io/v1."""
_RENAMED_BACK = {new: old for old, new in RENAMED.items()}
NEEDS_TO_BE_UNSET = "needs to be unset"
UNCHANGEABLE = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "reason",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)
"""In kube-apiserver's order; the reason is looked at twice."""


def to_events_v1(event: Object) -> Object:
    """Return a core/v1 event as events.k8s.io/v1 shows it."""
    shown = {RENAMED.get(name, name): value for name, value in event.items()}
    shown["apiVersion"] = "events.k8s.io/v1"
    for name in ("reportingController", "reportingInstance"):
        # Printed though empty in core/v1, left out here.
        if not shown.get(name):
            shown.pop(name, None)
    return shown


def from_events_v1(event: Object) -> Object:
    """Return an events.k8s.io/v1 event in its stored form, core/v1."""
    stored = {_RENAMED_BACK.get(name, name): value for name, value in event.items()}
    stored["apiVersion"] = "v1"
    for name, empty in (
        ("involvedObject", {}),
        ("source", {}),
        ("firstTimestamp", None),
        ("lastTimestamp", None),
        ("eventTime", None),
        ("reportingComponent", ""),
        ("reportingInstance", ""),
    ):
        stored.setdefault(name, empty)
    return stored


class EventStrategy(Strategy):
    """Events as one of the two groups writes them: core/v1 hardly checks old-style events."""

    create_on_update = True
    default_garbage_collection: GarbageCollection = "unsupported"

    def __init__(self, ttl_s: int, *, strict: bool = False) -> None:
        """`strict` is the rules of events.k8s.io/v1."""
        self.ttl_s = ttl_s
        self._strict = strict
        self._controller_path = "reportingController" if strict else "reportingComponent"

    def validate_create(self, ctx: WriteContext, obj: Object) -> list[Cause]:
        found = self._validate_common(obj)
        if not self._strict:
            return found
        found += _validate_series(obj)
        if not obj.get("eventTime"):
            found.append(required("eventTime"))
        kind = obj.get("type", "")
        if kind not in ("Normal", "Warning"):
            found.append(invalid("type", kind, f"has invalid value: {kind}"))
        for name in ("firstTimestamp", "lastTimestamp", "count"):
            if obj.get(name):
                found.append(invalid(name, obj[name], NEEDS_TO_BE_UNSET))
        source = obj.get("source") or {}
        if source.get("component") or source.get("host"):
            found.append(invalid("source", source, NEEDS_TO_BE_UNSET))
        return found

    def validate_update(self, ctx: WriteContext, obj: Object, old: Object) -> list[Cause]:
        found = self._validate_common(obj)
        if not self._strict:
            return found
        if obj.get("series") != old.get("series"):
            found += _validate_series(obj)
        return found + [
            invalid(name, obj.get(name), IMMUTABLE)
            for name in UNCHANGEABLE
            if obj.get(name) != old.get(name)
        ]

    def validate_name(self, name: str) -> list[str]:
        return dns1123_subdomain(name) if self._strict else path_segment(name)

    def _validate_common(self, obj: Object) -> list[Cause]:
        namespace = obj["metadata"].get("namespace", "")
        involved = obj.get("involvedObject") or {}
        involved_namespace = involved.get("namespace", "")
        path = "involvedObject.namespace"
        message = "does not match event.namespace"
        found: list[Cause] = []
        if not obj.get("eventTime"):
            elsewhere = (
                namespace != involved_namespace
                if involved_namespace
                else namespace not in ("", "default")
            )
            if elsewhere:
                found.append(invalid(path, involved_namespace, message))
        else:
            if not involved_namespace and namespace not in ("default", "kube-system"):
                found.append(invalid(path, involved_namespace, message))
            found += self._validate_new_style(obj)
        return found + [
            invalid("namespace", namespace, wrong) for wrong in dns1123_subdomain(namespace)
        ]

    def _validate_new_style(self, obj: Object) -> list[Cause]:
        found: list[Cause] = []
        controller = obj.get("reportingComponent", "")
        if not controller:
            found.append(required(self._controller_path))
        found += [
            invalid(self._controller_path, controller, wrong)
            for wrong in qualified_name(controller)
        ]
        for name in ("reportingInstance", "action", "reason"):
            value = obj.get(name, "")
            if not value:
                found.append(required(name))
            if longer_than(value, NAME_MAX_BYTES):
                found.append(invalid(name, "", f"can have at most {NAME_MAX_BYTES} characters"))
        if longer_than(obj.get("message", ""), NOTE_MAX_BYTES):
            found.append(invalid("message", "", f"can have at most {NOTE_MAX_BYTES} characters"))
        return found


def _validate_series(obj: Object) -> list[Cause]:
    series = obj.get("series")
    if series is None:
        return []
    found: list[Cause] = []
    if series.get("count", 0) < 2:
        found.append(invalid("series.count", series.get("count", 0), "should be at least 2"))
    if not series.get("lastObservedTime"):
        found.append(required(child("series", "lastObservedTime")))
    return found
