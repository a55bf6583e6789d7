"""Rows of what steers pods and requests: disruption budgets, classes, leases, devices, flows.

Source: kube-apiserver v1.36.2, pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.printers import formatting
from services.apiserver.printers.formatting import age, items, name, part
from services.apiserver.printers.printer import AGE, NAME, Column, KindPrinter, Object


def _pod_disruption_budget(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    return [
        name(obj),
        *(str(spec[field]) if spec.get(field) is not None else "N/A" for field in _LIMITS),
        part(obj, "status").get("disruptionsAllowed", 0),
        age(obj, now),
    ]


_LIMITS = ("minAvailable", "maxUnavailable")


def _priority_class(obj: Object, now: float) -> list[Any]:
    return [
        name(obj),
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        age(obj, now),
        obj.get("preemptionPolicy") or "",
    ]


def _runtime_class(obj: Object, now: float) -> list[Any]:
    return [name(obj), obj.get("handler", ""), age(obj, now)]


def _lease(obj: Object, now: float) -> list[Any]:
    return [name(obj), part(obj, "spec").get("holderIdentity") or "", age(obj, now)]


def _resource_claim(obj: Object, now: float) -> list[Any]:
    status = part(obj, "status")
    deleted = formatting.terminating(obj)
    states = ["deleted"] if deleted else []
    if status.get("allocation") is not None:
        states.append("allocated")
        if items(status, "reservedFor"):
            states.append("reserved")
    elif not deleted:
        states.append("pending")
    return [name(obj), ",".join(states), age(obj, now)]


def _resource_slice(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    pool = part(spec, "pool").get("name", "")
    return [name(obj), spec.get("nodeName") or "", spec.get("driver", ""), pool, age(obj, now)]


def _flow_schema(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    method = spec.get("distinguisherMethod")
    dangling = formatting.condition_status(items(part(obj, "status"), "conditions"), "Dangling")
    return [
        name(obj),
        part(spec, "priorityLevelConfiguration").get("name", ""),
        spec.get("matchingPrecedence", 0),
        "<none>" if method is None else method.get("type", ""),
        age(obj, now),
        "?" if dangling is None else dangling,
    ]


def _flow_schema_order(obj: Object) -> tuple[int, str]:
    return part(obj, "spec").get("matchingPrecedence", 0), name(obj)


def _priority_level(obj: Object, now: float) -> list[Any]:
    spec = part(obj, "spec")
    limited = part(spec, "limited")
    queuing = part(limited, "limitResponse", "queuing")
    return [
        name(obj),
        spec.get("type", ""),
        limited.get("nominalConcurrencyShares", 0) if limited else "<none>",
        *(queuing.get(field, 0) if queuing else "<none>" for field in _QUEUING),
        age(obj, now),
    ]


_QUEUING = ("queues", "handSize", "queueLengthLimit")
_FLOWS = "api.flowcontrol.v1."
_PRIORITY_CLASS = "api.scheduling.v1.PriorityClass"
_SLICE_SPEC = "api.resource.v1.ResourceSliceSpec"

POD_DISRUPTION_BUDGET = KindPrinter(
    (
        NAME,
        Column("Min Available", description="The minimum number of pods that must be available."),
        Column(
            "Max Unavailable", description="The maximum number of pods that may be unavailable."
        ),
        Column(
            "Allowed Disruptions",
            "integer",
            description="Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ),
    _pod_disruption_budget,
)
PRIORITY_CLASS = KindPrinter(
    (
        NAME,
        Column("Value", "integer", doc=f"{_PRIORITY_CLASS}.value"),
        Column("Global-Default", "boolean", doc=f"{_PRIORITY_CLASS}.globalDefault"),
        AGE,
        Column("PreemptionPolicy", doc=f"{_PRIORITY_CLASS}.preemptionPolicy"),
    ),
    _priority_class,
)
# kube-apiserver looks the handler's description up in ObjectMeta, which has none.
RUNTIME_CLASS = KindPrinter((NAME, Column("Handler"), AGE), _runtime_class)
LEASE = KindPrinter(
    (NAME, Column("Holder", doc="api.coordination.v1.LeaseSpec.holderIdentity"), AGE), _lease
)
RESOURCE_CLAIM = KindPrinter(
    (
        NAME,
        Column(
            "State",
            description="A summary of the current state (allocated, pending, reserved, etc.).",
        ),
        AGE,
    ),
    _resource_claim,
)
RESOURCE_SLICE = KindPrinter(
    (
        NAME,
        Column("Node", doc=f"{_SLICE_SPEC}.nodeName"),
        Column("Driver", doc=f"{_SLICE_SPEC}.driver"),
        Column("Pool", doc="api.resource.v1.ResourcePool.name"),
        AGE,
    ),
    _resource_slice,
)
FLOW_SCHEMA = KindPrinter(
    (
        NAME,
        Column("PriorityLevel", doc=f"{_FLOWS}PriorityLevelConfigurationReference.name"),
        Column("MatchingPrecedence", doc=f"{_FLOWS}FlowSchemaSpec.matchingPrecedence"),
        Column("DistinguisherMethod", doc=f"{_FLOWS}FlowSchemaSpec.distinguisherMethod"),
        AGE,
        Column(
            "MissingPL",
            description="references a broken or non-existent PriorityLevelConfiguration",
        ),
    ),
    _flow_schema,
    order=_flow_schema_order,
)
PRIORITY_LEVEL = KindPrinter(
    (
        NAME,
        Column("Type", doc=f"{_FLOWS}PriorityLevelConfigurationSpec.type"),
        Column(
            "NominalConcurrencyShares",
            doc=f"{_FLOWS}LimitedPriorityLevelConfiguration.nominalConcurrencyShares",
        ),
        Column("Queues", doc=f"{_FLOWS}QueuingConfiguration.queues"),
        Column("HandSize", doc=f"{_FLOWS}QueuingConfiguration.handSize"),
        Column("QueueLengthLimit", doc=f"{_FLOWS}QueuingConfiguration.queueLengthLimit"),
        AGE,
    ),
    _priority_level,
)
